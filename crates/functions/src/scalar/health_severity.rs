//! `health_severity`: how bad a value is.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use vitalog_measure::risk::severity;

use crate::constant::{self, Check, Known};
use crate::parameters::{Kind, Parameters};
use crate::scalar::each_row::{Numbers, scalar_function};

const PARAMETERS: Parameters = Parameters {
    function: "health_severity",
    required: &[
        ("v", Kind::Number),
        ("red", Kind::Number),
        ("green", Kind::Number),
    ],
    optional: &[],
};
const CHECK: Check = check;

/// The scalar function `health_severity`.
#[user_doc(
    doc_section(label = "Health"),
    description = "How bad a value is, from 0 at `green` to 1 at `red`: `clamp((green - v) / (green - red), 0, 1)`. When `red` is greater than `green`, lower is better. Where both are equal it is a step: 0 at and above them, else 1. NULL when `v` or a threshold is NULL or NaN (a literal NaN threshold is an error).",
    syntax_example = "health_severity(v, red, green)",
    sql_example = r#"```sql
> SELECT health_severity(50, 30, 70), health_severity(7, 30, 7), health_severity(99, 30, 7);
-- 0.5, 0, 1
```"#,
    argument(name = "v", description = "The value, unrounded."),
    argument(name = "red", description = "At this and on its bad side it is 1."),
    argument(name = "green", description = "At this and on its good side it is 0.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HealthSeverity {
    signature: Signature,
}

impl HealthSeverity {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for HealthSeverity {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Float64
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let [value, red, green] = [0, 1, 2].map(|index| Numbers::of(columns, index));
    let severities =
        (0..columns[0].len()).map(|row| severity(value.at(row)?, red.at(row)?, green.at(row)?));
    Ok(Arc::new(severities.collect::<Float64Array>()))
}

fn check(known: &Known) -> Result<()> {
    for (index, argument) in [(1, "red"), (2, "green")] {
        if constant::number(known, index)?.is_some_and(f64::is_nan) {
            return plan_err!("health_severity: {argument} must be a number, got NaN");
        }
    }
    Ok(())
}

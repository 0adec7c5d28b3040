//! `health_band`: green, yellow or red.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use vitalog_measure::{Band, Thresholds};

use crate::constant::{self, Check, Known};
use crate::parameters::{Kind, Parameters};
use crate::scalar::each_row::{Numbers, scalar_function};

const PARAMETERS: Parameters = Parameters {
    function: "health_band",
    required: &[
        ("v", Kind::Number),
        ("red", Kind::Number),
        ("green", Kind::Number),
    ],
    optional: &[("red_inclusive", Kind::Boolean)],
};
const CHECK: Check = check;

/// The scalar function `health_band`.
#[user_doc(
    doc_section(label = "Health"),
    description = "The band of a value: 'green' at and beyond `green`, 'red' beyond `red` (and at it with `red_inclusive`), else 'yellow'. When `red` is greater than `green`, lower is better. Red is asked first, so where both thresholds are equal and red is inclusive, that value is red. NULL when `v` or a threshold is NULL or NaN (a literal NaN threshold is an error).",
    syntax_example = "health_band(v, red, green [, red_inclusive])",
    sql_example = r#"```sql
> SELECT health_band(84.9, 20, 85, true), health_band(31, 30, 7), health_band(20, 20, 85, true);
-- yellow, red, red
```"#,
    argument(name = "v", description = "The value, unrounded."),
    argument(name = "red", description = "On the bad side of this it is red."),
    argument(
        name = "green",
        description = "At this and on its good side it is green."
    ),
    argument(
        name = "red_inclusive",
        description = "Whether a value exactly at `red` is red; false by default."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HealthBand {
    signature: Signature,
}

impl HealthBand {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for HealthBand {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Utf8
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let [value, red, green] = [0, 1, 2].map(|index| Numbers::of(columns, index));
    let inclusive = columns.get(3).map(AsArray::as_boolean);
    let bands = (0..columns[0].len()).map(|row| {
        let red_inclusive =
            inclusive.is_some_and(|inclusive| inclusive.is_valid(row) && inclusive.value(row));
        let thresholds = Thresholds {
            red: red.at(row)?,
            green: green.at(row)?,
            red_inclusive,
        };
        thresholds.band(value.at(row)?).map(Band::as_str)
    });
    Ok(Arc::new(bands.collect::<StringArray>()))
}

fn check(known: &Known) -> Result<()> {
    for (index, argument) in [(1, "red"), (2, "green")] {
        if constant::number(known, index)?.is_some_and(f64::is_nan) {
            return plan_err!("health_band: {argument} must be a number, got NaN");
        }
    }
    Ok(())
}

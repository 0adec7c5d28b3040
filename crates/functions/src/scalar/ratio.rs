//! `ratio`: a division that is meant as a share.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use vitalog_measure::share;

use crate::constant::Check;
use crate::parameters::{Kind, Parameters};
use crate::scalar::each_row::{Numbers, scalar_function};

const PARAMETERS: Parameters = Parameters {
    function: "ratio",
    required: &[("n", Kind::Number), ("d", Kind::Number)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The scalar function `ratio`.
#[user_doc(
    doc_section(label = "Health"),
    description = "`n / d` as a double: `50 / 1000` of integers is 0 in SQL, `ratio(50, 1000)` is 0.05. NULL when `d` is 0, or either is NULL.",
    syntax_example = "ratio(n, d)",
    sql_example = r#"```sql
> SELECT ratio(50, 1000), ratio(1, 0);
-- 0.05, NULL
```"#,
    argument(name = "n", description = "The numerator, any number."),
    argument(name = "d", description = "The denominator, any number.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ratio {
    signature: Signature,
}

impl Ratio {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for Ratio {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Float64
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let (numerator, denominator) = (Numbers::of(columns, 0), Numbers::of(columns, 1));
    let ratios =
        (0..columns[0].len()).map(|row| share::ratio(numerator.at(row)?, denominator.at(row)?));
    Ok(Arc::new(ratios.collect::<Float64Array>()))
}

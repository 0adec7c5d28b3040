//! `health_score`: the score of 1 to 100 of a raw score.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::constant::{self, Check, Known};
use crate::parameters::{Kind, Parameters, refused, refused_row};
use crate::scalar::each_row::{Curves, Numbers, scalar_function};

const PARAMETERS: Parameters = Parameters {
    function: "health_score",
    required: &[("raw", Kind::Number), ("peg", Kind::Number)],
    optional: &[("p", Kind::Number), ("curve", Kind::Number)],
};
const CHECK: Check = check;

/// The scalar function `health_score`.
#[user_doc(
    doc_section(label = "Health"),
    description = "The score of a raw score: with `x = clamp(raw / peg, 0, 1)` and `k = -ln(1 - p)` it is `1 + 99 * (1 - exp(-k * x)) / (1 - exp(-k))`, which for p = 0.9 is `1 + 110 * (1 - 10^(-x))`. Exactly 100 from the peg on, 1 at and below 0 and at -∞, 100 at +∞, NULL for NULL and NaN. Without a peg (NULL, an empty population) a raw score at or below 0 is 1, +∞ is 100 and every other is NULL. A peg that is NaN, infinite, 0 or negative is an error.",
    syntax_example = "health_score(raw, peg [, p [, curve]])",
    sql_example = r#"```sql
> SELECT round(health_score(112, 208.2), 2);
-- 79.13
```"#,
    argument(name = "raw", description = "The raw score."),
    argument(
        name = "peg",
        description = "The raw score that is worth 100, from `health_peg`; finite and above 0."
    ),
    argument(
        name = "p",
        description = "The percentile that is worth 100, strictly between 0 and 1; 0.9 by default."
    ),
    argument(
        name = "curve",
        description = "The shape between 0 and the peg: k of the formula, finite and at least 0; 0 is a straight line; -ln(1 - p) by default."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HealthScore {
    signature: Signature,
}

impl HealthScore {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for HealthScore {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Float64
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let (raw, peg) = (Numbers::of(columns, 0), Numbers::of(columns, 1));
    let mut curves = Curves::of(PARAMETERS.function, columns, 2);
    let scores = (0..columns[0].len()).map(|row| {
        let curve = curves.at(row)?;
        curve
            .score(raw.at(row).unwrap_or(f64::NAN), peg.at(row))
            .map_err(refused_row(PARAMETERS.function, "peg"))
    });
    Ok(Arc::new(scores.collect::<Result<Float64Array>>()?))
}

fn check(known: &Known) -> Result<()> {
    let curve = constant::curve(known, 2, PARAMETERS.function)?;
    let peg = constant::number(known, 1)?;
    curve
        .score(0.0, peg)
        .map_err(refused(PARAMETERS.function, "peg"))?;
    Ok(())
}

//! `health_raw_for`: the raw score that has a score.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, plan_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use vitalog_measure::score::{SCORE_MAX, SCORE_MIN};

use crate::constant::{self, Check, Known};
use crate::parameters::{Kind, Parameters, refused, refused_row};
use crate::scalar::each_row::{Curves, Numbers, scalar_function};

const PARAMETERS: Parameters = Parameters {
    function: "health_raw_for",
    required: &[("score", Kind::Number), ("peg", Kind::Number)],
    optional: &[("p", Kind::Number), ("curve", Kind::Number)],
};
const CHECK: Check = check;

/// The scalar function `health_raw_for`.
#[user_doc(
    doc_section(label = "Health"),
    description = "The inverse of `health_score`: the raw score that is worth a score, so that `health_raw_for(85, peg) - raw` says how much is missing to 85. 100 gives the peg, 1 gives 0. NULL for NULL, NaN, a score outside 1 to 100 (as a literal it is an error), and a NULL peg unless the score is 1. A peg that is NaN, infinite, 0 or negative is an error.",
    syntax_example = "health_raw_for(score, peg [, p [, curve]])",
    sql_example = r#"```sql
> SELECT round(health_raw_for(85, 208.2), 2);
-- 130.31
```"#,
    argument(name = "score", description = "A score from 1 to 100."),
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
pub(crate) struct HealthRawFor {
    signature: Signature,
}

impl HealthRawFor {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for HealthRawFor {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Float64
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let (score, peg) = (Numbers::of(columns, 0), Numbers::of(columns, 1));
    let mut curves = Curves::of(PARAMETERS.function, columns, 2);
    let raw = (0..columns[0].len()).map(|row| {
        let curve = curves.at(row)?;
        curve
            .raw_for(score.at(row).unwrap_or(f64::NAN), peg.at(row))
            .map_err(refused_row(PARAMETERS.function, "peg"))
    });
    Ok(Arc::new(raw.collect::<Result<Float64Array>>()?))
}

fn check(known: &Known) -> Result<()> {
    let curve = constant::curve(known, 2, PARAMETERS.function)?;
    let peg = constant::number(known, 1)?;
    curve
        .raw_for(SCORE_MIN, peg)
        .map_err(refused(PARAMETERS.function, "peg"))?;
    match constant::number(known, 0)? {
        Some(score) if !(SCORE_MIN..=SCORE_MAX).contains(&score) => {
            plan_err!("health_raw_for: score must lie between 1 and 100, got {score}")
        }
        _ => Ok(()),
    }
}

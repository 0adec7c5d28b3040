//! `health_rollup`: many scores as one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use vitalog_measure::rollup::{check_weight, rollup};

use crate::constant::{Check, Known};
use crate::parameters::{Kind, Parameters, refused, refused_row};
use crate::scalar::each_row::scalar_function;
use crate::scalar::paired_lists::{PairedLists, known_numbers};

const PARAMETERS: Parameters = Parameters {
    function: "health_rollup",
    required: &[("scores", Kind::NumberList), ("weights", Kind::NumberList)],
    optional: &[],
};
const CHECK: Check = check;

/// The scalar function `health_rollup`.
#[user_doc(
    doc_section(label = "Health"),
    description = "The weighted mean of several scores: `Σ weight * score / Σ weight`. Pairs with a NULL, a NaN score or a weight of 0 are skipped, so a dimension without data does not pull the mean down; NULL when none is left or a list is NULL. A weight that is negative, NaN or infinite, and lists of unequal length, are errors. The order of the scores does not show.",
    syntax_example = "health_rollup(scores, weights)",
    sql_example = r#"```sql
> SELECT health_rollup([80, 40, NULL], [3, 1, 5]);
-- 70
```"#,
    argument(name = "scores", description = "A list of scores, one a dimension."),
    argument(
        name = "weights",
        description = "A list of weights in the same order, finite and at least 0."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HealthRollup {
    signature: Signature,
}

impl HealthRollup {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for HealthRollup {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Float64
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let lists = PairedLists::of(PARAMETERS.function, ["scores", "weights"], columns);
    let means = (0..columns[0].len()).map(|row| match lists.at(row)? {
        None => Ok(None),
        Some(scores) => rollup(scores).map_err(refused_row(PARAMETERS.function, "weights")),
    });
    Ok(Arc::new(means.collect::<Result<Float64Array>>()?))
}

fn check(known: &Known) -> Result<()> {
    for weight in known_numbers(known, 1)? {
        check_weight(weight).map_err(refused(PARAMETERS.function, "weights"))?;
    }
    Ok(())
}

//! `quantile`: a quantile of a sketch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use vitalog_measure::QuantileSketch;
use vitalog_measure::quantile_sketch::check_quantile;

use crate::constant::{self, Check};
use crate::parameters::{Kind, Parameters, refused, refused_row};
use crate::scalar::each_row::{Numbers, scalar_function};

const PARAMETERS: Parameters = Parameters {
    function: "quantile",
    required: &[("sketch", Kind::Sketch), ("p", Kind::Number)],
    optional: &[],
};
const CHECK: Check = |known| {
    let Some(p) = constant::number(known, 1)? else {
        return Ok(());
    };
    check_quantile(p)
        .map(|_| ())
        .map_err(refused(PARAMETERS.function, "p"))
};

/// The scalar function `quantile`.
#[user_doc(
    doc_section(label = "Sketches"),
    description = "About the value of rank `⌊p · (n − 1)⌋` of the values that a sketch was made of, in ascending order and counted from 0: within 0.39 % of that value. The least value for p = 0 and the greatest for p = 1 are exact. NULL when an argument is NULL. Bytes that `quantile_sketch` did not make are an error.",
    syntax_example = "quantile(sketch, p)",
    sql_example = r#"```sql
> SELECT quantile(quantile_sketch(column1), 0.5) FROM (VALUES (10.0), (20.0), (1000.0));
-- 20.0 within 0.39 %
```"#,
    argument(
        name = "sketch",
        description = "A sketch made by `quantile_sketch` or `quantile_merge`."
    ),
    argument(
        name = "p",
        description = "Which quantile, between 0 and 1: 0.5 is the median."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Quantile {
    signature: Signature,
}

impl Quantile {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for Quantile {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Float64
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let sketches = columns[0].as_binary::<i32>();
    let quantiles = Numbers::of(columns, 1);
    // Rows mostly ask several quantiles of one sketch, or one of many.
    let mut last: Option<(&[u8], QuantileSketch)> = None;
    let answers = (0..sketches.len()).map(|row| {
        let Some(p) = quantiles.at(row).filter(|_| sketches.is_valid(row)) else {
            return Ok(None);
        };
        let bytes = sketches.value(row);
        let known = match last.take() {
            Some((before, sketch)) if before == bytes => sketch,
            _ => QuantileSketch::from_bytes(bytes)
                .map_err(refused_row(PARAMETERS.function, "sketch:"))?,
        };
        let (_, sketch) = last.insert((bytes, known));
        sketch
            .quantile(p)
            .map_err(refused_row(PARAMETERS.function, "p"))
    });
    Ok(Arc::new(answers.collect::<Result<Float64Array>>()?))
}

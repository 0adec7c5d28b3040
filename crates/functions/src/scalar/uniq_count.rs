//! `uniq_count`: how many distinct values a sketch was made of.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use vitalog_measure::UniqSketch;

use crate::constant::Check;
use crate::parameters::{Kind, Parameters, refused_row};
use crate::scalar::each_row::scalar_function;

const PARAMETERS: Parameters = Parameters {
    function: "uniq_count",
    required: &[("sketch", Kind::Sketch)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The scalar function `uniq_count`.
#[user_doc(
    doc_section(label = "Sketches"),
    description = "How many distinct values a sketch was made of: exactly up to 1,024, above that with a standard error of 0.81 %, so that two of three counts are within it and 999 of 1,000 within 2.7 %. NULL for NULL. Bytes that `uniq_sketch` did not make are an error.",
    syntax_example = "uniq_count(sketch)",
    sql_example = r#"```sql
> SELECT uniq_count(uniq_sketch(user_id)) FROM events;
```"#,
    argument(
        name = "sketch",
        description = "A sketch made by `uniq_sketch` or `uniq_merge`."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct UniqCount {
    signature: Signature,
}

impl UniqCount {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for UniqCount {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Int64
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let sketches = columns[0].as_binary::<i32>();
    let count = |bytes: &[u8]| {
        let sketch =
            UniqSketch::from_bytes(bytes).map_err(refused_row(PARAMETERS.function, "sketch:"))?;
        Ok(i64::try_from(sketch.count()).unwrap_or(i64::MAX))
    };
    let answers = sketches.iter().map(|bytes| bytes.map(count).transpose());
    Ok(Arc::new(answers.collect::<Result<Int64Array>>()?))
}

//! `health_status`: one status of many bands.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, exec_datafusion_err};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use vitalog_measure::Band;
use vitalog_measure::band::status;

use crate::constant::Check;
use crate::parameters::{Kind, Parameters};
use crate::scalar::each_row::scalar_function;

const PARAMETERS: Parameters = Parameters {
    function: "health_status",
    required: &[("bands", Kind::TextList)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The scalar function `health_status`.
#[user_doc(
    doc_section(label = "Health"),
    description = "The status of several dimensions: any red is 'red', all green is 'green', else 'yellow'. NULL elements are skipped; NULL when the list is NULL, empty or all NULL. Any other text is an error.",
    syntax_example = "health_status(bands)",
    sql_example = r#"```sql
> SELECT health_status(['green', 'yellow', NULL]), health_status(['green', 'red']);
-- yellow, red
```"#,
    argument(
        name = "bands",
        description = "A list of 'green', 'yellow' and 'red', one a dimension."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HealthStatus {
    signature: Signature,
}

impl HealthStatus {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for HealthStatus {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Utf8
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let lists = columns[0].as_list::<i32>();
    let statuses = lists.iter().map(|list| match list {
        None => Ok(None),
        Some(list) => Ok(status(bands(&list)?).map(Band::as_str)),
    });
    Ok(Arc::new(statuses.collect::<Result<StringArray>>()?))
}

fn bands(list: &ArrayRef) -> Result<Vec<Option<Band>>> {
    let parse = |name: &str| {
        Band::parse(name).ok_or_else(|| {
            exec_datafusion_err!(
                "health_status: bands must be 'green', 'yellow' or 'red', got '{name}'"
            )
        })
    };
    list.as_string::<i32>()
        .iter()
        .map(|name| name.map(parse).transpose())
        .collect()
}

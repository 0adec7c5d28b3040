//! `activity_last`: the last instant of a state.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::constant::Check;
use crate::parameters::{Kind, Parameters, instant};
use crate::scalar::each_row::scalar_function;
use crate::scalar::states::States;

const PARAMETERS: Parameters = Parameters {
    function: "activity_last",
    required: &[("a", Kind::State)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The scalar function `activity_last`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "The last instant, as a timestamp in UTC. NULL when the state is NULL.",
    syntax_example = "activity_last(a)",
    sql_example = r#"```sql
> SELECT activity_last(activity(event_time)) FROM events;
```"#,
    argument(
        name = "a",
        description = "A state made by `activity` or `activity_merge`."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ActivityLast {
    signature: Signature,
}

impl ActivityLast {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for ActivityLast {
    scalar_function!();
}

fn return_type() -> DataType {
    instant()
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let mut states = States::of(PARAMETERS.function, &columns[0]);
    let answers = (0..states.len()).map(|row| {
        let activity = states.at(row)?;
        Ok(activity.map(|activity| activity.last_us()))
    });
    Ok(Arc::new(
        answers
            .collect::<Result<TimestampMicrosecondArray>>()?
            .with_timezone("UTC"),
    ))
}

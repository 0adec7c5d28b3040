//! `activity_longest_gap`: the longest stretch between two active days of a state.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::constant::Check;
use crate::parameters::{Kind, Parameters};
use crate::scalar::each_row::scalar_function;
use crate::scalar::states::States;

const PARAMETERS: Parameters = Parameters {
    function: "activity_longest_gap",
    required: &[("a", Kind::State)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The scalar function `activity_longest_gap`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "The greatest distance in days between an active day and the next, as `longest_gap` has it. NULL when the state is NULL or has fewer than two days.",
    syntax_example = "activity_longest_gap(a)",
    sql_example = r#"```sql
> SELECT activity_longest_gap(activity(event_time)) FROM events;
```"#,
    argument(
        name = "a",
        description = "A state made by `activity` or `activity_merge`."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ActivityLongestGap {
    signature: Signature,
}

impl ActivityLongestGap {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for ActivityLongestGap {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Int64
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let mut states = States::of(PARAMETERS.function, &columns[0]);
    let answers = (0..states.len()).map(|row| {
        let activity = states.at(row)?;
        Ok(activity
            .and_then(|activity| activity.days().longest_gap())
            .map(i64::from))
    });
    Ok(Arc::new(answers.collect::<Result<Int64Array>>()?))
}

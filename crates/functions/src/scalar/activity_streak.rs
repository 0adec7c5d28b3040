//! `activity_streak`: for how many days in a row a state is active.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use crate::constant::Check;
use crate::moments::Moments;
use crate::parameters::{Kind, Parameters};
use crate::scalar::each_row::scalar_function;
use crate::scalar::states::States;

const PARAMETERS: Parameters = Parameters {
    function: "activity_streak",
    required: &[("a", Kind::State), ("as_of", Kind::Moment)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The scalar function `activity_streak`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "The number of consecutive active days that end today, the day of the last microsecond before `as_of`: 0 when today is not active. NULL when an argument is NULL. The state knows days, not hours: a day that a bound cuts counts as a whole unless the state's first or last instant prove that nothing happened in the part inside. With bounds at midnights the answer is exactly that of `streak`.",
    syntax_example = "activity_streak(a, as_of)",
    sql_example = r#"```sql
> SELECT activity_streak(activity(event_time), DATE '2025-08-13') FROM events;
```"#,
    argument(
        name = "a",
        description = "A state made by `activity` or `activity_merge`."
    ),
    argument(
        name = "as_of",
        description = "The instant of the question, exclusive; a DATE is the end of that day in the state's time zone."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ActivityStreak {
    signature: Signature,
}

impl ActivityStreak {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for ActivityStreak {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Int64
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let mut states = States::of(PARAMETERS.function, &columns[0]);
    let as_of = Moments::of(&columns[1])?;
    let answers = (0..states.len()).map(|row| {
        let Some(activity) = states.at(row)? else {
            return Ok(None);
        };
        let as_of = states.as_of(row, &as_of)?;
        Ok(as_of.map(|as_of| i64::from(activity.streak(&as_of))))
    });
    Ok(Arc::new(answers.collect::<Result<Int64Array>>()?))
}

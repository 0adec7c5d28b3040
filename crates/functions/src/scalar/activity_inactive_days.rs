//! `activity_inactive_days`: how long ago the last activity of a state was.

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
    function: "activity_inactive_days",
    required: &[("a", Kind::State), ("as_of", Kind::Moment)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The scalar function `activity_inactive_days`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "Whole days from the latest active day before `as_of` to today, the day of the last microsecond before `as_of`. NULL when an argument is NULL or there is no such day. The state knows days, not hours: a day that a bound cuts counts as a whole unless the state's first or last instant prove that nothing happened in the part inside. With bounds at midnights the answer is exactly that of `days_inactive`.",
    syntax_example = "activity_inactive_days(a, as_of)",
    sql_example = r#"```sql
> SELECT activity_inactive_days(activity(event_time), DATE '2025-08-13') FROM events;
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
pub(crate) struct ActivityInactiveDays {
    signature: Signature,
}

impl ActivityInactiveDays {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for ActivityInactiveDays {
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
        let Some(as_of) = states.as_of(row, &as_of)? else {
            return Ok(None);
        };
        let last = activity.last_day(&as_of);
        Ok(last.map(|last| i64::from(as_of.today) - i64::from(last)))
    });
    Ok(Arc::new(answers.collect::<Result<Int64Array>>()?))
}

//! `activity_days`: active days of a state in a period.

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
    function: "activity_days",
    required: &[
        ("a", Kind::State),
        ("since", Kind::Moment),
        ("until", Kind::Moment),
    ],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The scalar function `activity_days`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "The number of active days of a state in `[since, until)`, in the state's time zone. NULL when an argument is NULL; 0 for an empty period. The state knows days, not hours: a day that a bound cuts counts as a whole unless the state's first or last instant prove that nothing happened in the part inside. With bounds at midnights the answer is exactly that of `active_days`.",
    syntax_example = "activity_days(a, since, until)",
    sql_example = r#"```sql
> SELECT activity_days(activity(event_time), DATE '2025-08-01', DATE '2025-09-01') FROM events;
```"#,
    argument(
        name = "a",
        description = "A state made by `activity` or `activity_merge`."
    ),
    argument(
        name = "since",
        description = "First instant that counts; a DATE is the start of that day in the state's time zone."
    ),
    argument(
        name = "until",
        description = "First instant that counts no more; a DATE is the start of that day, so that the day itself is left out."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ActivityDays {
    signature: Signature,
}

impl ActivityDays {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for ActivityDays {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Int64
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let mut states = States::of(PARAMETERS.function, &columns[0]);
    let since = Moments::of(&columns[1])?;
    let until = Moments::of(&columns[2])?;
    let answers = (0..states.len()).map(|row| {
        let Some(activity) = states.at(row)? else {
            return Ok(None);
        };
        let period = states.period(row, &since, &until)?;
        Ok(period.map(|period| i64::from(activity.active_days(&period))))
    });
    Ok(Arc::new(answers.collect::<Result<Int64Array>>()?))
}

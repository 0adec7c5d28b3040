//! `activity_frequency`: the share of active days of a state in a period.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;

use vitalog_measure::share::ratio;

use crate::constant::Check;
use crate::moments::Moments;
use crate::parameters::{Kind, Parameters};
use crate::scalar::each_row::scalar_function;
use crate::scalar::states::States;

const PARAMETERS: Parameters = Parameters {
    function: "activity_frequency",
    required: &[
        ("a", Kind::State),
        ("since", Kind::Moment),
        ("until", Kind::Moment),
    ],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The scalar function `activity_frequency`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "The active days of a state in `[since, until)` divided by the calendar days that the period touches, between 0 and 1. NULL when an argument is NULL or the period is empty. The state knows days, not hours: a day that a bound cuts counts as a whole unless the state's first or last instant prove that nothing happened in the part inside. With bounds at midnights the answer is exactly that of `usage_frequency`.",
    syntax_example = "activity_frequency(a, since, until)",
    sql_example = r#"```sql
> SELECT activity_frequency(activity(event_time), DATE '2025-08-01', DATE '2025-08-08') FROM events;
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
pub(crate) struct ActivityFrequency {
    signature: Signature,
}

impl ActivityFrequency {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for ActivityFrequency {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Float64
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
        Ok(period.and_then(|period| {
            ratio(
                f64::from(activity.active_days(&period)),
                f64::from(period.days()),
            )
        }))
    });
    Ok(Arc::new(answers.collect::<Result<Float64Array>>()?))
}

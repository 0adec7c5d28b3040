//! `activity_lifecycle`: what became of someone from one period to the next.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use vitalog_measure::Lifecycle;

use crate::constant::{Check, Known};
use crate::interval::{WholeDays, check_days};
use crate::moments::Moments;
use crate::parameters::{Kind, Parameters};
use crate::scalar::each_row::scalar_function;
use crate::scalar::states::States;

const PARAMETERS: Parameters = Parameters {
    function: "activity_lifecycle",
    required: &[
        ("a", Kind::State),
        ("as_of", Kind::Moment),
        ("period", Kind::Days),
    ],
    optional: &[("created_at", Kind::Moment)],
};
const CHECK: Check = |known: &Known| check_days(known, 2, PARAMETERS.function, "period");

/// The scalar function `activity_lifecycle`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "What became of someone in the period that ends with today, after PostHog's lifecycle: 'new' when active for the first time and created in the period; 'returning' when active in it and in the period before; 'resurrecting' when active in it, not in the one before, and not new; 'dormant' when active in the one before only; NULL when active in neither, or when an argument is NULL. A period of N days is the N calendar days of the state's time zone that end with today, cut at `as_of`; the one before is the same N days earlier. Whoever was created before the period and is active for the first time in it is 'resurrecting'. The state knows days, not hours: a day that `as_of` cuts counts as a whole unless the state's first or last instant prove that nothing happened in the part before it.",
    syntax_example = "activity_lifecycle(a, as_of, period [, created_at])",
    sql_example = r#"```sql
> SELECT user_id, activity_lifecycle(activity(event_time), DATE '2025-08-13', INTERVAL '7 days') AS stage
  FROM events GROUP BY user_id;
```"#,
    argument(
        name = "a",
        description = "A state made by `activity` or `activity_merge`."
    ),
    argument(
        name = "as_of",
        description = "The instant of the question, exclusive; a DATE is the end of that day in the state's time zone."
    ),
    argument(
        name = "period",
        description = "How many days a period has, at least 1: a whole number, or an interval of whole days."
    ),
    argument(
        name = "created_at",
        description = "When someone was created; NULL, or left out, is the first event. A DATE is the start of that day in the state's time zone."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ActivityLifecycle {
    signature: Signature,
}

impl ActivityLifecycle {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for ActivityLifecycle {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Utf8
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let mut states = States::of(PARAMETERS.function, &columns[0]);
    let as_of = Moments::of(&columns[1])?;
    let lengths = WholeDays::of(PARAMETERS.function, "period", &columns[2]);
    let created = columns.get(3).map(Moments::of).transpose()?;
    let stages = (0..states.len()).map(|row| {
        let (Some(activity), Some(days)) = (states.at(row)?, lengths.at(row)?) else {
            return Ok(None);
        };
        let Some((period, before)) = states.periods(row, &as_of, days)? else {
            return Ok(None);
        };
        let created_us = match &created {
            Some(created) => states.instant(row, created, "created_at")?,
            None => None,
        };
        let stage = Lifecycle::of(&activity, &period, &before, created_us);
        Ok(stage.map(Lifecycle::as_str))
    });
    Ok(Arc::new(stages.collect::<Result<StringArray>>()?))
}

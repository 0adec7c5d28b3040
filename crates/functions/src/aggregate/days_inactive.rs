//! `days_inactive`: how long ago the last activity was.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::Result;
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature};
use datafusion_macros::user_doc;

use crate::aggregate::day_groups::DayGroups;
use crate::aggregate::day_question::Question;
use crate::aggregate::grouped::grouped_aggregate;
use crate::constant::Check;
use crate::parameters::{Kind, Parameters};

const PARAMETERS: Parameters = Parameters {
    function: "days_inactive",
    required: &[("ts", Kind::Moment), ("as_of", Kind::Moment)],
    optional: &[("tz", Kind::PlainText)],
};
const CHECK: Check = |known| Question::DaysInactive.check(known);

/// The aggregate `days_inactive`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "Whole days from the day of the latest row before `as_of` to today: 0 when something happened today, 1 when yesterday was the last time. Days are calendar days of `tz`, whatever their length. NULL when there is no row before `as_of`. All rows of a group must have an `as_of` on the same day, else it is an error.",
    syntax_example = "days_inactive(ts, as_of [, tz])",
    sql_example = r#"```sql
> SELECT account_id FROM events
  GROUP BY account_id HAVING days_inactive(event_time, DATE '2025-08-13') >= 10;
```"#,
    argument(
        name = "ts",
        description = "When something happened: a timestamp or a date."
    ),
    argument(
        name = "as_of",
        description = "The instant of the question: rows at or after it do not exist; a DATE is the end of that day. Today is the day of the last microsecond before it."
    ),
    argument(
        name = "tz",
        description = "Time zone whose calendar days are counted, a constant; 'UTC' by default."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct DaysInactive {
    signature: Signature,
}

impl DaysInactive {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<DayGroups> {
        Question::DaysInactive.state(args)
    }
}

impl AggregateUDFImpl for DaysInactive {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(Question::DaysInactive.return_type())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(Question::state_fields(&args))
    }
}

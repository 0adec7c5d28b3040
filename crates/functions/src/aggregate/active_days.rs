//! `active_days`: on how many days something happened.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, ScalarValue};
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
    function: "active_days",
    required: &[
        ("ts", Kind::Moment),
        ("since", Kind::Moment),
        ("until", Kind::Moment),
    ],
    optional: &[("tz", Kind::PlainText)],
};
const CHECK: Check = |known| Question::ActiveDays.check(known);

/// The aggregate `active_days`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "The number of calendar days in `[since, until)` on which there is at least one row. A row counts when `since <= ts < until`; its day is that of `ts` in `tz`. Rows where `ts`, `since` or `until` is NULL do not count; no rows at all, an empty period, and NULL bounds give 0, never NULL. `since` and `until` may differ from row to row.",
    syntax_example = "active_days(ts, since, until [, tz])",
    sql_example = r#"```sql
> SELECT user_id, active_days(event_time, DATE '2025-08-01', DATE '2025-08-08') AS days
  FROM events GROUP BY user_id;
```"#,
    argument(
        name = "ts",
        description = "When something happened: a timestamp or a date."
    ),
    argument(
        name = "since",
        description = "First instant that counts; a DATE is the start of that day. The same for all rows, or a column."
    ),
    argument(
        name = "until",
        description = "First instant that counts no more; a DATE is the start of that day, so that the day itself is left out."
    ),
    argument(
        name = "tz",
        description = "Time zone whose calendar days are counted, a constant; 'UTC' by default."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ActiveDays {
    signature: Signature,
}

impl ActiveDays {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<DayGroups> {
        Question::ActiveDays.state(args)
    }
}

impl AggregateUDFImpl for ActiveDays {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(Question::ActiveDays.return_type())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(Question::state_fields(&args))
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(Question::ActiveDays.of_nothing())
    }
}

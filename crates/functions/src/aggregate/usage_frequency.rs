//! `usage_frequency`: the share of days on which something happened.

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
    function: "usage_frequency",
    required: &[
        ("ts", Kind::Moment),
        ("since", Kind::Moment),
        ("until", Kind::Moment),
    ],
    optional: &[("tz", Kind::PlainText)],
};
const CHECK: Check = |known| Question::UsageFrequency.check(known);

/// The aggregate `usage_frequency`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "Active days divided by the days of the period, between 0 and 1: 5 of 7 is 0.714. Active days are those of `active_days`; the days of the period are the calendar days of `tz` that `[since, until)` touches, days that it cuts included (so two when it lasts from noon to noon). A group with rows but none in the period gives 0. No rows at all give 0. NULL when the period is empty or a bound is a NULL constant. All rows of a group must have bounds on the same days, else it is an error.",
    syntax_example = "usage_frequency(ts, since, until [, tz])",
    sql_example = r#"```sql
> SELECT account_id, usage_frequency(event_time, DATE '2025-08-01', DATE '2025-08-08') AS frequency
  FROM events GROUP BY account_id;
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
pub(crate) struct UsageFrequency {
    signature: Signature,
}

impl UsageFrequency {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<DayGroups> {
        Question::UsageFrequency.state(args)
    }
}

impl AggregateUDFImpl for UsageFrequency {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(Question::UsageFrequency.return_type())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(Question::state_fields(&args))
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(Question::UsageFrequency.of_nothing())
    }
}

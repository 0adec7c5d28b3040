//! `streak`: for how many days in a row something happened.

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
    function: "streak",
    required: &[("ts", Kind::Moment), ("as_of", Kind::Moment)],
    optional: &[("tz", Kind::PlainText)],
};
const CHECK: Check = |known| Question::Streak.check(known);

/// The aggregate `streak`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "The number of consecutive active days that end today: 0 when there is no row today before `as_of`, even if there was one yesterday (ask as of yesterday for the streak that may still go on). Days are calendar days of `tz`. No rows at all give 0; NULL when `as_of` is a NULL constant. All rows of a group must have an `as_of` on the same day, else it is an error.",
    syntax_example = "streak(ts, as_of [, tz])",
    sql_example = r#"```sql
> SELECT user_id, streak(event_time, DATE '2025-08-13') AS days
  FROM events GROUP BY user_id ORDER BY days DESC LIMIT 10;
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
pub(crate) struct Streak {
    signature: Signature,
}

impl Streak {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<DayGroups> {
        Question::Streak.state(args)
    }
}

impl AggregateUDFImpl for Streak {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(Question::Streak.return_type())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(Question::state_fields(&args))
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(Question::Streak.of_nothing())
    }
}

//! `longest_gap`: the longest stretch between two active days.

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
    function: "longest_gap",
    required: &[("ts", Kind::Moment)],
    optional: &[("tz", Kind::PlainText)],
};
const CHECK: Check = |known| Question::LongestGap.check(known);

/// The aggregate `longest_gap`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "The greatest distance in days between an active day and the next active day: 1 when every active day follows the one before, 3 when Monday is followed by Thursday. The time before the first and after the last row is no gap. NULL when there are fewer than two active days.",
    syntax_example = "longest_gap(ts [, tz])",
    sql_example = r#"```sql
> SELECT user_id, longest_gap(event_time, 'Europe/Berlin') AS gap
  FROM events GROUP BY user_id;
```"#,
    argument(
        name = "ts",
        description = "When something happened: a timestamp or a date."
    ),
    argument(
        name = "tz",
        description = "Time zone whose calendar days are counted, a constant; 'UTC' by default."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct LongestGap {
    signature: Signature,
}

impl LongestGap {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<DayGroups> {
        Question::LongestGap.state(args)
    }
}

impl AggregateUDFImpl for LongestGap {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(Question::LongestGap.return_type())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(Question::state_fields(&args))
    }
}

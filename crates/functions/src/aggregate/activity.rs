//! `activity`: first, last and the set of active days, as a state that can be stored.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::Result;
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature};
use datafusion_macros::user_doc;

use crate::aggregate::activity_groups::{ActivityGroups, Source};
use crate::aggregate::grouped::grouped_aggregate;
use crate::constant::{self, Check};
use crate::parameters::{Kind, Parameters};

const PARAMETERS: Parameters = Parameters {
    function: "activity",
    required: &[("ts", Kind::Moment)],
    optional: &[("tz", Kind::PlainText)],
};
const CHECK: Check = |known| constant::zone(known, 1, PARAMETERS.function).map(|_| ());

/// The aggregate `activity`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "A state that knows the first and the last instant and the set of active calendar days: about a byte and a half a week for someone who comes every working day. It can be stored in a table or a file, merged with `activity_merge`, and asked with the `activity_…` functions, long after the rows are out of reach. Equal rows give equal bytes, in whatever order they come. The state remembers its time zone. NULL when there are no rows.",
    syntax_example = "activity(ts [, tz])",
    sql_example = r#"```sql
> CREATE TABLE usage_by_month AS
  SELECT user_id, date_trunc('month', event_time) AS month, activity(event_time) AS state
  FROM events GROUP BY user_id, month;
> SELECT user_id, activity_streak(activity_merge(state), DATE '2025-08-13')
  FROM usage_by_month GROUP BY user_id;
```"#,
    argument(
        name = "ts",
        description = "When something happened: a timestamp or a date."
    ),
    argument(
        name = "tz",
        description = "Time zone whose calendar days are kept, a constant; 'UTC' by default."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ActivityOf {
    signature: Signature,
}

impl ActivityOf {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<ActivityGroups> {
        let known = constant::of_aggregate(args);
        constant::required(&known, 1, PARAMETERS.function, "tz")?;
        let zone = constant::zone(&known, 1, PARAMETERS.function)?;
        Ok(ActivityGroups::new(Source::Times, zone))
    }
}

impl AggregateUDFImpl for ActivityOf {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(ActivityGroups::state_fields(&args))
    }
}

//! `activity_merge`: one activity of many.

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
use crate::constant::Check;
use crate::local_days::Zone;
use crate::parameters::{Kind, Parameters};

const PARAMETERS: Parameters = Parameters {
    function: "activity_merge",
    required: &[("state", Kind::State)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The aggregate `activity_merge`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "The activity of all rows that the merged states were made of: merging states of parts gives the same bytes as `activity` over the whole. NULL states are skipped; NULL when there is no other. States of different time zones in one group are an error, and so are bytes that `activity` did not make.",
    syntax_example = "activity_merge(state)",
    sql_example = r#"```sql
> SELECT user_id, activity_last(activity_merge(state)) AS last
  FROM usage_by_month GROUP BY user_id;
```"#,
    argument(
        name = "state",
        description = "A state made by `activity` or `activity_merge`."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ActivityMerge {
    signature: Signature,
}

impl ActivityMerge {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, _args: &AccumulatorArgs) -> Result<ActivityGroups> {
        Ok(ActivityGroups::new(Source::States, Zone::Utc))
    }
}

impl AggregateUDFImpl for ActivityMerge {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(ActivityGroups::state_fields(&args))
    }
}

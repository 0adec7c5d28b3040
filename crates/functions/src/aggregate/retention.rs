//! `retention`: who came, and of those, who came again.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature};
use datafusion_macros::user_doc;

use crate::aggregate::grouped::grouped_aggregate;
use crate::aggregate::retention_groups::{CONDITIONS, RetentionGroups};
use crate::constant::Check;
use crate::parameters::{Kind, Parameters};

const PARAMETERS: Parameters = Parameters {
    function: "retention",
    required: &[("conditions", Kind::BooleanList)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The aggregate `retention`.
#[user_doc(
    doc_section(label = "Funnels"),
    description = "A list of 1 and 0, one a condition: the first is 1 when any row meets the first condition, each other is 1 when any row meets the first and any row meets that condition. It is ClickHouse's `retention` with the conditions as a list. NULL counts as false. All rows of a group must have equally many conditions, else it is an error; rows where the list is NULL do not count; NULL when there is no row.",
    syntax_example = "retention(conditions)",
    sql_example = r#"```sql
> SELECT sum(r[1]) AS came, sum(r[2]) AS came_again
  FROM (SELECT user_id, retention([event_time::date = DATE '2025-08-01',
                                   event_time::date = DATE '2025-08-08']) AS r
        FROM events GROUP BY user_id);
```"#,
    argument(name = "conditions", description = "A list of conditions, at most 32.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct RetentionOf {
    signature: Signature,
}

impl RetentionOf {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, _args: &AccumulatorArgs) -> Result<RetentionGroups> {
        Ok(RetentionGroups::default())
    }
}

impl AggregateUDFImpl for RetentionOf {
    grouped_aggregate!(CONDITIONS.check_aggregate(CHECK));

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        let item = Field::new_list_field(DataType::Int64, true);
        Ok(DataType::List(Arc::new(item)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(RetentionGroups::state_fields(&args))
    }
}

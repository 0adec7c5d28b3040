//! `activation_rate`: how many onboarding steps are done.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature};
use datafusion_macros::user_doc;

use crate::aggregate::grouped::grouped_aggregate;
use crate::aggregate::share_groups::{Share, ShareGroups};
use crate::constant::Check;
use crate::parameters::{Kind, Parameters};

const PARAMETERS: Parameters = Parameters {
    function: "activation_rate",
    required: &[("event", Kind::Text), ("steps", Kind::TextList)],
    optional: &[],
};
const SHARE: Share = Share {
    function: "activation_rate",
    argument: "steps",
};
const CHECK: Check = |known| SHARE.check(known);

/// The aggregate `activation_rate`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "The percentage of onboarding steps that were ever done, in any order: 5 of 7 give 71.4. Ask it over the whole history. Only names count that are written exactly alike. A group of rows without any of them gives 0; NULL when the list is NULL or empty. The list is mostly a constant; where it comes from a column, all rows of a group must bring the same one, else it is an error.",
    syntax_example = "activation_rate(event, steps)",
    sql_example = r#"```sql
> SELECT account_id, activation_rate(event, ['signup', 'invite.sent', 'report.created'])
  FROM events GROUP BY account_id;
```"#,
    argument(name = "event", description = "The name of what happened."),
    argument(
        name = "steps",
        description = "The names of the steps. A list of at most 4096 distinct names; repeated and NULL elements do not count."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ActivationRate {
    signature: Signature,
}

impl ActivationRate {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<ShareGroups> {
        SHARE.state(args)
    }
}

impl AggregateUDFImpl for ActivationRate {
    grouped_aggregate!(constants: [1]);

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(Share::state_fields(&args))
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(Some(0.0)))
    }
}

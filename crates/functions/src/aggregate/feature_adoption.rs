//! `feature_adoption`: how many features of a catalogue are used.

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
    function: "feature_adoption",
    required: &[("event", Kind::Text), ("features", Kind::TextList)],
    optional: &[],
};
const SHARE: Share = Share {
    function: "feature_adoption",
    argument: "features",
};
const CHECK: Check = |known| SHARE.check(known);

/// The aggregate `feature_adoption`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "The percentage of a catalogue's features that occur at least once: 15 of 20 give 75. Of an account it is the union over its users. Only names count that are written exactly alike. A group of rows without any of them gives 0; NULL when the list is NULL or empty. The list is mostly a constant; where it comes from a column, all rows of a group must bring the same one, else it is an error.",
    syntax_example = "feature_adoption(event, features)",
    sql_example = r#"```sql
> SELECT account_id, feature_adoption(event, ['report.created', 'export.started', 'invite.sent'])
  FROM events WHERE event_time >= DATE '2025-08-01' GROUP BY account_id;
```"#,
    argument(name = "event", description = "The name of what happened."),
    argument(
        name = "features",
        description = "The names of the features. A list of at most 4096 distinct names; repeated and NULL elements do not count."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct FeatureAdoption {
    signature: Signature,
}

impl FeatureAdoption {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<ShareGroups> {
        SHARE.state(args)
    }
}

impl AggregateUDFImpl for FeatureAdoption {
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

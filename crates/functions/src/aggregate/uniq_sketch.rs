//! `uniq_sketch`: a set of values, small enough to store, for counting.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature};
use datafusion_macros::user_doc;
use vitalog_measure::UniqSketch;

use crate::aggregate::grouped::grouped_aggregate;
use crate::aggregate::sketch_groups::{SketchGroups, Source};
use crate::constant::Check;
use crate::parameters::{Kind, Parameters};

const PARAMETERS: Parameters = Parameters {
    function: "uniq_sketch",
    required: &[("v", Kind::Distinct)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The aggregate `uniq_sketch`.
#[user_doc(
    doc_section(label = "Sketches"),
    description = "A sketch of the set of values, from which `uniq_count` reads how many distinct ones there are: exactly up to 1,024, above that with a standard error of 0.81 % (a HyperLogLog). Sketches can be stored and merged with `uniq_merge`; merging those of parts gives the same bytes as the whole, so distinct users of days become those of a month. 8 bytes a distinct value, at most 12,290. NULL is skipped, NaN is a value; of nothing it is the sketch of the empty set. Equal values count once however their columns are typed: text of any form, integers of any width, timestamps of any unit and zone, decimals of any scale. DISTINCT changes nothing.",
    syntax_example = "uniq_sketch(v)",
    sql_example = r#"```sql
> SELECT date_trunc('day', event_time) AS day, uniq_sketch(user_id) AS users
  FROM events GROUP BY day;
```"#,
    argument(
        name = "v",
        description = "Text, a number, true or false, a date, a timestamp or binary."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct UniqSketchOf {
    signature: Signature,
}

impl UniqSketchOf {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, _args: &AccumulatorArgs) -> Result<SketchGroups<UniqSketch>> {
        Ok(SketchGroups::new(Source::Values))
    }
}

impl AggregateUDFImpl for UniqSketchOf {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(SketchGroups::<UniqSketch>::state_fields(&args))
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        let mut bytes = Vec::new();
        UniqSketch::new().write(&mut bytes);
        Ok(ScalarValue::Binary(Some(bytes)))
    }
}

//! `uniq_merge`: one distinct sketch of many.

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
    function: "uniq_merge",
    required: &[("state", Kind::Sketch)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The aggregate `uniq_merge`.
#[user_doc(
    doc_section(label = "Sketches"),
    description = "The sketch of the union of the merged sets: merging those of parts gives the same bytes as `uniq_sketch` over the whole. NULL sketches are skipped; of nothing it is the sketch of the empty set. Bytes that `uniq_sketch` did not make are an error.",
    syntax_example = "uniq_merge(state)",
    sql_example = r#"```sql
> SELECT uniq_count(uniq_merge(users)) AS monthly_active
  FROM (SELECT date_trunc('day', event_time) AS day, uniq_sketch(user_id) AS users
        FROM events GROUP BY day);
```"#,
    argument(
        name = "state",
        description = "A sketch made by `uniq_sketch` or `uniq_merge`."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct UniqMerge {
    signature: Signature,
}

impl UniqMerge {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, _args: &AccumulatorArgs) -> Result<SketchGroups<UniqSketch>> {
        Ok(SketchGroups::new(Source::Sketches))
    }
}

impl AggregateUDFImpl for UniqMerge {
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

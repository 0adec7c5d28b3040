//! `quantile_merge`: one quantile sketch of many.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::Result;
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature};
use datafusion_macros::user_doc;
use vitalog_measure::QuantileSketch;

use crate::aggregate::grouped::grouped_aggregate;
use crate::aggregate::sketch_groups::{SketchGroups, Source};
use crate::constant::{self, Check};
use crate::parameters::{Kind, Parameters};

const PARAMETERS: Parameters = Parameters {
    function: "quantile_merge",
    required: &[("state", Kind::Sketch)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The aggregate `quantile_merge`.
#[user_doc(
    doc_section(label = "Sketches"),
    description = "The sketch of all values that the merged sketches were made of: merging those of parts gives the same bytes as `quantile_sketch` over the whole. NULL sketches are skipped; NULL when there is no other. Bytes that `quantile_sketch` did not make are an error. DISTINCT beside other aggregates is refused.",
    syntax_example = "quantile_merge(state)",
    sql_example = r#"```sql
> SELECT quantile(quantile_merge(state), 0.5)
  FROM (SELECT quantile_sketch(raw) AS state FROM raw_scores GROUP BY plan);
```"#,
    argument(
        name = "state",
        description = "A sketch made by `quantile_sketch` or `quantile_merge`."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct QuantileMerge {
    signature: Signature,
}

impl QuantileMerge {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<SketchGroups<QuantileSketch>> {
        constant::no_distinct(args, PARAMETERS.function)?;
        Ok(SketchGroups::new(Source::Sketches))
    }
}

impl AggregateUDFImpl for QuantileMerge {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(SketchGroups::<QuantileSketch>::state_fields(&args))
    }
}

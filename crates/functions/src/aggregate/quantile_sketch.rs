//! `quantile_sketch`: the distribution of values, small enough to store.

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
    function: "quantile_sketch",
    required: &[("v", Kind::Number)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The aggregate `quantile_sketch`.
#[user_doc(
    doc_section(label = "Sketches"),
    description = "A sketch of the distribution of values, from which `quantile` reads any quantile with a relative error of at most 0.39 % (a DDSketch). Sketches can be stored and merged with `quantile_merge`; merging those of parts gives the same bytes as the whole. Negative values and 0 are supported; values nearer to 0 than 2.3e-308 count as 0. NULL and NaN are skipped; +∞ and −∞ count as the greatest and the least value. NULL of nothing. Takes some three bytes for each distinct bucket: 128 buckets between a value and its double. DISTINCT beside other aggregates is refused.",
    syntax_example = "quantile_sketch(v)",
    sql_example = r#"```sql
> SELECT account_id, quantile_sketch(extract(hour FROM event_time)) AS hours
  FROM events GROUP BY account_id;
```"#,
    argument(name = "v", description = "A number.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct QuantileSketchOf {
    signature: Signature,
}

impl QuantileSketchOf {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<SketchGroups<QuantileSketch>> {
        constant::no_distinct(args, PARAMETERS.function)?;
        Ok(SketchGroups::new(Source::Values))
    }
}

impl AggregateUDFImpl for QuantileSketchOf {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(SketchGroups::<QuantileSketch>::state_fields(&args))
    }
}

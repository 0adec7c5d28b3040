//! `health_peg`: the raw score that is worth 100.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::Result;
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature};
use datafusion_macros::user_doc;

use crate::aggregate::grouped::grouped_aggregate;
use crate::aggregate::peg_groups::PegGroups;
use crate::constant::{self, Check};
use crate::parameters::{Kind, Parameters};

const PARAMETERS: Parameters = Parameters {
    function: "health_peg",
    required: &[("raw", Kind::Number)],
    optional: &[("p", Kind::Number)],
};
const CHECK: Check = |known| constant::percentile(known, 1, PARAMETERS.function).map(|_| ());

/// The aggregate `health_peg`.
#[user_doc(
    doc_section(label = "Health"),
    description = "The p-quantile of the raw scores that are finite and above 0, exactly: type 7, linear interpolation in full double precision, the same bits in any order of rows and any division into partitions. NULL, NaN, ±∞, 0 and negative raw scores are not part of the population; NULL when it is empty. Keeps every value: 12 bytes each, so 120 MB for ten million entities.",
    syntax_example = "health_peg(raw [, p])",
    sql_example = r#"```sql
> SELECT health_peg(column1)
  FROM (VALUES (475), (89), (101), (7), (3), (21), (2), (149), (223), (1), (13), (9), (37));
-- 208.2
> SELECT account_id, raw, health_score(raw, health_peg(raw) OVER (PARTITION BY plan)) AS score
  FROM raw_scores;
```"#,
    argument(name = "raw", description = "The raw score of an entity."),
    argument(
        name = "p",
        description = "The percentile, a constant strictly between 0 and 1; 0.9 by default."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HealthPeg {
    signature: Signature,
}

impl HealthPeg {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<PegGroups> {
        let known = constant::of_aggregate(args);
        constant::required(&known, 1, PARAMETERS.function, "p")?;
        let p = constant::percentile(&known, 1, PARAMETERS.function)?;
        Ok(PegGroups::new(p, args.is_distinct))
    }
}

impl AggregateUDFImpl for HealthPeg {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(PegGroups::state_fields(&args))
    }
}

//! `decayed_sum`: a sum in which what is old counts less.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::Result;
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature};
use datafusion_macros::user_doc;

use crate::aggregate::decay::Decay;
use crate::aggregate::exact_groups::{ExactGroups, Question};
use crate::aggregate::grouped::grouped_aggregate;
use crate::constant::{self, Check};
use crate::parameters::{Kind, Parameters};

const PARAMETERS: Parameters = Parameters {
    function: Decay::FUNCTION,
    required: &[
        ("v", Kind::Number),
        ("ts", Kind::Moment),
        ("as_of", Kind::Moment),
        ("half_life", Kind::Length),
    ],
    optional: &[],
};
const CHECK: Check = |known| Decay::of_known(known).map(|_| ());

/// The aggregate `decayed_sum`.
#[user_doc(
    doc_section(label = "Sums"),
    description = "The sum of values that fade: `Σ v · 2^(−(as_of − ts) / half_life)`, so that a value as old as the half-life counts half. Rows at or after `as_of` do not exist for the question. The products are rounded once each, their sum is exact and rounded once, so it has the same bits in any order of rows and any division into partitions. Rows where `v`, `ts` or `as_of` is NULL are skipped; NULL where no row is left, and where the half-life is NULL. NaN and ±∞ behave as in `exact_sum`, however old they are. DISTINCT beside other aggregates is refused.",
    syntax_example = "decayed_sum(v, ts, as_of, half_life)",
    sql_example = r#"```sql
> SELECT account_id, decayed_sum(1, event_time, TIMESTAMP '2025-08-14 00:00:00', INTERVAL '7 days') AS heat
  FROM events GROUP BY account_id;
```"#,
    argument(name = "v", description = "The value of a row; 1 counts rows."),
    argument(name = "ts", description = "When it happened."),
    argument(
        name = "as_of",
        description = "The moment that ages are counted to. A DATE is the end of that day in UTC."
    ),
    argument(
        name = "half_life",
        description = "The age at which half is left, a constant above 0: an INTERVAL without months, a day of which is 24 hours, or a number of days."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct DecayedSum {
    signature: Signature,
}

impl DecayedSum {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<ExactGroups> {
        constant::no_distinct(args, PARAMETERS.function)?;
        Ok(ExactGroups::new(Question::Decayed(Decay::of(args)?)))
    }
}

impl AggregateUDFImpl for DecayedSum {
    grouped_aggregate!(constants: [2, 3]);

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(ExactGroups::state_fields(&args))
    }
}

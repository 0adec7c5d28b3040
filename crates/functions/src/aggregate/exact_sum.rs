//! `exact_sum`: a sum whose bits depend on neither order nor partitions.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::Result;
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature};
use datafusion_macros::user_doc;

use crate::aggregate::exact_groups::{ExactGroups, Question};
use crate::aggregate::grouped::grouped_aggregate;
use crate::constant::{self, Check};
use crate::parameters::{Kind, Parameters};

const PARAMETERS: Parameters = Parameters {
    function: "exact_sum",
    required: &[("v", Kind::Number)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The aggregate `exact_sum`.
#[user_doc(
    doc_section(label = "Sums"),
    description = "The sum of doubles, exact and rounded once at the end to the nearest double, so that it has the same bits in any order of rows and any division into partitions; `sum` has not. NULL is skipped; NULL of nothing. NaN makes it NaN, and so do +∞ and −∞ together; one of these alone makes it that infinity. A sum beyond the largest double is ±∞. Integers and decimals are read as doubles: those have `sum`, which is exact for them. DISTINCT beside other aggregates is refused.",
    syntax_example = "exact_sum(v)",
    sql_example = r#"```sql
> SELECT exact_sum(column1) FROM (VALUES (1e100), (1.0), (-1e100));
-- 1.0, where sum gives 0.0
```"#,
    argument(name = "v", description = "A number.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExactSumOf {
    signature: Signature,
}

impl ExactSumOf {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<ExactGroups> {
        constant::no_distinct(args, PARAMETERS.function)?;
        Ok(ExactGroups::new(Question::Sum))
    }
}

impl AggregateUDFImpl for ExactSumOf {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(ExactGroups::state_fields(&args))
    }
}

//! `exact_avg`: a mean whose bits depend on neither order nor partitions.

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
    function: "exact_avg",
    required: &[("v", Kind::Number)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The aggregate `exact_avg`.
#[user_doc(
    doc_section(label = "Sums"),
    description = "The mean of doubles: their exact sum, rounded once as by `exact_sum`, divided by their count, so that it has the same bits in any order of rows and any division into partitions; `avg` has not. NULL is skipped; NULL of nothing. NaN, ±∞ and a sum beyond the largest double behave as in `exact_sum`. DISTINCT beside other aggregates is refused.",
    syntax_example = "exact_avg(v)",
    sql_example = r#"```sql
> SELECT exact_avg(column1) FROM (VALUES (1e100), (2.0), (-1e100), (4.0));
-- 1.5
```"#,
    argument(name = "v", description = "A number.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExactAvg {
    signature: Signature,
}

impl ExactAvg {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<ExactGroups> {
        constant::no_distinct(args, PARAMETERS.function)?;
        Ok(ExactGroups::new(Question::Average))
    }
}

impl AggregateUDFImpl for ExactAvg {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(ExactGroups::state_fields(&args))
    }
}

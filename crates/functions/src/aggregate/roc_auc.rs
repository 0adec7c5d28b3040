//! `roc_auc`: how well a score tells two classes apart.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::Result;
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature};
use datafusion_macros::user_doc;

use crate::aggregate::auc_groups::{self, AucGroups};
use crate::aggregate::grouped::grouped_aggregate;
use crate::constant::{self, Check};
use crate::parameters::{Kind, Parameters};

const PARAMETERS: Parameters = Parameters {
    function: auc_groups::FUNCTION,
    required: &[("score", Kind::Number), ("label", Kind::Boolean)],
    optional: &[],
};
const CHECK: Check = |_| Ok(());

/// The aggregate `roc_auc`.
#[user_doc(
    doc_section(label = "Health"),
    description = "The area under the ROC curve: the chance that a row whose label is true has a higher score than one whose label is false, where a tie counts one half. 0.5 is no better than chance; below it the score points the other way, and `1 − roc_auc` is that of `−score`. Pairs are counted in integers, so the answer has the same bits in any order of rows and any division into partitions. Rows where the score is NULL or NaN, or the label NULL, are skipped; ±∞ rank last and first. NULL when one of the two labels does not occur. Keeps every score: 12 bytes each. DISTINCT is refused.",
    syntax_example = "roc_auc(score, label)",
    sql_example = r#"```sql
> SELECT roc_auc(column1, column2)
  FROM (VALUES (0.1, false), (0.4, false), (0.35, true), (0.8, true));
-- 0.75
```"#,
    argument(
        name = "score",
        description = "A number that should be higher where the label is true."
    ),
    argument(
        name = "label",
        description = "Whether the row belongs to the class, such as accounts that churned."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct RocAuc {
    signature: Signature,
}

impl RocAuc {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<AucGroups> {
        constant::no_distinct(args, PARAMETERS.function)?;
        Ok(AucGroups::new())
    }
}

impl AggregateUDFImpl for RocAuc {
    grouped_aggregate!();

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(AucGroups::state_fields(&args))
    }
}

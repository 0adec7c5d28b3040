//! `churn_risk`: the risk of losing an account, of many signals.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{DataFusionError, Result};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use vitalog_measure::{Error, risk};

use crate::constant::{Check, Known};
use crate::parameters::{Kind, Parameters, refused, refused_row};
use crate::scalar::each_row::scalar_function;
use crate::scalar::paired_lists::{PairedLists, known_numbers};

const PARAMETERS: Parameters = Parameters {
    function: "churn_risk",
    required: &[
        ("severities", Kind::NumberList),
        ("weights", Kind::NumberList),
    ],
    optional: &[],
};
const CHECK: Check = check;

/// The scalar function `churn_risk`.
#[user_doc(
    doc_section(label = "Health"),
    description = "The risk of many signals in percent: `100 * (1 - Π (1 - weight * severity))`, so that each signal alone can raise it up to its own weight, and none can lower it. Signals whose severity or weight is NULL, and severities that are NaN, are skipped; NULL when none is left or a list is NULL. A severity or weight outside [0, 1], and lists of unequal length, are errors. The order of the signals does not show.",
    syntax_example = "churn_risk(severities, weights)",
    sql_example = r#"```sql
> SELECT churn_risk([1, 0.5, NULL], [0.5, 0.5, 0.3]);
-- 62.5
> SELECT account_id, churn_risk([health_severity(days_inactive, 30, 7), health_severity(adoption, 30, 70)], [0.5, 0.2])
  FROM account_metrics;
```"#,
    argument(
        name = "severities",
        description = "A list of how bad each signal is, from 0 to 1; see `health_severity`."
    ),
    argument(
        name = "weights",
        description = "A list of how much each signal can say, from 0 to 1, in the same order."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChurnRisk {
    signature: Signature,
}

impl ChurnRisk {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for ChurnRisk {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Float64
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let lists = PairedLists::of(PARAMETERS.function, ["severities", "weights"], columns);
    let risks = (0..columns[0].len()).map(|row| match lists.at(row)? {
        None => Ok(None),
        Some(signals) => risk::churn_risk(signals).map_err(named),
    });
    Ok(Arc::new(risks.collect::<Result<Float64Array>>()?))
}

fn named(error: Error) -> DataFusionError {
    let argument = match error {
        Error::Weight(_) => "weights",
        _ => "severities",
    };
    refused_row(PARAMETERS.function, argument)(error)
}

fn check(known: &Known) -> Result<()> {
    for severity in known_numbers(known, 0)? {
        if !severity.is_nan() {
            risk::check_severity(severity).map_err(refused(PARAMETERS.function, "severities"))?;
        }
    }
    for weight in known_numbers(known, 1)? {
        risk::check_weight(weight).map_err(refused(PARAMETERS.function, "weights"))?;
    }
    Ok(())
}

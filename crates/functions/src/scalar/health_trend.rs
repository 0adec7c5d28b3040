//! `health_trend`: up, flat or down.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use datafusion_macros::user_doc;
use vitalog_measure::Trend;
use vitalog_measure::trend::{THRESHOLD_DEFAULT, check_threshold};

use crate::constant::{self, Check, Known};
use crate::parameters::{Kind, Parameters, refused, refused_row};
use crate::scalar::each_row::{Numbers, scalar_function};

const PARAMETERS: Parameters = Parameters {
    function: "health_trend",
    required: &[("now", Kind::Number), ("prev", Kind::Number)],
    optional: &[("threshold", Kind::Number)],
};
const CHECK: Check = check;

/// The scalar function `health_trend`.
#[user_doc(
    doc_section(label = "Health"),
    description = "The trend of a score: 'up' when it rose by at least `threshold`, 'down' when it fell by at least as much, else 'flat'; equal scores are always flat. NULL when one of the scores is NULL or NaN. A threshold that is negative, NaN or infinite is an error.",
    syntax_example = "health_trend(now, prev [, threshold])",
    sql_example = r#"```sql
> SELECT health_trend(60, 50), health_trend(50, 59.9), health_trend(50, 52, 2);
-- up, flat, down
```"#,
    argument(name = "now", description = "The score now."),
    argument(name = "prev", description = "The score one period ago."),
    argument(
        name = "threshold",
        description = "The change that counts, finite and at least 0; 10 by default."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HealthTrend {
    signature: Signature,
}

impl HealthTrend {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl ScalarUDFImpl for HealthTrend {
    scalar_function!();
}

fn return_type() -> DataType {
    DataType::Utf8
}

fn run(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let [now, before, threshold] = [0, 1, 2].map(|index| Numbers::of(columns, index));
    let trends = (0..columns[0].len()).map(|row| {
        let (Some(now), Some(before)) = (now.at(row), before.at(row)) else {
            return Ok(None);
        };
        let threshold = threshold.at(row).unwrap_or(THRESHOLD_DEFAULT);
        let trend = Trend::of(now, before, threshold)
            .map_err(refused_row(PARAMETERS.function, "threshold"))?;
        Ok(trend.map(Trend::as_str))
    });
    Ok(Arc::new(trends.collect::<Result<StringArray>>()?))
}

fn check(known: &Known) -> Result<()> {
    if let Some(threshold) = constant::number(known, 2)? {
        check_threshold(threshold).map_err(refused(PARAMETERS.function, "threshold"))?;
    }
    Ok(())
}

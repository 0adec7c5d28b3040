//! `health_normalize`: the scores of a whole partition in one scan.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion_common::{Result, plan_err};
use datafusion_expr::function::{
    PartitionEvaluatorArgs, WindowFunctionSimplification, WindowUDFFieldArgs,
};
use datafusion_expr::{Documentation, PartitionEvaluator, Signature, WindowUDFImpl};
use datafusion_macros::user_doc;
use vitalog_measure::Method;
use vitalog_measure::normalize::normalize;

use crate::constant::{self, Known};
use crate::parameters::{Kind, Parameters, refused};

const PARAMETERS: Parameters = Parameters {
    function: "health_normalize",
    required: &[("raw", Kind::Number)],
    optional: &[
        ("p", Kind::Number),
        ("curve", Kind::Number),
        ("method", Kind::PlainText),
    ],
};

/// The window function `health_normalize`.
#[user_doc(
    doc_section(label = "Health"),
    description = "The score of each row's raw score among the rows of its partition, in one scan: with the default method it equals `health_score(raw, health_peg(raw, p) OVER (…), p, curve)`. The population is always the whole partition, whatever ORDER BY and frame say. Raw scores at or below 0 and -∞ are 1, +∞ is 100, NULL and NaN are NULL; a single row, or all equal ones, are 100. `method` 'winsor' is `clamp(100 * raw / peg, 1, 100)`; 'rank' is `1 + 99 * percent_rank` over the finite raw scores with those at or below 0 tied at the bottom, so that a single row, or all equal ones, are 1.",
    syntax_example = "health_normalize(raw [, p [, curve [, method]]]) OVER ([PARTITION BY …])",
    sql_example = r#"```sql
> SELECT account_id, health_normalize(raw) OVER () AS score,
         health_normalize(raw, 0.9, NULL, 'rank') OVER (PARTITION BY plan) AS rank_in_plan
  FROM raw_scores;
```"#,
    argument(name = "raw", description = "The raw score of an entity."),
    argument(
        name = "p",
        description = "The percentile that is worth 100, a constant strictly between 0 and 1; 0.9 by default."
    ),
    argument(
        name = "curve",
        description = "The shape between 0 and the peg, a constant, finite and at least 0; 0 is a straight line; -ln(1 - p) by default."
    ),
    argument(
        name = "method",
        description = "'curve' (the default), 'winsor' or 'rank', a constant."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct HealthNormalize {
    signature: Signature,
}

impl HealthNormalize {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl WindowUDFImpl for HealthNormalize {
    fn name(&self) -> &str {
        PARAMETERS.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        PARAMETERS.coerce(arg_types)
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Float64, true)))
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let known = constant::of_window(&args);
        for (index, (argument, _)) in (1..).zip(PARAMETERS.optional) {
            constant::required(&known, index, PARAMETERS.function, argument)?;
        }
        Ok(Box::new(Normalizer {
            method: method(&known)?,
        }))
    }

    fn simplify(&self) -> Option<WindowFunctionSimplification> {
        Some(constant::check_window(|known| method(known).map(|_| ())))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn method(known: &Known) -> Result<Method> {
    let curve = constant::curve(known, 1, PARAMETERS.function)?;
    let p = constant::percentile(known, 1, PARAMETERS.function)?;
    match constant::text(known, 3).as_deref() {
        None | Some("curve") => Ok(Method::Curve { p, curve }),
        Some("winsor") => Ok(Method::Winsor { p }),
        Some("rank") => Ok(Method::Rank),
        Some(other) => {
            plan_err!("health_normalize: method must be 'curve', 'winsor' or 'rank', got '{other}'")
        }
    }
}

#[derive(Debug)]
struct Normalizer {
    method: Method,
}

impl PartitionEvaluator for Normalizer {
    fn evaluate_all(&mut self, values: &[ArrayRef], _num_rows: usize) -> Result<ArrayRef> {
        let raw = values[0].as_primitive::<Float64Type>();
        let raw: Vec<f64> = raw.iter().map(|raw| raw.unwrap_or(f64::NAN)).collect();
        let scores = normalize(&raw, self.method).map_err(refused(PARAMETERS.function, "p"))?;
        let scores = scores
            .into_iter()
            .map(|score| (!score.is_nan()).then_some(score));
        Ok(Arc::new(scores.collect::<Float64Array>()))
    }
}

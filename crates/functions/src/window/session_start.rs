//! `session_start`: the rows with which sessions begin.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::function::{
    PartitionEvaluatorArgs, WindowFunctionSimplification, WindowUDFFieldArgs,
};
use datafusion_expr::{Documentation, PartitionEvaluator, Signature, WindowUDFImpl};
use datafusion_macros::user_doc;
use vitalog_measure::session::session_starts;

use crate::constant::{self, Known};
use crate::interval;
use crate::local_days::{LocalDays, Zone};
use crate::moments::Moments;
use crate::parameters::{Kind, Parameters, refused_row};

const PARAMETERS: Parameters = Parameters {
    function: "session_start",
    required: &[("ts", Kind::Moment), ("gap", Kind::Interval)],
    optional: &[],
};

/// The window function `session_start`.
#[user_doc(
    doc_section(label = "Usage"),
    description = "Whether a session begins with the row: true for the earliest row of the partition and for one that follows the row before it, in time, by strictly more than `gap`; false for all others; NULL where `ts` is NULL, and everywhere when `gap` is NULL. Rows are compared in the order of `ts` whatever ORDER BY and frame say; of rows at the same time the first in ORDER BY begins the session. A sum over it numbers the sessions.",
    syntax_example = "session_start(ts, gap) OVER ([PARTITION BY …] ORDER BY ts)",
    sql_example = r#"```sql
> SELECT user_id, count(*) FILTER (WHERE begins) AS sessions
  FROM (SELECT user_id, session_start(event_time, INTERVAL '30 minutes')
                          OVER (PARTITION BY user_id ORDER BY event_time) AS begins
        FROM events)
  GROUP BY user_id;
```"#,
    argument(
        name = "ts",
        description = "When something happened: a timestamp, or a date, which is the start of that day in UTC."
    ),
    argument(
        name = "gap",
        description = "The longest time without a row within a session: a constant interval of days or less, at least 0; a day has 24 hours."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionStart {
    signature: Signature,
}

impl SessionStart {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }
}

impl WindowUDFImpl for SessionStart {
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
        Ok(Arc::new(Field::new(args.name(), DataType::Boolean, true)))
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let known = constant::of_window(&args);
        constant::required(&known, 1, PARAMETERS.function, "gap")?;
        Ok(Box::new(Sessions {
            gap_us: gap_us(&known)?,
        }))
    }

    fn simplify(&self) -> Option<WindowFunctionSimplification> {
        Some(constant::check_window(|known| gap_us(known).map(|_| ())))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn gap_us(known: &Known) -> Result<Option<i64>> {
    interval::length_us(known, 1, PARAMETERS.function, "gap")
}

#[derive(Debug)]
struct Sessions {
    /// `None` where it is NULL.
    gap_us: Option<i64>,
}

impl PartitionEvaluator for Sessions {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let Some(gap_us) = self.gap_us else {
            return Ok(Arc::new(BooleanArray::new_null(num_rows)));
        };
        let (instants, nulls) = Moments::of(&values[0])?
            .into_instants(&LocalDays::new(Zone::Utc))
            .map_err(refused_row(PARAMETERS.function, "ts"))?;
        let is_known = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let times: Vec<Option<i64>> = (0..instants.len())
            .map(|row| is_known(row).then(|| instants[row]))
            .collect();
        let starts = session_starts(&times, gap_us);
        Ok(Arc::new(starts.into_iter().collect::<BooleanArray>()))
    }
}

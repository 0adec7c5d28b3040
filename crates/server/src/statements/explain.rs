//! How a statement would be run, or was: its plans as text.

use arrow::array::AsArray;
use futures::StreamExt;
use vitalog_query::QueryError;

use super::Statements;
use super::ask::Ask;
use crate::fault::{Fault, Reason};
use crate::limits::PLAN_BYTES_MAX;

/// What is wanted of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Its rows.
    Rows,
    /// Its plans.
    Plans,
    /// Its plan with what each operator took.
    Counters,
}

impl Form {
    /// What stands before the statement, on lines of its own.
    fn keywords(self) -> &'static str {
        match self {
            Self::Rows => "",
            Self::Plans => "EXPLAIN\n",
            Self::Counters => "EXPLAIN ANALYZE\n",
        }
    }

    /// The statement that is run.
    pub fn text(self, sql: String) -> String {
        match self {
            Self::Rows => sql,
            _ => format!("{}{sql}", self.keywords()),
        }
    }

    /// `error` with its place in the statement as it was sent.
    pub fn moved(self, mut error: QueryError) -> QueryError {
        let lines = self.keywords().lines().count();
        if let Some(position) = &mut error.position {
            position.line = position.line.saturating_sub(lines).max(1);
        }
        error
    }
}

/// The plans of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Explained {
    /// Empty where the statement was run.
    pub logical_plan: String,
    pub physical_plan: String,
    pub seq: u64,
}

impl Statements {
    /// Plans a statement, or runs it with `analyze`, and gives its plans. It is listed and limited
    /// like any other.
    ///
    /// # Errors
    /// Those of [`Statements::start`], and with `analyze` those of running it.
    pub async fn explain(&self, ask: Ask, analyze: bool) -> Result<Explained, Fault> {
        let form = match analyze {
            true => Form::Counters,
            false => Form::Plans,
        };
        let mut answer = self.start_as(ask, form).await?;
        let mut explained = Explained {
            seq: answer.seq(),
            ..Explained::default()
        };
        while let Some(batch) = answer.next().await {
            let batch = batch?;
            let columns = (
                batch.column(0).as_string_opt::<i32>(),
                batch.column(1).as_string_opt::<i32>(),
            );
            let (Some(kinds), Some(plans)) = columns else {
                return Err(Fault::new(Reason::Internal, "a plan is text"));
            };
            for (kind, plan) in kinds.iter().flatten().zip(plans.iter().flatten()) {
                match kind {
                    "logical_plan" => explained.logical_plan = cut(plan),
                    _ => explained.physical_plan = cut(plan),
                }
            }
        }
        Ok(explained)
    }
}

/// The first bytes of a plan.
fn cut(plan: &str) -> String {
    let end = plan.floor_char_boundary(PLAN_BYTES_MAX);
    match end < plan.len() {
        true => format!("{}…", &plan[..end]),
        false => plan.to_owned(),
    }
}

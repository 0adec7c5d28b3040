//! How a running statement is stopped: a flag that tasks look at before each turn and scans between
//! batches, and the deadline of the whole statement.
//!
//! A task of the runtime ends at its next await; an operator that never awaits would go on. The
//! scans below it look here, so nothing runs longer past its end than a turn of a task, or what an
//! operator does in one step. Where they look, they offer their core as well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use datafusion::error::DataFusionError;

use crate::background::Background;
use crate::error::{QueryError, QueryErrorKind};

/// Shared by everything that works for one statement.
#[derive(Debug)]
pub(crate) struct Control {
    is_cancelled: AtomicBool,
    started: Instant,
    allowed: Option<Duration>,
}

impl Control {
    /// Starts the clock of a statement.
    pub fn start(allowed: Option<Duration>) -> Self {
        Self {
            is_cancelled: AtomicBool::new(false),
            started: Instant::now(),
            allowed,
        }
    }

    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether somebody ended the statement.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// How long the statement has been under way.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// When the statement must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.allowed
            .and_then(|allowed| self.started.checked_add(allowed))
    }

    /// The error of a statement that ran too long.
    pub fn past_deadline(&self) -> QueryError {
        let allowed = self.allowed.unwrap_or_default();
        let message = format!("the statement took longer than its deadline of {allowed:?}");
        QueryError::new(QueryErrorKind::Limit, message)
    }

    /// Fails where the statement was cancelled or is past its deadline; gives way to who waits for
    /// the core otherwise. For every batch.
    pub fn check(&self) -> Result<(), DataFusionError> {
        if self.is_cancelled() {
            return Err(cancelled().into());
        }
        if self
            .deadline()
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            return Err(self.past_deadline().into());
        }
        Background::offer_core();
        Ok(())
    }
}

/// The error of a statement that somebody ended.
pub(crate) fn cancelled() -> QueryError {
    QueryError::new(QueryErrorKind::Closed, "the statement was cancelled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_stops_when_cancelled_or_late() {
        let control = Control::start(None);
        assert!(control.check().is_ok());
        control.cancel();
        assert!(
            control
                .check()
                .is_err_and(|error| error.to_string().contains("cancelled"))
        );
        let late = Control::start(Some(Duration::ZERO));
        assert!(
            late.check()
                .is_err_and(|error| error.to_string().contains("deadline of 0ns"))
        );
    }
}

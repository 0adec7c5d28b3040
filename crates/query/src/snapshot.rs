//! What one statement sees: a snapshot of the store, cut at a `seq`, and how to stop.

use std::sync::Arc;

use vitalog_store::{RowFilter, Snapshot, Store};

use crate::control::Control;
use crate::derived::Derived;
use crate::error::QueryError;

/// Shared by every table of one statement, from planning to its last row.
#[derive(Debug)]
pub(crate) struct StatementSnapshot {
    pub snapshot: Arc<Snapshot>,
    /// The highest `seq` that is seen.
    pub seq: i64,
    pub control: Arc<Control>,
    /// What was computed once for the derived tables.
    pub derived: Derived,
}

impl StatementSnapshot {
    /// The newest snapshot of `store`, cut at `as_of_seq`.
    ///
    /// # Errors
    /// An `as_of_seq` below 0 or past the end of the log.
    pub fn take(
        store: &Store,
        as_of_seq: Option<i64>,
        control: &Arc<Control>,
    ) -> Result<Arc<Self>, QueryError> {
        let snapshot = store.snapshot();
        let end = snapshot.seq();
        let seq = as_of_seq.unwrap_or(end);
        if seq < 0 {
            let message = format!("as_of_seq is {seq}; a seq is 0 or more");
            return Err(QueryError::invalid(message));
        }
        if seq > end {
            let message =
                format!("as_of_seq {seq} lies past the end of the log, which is at {end}");
            return Err(QueryError::invalid(message));
        }
        let (control, derived) = (Arc::clone(control), Derived::default());
        Ok(Arc::new(Self {
            snapshot,
            seq,
            control,
            derived,
        }))
    }

    /// The filter that keeps every row that is seen.
    pub fn row_filter(&self) -> RowFilter {
        RowFilter::up_to(self.seq)
    }
}

//! What one statement sees: a snapshot of the store, cut at a `seq` and at a time, and how to stop.

use std::sync::Arc;

use vitalog_store::{RowFilter, Snapshot, Store};

use crate::control::Control;
use crate::derived::Derived;
use crate::error::QueryError;
use crate::model::{Model, ModelBook, ModelCache};
use crate::system::SystemSchema;

/// Shared by every table of one statement, from planning to its last row.
#[derive(Debug)]
pub(crate) struct StatementSnapshot {
    pub snapshot: Arc<Snapshot>,
    /// The highest `seq` that is seen.
    pub seq: i64,
    /// Events at or after this time, microseconds, are not seen; `i64::MAX` sees all.
    pub time_end_us: i64,
    pub control: Arc<Control>,
    /// What was computed once for the derived tables.
    pub derived: Derived,
    /// The tables of the process itself, as who asks may see them.
    pub system: Option<Arc<SystemSchema>>,
    /// Models that were parsed before, by any statement of the session.
    models: Arc<ModelCache>,
    /// A model that is seen as if it were applied.
    candidate: Option<Arc<Model>>,
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
        (models, system): (&Arc<ModelCache>, Option<Arc<SystemSchema>>),
        candidate: Option<Arc<Model>>,
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
            time_end_us: i64::MAX,
            control,
            derived,
            system,
            models: Arc::clone(models),
            candidate,
        }))
    }

    /// The same snapshot, cut at an earlier `seq` and at a time: what a question about a moment
    /// sees. A `seq` past this one's changes nothing.
    pub fn cut(&self, seq: i64, time_end_us: i64) -> Arc<Self> {
        Arc::new(Self {
            snapshot: Arc::clone(&self.snapshot),
            seq: seq.min(self.seq),
            time_end_us: time_end_us.min(self.time_end_us),
            control: Arc::clone(&self.control),
            derived: Derived::default(),
            system: self.system.clone(),
            models: Arc::clone(&self.models),
            candidate: self.candidate.clone(),
        })
    }

    /// The health models up to its `seq` and, where it is given, the instant `known_at_us`; with
    /// the candidate as the newest of its name.
    ///
    /// # Errors
    /// A stored model that does not parse.
    pub fn model_book(&self, known_at_us: Option<i64>) -> Result<ModelBook, QueryError> {
        let definitions = self.snapshot.definitions();
        let book = ModelBook::of(definitions, self.seq, known_at_us, &self.models)?;
        Ok(match &self.candidate {
            Some(candidate) => book.candidate(Model::clone(candidate)),
            None => book,
        })
    }

    /// The filter that keeps every row that is seen.
    pub fn row_filter(&self) -> RowFilter {
        RowFilter {
            time_us: i64::MIN..self.time_end_us,
            ..RowFilter::up_to(self.seq)
        }
    }
}

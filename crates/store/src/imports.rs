//! Imports as batches that can be taken back: which events each of them added.
//!
//! Batches stand in the manifest. Invariant: the ranges of a batch hold only seqs that were given to
//! its events.

use serde::{Deserialize, Serialize};

use crate::error::{Result, StoreError};
use crate::ledger::Ledger;
use crate::removal::{Progress, RemovalReceipt};
use crate::store::Store;

/// Batches that a store keeps; the oldest can no longer be taken back.
pub(crate) const IMPORTS_MAX: usize = 1_000;
/// Ranges of one batch: each producer that appends beside an import makes one more.
const RANGES_MAX: usize = 10_000;
/// Bytes of a batch's name.
const NAME_BYTES_MAX: usize = 128;
/// Names of files that are kept of a batch.
const FILES_MAX: usize = 100;

/// What an import added so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportBatch {
    /// Its name; 1 to 128 bytes.
    pub name: String,
    /// The files it read, as they were named; the first 100.
    pub files: Vec<String>,
    /// Events it added.
    pub events: u64,
    /// The seqs of those events, first and last inclusive, ascending, disjoint.
    pub ranges: Vec<(i64, i64)>,
    /// When it began, microseconds.
    pub begun_at_us: i64,
    /// Whether it ran to its end.
    pub is_finished: bool,
    /// When it was taken back, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_at_us: Option<i64>,
}

impl ImportBatch {
    /// Adds the seqs that an append gave, which come after those added before.
    pub fn add(&mut self, (first, last): (i64, i64)) {
        self.events += (last - first + 1) as u64;
        match self.ranges.last_mut() {
            Some(before) if before.1 + 1 == first => before.1 = last,
            _ => self.ranges.push((first, last)),
        }
    }

    /// Forgets seqs past `seq`; true where there were some.
    fn cut(&mut self, seq: i64) -> bool {
        if self.ranges.last().is_none_or(|range| range.1 <= seq) {
            return false;
        }
        self.ranges.retain(|range| range.0 <= seq);
        if let Some(last) = self.ranges.last_mut() {
            last.1 = last.1.min(seq);
        }
        let events = self
            .ranges
            .iter()
            .map(|(first, last)| (last - first + 1) as u64);
        self.events = events.sum();
        true
    }
}

impl Store {
    /// Makes durable what an import added so far, in place of what was recorded under its name
    /// before. What an import adds after its last record cannot be taken back. The newest 1,000
    /// imports are kept.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]: a name that is empty or past 128 bytes. [`StoreError::Limit`]: more
    /// than 10,000 ranges. A full or failing disk: the record before stays.
    pub fn record_import(&self, batch: &ImportBatch) -> Result<()> {
        if batch.name.is_empty() || batch.name.len() > NAME_BYTES_MAX {
            let bytes = batch.name.len();
            return Err(StoreError::Invalid(format!(
                "the name of an import has {bytes} bytes; it has 1 to {NAME_BYTES_MAX}"
            )));
        }
        if batch.ranges.len() > RANGES_MAX {
            return Err(StoreError::Limit {
                what: "ranges of seqs of one import",
                found: batch.ranges.len() as u64,
                limit: RANGES_MAX as u64,
            });
        }
        let mut batch = batch.clone();
        batch.files.truncate(FILES_MAX);
        self.ledger().commit(|manifest| {
            let imports = &mut manifest.imports;
            match imports.iter_mut().find(|known| known.name == batch.name) {
                Some(known) => *known = batch,
                None => imports.push(batch),
            }
            imports.drain(..imports.len().saturating_sub(IMPORTS_MAX));
        })?;
        Ok(())
    }

    /// The imports that were recorded, oldest first.
    #[must_use]
    pub fn imports(&self) -> Vec<ImportBatch> {
        self.ledger().manifest().imports.clone()
    }

    /// Removes exactly the events that the import `name` added. The same files can be imported
    /// again after that.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a name that no import has, for one that added nothing, and for
    /// one that was taken back before; otherwise as [`Store::remove_seqs`].
    pub fn undo_import(&self, name: &str, progress: Progress) -> Result<RemovalReceipt> {
        let batch = self.imports().into_iter().find(|batch| batch.name == name);
        let mut batch =
            batch.ok_or_else(|| StoreError::Invalid(format!("there is no import {name:?}")))?;
        if let Some(undone_us) = batch.undone_at_us {
            let undone = vitalog_event::format_timestamp_us(undone_us);
            let reason = format!("the import {name:?} was taken back before, at {undone}");
            return Err(StoreError::Invalid(reason));
        }
        if batch.ranges.is_empty() {
            let reason = format!("the import {name:?} added no events: nothing to take back");
            return Err(StoreError::Invalid(reason));
        }
        let receipt = self.remove_seqs(batch.ranges.clone(), progress)?;
        // After: an undo that is cut short here is repeated, and finds nothing left to remove.
        batch.undone_at_us = Some(receipt.finished_at_us);
        self.record_import(&batch)?;
        Ok(receipt)
    }
}

/// Seqs past the last event that the log gave back will be given to other events: without a sync
/// of each group a crash of the machine may lose the last ones.
pub(crate) fn forget_lost_events(ledger: &Ledger, seq: i64) -> Result<()> {
    let mut imports = ledger.manifest().imports.clone();
    let mut is_cut = false;
    for batch in &mut imports {
        is_cut |= batch.cut(seq);
    }
    if is_cut {
        ledger.commit(|manifest| manifest.imports = imports)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_follow_each_other_are_joined_and_cut_where_the_log_ends() {
        let mut batch = ImportBatch::default();
        for range in [(1, 5), (6, 6), (9, 12), (13, 20), (30, 40)] {
            batch.add(range);
        }
        assert_eq!(
            (batch.ranges.as_slice(), batch.events),
            (&[(1, 6), (9, 20), (30, 40)][..], 29)
        );
        assert!(!batch.cut(40));
        assert!(batch.cut(15));
        assert_eq!(
            (batch.ranges.as_slice(), batch.events),
            (&[(1, 6), (9, 15)][..], 13)
        );
        assert!(batch.cut(0));
        assert_eq!((batch.ranges.len(), batch.events), (0, 0));
    }
}

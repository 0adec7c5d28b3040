//! Finishing a removal, on the thread of the upkeep: files without the rows, then the string, then
//! everything that older manifests kept, then the receipt.
//!
//! Every step is durable before the next and finds by itself what is left to do, so a removal that
//! was cut short is finished by running it again. The receipt comes last, when nothing of the rows
//! is left under the directory. It never waits: a removal in whose way a copy of the store is stays
//! pending in its last step.

use std::collections::BTreeSet;

use crossbeam::channel::{Sender, bounded};
use vitalog_disk::DiskErrorKind;

use super::receipts::RECEIPTS_MAX;
use super::search::Needle;
use super::search_parquet::may_be_in_parquet;
use super::{PendingRemoval, Progress, RemovalProgress, RemovalReceipt, RemovalRequest};
use crate::command::{Command, Control};
use crate::error::{Result, StoreError};
use crate::ledger::NAMED_FOLDERS;
use crate::manifest::{self, Manifest};
use crate::published::{RevocationReason, SnapshotId};
use crate::quarantine;
use crate::upkeep::Upkeep;
use crate::wal;

/// How far a removal came.
#[derive(Clone, Debug)]
pub(crate) enum Finished {
    /// Nothing of it is left.
    Done(Box<RemovalReceipt>),
    /// Readers see nothing of it any more; a copy of the store that is being made keeps old files.
    Waits,
}

impl Finished {
    fn done(receipt: RemovalReceipt) -> Self {
        Self::Done(Box::new(receipt))
    }
}

impl Upkeep {
    /// Begins what `request` asks for, through the writer.
    pub fn begin_removal(&self, request: RemovalRequest) -> Result<super::Begun> {
        self.ask_writer(|reply| Control::BeginRemoval { request, reply })
    }

    /// Finishes every removal that is pending, as far as nothing is in the way; one that waits for
    /// a copy of the store is left to the next call. Returns how many there were.
    ///
    /// # Errors
    /// That of the first one that failed: it stays pending, nothing else is lost, and the others
    /// were tried all the same.
    pub fn finish_removals(&self) -> Result<usize> {
        let pending = self.ledger.manifest().pending.clone();
        let mut finished = Ok(pending.len());
        for removal in &pending {
            let mut quiet: Progress = Box::new(|_| {});
            if let Err(error) = self.finish_removal(removal.receipt.number, &mut quiet) {
                self.check_stop()?;
                finished = finished.and(Err(error));
            }
        }
        finished
    }

    /// Whether the string of an erased id still stands for the rows that go. Until it does not,
    /// rows of the same id that came later must not become cold: only strings tell them apart
    /// there.
    pub fn is_erasing(&self) -> bool {
        let manifest = self.ledger.manifest();
        let mut symbols = manifest.pending.iter().filter_map(|one| one.what.symbol());
        symbols.any(|(domain, symbol)| self.symbols.resolve(domain, symbol).is_some())
    }

    /// Finishes pending removals until no string of an erased id is left in force.
    ///
    /// # Errors
    /// As [`Upkeep::finish_removals`].
    pub fn finish_erasures(&self) -> Result<()> {
        while self.is_erasing() {
            let finished = self.finish_removals();
            if self.is_erasing() {
                finished?;
            }
        }
        Ok(())
    }

    /// Finishes the removal `number`, where that is not done.
    ///
    /// # Errors
    /// A full or failing disk, damage of a file: the removal stays pending, nothing else is lost.
    pub fn finish_removal(&self, number: u64, progress: &mut Progress) -> Result<Finished> {
        let manifest = self.ledger.manifest();
        let is_it = |pending: &&PendingRemoval| pending.receipt.number == number;
        let Some(pending) = manifest.pending.iter().find(is_it).cloned() else {
            let mut receipts = manifest.receipts.iter().rev();
            let receipt = receipts.find(|receipt| receipt.number == number).cloned();
            return receipt.map(Finished::done).ok_or_else(|| {
                StoreError::Invalid(format!("removal {number} was called off or is long done"))
            });
        };
        let below = match pending.purge_below {
            Some(below) => below,
            None => self.take_away(&pending, progress)?,
        };
        progress(step("removing what older manifests kept"));
        if !self.purge(below)? {
            progress(step("waiting for a copy of the store that is being made"));
            return Ok(Finished::Waits);
        }
        self.conclude(number).map(Finished::done)
    }

    /// Takes the rows and the string out of everything that is in force. Returns the number of the
    /// first manifest without them: what is kept for the sake of older ones still has them.
    fn take_away(&self, pending: &PendingRemoval, progress: &mut Progress) -> Result<u64> {
        self.thin_files(pending, progress)?;
        // Only now: what began to be published before this moment may have seen the rows, and what
        // begins after it does not.
        self.published_files.abandon_drafts()?;
        self.revoke_published(pending)?;
        if let Some((domain, symbol)) = pending.what.symbol() {
            progress(step("writing the symbols without the id"));
            self.ask_writer(|reply| Control::EraseSymbol {
                domain,
                symbol,
                reply,
            })?;
        }
        let below = self.ledger.manifest().number;
        self.ledger.commit(|manifest| {
            pending_of(manifest, pending.receipt.number).purge_below = Some(below);
        })?;
        Ok(below)
    }

    /// Revokes the published snapshots that hold an id to be erased, and names them in the receipt,
    /// as well as files set aside that may hold it. Those of an import that is taken back, and of
    /// days past the retention, stay what they were.
    fn revoke_published(&self, pending: &PendingRemoval) -> Result<()> {
        let Some((domain, symbol)) = pending.what.symbol() else {
            return Ok(());
        };
        let Some(id) = self.symbols.resolve(domain, symbol) else {
            // The string went after all of this was done.
            return Ok(());
        };
        let holding = self.published_files.holding(domain, &id);
        let holding: BTreeSet<String> = holding.iter().map(ToString::to_string).collect();
        let quarantined = self.quarantined_with(&id)?;
        let number = pending.receipt.number;
        // Named before they go: one of which nothing is left is not found again.
        let manifest = self.ledger.commit(|manifest| {
            let receipt = &mut pending_of(manifest, number).receipt;
            let known = std::mem::take(&mut receipt.snapshots_revoked);
            let revoked: BTreeSet<String> = known.into_iter().chain(holding).collect();
            receipt.snapshots_revoked = revoked.into_iter().collect();
            receipt.quarantined = quarantined;
        })?;
        let mut removals = manifest.pending.iter().map(|pending| &pending.receipt);
        let receipt = removals.find(|receipt| receipt.number == number);
        let revoked = receipt.map(|receipt| receipt.snapshots_revoked.as_slice());
        for snapshot in revoked.unwrap_or_default() {
            self.revoke(snapshot)?;
        }
        // Files of drafts that failed may have been left until the next open.
        self.published_files.collect()
    }

    fn revoke(&self, snapshot: &str) -> Result<()> {
        let Some(id) = SnapshotId::parse(snapshot) else {
            return Ok(());
        };
        let now_us = self.clock.now_us();
        let reason = RevocationReason::Erased;
        match self.published_files.revoke(&id, reason, now_us) {
            // An earlier try took it back, and that is so long ago that it is forgotten.
            Err(StoreError::Invalid(_)) => Ok(()),
            revoked => revoked,
        }
    }

    /// Files set aside after damage that hold an id to be erased, or of which that cannot be told.
    /// They are evidence of the damage and are not removed here.
    fn quarantined_with(&self, id: &str) -> Result<Vec<String>> {
        let needle = Needle::new(id);
        let mut found = Vec::new();
        for name in self.directory.list(quarantine::FOLDER)? {
            let name = format!("{}/{name}", quarantine::FOLDER);
            let bytes = self.directory.read(&name)?;
            let is_held = needle.hits(&bytes) > 0
                || name.ends_with(".parquet") && may_be_in_parquet(bytes, &needle);
            if is_held {
                found.push(name);
            }
        }
        Ok(found)
    }

    /// Removes whatever manifests before `below` kept and the log before the segments, durably.
    /// False where a copy under way keeps the files of one of them: nothing is done then.
    fn purge(&self, below: u64) -> Result<bool> {
        self.ask_writer(|reply| Control::TrimLog { reply })?;
        // A copy that begins from here on takes the manifest in force.
        if self.ledger.is_pinned_before(below) {
            return Ok(false);
        }
        self.ledger.collect(1)?;
        for folder in NAMED_FOLDERS
            .into_iter()
            .chain([manifest::FOLDER, wal::FOLDER])
        {
            match self.directory.sync_folder(folder) {
                Err(error) if error.kind() == DiskErrorKind::Missing => {}
                synced => synced?,
            }
        }
        Ok(true)
    }

    /// The receipt takes the place of the pending removal.
    fn conclude(&self, number: u64) -> Result<RemovalReceipt> {
        let finished_at_us = self.clock.now_us();
        let manifest = self.ledger.commit(|manifest| {
            let is_it = |pending: &PendingRemoval| pending.receipt.number == number;
            let at = manifest.pending.iter().position(is_it);
            let pending = manifest
                .pending
                .remove(at.expect("only this thread ends removals"));
            manifest.receipts.push(RemovalReceipt {
                finished_at_us,
                ..pending.receipt
            });
            manifest.receipts.sort_by_key(|receipt| receipt.number);
            let surplus = manifest.receipts.len().saturating_sub(RECEIPTS_MAX);
            manifest.receipts.drain(..surplus);
        })?;
        self.ask_writer(|reply| Control::EndRemoval { number, reply })?;
        let mut receipts = manifest.receipts.iter().rev();
        let receipt = receipts.find(|receipt| receipt.number == number).cloned();
        Ok(receipt.expect("pushed above"))
    }

    fn ask_writer<T>(&self, control: impl FnOnce(Sender<Result<T>>) -> Control) -> Result<T> {
        let (reply, outcome) = bounded(1);
        self.writer
            .send(Command::Control(control(reply)))
            .map_err(|_| StoreError::Closed)?;
        outcome.recv().map_err(|_| StoreError::Closed)?
    }
}

/// A pending removal, to be added to.
pub(super) fn pending_of(manifest: &mut Manifest, number: u64) -> &mut PendingRemoval {
    let mut pending = manifest.pending.iter_mut();
    let pending = pending.find(|pending| pending.receipt.number == number);
    pending.expect("only this thread ends removals")
}

/// A step that goes by no files.
fn step(step: &'static str) -> RemovalProgress {
    RemovalProgress {
        files_done: 0,
        files_total: 0,
        step,
    }
}

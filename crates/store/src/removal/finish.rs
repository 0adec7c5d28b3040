//! Finishing a removal, on the thread of the upkeep: files without the rows, then the string, then
//! everything that older manifests kept, then the receipt.
//!
//! Every step is durable before the next and finds by itself what is left to do, so a removal that
//! was cut short is finished by running it again. The receipt comes last, when nothing of the rows
//! is left under the directory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Sender, bounded};
use vitalog_disk::DiskErrorKind;

use super::receipts::RECEIPTS_MAX;
use super::search::contains;
use super::{
    PendingRemoval, Progress, RemovalProgress, RemovalReceipt, RemovalRequest, RemovedRows,
    rows_going,
};
use crate::cold::{ColdEntry, ColdFile, write_cold};
use crate::error::{Result, StoreError};
use crate::flush::segment_name;
use crate::ledger::NAMED_FOLDERS;
use crate::manifest::{self, Manifest};
use crate::published::RevocationReason;
use crate::quarantine;
use crate::section::{Section, StoredSection, copy_of_rows};
use crate::segment::{Origin, Segment, write_segment};
use crate::upkeep::{Replacement, Upkeep};
use crate::wal;
use crate::writer::{Command, Control};

/// How often a removal looks whether a copy under way has let go of the old files.
const PIN_POLL: Duration = Duration::from_millis(20);

/// The sections of a file as they stay, by day, and how many rows go.
struct Thinned {
    days: BTreeMap<i32, Vec<Arc<Section>>>,
    rows_going: u64,
}

impl Upkeep {
    /// Begins what `request` asks for, through the writer.
    pub fn begin_removal(&self, request: RemovalRequest) -> Result<super::Begun> {
        self.ask_writer(|reply| Control::BeginRemoval { request, reply })
    }

    /// Finishes every removal that is pending. Returns how many there were.
    ///
    /// # Errors
    /// A full or failing disk, damage of a file: the removal stays pending, nothing else is lost.
    pub fn finish_removals(&self) -> Result<usize> {
        let pending = self.ledger.manifest().pending.clone();
        for removal in &pending {
            self.finish_removal(removal.receipt.number, &mut (Box::new(|_| {}) as Progress))?;
        }
        Ok(pending.len())
    }

    /// Finishes the removal `number`, where that is not done, and returns its receipt.
    ///
    /// # Errors
    /// As [`Upkeep::finish_removals`].
    pub fn finish_removal(&self, number: u64, progress: &mut Progress) -> Result<RemovalReceipt> {
        let manifest = self.ledger.manifest();
        let is_it = |pending: &&PendingRemoval| pending.receipt.number == number;
        let Some(pending) = manifest.pending.iter().find(is_it).cloned() else {
            let mut receipts = manifest.receipts.iter().rev();
            let receipt = receipts.find(|receipt| receipt.number == number).cloned();
            return receipt.ok_or_else(|| {
                StoreError::Invalid(format!("removal {number} was called off or is long done"))
            });
        };
        // What is being published now may hold the rows.
        self.published_files.abandon_drafts()?;
        self.thin_files(&pending, progress)?;
        let revoked = self.revoke_published(&pending)?;
        let quarantined = self.quarantined_with(&pending)?;
        self.ledger.commit(|manifest| {
            let receipt = receipt_of(manifest, number);
            receipt.snapshots_revoked.extend(revoked);
            if !quarantined.is_empty() {
                receipt.quarantined = quarantined;
            }
        })?;
        if let Some((domain, symbol)) = pending.what.symbol() {
            progress(step("writing the symbols without the id"));
            self.ask_writer(|reply| Control::EraseSymbol {
                domain,
                symbol,
                reply,
            })?;
        }
        self.purge(progress)?;
        self.conclude(number)
    }

    /// Writes every segment that has rows which go without them, one commit a file.
    fn thin_files(&self, pending: &PendingRemoval, progress: &mut Progress) -> Result<()> {
        let segments = self.segments();
        let files_total = segments.segments.len() + segments.cold.len();
        let mut files_done = 0;
        let mut begin_file = |upkeep: &Self| {
            progress(RemovalProgress {
                files_done,
                files_total,
                step: "writing files without the rows",
            });
            files_done += 1;
            upkeep.check_stop()
        };
        for segment in &segments.segments {
            begin_file(self)?;
            self.thin_segment(segment, pending)?;
        }
        for file in &segments.cold {
            begin_file(self)?;
            self.thin_cold(file, pending)?;
        }
        Ok(())
    }

    fn thin_cold(&self, file: &Arc<ColdFile>, pending: &PendingRemoval) -> Result<()> {
        let section = StoredSection::cold(Arc::clone(file)).open();
        let Some(going) = rows_going(&section, &pending.what, &self.symbols)? else {
            return Ok(());
        };
        let name = file.entry().name.clone();
        let origin = Origin::of([name.as_str()].into_iter());
        let reservation = self.ledger.reserve();
        let entry = write_cold(
            self.directory.as_ref(),
            reservation.number,
            &self.symbols,
            &[section.as_ref()],
            Some(&|_, row| !going[row]),
            origin,
        )?;
        let bytes = |entry: &ColdEntry| entry.bytes + entry.sidecar_bytes;
        let (bytes_before, bytes_after) = (bytes(file.entry()), entry.as_ref().map_or(0, bytes));
        self.count_compacted(bytes_after);
        let replacement = Replacement {
            removed: BTreeSet::from([name]),
            cold: entry.into_iter().collect(),
            reservations: vec![reservation],
            ..Replacement::default()
        };
        let rows = going.iter().filter(|&&goes| goes).count() as u64;
        self.replace_thinned(
            replacement,
            pending,
            (bytes_before, bytes_after),
            |removed| {
                removed.cold += rows;
            },
        )
    }

    /// Puts a thinned file in its place and adds to the receipt; `bytes` are before and after.
    fn replace_thinned(
        &self,
        replacement: Replacement,
        pending: &PendingRemoval,
        (bytes_before, bytes_after): (u64, u64),
        count_rows: impl FnOnce(&mut RemovedRows),
    ) -> Result<()> {
        let number = pending.receipt.number;
        self.replace(replacement, |manifest| {
            let receipt = receipt_of(manifest, number);
            count_rows(&mut receipt.rows);
            receipt.files_rewritten += u64::from(bytes_after > 0);
            receipt.files_removed += u64::from(bytes_after == 0);
            receipt.bytes_before += bytes_before;
            receipt.bytes_after += bytes_after;
        })?;
        Ok(())
    }

    fn thin_segment(&self, segment: &Arc<Segment>, pending: &PendingRemoval) -> Result<()> {
        let removed = BTreeSet::from([segment.entry().name.clone()]);
        let sections = self.segments();
        let sections = sections.by_day.values().flatten();
        let sections = sections.filter(|section| section.is_of(&removed));
        let thinned = self.thinned(sections, pending)?;
        if thinned.rows_going == 0 {
            return Ok(());
        }
        // Opens the file where nothing of it was read: older readers still need it.
        let received = segment.received_pairs()?;
        let mut replacement = Replacement {
            removed,
            ..Replacement::default()
        };
        let reservation = self.ledger.reserve();
        if !thinned.days.is_empty() {
            let name = segment_name(reservation.number);
            let directory = self.directory.as_ref();
            let origin = Origin::of([segment.entry().name.as_str()].into_iter());
            let days = &thinned.days;
            let entry = write_segment(directory, &name, &self.symbols, days, &received, origin)?;
            self.count_compacted(entry.bytes);
            replacement.hot.push(entry);
        }
        let bytes_after: u64 = replacement.hot.iter().map(|entry| entry.bytes).sum();
        replacement.reservations.push(reservation);
        let bytes = (segment.entry().bytes, bytes_after);
        self.replace_thinned(replacement, pending, bytes, |removed| {
            removed.hot += thinned.rows_going;
        })
    }

    /// The sections of one file without the rows that go: whole ones as they are, the others as
    /// copies in memory.
    fn thinned<'a>(
        &self,
        sections: impl Iterator<Item = &'a Arc<StoredSection>>,
        pending: &PendingRemoval,
    ) -> Result<Thinned> {
        let mut thinned = Thinned {
            days: BTreeMap::new(),
            rows_going: 0,
        };
        for section in sections {
            let section = section.open();
            let going = rows_going(&section, &pending.what, &self.symbols)?;
            let kept = match &going {
                None => Some(section),
                Some(going) => {
                    thinned.rows_going += going.iter().filter(|&&goes| goes).count() as u64;
                    copy_of_rows(&section, &self.symbols, |row| !going[row])?
                }
            };
            if let Some(kept) = kept {
                let day = kept.statistics().day;
                thinned.days.entry(day).or_default().push(kept);
            }
        }
        Ok(thinned)
    }

    /// Revokes the published snapshots that hold an id to be erased, and returns their ids. Those
    /// of an import that is taken back, and of days past the retention, stay what they were.
    fn revoke_published(&self, pending: &PendingRemoval) -> Result<Vec<String>> {
        let Some((domain, symbol)) = pending.what.symbol() else {
            return Ok(Vec::new());
        };
        let id = self.symbols.resolve(domain, symbol).unwrap_or_default();
        if id.is_empty() {
            return Ok(Vec::new());
        }
        let holding = self.published_files.holding(domain, &id);
        for snapshot in &holding {
            let now_us = self.clock.now_us();
            self.published_files
                .revoke(snapshot, RevocationReason::Erased, now_us)?;
        }
        Ok(holding.iter().map(ToString::to_string).collect())
    }

    /// Files set aside after damage that hold an id to be erased. They are evidence of the damage
    /// and are not removed here.
    fn quarantined_with(&self, pending: &PendingRemoval) -> Result<Vec<String>> {
        let Some((domain, symbol)) = pending.what.symbol() else {
            return Ok(Vec::new());
        };
        let id = self.symbols.resolve(domain, symbol).unwrap_or_default();
        let mut found = Vec::new();
        for name in self.directory.list(quarantine::FOLDER)? {
            let name = format!("{}/{name}", quarantine::FOLDER);
            let bytes = self.directory.read(&name)?;
            if !id.is_empty() && contains(&bytes, id.as_bytes()) {
                found.push(name);
            }
        }
        Ok(found)
    }

    /// Removes whatever older manifests kept and the log before the segments, durably. Waits for
    /// copies under way, which keep the files of the manifest they began with.
    fn purge(&self, progress: &mut Progress) -> Result<()> {
        progress(step("removing what older manifests kept"));
        self.ask_writer(|reply| Control::TrimLog { reply })?;
        let in_force = self.ledger.manifest().number;
        while self.ledger.is_pinned_before(in_force) {
            progress(step("waiting for a copy of the store that is being made"));
            self.check_stop()?;
            std::thread::sleep(PIN_POLL);
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
        Ok(())
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

/// The receipt of a pending removal, to be added to.
fn receipt_of(manifest: &mut Manifest, number: u64) -> &mut RemovalReceipt {
    let mut pending = manifest.pending.iter_mut();
    let pending = pending.find(|pending| pending.receipt.number == number);
    &mut pending.expect("only this thread ends removals").receipt
}

/// A step that goes by no files.
fn step(step: &'static str) -> RemovalProgress {
    RemovalProgress {
        files_done: 0,
        files_total: 0,
        step,
    }
}

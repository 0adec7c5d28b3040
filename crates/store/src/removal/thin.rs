//! Writing files again without the rows that go, several of them with one manifest.
//!
//! A file in the way, because it is damaged, does not keep the others from being thinned. Where the
//! disk has no room for one more, what was thinned so far is committed and the old files are removed
//! first: room for the largest file and for manifests is enough for all of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::finish::pending_of;
use super::{PendingRemoval, Progress, RemovalProgress, RemovedRows, rows_going};
use crate::cold::{ColdEntry, ColdFile, write_cold};
use crate::error::{Result, StoreErrorKind};
use crate::flush::segment_name;
use crate::manifest::Manifest;
use crate::section::{Section, StoredSection, copy_of_rows};
use crate::segment::{Origin, Segment, write_segment};
use crate::snapshot::SegmentSet;
use crate::upkeep::{Replacement, Upkeep};

/// Files that one manifest replaces at most: readers of older snapshots hold that many open.
const BATCH_FILES: usize = 64;
/// Bytes written beyond which a manifest is due: until then the old files stay beside the new.
const BATCH_BYTES: u64 = 128 << 20;

/// A file with its sections.
enum Source<'a> {
    Hot(&'a Arc<Segment>, Vec<&'a Arc<StoredSection>>),
    Cold(&'a Arc<ColdFile>),
}

impl Source<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Hot(segment, _) => &segment.entry().name,
            Self::Cold(file) => &file.entry().name,
        }
    }

    /// Its bytes on disk: what is left of it has hardly more.
    fn bytes(&self) -> u64 {
        match self {
            Self::Hot(segment, _) => segment.entry().bytes,
            Self::Cold(file) => bytes_of(file.entry()),
        }
    }
}

/// Of both of its files.
fn bytes_of(entry: &ColdEntry) -> u64 {
    entry.bytes + entry.sidecar_bytes
}

/// Files written and not yet committed, and what they add to the receipt.
#[derive(Default)]
struct Batch {
    replacement: Replacement,
    rows: RemovedRows,
    files_rewritten: u64,
    files_removed: u64,
    bytes_before: u64,
    bytes_after: u64,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.replacement.removed.is_empty()
    }

    fn is_full(&self) -> bool {
        self.replacement.removed.len() >= BATCH_FILES || self.bytes_after >= BATCH_BYTES
    }

    /// The file `name` goes, what is left of it has `bytes_after` bytes.
    fn add(&mut self, name: String, bytes_before: u64, bytes_after: u64) {
        self.replacement.removed.insert(name);
        self.files_rewritten += u64::from(bytes_after > 0);
        self.files_removed += u64::from(bytes_after == 0);
        self.bytes_before += bytes_before;
        self.bytes_after += bytes_after;
    }
}

/// The sections of a file as they stay, by day, and how many rows go.
struct Thinned {
    days: BTreeMap<i32, Vec<Arc<Section>>>,
    rows_going: u64,
}

impl Upkeep {
    /// Writes every file that has rows which go without them. Damaged ones are left as they are.
    ///
    /// # Errors
    /// A full or failing disk, a store that is closed: what was done so far stays. Damage of a
    /// file, once all others are done.
    pub(super) fn thin_files(
        &self,
        pending: &PendingRemoval,
        progress: &mut Progress,
    ) -> Result<()> {
        let segments = self.segments();
        let sources = sources(&segments);
        let mut batch = Batch::default();
        let (mut thinned, mut in_the_way) = (Ok(()), Ok(()));
        for (files_done, source) in sources.iter().enumerate() {
            progress(RemovalProgress {
                files_done,
                files_total: sources.len(),
                step: "writing files without the rows",
            });
            match self.thin_or_make_room(source, pending, &mut batch) {
                Err(error) if error.is_damage() => {
                    tracing::error!(%error, "a damaged file is in the way of a removal");
                    self.note_damage(source.name(), &error);
                    in_the_way = in_the_way.and(Err(error));
                }
                Err(error) => {
                    thinned = Err(error);
                    break;
                }
                Ok(()) => {}
            }
        }
        let committed = self.commit_thinned(&mut batch, pending);
        thinned.and(committed).and(in_the_way)
    }

    fn thin_or_make_room(
        &self,
        source: &Source<'_>,
        pending: &PendingRemoval,
        batch: &mut Batch,
    ) -> Result<()> {
        self.check_stop()?;
        if !batch.is_empty() && !self.has_room_for(source) {
            self.commit_thinned(batch, pending)?;
        }
        if let Err(error) = self.thin(source, pending, batch) {
            if error.kind() != StoreErrorKind::Limit {
                return Err(error);
            }
            // What the try left takes the room that a manifest needs.
            self.ledger.collect(1)?;
            self.commit_thinned(batch, pending)?;
            self.thin(source, pending, batch)?;
        }
        if batch.is_full() {
            self.commit_thinned(batch, pending)?;
        }
        Ok(())
    }

    /// Whether the disk has room for `source` once more and for the manifest that makes the batch
    /// visible; false where that cannot be told. Cost: two questions to the file system.
    fn has_room_for(&self, source: &Source<'_>) -> bool {
        let manifest = Manifest::file_name(self.ledger.manifest().number);
        // A flush may have committed another one meanwhile, and this one may be gone.
        let asked = (self.directory.len(&manifest), self.directory.free_bytes());
        let (Ok(manifest_bytes), Ok(free_bytes)) = asked else {
            return false;
        };
        // The next manifest may be somewhat longer than the one in force.
        free_bytes >= source.bytes().saturating_add(2 * manifest_bytes)
    }

    /// Makes the files of `batch` durable and visible in place of the old ones, together with what
    /// they add to the receipt, and removes these, which no older manifest shall keep. The batch is
    /// empty then, also where it fails.
    fn commit_thinned(&self, batch: &mut Batch, pending: &PendingRemoval) -> Result<()> {
        let batch = std::mem::take(batch);
        if batch.is_empty() {
            return Ok(());
        }
        let number = pending.receipt.number;
        self.replace(batch.replacement, |manifest| {
            let receipt = &mut pending_of(manifest, number).receipt;
            receipt.rows.hot += batch.rows.hot;
            receipt.rows.cold += batch.rows.cold;
            receipt.files_rewritten += batch.files_rewritten;
            receipt.files_removed += batch.files_removed;
            receipt.bytes_before += batch.bytes_before;
            receipt.bytes_after += batch.bytes_after;
        })?;
        self.ledger.try_collect(1);
        Ok(())
    }

    fn thin(&self, source: &Source<'_>, pending: &PendingRemoval, batch: &mut Batch) -> Result<()> {
        match source {
            Source::Hot(segment, sections) => self.thin_segment(segment, sections, pending, batch),
            Source::Cold(file) => self.thin_cold(file, pending, batch),
        }
    }

    fn thin_cold(
        &self,
        file: &Arc<ColdFile>,
        pending: &PendingRemoval,
        batch: &mut Batch,
    ) -> Result<()> {
        let section = StoredSection::cold(Arc::clone(file)).open();
        let Some(going) = rows_going(&section, pending, &self.symbols)? else {
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
        let bytes_after = entry.as_ref().map_or(0, bytes_of);
        self.count_compacted(bytes_after);
        batch.add(name, bytes_of(file.entry()), bytes_after);
        batch.rows.cold += going.iter().filter(|&&goes| goes).count() as u64;
        batch.replacement.cold.extend(entry);
        batch.replacement.reservations.push(reservation);
        Ok(())
    }

    fn thin_segment(
        &self,
        segment: &Arc<Segment>,
        sections: &[&Arc<StoredSection>],
        pending: &PendingRemoval,
        batch: &mut Batch,
    ) -> Result<()> {
        let thinned = self.thinned(sections, pending)?;
        if thinned.rows_going == 0 {
            return Ok(());
        }
        // Opens the file where nothing of it was read: older readers still need it.
        let received = segment.received_pairs()?;
        let old = segment.entry();
        let reservation = self.ledger.reserve();
        let mut bytes_after = 0;
        if !thinned.days.is_empty() {
            let name = segment_name(reservation.number);
            let directory = self.directory.as_ref();
            let origin = Origin::of([old.name.as_str()].into_iter());
            let days = &thinned.days;
            let entry = write_segment(directory, &name, &self.symbols, days, &received, origin)?;
            bytes_after = entry.bytes;
            self.count_compacted(bytes_after);
            batch.replacement.hot.push(entry);
        }
        batch.add(old.name.clone(), old.bytes, bytes_after);
        batch.rows.hot += thinned.rows_going;
        batch.replacement.reservations.push(reservation);
        Ok(())
    }

    /// The sections of one file without the rows that go: whole ones as they are, the others as
    /// copies in memory.
    fn thinned(
        &self,
        sections: &[&Arc<StoredSection>],
        pending: &PendingRemoval,
    ) -> Result<Thinned> {
        let mut thinned = Thinned {
            days: BTreeMap::new(),
            rows_going: 0,
        };
        for section in sections {
            let section = section.open();
            let going = rows_going(&section, pending, &self.symbols)?;
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
}

/// Every file: hot ones with their sections, then cold ones.
fn sources(segments: &SegmentSet) -> Vec<Source<'_>> {
    let mut by_name: HashMap<&str, Vec<&Arc<StoredSection>>> = HashMap::new();
    for section in segments.by_day.values().flatten() {
        if let Some(name) = section.segment_name() {
            by_name.entry(name).or_default().push(section);
        }
    }
    let mut sections_of = |segment: &Segment| by_name.remove(segment.entry().name.as_str());
    let hot = segments.segments.iter();
    let mut sources: Vec<Source<'_>> = hot
        .map(|segment| Source::Hot(segment, sections_of(segment).unwrap_or_default()))
        .collect();
    sources.extend(segments.cold.iter().map(Source::Cold));
    sources
}

//! What a reader sees: one immutable picture of the store, held by an `Arc`.
//!
//! A snapshot is the segments of a manifest, the chunks in memory, the definitions and the durable
//! `seq`. It never changes; files that a later manifest drops live as long as a snapshot maps them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::cold::ColdFile;
use crate::definitions::Definition;
use crate::error::Result;
use crate::filter::RowFilter;
use crate::memtable::{Chunk, sections_by_day};
use crate::section::{Section, SectionStatistics, StoredSection};
use crate::segment::{FileSection, Segment};
use crate::symbols::Symbols;

/// One UTC day and the sections that hold its rows, oldest first.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Days since 1970-01-01.
    pub day: i32,
    /// At least one.
    pub sections: Vec<Arc<StoredSection>>,
}

/// The segments of one manifest and their sections by day.
#[derive(Debug, Default)]
pub(crate) struct SegmentSet {
    /// Hot files, by their lowest seq.
    pub segments: Vec<Arc<Segment>>,
    pub cold: Vec<Arc<ColdFile>>,
    pub by_day: BTreeMap<i32, Vec<Arc<StoredSection>>>,
}

/// What a flush, a compaction or a removal changes in the files that readers see. Changes of
/// different jobs commute: no two of them name the same file.
#[derive(Debug, Default)]
pub(crate) struct SegmentChange {
    /// Names of files whose rows are gone or stand elsewhere now.
    pub removed: BTreeSet<String>,
    /// New hot files.
    pub hot: Vec<Arc<Segment>>,
    /// New cold files.
    pub cold: Vec<Arc<ColdFile>>,
}

impl SegmentSet {
    /// The set after `change`. Cost: the sections of the set.
    pub fn apply(&self, change: &SegmentChange) -> Self {
        let kept = self.segments.iter();
        let kept = kept.filter(|segment| !change.removed.contains(&segment.entry().name));
        let mut segments: Vec<Arc<Segment>> = kept.chain(&change.hot).map(Arc::clone).collect();
        segments.sort_by_key(|segment| segment.entry().seq_min());
        let mut by_day = self.by_day.clone();
        let mut cold: Vec<Arc<ColdFile>> = self.cold.clone();
        if !change.removed.is_empty() {
            cold.retain(|file| !change.removed.contains(&file.entry().name));
            by_day.retain(|_, sections| {
                sections.retain(|section| !section.is_of(&change.removed));
                !sections.is_empty()
            });
        }
        cold.extend(change.cold.iter().map(Arc::clone));
        let mut added: Vec<Arc<StoredSection>> = Vec::new();
        for segment in &change.hot {
            for (section, statistics) in segment.entry().sections.iter().enumerate() {
                let file = FileSection::new(Arc::clone(segment), section);
                let section = Arc::new(Section::in_file(*statistics, file));
                added.push(Arc::new(StoredSection::new(section)));
            }
        }
        for file in &change.cold {
            added.push(Arc::new(StoredSection::cold(Arc::clone(file))));
        }
        for section in added {
            let known = section.statistics();
            let day: &mut Vec<Arc<StoredSection>> = by_day.entry(known.day).or_default();
            let at = day.partition_point(|other| other.statistics().seq_min < known.seq_min);
            day.insert(at, section);
        }
        Self {
            segments,
            cold,
            by_day,
        }
    }
}

/// An immutable picture of the store up to [`Snapshot::seq`].
#[derive(Debug)]
pub struct Snapshot {
    seq: i64,
    received_us: i64,
    definitions: Arc<Vec<Arc<Definition>>>,
    symbols: Arc<Symbols>,
    segments: Arc<SegmentSet>,
    /// Being flushed, then receiving.
    chunks: [Arc<Vec<Arc<Chunk>>>; 2],
    retained_from_day: Option<i32>,
    history_from_day: Option<i32>,
    slices: OnceLock<Vec<Slice>>,
}

impl Snapshot {
    pub(crate) fn new(
        (seq, received_us): (i64, i64),
        definitions: Arc<Vec<Arc<Definition>>>,
        symbols: Arc<Symbols>,
        segments: Arc<SegmentSet>,
        chunks: [Arc<Vec<Arc<Chunk>>>; 2],
    ) -> Self {
        Self {
            seq,
            received_us,
            definitions,
            symbols,
            segments,
            chunks,
            retained_from_day: None,
            history_from_day: None,
            slices: OnceLock::new(),
        }
    }

    /// With the days before `day` dropped by retention, of which those before `history_from` had
    /// activity.
    pub(crate) fn retained_from(mut self, day: Option<i32>, history_from: Option<i32>) -> Self {
        self.retained_from_day = day;
        self.history_from_day = history_from;
        self
    }

    /// The last durable `seq`; 0 for an empty store.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// The latest `received_at` of its events and definitions, microseconds; 0 where it has none.
    #[must_use]
    pub fn received_at_us(&self) -> i64 {
        self.received_us
    }

    /// The greatest `seq` whose `received_at` is at most `known_at_us` (microseconds); 0 if none.
    ///
    /// `received_at` never decreases with `seq`, so reading up to this `seq` is reading what was
    /// known then; the definitions known then are those whose own `received_at_us` is no later.
    /// Cost: a look at each file's bounds, and the table of received times of those that straddle
    /// the time.
    ///
    /// # Errors
    /// Damage of such a file, found on first touch.
    pub fn seq_known_at(&self, known_at_us: i64) -> Result<i64> {
        if known_at_us >= self.received_us {
            return Ok(self.seq);
        }
        // What came before the first group that came later was known.
        let mut known = self.seq;
        for segment in &self.segments.segments {
            if segment.entry().received_max_us > known_at_us {
                known = known.min(segment.seq_known_at(known_at_us)?);
            }
        }
        for file in &self.segments.cold {
            known = known.min(file.seq_known_at(known_at_us)?);
        }
        for chunk in self.chunks() {
            let groups = chunk.received.as_slice();
            let later = groups.get(groups.partition_point(|group| group.1 <= known_at_us));
            known = known.min(later.map_or(known, |(seq_first, _)| seq_first - 1));
        }
        Ok(known)
    }

    /// The first day (since 1970-01-01, UTC) whose activity is kept; of the days before only
    /// `$group` and `$identify` events are left. `None` where nothing was ever dropped for its age.
    #[must_use]
    pub fn retained_from_day(&self) -> Option<i32> {
        self.retained_from_day
    }

    /// The first day (since 1970-01-01, UTC) from which history is whole: activity of days before
    /// it was dropped. `None` where none ever was, whatever the retention.
    #[must_use]
    pub fn history_from_day(&self) -> Option<i32> {
        self.history_from_day
    }

    /// Every version of every model and view, in the order of storing.
    #[must_use]
    pub fn definitions(&self) -> &[Arc<Definition>] {
        &self.definitions
    }

    /// The symbols that its rows use.
    #[must_use]
    pub fn symbols(&self) -> &Arc<Symbols> {
        &self.symbols
    }

    /// Every day that has rows, in time order: scanning them in this order visits each entity's
    /// events in time order. Cost: the first call merges the days of segments and memtable.
    #[must_use]
    pub fn slices(&self) -> &[Slice] {
        self.slices.get_or_init(|| {
            let mut days = self.segments.by_day.clone();
            for chunks in &self.chunks {
                for (day, sections) in sections_by_day(chunks) {
                    let sections = sections.into_iter().map(StoredSection::new).map(Arc::new);
                    days.entry(day).or_default().extend(sections);
                }
            }
            days.into_iter()
                .map(|(day, sections)| Slice { day, sections })
                .collect()
        })
    }

    /// The sections that may hold rows of `filter`, in time order, by statistics alone.
    #[must_use]
    pub fn sections(&self, filter: &RowFilter) -> Vec<Arc<StoredSection>> {
        self.slices()
            .iter()
            .flat_map(|slice| &slice.sections)
            .filter(|section| !section.is_pruned_by(filter))
            .map(Arc::clone)
            .collect()
    }

    /// Statistics of every section, in time order.
    pub fn statistics(&self) -> impl Iterator<Item = &SectionStatistics> {
        self.slices()
            .iter()
            .flat_map(|slice| &slice.sections)
            .map(|section| section.statistics())
    }

    /// The sections of `day` in files, for the writer's idempotency.
    pub(crate) fn file_sections(&self, day: i32) -> &[Arc<StoredSection>] {
        self.segments.by_day.get(&day).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn segments(&self) -> &Arc<SegmentSet> {
        &self.segments
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Arc<Chunk>> {
        self.chunks.iter().flat_map(|chunks| chunks.iter())
    }
}

//! What a reader sees: one immutable picture of the store, held by an `Arc`.
//!
//! A snapshot is the segments of a manifest, the chunks in memory, the definitions and the durable
//! `seq`. It never changes; files that a later manifest drops live as long as a snapshot maps them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::definitions::Definition;
use crate::error::Result;
use crate::filter::RowFilter;
use crate::memtable::{Chunk, sections_by_day};
use crate::section::{Section, SectionStatistics};
use crate::segment::{FileSection, Segment};
use crate::symbols::Symbols;

/// One UTC day and the sections that hold its rows, oldest first.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Days since 1970-01-01.
    pub day: i32,
    /// At least one.
    pub sections: Vec<Arc<Section>>,
}

/// The segments of one manifest and their sections by day.
#[derive(Debug, Default)]
pub(crate) struct SegmentSet {
    pub segments: Vec<Arc<Segment>>,
    pub by_day: BTreeMap<i32, Vec<Arc<Section>>>,
}

impl SegmentSet {
    /// The set with one segment more.
    pub fn with(&self, segment: Arc<Segment>) -> Self {
        let mut segments = self.segments.clone();
        let mut by_day = self.by_day.clone();
        for (section, statistics) in segment.entry().sections.iter().enumerate() {
            let file = FileSection::new(Arc::clone(&segment), section);
            let section = Arc::new(Section::in_file(*statistics, file));
            by_day.entry(statistics.day).or_default().push(section);
        }
        segments.push(segment);
        Self { segments, by_day }
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
            slices: OnceLock::new(),
        }
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
    /// Cost: a binary search, and the table of received times of at most one segment.
    ///
    /// # Errors
    /// Damage of that segment, found on first touch.
    pub fn seq_known_at(&self, known_at_us: i64) -> Result<i64> {
        if known_at_us >= self.received_us {
            return Ok(self.seq);
        }
        let segments = &self.segments.segments;
        let is_known = |segment: &Arc<Segment>| segment.entry().received_max_us <= known_at_us;
        if let Some(segment) = segments.get(segments.partition_point(is_known)) {
            return segment.seq_known_at(known_at_us);
        }
        // The first group that came later, if any: everything before it was known.
        let later = self.chunks().find_map(|chunk| {
            let groups = chunk.received.as_slice();
            groups.get(groups.partition_point(|group| group.1 <= known_at_us))
        });
        Ok(later.map_or(self.seq, |(seq_first, _)| seq_first - 1))
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
    pub fn sections(&self, filter: &RowFilter) -> Vec<Arc<Section>> {
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

    /// The section of `day` in a segment file, for the writer's idempotency.
    pub(crate) fn file_sections(&self, day: i32) -> &[Arc<Section>] {
        self.segments.by_day.get(&day).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn segments(&self) -> &Arc<SegmentSet> {
        &self.segments
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Arc<Chunk>> {
        self.chunks.iter().flat_map(|chunks| chunks.iter())
    }
}

//! A section: the rows of one UTC day that came in together, sorted for entities.
//!
//! Rows are ordered by member, then `event_time`, then `seq`, so a member's rows are one run. In a
//! file, hot or cold, members follow the byte order of (`account_id`, `user_id`), nulls last; in a
//! memtable chunk they follow their symbols. Everything above asks a section the same questions
//! wherever it lies (a [`StoredSection`] says where, and opens it):
//!
//! - the **code face** ([`Section::runs`], [`Section::times`], [`Section::event_codes`], …) lends
//!   slices of the map itself (of decoded columns where the file is cold); identity is remapped
//!   once a run;
//! - the **SQL face** ([`Section::select`], [`Section::batch`]) makes record batches with the one
//!   schema of `events`, exact under a [`RowFilter`](crate::RowFilter).

mod batch;
mod identity;
mod memory;
mod merge;
mod runs;
mod select;
mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};

pub(crate) use batch::ReceivedTimes;
pub use identity::IdentityStrings;
pub(crate) use identity::{Identities, view_of, view_with_null};
pub(crate) use memory::{
    MemoryColumns, MemorySection, PROPERTY_KEYS_MAX, copy_of_rows, merge_sections,
    sections_of_group, trait_event_test,
};
pub(crate) use merge::{MergedOrder, merge_order};
pub use runs::{MemberSummary, Run, RunIndex};
pub(crate) use runs::{RunActivity, RunBounds};
pub use select::Selection;
pub use stored::StoredSection;

use crate::cold::ColdSection;
use crate::error::Result;
use crate::promoted::PromotedColumn;
use crate::segment::FileSection;

/// What is known of a section without reading it; all bounds are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SectionStatistics {
    /// Days since 1970-01-01, UTC.
    pub day: i32,
    /// Number of rows, at least 1.
    pub rows: usize,
    /// Earliest `event_time`, microseconds.
    pub time_min_us: i64,
    /// Latest `event_time`, microseconds.
    pub time_max_us: i64,
    /// Lowest `seq`.
    pub seq_min: i64,
    /// Highest `seq`.
    pub seq_max: i64,
    /// Whether a `$group` or `$identify` event is among the rows.
    pub has_trait_events: bool,
}

impl SectionStatistics {
    /// Of a section that was not read yet.
    pub(crate) const UNKNOWN: Self = Self {
        day: 0,
        rows: 0,
        time_min_us: 0,
        time_max_us: 0,
        seq_min: 0,
        seq_max: 0,
        has_trait_events: false,
    };
}

/// How often one event name stands in a section, and when first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventCount {
    /// The event's symbol.
    pub event: u32,
    /// Rows with it.
    pub count: u64,
    /// Its earliest `event_time`, microseconds.
    pub first_us: i64,
    /// Its latest `event_time`, microseconds.
    pub last_us: i64,
}

/// The event column on the code face: keys of the file's own width, or symbols in memory. A key
/// indexes a table made by [`Section::event_table`].
#[derive(Clone, Copy, Debug)]
pub enum EventCodes<'a> {
    /// At most 127 event names in the file.
    I8(&'a [i8]),
    /// At most 32,767 event names in the file.
    I16(&'a [i16]),
    /// Any number of event names in the file.
    I32(&'a [i32]),
    /// A chunk in memory: symbols themselves.
    Symbols(&'a [u32]),
}

impl EventCodes<'_> {
    /// The index of `row`'s event in a table of [`Section::event_table`].
    #[inline]
    #[must_use]
    pub fn index(&self, row: usize) -> usize {
        match self {
            Self::I8(keys) => keys[row] as usize,
            Self::I16(keys) => keys[row] as usize,
            Self::I32(keys) => keys[row] as usize,
            Self::Symbols(keys) => keys[row] as usize,
        }
    }
}

/// Rows of one day, in memory, in a segment file or in a cold file.
#[derive(Debug)]
pub struct Section {
    statistics: SectionStatistics,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Memory(MemorySection),
    File(FileSection),
    Cold(ColdSection),
}

impl Section {
    pub(crate) fn in_memory(statistics: SectionStatistics, section: MemorySection) -> Self {
        Self {
            statistics,
            source: Source::Memory(section),
        }
    }

    pub(crate) fn in_file(statistics: SectionStatistics, section: FileSection) -> Self {
        Self {
            statistics,
            source: Source::File(section),
        }
    }

    pub(crate) fn in_cold_file(section: ColdSection) -> Self {
        Self {
            statistics: *section.statistics(),
            source: Source::Cold(section),
        }
    }

    /// What is known without reading.
    #[must_use]
    pub fn statistics(&self) -> &SectionStatistics {
        &self.statistics
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.statistics.rows
    }

    /// Whether it lies in a file, hot or cold, and so in the byte order of its strings.
    #[must_use]
    pub fn is_in_file(&self) -> bool {
        !matches!(self.source, Source::Memory(_))
    }

    /// The name of the hot file it lies in.
    pub(crate) fn segment_name(&self) -> Option<&str> {
        match &self.source {
            Source::File(section) => Some(&section.segment().entry().name),
            Source::Memory(_) | Source::Cold(_) => None,
        }
    }

    /// Whether it lies in a cold file: what is read of it is decoded, and lives as long as this
    /// section.
    #[must_use]
    pub fn is_cold(&self) -> bool {
        matches!(self.source, Source::Cold(_))
    }

    /// Which member owns which rows, with a summary of each. Lies in the map; made from identity
    /// columns and times where the section is cold.
    ///
    /// # Errors
    /// Damage of the file, found on first touch, here and below.
    pub fn runs(&self) -> Result<&RunIndex> {
        match &self.source {
            Source::Memory(section) => Ok(&section.runs),
            Source::File(section) => section.runs(),
            Source::Cold(section) => section.runs(),
        }
    }

    pub(crate) fn identities(&self) -> Result<&Arc<Identities>> {
        match &self.source {
            Source::Memory(section) => Ok(&section.identities),
            Source::File(section) => section.identities(),
            Source::Cold(section) => section.identities(),
        }
    }

    /// The runs with their member, account and user symbols, in row order.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn runs_of_members(&self) -> Result<impl ExactSizeIterator<Item = Run> + '_> {
        Ok(self.runs()?.resolve(self.identities()?))
    }

    /// What each member did here, one summary a run, in row order. Cost: the run index, and no
    /// row of a section in a file; a section in memory was looked through when it was made.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn summaries(&self) -> Result<impl ExactSizeIterator<Item = MemberSummary> + '_> {
        let activity = match &self.source {
            Source::Memory(section) => section.activity.as_ref(),
            Source::File(section) => section.activity()?,
            Source::Cold(section) => section.activity()?,
        };
        Ok(self.runs()?.summaries(self.identities()?, activity))
    }

    /// `event_time` of each row in microseconds; ascending within a run.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn times(&self) -> Result<&[i64]> {
        Ok(self.time_column()?.values())
    }

    /// `seq` of each row.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn seqs(&self) -> Result<&[i64]> {
        Ok(self.seq_column()?.values())
    }

    pub(crate) fn time_column(&self) -> Result<&TimestampMicrosecondArray> {
        match &self.source {
            Source::Memory(section) => Ok(&section.columns.times),
            Source::File(section) => section.times(),
            Source::Cold(section) => section.times(),
        }
    }

    pub(crate) fn seq_column(&self) -> Result<&Int64Array> {
        match &self.source {
            Source::Memory(section) => Ok(&section.columns.seqs),
            Source::File(section) => section.seqs(),
            Source::Cold(section) => section.seqs(),
        }
    }

    /// The event of each row, as keys.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn event_codes(&self) -> Result<EventCodes<'_>> {
        match &self.source {
            Source::Memory(section) => Ok(EventCodes::Symbols(section.columns.events.values())),
            Source::File(section) => section.event_codes(),
            Source::Cold(section) => section.event_codes(),
        }
    }

    /// A table indexed by the keys of [`Section::event_codes`], made from event symbols; small
    /// enough for the first-level cache where names are few.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn event_table<T: Clone + Default>(&self, of: impl Fn(u32) -> T) -> Result<Vec<T>> {
        match &self.source {
            Source::Memory(section) => {
                let symbols = section.columns.events.values();
                let bound = symbols
                    .iter()
                    .max()
                    .map_or(0, |&symbol| symbol as usize + 1);
                Ok((0..bound as u32).map(of).collect())
            }
            Source::File(section) => Ok(section
                .identities()?
                .event_symbols
                .iter()
                .map(|&symbol| of(symbol))
                .collect()),
            Source::Cold(section) => Ok((section.event_symbols()?.iter())
                .map(|&symbol| of(symbol))
                .collect()),
        }
    }

    /// `event_id` of each row.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn event_ids(&self) -> Result<&StringArray> {
        match &self.source {
            Source::Memory(section) => Ok(&section.columns.event_ids),
            Source::File(section) => section.event_ids(),
            Source::Cold(section) => section.event_ids(),
        }
    }

    /// `value` of each row; nullable.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn values(&self) -> Result<&Float64Array> {
        match &self.source {
            Source::Memory(section) => Ok(&section.columns.values),
            Source::File(section) => section.values(),
            Source::Cold(section) => section.values(),
        }
    }

    /// `properties` of each row, canonical JSON; nullable.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn properties(&self) -> Result<&StringArray> {
        match &self.source {
            Source::Memory(section) => Ok(&section.columns.properties),
            Source::File(section) => section.properties(),
            Source::Cold(section) => section.properties(),
        }
    }

    /// The typed column of the property `key` of the top level; `None` where the section has none:
    /// then, and for the rows of its remainder, the value stands in [`Section::properties`] alone.
    /// Sections in memory and in hot files have none.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn promoted(&self, key: &str) -> Result<Option<Arc<PromotedColumn>>> {
        match &self.source {
            Source::Memory(_) | Source::File(_) => Ok(None),
            Source::Cold(section) => section.promoted(key),
        }
    }

    /// Counts by event name, ordered by symbol. From the index of a file; by one pass in memory.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn event_counts(&self) -> Result<Vec<EventCount>> {
        match &self.source {
            Source::Memory(_) => self.count_events(),
            Source::File(section) => section.event_counts(),
            Source::Cold(section) => section.event_counts(),
        }
    }

    pub(crate) fn count_events(&self) -> Result<Vec<EventCount>> {
        let symbols = self.event_table(|symbol| symbol)?;
        let mut counts: Vec<Option<EventCount>> = vec![None; symbols.len()];
        let codes = self.event_codes()?;
        for (row, &time) in self.times()?.iter().enumerate() {
            let code = codes.index(row);
            let count = counts[code].get_or_insert(EventCount {
                event: symbols[code],
                count: 0,
                first_us: time,
                last_us: time,
            });
            count.count += 1;
            count.first_us = count.first_us.min(time);
            count.last_us = count.last_us.max(time);
        }
        let mut counts: Vec<EventCount> = counts.into_iter().flatten().collect();
        counts.sort_unstable_by_key(|count| count.event);
        Ok(counts)
    }

    /// Top-level property keys by event symbol, in byte order. From the index of a file; by
    /// parsing each row's properties in memory.
    ///
    /// # Errors
    /// See [`Section::runs`].
    pub fn property_keys(&self) -> Result<BTreeMap<u32, Vec<String>>> {
        match &self.source {
            Source::Memory(_) => self.collect_property_keys(),
            Source::File(section) => section.property_keys(),
            Source::Cold(section) => section.property_keys(),
        }
    }

    /// Where the runs lie, without their times.
    pub(crate) fn run_bounds(&self) -> Result<&RunBounds> {
        match &self.source {
            Source::Memory(section) => Ok(&section.runs.bounds),
            Source::File(section) => Ok(&section.runs()?.bounds),
            Source::Cold(section) => section.run_bounds(),
        }
    }

    /// Hashes of the event ids, ascending, and the row of each; `None` in memory, where the writer
    /// keeps its own.
    pub(crate) fn id_index(&self) -> Result<Option<(&[u32], &[u32])>> {
        match &self.source {
            Source::Memory(_) => Ok(None),
            Source::File(section) => section.id_index().map(Some),
            Source::Cold(section) => section.id_index().map(Some),
        }
    }

    /// Bytes held in memory: 0 for a mapped section, what was decoded so far for a cold one.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match &self.source {
            Source::Memory(section) => section.columns.bytes(),
            Source::File(_) => 0,
            Source::Cold(section) => section.decoded_bytes(),
        }
    }
}

//! The SQL face: rows of a section as record batches with the schema of `events`.
//!
//! A batch of one range borrows every column but identity from the map; identity becomes views
//! over the mapped strings, filled run by run. A batch of scattered ranges is gathered. A cold
//! section reads the pages of few rows instead (`cold/section.rs`).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, StringViewArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow_select::take::take;
use vitalog_event::schema;

use super::{EventCodes, IdentityStrings, Section, Source};
use crate::error::{Result, StoreError};

/// Which identity of a run a column shows.
#[derive(Clone, Copy)]
enum Part {
    Account,
    User,
}

impl Section {
    /// The rows of `ranges` (ascending, disjoint) as a batch with the columns `projection` of
    /// [`events_view_schema`](vitalog_event::schema::events_view_schema).
    ///
    /// # Errors
    /// Damage of the file, found on first touch.
    ///
    /// # Panics
    /// On a range or column that does not exist.
    pub fn batch(&self, ranges: &[Range<usize>], projection: &[usize]) -> Result<RecordBatch> {
        let events_schema = schema::events_view_schema();
        let rows = ranges.iter().map(ExactSizeIterator::len).sum();
        let picked = Picked::new(ranges);
        let from_pages = match &self.source {
            Source::Cold(section) => section.pages(ranges, projection)?,
            Source::Memory(_) | Source::File(_) => BTreeMap::new(),
        };
        let columns = projection
            .iter()
            .map(|column| match from_pages.get(column) {
                Some(array) => Ok(Arc::clone(array)),
                None => self.column(events_schema.field(*column).name(), &picked),
            })
            .collect::<Result<Vec<_>>>()?;
        let projected = events_schema
            .project(projection)
            .expect("a projection of the schema");
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(projected), columns, &options)
            .map_err(StoreError::arrow("section"))
    }

    /// Strings of this section's codes, as views over mapped bytes.
    ///
    /// # Errors
    /// Damage of the file, found on first touch.
    pub fn strings(&self) -> Result<&IdentityStrings> {
        match &self.source {
            Source::Memory(section) => {
                let bound = section.symbols.bound(crate::Domain::Event) as u32;
                Ok(section.identities.chunk_strings(&section.symbols, bound))
            }
            Source::File(section) => section.strings(),
            Source::Cold(section) => section.strings(),
        }
    }

    fn column(&self, name: &str, picked: &Picked) -> Result<ArrayRef> {
        match name {
            schema::EVENT_ID => picked.text(self.event_ids()?),
            schema::EVENT_TIME => picked.array(self.time_column()?),
            schema::RECEIVED_AT => self.received_column(picked),
            schema::SEQ => picked.array(self.seq_column()?),
            schema::EVENT => self.event_column(picked),
            schema::ACCOUNT_ID => self.identity_column(picked, Part::Account),
            schema::USER_ID => self.identity_column(picked, Part::User),
            schema::VALUE => picked.array(self.values()?),
            schema::PROPERTIES => picked.text(self.properties()?),
            other => unreachable!("{other} is no column of events"),
        }
    }

    fn event_column(&self, picked: &Picked) -> Result<ArrayRef> {
        let codes: UInt32Array = match self.event_codes()? {
            EventCodes::I8(keys) => picked.rows().map(|row| keys[row] as u32).collect(),
            EventCodes::I16(keys) => picked.rows().map(|row| keys[row] as u32).collect(),
            EventCodes::I32(keys) => picked.rows().map(|row| keys[row] as u32).collect(),
            EventCodes::Symbols(keys) => picked.rows().map(|row| keys[row]).collect(),
        };
        gather(&self.strings()?.events, &codes)
    }

    fn identity_column(&self, picked: &Picked, part: Part) -> Result<ArrayRef> {
        let identities = self.identities()?;
        let codes_of_members = match part {
            Part::Account => &identities.member_accounts,
            Part::User => &identities.member_users,
        };
        let runs = self.run_bounds()?;
        let mut codes = Vec::with_capacity(picked.len());
        for range in &picked.ranges {
            let mut row = range.start;
            let mut run = runs.run_of_row(row);
            while row < range.end {
                let end = runs.rows(run).end.min(range.end);
                let code = codes_of_members[runs.members[run] as usize];
                codes.resize(codes.len() + end - row, code);
                row = end;
                run += 1;
            }
        }
        let strings = self.strings()?;
        let strings = match part {
            Part::Account => &strings.accounts,
            Part::User => &strings.users,
        };
        gather(strings, &codes.into())
    }

    /// (first seq, received at) of the commit groups that the rows may be of, ascending.
    pub(crate) fn received_pairs(&self) -> Result<Vec<(i64, i64)>> {
        match &self.source {
            Source::Memory(section) => Ok(section.received.to_vec()),
            Source::File(section) => {
                let (seqs, times) = section.received()?;
                Ok(seqs.iter().copied().zip(times.iter().copied()).collect())
            }
            Source::Cold(section) => {
                let times = section.received_times()?.values().iter().copied();
                let mut pairs: Vec<(i64, i64)> = self.seqs()?.iter().copied().zip(times).collect();
                pairs.sort_unstable();
                // Received times never decrease with seq: the first row of each stands for it.
                pairs.dedup_by_key(|pair| pair.1);
                Ok(pairs)
            }
        }
    }

    /// When each row was received, wherever that is kept.
    pub(crate) fn received(&self) -> Result<ReceivedTimes<'_>> {
        match &self.source {
            Source::Memory(section) => Ok(ReceivedTimes::Pairs(self.seqs()?, &section.received)),
            Source::File(section) => {
                let (seqs, times) = section.received()?;
                Ok(ReceivedTimes::Columns(self.seqs()?, seqs, times))
            }
            Source::Cold(section) => Ok(ReceivedTimes::Rows(section.received_times()?.values())),
        }
    }

    fn received_column(&self, picked: &Picked) -> Result<ArrayRef> {
        let received = self.received()?;
        let times = picked.rows().map(|row| received.at(row));
        let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
        Ok(Arc::new(times))
    }
}

/// When rows were received.
pub(crate) enum ReceivedTimes<'a> {
    /// The rows' seqs; (first seq, received at) of the commit groups.
    Pairs(&'a [i64], &'a [(i64, i64)]),
    /// The rows' seqs; the first seq of each commit group; when it was received.
    Columns(&'a [i64], &'a [i64], &'a [i64]),
    /// A column.
    Rows(&'a [i64]),
}

impl ReceivedTimes<'_> {
    /// When `row` was received, microseconds.
    pub fn at(&self, row: usize) -> i64 {
        match self {
            Self::Pairs(seqs, pairs) => {
                let seq = seqs[row];
                pairs[pairs.partition_point(|pair| pair.0 <= seq).max(1) - 1].1
            }
            Self::Columns(seqs, firsts, times) => {
                let seq = seqs[row];
                times[firsts.partition_point(|&first| first <= seq).max(1) - 1]
            }
            Self::Rows(times) => times[row],
        }
    }
}

/// Rows of one batch, with their indices where they must be gathered.
struct Picked {
    ranges: Vec<Range<usize>>,
    indices: Option<UInt32Array>,
}

impl Picked {
    fn new(ranges: &[Range<usize>]) -> Self {
        let indices = (ranges.len() > 1).then(|| {
            ranges
                .iter()
                .flat_map(|range| range.start as u32..range.end as u32)
                .collect()
        });
        Self {
            ranges: ranges.to_vec(),
            indices,
        }
    }

    fn len(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.ranges.iter().flat_map(Clone::clone)
    }

    fn array(&self, array: &dyn Array) -> Result<ArrayRef> {
        match (&self.indices, self.ranges.first()) {
            (Some(indices), _) => take(array, indices, None).map_err(StoreError::arrow("section")),
            (None, Some(range)) => Ok(array.slice(range.start, range.len())),
            (None, None) => Ok(array.slice(0, 0)),
        }
    }

    fn text(&self, array: &StringArray) -> Result<ArrayRef> {
        let picked = self.array(array)?;
        let strings: &StringArray = picked
            .as_any()
            .downcast_ref()
            .expect("a slice keeps its type");
        Ok(Arc::new(StringViewArray::from(strings)))
    }
}

fn gather(strings: &StringViewArray, codes: &UInt32Array) -> Result<ArrayRef> {
    take(strings, codes, None).map_err(StoreError::arrow("section"))
}

//! One section of a segment file: its columns, decoded on first touch and kept.
//!
//! Arrays of the index are checked against the rows once, so that no later look-up can leave them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow_buffer::ScalarBuffer;
use arrow_schema::DataType;

use super::file::{Column, Segment, get_or_try_init};
use super::index::ArrayKind;
use crate::error::{Result, StoreError};
use crate::section::{
    EventCodes, EventCount, Identities, IdentityStrings, RunActivity, RunBounds, RunIndex,
    SectionStatistics,
};

/// One section of a segment file. Columns are decoded on first touch and kept.
#[derive(Debug)]
pub(crate) struct FileSection {
    segment: Arc<Segment>,
    section: usize,
    runs: OnceLock<RunIndex>,
    activity: OnceLock<RunActivity>,
    event_ids: OnceLock<StringArray>,
    times: OnceLock<TimestampMicrosecondArray>,
    seqs: OnceLock<Int64Array>,
    events: OnceLock<ArrayRef>,
    values: OnceLock<Float64Array>,
    properties: OnceLock<StringArray>,
    received: OnceLock<(ScalarBuffer<i64>, ScalarBuffer<i64>)>,
    id_index: OnceLock<(ScalarBuffer<u32>, ScalarBuffer<u32>)>,
}

impl FileSection {
    pub fn new(segment: Arc<Segment>, section: usize) -> Self {
        Self {
            segment,
            section,
            runs: OnceLock::new(),
            activity: OnceLock::new(),
            event_ids: OnceLock::new(),
            times: OnceLock::new(),
            seqs: OnceLock::new(),
            events: OnceLock::new(),
            values: OnceLock::new(),
            properties: OnceLock::new(),
            received: OnceLock::new(),
            id_index: OnceLock::new(),
        }
    }

    /// The file it lies in.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    fn statistics(&self) -> &SectionStatistics {
        &self.segment.entry().sections[self.section]
    }

    fn damaged(&self, reason: &str) -> StoreError {
        let reason = format!("section {}: {reason}", self.section);
        self.segment.damaged(self.segment.entry().bytes, reason)
    }

    pub fn identities(&self) -> Result<&Arc<Identities>> {
        self.segment.identities()
    }

    pub fn strings(&self) -> Result<&IdentityStrings> {
        self.segment.strings()
    }

    /// The run index. Its codes and rows are checked against the file once, so that no later
    /// look-up can leave its table.
    pub fn runs(&self) -> Result<&RunIndex> {
        get_or_try_init(&self.runs, || {
            let section = self.section as u32;
            let bounds = RunBounds {
                members: self.segment.typed(ArrayKind::RunMembers, section)?,
                starts: self.segment.typed(ArrayKind::RunStarts, section)?,
            };
            let runs = RunIndex {
                bounds: bounds.clone(),
                first_us: self.segment.typed(ArrayKind::RunFirst, section)?,
                last_us: self.segment.typed(ArrayKind::RunLast, section)?,
            };
            let members = self.identities()?.member_symbols.len();
            let count = bounds.len();
            let whole = bounds.starts.len() == count + 1
                && runs.first_us.len() == count
                && runs.last_us.len() == count
                && bounds.starts[0] == 0
                && bounds.starts[count] as usize == self.statistics().rows
                && bounds.starts.windows(2).all(|pair| pair[0] < pair[1])
                && bounds
                    .members
                    .iter()
                    .all(|&member| (member as usize) < members);
            if !whole {
                return Err(self.damaged("the run index does not fit the rows"));
            }
            Ok(runs)
        })
    }

    /// The activity of each run; `None` where every row is activity.
    pub fn activity(&self) -> Result<Option<&RunActivity>> {
        if !self.statistics().has_trait_events {
            return Ok(None);
        }
        let activity = get_or_try_init(&self.activity, || {
            let section = self.section as u32;
            let activity = RunActivity {
                first_us: self.segment.typed(ArrayKind::ActivityFirst, section)?,
                last_us: self.segment.typed(ArrayKind::ActivityLast, section)?,
                events: self.segment.typed(ArrayKind::ActivityCounts, section)?,
            };
            let count = self.runs()?.len();
            if activity.first_us.len() != count
                || activity.last_us.len() != count
                || activity.events.len() != count
            {
                return Err(self.damaged("the activity does not fit the run index"));
            }
            Ok(activity)
        })?;
        Ok(Some(activity))
    }

    pub fn event_ids(&self) -> Result<&StringArray> {
        get_or_try_init(&self.event_ids, || {
            Ok(self
                .segment
                .decode(self.section, Column::EventId)?
                .as_string()
                .clone())
        })
    }

    pub fn times(&self) -> Result<&TimestampMicrosecondArray> {
        get_or_try_init(&self.times, || {
            let array = self.segment.decode(self.section, Column::Time)?;
            Ok(array.as_primitive::<TimestampMicrosecondType>().clone())
        })
    }

    pub fn seqs(&self) -> Result<&Int64Array> {
        get_or_try_init(&self.seqs, || {
            let array = self.segment.decode(self.section, Column::Seq)?;
            Ok(array.as_primitive::<Int64Type>().clone())
        })
    }

    pub fn values(&self) -> Result<&Float64Array> {
        get_or_try_init(&self.values, || {
            let array = self.segment.decode(self.section, Column::Value)?;
            Ok(array.as_primitive::<Float64Type>().clone())
        })
    }

    pub fn properties(&self) -> Result<&StringArray> {
        get_or_try_init(&self.properties, || {
            Ok(self
                .segment
                .decode(self.section, Column::Properties)?
                .as_string()
                .clone())
        })
    }

    pub fn event_codes(&self) -> Result<EventCodes<'_>> {
        let events = get_or_try_init(&self.events, || {
            let array = self.segment.decode(self.section, Column::Event)?;
            if array.null_count() > 0 {
                return Err(self.damaged("an event without a name"));
            }
            Ok(array)
        })?;
        match events.data_type() {
            DataType::Dictionary(key, _) if **key == DataType::Int8 => Ok(EventCodes::I8(
                events.as_dictionary::<Int8Type>().keys().values(),
            )),
            DataType::Dictionary(key, _) if **key == DataType::Int16 => Ok(EventCodes::I16(
                events.as_dictionary::<Int16Type>().keys().values(),
            )),
            DataType::Dictionary(key, _) if **key == DataType::Int32 => Ok(EventCodes::I32(
                events.as_dictionary::<Int32Type>().keys().values(),
            )),
            _ => Err(self.damaged("the event column is no dictionary")),
        }
    }

    /// First seq of each commit group of the file, and when it was received.
    pub fn received(&self) -> Result<(&[i64], &[i64])> {
        let (seqs, times) = get_or_try_init(&self.received, || self.segment.received())?;
        Ok((seqs, times))
    }

    /// Hashes of the event ids, ascending, and the row of each.
    pub fn id_index(&self) -> Result<(&[u32], &[u32])> {
        let (hashes, rows) = get_or_try_init(&self.id_index, || {
            let section = self.section as u32;
            let hashes: ScalarBuffer<u32> = self.segment.typed(ArrayKind::IdHashes, section)?;
            let rows: ScalarBuffer<u32> = self.segment.typed(ArrayKind::IdRows, section)?;
            let count = self.statistics().rows;
            if hashes.len() != count
                || rows.len() != count
                || rows.iter().any(|&row| row as usize >= count)
            {
                return Err(self.damaged("the id index does not fit the rows"));
            }
            Ok((hashes, rows))
        })?;
        Ok((hashes, rows))
    }

    pub fn event_counts(&self) -> Result<Vec<EventCount>> {
        let section = self.section as u32;
        let counts: ScalarBuffer<i64> = self.segment.typed(ArrayKind::EventCounts, section)?;
        let count = |four: &[i64]| EventCount {
            event: four[0] as u32,
            count: four[1] as u64,
            first_us: four[2],
            last_us: four[3],
        };
        Ok(counts.chunks_exact(4).map(count).collect())
    }

    pub fn property_keys(&self) -> Result<BTreeMap<u32, Vec<String>>> {
        let bytes = self
            .segment
            .array(ArrayKind::PropertyKeys, self.section as u32)?;
        serde_json::from_slice(&bytes).map_err(|error| self.damaged(&error.to_string()))
    }
}

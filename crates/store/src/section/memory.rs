//! Sections in memory: how a commit group becomes sorted sections, and how sections of the same
//! day are merged as chunks grow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use vitalog_event::{day_of_timestamp_us, top_level_keys};

use super::{Identities, RunActivity, RunIndex, Section, SectionStatistics, merge_order};
use crate::error::{Result, StoreError};
use crate::symbols::Symbols;

/// The columns of a section in memory; equal lengths.
#[derive(Clone, Debug)]
pub(crate) struct MemoryColumns {
    pub event_ids: StringArray,
    pub times: TimestampMicrosecondArray,
    pub seqs: Int64Array,
    /// Event symbols.
    pub events: UInt32Array,
    pub values: Float64Array,
    pub properties: StringArray,
}

/// Property keys kept for one event name; more are left out of the catalogue.
pub(crate) const PROPERTY_KEYS_MAX: usize = 256;

/// A section in memory.
#[derive(Debug)]
pub(crate) struct MemorySection {
    pub columns: MemoryColumns,
    pub runs: RunIndex,
    /// Where trait events are among the rows.
    pub activity: Option<RunActivity>,
    pub identities: Arc<Identities>,
    /// (first seq, received at) of the commit groups, ascending, covering the rows.
    pub received: Arc<Vec<(i64, i64)>>,
    pub symbols: Arc<Symbols>,
}

impl MemoryColumns {
    fn arrays(&self) -> [ArrayRef; 6] {
        [
            Arc::new(self.event_ids.clone()),
            Arc::new(self.times.clone()),
            Arc::new(self.seqs.clone()),
            Arc::new(self.events.clone()),
            Arc::new(self.values.clone()),
            Arc::new(self.properties.clone()),
        ]
    }

    fn from_arrays(arrays: &[ArrayRef]) -> Self {
        Self {
            event_ids: arrays[0].as_string().clone(),
            times: arrays[1].as_primitive::<TimestampMicrosecondType>().clone(),
            seqs: arrays[2].as_primitive::<Int64Type>().clone(),
            events: arrays[3].as_primitive::<UInt32Type>().clone(),
            values: arrays[4].as_primitive::<Float64Type>().clone(),
            properties: arrays[5].as_string().clone(),
        }
    }

    pub fn len(&self) -> usize {
        self.times.len()
    }

    pub fn bytes(&self) -> usize {
        let text = |column: &StringArray| {
            let offsets = column.value_offsets();
            (offsets[column.len()] - offsets[0]) as usize + column.len() * 4
        };
        text(&self.event_ids) + text(&self.properties) + self.len() * 28
    }

    fn slice(&self, start: usize, length: usize) -> Self {
        Self {
            event_ids: self.event_ids.slice(start, length),
            times: self.times.slice(start, length),
            seqs: self.seqs.slice(start, length),
            events: self.events.slice(start, length),
            values: self.values.slice(start, length),
            properties: self.properties.slice(start, length),
        }
    }

    /// The activity of `runs`, which are of these rows.
    pub fn activity(&self, runs: &RunIndex, is_trait: impl Fn(u32) -> bool) -> RunActivity {
        let events = self.events.values();
        RunActivity::build(runs, self.times.values(), |row| !is_trait(events[row]))
    }

    /// Rows of several sources of any tier, each named by (source, row).
    pub fn interleave(sources: &[&Section], rows: &[(usize, usize)]) -> Result<Self> {
        let arrays = sources
            .iter()
            .map(|section| Ok(section.columns()?.arrays()))
            .collect::<Result<Vec<_>>>()?;
        let merged = (0..6)
            .map(|column| {
                let column: Vec<&dyn Array> = arrays
                    .iter()
                    .map(|arrays| arrays[column].as_ref())
                    .collect();
                interleave(&column, rows)
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(StoreError::arrow("section"))?;
        Ok(Self::from_arrays(&merged))
    }

    /// The rows `indices`, in their order.
    fn take(&self, indices: &UInt32Array) -> Result<Self> {
        let taken = self
            .arrays()
            .iter()
            .map(|array| take(array.as_ref(), indices, None))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(StoreError::arrow("section"))?;
        Ok(Self::from_arrays(&taken))
    }
}

impl Section {
    /// The columns in the shape of a section in memory: events as symbols. Of a file they lie in
    /// the map, but for events.
    pub(crate) fn columns(&self) -> Result<MemoryColumns> {
        if let Some(memory) = self.memory() {
            return Ok(memory.columns.clone());
        }
        let symbols = self.event_table(|symbol| symbol)?;
        let codes = self.event_codes()?;
        let events = (0..self.rows()).map(|row| symbols[codes.index(row)]);
        Ok(MemoryColumns {
            event_ids: self.event_ids()?.clone(),
            times: self.time_column()?.clone(),
            seqs: self.seq_column()?.clone(),
            events: UInt32Array::from_iter_values(events),
            values: self.values()?.clone(),
            properties: self.properties()?.clone(),
        })
    }

    pub(crate) fn memory(&self) -> Option<&MemorySection> {
        match &self.source {
            super::Source::Memory(section) => Some(section),
            super::Source::File(_) | super::Source::Cold(_) => None,
        }
    }

    pub(crate) fn collect_property_keys(&self) -> Result<BTreeMap<u32, Vec<String>>> {
        let symbols = self.event_table(|symbol| symbol)?;
        let codes = self.event_codes()?;
        let properties = self.properties()?;
        let mut keys: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for row in (0..self.rows()).filter(|&row| properties.is_valid(row)) {
            let known = keys.entry(symbols[codes.index(row)]).or_default();
            top_level_keys(properties.value(row), |key| {
                if known.len() < PROPERTY_KEYS_MAX && !known.contains(key) {
                    known.insert(key.to_owned());
                }
            });
        }
        Ok(keys
            .into_iter()
            .map(|(event, keys)| (event, keys.into_iter().collect()))
            .collect())
    }
}

/// Statistics of columns that hold at least one row, all of one day.
fn statistics(columns: &MemoryColumns, is_trait: impl Fn(u32) -> bool) -> SectionStatistics {
    let bounds = |values: &[i64]| {
        let low = values.iter().copied().min().expect("a section has rows");
        let high = values.iter().copied().max().expect("a section has rows");
        (low, high)
    };
    let (time_min_us, time_max_us) = bounds(columns.times.values());
    let (seq_min, seq_max) = bounds(columns.seqs.values());
    SectionStatistics {
        day: day_of_timestamp_us(time_min_us),
        rows: columns.len(),
        time_min_us,
        time_max_us,
        seq_min,
        seq_max,
        has_trait_events: columns.events.values().iter().any(|&event| is_trait(event)),
    }
}

/// The symbols of `$group` and `$identify`, where the store has seen them.
pub(crate) fn trait_event_test(symbols: &Symbols) -> impl Fn(u32) -> bool + use<> {
    let group = symbols.lookup(crate::Domain::Event, vitalog_event::GROUP_EVENT);
    let identify = symbols.lookup(crate::Domain::Event, vitalog_event::IDENTIFY_EVENT);
    move |event| Some(event) == group || Some(event) == identify
}

/// Sorts the rows of a commit group into sections, one a day, ordered by day.
///
/// `columns` are in arrival order with ascending seqs; `members` is the member symbol of each row.
/// Cost: one sort of (day, member, time) keys.
pub(crate) fn sections_of_group(
    columns: &MemoryColumns,
    members: &[u32],
    received_at_us: i64,
    symbols: &Arc<Symbols>,
) -> Result<Vec<Arc<Section>>> {
    let times = columns.times.values();
    let mut order: Vec<(i32, u32, i64, u32)> = (0..columns.len())
        .map(|row| {
            (
                day_of_timestamp_us(times[row]),
                members[row],
                times[row],
                row as u32,
            )
        })
        .collect();
    order.sort_unstable();
    let indices = UInt32Array::from_iter_values(order.iter().map(|key| key.3));
    let sorted = columns.take(&indices)?;
    let received = Arc::new(vec![(columns.seqs.value(0), received_at_us)]);
    let is_trait = trait_event_test(symbols);
    let mut sections = Vec::new();
    let mut start = 0;
    for day in order.chunk_by(|left, right| left.0 == right.0) {
        let slice = sorted.slice(start, day.len());
        let mut members = Vec::new();
        let mut starts = Vec::new();
        for (row, key) in day.iter().enumerate() {
            if members.last() != Some(&key.1) {
                members.push(key.1);
                starts.push(row as u32);
            }
        }
        sections.push(assemble(
            slice,
            members,
            starts,
            Arc::clone(&received),
            symbols,
            &is_trait,
        ));
        start += day.len();
    }
    Ok(sections)
}

/// One section from several of the same day in memory.
pub(crate) fn merge_sections(
    sources: &[&Section],
    received: Arc<Vec<(i64, i64)>>,
    symbols: &Arc<Symbols>,
) -> Result<Arc<Section>> {
    let order = merge_order(sources, |member| member)?;
    let columns = MemoryColumns::interleave(sources, &order.rows)?;
    let is_trait = trait_event_test(symbols);
    Ok(assemble(
        columns,
        order.members,
        order.starts,
        received,
        symbols,
        &is_trait,
    ))
}

/// A copy in memory of the rows of `section` that `keep` keeps, where there are any: the source
/// of a file without the others.
pub(crate) fn copy_of_rows(
    section: &Section,
    symbols: &Arc<Symbols>,
    keep: impl Fn(usize) -> bool,
) -> Result<Option<Arc<Section>>> {
    let order = merge_order(&[section], |member| member)?;
    let (mut indices, mut members, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for (run, &member) in order.members.iter().enumerate() {
        let end = order
            .starts
            .get(run + 1)
            .map_or(order.rows.len(), |&start| start as usize);
        let start = indices.len();
        let rows = &order.rows[order.starts[run] as usize..end];
        let kept = rows.iter().map(|&(_, row)| row).filter(|&row| keep(row));
        indices.extend(kept.map(|row| row as u32));
        if indices.len() > start {
            members.push(member);
            starts.push(start as u32);
        }
    }
    if indices.is_empty() {
        return Ok(None);
    }
    let columns = section.columns()?.take(&indices.into())?;
    let received = Arc::new(section.received_pairs()?);
    let is_trait = trait_event_test(symbols);
    let copy = assemble(columns, members, starts, received, symbols, &is_trait);
    Ok(Some(copy))
}

fn assemble(
    columns: MemoryColumns,
    members: Vec<u32>,
    starts: Vec<u32>,
    received: Arc<Vec<(i64, i64)>>,
    symbols: &Arc<Symbols>,
    is_trait: &impl Fn(u32) -> bool,
) -> Arc<Section> {
    let codes = (0..members.len() as u32).collect();
    let runs = RunIndex::build(codes, starts, columns.times.values());
    let identities = Arc::new(Identities::of_chunk(symbols, members));
    let statistics = statistics(&columns, is_trait);
    let activity = statistics
        .has_trait_events
        .then(|| columns.activity(&runs, is_trait));
    let symbols = Arc::clone(symbols);
    let section = MemorySection {
        columns,
        runs,
        activity,
        identities,
        received,
        symbols,
    };
    Arc::new(Section::in_memory(statistics, section))
}

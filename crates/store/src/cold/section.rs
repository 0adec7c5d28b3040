//! One reader's view of a cold file. What it decodes lives as long as it, whatever the cache keeps.
//!
//! Few rows are read from their pages; once a section has given more than an eighth of a column
//! that way, the column is decoded whole, so that a scan in small batches reads nothing twice.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    new_empty_array,
};

use super::blocks::CheckedFile;
use super::cache::Part;
use super::columns::{EventKeys, decode, decode_pages};
use super::file::{ColdFile, Opened};
use super::identities::{ColdIdentities, FileEvents};
use super::schema::{Column, viewed_schema};
use crate::error::Result;
use crate::filter::RowFilter;
use crate::promoted::PromotedColumn;
use crate::section::{
    EventCodes, EventCount, Identities, IdentityStrings, RunActivity, RunBounds, RunIndex,
    SectionStatistics, trait_event_test,
};
use crate::segment::{get_or_try_init, id_hash};
use crate::symbols::Domain;

/// One part of the rows in so many is read from pages at most.
const PAGES_PART: usize = 8;

/// The rows of a cold file. Columns are decoded on first touch and kept.
#[derive(Debug)]
pub(crate) struct ColdSection {
    file: Arc<ColdFile>,
    opened: OnceLock<(Arc<Opened>, Arc<CheckedFile>)>,
    events: OnceLock<Arc<FileEvents>>,
    identities: OnceLock<Arc<ColdIdentities>>,
    runs: OnceLock<Arc<RunIndex>>,
    activity: OnceLock<Arc<RunActivity>>,
    event_ids: OnceLock<StringArray>,
    times: OnceLock<TimestampMicrosecondArray>,
    received: OnceLock<TimestampMicrosecondArray>,
    seqs: OnceLock<Int64Array>,
    event_keys: OnceLock<Arc<EventKeys>>,
    values: OnceLock<Float64Array>,
    properties: OnceLock<StringArray>,
    id_index: OnceLock<Arc<IdIndex>>,
    /// Rows of each column that were read from pages.
    from_pages: [AtomicUsize; Column::ALL.len()],
}

/// Hashes of the event ids, ascending, and the row of each.
#[derive(Debug)]
struct IdIndex {
    hashes: Vec<u32>,
    rows: Vec<u32>,
}

impl ColdSection {
    pub fn new(file: Arc<ColdFile>) -> Self {
        Self {
            file,
            opened: OnceLock::new(),
            events: OnceLock::new(),
            identities: OnceLock::new(),
            runs: OnceLock::new(),
            activity: OnceLock::new(),
            event_ids: OnceLock::new(),
            times: OnceLock::new(),
            received: OnceLock::new(),
            seqs: OnceLock::new(),
            event_keys: OnceLock::new(),
            values: OnceLock::new(),
            properties: OnceLock::new(),
            id_index: OnceLock::new(),
            from_pages: Default::default(),
        }
    }

    pub fn statistics(&self) -> &SectionStatistics {
        self.file.statistics()
    }

    /// The file, open for as long as this section lives.
    fn open(&self) -> Result<(&Arc<Opened>, &Arc<CheckedFile>)> {
        let (opened, file) = get_or_try_init(&self.opened, || self.file.open())?;
        Ok((opened, file))
    }

    fn events(&self) -> Result<&Arc<FileEvents>> {
        get_or_try_init(&self.events, || {
            self.file
                .cached(Part::Events, || FileEvents::read(&self.file))
        })
    }

    /// Event code → symbol.
    pub fn event_symbols(&self) -> Result<&[u32]> {
        Ok(&self.events()?.symbols)
    }

    fn cold_identities(&self) -> Result<&Arc<ColdIdentities>> {
        get_or_try_init(&self.identities, || {
            let events = self.events()?;
            self.file.cached(Part::Identities, || {
                ColdIdentities::read(&self.file, events)
            })
        })
    }

    pub fn identities(&self) -> Result<&Arc<Identities>> {
        Ok(&self.cold_identities()?.identities)
    }

    pub fn strings(&self) -> Result<&IdentityStrings> {
        let strings = self.identities()?.strings.get();
        Ok(strings.expect("set where identities of a cold file are made"))
    }

    /// Where the runs lie: the identity columns are read, and no other.
    pub fn run_bounds(&self) -> Result<&RunBounds> {
        Ok(&self.cold_identities()?.bounds)
    }

    /// The run index. Cost: identity columns and times.
    pub fn runs(&self) -> Result<&RunIndex> {
        let runs = get_or_try_init(&self.runs, || {
            let bounds = self.run_bounds()?;
            self.file.cached(Part::Runs, || {
                let runs = RunIndex::of_bounds(bounds.clone(), self.times()?.values());
                let bytes = runs.len() * 16;
                Ok((runs, bytes))
            })
        })?;
        Ok(runs)
    }

    /// The activity of each run; `None` where every row is activity.
    pub fn activity(&self) -> Result<Option<&RunActivity>> {
        if !self.statistics().has_trait_events {
            return Ok(None);
        }
        let activity = get_or_try_init(&self.activity, || {
            self.file.cached(Part::Activity, || {
                let is_trait = trait_event_test(self.file.symbols());
                let symbols = self.event_symbols()?.iter();
                let is_trait: Vec<bool> = symbols.map(|&symbol| is_trait(symbol)).collect();
                let (runs, codes) = (self.runs()?, self.event_codes()?);
                let times = self.times()?.values();
                let activity = RunActivity::build(runs, times, |row| !is_trait[codes.index(row)]);
                let bytes = runs.len() * 20;
                Ok((activity, bytes))
            })
        })?;
        Ok(Some(activity))
    }

    /// A whole column, from the cache or the file.
    fn column(&self, column: Column) -> Result<ArrayRef> {
        let array = self.file.cached(Part::Column(column), || {
            let (opened, file) = self.open()?;
            let array = decode(file, &opened.coded, column)?;
            let bytes = array.get_array_memory_size();
            Ok((array, bytes))
        })?;
        Ok(Arc::clone(&array))
    }

    pub fn event_ids(&self) -> Result<&StringArray> {
        get_or_try_init(&self.event_ids, || {
            Ok(self.column(Column::EventId)?.as_string().clone())
        })
    }

    pub fn times(&self) -> Result<&TimestampMicrosecondArray> {
        get_or_try_init(&self.times, || {
            let array = self.column(Column::Time)?;
            Ok(array.as_primitive::<TimestampMicrosecondType>().clone())
        })
    }

    /// `received_at` of each row.
    pub fn received_times(&self) -> Result<&TimestampMicrosecondArray> {
        get_or_try_init(&self.received, || {
            let array = self.column(Column::Received)?;
            Ok(array.as_primitive::<TimestampMicrosecondType>().clone())
        })
    }

    /// The lowest seq that was received later than `known_at_us`, where there is one. Cost: two
    /// columns, where the entry alone does not say.
    pub fn first_seq_after(&self, known_at_us: i64) -> Result<Option<i64>> {
        let entry = self.file.entry();
        if known_at_us >= entry.received_max_us {
            return Ok(None);
        }
        if known_at_us < entry.received_min_us {
            return Ok(Some(entry.statistics.seq_min));
        }
        let rows = self
            .received_times()?
            .values()
            .iter()
            .zip(self.seqs()?.values());
        let later = rows.filter(|&(&received_us, _)| received_us > known_at_us);
        Ok(later.map(|(_, &seq)| seq).min())
    }

    pub fn seqs(&self) -> Result<&Int64Array> {
        get_or_try_init(&self.seqs, || {
            let array = self.column(Column::Seq)?;
            Ok(array.as_primitive::<Int64Type>().clone())
        })
    }

    pub fn values(&self) -> Result<&Float64Array> {
        get_or_try_init(&self.values, || {
            let array = self.column(Column::Value)?;
            Ok(array.as_primitive::<Float64Type>().clone())
        })
    }

    pub fn properties(&self) -> Result<&StringArray> {
        get_or_try_init(&self.properties, || {
            Ok(self.column(Column::Properties)?.as_string().clone())
        })
    }

    pub fn event_codes(&self) -> Result<EventCodes<'_>> {
        let keys = get_or_try_init(&self.event_keys, || {
            let events = self.events()?;
            self.file.cached(Part::Column(Column::Event), || {
                let (opened, file) = self.open()?;
                let keys = EventKeys::decode(file, &opened.coded, &events.names)?;
                let bytes = keys.bytes();
                Ok((keys, bytes))
            })
        })?;
        Ok(keys.codes())
    }

    /// Hashes of the event ids, ascending, and the row of each. Cost: the first time the ids are
    /// decoded and sorted; the cache then holds both.
    pub fn id_index(&self) -> Result<(&[u32], &[u32])> {
        let index = get_or_try_init(&self.id_index, || {
            self.file.cached(Part::IdIndex, || {
                let ids = self.event_ids()?;
                let mut pairs: Vec<(u32, u32)> = (0..ids.len())
                    .map(|row| (id_hash(ids.value(row)), row as u32))
                    .collect();
                pairs.sort_unstable();
                let (hashes, rows): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
                let bytes = hashes.len() * 8;
                Ok((IdIndex { hashes, rows }, bytes))
            })
        })?;
        Ok((&index.hashes, &index.rows))
    }

    pub fn event_counts(&self) -> Result<Vec<EventCount>> {
        Ok(self.events()?.counts.clone())
    }

    /// The typed column of the property `key`, where it was promoted.
    pub fn promoted(&self, key: &str) -> Result<Option<Arc<PromotedColumn>>> {
        let blob = self.file.promoted()?;
        let Some(blob) = blob.as_ref() else {
            return Ok(None);
        };
        let column = blob
            .column(key)
            .map_err(|reason| self.file.damaged(reason))?;
        Ok(column.map(Arc::new))
    }

    pub fn property_keys(&self) -> Result<BTreeMap<u32, Vec<String>>> {
        let events = self.events()?;
        let known = events.symbols.iter().copied().zip(&events.property_keys);
        Ok(known
            .filter_map(|(symbol, keys)| Some((symbol, keys.clone()?)))
            .collect())
    }

    /// Whether a row with one of the filter's accounts, and one with one of its users, may be here.
    /// Asks the bloom filters while the identities are not known.
    pub fn may_hold(&self, filter: &RowFilter) -> Result<bool> {
        if self.identities.get().is_some() || self.file.is_cached(Part::Identities) {
            return Ok(true);
        }
        for (domain, symbols) in [
            (Domain::Account, &filter.accounts),
            (Domain::User, &filter.users),
        ] {
            if let Some(symbols) = symbols
                && !self.file.may_hold_any(domain, symbols)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The rows of `ranges` of those columns of `projection` (places among the columns of `events`)
    /// that are worth reading from their pages; the others are, or become, decoded whole.
    pub fn pages(
        &self,
        ranges: &[Range<usize>],
        projection: &[usize],
    ) -> Result<BTreeMap<usize, ArrayRef>> {
        let wanted = ranges.iter().map(ExactSizeIterator::len).sum();
        let mut columns: Vec<Column> = projection
            .iter()
            .filter_map(|&at| Column::ALL.get(at).copied())
            .filter(|&column| !self.is_decoded(column) && self.are_few(column, wanted))
            .collect();
        columns.sort_unstable_by_key(|&column| column as usize);
        columns.dedup();
        if columns.is_empty() {
            return Ok(BTreeMap::new());
        }
        let arrays = if wanted == 0 {
            let schema = viewed_schema();
            let empty =
                |&column: &Column| new_empty_array(schema.field(column as usize).data_type());
            columns.iter().map(empty).collect()
        } else {
            let (opened, file) = self.open()?;
            let ranges: Vec<_> = ranges
                .iter()
                .filter(|rows| !rows.is_empty())
                .cloned()
                .collect();
            decode_pages(
                file,
                &opened.viewed,
                &columns,
                &ranges,
                self.statistics().rows,
            )?
        };
        let places = columns.into_iter().map(|column| column as usize);
        Ok(places.zip(arrays).collect())
    }

    /// Whether `wanted` rows more are still few; counts them.
    fn are_few(&self, column: Column, wanted: usize) -> bool {
        let before = self.from_pages[column as usize].fetch_add(wanted, Ordering::Relaxed);
        (before + wanted) * PAGES_PART <= self.statistics().rows
    }

    fn is_decoded(&self, column: Column) -> bool {
        let (here, part) = match column {
            Column::EventId => (self.event_ids.get().is_some(), Part::Column(column)),
            Column::Time => (self.times.get().is_some(), Part::Column(column)),
            Column::Received => (self.received.get().is_some(), Part::Column(column)),
            Column::Seq => (self.seqs.get().is_some(), Part::Column(column)),
            Column::Event => (self.event_keys.get().is_some(), Part::Column(column)),
            Column::Account | Column::User => (self.identities.get().is_some(), Part::Identities),
            Column::Value => (self.values.get().is_some(), Part::Column(column)),
            Column::Properties => (self.properties.get().is_some(), Part::Column(column)),
            Column::Day => (false, Part::Column(column)),
        };
        here || self.file.is_cached(part)
    }

    /// Bytes of what was decoded so far, the cache's share included.
    pub fn decoded_bytes(&self) -> usize {
        let texts = [&self.event_ids, &self.properties].map(|text| text.get());
        let times = [&self.times, &self.received].map(|times| times.get());
        let bytes = |array: &dyn Array| array.get_array_memory_size();
        texts
            .into_iter()
            .flatten()
            .map(|text| bytes(text))
            .sum::<usize>()
            + times
                .into_iter()
                .flatten()
                .map(|time| bytes(time))
                .sum::<usize>()
            + self.seqs.get().map_or(0, |seqs| bytes(seqs))
            + self.values.get().map_or(0, |values| bytes(values))
            + self.event_keys.get().map_or(0, |keys| keys.bytes())
            + self.id_index.get().map_or(0, |index| index.rows.len() * 8)
    }
}

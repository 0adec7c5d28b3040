//! `event_catalog`: each event name with its times, count and property keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use arrow::record_batch::RecordBatch;
use vitalog_event::top_level_keys;
use vitalog_store::{Domain, EventCount, Section};

use super::Result;
use super::entities::timestamps;
use super::runs::{damage, seen_sections};
use crate::snapshot::StatementSnapshot;
use crate::tables::TableName;

#[derive(Debug)]
struct Entry {
    count: i64,
    first_us: i64,
    last_us: i64,
    property_keys: BTreeSet<String>,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            count: 0,
            first_us: i64::MAX,
            last_us: i64::MIN,
            property_keys: BTreeSet::new(),
        }
    }
}

impl Entry {
    fn add(&mut self, count: u64, first_us: i64, last_us: i64) {
        self.count += count as i64;
        self.first_us = self.first_us.min(first_us);
        self.last_us = self.last_us.max(last_us);
    }
}

/// The rows of `event_catalog`, by name.
pub(super) fn event_catalog(snapshot: &StatementSnapshot) -> Result<RecordBatch> {
    let mut entries: BTreeMap<u32, Entry> = BTreeMap::new();
    let filter = snapshot.row_filter();
    for section in seen_sections(snapshot) {
        let section = section?;
        if section.is_kept_whole_by(&filter) {
            add_counts(&mut entries, &section)?;
        } else {
            add_rows(&mut entries, snapshot, &section)?;
        }
    }
    let symbols: Vec<u32> = entries.keys().copied().collect();
    let names = snapshot
        .snapshot
        .symbols()
        .resolve_all(Domain::Event, &symbols);
    let mut rows: Vec<(&str, &Entry)> = names.iter().flatten().zip(entries.values()).collect();
    rows.sort_unstable_by_key(|row| row.0);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
        timestamps(rows.iter().map(|row| Some(row.1.first_us))),
        timestamps(rows.iter().map(|row| Some(row.1.last_us))),
        Arc::new(Int64Array::from_iter_values(
            rows.iter().map(|row| row.1.count),
        )),
        key_lists(&rows),
    ];
    Ok(RecordBatch::try_new(
        TableName::EventCatalog.schema(),
        columns,
    )?)
}

fn add_counts(entries: &mut BTreeMap<u32, Entry>, section: &Section) -> Result<()> {
    for EventCount {
        event,
        count,
        first_us,
        last_us,
    } in section.event_counts().map_err(damage)?
    {
        entries
            .entry(event)
            .or_default()
            .add(count, first_us, last_us);
    }
    for (event, keys) in section.property_keys().map_err(damage)? {
        entries.entry(event).or_default().property_keys.extend(keys);
    }
    Ok(())
}

fn add_rows(
    entries: &mut BTreeMap<u32, Entry>,
    snapshot: &StatementSnapshot,
    section: &Section,
) -> Result<()> {
    let selection = section.select(&snapshot.row_filter()).map_err(damage)?;
    let symbols = section.event_table(|event| event).map_err(damage)?;
    let codes = section.event_codes().map_err(damage)?;
    let times = section.times().map_err(damage)?;
    let properties = section.properties().map_err(damage)?;
    for row in selection.ranges().iter().flat_map(Clone::clone) {
        let entry = entries.entry(symbols[codes.index(row)]).or_default();
        entry.add(1, times[row], times[row]);
        if properties.is_valid(row) {
            top_level_keys(properties.value(row), |key| {
                if !entry.property_keys.contains(key) {
                    entry.property_keys.insert(key.to_owned());
                }
            });
        }
    }
    Ok(())
}

fn key_lists(rows: &[(&str, &Entry)]) -> ArrayRef {
    let item = Field::new_list_field(DataType::Utf8, false);
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(item);
    for (_, entry) in rows {
        for key in &entry.property_keys {
            lists.values().append_value(key);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

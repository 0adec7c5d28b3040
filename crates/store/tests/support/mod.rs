//! What the store's tests share: events by number, and the whole content of a snapshot.
#![allow(dead_code, clippy::unwrap_used)]

pub mod bytes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use vitalog_disk::{Directory, Fault, FaultPlan};
use vitalog_event::{DAY_US, EventBatch, EventBatchBuilder, EventDraft};
use vitalog_store::{Clock, RowFilter, Snapshot, Store, StoreConfig};

/// 2025-03-01T00:00:00Z.
pub const START_US: i64 = 1_740_787_200_000_000;

/// A clock that moves only when told.
#[derive(Debug)]
pub struct TestClock(pub AtomicI64);

impl Clock for TestClock {
    fn now_us(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

pub fn clock() -> Arc<TestClock> {
    Arc::new(TestClock(AtomicI64::new(START_US + 30 * DAY_US)))
}

/// One event as plain values; `None` of account, user, value and properties is null.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: String,
    pub time_us: i64,
    pub name: String,
    pub account: Option<String>,
    pub user: Option<String>,
    pub value: Option<f64>,
    pub properties: Option<String>,
}

impl Event {
    /// Event `n` of a fixed, varied world: a few accounts and users, several days, some nulls.
    pub fn numbered(n: u64) -> Self {
        let mix = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        Self {
            id: format!("event-{n:08}"),
            time_us: START_US + (mix % 5) as i64 * DAY_US + (mix / 5 % 86_400) as i64 * 1_000_000,
            name: format!("name {}", mix % 7),
            account: (!mix.is_multiple_of(11)).then(|| format!("account {}", mix % 4)),
            user: (!mix.is_multiple_of(13)).then(|| format!("user {}", mix / 7 % 9)),
            value: mix.is_multiple_of(3).then_some(mix as f64 / 8.0),
            properties: mix
                .is_multiple_of(2)
                .then(|| format!("{{\"k{}\":{n}}}", mix % 3)),
        }
    }

    pub fn draft(&self) -> EventDraft<'_> {
        EventDraft {
            event_id: Some(&self.id),
            event_time_us: Some(self.time_us),
            event: Some(&self.name),
            account_id: self.account.as_deref(),
            user_id: self.user.as_deref(),
            value: self.value,
            properties: self.properties.as_deref(),
            ..EventDraft::default()
        }
    }

    /// The order of rows in a segment: nulls last.
    pub fn sort_key(&self, seq: i64) -> impl Ord + use<'_> {
        let part = |text: &'_ Option<String>| (text.is_none(), text.clone().unwrap_or_default());
        (part(&self.account), part(&self.user), self.time_us, seq)
    }
}

pub fn batch(events: &[Event]) -> EventBatch {
    let mut builder = EventBatchBuilder::new(START_US + 365 * DAY_US);
    for event in events {
        assert!(builder.push(&event.draft()), "{event:?} is valid");
    }
    builder.finish().0
}

pub fn numbered(range: std::ops::Range<u64>) -> Vec<Event> {
    range.map(Event::numbered).collect()
}

/// Small sizes, so that a few events fill files and memtables.
pub fn small() -> StoreConfig {
    StoreConfig {
        wal_file_bytes: 64 << 10,
        memtable_events_max: 500,
        reserved_bytes: 0,
        ..StoreConfig::default()
    }
}

pub fn open(directory: &(impl Directory + Clone)) -> vitalog_store::Result<Store> {
    Ok(Store::open(Arc::new(directory.clone()), small(), clock())?.0)
}

/// A failure at the operation `at`, of another kind at each `step`: a full disk, an error, syncs
/// that fail from there on. What such a sync was to make durable may be on the disk all the same.
pub fn fault_at(at: u64, step: u64) -> FaultPlan {
    match step % 3 {
        0 => FaultPlan::new().fail_operation(at, Fault::Full),
        1 => FaultPlan::new().fail_operation(at, Fault::Io),
        _ => FaultPlan::new().fail_syncs_from(at),
    }
}

/// All columns of `events` but `received_at`, by seq.
pub fn content(snapshot: &Snapshot) -> vitalog_store::Result<BTreeMap<i64, Event>> {
    filtered(snapshot, &RowFilter::up_to(snapshot.seq()))
}

/// The rows that pass `filter`, by seq, read over the SQL face in small batches.
pub fn filtered(
    snapshot: &Snapshot,
    filter: &RowFilter,
) -> vitalog_store::Result<BTreeMap<i64, Event>> {
    let mut rows = BTreeMap::new();
    for section in snapshot.sections(filter) {
        let section = section.open();
        for ranges in section.select(filter)?.batches(97) {
            let batch = section.batch(&ranges, &[0, 1, 2, 3, 4, 5, 6, 7, 8])?;
            for row in 0..batch.num_rows() {
                let (seq, event) = row_of(&batch, row);
                assert!(rows.insert(seq, event).is_none(), "seq {seq} stands twice");
            }
        }
    }
    Ok(rows)
}

fn row_of(batch: &RecordBatch, row: usize) -> (i64, Event) {
    let text = |column: usize| {
        let column = batch.column(column).as_string_view();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let values = batch.column(7).as_primitive::<Float64Type>();
    let event = Event {
        id: text(0).unwrap(),
        time_us: batch
            .column(1)
            .as_primitive::<TimestampMicrosecondType>()
            .value(row),
        name: text(4).unwrap(),
        account: text(5),
        user: text(6),
        value: values.is_valid(row).then(|| values.value(row)),
        properties: text(8),
    };
    (
        batch.column(3).as_primitive::<Int64Type>().value(row),
        event,
    )
}

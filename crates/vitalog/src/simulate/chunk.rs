//! A chunk of generated events as columns, in the shape in which they are written to Parquet.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimestampMicrosecondType};
use vitalog_event::schema::{
    ACCOUNT_ID, EVENT, EVENT_ID, EVENT_TIME, PROPERTIES, USER_ID, VALUE, timestamp_type,
};
use vitalog_event::{EventBatch, EventBatchBuilder, EventDraft, Rejection};

/// The columns of a chunk and of a generated Parquet file: `event_time` (timestamp µs, UTC),
/// `event`, `account_id` (nullable), `user_id` (nullable), `value` (double, nullable),
/// `properties` (JSON text, nullable), `event_id`.
#[must_use]
pub fn simulated_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
        Arc::new(Schema::new(vec![
            Field::new(EVENT_TIME, timestamp_type(), false),
            text(EVENT, false),
            text(ACCOUNT_ID, true),
            text(USER_ID, true),
            Field::new(VALUE, DataType::Float64, true),
            text(PROPERTIES, true),
            text(EVENT_ID, false),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// Generated events as columns, in order of arrival.
#[derive(Clone, Debug)]
pub struct SimulatedChunk {
    batch: RecordBatch,
}

impl SimulatedChunk {
    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns, with the schema of [`simulated_schema`].
    #[must_use]
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The events one by one, borrowed.
    pub fn drafts(&self) -> impl Iterator<Item = EventDraft<'_>> {
        let times = self
            .batch
            .column(0)
            .as_primitive::<TimestampMicrosecondType>();
        let text = |column: usize| self.batch.column(column).as_string::<i32>();
        let (events, accounts, users) = (text(1), text(2), text(3));
        let values = self.batch.column(4).as_primitive::<Float64Type>();
        let (properties, event_ids) = (text(5), text(6));
        let optional = |column: &arrow::array::StringArray, row| column.is_valid(row);
        (0..self.len()).map(move |row| EventDraft {
            event_id: Some(event_ids.value(row)),
            event_time_us: Some(times.value(row)),
            time_is_stamped: false,
            event: Some(events.value(row)),
            account_id: optional(accounts, row).then(|| accounts.value(row)),
            user_id: optional(users, row).then(|| users.value(row)),
            value: values.is_valid(row).then(|| values.value(row)),
            properties: optional(properties, row).then(|| properties.value(row)),
        })
    }

    /// The events as a validated batch. A generated event is valid, unless `now_us` lies more
    /// than a day before its time.
    #[must_use]
    pub fn to_event_batch(&self, now_us: i64) -> (EventBatch, Vec<Rejection>) {
        let mut builder = EventBatchBuilder::with_capacity(now_us, self.len());
        for draft in self.drafts() {
            builder.push(&draft);
        }
        builder.finish()
    }
}

/// One generated event, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct SimulatedRow<'a> {
    pub event_time_us: i64,
    pub event: &'a str,
    pub account_id: Option<&'a str>,
    pub user_id: Option<&'a str>,
    pub value: Option<f64>,
    pub properties: Option<&'a str>,
    pub event_id: &'a str,
}

/// Collects rows into a chunk.
#[derive(Debug)]
pub(super) struct ChunkBuilder {
    times: TimestampMicrosecondBuilder,
    events: StringBuilder,
    account_ids: StringBuilder,
    user_ids: StringBuilder,
    values: Float64Builder,
    properties: StringBuilder,
    event_ids: StringBuilder,
}

impl ChunkBuilder {
    /// Room for `rows`.
    pub(super) fn with_capacity(rows: usize) -> Self {
        let text = |bytes| StringBuilder::with_capacity(rows, rows * bytes);
        Self {
            times: TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC"),
            events: text(16),
            account_ids: text(11),
            user_ids: text(12),
            values: Float64Builder::with_capacity(rows),
            properties: text(56),
            event_ids: text(16),
        }
    }

    pub(super) fn push(&mut self, row: &SimulatedRow<'_>) {
        self.times.append_value(row.event_time_us);
        self.events.append_value(row.event);
        self.account_ids.append_option(row.account_id);
        self.user_ids.append_option(row.user_id);
        self.values.append_option(row.value);
        self.properties.append_option(row.properties);
        self.event_ids.append_value(row.event_id);
    }

    pub(super) fn finish(mut self) -> SimulatedChunk {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.times.finish()),
            Arc::new(self.events.finish()),
            Arc::new(self.account_ids.finish()),
            Arc::new(self.user_ids.finish()),
            Arc::new(self.values.finish()),
            Arc::new(self.properties.finish()),
            Arc::new(self.event_ids.finish()),
        ];
        let batch = RecordBatch::try_new(simulated_schema(), columns)
            .expect("the builders stand in the order of the schema and have equal lengths");
        SimulatedChunk { batch }
    }
}

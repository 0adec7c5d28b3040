//! The columns of the table `events`, in order: one place that names them.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The client's idempotency key.
pub const EVENT_ID: &str = "event_id";
/// When it happened.
pub const EVENT_TIME: &str = "event_time";
/// When the store took it.
pub const RECEIVED_AT: &str = "received_at";
/// Commit order, from 1.
pub const SEQ: &str = "seq";
/// The event's name.
pub const EVENT: &str = "event";
/// The customer account, nullable.
pub const ACCOUNT_ID: &str = "account_id";
/// The person, nullable.
pub const USER_ID: &str = "user_id";
/// An optional measure.
pub const VALUE: &str = "value";
/// Canonical JSON, nullable.
pub const PROPERTIES: &str = "properties";

/// `timestamp(µs, UTC)`, the type of every time in the store.
#[must_use]
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The schema of `events` as SQL sees it, text as `text_type` (Utf8 outside the process,
/// Utf8View inside).
#[must_use]
pub fn events_schema(text_type: &DataType) -> Schema {
    let text = |name: &str, nullable| Field::new(name, text_type.clone(), nullable);
    Schema::new(vec![
        text(EVENT_ID, false),
        Field::new(EVENT_TIME, timestamp_type(), false),
        Field::new(RECEIVED_AT, timestamp_type(), false),
        Field::new(SEQ, DataType::Int64, false),
        text(EVENT, false),
        text(ACCOUNT_ID, true),
        text(USER_ID, true),
        Field::new(VALUE, DataType::Float64, true),
        text(PROPERTIES, true),
    ])
}

/// The schema of `events` inside the process: text as Utf8View over mapped strings.
#[must_use]
pub fn events_view_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> =
        LazyLock::new(|| Arc::new(events_schema(&DataType::Utf8View)));
    Arc::clone(&SCHEMA)
}

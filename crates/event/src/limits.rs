//! The limits that stand on an event and on a batch of them. Lengths are UTF-8 bytes.

/// Longest `event_id`, `account_id` and `user_id`, in bytes.
pub const ID_BYTES_MAX: usize = 256;

/// Longest event name, in bytes.
pub const EVENT_BYTES_MAX: usize = 200;

/// Largest `properties` text of one event as it is given, in bytes.
pub const PROPERTIES_BYTES_MAX: usize = 64 * 1024;

/// Deepest nesting of `properties`; the outermost object is level 1.
pub const PROPERTIES_DEPTH_MAX: usize = 32;

/// How far ahead of the server's clock an `event_time` may lie, in microseconds: 24 hours.
pub const FUTURE_US_MAX: i64 = 24 * 60 * 60 * 1_000_000;

/// Most events in one batch.
pub const BATCH_EVENTS_MAX: usize = 1 << 20;

/// Most bytes of text (ids, names and properties) in one batch.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

//! What an event is: its schema, its limits, its identity, and the one constructor that validates it.
//!
//! This crate owns the meaning of a row. It does not know where rows are kept (`store`), how they
//! arrive (`server`, the importers) or how they are asked for (`query`). Its invariant: an
//! [`EventBatch`] that exists is valid, so nothing above it checks a row again.
#![forbid(unsafe_code)]

mod batch;
mod draft;
mod identity;
pub mod limits;
mod properties;
mod rejection;
pub mod schema;
mod time;

pub use batch::{EventBatch, EventBatchBuilder};
pub use draft::EventDraft;
pub use identity::{content_hash, content_id, random_id, request_id};
pub use properties::{PropertiesError, canonical_properties, top_level_keys};
pub use rejection::{Rejection, RejectionCode};
pub use time::{
    DAY_US, TimeError, TimeUnit, day_of_timestamp_us, day_start_us, format_timestamp_us,
    parse_timestamp_us, timestamp_us_from_number,
};

/// The event that sets an account's traits and, where it names a user, makes a member.
pub const GROUP_EVENT: &str = "$group";

/// The event that sets a user's traits.
pub const IDENTIFY_EVENT: &str = "$identify";

/// Whether `event` describes an entity rather than records an activity: `$group` and `$identify`.
#[must_use]
pub fn is_trait_event(event: &str) -> bool {
    event == GROUP_EVENT || event == IDENTIFY_EVENT
}

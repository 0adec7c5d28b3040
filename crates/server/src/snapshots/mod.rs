//! Published snapshots as the server hands them out: found and opened ([`Shelf`]), made and
//! scheduled ([`Publisher`]), and served over gRPC ([`Snapshots`]).
//!
//! Over HTTP the same shelf is served by `http`.

mod fetch;
mod files;
mod publisher;
mod schedule;
mod service;
mod shelf;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::files::is_place;
pub(crate) use self::publisher::Publisher;
pub(crate) use self::service::Snapshots;
pub(crate) use self::shelf::{OpenFile, Shelf};

//! The event store: a durable, append-only log of columns, sorted for questions about entities.
//!
//! It owns the way in (log, memtable, segments, manifest, symbols, recovery) and lends the way
//! out two faces of every [`Section`]: slices of codes for kernels, record batches for SQL. It is
//! synchronous, knows neither an async runtime nor a query engine, and takes time as a parameter.
//!
//! Invariants: an acknowledged event is durable and visible; a [`Snapshot`] never changes;
//! published files never change; corrupt bytes give an error that names file and place.
#![forbid(unsafe_code)]

mod config;
mod define;
mod definitions;
mod error;
mod filter;
mod flush;
mod group;
mod idempotency;
mod manifest;
mod memtable;
mod open;
mod replay;
mod section;
mod segment;
mod snapshot;
mod stats;
mod store;
mod symbols;
mod verify;
mod wal;
mod writer;

pub use config::{Clock, Durability, StoreConfig, SystemClock};
pub use definitions::{Definition, DefinitionKind, DefinitionReceipt};
pub use error::{Result, StoreError, StoreErrorKind};
pub use filter::{RowFilter, SymbolSet};
pub use open::{OpenReport, Quarantined};
pub use section::{
    EventCodes, EventCount, IdentityStrings, MemberSummary, Run, RunIndex, Section,
    SectionStatistics, Selection,
};
pub use snapshot::{Slice, Snapshot};
pub use stats::StoreStatistics;
pub use store::Store;
pub use symbols::{Domain, Member, NULL_SYMBOL, Symbols};
pub use verify::{Damage, VerifyReport, verify_directory};
pub use writer::{AppendReceipt, Reply};

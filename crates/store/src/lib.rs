//! The event store: a durable, append-only log of columns, sorted for questions about entities.
//!
//! It owns the way in (log, memtable, segments, manifest, symbols, recovery) and lends the way
//! out two faces of every [`Section`]: slices of codes for kernels, record batches for SQL. It is
//! synchronous, knows neither an async runtime nor a query engine, and takes time as a parameter.
//!
//! Invariants: an acknowledged event is durable and visible; a [`Snapshot`] never changes;
//! published files never change; corrupt bytes give an error that names file and place.
#![forbid(unsafe_code)]

mod backup;
mod cold;
mod command;
mod config;
mod copy;
mod define;
mod definitions;
mod error;
mod filter;
mod flush;
mod group;
mod idempotency;
mod imports;
mod ledger;
mod manifest;
mod memtable;
mod open;
mod promoted;
mod published;
mod quarantine;
mod removal;
mod repair;
mod replay;
mod room;
mod section;
mod segment;
mod snapshot;
mod spool;
mod stats;
mod store;
mod symbols;
mod upkeep;
mod verify;
mod wal;
mod writer;
mod writer_states;

pub use backup::{BackupReport, RestoreReport, restore_directory};
pub use command::{AppendReceipt, Reply};
pub use config::{Clock, Durability, StoreConfig, SystemClock};
pub use copy::{CopyProgress, FileCount};
pub use definitions::{Definition, DefinitionKind, DefinitionReceipt};
pub use error::{Result, StoreError, StoreErrorKind};
pub use filter::{RowFilter, SymbolSet};
pub use imports::ImportBatch;
pub use open::OpenReport;
pub use promoted::{NumberStyle, PromotedBlob, PromotedColumn, PromotedColumns, PromotedValues};
pub use published::{
    DraftFile, FileBounds, LeftOutModel, LinkedFile, Published, PublishedColumn, PublishedFile,
    PublishedPath, PublishedSnapshot, PublishedTable, Revocation, RevocationReason, SnapshotDraft,
    SnapshotId, SnapshotTerms, TableManifest,
};
pub use quarantine::Quarantined;
pub use removal::{
    EraseRequest, Found, FoundAs, IdKind, Progress, RemovalKind, RemovalProgress, RemovalReceipt,
    RemovedRows, SearchReport, search_files,
};
pub use repair::{Finding, Loss, RepairReport, repair_directory};
pub use section::{
    EventCodes, EventCount, IdentityStrings, MemberSummary, Run, RunIndex, Section,
    SectionStatistics, Selection, StoredSection,
};
pub use snapshot::{Slice, Snapshot};
pub use stats::{StoreStatistics, Tier, TierStatistics};
pub use store::Store;
pub use symbols::{Domain, Member, NULL_SYMBOL, Symbols};
pub use upkeep::{CompactionGoal, CompactionReport, DamagedFile};
pub use verify::{Damage, VerifyReport, verify_directory};
pub use writer_states::{
    WRITER_ID_BYTES_MAX, WRITERS_MAX, WriterMark, WriterState, check_writer_id,
};

//! The directory of a store: files by name, made durable in known steps.
//!
//! This crate owns every system call on a store's files: creating, positioned reads and writes,
//! mapping into memory, syncing, renaming, unlinking, and the lock that keeps a second process
//! out. It does not know what the bytes mean; formats live in `vitalog-store`.
//!
//! [`Directory`] has two implementations that pass one contract suite (`tests/contract.rs`):
//! [`RealDirectory`] on a file system, and [`FaultyDirectory`] in memory, which fails, tears
//! writes and loses un-synced bytes on demand, the same way for the same seed.
//!
//! **Invariant, the write-once contract.** A file that was published (renamed to its final name)
//! is never changed or truncated in place; deleting is unlinking; the directory is locked by one
//! process. This is what makes reading mapped files sound, and every `unsafe` block of Vitalog is
//! in this crate and cites it. What is trusted of the medium stands in
//! `docs/formats/README.md`.

mod checksum;
mod directory;
mod error;
mod faulty;
mod lock;
mod mapped;
mod name;
mod real;

pub use checksum::{crc32c, crc32c_append, verify_crc32c};
pub use directory::{Directory, ReadFile, WriteFile, write_atomically};
pub use error::{DiskError, DiskErrorKind, Result};
pub use faulty::{Fault, FaultPlan, FaultyDirectory};
pub use lock::LOCK_NAME;
pub use real::RealDirectory;

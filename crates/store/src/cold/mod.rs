//! Cold files: the rows of one UTC day as Parquet, and a sidecar with what Parquet has no place for
//! (docs/formats/cold.md).
//!
//! Owns the format, writing and reading of the pair. Which days become cold, and when, is decided
//! elsewhere. Published files never change; every byte of a Parquet file that is decoded was
//! checked against the sidecar before; nothing that a reader derives is stored beside the file.

mod blocks;
mod cache;
mod columns;
mod file;
mod gather;
mod identities;
mod order;
mod schema;
mod section;
mod sidecar;
mod sink;
mod summary;
#[cfg(test)]
mod tests;
mod verify;
mod write;

use serde::{Deserialize, Serialize};
use vitalog_disk::Directory;

pub(crate) use cache::ColdCache;
pub(crate) use file::ColdFile;
pub(crate) use section::ColdSection;
pub(crate) use sidecar::check_sidecar;
pub(crate) use write::{ColdRows, write_cold};

use crate::error::{Result, StoreError};
use crate::ledger::COLD_FOLDER;
use crate::section::SectionStatistics;
use crate::segment::Origin;

/// A cold file as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColdEntry {
    /// The name of both files below the directory, without extension.
    pub name: String,
    /// The length of the Parquet file.
    pub bytes: u64,
    /// SHA-256 of the Parquet file, 64 hexadecimal digits.
    pub sha256: String,
    /// The checksum of the whole Parquet file.
    pub crc32c: u32,
    /// The length of the sidecar.
    pub sidecar_bytes: u64,
    /// The checksum of the sidecar's directory, which holds those of its arrays.
    pub sidecar_crc32c: u32,
    /// When the first of its rows was received, microseconds.
    pub received_min_us: i64,
    /// When the last of its rows was received, microseconds.
    pub received_max_us: i64,
    /// Whose rows it took over: what a manifest that is rebuilt leaves out.
    pub origin: Origin,
    /// What is known of its rows without reading them.
    pub statistics: SectionStatistics,
}

impl ColdEntry {
    /// What sidecar `name` says of its cold file, as a manifest would say it.
    ///
    /// # Errors
    /// Damage of the sidecar, and one of another file.
    pub fn inspect(directory: &dyn Directory, name: &str) -> Result<Self> {
        let reader = directory.open_read(name)?;
        let entry = sidecar::facts(reader.as_ref())?;
        if entry.sidecar() != name {
            let reason = format!("it says that it belongs to {}", entry.parquet());
            return Err(StoreError::damaged(directory.path().join(name), 0, reason));
        }
        Ok(entry)
    }

    /// The name, without extension, of the cold file with this number.
    pub fn name_of(number: u64) -> String {
        format!("{COLD_FOLDER}/{number:016}")
    }

    /// Its number, unique among all files of the store; `None` for a name that has none.
    pub fn number(&self) -> Option<u64> {
        self.name.rsplit('/').next()?.parse().ok()
    }

    /// The name of the Parquet file.
    pub fn parquet(&self) -> String {
        format!("{}.parquet", self.name)
    }

    /// The name of the sidecar.
    pub fn sidecar(&self) -> String {
        format!("{}.side", self.name)
    }
}

//! Segment files: what the manifest says of one, and how it is written and read.
//!
//! A hot segment is an Arrow IPC file, uncompressed, 64-byte aligned, with one record batch a
//! section and an index of Vitalog's own before the footer (docs/formats/segment.md). Published
//! files never change.

mod codes;
mod facts;
mod file;
pub(crate) mod index;
mod section;
mod write;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use codes::FileCodes;
pub(crate) use facts::{Inspected, Origin, file_checksum, number_in};
pub(crate) use file::{Segment, get_or_try_init};
pub(crate) use section::FileSection;
pub(crate) use write::{id_hash, joined_property_keys, write_segment};

use crate::error::{Result, StoreError};
use crate::section::SectionStatistics;

/// A segment file as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentEntry {
    /// Its name below the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The checksum of the whole file.
    pub crc32c: u32,
    /// The checksum of everything from Arrow's footer to the end.
    pub footer_crc32c: u32,
    /// When its first commit group was received, microseconds.
    pub received_min_us: i64,
    /// When its last commit group was received, microseconds.
    pub received_max_us: i64,
    /// One a record batch, in order.
    pub sections: Vec<SectionStatistics>,
}

impl SegmentEntry {
    /// The lowest seq of its rows; a segment has at least one.
    pub fn seq_min(&self) -> i64 {
        let seqs = self.sections.iter().map(|section| section.seq_min);
        seqs.min().expect("a segment has sections")
    }

    /// Rows of all sections.
    pub fn rows(&self) -> usize {
        self.sections.iter().map(|section| section.rows).sum()
    }
}

/// Magic and length at the very end of an Arrow IPC file.
const TRAILER_BYTES: usize = 10;

/// Bytes from the start of the footer to the end of the file, as the file's last ten bytes say.
fn footer_bytes(tail: &[u8], path: &Path) -> Result<usize> {
    let trailer: Option<[u8; TRAILER_BYTES]> = tail.last_chunk::<TRAILER_BYTES>().copied();
    let length = trailer
        .ok_or_else(|| StoreError::damaged(path, 0, "shorter than the end of an Arrow file"))
        .and_then(|trailer| {
            arrow_ipc::reader::read_footer_length(trailer)
                .map_err(|error| StoreError::damaged(path, 0, error.to_string()))
        })?;
    Ok(length + TRAILER_BYTES)
}

//! The write-ahead log: numbered, preallocated files of frames; what makes an acknowledged event
//! durable (docs/formats/wal.md).
//!
//! A commit group is one write of a few frames and one `fdatasync`. Frames are chained by
//! checksum, so a missing, repeated or reordered frame shows. A file that was closed ends with a
//! seal; only the newest file may lack one, and only there can damage behind the last whole group
//! be a torn write.

mod file;
mod frame;
mod payload;
mod read;

pub(crate) use file::{FrameDraft, WalCounters, WalWriter};
pub(crate) use frame::{Frame, FrameKind, header_crc32c};
pub(crate) use payload::{GroupColumns, decode_events, encode_events};
pub(crate) use read::{
    FileEnd, WalFile, read_wal_file, read_wal_prefix, stray_events, unborn_bytes,
};

/// The folder of the log.
pub(crate) const FOLDER: &str = "wal";

/// The name of log file `number`.
pub(crate) fn file_name(number: u64) -> String {
    format!("{FOLDER}/{number:016}.wal")
}

/// The number in a name of the folder's listing.
pub(crate) fn file_number(name: &str) -> Option<u64> {
    name.strip_suffix(".wal")?.parse().ok()
}

//! The index of a segment file: arrays between the last record batch and the Arrow footer, each
//! with its own checksum, found through the footer's metadata (docs/formats/segment.md). The sidecar
//! of a cold file is an index that is a file of its own (docs/formats/cold.md).
//!
//! ```text
//! index = directory  arrays, each padded to 64 bytes
//! directory = magic "VTLGIDX1"  version u32  entries u32  entry[entries]
//! entry = kind u32  section u32  offset u64 (of the file)  bytes u64  crc32c u32  zero u32
//! ```
//! All integers are little-endian; a directory's own checksum stands in the footer's metadata,
//! the footer's in the manifest.

use std::path::Path;

use vitalog_disk::crc32c;

use crate::error::{Result, StoreError};

const MAGIC: &[u8; 8] = b"VTLGIDX1";
const VERSION: u32 = 1;
/// Bytes of a directory before its entries.
pub(crate) const HEADER_BYTES: usize = 16;
/// Bytes of each entry of a directory.
pub(crate) const ENTRY_BYTES: usize = 32;
/// Alignment of every array, in bytes.
pub(crate) const ALIGNMENT: usize = 64;
/// The section of arrays that belong to the whole file.
pub(crate) const WHOLE_FILE: u32 = u32::MAX;

/// What an array of the index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum ArrayKind {
    /// `u32` a code, one more than strings: the account's symbol, 0 for null.
    AccountSymbols = 1,
    /// Likewise for users.
    UserSymbols = 2,
    /// `u32` a code: the event's symbol.
    EventSymbols = 3,
    /// `u32` a member code: the member's symbol.
    MemberSymbols = 4,
    /// `u32` a member code: its account code.
    MemberAccounts = 5,
    /// `u32` a member code: its user code.
    MemberUsers = 6,
    /// `i64` a commit group: its first seq.
    ReceivedSeqs = 7,
    /// `i64` a commit group: when it was received, microseconds.
    ReceivedTimes = 8,
    /// `u64` triples (offset, bytes, crc32c) of the dictionary blocks: metadata, then buffers.
    DictionaryChecksums = 9,
    /// JSON: what the file says of itself, so that a manifest can be made from files alone.
    Facts = 10,
    /// `u32` a run: its member code.
    RunMembers = 16,
    /// `u32` a run and one more: its first row.
    RunStarts = 17,
    /// `i64` a run: earliest time, microseconds.
    RunFirst = 18,
    /// `i64` a run: latest time, microseconds.
    RunLast = 19,
    /// `i64` quadruples (event symbol, count, first, last).
    EventCounts = 20,
    /// `u32` a row, ascending: the upper half of the hash of its event id.
    IdHashes = 21,
    /// `u32` a row, in the order of `IdHashes`: the row.
    IdRows = 22,
    /// `u64` triples (offset, bytes, crc32c) of the record batch: metadata, then each buffer.
    BufferChecksums = 23,
    /// JSON: event symbol → property keys.
    PropertyKeys = 24,
    /// `i64` a run: its earliest activity, microseconds; only where trait events are among the
    /// rows, as the two below.
    ActivityFirst = 25,
    /// `i64` a run: its latest activity, microseconds.
    ActivityLast = 26,
    /// `u32` a run: its rows that are activity.
    ActivityCounts = 27,
    /// `u32` a block of the Parquet file beside it; only in the sidecar of a cold file, as all below.
    BlockChecksums = 32,
    /// JSON: the event names in byte order.
    EventNames = 33,
    /// `i64` triples (count, first, last), by event name.
    NamedEventCounts = 34,
    /// JSON: lists of property keys, by event name.
    NamedPropertyKeys = 35,
    /// Typed columns of properties that occur often: a Parquet file of its own.
    Promoted = 36,
    /// JSON: everything that the manifest says of the cold file but for the sidecar itself.
    ColdFacts = 37,
}

/// One array of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub kind: u32,
    pub section: u32,
    pub offset: u64,
    pub bytes: u64,
    pub crc32c: u32,
}

/// Where the directory of the index lies, as the footer's metadata says it: decimal
/// `offset,bytes,crc32c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryPlace {
    pub offset: u64,
    pub bytes: u64,
    pub crc32c: u32,
}

/// The key of [`DirectoryPlace`] in the footer's metadata.
pub(crate) const PLACE_KEY: &str = "vitalog.index";

impl DirectoryPlace {
    pub fn to_text(self) -> String {
        format!("{},{},{}", self.offset, self.bytes, self.crc32c)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let place = Self {
            offset: parts.next()?.parse().ok()?,
            bytes: parts.next()?.parse().ok()?,
            crc32c: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(place)
    }
}

/// Collects arrays and lays them out.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    arrays: Vec<(ArrayKind, u32, Vec<u8>)>,
}

impl IndexBuilder {
    pub fn push_bytes(&mut self, kind: ArrayKind, section: u32, bytes: Vec<u8>) {
        self.arrays.push((kind, section, bytes));
    }

    pub fn push_u32(&mut self, kind: ArrayKind, section: u32, values: &[u32]) {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.push_bytes(kind, section, bytes);
    }

    pub fn push_i64(&mut self, kind: ArrayKind, section: u32, values: &[i64]) {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.push_bytes(kind, section, bytes);
    }

    /// The bytes of the index when it starts at `offset` (a multiple of 64) of the file, and
    /// where its directory lies.
    pub fn finish(self, offset: u64) -> (Vec<u8>, DirectoryPlace) {
        let directory_bytes = HEADER_BYTES + self.arrays.len() * ENTRY_BYTES;
        let mut directory = Vec::with_capacity(directory_bytes);
        directory.extend_from_slice(MAGIC);
        directory.extend_from_slice(&VERSION.to_le_bytes());
        directory.extend_from_slice(&(self.arrays.len() as u32).to_le_bytes());
        let mut at = offset + directory_bytes.next_multiple_of(ALIGNMENT) as u64;
        for (kind, section, bytes) in &self.arrays {
            directory.extend_from_slice(&(*kind as u32).to_le_bytes());
            directory.extend_from_slice(&section.to_le_bytes());
            directory.extend_from_slice(&at.to_le_bytes());
            directory.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            directory.extend_from_slice(&crc32c(bytes).to_le_bytes());
            directory.extend_from_slice(&0u32.to_le_bytes());
            at += bytes.len().next_multiple_of(ALIGNMENT) as u64;
        }
        let bytes = directory.len() as u64;
        let place = DirectoryPlace {
            offset,
            bytes,
            crc32c: crc32c(&directory),
        };
        let mut out = directory;
        for (_, _, bytes) in &self.arrays {
            out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
            out.extend_from_slice(bytes);
        }
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        (out, place)
    }
}

/// Reads a directory whose checksum was verified. Every array lies inside `file_bytes`.
pub(crate) fn read_directory(
    bytes: &[u8],
    file_bytes: u64,
    path: &Path,
    offset: u64,
) -> Result<Vec<IndexEntry>> {
    let damaged = |at: usize, reason: &str| StoreError::damaged(path, offset + at as u64, reason);
    if bytes.len() < HEADER_BYTES || &bytes[..8] != MAGIC {
        return Err(damaged(0, "the index of the segment lacks its magic"));
    }
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    if word(8) != VERSION {
        return Err(StoreError::Version {
            path: path.into(),
            found: word(8),
            known: VERSION,
        });
    }
    let entries = word(12) as usize;
    if entries.checked_mul(ENTRY_BYTES) != Some(bytes.len() - HEADER_BYTES) {
        return Err(damaged(
            12,
            "the index names another number of arrays than it has",
        ));
    }
    (0..entries)
        .map(|entry| {
            let at = HEADER_BYTES + entry * ENTRY_BYTES;
            let entry = IndexEntry {
                kind: word(at),
                section: word(at + 4),
                offset: long(at + 8),
                bytes: long(at + 16),
                crc32c: word(at + 24),
            };
            let end = entry.offset.checked_add(entry.bytes);
            if !entry.offset.is_multiple_of(ALIGNMENT as u64)
                || end.is_none_or(|end| end > file_bytes)
            {
                return Err(damaged(at, "an array of the index lies outside the file"));
            }
            Ok(entry)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_found_where_the_directory_says() {
        let mut builder = IndexBuilder::default();
        builder.push_u32(ArrayKind::RunStarts, 0, &[0, 3, 9]);
        builder.push_i64(ArrayKind::RunFirst, 1, &[-5]);
        let (bytes, place) = builder.finish(128);
        assert_eq!(DirectoryPlace::parse(&place.to_text()), Some(place));
        let file_bytes = 128 + bytes.len() as u64;
        let directory = &bytes[..place.bytes as usize];
        assert_eq!(crc32c(directory), place.crc32c);
        let entries = read_directory(directory, file_bytes, Path::new("x"), 128).expect("valid");
        assert_eq!((entries[0].section, entries[1].section), (0, 1));
        for entry in &entries {
            let start = (entry.offset - 128) as usize;
            assert_eq!(
                crc32c(&bytes[start..start + entry.bytes as usize]),
                entry.crc32c
            );
        }
        assert!(read_directory(directory, file_bytes - 65, Path::new("x"), 128).is_err());
        assert!(read_directory(&directory[1..], file_bytes, Path::new("x"), 128).is_err());
        assert!(read_directory(&[], file_bytes, Path::new("x"), 128).is_err());
    }

    #[test]
    fn odd_places_are_refused() {
        for text in ["", "1,2", "1,2,3,4", "a,b,c", "-1,2,3"] {
            assert_eq!(DirectoryPlace::parse(text), None, "{text}");
        }
    }
}

//! The bytes of writer states: a file of all of them, and the payload of a writer state frame of
//! the log. Both hold the same record (docs/formats/wal.md, docs/formats/manifest.md):
//!
//! ```text
//! file   = magic "VTLGWRT1"  version u32  count u32  record*  crc32c u32 (of all before)  zero u32
//! record = number u64  seq i64  received_at i64  id bytes u32  zero u32  id  pad to 8
//! ```
//! All integers are little-endian. The checksum of a payload stands in its frame.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vitalog_disk::{Directory, crc32c};

use super::{Record, WRITER_ID_BYTES_MAX, WRITERS_MAX, WriterState};
use crate::error::{Result, StoreError};

const MAGIC: &[u8; 8] = b"VTLGWRT1";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const TRAILER_BYTES: usize = 8;
const RECORD_HEADER_BYTES: usize = 32;

/// The file of writer states as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriterFileEntry {
    /// Its name below the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The checksum of the whole file.
    pub crc32c: u32,
    /// How many writers it holds.
    pub count: usize,
}

/// A whole file.
pub(crate) fn encode_file(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(records.len() as u32).to_le_bytes());
    out.extend_from_slice(&encode_records(records));
    let crc = crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out
}

/// The payload of a frame.
pub(crate) fn encode_records(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, state) in records {
        out.extend_from_slice(&state.last_number.to_le_bytes());
        out.extend_from_slice(&state.last_seq.to_le_bytes());
        out.extend_from_slice(&state.last_time_us.to_le_bytes());
        out.extend_from_slice(&(id.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(id.as_bytes());
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out
}

/// Reads the payload of a frame, whose checksum was verified.
///
/// # Errors
/// Why it does not hold writer states.
pub(crate) fn decode_records(mut bytes: &[u8]) -> std::result::Result<Vec<Record>, String> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (record, length) = take_record(bytes)?;
        records.push(record);
        bytes = &bytes[length..];
    }
    Ok(records)
}

/// The record at the start of `bytes`, and its length.
fn take_record(bytes: &[u8]) -> std::result::Result<(Record, usize), String> {
    let header = bytes
        .first_chunk::<RECORD_HEADER_BYTES>()
        .ok_or("a writer state ends inside its header")?;
    let id_bytes = word(header, 24) as usize;
    let end = RECORD_HEADER_BYTES + id_bytes;
    let padding = bytes.get(end..end.next_multiple_of(8));
    if id_bytes == 0 || id_bytes > WRITER_ID_BYTES_MAX || word(header, 28) != 0 {
        return Err("the id of a writer has a length that none has".to_owned());
    }
    if padding.is_none_or(|padding| padding.iter().any(|&byte| byte != 0)) {
        return Err("a writer state does not end as it should".to_owned());
    }
    let id = str::from_utf8(&bytes[RECORD_HEADER_BYTES..end])
        .map_err(|_| "the id of a writer is not UTF-8".to_owned())?;
    let state = WriterState {
        last_number: long(header, 0),
        last_seq: long(header, 8) as i64,
        last_time_us: long(header, 16) as i64,
    };
    Ok(((Arc::from(id), state), end.next_multiple_of(8)))
}

/// Reads and checks the file that a manifest names.
///
/// # Errors
/// Damage, named with file and byte; a newer version.
pub(crate) fn read_file(directory: &dyn Directory, entry: &WriterFileEntry) -> Result<Vec<Record>> {
    let (found, records) = inspect_file(directory, &entry.name)?;
    if found == *entry {
        return Ok(records);
    }
    let path = directory.path().join(&entry.name);
    let reason = format!(
        "{} bytes with CRC32C {:#010x}, expected {} with {:#010x}",
        found.bytes, found.crc32c, entry.bytes, entry.crc32c
    );
    Err(StoreError::damaged(path, 0, reason))
}

/// Reads and checks a file by what it says of itself.
///
/// # Errors
/// As [`read_file`].
pub(crate) fn inspect_file(
    directory: &dyn Directory,
    name: &str,
) -> Result<(WriterFileEntry, Vec<Record>)> {
    let path = directory.path().join(name);
    let bytes = directory.read(name)?;
    let damaged = |offset: usize, reason: String| StoreError::damaged(&path, offset as u64, reason);
    if bytes.len() < HEADER_BYTES + TRAILER_BYTES || &bytes[..8] != MAGIC {
        let reason = "no file of writer states: its magic is missing";
        return Err(damaged(0, reason.to_owned()));
    }
    let end = bytes.len() - TRAILER_BYTES;
    let (found, expected) = (crc32c(&bytes[..end]), word(&bytes, end));
    if found != expected || word(&bytes, end + 4) != 0 {
        let reason = format!("CRC32C {found:#010x}, expected {expected:#010x}");
        return Err(damaged(end, reason));
    }
    let version = word(&bytes, 8);
    if version != VERSION {
        return Err(StoreError::Version {
            path,
            found: version,
            known: VERSION,
        });
    }
    let records = decode_records(&bytes[HEADER_BYTES..end])
        .map_err(|reason| damaged(HEADER_BYTES, reason))?;
    let count = word(&bytes, 12) as usize;
    let is_sorted = records.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let is_whole = records.iter().all(|(_, state)| state.last_number > 0);
    if count != records.len() || count > WRITERS_MAX || !is_sorted || !is_whole {
        let reason = format!("{} writers out of order, expected {count}", records.len());
        return Err(damaged(12, reason));
    }
    let entry = WriterFileEntry {
        name: name.to_owned(),
        bytes: bytes.len() as u64,
        crc32c: crc32c(&bytes),
        count,
    };
    Ok((entry, records))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use vitalog_disk::{FaultyDirectory, write_atomically};

    use super::*;

    fn examples() -> Vec<Record> {
        let record = |id: &str, last_number| {
            let state = WriterState {
                last_number,
                last_seq: 41,
                last_time_us: 1_740_830_400_000_000,
            };
            (Arc::from(id), state)
        };
        vec![
            record("a", 1),
            record("größer", u64::MAX),
            record(&"z".repeat(128), 7),
        ]
    }

    #[test]
    fn records_read_back_and_no_part_of_one_is_a_record() {
        let bytes = encode_records(&examples());
        assert_eq!(decode_records(&bytes), Ok(examples()));
        let whole: Vec<usize> = (0..=3)
            .map(|count| encode_records(&examples()[..count]).len())
            .collect();
        for cut in (0..bytes.len()).filter(|cut| !whole.contains(cut)) {
            assert!(decode_records(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for (at, value) in [(24, 0), (24, 200), (28, 1), (32, 0xff), (33, 1)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert!(decode_records(&changed).is_err(), "{value} at {at}");
        }
    }

    /// What a checksum would find, it need not find: no bit of a payload is without a meaning.
    #[test]
    fn every_flipped_bit_of_a_payload_is_refused_or_another_state() {
        let bytes = encode_records(&examples());
        let mut refused = 0;
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            match decode_records(&changed) {
                Ok(records) => assert_ne!(records, examples(), "bit {bit}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 3 * 64, "{refused}");
    }

    #[test]
    fn a_file_reads_back_and_every_flipped_bit_is_named() {
        let clean = FaultyDirectory::new();
        let bytes = encode_file(&examples());
        let name = "writers/1.wrt";
        write_atomically(&clean, name, &bytes).expect("written");
        let (entry, records) = inspect_file(&clean, name).expect("whole");
        assert_eq!((entry.count, &records), (3, &examples()));
        assert_eq!(read_file(&clean, &entry).expect("whole"), examples());
        for bit in 0..bytes.len() * 8 {
            let directory = clean.crash_image(1);
            directory
                .flip_bit(name, bit as u64 / 8, (bit % 8) as u8)
                .expect("in range");
            let error = inspect_file(&directory, name).expect_err("flipped");
            assert!(error.to_string().contains("1.wrt"), "{error}");
        }
        for cut in 0..bytes.len() {
            let directory = clean.crash_image(1);
            directory.truncate(name, cut as u64).expect("in range");
            assert!(inspect_file(&directory, name).is_err(), "cut at {cut}");
        }
        let other = WriterFileEntry { crc32c: 1, ..entry };
        assert!(read_file(&clean, &other).is_err());
    }

    #[test]
    fn what_no_list_holds_is_refused() {
        let clean = FaultyDirectory::new();
        let mut gone = examples();
        gone[1].1.last_number = 0;
        let twice = [examples(), examples()].concat();
        for (at, records) in [gone, twice].into_iter().enumerate() {
            let name = format!("writers/{at}.wrt");
            write_atomically(&clean, &name, &encode_file(&records)).expect("written");
            assert!(inspect_file(&clean, &name).is_err(), "{name}");
        }
    }
}

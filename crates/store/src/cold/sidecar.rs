//! The sidecar of a cold file: a directory and arrays as in the index of a segment
//! (`segment/index.rs`), as a file of its own.
//!
//! It holds no symbol: events stand in it by name, so a cold file explains itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use vitalog_disk::{ReadFile, crc32c, verify_crc32c};

use super::ColdEntry;
use super::cache::ReadCounters;
use crate::error::{Result, StoreError};
use crate::section::EventCount;
use crate::segment::index::{
    ArrayKind, ENTRY_BYTES, HEADER_BYTES, IndexBuilder, IndexEntry, WHOLE_FILE, read_directory,
};

/// What is known of the rows of one event name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedEvent {
    pub name: String,
    pub count: u64,
    pub first_us: i64,
    pub last_us: i64,
    /// Top-level property keys, in byte order; `None` where no row has properties.
    pub property_keys: Option<Vec<String>>,
}

impl NamedEvent {
    /// As an [`EventCount`] of the event's symbol.
    pub fn count(&self, event: u32) -> EventCount {
        EventCount {
            event,
            count: self.count,
            first_us: self.first_us,
            last_us: self.last_us,
        }
    }
}

/// The bytes of a sidecar, and the checksum of its directory. `events` are in byte order;
/// `promoted` are the typed columns, encoded; `entry` lacks what the sidecar cannot say of itself.
pub(super) fn encode(
    checksums: &[u32],
    events: &[NamedEvent],
    promoted: Option<Vec<u8>>,
    entry: &ColdEntry,
) -> (Vec<u8>, u32) {
    let mut index = IndexBuilder::default();
    index.push_u32(ArrayKind::BlockChecksums, WHOLE_FILE, checksums);
    let json = |value: serde_json::Result<Vec<u8>>| value.expect("strings");
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    let names = json(serde_json::to_vec(&names));
    index.push_bytes(ArrayKind::EventNames, WHOLE_FILE, names);
    let counts: Vec<i64> = events
        .iter()
        .flat_map(|event| [event.count as i64, event.first_us, event.last_us])
        .collect();
    index.push_i64(ArrayKind::NamedEventCounts, WHOLE_FILE, &counts);
    let keys: Vec<&Option<Vec<String>>> = events.iter().map(|event| &event.property_keys).collect();
    let keys = json(serde_json::to_vec(&keys));
    index.push_bytes(ArrayKind::NamedPropertyKeys, WHOLE_FILE, keys);
    if let Some(promoted) = promoted {
        index.push_bytes(ArrayKind::Promoted, WHOLE_FILE, promoted);
    }
    let facts = json(serde_json::to_vec(entry));
    index.push_bytes(ArrayKind::ColdFacts, WHOLE_FILE, facts);
    let (bytes, place) = index.finish(0);
    (bytes, place.crc32c)
}

/// Bytes read at first: a directory of more arrays than there are kinds.
const DIRECTORY_BYTES_GUESS: u64 = 1 << 10;

/// A sidecar whose directory was read and checked.
#[derive(Debug)]
pub(super) struct Sidecar {
    reader: Arc<dyn ReadFile>,
    entries: Vec<IndexEntry>,
    counters: Arc<ReadCounters>,
}

/// The arrays of a sidecar, and the checksum of the directory that lists them.
fn listed(reader: &dyn ReadFile) -> Result<(Vec<IndexEntry>, u32)> {
    let length = reader.len()?;
    let mut head = [0; 16];
    reader.read_at(0, &mut head)?;
    let entries = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
    let bytes = 16 + u64::from(entries) * 32;
    if bytes > length {
        let reason = "the directory is longer than the file";
        return Err(StoreError::damaged(reader.path(), 0, reason));
    }
    let mut directory = vec![0; bytes as usize];
    reader.read_at(0, &mut directory)?;
    let entries = read_directory(&directory, length, reader.path(), 0)?;
    Ok((entries, crc32c(&directory)))
}

/// What a sidecar says of its cold file, read without a manifest.
///
/// # Errors
/// Damage, and a sidecar that lacks the facts.
pub(super) fn facts(reader: &dyn ReadFile) -> Result<ColdEntry> {
    let damaged = |reason: String| StoreError::damaged(reader.path(), 0, reason);
    let (entries, sidecar_crc32c) = listed(reader)?;
    let mut entries = entries.into_iter();
    let place = entries
        .find(|entry| entry.kind == ArrayKind::ColdFacts as u32)
        .ok_or_else(|| damaged("the sidecar does not say whose it is".to_owned()))?;
    verify_crc32c(reader, place.offset, place.bytes, place.crc32c)?;
    let mut json = vec![0; place.bytes as usize];
    reader.read_at(place.offset, &mut json)?;
    let entry: ColdEntry =
        serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
    Ok(ColdEntry {
        sidecar_bytes: reader.len()?,
        sidecar_crc32c,
        ..entry
    })
}

/// Checks every array of a sidecar against its own checksum, without a manifest.
///
/// # Errors
/// Damage, named with file and byte.
pub(crate) fn check_sidecar(reader: &dyn ReadFile) -> Result<()> {
    let (entries, _) = listed(reader)?;
    for entry in entries {
        verify_crc32c(reader, entry.offset, entry.bytes, entry.crc32c)?;
    }
    Ok(())
}

impl Sidecar {
    /// Reads the directory of an open sidecar.
    pub fn new(
        reader: Arc<dyn ReadFile>,
        entry: &ColdEntry,
        counters: &Arc<ReadCounters>,
    ) -> Result<Self> {
        let damaged = |offset, reason: String| StoreError::damaged(reader.path(), offset, reason);
        let length = reader.len()?;
        if length != entry.sidecar_bytes {
            let reason = format!("{length} bytes long, expected {}", entry.sidecar_bytes);
            return Err(damaged(0, reason));
        }
        let read = |length: u64| -> Result<Vec<u8>> {
            let mut bytes = vec![0; length as usize];
            reader.read_at(0, &mut bytes)?;
            counters.add(bytes.len());
            Ok(bytes)
        };
        let mut bytes = read(length.min(DIRECTORY_BYTES_GUESS))?;
        let arrays = bytes.get(12..HEADER_BYTES).and_then(|b| b.try_into().ok());
        let arrays = arrays.map_or(0, u32::from_le_bytes);
        let directory_bytes = HEADER_BYTES as u64 + u64::from(arrays) * ENTRY_BYTES as u64;
        if directory_bytes > length {
            return Err(damaged(
                12,
                "the directory is longer than the file".to_owned(),
            ));
        }
        if directory_bytes > bytes.len() as u64 {
            bytes = read(directory_bytes)?;
        }
        let directory = &bytes[..directory_bytes as usize];
        let (found, expected) = (crc32c(directory), entry.sidecar_crc32c);
        if found != expected {
            let reason = format!("directory has CRC32C {found:#010x}, expected {expected:#010x}");
            return Err(damaged(0, reason));
        }
        let entries = read_directory(directory, length, reader.path(), 0)?;
        let counters = Arc::clone(counters);
        Ok(Self {
            reader,
            entries,
            counters,
        })
    }

    fn damaged(&self, offset: u64, reason: impl Into<String>) -> StoreError {
        StoreError::damaged(self.reader.path(), offset, reason)
    }

    /// An array, checked; `None` where there is none of that kind.
    pub fn array(&self, kind: ArrayKind) -> Result<Option<Bytes>> {
        let entry = self.entries.iter().find(|entry| entry.kind == kind as u32);
        entry.map(|entry| self.read(entry)).transpose()
    }

    fn read(&self, entry: &IndexEntry) -> Result<Bytes> {
        let mut bytes = vec![0; entry.bytes as usize];
        self.reader.read_at(entry.offset, &mut bytes)?;
        self.counters.add(bytes.len());
        let (found, expected) = (crc32c(&bytes), entry.crc32c);
        if found != expected {
            let reason = format!("array has CRC32C {found:#010x}, expected {expected:#010x}");
            return Err(self.damaged(entry.offset, reason));
        }
        Ok(bytes.into())
    }

    fn needed(&self, kind: ArrayKind) -> Result<Bytes> {
        let array = self.array(kind)?;
        array.ok_or_else(|| self.damaged(0, format!("no array {kind:?}")))
    }

    /// The checksums of the Parquet file's blocks.
    pub fn block_checksums(&self) -> Result<Arc<[u32]>> {
        let bytes = self.needed(ArrayKind::BlockChecksums)?;
        let words = bytes.chunks_exact(4);
        Ok(words
            .map(|word| u32::from_le_bytes(word.try_into().expect("four bytes")))
            .collect())
    }

    /// What is known of each event name, in byte order.
    pub fn events(&self) -> Result<Vec<NamedEvent>> {
        let odd = |told: &dyn std::fmt::Display| self.damaged(0, format!("events: {told}"));
        let names = self.needed(ArrayKind::EventNames)?;
        let names: Vec<String> = serde_json::from_slice(&names).map_err(|error| odd(&error))?;
        let keys = self.needed(ArrayKind::NamedPropertyKeys)?;
        let keys: Vec<Option<Vec<String>>> =
            serde_json::from_slice(&keys).map_err(|error| odd(&error))?;
        let counts = self.needed(ArrayKind::NamedEventCounts)?;
        if keys.len() != names.len() || counts.len() != names.len() * 24 {
            return Err(odd(&"names, counts and property keys are not equally many"));
        }
        let long =
            |at: usize| i64::from_le_bytes(counts[at..at + 8].try_into().expect("eight bytes"));
        let events = names.into_iter().zip(keys).enumerate();
        Ok(events
            .map(|(at, (name, property_keys))| NamedEvent {
                name,
                count: long(at * 24) as u64,
                first_us: long(at * 24 + 8),
                last_us: long(at * 24 + 16),
                property_keys,
            })
            .collect())
    }

    /// Reads every byte and returns what is wrong.
    pub fn verify(&self, bytes: u64) -> Vec<StoreError> {
        let mut damages: Vec<StoreError> = (self.entries.iter())
            .filter_map(|entry| self.read(entry).err())
            .collect();
        // What is between the arrays is zero: no byte is left out.
        let directory = (HEADER_BYTES + self.entries.len() * ENTRY_BYTES) as u64;
        let mut used: BTreeMap<u64, u64> = BTreeMap::from([(0, directory)]);
        used.extend(self.entries.iter().map(|entry| (entry.offset, entry.bytes)));
        let mut at = 0;
        for (start, length) in used.into_iter().chain([(bytes, 0)]) {
            let mut gap = vec![0; start.saturating_sub(at) as usize];
            match self.reader.read_at(at.min(start), &mut gap) {
                Err(error) => damages.push(error.into()),
                Ok(()) if gap.iter().any(|&byte| byte != 0) => {
                    damages.push(self.damaged(at, "bytes between arrays are not zero"));
                }
                Ok(()) => {}
            }
            at = at.max(start + length);
        }
        damages
    }
}

#[cfg(test)]
mod tests {
    use vitalog_disk::{Directory, FaultyDirectory, write_atomically};

    use super::*;

    #[test]
    fn a_flipped_bit_is_found_wherever_it_is() {
        let event = |name: &str, keys: Option<&[&str]>| NamedEvent {
            name: name.to_owned(),
            count: 3,
            first_us: -5,
            last_us: 7,
            property_keys: keys.map(|keys| keys.iter().map(|&key| key.to_owned()).collect()),
        };
        let some = event("b \"quoted\"", Some(&["k", "ü"]));
        let events = vec![event("a", None), some, event("c", Some(&[]))];
        let nothing = super::super::tests::entry_of_nothing();
        let (bytes, sidecar_crc32c) = encode(&[1, 2, 3], &events, None, &nothing);
        let entry = ColdEntry {
            sidecar_bytes: bytes.len() as u64,
            sidecar_crc32c,
            ..super::super::tests::entry_of_nothing()
        };
        let counters = Arc::default();
        let read = |directory: &FaultyDirectory| {
            let reader = directory.open_read("side").expect("opened");
            let sidecar = Sidecar::new(reader.into(), &entry, &counters)?;
            let damages = sidecar.verify(entry.sidecar_bytes);
            let content = (sidecar.block_checksums()?, sidecar.events()?);
            Ok::<_, StoreError>((damages, content))
        };
        let clean = FaultyDirectory::new();
        write_atomically(&clean, "side", &bytes).expect("written");
        let (damages, content) = read(&clean).expect("whole");
        assert!(damages.is_empty(), "{damages:?}");
        assert_eq!((&*content.0, &content.1), ([1, 2, 3].as_slice(), &events));
        for at in 0..bytes.len() {
            let image = clean.kill_image();
            image
                .flip_bit("side", at as u64, (at % 8) as u8)
                .expect("in range");
            match read(&image) {
                Err(error) => assert!(error.to_string().contains("side"), "{error}"),
                Ok((damages, found)) => {
                    assert!(!damages.is_empty(), "byte {at}");
                    assert_eq!(found, content, "byte {at}: padding alone is not read");
                }
            }
        }
    }
}

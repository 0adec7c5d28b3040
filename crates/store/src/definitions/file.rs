//! The bytes of definitions: a definition file, and the payload of a model or view frame of the
//! log. Both hold the same record (docs/formats/definitions.md):
//!
//! ```text
//! file   = magic "VTLGDEF1"  version u32  count u32  record*
//! record = kind u32  version u32  received_at i64  seq i64  name bytes u32  text bytes u32
//!          name  text  pad to 8
//! ```
//! All integers are little-endian. The checksum of a file stands in the manifest, that of a
//! payload in its frame.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vitalog_disk::{Directory, crc32c};

use super::{Definition, DefinitionKind, NAME_BYTES_MAX, content_hash};
use crate::error::{Result, StoreError};

const MAGIC: &[u8; 8] = b"VTLGDEF1";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const RECORD_HEADER_BYTES: usize = 32;
/// Stands for the bytes of a text where there is none.
const NO_TEXT: u32 = u32::MAX;

/// A definition file as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DefinitionEntry {
    /// Its name below the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The checksum of the whole file.
    pub crc32c: u32,
    /// How many definitions it holds.
    pub count: usize,
}

/// A whole definition file.
pub(crate) fn encode_file(definitions: &[Arc<Definition>]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(definitions.len() as u32).to_le_bytes());
    for definition in definitions {
        put_record(definition, &mut out);
    }
    out
}

/// The payload of a frame.
pub(crate) fn encode_record(definition: &Definition) -> Vec<u8> {
    let mut out = Vec::new();
    put_record(definition, &mut out);
    out
}

fn put_record(definition: &Definition, out: &mut Vec<u8>) {
    let text = definition.text.as_deref();
    let text_bytes = text.map_or(NO_TEXT, |text| text.len() as u32);
    out.extend_from_slice(&kind_number(definition.kind).to_le_bytes());
    out.extend_from_slice(&definition.version.to_le_bytes());
    out.extend_from_slice(&definition.received_at_us.to_le_bytes());
    out.extend_from_slice(&definition.seq.to_le_bytes());
    out.extend_from_slice(&(definition.name.len() as u32).to_le_bytes());
    out.extend_from_slice(&text_bytes.to_le_bytes());
    out.extend_from_slice(definition.name.as_bytes());
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
    out.resize(out.len().next_multiple_of(8), 0);
}

/// The number of a kind in records: that of its frames.
fn kind_number(kind: DefinitionKind) -> u32 {
    kind.frame_kind() as u32
}

/// Reads the payload of a frame, whose checksum was verified.
///
/// # Errors
/// Why it is no definition.
pub(crate) fn decode_record(payload: &[u8]) -> std::result::Result<Definition, String> {
    let (definition, bytes) = take_record(payload)?;
    if bytes != payload.len() {
        return Err("bytes behind the definition".to_owned());
    }
    Ok(definition)
}

/// The record at the start of `bytes`, and its length.
fn take_record(bytes: &[u8]) -> std::result::Result<(Definition, usize), String> {
    let header = bytes
        .first_chunk::<RECORD_HEADER_BYTES>()
        .ok_or("a definition ends inside its header")?;
    let kind = [DefinitionKind::Model, DefinitionKind::View]
        .into_iter()
        .find(|&kind| kind_number(kind) == word(header, 0))
        .ok_or_else(|| format!("a definition of the unknown kind {}", word(header, 0)))?;
    let name_bytes = word(header, 24) as usize;
    let text_bytes = word(header, 28);
    let has_text = text_bytes != NO_TEXT;
    let text_bytes = if has_text { text_bytes as usize } else { 0 };
    let end = RECORD_HEADER_BYTES + name_bytes + text_bytes;
    let text_at = RECORD_HEADER_BYTES + name_bytes;
    let padding = bytes.get(end..end.next_multiple_of(8));
    if name_bytes == 0 || name_bytes as u64 > NAME_BYTES_MAX || padding.is_none() {
        return Err("the lengths of a definition do not fit".to_owned());
    }
    if padding.is_some_and(|padding| padding.iter().any(|&byte| byte != 0)) {
        return Err("bytes behind the text of a definition".to_owned());
    }
    let utf8 = |bytes| str::from_utf8(bytes).map_err(|_| "a definition is not UTF-8".to_owned());
    let name = utf8(&bytes[RECORD_HEADER_BYTES..text_at])?.to_owned();
    let text = utf8(&bytes[text_at..end])?;
    let text = has_text.then(|| Arc::<str>::from(text));
    let definition = Definition {
        kind,
        name,
        version: word(header, 4),
        content_hash: content_hash(text.as_deref()),
        received_at_us: long(header, 8),
        seq: long(header, 16),
        text,
    };
    Ok((definition, end.next_multiple_of(8)))
}

/// Reads and checks a definition file.
///
/// # Errors
/// Damage, named with file and byte; a newer version.
pub(crate) fn read_file(
    directory: &dyn Directory,
    entry: &DefinitionEntry,
) -> Result<Vec<Definition>> {
    let path = directory.path().join(&entry.name);
    let bytes = directory.read(&entry.name)?;
    let damaged = |offset: usize, reason: String| StoreError::damaged(&path, offset as u64, reason);
    if bytes.len() as u64 != entry.bytes {
        let reason = format!("{} bytes long, expected {}", bytes.len(), entry.bytes);
        return Err(damaged(0, reason));
    }
    let (found, expected) = (crc32c(&bytes), entry.crc32c);
    if found != expected {
        let reason = format!("CRC32C {found:#010x}, expected {expected:#010x}");
        return Err(damaged(0, reason));
    }
    if bytes.len() < HEADER_BYTES || &bytes[..8] != MAGIC {
        let reason = "no definition file: its magic is missing";
        return Err(damaged(0, reason.to_owned()));
    }
    let version = word(&bytes, 8);
    if version != VERSION {
        return Err(StoreError::Version {
            path,
            found: version,
            known: VERSION,
        });
    }
    let count = word(&bytes, 12) as usize;
    if count != entry.count {
        let reason = format!("{count} definitions, expected {}", entry.count);
        return Err(damaged(12, reason));
    }
    let mut at = HEADER_BYTES;
    let mut definitions = Vec::with_capacity(count);
    for _ in 0..count {
        let (definition, bytes) =
            take_record(&bytes[at..]).map_err(|reason| damaged(at, reason))?;
        definitions.push(definition);
        at += bytes;
    }
    if at != bytes.len() {
        return Err(damaged(at, "bytes behind the last definition".to_owned()));
    }
    Ok(definitions)
}

/// How many definitions a file says that it holds; 0 where it is too short to say.
pub(crate) fn count_in(bytes: &[u8]) -> usize {
    let header = bytes.first_chunk::<HEADER_BYTES>();
    header.map_or(0, |header| word(header, 12) as usize)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use vitalog_disk::{FaultyDirectory, write_atomically};

    use super::*;

    fn examples() -> Vec<Arc<Definition>> {
        let definition = |kind, name: &str, text: Option<&str>| {
            Arc::new(Definition {
                kind,
                name: name.to_owned(),
                version: 7,
                content_hash: content_hash(text),
                received_at_us: 1_740_830_400_000_000,
                seq: 41,
                text: text.map(Arc::from),
            })
        };
        vec![
            definition(DefinitionKind::Model, "default", Some("period = 28\n")),
            definition(DefinitionKind::View, "größte", Some("")),
            definition(DefinitionKind::View, "gone", None),
        ]
    }

    #[test]
    fn records_read_back_and_no_part_of_one_is_a_record() {
        for definition in examples() {
            let bytes = encode_record(&definition);
            assert_eq!(decode_record(&bytes).as_ref(), Ok(definition.as_ref()));
            for cut in 0..bytes.len() {
                assert!(decode_record(&bytes[..cut]).is_err(), "cut at {cut}");
            }
            let longer = [bytes.as_slice(), &[0; 8]].concat();
            assert!(decode_record(&longer).is_err());
        }
    }

    #[test]
    fn wrong_kinds_lengths_and_padding_are_refused() {
        let bytes = encode_record(&examples()[0]);
        for (at, value) in [(0, 9), (24, 0), (24, 200), (28, 90), (27, 255), (31, 255)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert!(decode_record(&changed).is_err(), "{value} at {at}");
        }
        let mut changed = bytes.clone();
        *changed.last_mut().expect("padding") = 1;
        assert!(decode_record(&changed).is_err());
        let mut changed = bytes;
        changed[RECORD_HEADER_BYTES] = 0xff;
        assert!(
            decode_record(&changed)
                .expect_err("no text")
                .contains("UTF-8")
        );
    }

    #[test]
    fn a_file_reads_back_and_every_flipped_bit_is_named() {
        let clean = FaultyDirectory::new();
        let bytes = encode_file(&examples());
        let entry = DefinitionEntry {
            name: "definitions/1.def".to_owned(),
            bytes: bytes.len() as u64,
            crc32c: crc32c(&bytes),
            count: 3,
        };
        write_atomically(&clean, &entry.name, &bytes).expect("written");
        let read: Vec<Arc<Definition>> = read_file(&clean, &entry)
            .expect("whole")
            .into_iter()
            .map(Arc::new)
            .collect();
        assert_eq!(read, examples());
        for bit in 0..bytes.len() * 8 {
            let directory = clean.crash_image(1);
            directory
                .flip_bit(&entry.name, bit as u64 / 8, (bit % 8) as u8)
                .expect("in range");
            let error = read_file(&directory, &entry).expect_err("flipped");
            assert!(error.to_string().contains("1.def"), "{error}");
        }
        let fewer = DefinitionEntry { count: 2, ..entry };
        assert!(read_file(&clean, &fewer).is_err());
    }
}

//! The manifest: an immutable numbered file that names every segment, symbol and definition file
//! of the store, and the file of writer states, with lengths, checksums and statistics, and how far
//! the log has been flushed (docs/formats/manifest.md).
//!
//! ```text
//! VITALOG MANIFEST <version> <payload bytes> <payload crc32c in hex>\n
//! <payload: JSON>
//! ```
//! Written tmp → fsync → rename → fsync of the folder. The highest number counts; a few older
//! ones are kept with every file they name.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vitalog_disk::{Directory, crc32c, write_atomically};
use xxhash_rust::xxh3::Xxh3;

use crate::cold::ColdEntry;
use crate::definitions::DefinitionEntry;
use crate::error::{Result, StoreError};
use crate::imports::ImportBatch;
use crate::removal::{PendingRemoval, RemovalReceipt};
use crate::segment::SegmentEntry;
use crate::symbols::Marks;
use crate::writer_states::WriterFileEntry;

/// The folder of the manifests.
pub(crate) const FOLDER: &str = "manifest";

const MAGIC: &str = "VITALOG MANIFEST";
const VERSION: u32 = 1;

/// A symbol file as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SymbolEntry {
    /// Its name below the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The first code of each domain in it.
    pub from: Marks,
}

/// A file that a manifest needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its name below the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The checksum of the whole file; `None` for a symbol file and for
    /// the sidecar of a cold file, which carry their own.
    pub crc32c: Option<u32>,
}

/// What a store holds at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Its number, from 1; 0 for the manifest of an empty store, which has no file.
    pub number: u64,
    /// Which store this is, from its first commit on, so that no backup of another one is
    /// overwritten; missing where an older program wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<String>,
    /// Every event up to this `seq` lies in a segment.
    pub seq: i64,
    /// The latest `received_at` of those events, the definitions and the writer states,
    /// microseconds.
    pub received_us: i64,
    /// Log files before this one hold nothing that is not in the files named here.
    pub wal_first: u64,
    /// Segments in the order of their seqs.
    pub segments: Vec<SegmentEntry>,
    /// Cold files, by day and lowest seq.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cold: Vec<ColdEntry>,
    /// Symbol files in the order of their codes.
    pub symbols: Vec<SymbolEntry>,
    /// Definition files in the order of storing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub definitions: Vec<DefinitionEntry>,
    /// The file of all writer states; missing where no batch ever had a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writers: Option<WriterFileEntry>,
    /// Removals that have begun and are not done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<PendingRemoval>,
    /// Removals that are done, by number; the newest ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<RemovalReceipt>,
    /// What imports added, oldest first; the newest ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<ImportBatch>,
    /// The first day whose activity is kept, in days since 1970-01-01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retained_from_day: Option<i32>,
    /// The first day from which history is whole, where days that had activity were dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_from_day: Option<i32>,
}

impl Manifest {
    /// The name of manifest `number`.
    pub fn file_name(number: u64) -> String {
        format!("{FOLDER}/{number:016}.manifest")
    }

    /// All files it needs, to be copied and checked.
    pub fn parts(&self) -> Vec<Part> {
        let symbols = self.symbols.iter().map(|file| Part {
            name: file.name.clone(),
            bytes: file.bytes,
            crc32c: None,
        });
        let definitions = self.definitions.iter().map(|file| Part {
            name: file.name.clone(),
            bytes: file.bytes,
            crc32c: Some(file.crc32c),
        });
        let writers = self.writers.iter().map(|file| Part {
            name: file.name.clone(),
            bytes: file.bytes,
            crc32c: Some(file.crc32c),
        });
        let segments = self.segments.iter().map(|segment| Part {
            name: segment.name.clone(),
            bytes: segment.bytes,
            crc32c: Some(segment.crc32c),
        });
        let cold = self.cold.iter().flat_map(|file| {
            let parquet = Part {
                name: file.parquet(),
                bytes: file.bytes,
                crc32c: Some(file.crc32c),
            };
            // A sidecar's arrays have their own checksums.
            let sidecar = Part {
                name: file.sidecar(),
                bytes: file.sidecar_bytes,
                crc32c: None,
            };
            [parquet, sidecar]
        });
        let parts = symbols.chain(definitions).chain(writers).chain(segments);
        parts.chain(cold).collect()
    }

    /// The names of all files it needs.
    pub fn files(&self) -> BTreeSet<String> {
        self.parts().into_iter().map(|part| part.name).collect()
    }

    /// The same manifest of no file yet.
    pub fn without_files(self) -> Self {
        Self {
            segments: Vec::new(),
            cold: Vec::new(),
            symbols: Vec::new(),
            definitions: Vec::new(),
            writers: None,
            ..self
        }
    }

    /// Gives the store an id where it has none: 32 hexadecimal digits from what the first commit
    /// knows. Nothing random: the path, the microsecond and the content's checksums tell stores
    /// apart.
    pub fn identify(&mut self, path: &Path) {
        if self.store_id.is_some() {
            return;
        }
        let mut hasher = Xxh3::new();
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(&serde_json::to_vec(self).expect("numbers and strings"));
        self.store_id = Some(format!("{:032x}", hasher.digest128()));
    }

    /// How many definitions its files hold.
    pub fn definition_count(&self) -> usize {
        self.definitions.iter().map(|file| file.count).sum()
    }

    /// Makes it durable under its number.
    pub fn write(&self, directory: &dyn Directory) -> Result<()> {
        let payload = serde_json::to_vec(self).expect("numbers and strings");
        let crc = crc32c(&payload);
        let mut bytes = format!("{MAGIC} {VERSION} {} {crc:08x}\n", payload.len()).into_bytes();
        bytes.extend_from_slice(&payload);
        Ok(write_atomically(
            directory,
            &Self::file_name(self.number),
            &bytes,
        )?)
    }

    /// Reads and checks manifest `number`.
    pub fn read(directory: &dyn Directory, number: u64) -> Result<Self> {
        let name = Self::file_name(number);
        let path = directory.path().join(&name);
        let bytes = directory.read(&name)?;
        let damaged = |offset: usize, reason: &str| {
            StoreError::damaged(&path, offset as u64, reason.to_owned())
        };
        let line = bytes.iter().take(128).position(|&byte| byte == b'\n');
        let line = line.ok_or_else(|| damaged(0, "the first line is missing"))?;
        let head = str::from_utf8(&bytes[..line]).unwrap_or_default();
        let fields = head.strip_prefix(MAGIC).map(str::split_ascii_whitespace);
        let mut fields = fields.ok_or_else(|| damaged(0, "no manifest: its magic is missing"))?;
        let version = fields.next().and_then(|text| text.parse::<u32>().ok());
        let version = version.ok_or_else(|| damaged(MAGIC.len(), "no version"))?;
        if version != VERSION {
            return Err(StoreError::Version {
                path,
                found: version,
                known: VERSION,
            });
        }
        let length = fields.next().and_then(|text| text.parse::<usize>().ok());
        let crc = fields
            .next()
            .and_then(|text| u32::from_str_radix(text, 16).ok());
        let payload = &bytes[line + 1..];
        if length != Some(payload.len()) {
            return Err(damaged(
                MAGIC.len(),
                "another length than the first line says",
            ));
        }
        if crc != Some(crc32c(payload)) {
            let reason = format!(
                "CRC32C {:08x}, the first line says otherwise",
                crc32c(payload)
            );
            return Err(damaged(line + 1, &reason));
        }
        // A bit of the head may flip into another spelling of the same values.
        if head
            != format!(
                "{MAGIC} {VERSION} {} {:08x}",
                payload.len(),
                crc32c(payload)
            )
        {
            return Err(damaged(0, "the first line is not as it was written"));
        }
        let manifest: Self = serde_json::from_slice(payload)
            .map_err(|error| damaged(line + 1 + error.column(), &error.to_string()))?;
        if manifest.number != number {
            return Err(damaged(line + 1, "another number than its name says"));
        }
        Ok(manifest)
    }

    /// The numbers of the manifests in the directory, ascending.
    pub fn numbers(directory: &dyn Directory) -> Result<Vec<u64>> {
        let names = directory.list(FOLDER)?;
        let number = |name: &String| name.strip_suffix(".manifest")?.parse().ok();
        let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The manifest in force: the one of the highest number, or the empty one. A damaged one is
    /// no reason to take an older one, whose later events may be gone from the log: it is named.
    pub fn latest(directory: &dyn Directory) -> Result<Self> {
        match Self::numbers(directory)?.last() {
            Some(&number) => Self::read(directory, number),
            None => Ok(Self::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use vitalog_disk::FaultyDirectory;

    use super::*;

    fn example() -> Manifest {
        Manifest {
            number: 4,
            seq: 17,
            received_us: 3,
            wal_first: 2,
            symbols: vec![SymbolEntry {
                name: "symbols/1".to_owned(),
                bytes: 9,
                from: Marks::default(),
            }],
            definitions: vec![DefinitionEntry {
                name: "definitions/4".to_owned(),
                bytes: 88,
                crc32c: 7,
                count: 2,
            }],
            ..Manifest::default()
        }
    }

    #[test]
    fn the_highest_number_counts() {
        let directory = FaultyDirectory::new();
        assert_eq!(
            Manifest::latest(&directory).expect("empty"),
            Manifest::default()
        );
        example().write(&directory).expect("written");
        let newer = Manifest {
            number: 5,
            ..example()
        };
        newer.write(&directory).expect("written");
        assert_eq!(Manifest::latest(&directory).expect("valid"), newer);
        assert_eq!(Manifest::numbers(&directory).expect("listed"), [4, 5]);
    }

    #[test]
    fn definitions_are_a_field_only_where_there_are_some() {
        let payload = |manifest: &Manifest| serde_json::to_string(manifest).expect("plain");
        let without = Manifest {
            definitions: Vec::new(),
            ..example()
        };
        assert!(!payload(&without).contains("definitions"));
        let read: Manifest = serde_json::from_str(&payload(&without)).expect("read");
        assert_eq!(read, without);
        assert!(payload(&example()).contains("definitions"));
        assert_eq!(example().definition_count(), 2);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_shows() {
        let clean = FaultyDirectory::new();
        example().write(&clean).expect("written");
        let name = Manifest::file_name(4);
        let bytes = clean.read(&name).expect("read");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let directory = clean.crash_image(1);
                directory.flip_bit(&name, at as u64, bit).expect("in range");
                let error = Manifest::latest(&directory).expect_err("flipped");
                assert!(error.to_string().contains(".manifest"), "{error}");
            }
            let directory = clean.crash_image(1);
            directory.truncate(&name, at as u64).expect("in range");
            assert!(Manifest::latest(&directory).is_err(), "cut at {at}");
        }
    }
}

//! What is written about a published snapshot: its catalog file, the manifest of each table, and
//! the word about one that is gone (docs/formats/snapshots.md).
//!
//! All are JSON. A manifest is bound to the catalog by length and SHA-256; catalog and revocation
//! carry a checksum of themselves: `{"crc32c":"<8 hex>","content":{…}}`. Invariant: none of them
//! but a manifest holds an id of an account or user.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_schema::{DataType, Schema, TimeUnit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use vitalog_disk::crc32c;

use super::layout::SnapshotId;
use crate::error::{Result, StoreError};

/// The version of these forms.
pub(super) const VERSION: u32 = 1;

/// A snapshot of several tables at one `seq`, as its catalog file describes it. Its files live at
/// least until [`expires_at_us`](Self::expires_at_us), unless an erasure revokes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedSnapshot {
    #[serde(rename = "vitalog_snapshot")]
    pub(super) version: u32,
    /// Its name.
    pub id: SnapshotId,
    /// Every table shows the store up to this `seq`.
    pub seq: i64,
    /// The instant of its health questions, microseconds.
    #[serde(rename = "as_of", with = "instant")]
    pub as_of_us: i64,
    /// When it was made, microseconds.
    #[serde(rename = "created_at", with = "instant")]
    pub created_at_us: i64,
    /// The end of its lease, microseconds.
    #[serde(rename = "expires_at", with = "instant")]
    pub expires_at_us: i64,
    /// Whether the Delta logs of its tables show it.
    #[serde(rename = "delta")]
    pub is_in_delta_log: bool,
    /// Its tables, by name.
    pub tables: Vec<PublishedTable>,
}

impl PublishedSnapshot {
    /// The table of that name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&PublishedTable> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The bytes of all its files; those that other snapshots or the store share count, too.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }
}

/// One table of a snapshot as the catalog names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedTable {
    /// Its name.
    #[serde(rename = "table")]
    pub name: String,
    /// Rows of all its files.
    pub rows: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// How many files it has.
    pub files: u64,
    /// The length of its manifest.
    pub manifest_bytes: u64,
    /// The SHA-256 of its manifest, hex.
    pub manifest_sha256: String,
}

/// One table at one `seq`: what readers follow, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableManifest {
    #[serde(rename = "vitalog_snapshot")]
    pub(super) version: u32,
    /// Its name.
    pub table: String,
    /// The snapshot.
    pub id: SnapshotId,
    /// The `seq` of the snapshot.
    pub seq: i64,
    /// The instant of its health questions, microseconds.
    #[serde(rename = "as_of", with = "instant")]
    pub as_of_us: i64,
    /// When it was made, microseconds.
    #[serde(rename = "created_at", with = "instant")]
    pub created_at_us: i64,
    /// The end of its lease when it was made, microseconds; the lease may have been extended.
    #[serde(rename = "expires_at", with = "instant")]
    pub expires_at_us: i64,
    /// The columns of every file, in order.
    pub schema: Vec<PublishedColumn>,
    /// Rows of all files.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Health models without rows in it, by name; none in most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOutModel>,
    /// The files, by path.
    pub files: Vec<PublishedFile>,
}

/// A health model that a table has no rows of, because the store no longer keeps what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutModel {
    /// Its name.
    pub model: String,
    /// Why, in a sentence.
    pub reason: String,
}

impl TableManifest {
    /// The file of that path below the snapshot's folder.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&PublishedFile> {
        let at = self
            .files
            .binary_search_by(|file| file.path.as_str().cmp(path));
        at.ok().map(|at| &self.files[at])
    }

    /// The bytes as they are written.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("numbers and strings");
        bytes.push(b'\n');
        bytes
    }
}

/// A column of a published table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedColumn {
    /// Its name.
    pub name: String,
    /// `string`, `int32`, `int64`, `double`, `boolean`, `date`, `timestamp[us, UTC]`, or
    /// `list<…>` of one of them, with ` not null` where no element is NULL.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// A file of a published table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedFile {
    /// Below the snapshot's folder, as in `dt=2025-03-01/part-0123456789abcdef.parquet`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Of the whole file, hex.
    pub sha256: String,
    /// Its rows.
    pub rows: u64,
    /// The UTC day of all its rows, `YYYY-MM-DD`.
    pub dt: String,
    /// Lower bounds; text may be a prefix.
    pub min: FileBounds,
    /// Upper bounds; long text may be cut and made greater.
    pub max: FileBounds,
    /// How many values of each plain column are NULL, where that is known.
    pub nulls: BTreeMap<String, u64>,
}

/// Bounds of the columns that files are pruned by; absent where a file has no value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBounds {
    /// Of `account_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Of `user_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Of `event_time`, microseconds.
    #[serde(
        rename = "event_time",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_instant"
    )]
    pub event_time_us: Option<i64>,
    /// Of `seq`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<i64>,
}

/// Why a snapshot is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevocationReason {
    /// It held an account or user that was erased.
    Erased,
    /// Somebody deleted it.
    Deleted,
    /// Its lease had ended.
    Expired,
}

impl RevocationReason {
    /// The reason as one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::Deleted => "deleted",
            Self::Expired => "expired",
        }
    }
}

/// What is known of a snapshot that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The snapshot.
    pub id: SnapshotId,
    /// Why it is gone.
    pub reason: RevocationReason,
    /// Since when, microseconds.
    #[serde(rename = "at", with = "instant")]
    pub at_us: i64,
}

#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    crc32c: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// `content` with a checksum of itself.
pub(super) fn seal(content: &impl Serialize) -> Vec<u8> {
    let content = serde_json::value::to_raw_value(content).expect("numbers and strings");
    let sealed = Sealed {
        crc32c: format!("{:08x}", crc32c(content.get().as_bytes())),
        content: &content,
    };
    serde_json::to_vec(&sealed).expect("numbers and strings")
}

/// What [`seal`] wrote into `path`.
pub(super) fn unseal<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    let damaged = |error: serde_json::Error| {
        StoreError::damaged(path, error.column() as u64, error.to_string())
    };
    let sealed: Sealed<'_> = serde_json::from_slice(bytes).map_err(damaged)?;
    let found = format!("{:08x}", crc32c(sealed.content.get().as_bytes()));
    if found != sealed.crc32c {
        let reason = format!(
            "CRC32C {found} of the content, {:?} is written",
            sealed.crc32c
        );
        return Err(StoreError::damaged(path, 0, reason));
    }
    serde_json::from_str(sealed.content.get()).map_err(damaged)
}

/// The columns of `schema` as manifests name them.
///
/// # Errors
/// [`StoreError::Invalid`] for a type that not every reader of Parquet reads alike.
pub(super) fn columns_of(schema: &Schema) -> Result<Vec<PublishedColumn>> {
    let columns = schema.fields().iter().map(|field| {
        let data_type = type_name(field.data_type()).ok_or_else(|| {
            let (name, found) = (field.name(), field.data_type());
            StoreError::Invalid(format!(
                "column {name} has type {found}, which is not published"
            ))
        })?;
        Ok(PublishedColumn {
            name: field.name().clone(),
            data_type,
            nullable: field.is_nullable(),
        })
    });
    columns.collect()
}

fn type_name(data_type: &DataType) -> Option<String> {
    let name = match data_type {
        DataType::Utf8 => "string",
        DataType::Int32 => "int32",
        DataType::Int64 => "int64",
        DataType::Float64 => "double",
        DataType::Boolean => "boolean",
        DataType::Date32 => "date",
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => {
            "timestamp[us, UTC]"
        }
        DataType::List(item) => {
            let element = type_name(item.data_type())?;
            let nulls = if item.is_nullable() { "" } else { " not null" };
            return Some(format!("list<{element}{nulls}>"));
        }
        _ => return None,
    };
    Some(name.to_owned())
}

/// A time as RFC 3339 with microseconds.
mod instant {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use vitalog_event::{format_timestamp_us, parse_timestamp_us};

    pub fn serialize<S: Serializer>(time_us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_timestamp_us(*time_us))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_timestamp_us(&text).map_err(D::Error::custom)
    }
}

/// The same where it may be absent.
mod optional_instant {
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(
        time_us: &Option<i64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time_us {
            Some(time_us) => super::instant::serialize(time_us, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<i64>, D::Error> {
        super::instant::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::Field;

    use super::*;

    #[test]
    fn every_flipped_bit_of_a_sealed_file_shows() {
        let word = Revocation {
            id: SnapshotId::parse("20250301T120000Z-7").expect("an id"),
            reason: RevocationReason::Erased,
            at_us: 1_740_830_400_000_001,
        };
        let bytes = seal(&word);
        let path = Path::new("revoked/x.json");
        assert_eq!(unseal::<Revocation>(path, &bytes).expect("whole"), word);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                match unseal::<Revocation>(path, &flipped) {
                    Ok(found) => assert_eq!(found, word, "byte {at}"),
                    Err(error) => assert!(error.to_string().contains("x.json"), "{error}"),
                }
            }
            assert!(unseal::<Revocation>(path, &bytes[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn only_plain_types_are_published() {
        let item = Field::new_list_field(DataType::Utf8, false);
        let schema = Schema::new(vec![
            Field::new("a", DataType::Utf8, false),
            Field::new("b", DataType::List(Arc::new(item)), true),
        ]);
        let columns = columns_of(&schema).expect("plain");
        assert_eq!(columns[0].data_type, "string");
        assert_eq!(columns[1].data_type, "list<string not null>");
        for other in [
            DataType::Utf8View,
            DataType::UInt32,
            DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        ] {
            let schema = Schema::new(vec![Field::new("c", other, true)]);
            assert!(columns_of(&schema).is_err());
        }
    }
}

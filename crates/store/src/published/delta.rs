//! The Delta log of a table: the same files, for readers that know Delta and nothing of Vitalog.
//!
//! An unpartitioned table of reader version 1 and writer version 2 in `snapshots/<table>/`. Each
//! version replaces all files of the one before by those of one snapshot, so the newest version
//! alone says what there is, and following a snapshot needs no other. Versions are never reused:
//! a snapshot that goes is followed by a version with the files of the newest that is left.
//!
//! Invariant: no version holds an id of an account or user (versions outlive erasures), so the
//! statistics of identity columns are counts of NULLs only.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use vitalog_disk::{Directory, write_atomically};
use vitalog_event::format_timestamp_us;

use super::catalog::{FileBounds, PublishedFile, TableManifest};
use super::checkpoint::{self, TableState};
use super::layout::{self, SnapshotId};
use super::parquet_file::hex;
use crate::error::{Result, StoreError};

const FOLDER: &str = "_delta_log";
/// Digits of a version's name.
pub(super) const DIGITS: usize = 20;
/// What a reader must understand.
pub(super) const READER_VERSION: i32 = 1;
/// What a writer must understand.
pub(super) const WRITER_VERSION: i32 = 2;
/// Bytes of a version in which its first line, the commit's, ends.
const FIRST_LINE_BYTES_MAX: u64 = 4 << 10;
/// Microseconds of a millisecond, the unit of Delta.
const MILLISECOND_US: i64 = 1_000;

/// What the newest version says.
#[derive(Debug)]
struct Head {
    version: u64,
    /// `None` where it shows no files.
    snapshot: Option<SnapshotId>,
    table_id: String,
    schema_sha256: String,
    /// The paths of its files.
    paths: Vec<String>,
}

/// Brings the log of `table` to `target`, or to no files where nothing is left. Does nothing where
/// it is there already. Versions of snapshots for which `is_live` does not hold are forgotten now and
/// then, when a checkpoint stands for them. Returns whether a version was added.
///
/// # Errors
/// Damage of the newest version; a full or failing disk.
pub(super) fn follow(
    directory: &dyn Directory,
    table: &str,
    target: Option<&TableManifest>,
    now_us: i64,
    is_live: &dyn Fn(&SnapshotId) -> bool,
) -> Result<bool> {
    let folder = format!("{}/{FOLDER}", layout::table_folder(table));
    let head = head(directory, &folder)?;
    let shown = head.as_ref().and_then(|head| head.snapshot.as_ref());
    if shown == target.map(|target| &target.id) {
        return Ok(false);
    }
    let next = Next::after(head, table, target, now_us);
    let lines = next.lines(table, now_us);
    let name = version_name(&folder, next.version);
    write_atomically(directory, &name, lines.as_bytes())?;
    if let Some(schema) = &next.schema {
        let state = TableState {
            version: next.version,
            table,
            table_id: &next.table_id,
            schema,
            adds: &next.adds,
        };
        if state.is_due() {
            state.write(directory, &folder)?;
            checkpoint::clean(directory, &folder, is_live)?;
        }
    }
    Ok(true)
}

/// The name of a version.
pub(super) fn version_name(folder: &str, version: u64) -> String {
    format!("{folder}/{version:0width$}.json", width = DIGITS)
}

/// The version to be added.
#[derive(Debug)]
struct Next<'a> {
    version: u64,
    target: Option<&'a TableManifest>,
    table_id: String,
    /// `None` where nothing is left to show.
    schema: Option<String>,
    schema_sha256: String,
    is_new_schema: bool,
    /// Paths of the files of the version before.
    removes: Vec<String>,
    adds: Vec<Value>,
}

impl<'a> Next<'a> {
    fn after(
        head: Option<Head>,
        table: &str,
        target: Option<&'a TableManifest>,
        now_us: i64,
    ) -> Self {
        let version = head.as_ref().map_or(0, |head| head.version + 1);
        let (table_id, known_sha256, removes) = match head {
            Some(head) => (head.table_id, head.schema_sha256, head.paths),
            None => (table_id(table, now_us), String::new(), Vec::new()),
        };
        let schema = target.map(schema_string);
        let sha256 = |schema: &String| hex(&Sha256::digest(schema.as_bytes()));
        let schema_sha256 = schema.as_ref().map_or(known_sha256.clone(), sha256);
        let files = target.into_iter().flat_map(|target| {
            let files = target.files.iter();
            files.map(|file| add(target, file))
        });
        Self {
            version,
            target,
            table_id,
            schema,
            is_new_schema: schema_sha256 != known_sha256,
            schema_sha256,
            removes,
            adds: files.collect(),
        }
    }

    /// Its actions, one a line.
    fn lines(&self, table: &str, now_us: i64) -> String {
        let now_ms = now_us.div_euclid(MILLISECOND_US);
        let mut actions = vec![json!({"commitInfo": {
            "timestamp": now_ms,
            "operation": "WRITE",
            "operationParameters": {"mode": "Overwrite"},
            "engineInfo": "vitalog",
            "vitalogSnapshot": self.target.map(|target| target.id.as_str()),
            "vitalogSeq": self.target.map(|target| target.seq),
            "vitalogTable": &self.table_id,
            "vitalogSchema": &self.schema_sha256,
        }})];
        if self.version == 0 {
            actions.push(json!({"protocol": {
                "minReaderVersion": READER_VERSION,
                "minWriterVersion": WRITER_VERSION,
            }}));
        }
        if let Some(schema) = &self.schema
            && self.is_new_schema
        {
            actions.push(json!({"metaData": {
                "id": &self.table_id,
                "name": table,
                "format": {"provider": "parquet", "options": {}},
                "schemaString": schema,
                "partitionColumns": [],
                "configuration": {},
                "createdTime": now_ms,
            }}));
        }
        actions.extend(self.removes.iter().map(|path| {
            json!({"remove": {"path": path, "deletionTimestamp": now_ms, "dataChange": true}})
        }));
        actions.extend(self.adds.iter().map(|add| json!({"add": add})));
        let mut lines = String::new();
        for action in actions {
            lines.push_str(&action.to_string());
            lines.push('\n');
        }
        lines
    }
}

/// The content of an `add`.
fn add(manifest: &TableManifest, file: &PublishedFile) -> Value {
    // Ids and paths have no character that a URI would have to escape.
    json!({
        "path": format!("{}/{}", manifest.id, file.path),
        "partitionValues": {},
        "size": file.bytes,
        "modificationTime": manifest.created_at_us.div_euclid(MILLISECOND_US),
        "dataChange": true,
        "stats": stats(file).to_string(),
    })
}

fn stats(file: &PublishedFile) -> Value {
    json!({
        "numRecords": file.rows,
        "minValues": bounds(file, &file.min, 0),
        // A millisecond ends with its last microsecond.
        "maxValues": bounds(file, &file.max, MILLISECOND_US - 1),
        "nullCount": file.nulls,
    })
}

fn bounds(file: &PublishedFile, bounds: &FileBounds, round_up_us: i64) -> Value {
    let mut values = Map::new();
    if file.rows > 0 {
        values.insert("dt".to_owned(), json!(file.dt));
    }
    if let Some(time_us) = bounds.event_time_us {
        let millisecond = (time_us + round_up_us).div_euclid(MILLISECOND_US);
        let text = format_timestamp_us(millisecond * MILLISECOND_US);
        // `….123000Z` with three digits, as Delta writes times in statistics.
        let text = text.replacen("000Z", "Z", 1);
        values.insert("event_time".to_owned(), json!(text));
    }
    if let Some(seq) = bounds.seq {
        values.insert("seq".to_owned(), json!(seq));
    }
    Value::Object(values)
}

fn schema_string(manifest: &TableManifest) -> String {
    let fields: Vec<Value> = manifest
        .schema
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "type": delta_type(&column.data_type),
                "nullable": column.nullable,
                "metadata": {},
            })
        })
        .collect();
    json!({"type": "struct", "fields": fields}).to_string()
}

fn delta_type(data_type: &str) -> Value {
    let element = data_type
        .strip_prefix("list<")
        .and_then(|rest| rest.strip_suffix('>'));
    if let Some(element) = element {
        let plain = element.trim_end_matches(" not null");
        return json!({
            "type": "array",
            "elementType": delta_type(plain),
            "containsNull": plain.len() == element.len(),
        });
    }
    json!(match data_type {
        "int32" => "integer",
        "int64" => "long",
        "timestamp[us, UTC]" => "timestamp",
        same => same,
    })
}

/// A UUID that stays with the table for the life of its log.
fn table_id(table: &str, now_us: i64) -> String {
    let digits = hex(&Sha256::digest(format!("{table} {now_us}").as_bytes()));
    format!(
        "{}-{}-4{}-8{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[13..16],
        &digits[17..20],
        &digits[20..32]
    )
}

/// The newest version; `None` where there is no log. Unfinished files are removed.
fn head(directory: &dyn Directory, folder: &str) -> Result<Option<Head>> {
    let mut newest = None;
    for name in directory.list(folder)? {
        if name.ends_with(".tmp") {
            directory.remove(&format!("{folder}/{name}"))?;
        }
        let digits = name
            .strip_suffix(".json")
            .filter(|digits| digits.len() == DIGITS);
        if let Some(version) = digits.and_then(|digits| digits.parse::<u64>().ok()) {
            newest = newest.max(Some((version, name)));
        }
    }
    let Some((version, name)) = newest else {
        return Ok(None);
    };
    let name = format!("{folder}/{name}");
    let bytes = directory.read(&name)?;
    let read = read_version(version, &bytes);
    read.map(Some)
        .map_err(|reason| StoreError::damaged(directory.path().join(&name), 0, reason))
}

fn read_version(version: u64, bytes: &[u8]) -> std::result::Result<Head, String> {
    let text = str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut info = None;
    let mut paths = Vec::new();
    for line in text.lines() {
        let action: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if let Some(path) = action["add"]["path"].as_str() {
            paths.push(path.to_owned());
        }
        if action["commitInfo"].is_object() {
            info = Some(action["commitInfo"].clone());
        }
    }
    let info = info.ok_or("a version without commitInfo")?;
    let word = |name: &str| info[name].as_str().map(str::to_owned);
    let snapshot = match word("vitalogSnapshot") {
        None => None,
        Some(id) => Some(SnapshotId::try_from(id)?),
    };
    Ok(Head {
        version,
        snapshot,
        table_id: word("vitalogTable").ok_or("no vitalogTable in commitInfo")?,
        schema_sha256: word("vitalogSchema").ok_or("no vitalogSchema in commitInfo")?,
        paths,
    })
}

/// The snapshot that `version` shows, from its first line; `None` where it shows none or where the
/// line cannot be read.
///
/// # Errors
/// A failing disk.
pub(super) fn snapshot_of(
    directory: &dyn Directory,
    folder: &str,
    version: u64,
) -> Result<Option<SnapshotId>> {
    let name = version_name(folder, version);
    let length = directory.len(&name)?.min(FIRST_LINE_BYTES_MAX);
    let mut bytes = vec![0; length as usize];
    directory.read_at(&name, 0, &mut bytes)?;
    let line = bytes
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let action: Value = serde_json::from_slice(line).unwrap_or_default();
    let id = action["commitInfo"]["vitalogSnapshot"].as_str();
    Ok(id.and_then(SnapshotId::parse))
}

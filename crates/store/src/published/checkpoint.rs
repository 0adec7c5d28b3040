//! Checkpoints of a Delta log: all that readers need of it up to a version, in one Parquet file,
//! so that they need not replay it and old versions can go.
//!
//! Invariant: a version is removed only where a later checkpoint stands at or before the first
//! version whose snapshot is still there.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, MapArray, RecordBatch,
    StringArray, StructArray,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use vitalog_disk::{Directory, write_atomically};

use super::delta::{self, DIGITS};
use super::layout::SnapshotId;
use super::tree::unless_missing;
use crate::error::{Result, StoreError};

/// A version in so many gets a checkpoint.
const EVERY: u64 = 10;

const POINTER: &str = "_last_checkpoint";
/// `.checkpoint.parquet` after the version.
const ENDING: &str = "checkpoint.parquet";

/// What a table is at a version.
pub(super) struct TableState<'a> {
    pub version: u64,
    pub table: &'a str,
    pub table_id: &'a str,
    pub schema: &'a str,
    /// The content of each `add`.
    pub adds: &'a [Value],
}

impl TableState<'_> {
    pub fn is_due(&self) -> bool {
        self.version > 0 && self.version.is_multiple_of(EVERY)
    }

    /// Writes the checkpoint, then the pointer to it.
    ///
    /// # Errors
    /// A full or failing disk.
    pub fn write(&self, directory: &dyn Directory, folder: &str) -> Result<()> {
        let name = checkpoint_name(folder, self.version);
        let bytes = self.encode().map_err(|error| {
            StoreError::damaged(directory.path().join(&name), 0, error.to_string())
        })?;
        write_atomically(directory, &name, &bytes)?;
        let size = self.adds.len() + 2;
        let pointer = serde_json::json!({"version": self.version, "size": size}).to_string();
        let pointer_name = format!("{folder}/{POINTER}");
        Ok(write_atomically(
            directory,
            &pointer_name,
            pointer.as_bytes(),
        )?)
    }

    /// One row an action: `protocol`, `metaData`, then the files.
    fn encode(&self) -> std::result::Result<Vec<u8>, ParquetError> {
        let rows = self.adds.len() + 2;
        let (protocol, metadata, adds) = (0..1, 1..2, 2..rows);
        let add_text = |name: &str| {
            let value = |row: usize| self.adds.get(row.checked_sub(2)?)?[name].as_str();
            texts((0..rows).map(value))
        };
        let add_number = |name: &str| -> ArrayRef {
            let value = |row: usize| self.adds.get(row.checked_sub(2)?)?[name].as_i64();
            Arc::new((0..rows).map(value).collect::<Int64Array>())
        };
        let once = |text: &'static str| texts((0..rows).map(|row| (row == 1).then_some(text)));
        let word = |text: &str| texts((0..rows).map(|row| (row == 1).then_some(text)));
        let version = |number: i32| -> ArrayRef {
            let value = |row: usize| (row == 0).then_some(number);
            Arc::new((0..rows).map(value).collect::<Int32Array>())
        };
        let format = group(
            rows,
            &metadata,
            vec![
                ("provider", once("parquet")),
                ("options", no_entries(rows, &metadata)),
            ],
        );
        let changes = (0..rows).map(|row| adds.contains(&row).then_some(true));
        let columns = vec![
            (
                "protocol",
                group(
                    rows,
                    &protocol,
                    vec![
                        ("minReaderVersion", version(delta::READER_VERSION)),
                        ("minWriterVersion", version(delta::WRITER_VERSION)),
                    ],
                ),
            ),
            (
                "metaData",
                group(
                    rows,
                    &metadata,
                    vec![
                        ("id", word(self.table_id)),
                        ("name", word(self.table)),
                        ("format", format),
                        ("schemaString", word(self.schema)),
                        ("partitionColumns", no_items(rows, &metadata)),
                        ("configuration", no_entries(rows, &metadata)),
                    ],
                ),
            ),
            (
                "add",
                group(
                    rows,
                    &adds,
                    vec![
                        ("path", add_text("path")),
                        ("partitionValues", no_entries(rows, &adds)),
                        ("size", add_number("size")),
                        ("modificationTime", add_number("modificationTime")),
                        ("dataChange", Arc::new(changes.collect::<BooleanArray>())),
                        ("stats", add_text("stats")),
                    ],
                ),
            ),
        ];
        let (fields, arrays) = fields_of(columns);
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        writer.into_inner()
    }
}

/// Removes the versions and checkpoints that no snapshot needs for which `is_live` holds.
///
/// # Errors
/// A failing disk.
pub(super) fn clean(
    directory: &dyn Directory,
    folder: &str,
    is_live: &dyn Fn(&SnapshotId) -> bool,
) -> Result<()> {
    let names = directory.list(folder)?;
    let numbers = |ending: &str| -> Vec<u64> {
        let number = |name: &String| {
            let (digits, rest) = name.split_once('.')?;
            (rest == ending && digits.len() == DIGITS).then(|| digits.parse().ok())?
        };
        names.iter().filter_map(number).collect()
    };
    let (versions, checkpoints) = (numbers("json"), numbers(ENDING));
    let mut needed = versions.last().copied().unwrap_or(0);
    for &version in &versions {
        let shown = delta::snapshot_of(directory, folder, version)?;
        if shown.is_some_and(|id| is_live(&id)) {
            needed = version;
            break;
        }
    }
    let before = checkpoints.iter().rev().find(|&&at| at <= needed);
    let Some(&kept_from) = before else {
        return Ok(());
    };
    for version in versions.into_iter().filter(|&version| version < kept_from) {
        unless_missing(directory.remove(&delta::version_name(folder, version)))?;
    }
    for version in checkpoints
        .into_iter()
        .filter(|&version| version < kept_from)
    {
        unless_missing(directory.remove(&checkpoint_name(folder, version)))?;
    }
    Ok(())
}

fn checkpoint_name(folder: &str, version: u64) -> String {
    format!("{folder}/{version:0width$}.{ENDING}", width = DIGITS)
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn fields_of(columns: Vec<(&str, ArrayRef)>) -> (Fields, Vec<ArrayRef>) {
    let field =
        |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let fields = columns.iter().map(field).collect();
    (
        fields,
        columns.into_iter().map(|(_, array)| array).collect(),
    )
}

/// Which rows have a value.
fn only(rows: usize, present: &Range<usize>) -> Option<NullBuffer> {
    let is_there = BooleanBuffer::collect_bool(rows, |row| present.contains(&row));
    Some(NullBuffer::new(is_there))
}

fn group(rows: usize, present: &Range<usize>, children: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let (fields, arrays) = fields_of(children);
    Arc::new(StructArray::new(fields, arrays, only(rows, present)))
}

/// Empty maps of text to text.
fn no_entries(rows: usize, present: &Range<usize>) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]);
    let none = || -> ArrayRef { Arc::new(StringArray::new_null(0)) };
    let entries = StructArray::new(fields.clone(), vec![none(), none()], None);
    let field = Field::new("key_value", DataType::Struct(fields), false);
    let offsets = OffsetBuffer::new_zeroed(rows);
    let nulls = only(rows, present);
    Arc::new(MapArray::new(
        Arc::new(field),
        offsets,
        entries,
        nulls,
        false,
    ))
}

/// Empty lists of text.
fn no_items(rows: usize, present: &Range<usize>) -> ArrayRef {
    let field = Arc::new(Field::new("element", DataType::Utf8, true));
    let offsets = OffsetBuffer::new_zeroed(rows);
    let items = Arc::new(StringArray::new_null(0));
    Arc::new(ListArray::new(field, offsets, items, only(rows, present)))
}

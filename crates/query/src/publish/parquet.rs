//! Rows into the Parquet files of a draft: the settings of the files, and one open file a UTC day.
//!
//! Invariant: what is held in memory stays below a bound, whatever the number of rows and days:
//! past it row groups are written out before they are full.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use vitalog_event::day_of_timestamp_us;
use vitalog_store::{DraftFile, LeftOutModel, SnapshotDraft};

use crate::error::{QueryError, QueryErrorKind};

/// The column that says in the file what its folder says, too.
pub(super) const DAY_COLUMN: &str = "dt";

/// Most rows of a row group.
const GROUP_ROWS_MAX: usize = 1 << 20;
/// Encoded bytes that open row groups may hold together.
const OPEN_BYTES_MAX: usize = 128 << 20;
/// A dictionary of ids may grow to this before plain text replaces it.
const DICTIONARY_BYTES_MAX: usize = 16 << 20;
/// Share of absent ids for which a bloom filter says "perhaps".
const BLOOM_FALSE_POSITIVES: f64 = 0.01;
/// Columns with a bloom filter.
const BLOOM_COLUMNS: [&str; 3] = ["account_id", "user_id", "event_id"];
/// Columns whose few texts repeat.
const DICTIONARY_COLUMNS: [&str; 3] = ["account_id", "user_id", "event"];
/// Integers that are near to their neighbours.
const DELTA_COLUMNS: [&str; 3] = ["event_time", "received_at", "seq"];

/// `schema` with the day as its last column.
pub(super) fn with_day(schema: &Schema) -> SchemaRef {
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(DAY_COLUMN, DataType::Date32, false)));
    Arc::new(Schema::new(fields))
}

/// How a file with `schema`, sorted by the columns `order` (ascending, nulls last), is written.
fn properties(schema: &Schema, order: &[&str]) -> Result<WriterProperties, QueryError> {
    let level = ZstdLevel::try_new(3).map_err(|error| write_error(&error))?;
    let place = |name: &&str| {
        // Lists stand behind every column that files are sorted by, so places are those of leaves.
        let column_idx = schema.index_of(name).ok()? as i32;
        Some(SortingColumn {
            column_idx,
            descending: false,
            nulls_first: false,
        })
    };
    let sorting: Option<Vec<SortingColumn>> = order.iter().map(place).collect();
    let mut builder = WriterProperties::builder()
        .set_created_by("vitalog".to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
        .set_coerce_types(true)
        .set_sorting_columns(sorting.filter(|sorting| !sorting.is_empty()));
    let has = |name: &&&str| schema.index_of(name).is_ok();
    for name in BLOOM_COLUMNS.iter().filter(has) {
        let path = ColumnPath::from(*name);
        builder = builder
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path, BLOOM_FALSE_POSITIVES);
    }
    for name in DICTIONARY_COLUMNS.iter().filter(has) {
        let path = ColumnPath::from(*name);
        builder = builder.set_column_dictionary_page_size_limit(path, DICTIONARY_BYTES_MAX);
    }
    for name in DELTA_COLUMNS.iter().filter(has) {
        let path = ColumnPath::from(*name);
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    if schema.index_of("event_id").is_ok() {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from("event_id"), false);
    }
    Ok(builder.build())
}

/// Which day a row of a table belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum DayOf {
    /// One day for all rows.
    Day(i32),
    /// The UTC day of a column of times that are not NULL.
    Column(&'static str),
}

/// Writes one table of a draft.
pub(super) struct TableWriter<'a> {
    draft: &'a mut SnapshotDraft,
    table: &'static str,
    /// With the day.
    schema: SchemaRef,
    properties: WriterProperties,
    open: BTreeMap<i32, ArrowWriter<DraftFile>>,
    days_written: usize,
}

impl<'a> TableWriter<'a> {
    /// Begins `table`, whose batches will have `schema`, in files sorted by `order`.
    pub fn begin(
        draft: &'a mut SnapshotDraft,
        table: &'static str,
        schema: &Schema,
        order: &[&str],
    ) -> Result<Self, QueryError> {
        let schema = with_day(schema);
        draft.table(table, &schema)?;
        Ok(Self {
            draft,
            table,
            properties: properties(&schema, order)?,
            schema,
            open: BTreeMap::new(),
            days_written: 0,
        })
    }

    /// Says that the table has no rows of `model`, and why.
    pub fn leave_out(&mut self, model: String, reason: String) -> Result<(), QueryError> {
        let left_out = LeftOutModel { model, reason };
        Ok(self.draft.leave_out(self.table, left_out)?)
    }

    /// The draft, for files that are taken as they are.
    pub fn draft(&mut self) -> &mut SnapshotDraft {
        self.days_written += 1;
        self.draft
    }

    /// Appends the rows of `batch`, each to the file of its day.
    pub fn write(&mut self, batch: &RecordBatch, day: DayOf) -> Result<(), QueryError> {
        match day {
            DayOf::Day(day) => self.write_day(batch, day),
            DayOf::Column(name) => {
                let column = batch.column_by_name(name).ok_or_else(|| {
                    QueryError::internal(format!("{} has no column {name}", self.table))
                })?;
                let times = column
                    .as_primitive_opt::<TimestampMicrosecondType>()
                    .ok_or_else(|| QueryError::internal(format!("{name} is no time")))?;
                let days: Vec<i32> = times
                    .values()
                    .iter()
                    .map(|&time_us| day_of_timestamp_us(time_us))
                    .collect();
                let mut start = 0;
                for run in days.chunk_by(|left, right| left == right) {
                    self.write_day(&batch.slice(start, run.len()), run[0])?;
                    start += run.len();
                }
                Ok(())
            }
        }
    }

    fn write_day(&mut self, batch: &RecordBatch, day: i32) -> Result<(), QueryError> {
        let mut columns = batch.columns().to_vec();
        let days: ArrayRef = Arc::new(Date32Array::from_value(day, batch.num_rows()));
        columns.push(days);
        let dated = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| QueryError::internal(error.to_string()))?;
        let written = self.file(day)?.write(&dated);
        written.map_err(|error| write_error(&error))?;
        let held = |file: &ArrowWriter<DraftFile>| file.memory_size();
        if self.open.values().map(held).sum::<usize>() > OPEN_BYTES_MAX {
            let largest = self.open.values_mut().max_by_key(|file| held(file));
            if let Some(largest) = largest {
                largest.flush().map_err(|error| write_error(&error))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, day: i32) -> Result<&mut ArrowWriter<DraftFile>, QueryError> {
        use std::collections::btree_map::Entry;
        match self.open.entry(day) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(place) => {
                let file = self.draft.create(self.table, day)?;
                let options = ArrowWriterOptions::new()
                    .with_properties(self.properties.clone())
                    .with_skip_arrow_metadata(true);
                let schema = Arc::clone(&self.schema);
                let file = ArrowWriter::try_new_with_options(file, schema, options)
                    .map_err(|error| write_error(&error))?;
                self.days_written += 1;
                Ok(place.insert(file))
            }
        }
    }

    /// Ends the files that are open.
    pub fn close_files(&mut self) -> Result<(), QueryError> {
        for (_, file) in std::mem::take(&mut self.open) {
            let file = file.into_inner().map_err(|error| write_error(&error))?;
            self.draft.finish(file)?;
        }
        Ok(())
    }

    /// Ends the table. One without rows gets an empty file of `day`, which tells readers of files
    /// its schema.
    pub fn close(mut self, day: i32) -> Result<(), QueryError> {
        if self.days_written == 0 {
            self.file(day)?;
        }
        self.close_files()
    }
}

/// What a caller can do about a file that could not be written.
fn write_error(error: &ParquetError) -> QueryError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut kind = QueryErrorKind::Internal;
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            kind = match io.kind() {
                io::ErrorKind::StorageFull => QueryErrorKind::Limit,
                _ => QueryErrorKind::Data,
            };
        }
        cause = error.source();
    }
    QueryError::new(kind, format!("writing a published file: {error}"))
}

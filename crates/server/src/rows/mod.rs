//! Rows as bytes for programs: CSV, JSON, JSON Lines, Parquet and Arrow, over any `io::Write`.
//!
//! It owns how a value looks in each format, wherever rows leave as bytes: over HTTP, in the JSON
//! of gRPC, from the command line. It does not own types on the border (`vitalog-query`) or any
//! protocol. All formats are written batch by batch; only Parquet holds rows back, up to a group.
//!
//! Invariant: every column has a name of its own, and an answer without rows has its header or
//! schema, where the format has one.

mod nested;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{JsonFormat, LineDelimited, WriterBuilder};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

pub use self::nested::{flat_batch, flat_schema};

/// Times in every format: RFC 3339 with microseconds. Answers are in UTC.
pub const TIMESTAMP_FORM: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

/// Most rows of a row group of Parquet.
const GROUP_ROWS_MAX: usize = 256 << 10;

/// Bytes in memory at which a row group of Parquet is written out before it is full.
const GROUP_BYTES_MAX: usize = 32 << 20;

/// A format for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowFormat {
    /// One JSON array of objects; 64-bit integers are exact, NaN and infinities are null.
    Json,
    /// One JSON object a line, with the same values.
    JsonLines,
    /// Comma-separated values with a header; NULL is empty.
    Csv,
    /// One Parquet file.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

/// Writes the rows of one answer.
pub struct RowWriter<W: Write> {
    /// The names and types under which rows are written.
    schema: SchemaRef,
    format: Writing<W>,
}

enum Writing<W: Write> {
    Json(Box<arrow::json::Writer<W, JsonRows>>),
    JsonLines(Box<arrow::json::Writer<W, LineDelimited>>),
    Csv(Box<arrow::csv::Writer<W>>),
    /// Groups are handed on as they fill.
    Parquet(Box<ArrowWriter<Vec<u8>>>, W),
    Arrow(Box<StreamWriter<W>>),
}

impl<W: Write + Send> std::fmt::Debug for RowWriter<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RowWriter").finish_non_exhaustive()
    }
}

impl<W: Write> RowWriter<W> {
    /// A writer for rows of `schema`, after the header of the format.
    ///
    /// # Errors
    /// `out` fails, or the format has no such type.
    pub fn new(format: RowFormat, schema: &SchemaRef, out: W) -> Result<Self, ArrowError> {
        let mut schema = distinct_names(schema);
        let format = match format {
            RowFormat::Json => Writing::Json(Box::new(json().build(out))),
            RowFormat::JsonLines => Writing::JsonLines(Box::new(json().build(out))),
            RowFormat::Csv => {
                schema = flat_schema(&schema);
                let mut writer = arrow::csv::WriterBuilder::new()
                    .with_header(true)
                    .with_timestamp_format(TIMESTAMP_FORM.to_owned())
                    .with_timestamp_tz_format(TIMESTAMP_FORM.to_owned())
                    .build(out);
                writer.write(&RecordBatch::new_empty(Arc::clone(&schema)))?;
                Writing::Csv(Box::new(writer))
            }
            RowFormat::Parquet => {
                check_parquet(&schema)?;
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
                    .build();
                let schema = Arc::clone(&schema);
                let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
                Writing::Parquet(Box::new(writer), out)
            }
            RowFormat::Arrow => Writing::Arrow(Box::new(StreamWriter::try_new(out, &schema)?)),
        };
        Ok(Self { schema, format })
    }

    /// Takes the next rows, and passes them on where the format allows.
    ///
    /// # Errors
    /// `out` fails, or the format cannot hold a value.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        match &mut self.format {
            Writing::Json(writer) => {
                writer.write(&renamed(batch, &self.schema)?)?;
                writer.get_mut().flush()?;
            }
            Writing::JsonLines(writer) => {
                writer.write(&renamed(batch, &self.schema)?)?;
                writer.get_mut().flush()?;
            }
            Writing::Csv(writer) => writer.write(&flat_batch(batch, &self.schema)?)?,
            Writing::Parquet(writer, out) => {
                writer.write(&renamed(batch, &self.schema)?)?;
                if writer.memory_size() > GROUP_BYTES_MAX {
                    writer.flush()?;
                }
                out.write_all(&std::mem::take(writer.inner_mut()))?;
            }
            Writing::Arrow(writer) => {
                writer.write(&renamed(batch, &self.schema)?)?;
                writer.get_mut().flush()?;
            }
        }
        Ok(())
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// `out` fails.
    pub fn finish(self) -> Result<(), ArrowError> {
        match self.format {
            Writing::Json(mut writer) => {
                writer.finish()?;
                writer.get_mut().flush()?;
            }
            Writing::JsonLines(mut writer) => {
                writer.finish()?;
                writer.get_mut().flush()?;
            }
            Writing::Csv(writer) => writer.into_inner().flush()?,
            Writing::Parquet(writer, mut out) => {
                out.write_all(&writer.into_inner()?)?;
                out.flush()?;
            }
            Writing::Arrow(mut writer) => {
                writer.finish()?;
                writer.get_mut().flush()?;
            }
        }
        Ok(())
    }
}

/// Bytes that a writer wrote and that nobody has taken yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    /// Takes what there is.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.bytes())
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn json() -> WriterBuilder {
    WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_timestamp_format(TIMESTAMP_FORM.to_owned())
        .with_timestamp_tz_format(TIMESTAMP_FORM.to_owned())
}

/// An array with one object a line.
#[derive(Debug, Default)]
struct JsonRows;

impl JsonFormat for JsonRows {
    fn start_stream<W: Write>(&self, writer: &mut W) -> Result<(), ArrowError> {
        Ok(writer.write_all(b"[")?)
    }

    fn start_row<W: Write>(&self, writer: &mut W, is_first: bool) -> Result<(), ArrowError> {
        Ok(writer.write_all(if is_first { b"\n" } else { b",\n" })?)
    }

    fn end_stream<W: Write>(&self, writer: &mut W) -> Result<(), ArrowError> {
        Ok(writer.write_all(b"\n]\n")?)
    }
}

/// Refuses what Parquet cannot hold before anything is written: its writer finds it at the rows.
fn check_parquet(schema: &Schema) -> Result<(), ArrowError> {
    let is_lost =
        |data_type: &DataType| matches!(data_type, DataType::Interval(IntervalUnit::MonthDayNano));
    let fields = schema.flattened_fields();
    let Some(field) = fields.iter().find(|field| is_lost(field.data_type())) else {
        return Ok(());
    };
    let (name, found) = (field.name(), field.data_type());
    Err(ArrowError::NotYetImplemented(format!(
        "column {name} is of type {found}, and Parquet holds no nanoseconds of it; cast it to text"
    )))
}

/// `schema` with every name once: the second `a` becomes `a_2`.
fn distinct_names(schema: &SchemaRef) -> SchemaRef {
    let given: HashSet<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    if given.len() == schema.fields().len() {
        return Arc::clone(schema);
    }
    let mut taken: HashSet<String> = HashSet::new();
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| {
            if taken.insert(field.name().clone()) {
                return Arc::clone(field);
            }
            let name = (2..)
                .map(|number| format!("{}_{number}", field.name()))
                .find(|name| !given.contains(name.as_str()) && !taken.contains(name))
                .expect("numbers do not run out before columns");
            taken.insert(name.clone());
            Arc::new(Field::clone(field).with_name(name))
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// `batch` under the names and with the nullability of `schema`.
fn renamed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)
}

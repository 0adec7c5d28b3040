//! Answers as bytes: one writer a format, over any `io::Write`.
//!
//! JSON Lines, CSV, JSON and Arrow are written batch by batch and hold no row back; the table keeps
//! what it shows, since columns are as wide as their widest value. Formats for programs give every
//! column a name of its own; the table shows the names as they are.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{JsonFormat, LineDelimited, WriterBuilder};
use clap::ValueEnum;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::nested::{flat_batch, flat_schema};
use super::table::TableWriter;

/// Times in every format for programs: RFC 3339 with microseconds. Answers are in UTC.
pub(super) const TIMESTAMP_FORM: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum OutputFormat {
    /// Aligned columns for people; long answers are cut.
    Table,
    /// One JSON array of objects; 64-bit integers are exact, NaN and infinities are null.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header; NULL is empty.
    Csv,
    /// One Parquet file.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

impl OutputFormat {
    /// Whether it is bytes for programs, of which one answer fills a stream.
    pub(super) fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }
}

/// What the reader of the output can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Columns of the terminal; `None` where the output is none.
    pub width: Option<usize>,
    /// Whether escapes for dimmed text may be written.
    pub is_coloured: bool,
}

/// Writes one answer.
pub(super) trait AnswerWriter {
    /// Takes the next rows, and passes them on where the format allows.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError>;

    /// Ends the answer. Returns what the reader of the output should be told about it.
    fn finish(self: Box<Self>) -> Result<Vec<String>, ArrowError>;
}

/// A writer for an answer of `schema`.
///
/// # Errors
/// The output fails, or the format has no such type.
pub(super) fn answer_writer<'w>(
    format: OutputFormat,
    schema: &SchemaRef,
    screen: Screen,
    out: &'w mut dyn Write,
) -> Result<Box<dyn AnswerWriter + 'w>, ArrowError> {
    Ok(match format {
        OutputFormat::Table => Box::new(TableWriter::new(schema, screen, out)),
        OutputFormat::Json => Box::new(JsonWriter::<JsonRows>::new(schema, out)),
        OutputFormat::Jsonl => Box::new(JsonWriter::<LineDelimited>::new(schema, out)),
        OutputFormat::Csv => Box::new(CsvWriter::new(schema, out)?),
        OutputFormat::Parquet => Box::new(ParquetWriter::new(schema, out)?),
        OutputFormat::Arrow => Box::new(IpcWriter::new(schema, out)?),
    })
}

/// Writes a whole answer, as for a file. Nothing is written where there is no batch.
///
/// # Errors
/// The output fails, or the format has no such type.
pub fn write_batches(
    format: OutputFormat,
    batches: &[RecordBatch],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let Some(first) = batches.first() else {
        return Ok(());
    };
    let mut writer = answer_writer(format, &first.schema(), Screen::default(), out)?;
    for batch in batches {
        writer.write(batch)?;
    }
    for note in writer.finish()? {
        writeln!(out, "{note}")?;
    }
    out.flush()?;
    Ok(())
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

struct JsonWriter<'w, F: JsonFormat> {
    schema: SchemaRef,
    inner: arrow::json::Writer<&'w mut dyn Write, F>,
}

impl<'w, F: JsonFormat> JsonWriter<'w, F> {
    fn new(schema: &SchemaRef, out: &'w mut dyn Write) -> Self {
        let inner = WriterBuilder::new()
            .with_explicit_nulls(true)
            .with_timestamp_format(TIMESTAMP_FORM.to_owned())
            .with_timestamp_tz_format(TIMESTAMP_FORM.to_owned())
            .build::<_, F>(out);
        Self {
            schema: distinct_names(schema),
            inner,
        }
    }
}

impl<F: JsonFormat> AnswerWriter for JsonWriter<'_, F> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.inner.write(&renamed(batch, &self.schema)?)?;
        Ok(self.inner.get_mut().flush()?)
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<String>, ArrowError> {
        self.inner.finish()?;
        self.inner.get_mut().flush()?;
        Ok(Vec::new())
    }
}

struct CsvWriter<'w> {
    schema: SchemaRef,
    inner: arrow::csv::Writer<&'w mut dyn Write>,
}

impl<'w> CsvWriter<'w> {
    /// Writes the header, so that an answer without rows has one.
    fn new(schema: &SchemaRef, out: &'w mut dyn Write) -> Result<Self, ArrowError> {
        let schema = flat_schema(&distinct_names(schema));
        let mut inner = arrow::csv::WriterBuilder::new()
            .with_header(true)
            .with_timestamp_format(TIMESTAMP_FORM.to_owned())
            .with_timestamp_tz_format(TIMESTAMP_FORM.to_owned())
            .build(out);
        inner.write(&RecordBatch::new_empty(Arc::clone(&schema)))?;
        Ok(Self { schema, inner })
    }
}

impl AnswerWriter for CsvWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.inner.write(&flat_batch(batch, &self.schema)?)
    }

    fn finish(self: Box<Self>) -> Result<Vec<String>, ArrowError> {
        self.inner.into_inner().flush()?;
        Ok(Vec::new())
    }
}

struct IpcWriter<'w> {
    schema: SchemaRef,
    inner: StreamWriter<&'w mut dyn Write>,
}

impl<'w> IpcWriter<'w> {
    fn new(schema: &SchemaRef, out: &'w mut dyn Write) -> Result<Self, ArrowError> {
        let schema = distinct_names(schema);
        let inner = StreamWriter::try_new(out, &schema)?;
        Ok(Self { schema, inner })
    }
}

impl AnswerWriter for IpcWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.inner.write(&renamed(batch, &self.schema)?)?;
        Ok(self.inner.get_mut().flush()?)
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<String>, ArrowError> {
        self.inner.finish()?;
        self.inner.get_mut().flush()?;
        Ok(Vec::new())
    }
}

struct ParquetWriter<'w> {
    schema: SchemaRef,
    /// Row groups are handed on as they fill.
    inner: ArrowWriter<Vec<u8>>,
    out: &'w mut dyn Write,
}

impl<'w> ParquetWriter<'w> {
    fn new(schema: &SchemaRef, out: &'w mut dyn Write) -> Result<Self, ArrowError> {
        let schema = distinct_names(schema);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let inner = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?;
        Ok(Self { schema, inner, out })
    }
}

impl AnswerWriter for ParquetWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.inner.write(&renamed(batch, &self.schema)?)?;
        let bytes = std::mem::take(self.inner.inner_mut());
        Ok(self.out.write_all(&bytes)?)
    }

    fn finish(self: Box<Self>) -> Result<Vec<String>, ArrowError> {
        let bytes = self.inner.into_inner()?;
        self.out.write_all(&bytes)?;
        self.out.flush()?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;

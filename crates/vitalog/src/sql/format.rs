//! Answers as bytes: one writer a format, over any `io::Write`.
//!
//! Formats for programs are the server's own (`vitalog_server::rows`) and give every column a name
//! of its own; the table keeps what it shows, since columns are as wide as their widest value, and
//! shows the names as they are.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use clap::ValueEnum;
use vitalog_server::rows::{RowFormat, RowWriter};

use super::table::TableWriter;

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
    let format = match format {
        OutputFormat::Table => return Ok(Box::new(TableWriter::new(schema, screen, out))),
        OutputFormat::Json => RowFormat::Json,
        OutputFormat::Jsonl => RowFormat::JsonLines,
        OutputFormat::Csv => RowFormat::Csv,
        OutputFormat::Parquet => RowFormat::Parquet,
        OutputFormat::Arrow => RowFormat::Arrow,
    };
    Ok(Box::new(ForPrograms(RowWriter::new(format, schema, out)?)))
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

/// An answer in a format for programs, which needs no word beside it.
struct ForPrograms<'w>(RowWriter<&'w mut dyn Write>);

impl AnswerWriter for ForPrograms<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.0.write(batch)
    }

    fn finish(self: Box<Self>) -> Result<Vec<String>, ArrowError> {
        self.0.finish()?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;

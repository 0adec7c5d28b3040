//! Rows as the parts of messages, each below the limit of a message, in either format.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use vitalog_wire::vitalog::v1::QueryFormat;
use vitalog_wire::vitalog::v1::query_response::Part;

use super::pieces::{ENVELOPE_BYTES, PieceWriter};
use crate::fault::{Fault, Reason};
use crate::limits::{MESSAGE_BYTES_MAX, QUERY_PIECE_BYTES};
use crate::rows::{RowFormat, RowWriter, Written};
use crate::statements::rows_within;

/// How the rows of one answer are encoded.
pub(super) enum Encoding {
    Arrow(Box<PieceWriter>),
    Json(LineWriter),
}

impl Encoding {
    /// An encoding for rows of `schema`, and the parts that stand before them.
    pub fn new(format: QueryFormat, schema: &SchemaRef) -> Result<(Self, Vec<Part>), Fault> {
        if format == QueryFormat::JsonRows {
            return Ok((Self::Json(LineWriter::new(schema)?), Vec::new()));
        }
        let (writer, schema) = PieceWriter::new(schema)?;
        Ok((Self::Arrow(Box::new(writer)), vec![Part::ArrowIpc(schema)]))
    }

    /// The parts of the rows of `batch`.
    ///
    /// # Errors
    /// One row is larger than a message may be.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Part>, Fault> {
        match self {
            Self::Arrow(writer) => {
                let pieces = writer.write(batch)?;
                Ok(pieces.into_iter().map(Part::ArrowIpc).collect())
            }
            Self::Json(writer) => {
                let pieces = writer.write(batch)?;
                Ok(pieces.into_iter().map(Part::JsonRows).collect())
            }
        }
    }

    /// The parts behind the last row.
    pub fn finish(self) -> Result<Vec<Part>, Fault> {
        match self {
            Self::Arrow(writer) => Ok(vec![Part::ArrowIpc(writer.finish()?.0)]),
            Self::Json(_) => Ok(Vec::new()),
        }
    }
}

/// Writes rows as lines of JSON.
pub(super) struct LineWriter {
    writer: RowWriter<Written>,
    lines: Written,
    rows: u64,
}

impl LineWriter {
    fn new(schema: &SchemaRef) -> Result<Self, Fault> {
        let lines = Written::default();
        let writer = RowWriter::new(RowFormat::JsonLines, schema, lines.clone());
        Ok(Self {
            writer: writer.map_err(|error| unfit(&error))?,
            lines,
            rows: 0,
        })
    }

    /// The rows of `batch` in pieces of whole lines.
    fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Bytes>, Fault> {
        let mut pieces = Vec::new();
        let rows_a_time = rows_within(batch, QUERY_PIECE_BYTES);
        let mut row = 0;
        while row < batch.num_rows() {
            let rows = rows_a_time.min(batch.num_rows() - row);
            let written = self.writer.write(&batch.slice(row, rows));
            written.map_err(|error| unfit(&error))?;
            self.cut(Bytes::from(self.lines.take()), &mut pieces)?;
            row += rows;
        }
        Ok(pieces)
    }

    /// Cuts text at the ends of lines, so that each piece fits a message.
    fn cut(&mut self, mut text: Bytes, pieces: &mut Vec<Bytes>) -> Result<(), Fault> {
        let limit = MESSAGE_BYTES_MAX - ENVELOPE_BYTES;
        while !text.is_empty() {
            let within = &text[..text.len().min(limit)];
            let Some(end) = within.iter().rposition(|byte| *byte == b'\n') else {
                let row = self.rows + 1;
                let message = format!(
                    "row {row} of the answer has more than {limit} bytes as JSON, a message holds \
                     no more; select less of it"
                );
                return Err(Fault::new(Reason::RowTooLarge, message).with_fact("row", &row));
            };
            let piece = text.split_to(end + 1);
            self.rows += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
            pieces.push(piece);
        }
        Ok(())
    }
}

fn unfit(error: &ArrowError) -> Fault {
    let message = format!("the answer has no form in JSON: {error}");
    Fault::new(Reason::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn batch_of(texts: Vec<String>) -> RecordBatch {
        let numbers: Int64Array = (0..texts.len() as i64).collect();
        let columns: [(&str, ArrayRef); 2] = [
            ("n", Arc::new(numbers)),
            ("text", Arc::new(StringArray::from(texts))),
        ];
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }

    fn lines(batch: &RecordBatch) -> Result<Vec<Bytes>, Fault> {
        let (mut encoding, head) = Encoding::new(QueryFormat::JsonRows, &batch.schema())?;
        assert!(head.is_empty());
        let parts = encoding.write(batch)?;
        assert!(encoding.finish()?.is_empty());
        let pieces = parts.into_iter().map(|part| match part {
            Part::JsonRows(bytes) => bytes,
            other => panic!("{other:?}"),
        });
        Ok(pieces.collect())
    }

    #[test]
    fn lines_are_whole_and_fit_a_message() {
        // Quotes double in JSON: the text is larger than the column.
        let texts = (0..400).map(|row| "\"".repeat(row * 60)).collect();
        let pieces = lines(&batch_of(texts)).expect("rows that fit");
        assert!(pieces.len() > 2, "{}", pieces.len());
        for piece in &pieces {
            assert!(piece.len() + ENVELOPE_BYTES <= MESSAGE_BYTES_MAX);
            assert!(piece.ends_with(b"}\n"));
        }
        let text = String::from_utf8(pieces.concat()).expect("UTF-8");
        for (row, line) in text.lines().enumerate() {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(value["n"], row as i64);
            assert_eq!(value["text"].as_str().map(str::len), Some(row * 60));
        }
        assert_eq!(text.lines().count(), 400);
        assert!(lines(&batch_of(Vec::new())).expect("no rows").is_empty());
    }

    #[test]
    fn a_row_larger_than_a_message_is_named() {
        let texts = vec!["a".to_owned(), "x".repeat(MESSAGE_BYTES_MAX)];
        let fault = lines(&batch_of(texts)).expect_err("too large");
        assert_eq!(fault.reason, Reason::RowTooLarge);
        assert!(
            fault.message().starts_with("row 2 of"),
            "{}",
            fault.message()
        );
    }
}

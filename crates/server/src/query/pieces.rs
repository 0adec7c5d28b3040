//! An answer as pieces of one Arrow IPC stream, each below the limit of a message.
//!
//! Invariant: the pieces, one after another, are one valid stream, and no piece splits an IPC
//! message.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;

use crate::fault::{Fault, Reason};
use crate::limits::{MESSAGE_BYTES_MAX, QUERY_PIECE_BYTES};

/// Bytes of a gRPC message around a piece: a tag and a length.
const ENVELOPE_BYTES: usize = 16;

/// Writes pieces.
pub(super) struct PieceWriter {
    stream: StreamWriter<Vec<u8>>,
    rows: u64,
}

impl PieceWriter {
    /// A writer for batches of `schema`, and the piece that holds the schema.
    pub fn new(schema: &Schema) -> Result<(Self, Bytes), Fault> {
        let stream = StreamWriter::try_new(Vec::new(), schema).map_err(broken)?;
        let mut writer = Self { stream, rows: 0 };
        let piece = writer.take();
        if piece.len() + ENVELOPE_BYTES > MESSAGE_BYTES_MAX {
            let message = format!("the schema of the answer has {} bytes", piece.len());
            return Err(Fault::new(Reason::RowTooLarge, message));
        }
        Ok((writer, piece))
    }

    /// The pieces of `batch`; none for an empty one.
    ///
    /// # Errors
    /// One row is larger than a message may be.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Bytes>, Fault> {
        let mut pieces = Vec::new();
        let rows_a_piece = rows_of(batch, QUERY_PIECE_BYTES);
        let mut row = 0;
        while row < batch.num_rows() {
            let rows = rows_a_piece.min(batch.num_rows() - row);
            self.write_rows(&batch.slice(row, rows), &mut pieces)?;
            row += rows;
        }
        Ok(pieces)
    }

    /// The last piece, and the number of rows written.
    pub fn finish(mut self) -> Result<(Bytes, u64), Fault> {
        self.stream.finish().map_err(broken)?;
        Ok((self.take(), self.rows))
    }

    /// Writes rows as one piece, or as two halves where they turn out too large.
    fn write_rows(&mut self, batch: &RecordBatch, pieces: &mut Vec<Bytes>) -> Result<(), Fault> {
        self.stream.write(batch).map_err(broken)?;
        let piece = self.take();
        if piece.len() + ENVELOPE_BYTES <= MESSAGE_BYTES_MAX {
            self.rows += batch.num_rows() as u64;
            pieces.push(piece);
            return Ok(());
        }
        let rows = batch.num_rows();
        if rows == 1 {
            let message = format!(
                "row {} of the answer has {} bytes, a message holds at most {MESSAGE_BYTES_MAX}; \
                 select less of it",
                self.rows + 1,
                piece.len()
            );
            return Err(Fault::new(Reason::RowTooLarge, message).with_fact("row", &(self.rows + 1)));
        }
        self.write_rows(&batch.slice(0, rows / 2), pieces)?;
        self.write_rows(&batch.slice(rows / 2, rows - rows / 2), pieces)
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(self.stream.get_mut()).into()
    }
}

/// How many rows of `batch` have about `bytes` bytes; at least one.
fn rows_of(batch: &RecordBatch, bytes: usize) -> usize {
    let total: usize = batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or(bytes))
        .sum();
    let rows = batch.num_rows();
    if total <= bytes {
        rows.max(1)
    } else {
        (rows * bytes / total).max(1)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: ArrowError) -> Fault {
    Fault::new(
        Reason::Internal,
        format!("the answer could not be encoded: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::compute::concat_batches;
    use arrow::ipc::reader::StreamReader;

    use super::*;

    fn round_trip(batch: &RecordBatch) -> Result<Vec<Bytes>, Fault> {
        let (mut writer, schema) = PieceWriter::new(&batch.schema())?;
        let mut pieces = vec![schema];
        pieces.extend(writer.write(batch)?);
        let (last, rows) = writer.finish()?;
        assert_eq!(rows, batch.num_rows() as u64);
        pieces.push(last);
        let reader = StreamReader::try_new(std::io::Cursor::new(pieces.concat()), None);
        let batches: Result<Vec<_>, _> = reader.expect("a schema").collect();
        let back = concat_batches(&batch.schema(), &batches.expect("batches")).expect("one schema");
        assert_eq!(&back, batch);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.len() + ENVELOPE_BYTES <= MESSAGE_BYTES_MAX)
        );
        Ok(pieces)
    }

    fn batch_of(texts: Vec<String>) -> RecordBatch {
        let numbers: Int64Array = (0..texts.len() as i64).collect();
        let columns: [(&str, ArrayRef); 2] = [
            ("n", Arc::new(numbers)),
            ("text", Arc::new(StringArray::from(texts))),
        ];
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }

    #[test]
    fn a_large_batch_is_split_by_rows() {
        let texts = (0..300).map(|row| "é".repeat(row * 100)).collect();
        let pieces = round_trip(&batch_of(texts)).expect("rows that fit");
        assert!(pieces.len() > 4, "{}", pieces.len());
    }

    #[test]
    fn an_uneven_batch_is_split_where_it_is_heavy() {
        let mut texts = vec![String::new(); 5_000];
        texts.extend(vec!["x".repeat(3 << 20); 3]);
        round_trip(&batch_of(texts)).expect("rows that fit");
    }

    #[test]
    fn an_empty_answer_has_its_schema() {
        let pieces = round_trip(&batch_of(Vec::new())).expect("no rows");
        assert_eq!(pieces.len(), 2);
    }

    #[test]
    fn a_row_larger_than_a_message_is_named() {
        let batch = batch_of(vec![
            "a".to_owned(),
            "x".repeat(MESSAGE_BYTES_MAX),
            "b".to_owned(),
        ]);
        let fault = round_trip(&batch).expect_err("too large");
        assert_eq!(fault.reason, Reason::RowTooLarge);
        assert!(tonic::Status::from(fault).message().starts_with("row 2 of"));
    }
}

//! An answer as pieces of one Arrow IPC stream, each below the limit of a message.
//!
//! Invariant: the pieces, one after another, are one valid stream, and no piece splits an IPC
//! message.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;

use crate::fault::{Fault, Reason};
use crate::limits::MESSAGE_BYTES_MAX;
pub(super) use crate::split::ENVELOPE_BYTES;
use crate::split::{Encode, Splitter, broken};

/// Writes pieces.
pub(super) struct PieceWriter {
    stream: IpcStream,
    splitter: Splitter,
}

struct IpcStream(StreamWriter<Vec<u8>>);

impl PieceWriter {
    /// A writer for batches of `schema`, and the piece that holds the schema.
    pub fn new(schema: &Schema) -> Result<(Self, Bytes), Fault> {
        let stream = StreamWriter::try_new(Vec::new(), schema).map_err(broken)?;
        let mut stream = IpcStream(stream);
        let piece = stream.take();
        if piece.len() + ENVELOPE_BYTES > MESSAGE_BYTES_MAX {
            let message = format!("the schema of the answer has {} bytes", piece.len());
            return Err(Fault::new(Reason::RowTooLarge, message));
        }
        let splitter = Splitter::default();
        Ok((Self { stream, splitter }, piece))
    }

    /// The pieces of `batch`; none for an empty one.
    ///
    /// # Errors
    /// One row is larger than a message may be.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<Bytes>, Fault> {
        self.splitter.pieces(&mut self.stream, batch)
    }

    /// The last piece, and the number of rows written.
    pub fn finish(mut self) -> Result<(Bytes, u64), Fault> {
        self.stream.0.finish().map_err(broken)?;
        Ok((self.stream.take(), self.splitter.rows()))
    }
}

impl IpcStream {
    fn take(&mut self) -> Bytes {
        std::mem::take(self.0.get_mut()).into()
    }
}

impl Encode for IpcStream {
    type Piece = Bytes;

    fn encode(&mut self, batch: &RecordBatch) -> Result<Bytes, ArrowError> {
        self.0.write(batch)?;
        Ok(self.take())
    }

    fn bytes_of(piece: &Bytes) -> usize {
        piece.len()
    }
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

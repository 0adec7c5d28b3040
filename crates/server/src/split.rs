//! Batches of an answer in pieces, each of which fits into a message.
//!
//! Invariant: no piece is as large as [`MESSAGE_BYTES_MAX`], its envelope included; pieces hold the
//! rows in order.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use crate::fault::{Fault, Reason};
use crate::limits::{MESSAGE_BYTES_MAX, QUERY_PIECE_BYTES};
use crate::statements::rows_within;

/// Bytes of a gRPC message around a piece: a tag and a length.
pub(crate) const ENVELOPE_BYTES: usize = 16;

/// How rows become a piece.
pub(crate) trait Encode {
    type Piece;

    fn encode(&mut self, batch: &RecordBatch) -> Result<Self::Piece, ArrowError>;

    fn bytes_of(piece: &Self::Piece) -> usize;
}

/// Splits the batches of one answer.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    rows: u64,
}

impl Splitter {
    /// The rows of the pieces made so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The pieces of `batch`; none for an empty one.
    ///
    /// # Errors
    /// One row is larger than a message may be.
    pub fn pieces<E: Encode>(
        &mut self,
        encoder: &mut E,
        batch: &RecordBatch,
    ) -> Result<Vec<E::Piece>, Fault> {
        let mut pieces = Vec::new();
        let rows_a_piece = rows_within(batch, QUERY_PIECE_BYTES);
        let mut row = 0;
        while row < batch.num_rows() {
            let rows = rows_a_piece.min(batch.num_rows() - row);
            self.split(encoder, &batch.slice(row, rows), &mut pieces)?;
            row += rows;
        }
        Ok(pieces)
    }

    /// Encodes rows as one piece, or as two halves where they turn out too large.
    fn split<E: Encode>(
        &mut self,
        encoder: &mut E,
        batch: &RecordBatch,
        pieces: &mut Vec<E::Piece>,
    ) -> Result<(), Fault> {
        let piece = encoder.encode(batch).map_err(broken)?;
        let bytes = E::bytes_of(&piece);
        if bytes + ENVELOPE_BYTES <= MESSAGE_BYTES_MAX {
            self.rows += batch.num_rows() as u64;
            pieces.push(piece);
            return Ok(());
        }
        let rows = batch.num_rows();
        if rows == 1 {
            let row = self.rows + 1;
            let message = format!(
                "row {row} of the answer has {bytes} bytes, a message holds at most \
                 {MESSAGE_BYTES_MAX}; select less of it"
            );
            return Err(Fault::new(Reason::RowTooLarge, message).with_fact("row", &row));
        }
        self.split(encoder, &batch.slice(0, rows / 2), pieces)?;
        self.split(encoder, &batch.slice(rows / 2, rows - rows / 2), pieces)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn broken(error: ArrowError) -> Fault {
    Fault::new(
        Reason::Internal,
        format!("the answer could not be encoded: {error}"),
    )
}

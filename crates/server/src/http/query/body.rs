//! Rows as the body of an answer: encoded as they come, a few megabytes at a time.
//!
//! Invariants: a body ends well only after the last row, else it breaks; it holds one batch and one
//! piece; the statement ends when its reader goes away or the token of its caller is taken out.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::super::pace::UnderWay;
use super::super::record::BrokenOff;
use super::super::right::Leave;
use crate::fault::{Fault, Reason};
use crate::limits::QUERY_PIECE_BYTES;
use crate::readers::Readers;
use crate::rows::{RowFormat, RowWriter, Written};
use crate::statements::{Answer, rows_within};

/// What is held as long as the body is sent.
pub(super) type Held = (TaskTrackerToken, UnderWay);

struct Sending {
    answer: Answer,
    /// `None` once the last row is encoded.
    writer: Option<RowWriter<Written>>,
    encoded: Written,
    /// Rows that are not encoded yet.
    rest: Option<RecordBatch>,
    readers: Readers,
    leave: Leave,
    _held: Held,
}

/// The rows of `answer` behind those of `first`.
///
/// # Errors
/// The format has no such type.
pub(super) fn of_rows(
    format: RowFormat,
    answer: Answer,
    first: Option<RecordBatch>,
    readers: Readers,
    leave: Leave,
    held: Held,
) -> Result<Body, Fault> {
    let encoded = Written::default();
    let writer = RowWriter::new(format, &answer.schema(), encoded.clone());
    let writer = writer.map_err(|error| unfit(&error))?;
    let sending = Sending {
        answer,
        writer: Some(writer),
        encoded,
        rest: first,
        readers,
        leave,
        _held: held,
    };
    Ok(Body::from_stream(futures::stream::unfold(
        Some(sending),
        |sending| async move {
            let mut sending = sending?;
            match sending.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(sending))),
                Ok(None) => None,
                Err(fault) => {
                    sending.answer.fail(&fault);
                    fault.log();
                    // Nothing comes after an error, and the statement ends here.
                    Some((Err(BrokenOff(fault.reason)), None))
                }
            }
        },
    )))
}

impl Sending {
    /// The next piece that is not empty; `None` after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        self.leave.check()?;
        loop {
            let Some(mut writer) = self.writer.take() else {
                return Ok(None);
            };
            let batch = match self.part() {
                Some(part) => Some(part),
                None => self.more().await?,
            };
            // Encoding and compressing megabytes: not on the reactor.
            let encoding = self.readers.aside(move || match batch {
                Some(batch) => writer.write(&batch).map(|()| Some(writer)),
                None => writer.finish().map(|()| None),
            });
            self.writer = encoding.await?.map_err(|error| unfit(&error))?;
            let piece = self.encoded.take();
            if !piece.is_empty() {
                return Ok(Some(piece.into()));
            }
        }
    }

    /// The next rows of the statement; `None` after the last.
    async fn more(&mut self) -> Result<Option<RecordBatch>, Fault> {
        let batch = tokio::select! {
            batch = self.answer.next() => batch,
            fault = self.leave.over() => Some(Err(fault)),
        };
        self.rest = batch.transpose()?;
        Ok(self.part())
    }

    /// Some of the rows that are there.
    fn part(&mut self) -> Option<RecordBatch> {
        let batch = self.rest.take()?;
        let rows = rows_within(&batch, QUERY_PIECE_BYTES).min(batch.num_rows());
        if rows < batch.num_rows() {
            self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
        }
        Some(batch.slice(0, rows))
    }
}

fn unfit(error: &ArrowError) -> Fault {
    let message = format!("the answer has no form in this format: {error}");
    Fault::new(Reason::InvalidRequest, message)
}

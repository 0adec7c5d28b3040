//! The frames of an Arrow IPC stream, checked before anything decodes them.
//!
//! Arrow's reader trusts lengths and offsets of a stream and panics on wrong ones; a server may
//! not. Invariant: a [`BatchFrame`] that exists is uncompressed and the only one of its stream; each of
//! its buffers lies inside its body and is long enough for its rows. The format is specified at
//! <https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc>.

use arrow::datatypes::DataType;
use arrow::ipc::{
    Endianness, Message, MessageHeader, MetadataVersion, RecordBatch, Schema, root_as_message,
};
use bytes::Bytes;
use vitalog_event::limits::BATCH_EVENTS_MAX;

use super::intake::too_many;
use crate::fault::{Fault, Reason};

/// Stands before the length of a message.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// A stream whose schema was read.
pub(super) struct Frames<'a> {
    pub schema: Schema<'a>,
    rest: Rest<'a>,
}

/// The batch of a stream.
pub(super) struct BatchFrame<'a> {
    pub batch: RecordBatch<'a>,
    pub version: MetadataVersion,
    /// The buffers of the batch.
    pub body: Bytes,
}

pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::of_field(Reason::InvalidArrow, "arrow_ipc", message)
}

impl<'a> Frames<'a> {
    /// Reads the schema of `stream`.
    ///
    /// # Errors
    /// The stream does not begin with one.
    pub fn open(stream: &'a Bytes) -> Result<Self, Fault> {
        let mut rest = Rest { stream, at: 0 };
        let Some((first, _)) = rest.next()? else {
            return Err(invalid(
                "the stream is empty; it needs a schema and one record batch",
            ));
        };
        let schema = first
            .header_as_schema()
            .ok_or_else(|| invalid(format!("the first message is {}", kind_of(&first))))?;
        if schema.endianness() != Endianness::Little {
            return Err(invalid("the stream is big-endian"));
        }
        Ok(Self { schema, rest })
    }

    /// Reads the batch, whose columns have `types`.
    ///
    /// # Errors
    /// Anything but one uncompressed batch with whole buffers.
    pub fn into_batch(mut self, types: &[&DataType]) -> Result<BatchFrame<'a>, Fault> {
        let Some((message, body)) = self.rest.next()? else {
            return Err(invalid("the stream has no record batch"));
        };
        let batch = message
            .header_as_record_batch()
            .ok_or_else(|| invalid(format!("the second message is {}", kind_of(&message))))?;
        check_buffers(&batch, body.len())?;
        check_columns(&batch, types)?;
        if self.rest.next()?.is_some() {
            return Err(invalid(
                "the stream has more than one record batch; send one a request",
            ));
        }
        Ok(BatchFrame {
            batch,
            version: message.version(),
            body,
        })
    }
}

fn kind_of(message: &Message<'_>) -> &'static str {
    match message.header_type() {
        MessageHeader::Schema => "a schema, where a record batch belongs",
        MessageHeader::DictionaryBatch => {
            "a dictionary; send strings as they are, without dictionary encoding"
        }
        MessageHeader::RecordBatch => "a record batch, where the schema belongs",
        _ => "neither a schema nor a record batch",
    }
}

/// What of a stream is still to be read.
struct Rest<'a> {
    stream: &'a Bytes,
    at: usize,
}

impl<'a> Rest<'a> {
    /// The next message and its body; `None` at the end of the stream.
    fn next(&mut self) -> Result<Option<(Message<'a>, Bytes)>, Fault> {
        if self.at == self.stream.len() {
            return Ok(None);
        }
        let mut prefix = self.take(4)?;
        if prefix == CONTINUATION {
            prefix = self.take(4)?;
        }
        let length = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]);
        if length == 0 {
            let left = self.stream.len() - self.at;
            return match left {
                0 => Ok(None),
                _ => Err(invalid(format!(
                    "{left} bytes follow the end of the stream"
                ))),
            };
        }
        let start = self.at;
        let metadata = self.take(length as usize)?;
        let message = root_as_message(metadata)
            .map_err(|error| invalid(format!("the message at byte {start} is damaged: {error}")))?;
        let body_length = usize::try_from(message.bodyLength())
            .map_err(|_| invalid(format!("the message at byte {start} has a negative length")))?;
        let body = self.take(body_length)?;
        Ok(Some((message, self.stream.slice_ref(body))))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let left = &self.stream[self.at..];
        let Some(taken) = left.get(..length) else {
            let message = format!(
                "the stream is cut short: {length} bytes expected at byte {}, {} are there",
                self.at,
                left.len()
            );
            return Err(invalid(message));
        };
        self.at += length;
        Ok(taken)
    }
}

/// Every buffer lies inside the body.
fn check_buffers(batch: &RecordBatch<'_>, body_length: usize) -> Result<(), Fault> {
    if batch.compression().is_some() {
        return Err(invalid(
            "the buffers are compressed; compress the gRPC message instead",
        ));
    }
    for buffer in batch.buffers().into_iter().flatten() {
        let end = buffer.offset().checked_add(buffer.length());
        let is_inside = buffer.offset() >= 0
            && buffer.length() >= 0
            && end.is_some_and(|end| end as u64 <= body_length as u64);
        if !is_inside {
            return Err(invalid("a buffer lies outside the record batch"));
        }
    }
    Ok(())
}

/// Every column has the rows of the batch, and buffers that are long enough for them.
fn check_columns(batch: &RecordBatch<'_>, types: &[&DataType]) -> Result<(), Fault> {
    let Ok(rows) = u64::try_from(batch.length()) else {
        return Err(invalid("the record batch has a negative number of rows"));
    };
    if rows > BATCH_EVENTS_MAX as u64 {
        return Err(too_many(BATCH_EVENTS_MAX, BATCH_EVENTS_MAX));
    }
    let mut lengths = batch
        .buffers()
        .into_iter()
        .flatten()
        .map(|buffer| buffer.length().unsigned_abs());
    let mut variadic = batch.variadicBufferCounts().into_iter().flatten();
    let mut nodes = batch.nodes().into_iter().flatten();
    for data_type in types {
        let node = nodes
            .next()
            .ok_or_else(|| invalid("a column of the schema is missing"))?;
        let nulls = node.null_count();
        if node.length().unsigned_abs() != rows || nulls < 0 || nulls > node.length() {
            return Err(invalid(format!(
                "a column says {} rows, the batch {rows}",
                node.length()
            )));
        }
        if matches!(data_type, DataType::Null) {
            continue;
        }
        let mut next = || lengths.next().ok_or_else(|| invalid("a buffer is missing"));
        let (validity, main) = (next()?, next()?);
        // Offsets have one element more than rows; a batch without rows may leave them out.
        let (elements, width) = match data_type {
            DataType::Binary => (rows + u64::from(rows > 0), 4),
            DataType::LargeBinary => (rows + u64::from(rows > 0), 8),
            DataType::BinaryView => (rows, 16),
            _ => (rows, 8),
        };
        let is_main_whole = main >= elements * width && main.is_multiple_of(width);
        if !is_main_whole || (nulls > 0 && validity < rows.div_ceil(8)) {
            return Err(invalid(
                "a buffer has the wrong length for the rows of the batch",
            ));
        }
        let others = match data_type {
            DataType::Binary | DataType::LargeBinary => 1,
            DataType::BinaryView => variadic
                .next()
                .and_then(|count| u32::try_from(count).ok())
                .ok_or_else(|| invalid("the buffers of a column are not counted"))?,
            _ => 0,
        };
        for _ in 0..others {
            next()?;
        }
    }
    if lengths.next().is_some() || variadic.next().is_some() || nodes.next().is_some() {
        return Err(invalid("the record batch has more columns than its schema"));
    }
    Ok(())
}

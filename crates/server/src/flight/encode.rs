//! Record batches as Flight's messages, each below the limit of a message.
//!
//! Invariants: the first message holds the schema, every later one rows of it; the length of every
//! header is a multiple of 8.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
#[cfg(any(test, feature = "fuzzing"))]
use arrow::ipc::writer::IpcWriteContext;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_flight::{FlightData, IpcMessage, SchemaAsIpc};
use bytes::Bytes;
use prost::Message;

use crate::fault::{Fault, Reason};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::split::{ENVELOPE_BYTES, Encode, Splitter};

/// What the length of a header is a multiple of, as in Arrow's encapsulated messages.
const HEADER_ALIGNMENT: usize = 8;

/// Encodes the batches of one answer.
#[derive(Debug)]
pub(super) struct Encoder {
    splitter: Splitter,
    writer: BatchWriter,
}

#[derive(Debug, Default)]
struct BatchWriter {
    options: IpcWriteOptions,
}

impl Encoder {
    /// An encoder of batches with `schema`, and the message that holds it.
    ///
    /// # Errors
    /// The schema is larger than a message may be.
    pub fn new(schema: &Schema) -> Result<(Self, FlightData), Fault> {
        let writer = BatchWriter::default();
        let message = padded(SchemaAsIpc::new(schema, &writer.options).into());
        check_schema(message.encoded_len())?;
        let splitter = Splitter::default();
        Ok((Self { splitter, writer }, message))
    }

    /// The messages of `batch`; none for an empty one.
    ///
    /// # Errors
    /// One row is larger than a message may be.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Vec<FlightData>, Fault> {
        self.splitter.pieces(&mut self.writer, batch)
    }
}

impl Encode for BatchWriter {
    type Piece = FlightData;

    fn encode(&mut self, batch: &RecordBatch) -> Result<FlightData, ArrowError> {
        let mut tracker = DictionaryTracker::new(false);
        let generator = IpcDataGenerator::default();
        let context = &mut Default::default();
        let (_, rows) = generator.encode(batch, &mut tracker, &self.options, context)?;
        Ok(padded(rows.into()))
    }

    fn bytes_of(piece: &FlightData) -> usize {
        piece.encoded_len()
    }
}

/// `message` with a header padded to a multiple of 8 bytes. Clients that make a stream of Arrow out
/// of messages pad it themselves, and some do not count that padding in the length that they write:
/// its zeros then read as the end of the stream.
fn padded(mut message: FlightData) -> FlightData {
    let length = message.data_header.len();
    if !length.is_multiple_of(HEADER_ALIGNMENT) {
        let mut header = message.data_header.to_vec();
        header.resize(length.next_multiple_of(HEADER_ALIGNMENT), 0);
        message.data_header = header.into();
    }
    message
}

/// A schema as the infos of Flight carry it.
///
/// # Errors
/// It is larger than a message may be.
pub(super) fn schema_bytes(schema: &Schema) -> Result<Bytes, Fault> {
    let options = IpcWriteOptions::default();
    let message: Result<IpcMessage, ArrowError> = SchemaAsIpc::new(schema, &options).try_into();
    let IpcMessage(bytes) = message.map_err(|error| {
        let message = format!("the schema could not be encoded: {error}");
        Fault::new(Reason::Internal, message)
    })?;
    check_schema(bytes.len())?;
    Ok(bytes)
}

/// Whether `message`, which says how to run a statement, is one that every client takes.
///
/// # Errors
/// It is larger.
pub(super) fn check_message(message: &impl Message) -> Result<(), Fault> {
    let bytes = message.encoded_len();
    if bytes + ENVELOPE_BYTES > MESSAGE_BYTES_MAX {
        let message = format!(
            "the statement, its values and the schema of its rows have {bytes} bytes together, a \
             message holds at most {MESSAGE_BYTES_MAX}; select fewer columns, or bind less"
        );
        return Err(Fault::new(Reason::RequestTooLarge, message));
    }
    Ok(())
}

/// The messages of an upload of `batches`, of which there is one at least: a schema, dictionaries
/// and rows, as a client sends them.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn upload_of(batches: &[RecordBatch]) -> Vec<FlightData> {
    let options = IpcWriteOptions::default();
    let generator = IpcDataGenerator::default();
    let mut context = IpcWriteContext::default();
    // One tracker for all of them: the schema numbers the dictionaries.
    let mut tracker = DictionaryTracker::new(false);
    let schema = batches[0].schema();
    let schema = generator.schema_to_bytes_with_dictionary_tracker(&schema, &mut tracker, &options);
    let mut messages: Vec<FlightData> = vec![schema.into()];
    for batch in batches {
        let encoded = generator.encode(batch, &mut tracker, &options, &mut context);
        let (dictionaries, rows) = encoded.expect("arrays of known types");
        messages.extend(dictionaries.into_iter().map(FlightData::from));
        messages.push(rows.into());
    }
    messages
}

/// Half a message is left for what goes with a schema.
fn check_schema(bytes: usize) -> Result<(), Fault> {
    if bytes > MESSAGE_BYTES_MAX / 2 {
        let message = format!("the schema of the answer has {bytes} bytes; select fewer columns");
        return Err(Fault::new(Reason::RowTooLarge, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;

    use super::*;

    fn batch_of(texts: Vec<String>) -> RecordBatch {
        let texts = Arc::new(StringArray::from(texts));
        RecordBatch::try_from_iter([("text", texts as _)]).expect("one column")
    }

    #[test]
    fn every_message_is_below_the_limit_of_clients() {
        let mut texts = vec!["é".repeat(300); 20_000];
        texts.extend(vec!["x".repeat(3 << 20); 3]);
        let batch = batch_of(texts);
        let (mut encoder, schema) = Encoder::new(&batch.schema()).expect("a schema");
        let messages = encoder.write(&batch).expect("rows that fit");
        assert!(messages.len() > 6, "{}", messages.len());
        let lengths = messages.iter().chain([&schema]).map(Message::encoded_len);
        assert!(lengths.max().expect("messages") < MESSAGE_BYTES_MAX);
        let rows = arrow_flight::utils::flight_data_to_batches(&[vec![schema], messages].concat());
        let rows = rows.expect("batches");
        let back = arrow::compute::concat_batches(&batch.schema(), &rows).expect("one schema");
        assert_eq!(back, batch);
    }

    #[test]
    fn every_header_is_aligned() {
        for length in 1..40 {
            let name = "n".repeat(length);
            let column = Arc::new(StringArray::from(vec!["a"]));
            let batch = RecordBatch::try_from_iter([(name, column as _)]).expect("one column");
            let (mut encoder, schema) = Encoder::new(&batch.schema()).expect("a schema");
            let messages = [vec![schema], encoder.write(&batch).expect("a row")].concat();
            for message in &messages {
                assert!(message.data_header.len().is_multiple_of(HEADER_ALIGNMENT));
            }
            let rows = arrow_flight::utils::flight_data_to_batches(&messages);
            assert_eq!(rows.expect("batches"), [batch]);
        }
    }

    #[test]
    fn the_largest_row_fits_to_the_byte() {
        let batch = |length: usize| batch_of(vec![String::new(), "x".repeat(length)]);
        let write = |length| {
            let batch = batch(length);
            let (mut encoder, _) = Encoder::new(&batch.schema()).expect("a schema");
            encoder.write(&batch)
        };
        let (mut fits, mut fails) = (3 << 20, 5 << 20);
        while fails - fits > 1 {
            let middle = usize::midpoint(fits, fails);
            match write(middle) {
                Ok(messages) => {
                    let largest = messages.iter().map(Message::encoded_len).max();
                    assert!(largest.expect("messages") < MESSAGE_BYTES_MAX);
                    fits = middle;
                }
                Err(_) => fails = middle,
            }
        }
        assert!(fits > MESSAGE_BYTES_MAX - 1_024, "{fits}");
        let fault = write(fails).expect_err("too large");
        assert_eq!(fault.reason, Reason::RowTooLarge);
        assert!(
            fault.message().starts_with("row 2 of"),
            "{}",
            fault.message()
        );
    }
}

//! Record batches out of Flight's messages.
//!
//! Arrow's reader checks what it makes, and trusts the shape of what it is given: `schema` and
//! `buffers` look at that before, so that nothing panics and nothing takes memory that the message
//! does not hold. Should they miss something, [`guarded`] contains it: every call of the reader
//! stands there, on a thread of its own, where a panic is an error.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::reader::{RecordBatchDecoder, read_dictionary};
use arrow::ipc::{Message, MessageHeader, root_as_message};
use arrow_flight::FlightData;

use super::{buffers, schema};
use crate::fault::{Fault, Reason};
use crate::limits::{FLIGHT_DICTIONARIES_BYTES_MAX, FLIGHT_DICTIONARIES_MAX};

/// The widest values of Arrow begin at multiples of these many bytes.
const ALIGNMENT: usize = 16;

/// Reads the messages of one upload, in order.
#[derive(Debug)]
pub(super) struct Decoder {
    schema: Option<SchemaRef>,
    dictionaries: HashMap<i64, ArrayRef>,
    /// Bytes of each of them.
    dictionary_bytes: HashMap<i64, usize>,
    rows_max: usize,
}

impl Decoder {
    /// A decoder of batches of at most `rows_max` rows.
    pub fn new(rows_max: usize) -> Self {
        Self {
            schema: None,
            dictionaries: HashMap::new(),
            dictionary_bytes: HashMap::new(),
            rows_max,
        }
    }

    /// The batch of `data`; `None` where it holds a schema, a dictionary or nothing. Call it in
    /// [`guarded`].
    ///
    /// # Errors
    /// Bytes that are no such message, and what is refused.
    pub fn read(&mut self, data: &FlightData) -> Result<Option<RecordBatch>, Fault> {
        if data.data_header.is_empty() {
            return Ok(None);
        }
        let message = root_as_message(&data.data_header);
        let message = message.map_err(|error| invalid(format!("a damaged message: {error}")))?;
        match message.header_type() {
            MessageHeader::NONE => Ok(None),
            MessageHeader::Schema if self.schema.is_none() => {
                let found = message.header_as_schema();
                schema::check(found.ok_or_else(|| invalid("a schema without fields"))?)?;
                let schema = Schema::try_from(data).map_err(|error| invalid(error.to_string()))?;
                self.schema = Some(Arc::new(schema));
                Ok(None)
            }
            MessageHeader::Schema => Err(invalid("the schema comes twice")),
            MessageHeader::DictionaryBatch => self.read_dictionary(&message, data).map(|()| None),
            MessageHeader::RecordBatch => self.read_batch(&message, data).map(Some),
            other => {
                let kind = other.variant_name().unwrap_or("unknown");
                Err(invalid(format!("a message of the kind {kind}")))
            }
        }
    }

    fn schema(&self) -> Result<&SchemaRef, Fault> {
        self.schema
            .as_ref()
            .ok_or_else(|| invalid("rows come before their schema"))
    }

    fn read_dictionary(&mut self, message: &Message<'_>, data: &FlightData) -> Result<(), Fault> {
        let schema = Arc::clone(self.schema()?);
        let dictionary = message.header_as_dictionary_batch();
        let (Some(dictionary), Some(values)) =
            (dictionary, dictionary.and_then(|batch| batch.data()))
        else {
            return Err(invalid("a dictionary without values"));
        };
        self.check(values)?;
        if dictionary.isDelta() {
            return Err(invalid("dictionaries that grow are not taken"));
        }
        let id = dictionary.id();
        self.keep_room(id, data.data_body.len())?;
        let values_type = values_type_of(&schema, id)
            .ok_or_else(|| invalid(format!("dictionary {id} belongs to no column")))?;
        // A copy: what is kept until the upload ends must not hold the whole of its message.
        let body = Buffer::from_slice_ref::<u8, &[u8]>(&data.data_body);
        let fields = [Arc::new(Field::new("", values_type, true))];
        buffers::check(values, &fields, message.version(), &body)?;
        read_dictionary(
            &body,
            dictionary,
            &schema,
            &mut self.dictionaries,
            &message.version(),
        )
        .map_err(|error| invalid(error.to_string()))
    }

    /// Notes `bytes` of the dictionary `id`, instead of those it had.
    fn keep_room(&mut self, id: i64, bytes: usize) -> Result<(), Fault> {
        self.dictionary_bytes.insert(id, bytes);
        if self.dictionary_bytes.len() > FLIGHT_DICTIONARIES_MAX {
            return Err(invalid(format!(
                "more than {FLIGHT_DICTIONARIES_MAX} dictionaries"
            )));
        }
        let found: usize = self.dictionary_bytes.values().sum();
        if found > FLIGHT_DICTIONARIES_BYTES_MAX {
            return Err(invalid(format!(
                "dictionaries of {found} bytes; at most {FLIGHT_DICTIONARIES_BYTES_MAX} are kept"
            )));
        }
        Ok(())
    }

    fn read_batch(&self, message: &Message<'_>, data: &FlightData) -> Result<RecordBatch, Fault> {
        let schema = Arc::clone(self.schema()?);
        let Some(batch) = message.header_as_record_batch() else {
            return Err(invalid("a record batch without rows"));
        };
        self.check(batch)?;
        let body = body_of(data);
        let version = message.version();
        buffers::check(batch, schema.fields(), version, &body)?;
        RecordBatchDecoder::try_new(&body, batch, schema, &self.dictionaries, &version)
            .and_then(RecordBatchDecoder::read_record_batch)
            .map_err(|error| invalid(error.to_string()))
    }

    fn check(&self, batch: arrow::ipc::RecordBatch<'_>) -> Result<(), Fault> {
        if batch.compression().is_some() {
            return Err(invalid("compressed buffers are not taken; send them plain"));
        }
        let rows = usize::try_from(batch.length());
        if rows.is_err() || rows.is_ok_and(|rows| rows > self.rows_max) {
            let (found, limit) = (batch.length(), self.rows_max);
            return Err(invalid(format!(
                "a batch of {found} rows; at most {limit} are taken"
            )));
        }
        Ok(())
    }
}

/// The body of a message, aligned: where it begins in what came over the wire is chance.
fn body_of(data: &FlightData) -> Buffer {
    let body = Buffer::from(data.data_body.clone());
    if body.as_ptr().align_offset(ALIGNMENT) == 0 {
        return body;
    }
    Buffer::from_slice_ref::<u8, &[u8]>(&data.data_body)
}

/// The type of the values of the dictionary `id`.
fn values_type_of(schema: &Schema, id: i64) -> Option<DataType> {
    // Arrow's reader finds it so, too.
    #[allow(deprecated)]
    let fields = schema.fields_with_dict_id(id);
    match fields.first()?.data_type() {
        DataType::Dictionary(_, values) => Some(values.as_ref().clone()),
        _ => None,
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::of_field(Reason::InvalidArrow, "data", message)
}

/// Runs `read`, which decodes a client's Arrow, where it may take its time and may panic.
///
/// # Errors
/// Those of `read`; that it panicked, which only damaged bytes make it do.
pub(super) async fn guarded<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(read).await {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => Err(invalid("the Arrow data is damaged")),
        Err(error) => Err(Fault::of_task(&error)),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int8Array, Int64Array, StringArray, UnionArray};
    use arrow::buffer::ScalarBuffer;
    use arrow::datatypes::{Int8Type, UnionFields};
    use proptest::prelude::*;

    use super::super::encode::upload_of;
    use super::*;

    fn messages() -> Vec<FlightData> {
        let keys: DictionaryArray<Int8Type> = ["a", "b", "a"].into_iter().collect();
        let columns: [(&str, ArrayRef); 3] = [
            ("key", Arc::new(keys)),
            (
                "text",
                Arc::new(StringArray::from(vec![Some("x"), None, Some("é")])),
            ),
            ("number", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        upload_of(&[batch])
    }

    fn read_all(messages: &[FlightData], rows_max: usize) -> Result<usize, Fault> {
        let mut decoder = Decoder::new(rows_max);
        let mut rows = 0;
        for message in messages {
            rows += decoder.read(message)?.map_or(0, |batch| batch.num_rows());
        }
        Ok(rows)
    }

    #[test]
    fn batches_with_dictionaries_are_read() {
        assert_eq!(read_all(&messages(), 3), Ok(3));
        assert!(read_all(&messages()[1..], 3).is_err(), "no schema");
        assert!(read_all(&messages(), 2).is_err(), "too many rows");
        let twice = [messages(), messages()].concat();
        assert!(read_all(&twice, 3).is_err(), "two schemas");
    }

    /// The offsets of a union are read in place.
    #[test]
    fn a_body_may_begin_anywhere() {
        let fields = UnionFields::from_fields(vec![Field::new("i", DataType::Int64, true)]);
        let union = UnionArray::try_new(
            fields,
            ScalarBuffer::from(vec![0_i8, 0, 0]),
            Some(ScalarBuffer::from(vec![2_i32, 1, 0])),
            vec![Arc::new(Int64Array::from(vec![1, 2, 3]))],
        );
        let columns: [(&str, ArrayRef); 1] = [("union", Arc::new(union.expect("a union")))];
        let batch = RecordBatch::try_from_iter(columns).expect("one column");
        let mut messages = upload_of(std::slice::from_ref(&batch));
        let body = messages[1].data_body.to_vec();
        for shift in 0..ALIGNMENT {
            let moved = bytes::Bytes::from([vec![0; shift], body.clone()].concat());
            messages[1].data_body = moved.slice(shift..);
            let mut decoder = Decoder::new(3);
            assert_eq!(decoder.read(&messages[0]), Ok(None));
            assert_eq!(
                decoder.read(&messages[1]),
                Ok(Some(batch.clone())),
                "{shift}"
            );
        }
    }

    #[test]
    fn dictionaries_are_kept_up_to_their_limits() {
        let dictionary = |text: String| -> ArrayRef {
            let values = Arc::new(StringArray::from(vec![text]));
            let keys = Int8Array::from(vec![0]);
            Arc::new(DictionaryArray::<Int8Type>::new(keys, values))
        };
        let read = |count: usize, bytes: usize| {
            let columns = (0..count).map(|n| (n.to_string(), dictionary("x".repeat(bytes))));
            let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
            read_all(&upload_of(&[batch]), 1)
        };
        assert_eq!(read(FLIGHT_DICTIONARIES_MAX, 10), Ok(1));
        let fault = read(FLIGHT_DICTIONARIES_MAX + 1, 10).expect_err("too many");
        assert!(
            fault.message().contains("64 dictionaries"),
            "{}",
            fault.message()
        );
        let half = FLIGHT_DICTIONARIES_BYTES_MAX / 2;
        let fault = read(2, half).expect_err("too large");
        assert!(fault.message().contains("are kept"), "{}", fault.message());
    }

    proptest! {
        /// Damage is an error or other rows, and a panic stays where it is.
        #[test]
        fn damage_is_contained(
            changes in proptest::collection::vec(
                (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..5),
        ) {
            let mut messages = messages();
            for (message, at, byte) in changes {
                let message = message.get_mut(&mut messages);
                let body_length = message.data_body.len();
                let mut bytes = [message.data_header.to_vec(), message.data_body.to_vec()].concat();
                let at = at.index(bytes.len());
                bytes[at] = byte;
                let body = bytes.split_off(bytes.len() - body_length);
                message.data_header = bytes.into();
                message.data_body = body.into();
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let outcome = runtime
                .expect("a runtime")
                .block_on(guarded(move || read_all(&messages, 10)));
            if let Ok(rows) = outcome {
                prop_assert!(rows <= 10);
            }
        }

        #[test]
        fn any_bytes_are_refused(header in proptest::collection::vec(any::<u8>(), 1..200)) {
            let data = FlightData { data_header: header.into(), ..FlightData::default() };
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let read = guarded(move || Decoder::new(10).read(&data));
            let _ = runtime.expect("a runtime").block_on(read);
        }
    }
}

//! An `AppendRequest` read in place: fields borrowed from the bytes of the message.
//!
//! The generated message would own a string for every field of every event; here nothing is
//! allocated for an event, ten MiB of empty events cost ten MiB, and text that is not UTF-8 costs
//! its event only, not the whole batch. Invariant: what a generated decoder makes of valid bytes,
//! this one makes too (repeated single fields: the last counts; unknown fields are skipped), in
//! time and memory that grow with the bytes and with nothing else.

use bytes::Bytes;
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::fault::{Fault, Reason};

/// Most parts that the events of one request may stand in. Encoders write one; a part costs more
/// than its bytes.
const BATCHES_MAX: usize = 1_024;

/// A request whose events are still encoded.
#[derive(Debug, Default)]
pub(crate) struct AppendView {
    /// UTF-8 not yet checked.
    pub request_id: Bytes,
    pub batch: Option<BatchView>,
}

/// The batch of a request.
#[derive(Debug)]
pub(crate) enum BatchView {
    /// Encoded `EventBatch`es that follow each other.
    Events(Vec<Bytes>),
    /// An Arrow IPC stream.
    Arrow(Bytes),
}

/// One event, borrowed; text is not yet known to be UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct EventView<'a> {
    pub event_id: Option<&'a [u8]>,
    /// Seconds and nanoseconds, unchecked.
    pub event_time: Option<(i64, i32)>,
    pub event: &'a [u8],
    pub account_id: Option<&'a [u8]>,
    pub user_id: Option<&'a [u8]>,
    pub value: Option<f64>,
    pub properties: Option<&'a [u8]>,
}

/// Bytes that are no message of their type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(String);

impl From<DecodeError> for Malformed {
    fn from(error: DecodeError) -> Self {
        Self(error.to_string())
    }
}

impl From<Malformed> for Fault {
    fn from(Malformed(what): Malformed) -> Self {
        Self::new(
            Reason::MalformedMessage,
            format!("the request could not be read: {what}"),
        )
    }
}

type Decoded<T> = Result<T, Malformed>;

impl AppendView {
    /// Reads the outer message; events are read by [`BatchView`]'s users.
    pub fn decode(message: &Bytes) -> Decoded<Self> {
        let mut view = Self::default();
        let mut fields = Fields { rest: message };
        while let Some((tag, value)) = fields.next()? {
            match tag {
                1 => {
                    let events = message.slice_ref(value.bytes(tag)?);
                    match &mut view.batch {
                        Some(BatchView::Events(batches)) if batches.len() == BATCHES_MAX => {
                            let message = format!("events stand there {BATCHES_MAX} times already");
                            return Err(Malformed(message));
                        }
                        Some(BatchView::Events(batches)) => batches.push(events),
                        other => *other = Some(BatchView::Events(vec![events])),
                    }
                }
                2 => view.batch = Some(BatchView::Arrow(message.slice_ref(value.bytes(tag)?))),
                3 => view.request_id = message.slice_ref(value.bytes(tag)?),
                _ => {}
            }
        }
        Ok(view)
    }
}

/// One message of a writer's stream.
#[derive(Debug)]
pub(crate) enum StreamView {
    /// The writer's id, UTF-8 not yet checked.
    Open(Bytes),
    /// A batch: its number and the encoded `AppendRequest`.
    Batch { number: u64, append: Bytes },
}

impl StreamView {
    /// Reads the outer messages; `None` where no part is set.
    pub fn decode(message: &Bytes) -> Decoded<Option<Self>> {
        let mut open = None;
        let mut batch = None;
        let mut fields = Fields { rest: message };
        while let Some((tag, value)) = fields.next()? {
            match tag {
                1 => {
                    merge(&mut open, message.slice_ref(value.bytes(tag)?));
                    batch = None;
                }
                2 => {
                    merge(&mut batch, message.slice_ref(value.bytes(tag)?));
                    open = None;
                }
                _ => {}
            }
        }
        match (open, batch) {
            (Some(open), _) => decode_open(&open.into_bytes()).map(Some),
            (_, Some(batch)) => decode_batch(&batch.into_bytes()).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn decode_open(message: &Bytes) -> Decoded<StreamView> {
    let mut writer_id = Bytes::new();
    let mut fields = Fields { rest: message };
    while let Some((tag, value)) = fields.next()? {
        if tag == 1 {
            writer_id = message.slice_ref(value.bytes(tag)?);
        }
    }
    Ok(StreamView::Open(writer_id))
}

fn decode_batch(message: &Bytes) -> Decoded<StreamView> {
    let (mut number, mut append) = (0, None);
    let mut fields = Fields { rest: message };
    while let Some((tag, value)) = fields.next()? {
        match tag {
            1 => number = value.varint(tag)?,
            2 => merge(&mut append, message.slice_ref(value.bytes(tag)?)),
            _ => {}
        }
    }
    let append = append.map(Merged::into_bytes).unwrap_or_default();
    Ok(StreamView::Batch { number, append })
}

/// A message that may stand there several times, which then is read as one: the fields of each
/// behind those of the one before.
enum Merged {
    Once(Bytes),
    Often(Vec<u8>),
}

impl Merged {
    fn into_bytes(self) -> Bytes {
        match self {
            Self::Once(bytes) => bytes,
            Self::Often(bytes) => bytes.into(),
        }
    }
}

fn merge(message: &mut Option<Merged>, more: Bytes) {
    match message {
        None => *message = Some(Merged::Once(more)),
        Some(Merged::Once(first)) => {
            let both = [&first[..], &more[..]].concat();
            *message = Some(Merged::Often(both));
        }
        Some(Merged::Often(bytes)) => bytes.extend_from_slice(&more),
    }
}

/// The encoded events of an encoded `EventBatch`, in order.
pub(crate) fn events_of(batch: &[u8]) -> impl Iterator<Item = Decoded<&[u8]>> {
    let mut fields = Fields { rest: batch };
    std::iter::from_fn(move || {
        loop {
            return match fields.next() {
                Ok(None) => None,
                Ok(Some((1, value))) => Some(value.bytes(1)),
                Ok(Some(_)) => continue,
                Err(malformed) => {
                    fields.rest = &[];
                    Some(Err(malformed))
                }
            };
        }
    })
}

impl<'a> EventView<'a> {
    /// Reads one event.
    pub fn decode(message: &'a [u8]) -> Decoded<Self> {
        let mut view = Self::default();
        let mut fields = Fields { rest: message };
        while let Some((tag, value)) = fields.next()? {
            match tag {
                1 => view.event_id = Some(value.bytes(tag)?),
                2 => {
                    let (seconds, nanos) = view.event_time.unwrap_or_default();
                    view.event_time = Some(decode_time(value.bytes(tag)?, seconds, nanos)?);
                }
                3 => view.event = value.bytes(tag)?,
                4 => view.account_id = Some(value.bytes(tag)?),
                5 => view.user_id = Some(value.bytes(tag)?),
                6 => view.value = Some(f64::from_bits(value.fixed64(tag)?)),
                7 => view.properties = Some(value.bytes(tag)?),
                _ => {}
            }
        }
        Ok(view)
    }
}

fn decode_time(message: &[u8], mut seconds: i64, mut nanos: i32) -> Decoded<(i64, i32)> {
    let mut fields = Fields { rest: message };
    while let Some((tag, value)) = fields.next()? {
        match tag {
            1 => seconds = value.varint(tag)? as i64,
            // An int32 travels as the low bits of a varint.
            2 => nanos = value.varint(tag)? as i32,
            _ => {}
        }
    }
    Ok((seconds, nanos))
}

/// The fields of one encoded message.
struct Fields<'a> {
    rest: &'a [u8],
}

/// The value of one field.
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// A kind that no field of a request has.
    Other,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Decoded<Option<(u32, Value<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (tag, wire_type) = decode_key(&mut self.rest)?;
        let value = match wire_type {
            WireType::Varint => Value::Varint(decode_varint(&mut self.rest)?),
            WireType::SixtyFourBit => {
                let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(underflow)?;
                self.rest = rest;
                Value::Fixed64(u64::from_le_bytes(*bytes))
            }
            WireType::LengthDelimited => {
                let length = decode_varint(&mut self.rest)?;
                let length = usize::try_from(length).map_err(|_| underflow())?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(underflow)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            WireType::ThirtyTwoBit | WireType::StartGroup | WireType::EndGroup => {
                skip_field(wire_type, tag, &mut self.rest, DecodeContext::default())?;
                Value::Other
            }
        };
        Ok(Some((tag, value)))
    }
}

impl<'a> Value<'a> {
    fn bytes(self, tag: u32) -> Decoded<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(wrong_wire_type(tag)),
        }
    }

    fn varint(self, tag: u32) -> Decoded<u64> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(wrong_wire_type(tag)),
        }
    }

    fn fixed64(self, tag: u32) -> Decoded<u64> {
        match self {
            Self::Fixed64(bits) => Ok(bits),
            _ => Err(wrong_wire_type(tag)),
        }
    }
}

fn underflow() -> Malformed {
    Malformed("a field is longer than the message that holds it".to_owned())
}

fn wrong_wire_type(tag: u32) -> Malformed {
    Malformed(format!("field {tag} has the wrong wire type"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;
    use vitalog_wire::vitalog::v1::append_request::Batch;
    use vitalog_wire::vitalog::v1::append_stream_request::Part;
    use vitalog_wire::vitalog::v1::{
        AppendRequest, AppendStreamBatch, AppendStreamOpen, AppendStreamRequest, Event, EventBatch,
    };

    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).expect("UTF-8")
    }

    fn owned(view: &EventView<'_>) -> Event {
        Event {
            event_id: view.event_id.map(text),
            event_time: view
                .event_time
                .map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos }),
            event: text(view.event),
            account_id: view.account_id.map(text),
            user_id: view.user_id.map(text),
            value: view.value,
            properties: view.properties.map(text),
        }
    }

    fn decode(bytes: &Bytes) -> Decoded<AppendRequest> {
        let view = AppendView::decode(bytes)?;
        let batch = match view.batch {
            None => None,
            Some(BatchView::Arrow(arrow)) => Some(Batch::ArrowIpc(arrow)),
            Some(BatchView::Events(batches)) => {
                let mut events = Vec::new();
                for event in batches.iter().flat_map(|batch| events_of(batch)) {
                    events.push(owned(&EventView::decode(event?)?));
                }
                Some(Batch::Events(EventBatch { events }))
            }
        };
        Ok(AppendRequest {
            request_id: text(&view.request_id),
            batch,
        })
    }

    fn decode_message(bytes: &Bytes) -> Decoded<AppendStreamRequest> {
        let part = match StreamView::decode(bytes)? {
            None => None,
            Some(StreamView::Open(writer_id)) => {
                let writer_id = text(&writer_id);
                Some(Part::Open(AppendStreamOpen { writer_id }))
            }
            Some(StreamView::Batch { number, append }) => {
                let append = Some(decode(&append)?);
                Some(Part::Batch(AppendStreamBatch { number, append }))
            }
        };
        Ok(AppendStreamRequest { part })
    }

    /// What the generated decoder reads, a request that is absent as an empty one.
    fn generated(bytes: &Bytes) -> Option<AppendStreamRequest> {
        let mut message = AppendStreamRequest::decode(bytes.clone()).ok()?;
        if let Some(Part::Batch(batch)) = &mut message.part {
            batch.append.get_or_insert_default();
        }
        Some(message)
    }

    prop_compose! {
        fn event()(
            event_id in proptest::option::of("[a-z]{0,4}"),
            time in proptest::option::of((any::<i64>(), any::<i32>())),
            event in "[a-zé]{0,4}",
            account_id in proptest::option::of("[a-z]{0,4}"),
            value in proptest::option::of(-1e9..1e9f64),
            properties in proptest::option::of("[a-z{}]{0,200}"),
        ) -> Event {
            let event_time =
                time.map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos });
            Event { event_id, event_time, event, account_id, user_id: None, value, properties }
        }
    }

    proptest! {
        #[test]
        fn reads_what_the_generated_decoder_reads(
            events in proptest::collection::vec(event(), 0..5),
            request_id in "[a-z]{0,5}",
        ) {
            let batch = Some(Batch::Events(EventBatch { events }));
            let request = AppendRequest { request_id, batch };
            prop_assert_eq!(decode(&request.encode_to_vec().into()), Ok(request));
        }

        /// On any bytes whatever: both fail, or both read the same.
        #[test]
        fn agrees_with_the_generated_decoder_on_damage(
            event in event(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let batch = Some(Batch::Events(EventBatch { events: vec![event] }));
            let request = AppendRequest { request_id: "r".to_owned(), batch };
            let mut bytes = request.encode_to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let Ok(expected) = AppendRequest::decode(bytes.as_slice()) else {
                return Ok(());
            };
            // NaN differs from itself.
            let found = decode(&bytes.into());
            prop_assert_eq!(format!("{found:?}"), format!("{:?}", Ok::<_, Malformed>(expected)));
        }

        /// Whole ones, parts that stand there twice or after the other, and any byte changed.
        #[test]
        fn reads_a_message_of_a_stream_as_the_generated_decoder_does(
            parts in proptest::collection::vec((any::<bool>(), any::<u64>(), event()), 0..4),
            damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut bytes = Vec::new();
            for (is_open, number, event) in parts {
                let part = if is_open {
                    Part::Open(AppendStreamOpen { writer_id: event.event })
                } else {
                    let batch = Some(Batch::Events(EventBatch { events: vec![event] }));
                    let append = Some(AppendRequest { batch, ..AppendRequest::default() });
                    Part::Batch(AppendStreamBatch { number, append })
                };
                bytes.extend(AppendStreamRequest { part: Some(part) }.encode_to_vec());
            }
            if let Some((at, byte)) = damage.filter(|_| !bytes.is_empty()) {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let bytes = Bytes::from(bytes);
            let Some(expected) = generated(&bytes) else {
                return Ok(());
            };
            // NaN differs from itself.
            let found = decode_message(&bytes);
            prop_assert_eq!(format!("{found:?}"), format!("{:?}", Ok::<_, Malformed>(expected)));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = StreamView::decode(&bytes);
            let Ok(view) = AppendView::decode(&bytes) else { return Ok(()) };
            if let Some(BatchView::Events(batches)) = view.batch {
                for event in batches.iter().flat_map(|batch| events_of(batch)).flatten() {
                    let _ = EventView::decode(event);
                }
            }
        }
    }

    /// Parts of a stream's message follow each other, however many there are and however small.
    #[test]
    fn parts_of_one_message_are_read_as_one() {
        use vitalog_wire::vitalog::v1::append_stream_request::Part;
        use vitalog_wire::vitalog::v1::{AppendStreamBatch, AppendStreamRequest};
        let part = |number, name: &str| {
            let event = Event {
                event: name.to_owned(),
                ..Event::default()
            };
            let batch = Some(Batch::Events(EventBatch {
                events: vec![event],
            }));
            let append = Some(AppendRequest {
                batch,
                ..AppendRequest::default()
            });
            let part = Some(Part::Batch(AppendStreamBatch { number, append }));
            AppendStreamRequest { part }.encode_to_vec()
        };
        let mut bytes = part(1, "a");
        // 0x12: the batch again, of no bytes.
        bytes.extend([0x12_u8, 0].repeat(500_000));
        bytes.extend(part(7, "b"));
        let bytes = Bytes::from(bytes);
        let expected = AppendStreamRequest::decode(bytes.clone()).expect("valid");
        let Ok(Some(StreamView::Batch { number, append })) = StreamView::decode(&bytes) else {
            panic!("a batch");
        };
        let append = decode(&append).expect("valid");
        let found = AppendStreamBatch {
            number,
            append: Some(append),
        };
        assert_eq!(expected.part, Some(Part::Batch(found)));
    }

    #[test]
    fn events_stand_in_few_parts() {
        // 0x0a: a batch of no events.
        let parts = |count| Bytes::from([0x0a_u8, 0].repeat(count));
        assert!(AppendView::decode(&parts(BATCHES_MAX)).is_ok());
        let malformed = AppendView::decode(&parts(BATCHES_MAX + 1)).map(|_| ());
        assert!(malformed.is_err_and(|Malformed(why)| why.contains("1024 times")));
    }

    #[test]
    fn batches_of_one_request_follow_each_other_and_the_last_form_counts() {
        let one = |name: &str| {
            let event = Event {
                event: name.to_owned(),
                ..Event::default()
            };
            let batch = Some(Batch::Events(EventBatch {
                events: vec![event],
            }));
            AppendRequest {
                batch,
                ..AppendRequest::default()
            }
            .encode_to_vec()
        };
        let arrow = AppendRequest {
            batch: Some(Batch::ArrowIpc(Bytes::from_static(b"x"))),
            ..AppendRequest::default()
        };
        for parts in [
            vec![one("a"), one("b")],
            vec![one("a"), arrow.encode_to_vec()],
            vec![one("a"), arrow.encode_to_vec(), one("c")],
        ] {
            let bytes = Bytes::from(parts.concat());
            let expected = AppendRequest::decode(bytes.clone()).expect("valid");
            assert_eq!(decode(&bytes), Ok(expected));
        }
    }
}

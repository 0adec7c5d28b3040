//! The Arrow form of a batch: columns by the names of `Event`'s fields.
//!
//! Strings are read as bytes, so that text which is not UTF-8 costs its row and not the batch.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::types::{
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, Float64Array, Int64Array,
    LargeBinaryArray, RecordBatch,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::{Field as IpcField, Precision, Schema as IpcSchema, TimeUnit as IpcUnit, Type};
use bytes::Bytes;
use vitalog_event::schema::{ACCOUNT_ID, EVENT, EVENT_ID, EVENT_TIME, PROPERTIES, USER_ID, VALUE};

use super::frames::{Frames, invalid};
use super::intake::RawEvent;
use crate::fault::{Fault, Reason};
use crate::nearest::nearest;

/// Columns that a batch may have, in the order of `Event`'s fields.
pub(super) const COLUMNS: [&str; 7] = [
    EVENT_ID, EVENT_TIME, EVENT, ACCOUNT_ID, USER_ID, VALUE, PROPERTIES,
];

/// The columns of one batch; an absent one is null everywhere.
#[derive(Debug, Default)]
pub(super) struct ArrowEvents {
    rows: usize,
    event_id: Option<TextColumn>,
    event_time: Option<TimeColumn>,
    event: Option<TextColumn>,
    account_id: Option<TextColumn>,
    user_id: Option<TextColumn>,
    value: Option<Float64Array>,
    properties: Option<TextColumn>,
}

impl ArrowEvents {
    /// Decodes an Arrow IPC stream of one batch.
    ///
    /// # Errors
    /// A stream of another shape, an unknown or repeated column, a wrong type, no `event`.
    pub fn decode(stream: &Bytes) -> Result<Self, Fault> {
        let frames = Frames::open(stream)?;
        let schema = Arc::new(schema_of(frames.schema)?);
        let types: Vec<&DataType> = schema
            .fields()
            .iter()
            .map(|field| field.data_type())
            .collect();
        let frame = frames.into_batch(&types)?;
        let body = Buffer::from(frame.body);
        let batch = read_record_batch(
            &body,
            frame.batch,
            Arc::clone(&schema),
            &HashMap::new(),
            None,
            &frame.version,
        )
        .map_err(|error| invalid(error.to_string()))?;
        Ok(Self::of_batch(&batch))
    }

    /// The columns of `batch`, whose names and types were checked; text is binary.
    pub fn of_batch(batch: &RecordBatch) -> Self {
        let text = |name| batch.column_by_name(name).and_then(TextColumn::of);
        let time = batch.column_by_name(EVENT_TIME).and_then(TimeColumn::of);
        let value = batch
            .column_by_name(VALUE)
            .and_then(|array| array.as_primitive_opt().cloned());
        Self {
            rows: batch.num_rows(),
            event_id: text(EVENT_ID),
            event_time: time,
            event: text(EVENT),
            account_id: text(ACCOUNT_ID),
            user_id: text(USER_ID),
            value,
            properties: text(PROPERTIES),
        }
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Event `row`.
    pub fn row(&self, row: usize) -> RawEvent<'_> {
        RawEvent {
            event_id: get(&self.event_id, row),
            event_time_us: self.event_time.as_ref().and_then(|times| times.get(row)),
            event: get(&self.event, row),
            account_id: get(&self.account_id, row),
            user_id: get(&self.user_id, row),
            value: self
                .value
                .as_ref()
                .and_then(|values| values.is_valid(row).then(|| values.value(row))),
            properties: get(&self.properties, row),
        }
    }
}

fn get(column: &Option<TextColumn>, row: usize) -> Option<&[u8]> {
    column.as_ref().and_then(|column| column.get(row))
}

/// Strings of any Arrow layout, as bytes.
#[derive(Debug)]
enum TextColumn {
    Small(BinaryArray),
    Large(LargeBinaryArray),
    View(BinaryViewArray),
}

impl TextColumn {
    fn of(array: &ArrayRef) -> Option<Self> {
        match array.data_type() {
            DataType::Binary => Some(Self::Small(array.as_binary().clone())),
            DataType::LargeBinary => Some(Self::Large(array.as_binary().clone())),
            DataType::BinaryView => Some(Self::View(array.as_binary_view().clone())),
            _ => None,
        }
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Small(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Large(array) => array.is_valid(row).then(|| array.value(row)),
            Self::View(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// Times of any unit, taken as UTC.
#[derive(Debug)]
struct TimeColumn {
    unit: TimeUnit,
    ticks: Int64Array,
}

impl TimeColumn {
    fn of(array: &ArrayRef) -> Option<Self> {
        let DataType::Timestamp(unit, _) = array.data_type() else {
            return None;
        };
        let ticks = match unit {
            TimeUnit::Second => array
                .as_primitive::<TimestampSecondType>()
                .reinterpret_cast(),
            TimeUnit::Millisecond => array
                .as_primitive::<TimestampMillisecondType>()
                .reinterpret_cast(),
            TimeUnit::Microsecond => array
                .as_primitive::<TimestampMicrosecondType>()
                .reinterpret_cast(),
            TimeUnit::Nanosecond => array
                .as_primitive::<TimestampNanosecondType>()
                .reinterpret_cast::<Int64Type>(),
        };
        Some(Self { unit: *unit, ticks })
    }

    /// Microseconds, saturated: what does not fit lies outside the range of events anyway.
    fn get(&self, row: usize) -> Option<i64> {
        self.ticks.is_valid(row).then(|| {
            let ticks = self.ticks.value(row);
            match self.unit {
                TimeUnit::Second => ticks.saturating_mul(1_000_000),
                TimeUnit::Millisecond => ticks.saturating_mul(1_000),
                TimeUnit::Microsecond => ticks,
                TimeUnit::Nanosecond => ticks.div_euclid(1_000),
            }
        })
    }
}

/// The schema to decode with, strings as bytes.
fn schema_of(schema: IpcSchema<'_>) -> Result<Schema, Fault> {
    let mut fields: Vec<Field> = Vec::with_capacity(COLUMNS.len());
    for column in schema.fields().into_iter().flatten() {
        let name = column.name().unwrap_or_default();
        if !COLUMNS.contains(&name) {
            return Err(unknown_column("arrow_ipc", name));
        }
        if fields.iter().any(|field| field.name() == name) {
            return Err(invalid(format!("the column {name} stands there twice")));
        }
        fields.push(Field::new(name, type_of(name, &column)?, true));
    }
    if !fields.iter().any(|field| field.name() == EVENT) {
        return Err(invalid(format!("the column {EVENT} is missing")));
    }
    Ok(Schema::new(fields))
}

/// A column that events do not have, in `field` of a request.
pub(super) fn unknown_column(field: &str, name: &str) -> Fault {
    let near = nearest(name, COLUMNS.into_iter());
    let advice = match near {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", COLUMNS.join(", ")),
    };
    let message = format!("unknown column {name:?}; {advice}");
    let fault = Fault::of_field(Reason::UnknownColumn, field, message);
    match near {
        Some(near) => fault.with_fact("suggestion", &near),
        None => fault,
    }
}

fn type_of(name: &str, column: &IpcField<'_>) -> Result<DataType, Fault> {
    let found = column.type_type();
    if column.dictionary().is_some() {
        let message = format!("the column {name} is dictionary-encoded; send its strings");
        return Err(invalid(message));
    }
    let is_leaf = column.children().is_none_or(|children| children.is_empty());
    let wrong = |expected| {
        let kind = found.variant_name().unwrap_or("unknown");
        invalid(format!(
            "the column {name} has the type {kind}; expected {expected}"
        ))
    };
    match (name, found) {
        _ if !is_leaf => Err(wrong("a plain column")),
        // What a client makes of a column without any value.
        (_, Type::Null) => Ok(DataType::Null),
        (EVENT_TIME, Type::Timestamp) => {
            let unit = match column.type_as_timestamp().map(|time| time.unit()) {
                Some(IpcUnit::SECOND) => TimeUnit::Second,
                Some(IpcUnit::MILLISECOND) => TimeUnit::Millisecond,
                Some(IpcUnit::MICROSECOND) => TimeUnit::Microsecond,
                Some(IpcUnit::NANOSECOND) => TimeUnit::Nanosecond,
                _ => return Err(wrong("a timestamp of a known unit")),
            };
            Ok(DataType::Timestamp(unit, None))
        }
        (EVENT_TIME, _) => Err(wrong("a timestamp")),
        (VALUE, Type::FloatingPoint) => {
            match column
                .type_as_floating_point()
                .map(|number| number.precision())
            {
                Some(Precision::DOUBLE) => Ok(DataType::Float64),
                _ => Err(wrong("a double")),
            }
        }
        (VALUE, _) => Err(wrong("a double")),
        (_, Type::Utf8) => Ok(DataType::Binary),
        (_, Type::LargeUtf8) => Ok(DataType::LargeBinary),
        (_, Type::Utf8View) => Ok(DataType::BinaryView),
        _ => Err(wrong("a string")),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{StringArray, TimestampNanosecondArray};
    use arrow::ipc::writer::StreamWriter;
    use proptest::prelude::*;

    use super::*;

    fn stream_of(batches: &[RecordBatch]) -> Bytes {
        let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).expect("a schema");
        for batch in batches {
            writer.write(batch).expect("a batch");
        }
        writer.into_inner().expect("the end").into()
    }

    fn batch_of(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(
            columns
                .into_iter()
                .map(|(name, column)| (name, column, true)),
        )
        .expect("columns of one length")
    }

    fn full() -> RecordBatch {
        let text = |values: [Option<&str>; 2]| Arc::new(StringArray::from_iter(values)) as ArrayRef;
        let times = TimestampNanosecondArray::from(vec![Some(1_999), None]).with_timezone("+02:00");
        batch_of(vec![
            (EVENT_ID, text([Some("e1"), None])),
            (EVENT_TIME, Arc::new(times)),
            (
                EVENT,
                arrow::compute::cast(
                    &text([Some("a"), Some("a name of some length")]),
                    &DataType::Utf8View,
                )
                .expect("a cast"),
            ),
            (
                ACCOUNT_ID,
                arrow::compute::cast(&text([None, Some("acme")]), &DataType::LargeUtf8)
                    .expect("a cast"),
            ),
            (USER_ID, Arc::new(arrow::array::NullArray::new(2))),
            (VALUE, Arc::new(Float64Array::from(vec![Some(2.5), None]))),
        ])
    }

    fn reason_of(columns: Vec<(&str, ArrayRef)>) -> (Reason, String) {
        let fault = ArrowEvents::decode(&stream_of(&[batch_of(columns)])).expect_err("a fault");
        (
            fault.reason,
            tonic::Status::from(fault).message().to_owned(),
        )
    }

    #[test]
    fn columns_are_found_by_name_in_every_string_layout() {
        let events = ArrowEvents::decode(&stream_of(&[full()])).expect("valid");
        assert_eq!(events.len(), 2);
        let first = events.row(0);
        assert_eq!(
            (first.event_id, first.event),
            (Some(&b"e1"[..]), Some(&b"a"[..]))
        );
        assert_eq!((first.event_time_us, first.value), (Some(1), Some(2.5)));
        let second = events.row(1);
        assert_eq!(second.event, Some(&b"a name of some length"[..]));
        assert_eq!(
            (second.account_id, second.user_id),
            (Some(&b"acme"[..]), None)
        );
        assert_eq!((second.event_time_us, second.properties), (None, None));
    }

    #[test]
    fn a_wrong_shape_is_named() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let (reason, message) =
            reason_of(vec![(EVENT, text.clone()), ("eventtime", number.clone())]);
        assert_eq!(reason, Reason::UnknownColumn);
        assert!(message.contains("did you mean event_time?"), "{message}");
        for (columns, part) in [
            (vec![(EVENT_ID, text.clone())], "event is missing"),
            (vec![(EVENT, number.clone())], "expected a string"),
            (
                vec![(EVENT, text.clone()), (EVENT_TIME, number.clone())],
                "expected a timestamp",
            ),
            (
                vec![(EVENT, text.clone()), (VALUE, number.clone())],
                "expected a double",
            ),
            (vec![(EVENT, text.clone()), (EVENT, text.clone())], "twice"),
        ] {
            let (reason, message) = reason_of(columns);
            assert_eq!(reason, Reason::InvalidArrow);
            assert!(message.contains(part), "{message}");
        }
        let keys = arrow::compute::cast(
            &text,
            &DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
        );
        let (_, message) = reason_of(vec![(EVENT, keys.expect("a cast"))]);
        assert!(message.contains("dictionary-encoded"), "{message}");
    }

    #[test]
    fn exactly_one_batch() {
        let fault = ArrowEvents::decode(&stream_of(&[full(), full()])).expect_err("two");
        assert!(
            tonic::Status::from(fault)
                .message()
                .contains("more than one")
        );
        let empty = StreamWriter::try_new(Vec::new(), &full().schema()).expect("a schema");
        let stream = empty.into_inner().expect("the end").into();
        let fault = ArrowEvents::decode(&stream).expect_err("none");
        assert!(
            tonic::Status::from(fault)
                .message()
                .contains("no record batch")
        );
    }

    /// Cut anywhere or with any byte changed, a stream is read or refused; nothing panics and
    /// nothing reads outside its columns.
    #[test]
    fn damage_anywhere_is_no_panic() {
        let stream = stream_of(&[full()]);
        let mut refused = 0;
        for length in 0..stream.len() {
            refused += usize::from(ArrowEvents::decode(&stream.slice(..length)).is_err());
        }
        // Only the end marker may be missing.
        assert!(refused >= stream.len() - 8, "{refused} of {}", stream.len());
        for at in 0..stream.len() {
            for change in [0x01, 0x40, 0x80, 0xff] {
                let mut damaged = stream.to_vec();
                damaged[at] ^= change;
                if let Ok(events) = ArrowEvents::decode(&damaged.into()) {
                    for row in 0..events.len() {
                        let raw = events.row(row);
                        assert!(raw.event.is_none_or(|event| event.len() <= stream.len()));
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn damage_in_several_places_is_no_panic(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut damaged = stream_of(&[full()]).to_vec();
            for (at, byte) in changes {
                let at = at.index(damaged.len());
                damaged[at] = byte;
            }
            if let Ok(events) = ArrowEvents::decode(&damaged.into()) {
                for row in 0..events.len() {
                    let _ = events.row(row);
                }
            }
        }
    }
}

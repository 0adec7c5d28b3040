//! The columns of one decoded batch of a Parquet file, each as what its field takes.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date64Type, Int64Type, TimeUnit as ArrowTimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use arrow::error::ArrowError;
use vitalog_event::{EventDraft, RejectionCode, TimeUnit};

use super::event_field::EventField;
use super::time_text::{
    CellFault, time_from_float, time_from_integer, time_from_text, value_from_text,
};

/// What a field takes, for messages, where `data_type` cannot become it; `None` where it can.
///
/// Ids and names: text or whole numbers. `properties`: text. `value`: numbers, decimals, text.
/// `event_time`: timestamps of any unit and zone, dates, text; numbers where a unit is named.
pub(super) fn expected_instead(
    field: EventField,
    data_type: &DataType,
    unit: Option<TimeUnit>,
) -> Option<&'static str> {
    use DataType::{BinaryView, Date32, Date64, Null, Timestamp};
    if matches!(data_type, BinaryView | Null) {
        return None;
    }
    let (taken, expected) = match field {
        EventField::Properties => (false, "JSON text"),
        EventField::Value => {
            let decimal = matches!(
                data_type,
                DataType::Decimal128(..) | DataType::Decimal256(..)
            );
            (data_type.is_numeric() || decimal, "numbers")
        }
        EventField::EventTime if data_type.is_numeric() && unit.is_none() => (
            false,
            "numbers only where their unit is named with --time-unit s, ms, us or ns",
        ),
        EventField::EventTime => {
            let number = data_type.is_integer() || data_type.is_floating();
            let time = matches!(data_type, Timestamp(..) | Date32 | Date64);
            (number || time, "timestamps, dates, text or numbers")
        }
        _ => (data_type.is_integer(), "text or whole numbers"),
    };
    (!taken).then_some(expected)
}

/// The columns of a batch by field.
pub(super) struct EventColumns {
    event_id: TextColumn,
    event_time: TimeColumn,
    event: TextColumn,
    account_id: TextColumn,
    user_id: TextColumn,
    value: ValueColumn,
    properties: TextColumn,
}

impl EventColumns {
    /// Takes the columns of `batch`; `position` gives where a field stands.
    ///
    /// # Errors
    /// What a conversion of types says; none is tried that [`expected_instead`] refuses.
    pub(super) fn new(
        batch: &RecordBatch,
        position: impl Fn(EventField) -> Option<usize>,
        unit: Option<TimeUnit>,
    ) -> Result<Self, ArrowError> {
        let column = |field| position(field).map(|position| batch.column(position));
        Ok(Self {
            event_id: TextColumn::new(column(EventField::EventId))?,
            event_time: TimeColumn::new(column(EventField::EventTime), unit)?,
            event: TextColumn::new(column(EventField::Event))?,
            account_id: TextColumn::new(column(EventField::AccountId))?,
            user_id: TextColumn::new(column(EventField::UserId))?,
            value: ValueColumn::new(column(EventField::Value))?,
            properties: TextColumn::new(column(EventField::Properties))?,
        })
    }

    /// The event of one row.
    pub(super) fn draft(&self, row: usize) -> Result<EventDraft<'_>, (EventField, CellFault)> {
        let at = |field| move |fault| (field, fault);
        Ok(EventDraft {
            event_id: self.event_id.get(row).map_err(at(EventField::EventId))?,
            event_time_us: self
                .event_time
                .get(row)
                .map_err(at(EventField::EventTime))?,
            time_is_stamped: false,
            event: self.event.get(row).map_err(at(EventField::Event))?,
            account_id: self
                .account_id
                .get(row)
                .map_err(at(EventField::AccountId))?,
            user_id: self.user_id.get(row).map_err(at(EventField::UserId))?,
            value: self.value.get(row).map_err(at(EventField::Value))?,
            properties: self
                .properties
                .get(row)
                .map_err(at(EventField::Properties))?,
        })
    }
}

/// Text, or what becomes text.
enum TextColumn {
    /// No such column, or one without values.
    Absent,
    /// Text as the file holds it, not known to be UTF-8.
    Bytes(BinaryViewArray),
    /// Whole numbers, written out.
    Text(StringArray),
}

impl TextColumn {
    fn new(column: Option<&ArrayRef>) -> Result<Self, ArrowError> {
        Ok(match column {
            None => Self::Absent,
            Some(column) if column.data_type() == &DataType::Null => Self::Absent,
            Some(column) => match column.as_binary_view_opt() {
                Some(bytes) => Self::Bytes(bytes.clone()),
                None => Self::Text(cast(column, &DataType::Utf8)?.as_string().clone()),
            },
        })
    }

    fn get(&self, row: usize) -> Result<Option<&str>, CellFault> {
        match self {
            Self::Absent => Ok(None),
            Self::Bytes(column) if column.is_null(row) => Ok(None),
            Self::Bytes(column) => match str::from_utf8(column.value(row)) {
                Ok(text) => Ok(Some(text)),
                Err(error) => {
                    let message = format!("byte {} is no UTF-8", error.valid_up_to() + 1);
                    Err((RejectionCode::InvalidUtf8, message))
                }
            },
            Self::Text(column) => Ok(column.is_valid(row).then(|| column.value(row))),
        }
    }
}

/// Times of any type.
enum TimeColumn {
    Integers(Int64Array, TimeUnit),
    Floats(Float64Array, TimeUnit),
    Text(TextColumn, Option<TimeUnit>),
}

impl TimeColumn {
    fn new(column: Option<&ArrayRef>, unit: Option<TimeUnit>) -> Result<Self, ArrowError> {
        let Some(column) = column else {
            return Ok(Self::Text(TextColumn::Absent, unit));
        };
        // Checked at the opening of the file: a number comes with a unit.
        let given = unit.unwrap_or(TimeUnit::Microsecond);
        Ok(match column.data_type() {
            DataType::Timestamp(unit, _) => timestamps(column, *unit),
            DataType::Date32 => {
                let days = cast(&cast(column, &DataType::Int32)?, &DataType::Int64)?;
                let seconds = days
                    .as_primitive::<Int64Type>()
                    .unary(|day: i64| day * 86_400);
                Self::Integers(seconds, TimeUnit::Second)
            }
            DataType::Date64 => {
                let millis = column
                    .as_primitive::<Date64Type>()
                    .reinterpret_cast::<Int64Type>();
                Self::Integers(millis, TimeUnit::Millisecond)
            }
            DataType::UInt64 => {
                let numbers = column.as_primitive::<UInt64Type>();
                let signed = numbers.unary(|number| number.min(i64::MAX as u64) as i64);
                Self::Integers(signed, given)
            }
            data_type if data_type.is_integer() => Self::Integers(
                cast(column, &DataType::Int64)?.as_primitive().clone(),
                given,
            ),
            data_type if data_type.is_floating() => Self::Floats(
                cast(column, &DataType::Float64)?.as_primitive().clone(),
                given,
            ),
            _ => Self::Text(TextColumn::new(Some(column))?, unit),
        })
    }

    fn get(&self, row: usize) -> Result<Option<i64>, CellFault> {
        match self {
            Self::Integers(column, unit) => Ok(column
                .is_valid(row)
                .then(|| time_from_integer(column.value(row), *unit))),
            Self::Floats(column, unit) => {
                let number = column.is_valid(row).then(|| column.value(row));
                number
                    .map(|number| time_from_float(number, *unit))
                    .transpose()
            }
            Self::Text(column, unit) => column
                .get(row)?
                .map(|text| time_from_text(text, *unit))
                .transpose(),
        }
    }
}

/// Timestamps as numbers of their unit; a zone says how to show them and changes no instant.
fn timestamps(column: &Arc<dyn Array>, unit: ArrowTimeUnit) -> TimeColumn {
    match unit {
        ArrowTimeUnit::Second => TimeColumn::Integers(
            column
                .as_primitive::<TimestampSecondType>()
                .reinterpret_cast(),
            TimeUnit::Second,
        ),
        ArrowTimeUnit::Millisecond => TimeColumn::Integers(
            column
                .as_primitive::<TimestampMillisecondType>()
                .reinterpret_cast(),
            TimeUnit::Millisecond,
        ),
        ArrowTimeUnit::Microsecond => TimeColumn::Integers(
            column
                .as_primitive::<TimestampMicrosecondType>()
                .reinterpret_cast(),
            TimeUnit::Microsecond,
        ),
        ArrowTimeUnit::Nanosecond => TimeColumn::Integers(
            column
                .as_primitive::<TimestampNanosecondType>()
                .reinterpret_cast(),
            TimeUnit::Nanosecond,
        ),
    }
}

/// Measures.
enum ValueColumn {
    Numbers(Float64Array),
    Text(TextColumn),
}

impl ValueColumn {
    fn new(column: Option<&ArrayRef>) -> Result<Self, ArrowError> {
        Ok(match column {
            Some(column)
                if !matches!(column.data_type(), DataType::Null | DataType::BinaryView) =>
            {
                Self::Numbers(cast(column, &DataType::Float64)?.as_primitive().clone())
            }
            other => Self::Text(TextColumn::new(other)?),
        })
    }

    fn get(&self, row: usize) -> Result<Option<f64>, CellFault> {
        match self {
            Self::Numbers(column) => Ok(column.is_valid(row).then(|| column.value(row))),
            Self::Text(column) => column.get(row)?.map(value_from_text).transpose(),
        }
    }
}

//! Events as columns of Arrow that are too many for one append: they go in by pieces, in order.
//!
//! Invariant: the columns obey the rules of the Arrow form of a request; a row is reported by its
//! place in the whole.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use vitalog_event::schema::{EVENT, EVENT_TIME, VALUE};
use vitalog_wire::vitalog::v1::AppendResponse;

use super::Appender;
use super::answer::report;
use super::arrow::{ArrowEvents, COLUMNS, unknown_column};
use super::intake::{Checked, Intake};
use crate::fault::{Fault, Reason};

/// Rows and bytes of text after which a piece is appended.
const PIECE: (usize, usize) = (64 << 10, 8 << 20);

/// Events of a record batch whose columns were checked.
#[derive(Debug)]
pub(crate) struct EventColumns {
    events: ArrowEvents,
}

impl EventColumns {
    /// The events of `batch`: columns by the names of an event's fields, text in any layout of
    /// Arrow, dictionaries included. Cost: 16 bytes a row of a column that is a dictionary, however
    /// long its texts are.
    ///
    /// # Errors
    /// An unknown or repeated column, a wrong type, no `event`.
    pub fn of(batch: &RecordBatch) -> Result<Self, Fault> {
        let schema = batch.schema();
        let mut columns = Vec::with_capacity(batch.num_columns());
        let mut fields: Vec<Field> = Vec::with_capacity(batch.num_columns());
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            let name = field.name();
            if !COLUMNS.contains(&name.as_str()) {
                return Err(unknown_column("columns", name));
            }
            if fields.iter().any(|field| field.name() == name) {
                return Err(wrong(&format!("the column {name} stands there twice")));
            }
            let taken = type_of(name, column.data_type())?;
            let column = unpacked(column)
                .and_then(|column| cast(&column, &taken))
                .map_err(|error| wrong(&format!("the column {name}: {error}")))?;
            fields.push(Field::new(name, taken, true));
            columns.push(column);
        }
        if !fields.iter().any(|field| field.name() == EVENT) {
            return Err(wrong(&format!("the column {EVENT} is missing")));
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
        let batch = batch.map_err(|error| wrong(&error.to_string()))?;
        let events = ArrowEvents::of_batch(&batch);
        Ok(Self { events })
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether every piece of them could be handed to the log.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn are_taken(&self, now_us: i64) -> bool {
        let mut row = 0;
        while row < self.len() {
            match check(self, row, now_us) {
                Ok((_, end)) => row = end,
                Err(_) => return false,
            }
        }
        true
    }
}

impl Appender {
    /// Appends rows of `columns` from `start` on, as many as go in at once; the answer and the
    /// row after the last of them. Indexes in the answer count from `start`.
    ///
    /// # Errors
    /// As for an append: then none of these rows is known to be in.
    pub async fn append_columns(
        &self,
        columns: &Arc<EventColumns>,
        start: usize,
    ) -> Result<(AppendResponse, usize), Fault> {
        let now_us = self.store.clock().now_us();
        let columns = Arc::clone(columns);
        let checking = move || check(&columns, start, now_us);
        let checked = tokio::task::spawn_blocking(checking).await;
        let (checked, end) = checked.map_err(|error| Fault::of_task(&error))??;
        let receipt = self.commit(&checked).await?;
        Ok((report(checked.remarks, receipt), end))
    }
}

/// Validates the rows of one piece; the row after its last.
fn check(columns: &EventColumns, start: usize, now_us: i64) -> Result<(Checked, usize), Fault> {
    let (rows_max, bytes_max) = PIECE;
    let end_max = columns.len().min(start + rows_max);
    let mut intake = Intake::new(now_us, "", end_max - start);
    let (mut row, mut bytes) = (start, 0);
    while row < end_max && bytes < bytes_max {
        let event = columns.events.row(row);
        let texts = [
            event.event_id,
            event.event,
            event.account_id,
            event.user_id,
            event.properties,
        ];
        bytes += texts.into_iter().flatten().map(<[u8]>::len).sum::<usize>();
        intake.take(&event)?;
        row += 1;
    }
    Ok((intake.finish(), row))
}

/// The values of a dictionary, one for each row; any other column as it is. Text becomes views: one
/// that many rows name stays one.
fn unpacked(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let Some(dictionary) = column.as_any_dictionary_opt() else {
        return Ok(Arc::clone(column));
    };
    let values = unpacked(dictionary.values())?;
    let values = match values.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => cast(&values, &DataType::Utf8View)?,
        _ => values,
    };
    take(&values, dictionary.keys(), None)
}

/// The type of the values inside a dictionary, as [`unpacked`] gives them.
fn values_type(found: &DataType) -> DataType {
    match found {
        DataType::Dictionary(_, values) => match values_type(values) {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            other => other,
        },
        other => other.clone(),
    }
}

/// The type as which the column `name` of type `found` is read.
fn type_of(name: &str, found: &DataType) -> Result<DataType, Fault> {
    let expected = match (name, values_type(found)) {
        (_, DataType::Null) => return Ok(DataType::Null),
        (EVENT_TIME, time @ DataType::Timestamp(..)) => return Ok(time),
        (EVENT_TIME, _) => "a timestamp",
        (VALUE, DataType::Float64) => return Ok(DataType::Float64),
        (VALUE, _) => "a double",
        (_, DataType::Utf8) => return Ok(DataType::Binary),
        (_, DataType::LargeUtf8) => return Ok(DataType::LargeBinary),
        (_, DataType::Utf8View) => return Ok(DataType::BinaryView),
        _ => "a string",
    };
    Err(wrong(&format!(
        "the column {name} has the type {found}; expected {expected}"
    )))
}

fn wrong(message: &str) -> Fault {
    Fault::of_field(Reason::InvalidArrow, "columns", message)
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int8Array, LargeStringArray, StringArray};
    use arrow::datatypes::Int8Type;
    use vitalog_event::schema::EVENT_ID;

    use super::*;

    #[test]
    fn a_dictionary_gives_each_row_its_value() {
        let keys = Int8Array::from(vec![Some(1), None, Some(0), Some(2)]);
        let values = StringArray::from(vec![Some("a"), Some("b"), None]);
        let users: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(values)));
        let events: ArrayRef = Arc::new(StringArray::from(vec!["e"; 4]));
        let batch = RecordBatch::try_from_iter([(EVENT, events), ("user_id", users)]);
        let columns = EventColumns::of(&batch.expect("columns of one length")).expect("text");
        let found: Vec<_> = (0..4).map(|row| columns.events.row(row).user_id).collect();
        assert_eq!(found, [Some(&b"b"[..]), None, Some(&b"a"[..]), None]);
    }

    /// Unpacked by copies, these rows would be 200 GB.
    #[test]
    fn a_text_that_many_rows_name_stays_one() {
        let rows = 200_000;
        let long = "x".repeat(1 << 20);
        let texts = Arc::new(LargeStringArray::from(vec![long.as_str(), "short"]));
        let keys = |key: Option<i8>| Int8Array::from(vec![key; rows]);
        let column = |keys: Int8Array| -> ArrayRef {
            let texts = Arc::clone(&texts) as ArrayRef;
            Arc::new(DictionaryArray::<Int8Type>::new(keys, texts))
        };
        let columns = [
            (EVENT_ID, column(keys(Some(0)))),
            (EVENT, column(keys(Some(1)))),
            ("user_id", column(keys(None))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let columns = EventColumns::of(&batch).expect("text");
        assert_eq!(columns.len(), rows);
        let last = columns.events.row(rows - 1);
        assert_eq!(last.event, Some(&b"short"[..]));
        assert_eq!(last.event_id.map(<[u8]>::len), Some(1 << 20));
        assert_eq!(last.user_id, None);
    }
}

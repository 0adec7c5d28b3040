//! Columns of an answer by name and type, for rows that become messages.
//!
//! Names and types are those of the server's own statements, so that a column that is missing or
//! of a type that does not fit is a bug, not a fault of the caller.

use arrow::array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::array::{
    Array, ArrayAccessor, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::fault::{Fault, Reason};

/// A BIGINT column.
pub(crate) fn integers(batch: &RecordBatch, name: &str) -> Result<Int64Array, Fault> {
    let column = column(batch, name, &DataType::Int64)?;
    Ok(column.as_primitive::<Int64Type>().clone())
}

/// A DOUBLE column.
pub(crate) fn doubles(batch: &RecordBatch, name: &str) -> Result<Float64Array, Fault> {
    let column = column(batch, name, &DataType::Float64)?;
    Ok(column.as_primitive::<Float64Type>().clone())
}

/// A BOOLEAN column.
pub(crate) fn booleans(batch: &RecordBatch, name: &str) -> Result<BooleanArray, Fault> {
    let column = column(batch, name, &DataType::Boolean)?;
    Ok(column.as_boolean().clone())
}

/// A TIMESTAMP column, in microseconds.
pub(crate) fn times(batch: &RecordBatch, name: &str) -> Result<TimestampMicrosecondArray, Fault> {
    let zone = Some("UTC".into());
    let column = column(
        batch,
        name,
        &DataType::Timestamp(TimeUnit::Microsecond, zone),
    )?;
    Ok(column.as_primitive::<TimestampMicrosecondType>().clone())
}

/// A TEXT column.
pub(crate) fn texts(batch: &RecordBatch, name: &str) -> Result<StringArray, Fault> {
    let column = column(batch, name, &DataType::Utf8)?;
    Ok(column.as_string::<i32>().clone())
}

/// A column of lists of TEXT.
pub(crate) fn text_lists(batch: &RecordBatch, name: &str) -> Result<ListArray, Fault> {
    let element = Field::new_list_field(DataType::Utf8, true);
    let column = column(batch, name, &DataType::List(element.into()))?;
    Ok(column.as_list::<i32>().clone())
}

/// The value of a row; `None` is NULL.
pub(crate) fn value<A: ArrayAccessor + Copy>(column: A, row: usize) -> Option<A::Item> {
    column.is_valid(row).then(|| column.value(row))
}

/// The value of a row as text of its own; `None` is NULL.
pub(crate) fn text(column: &StringArray, row: usize) -> Option<String> {
    value(column, row).map(str::to_owned)
}

/// The list of a row; NULL is an empty one.
pub(crate) fn text_list(column: &ListArray, row: usize) -> Vec<String> {
    let Some(list) = value(column, row) else {
        return Vec::new();
    };
    let items = list.as_string::<i32>();
    items.iter().flatten().map(str::to_owned).collect()
}

/// A count, which no relation gives below 0.
pub(crate) fn count(column: &Int64Array, row: usize) -> Option<u64> {
    value(column, row).map(|count| count.max(0) as u64)
}

fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef, Fault> {
    let found = batch.column_by_name(name);
    let found = found.ok_or_else(|| broken(name, "is missing"))?;
    if found.data_type() == data_type {
        return Ok(ArrayRef::clone(found));
    }
    cast(found, data_type).map_err(|error| broken(name, &error.to_string()))
}

fn broken(name: &str, why: &str) -> Fault {
    Fault::new(
        Reason::Internal,
        format!("column {name} of an answer: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringViewArray;

    use super::*;

    #[test]
    fn columns_are_found_by_name_and_fitted() {
        let names = Arc::new(StringViewArray::from(vec![Some("a"), None])) as ArrayRef;
        let counts = Arc::new(Int64Array::from(vec![Some(-1), None])) as ArrayRef;
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("name", names, true),
            ("count", counts, true),
        ])
        .expect("columns of one length");
        let names = texts(&batch, "name").expect("text");
        assert_eq!(
            (text(&names, 0), text(&names, 1)),
            (Some("a".to_owned()), None)
        );
        let counts = integers(&batch, "count").expect("integers");
        assert_eq!((count(&counts, 0), count(&counts, 1)), (Some(0), None));
        assert!(texts(&batch, "other").is_err());
        assert!(text_lists(&batch, "count").is_ok_and(|lists| lists.len() == 2));
    }
}

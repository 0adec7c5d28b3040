//! Batches that count for what they hold.
//!
//! A batch of a segment borrows from the file's map, and operators that keep batches (sorts,
//! joins, repartitioning) would count the whole map once a batch and think that memory is gone.
//! Here each column gets buffers of its own length: fixed-width columns still borrow from the map,
//! text beyond what views hold inline is copied.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, RecordBatchOptions,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;

/// Bytes of borrowed text that are not worth a copy.
const BORROWED_BYTES_MAX: usize = 64 << 10;

/// `batch` with buffers that are no larger than its rows.
pub(crate) fn owned(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(owned_column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
}

fn owned_column(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => {
            let views = column.as_string_view();
            let borrowed: usize = views.data_buffers().iter().map(Buffer::capacity).sum();
            if borrowed <= BORROWED_BYTES_MAX {
                return Arc::clone(column);
            }
            Arc::new(views.gc())
        }
        DataType::Timestamp(..) => {
            let times = column.as_primitive::<TimestampMicrosecondType>();
            Arc::new(cut(times).with_data_type(column.data_type().clone()))
        }
        DataType::Int64 => Arc::new(cut(column.as_primitive::<Int64Type>())),
        DataType::Float64 => Arc::new(cut(column.as_primitive::<Float64Type>())),
        _ => Arc::clone(column),
    }
}

/// The same array over buffers that end where its rows end.
fn cut<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> PrimitiveArray<T> {
    let values = ScalarBuffer::new(lent(array.values().inner()), 0, array.len());
    let nulls = array.nulls().map(|nulls| {
        let bits = nulls.inner();
        // Bits start within their first byte: a copy is an eighth of the rows.
        NullBuffer::new(BooleanBuffer::new(bits.sliced(), 0, bits.len()))
    });
    PrimitiveArray::new(values, nulls)
}

/// A buffer of its own length over the same bytes, which live as long as it does.
fn lent(buffer: &Buffer) -> Buffer {
    struct Lender(Buffer);
    impl AsRef<[u8]> for Lender {
        fn as_ref(&self) -> &[u8] {
            self.0.as_slice()
        }
    }
    Buffer::from(bytes::Bytes::from_owner(Lender(buffer.clone())))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray};
    use arrow::datatypes::{Field, Schema};
    use datafusion::common::utils::memory::get_record_batch_memory_size;
    use vitalog_event::schema::timestamp_type;

    use super::*;

    #[test]
    fn a_slice_counts_for_its_rows_and_keeps_its_values() {
        let rows = 10_000;
        let text = |row: i64| format!("a text that no view holds inline {row}");
        let times: Int64Array = (0..rows).collect();
        let values: Float64Array = (0..rows)
            .map(|row| (row % 3 > 0).then_some(row as f64))
            .collect();
        let texts =
            StringViewArray::from_iter((0..rows).map(|row| (row % 5 > 0).then(|| text(row))));
        let instants = TimestampMicrosecondArray::from_iter_values(0..rows).with_timezone("UTC");
        let schema = Schema::new(vec![
            Field::new("times", DataType::Int64, false),
            Field::new("values", DataType::Float64, true),
            Field::new("texts", DataType::Utf8View, true),
            Field::new("instants", timestamp_type(), false),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(times),
            Arc::new(values),
            Arc::new(texts),
            Arc::new(instants),
        ];
        let whole = RecordBatch::try_new(Arc::new(schema), columns).expect("a batch");
        let slice = whole.slice(77, 10);
        let own = owned(&slice).expect("a batch");
        assert_eq!(own, slice);
        assert!(get_record_batch_memory_size(&slice) > 400_000);
        assert!(get_record_batch_memory_size(&own) < 2_000);
    }

    #[test]
    fn fixed_width_columns_still_borrow() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        let own = owned_column(&column.slice(10, 5));
        let borrowed = column.as_primitive::<Int64Type>().values()[10..].as_ptr();
        assert_eq!(own.as_primitive::<Int64Type>().values().as_ptr(), borrowed);
    }
}

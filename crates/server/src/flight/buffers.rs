//! The columns and buffers of a batch of an upload, looked at before Arrow's reader takes them.
//!
//! The reader checks what a column says, and trusts where its parts lie: it panics on buffers
//! outside of the message, and copies as often as buffers lie over one another. Invariant: of a
//! batch that is let through here every buffer lies inside of the body, together they are no longer
//! than it, and no column has more values than it has bits, but for a few. The format is specified at
//! <https://arrow.apache.org/docs/format/Columnar.html#recordbatch-message>.

use std::ops::Range;
use std::vec::IntoIter;

use arrow::datatypes::{DataType, FieldRef, UnionMode};
use arrow::ipc::{MetadataVersion, RecordBatch};

use super::decode::invalid;
use crate::fault::Fault;
use crate::limits::FLIGHT_VALUES_BYTES_MAX;

/// Values that a column may have without any bytes: nulls without a type, empty structures.
const EMPTY_ROWS_MAX: usize = 64 << 10;

/// Buffers begin at multiples of these many bytes of the body.
const ALIGNMENT: usize = 8;

/// Checks `batch`, whose columns are `fields` and whose buffers lie in `body`. Cost: a walk over
/// the fields, and over text that lies beneath lists.
///
/// # Errors
/// A part that is missing, lies elsewhere, or is too short or too long for the rows.
pub(super) fn check(
    batch: RecordBatch<'_>,
    fields: &[FieldRef],
    version: MetadataVersion,
    body: &[u8],
) -> Result<(), Fault> {
    let rows_max = body.len().saturating_mul(8).saturating_add(EMPTY_ROWS_MAX);
    columns_of(batch.length(), 0, rows_max)?;
    let nodes = batch.nodes().into_iter().flatten();
    let columns = nodes.map(|node| columns_of(node.length(), node.null_count(), rows_max));
    let counts: Vec<i64> = batch.variadicBufferCounts().into_iter().flatten().collect();
    let mut parts = Parts {
        columns: columns.collect::<Result<Vec<_>, _>>()?.into_iter(),
        buffers: buffers_of(batch, body.len())?.into_iter(),
        counts: counts.into_iter(),
        version,
        body,
        text_bytes: 0,
    };
    for field in fields {
        parts.column(field.data_type(), false)?;
    }
    match parts.counts.next() {
        None => Ok(()),
        Some(_) => Err(invalid("the batch counts the buffers of a column too many")),
    }
}

/// What a column says of itself.
#[derive(Clone, Copy, Debug)]
struct Column {
    rows: usize,
    has_nulls: bool,
}

fn columns_of(rows: i64, nulls: i64, rows_max: usize) -> Result<Column, Fault> {
    let found = usize::try_from(rows).ok().filter(|rows| *rows <= rows_max);
    match found {
        Some(found) if (0..=rows).contains(&nulls) => Ok(Column {
            rows: found,
            has_nulls: nulls > 0,
        }),
        Some(_) => Err(invalid(format!(
            "a column of {rows} rows has {nulls} nulls"
        ))),
        None => Err(invalid(format!(
            "{rows} rows, of which the message holds at most {rows_max}"
        ))),
    }
}

/// Where the buffers of `batch` lie in its body of `length` bytes.
fn buffers_of(batch: RecordBatch<'_>, length: usize) -> Result<Vec<Range<usize>>, Fault> {
    let mut left = length;
    let mut buffers = Vec::new();
    for buffer in batch.buffers().into_iter().flatten() {
        let start = usize::try_from(buffer.offset());
        let bytes = usize::try_from(buffer.length());
        let (Ok(start), Ok(bytes)) = (start, bytes) else {
            return Err(invalid("a buffer has a negative place"));
        };
        let end = start.checked_add(bytes).filter(|end| *end <= length);
        let end = end.ok_or_else(|| invalid("a buffer lies outside the batch"))?;
        if bytes > 0 && !start.is_multiple_of(ALIGNMENT) {
            return Err(invalid(format!(
                "a buffer begins at byte {start}, which is no multiple of {ALIGNMENT}"
            )));
        }
        left = left
            .checked_sub(bytes)
            .ok_or_else(|| invalid("the buffers of the batch lie over one another"))?;
        buffers.push(start..end);
    }
    Ok(buffers)
}

/// The parts of a batch that no column has taken yet, each in the order of Arrow's reader.
struct Parts<'a> {
    columns: IntoIter<Column>,
    buffers: IntoIter<Range<usize>>,
    /// How many buffers each column of views has.
    counts: IntoIter<i64>,
    version: MetadataVersion,
    body: &'a [u8],
    /// Of views beneath lists.
    text_bytes: usize,
}

impl Parts<'_> {
    /// Takes the parts of a column and of all below it. `is_repeated`: beneath a list.
    fn column(&mut self, data_type: &DataType, is_repeated: bool) -> Result<(), Fault> {
        let missing = || invalid("a column of the schema is missing");
        let column = self.columns.next().ok_or_else(missing)?;
        match data_type {
            DataType::Null => Ok(()),
            DataType::Utf8 | DataType::Binary => {
                self.validity(column)?;
                self.whole(4)?;
                self.buffer().map(|_| ())
            }
            DataType::LargeUtf8 | DataType::LargeBinary => {
                self.validity(column)?;
                self.whole(8)?;
                self.buffer().map(|_| ())
            }
            DataType::Utf8View | DataType::BinaryView => self.views(column, is_repeated),
            DataType::List(item) | DataType::Map(item, _) => {
                self.validity(column)?;
                self.whole(4)?;
                self.column(item.data_type(), true)
            }
            DataType::LargeList(item) => {
                self.validity(column)?;
                self.whole(8)?;
                self.column(item.data_type(), true)
            }
            DataType::ListView(item) => self.list_view(column, item, 4),
            DataType::LargeListView(item) => self.list_view(column, item, 8),
            DataType::FixedSizeList(item, _) => {
                self.validity(column)?;
                self.column(item.data_type(), true)
            }
            DataType::Struct(fields) => {
                self.validity(column)?;
                for field in fields {
                    self.column(field.data_type(), is_repeated)?;
                }
                Ok(())
            }
            DataType::RunEndEncoded(ends, values) => {
                self.column(ends.data_type(), is_repeated)?;
                self.column(values.data_type(), is_repeated)
            }
            DataType::Dictionary(keys, _) => self.plain(column, keys),
            DataType::Union(fields, mode) => {
                self.kinds(column, *mode)?;
                for (_, field) in fields.iter() {
                    self.column(field.data_type(), is_repeated)?;
                }
                Ok(())
            }
            other => self.plain(column, other),
        }
    }

    fn buffer(&mut self) -> Result<Range<usize>, Fault> {
        let missing = || invalid("a buffer is missing");
        self.buffers.next().ok_or_else(missing)
    }

    /// A buffer of values of `width` bytes, none of them cut.
    fn whole(&mut self, width: usize) -> Result<Range<usize>, Fault> {
        let buffer = self.buffer()?;
        if !buffer.len().is_multiple_of(width) {
            let found = buffer.len();
            return Err(invalid(format!(
                "a buffer of {found} bytes holds values of {width} bytes"
            )));
        }
        Ok(buffer)
    }

    /// The buffer that tells which rows are null; it may be empty where none is.
    fn validity(&mut self, column: Column) -> Result<(), Fault> {
        let found = self.buffer()?.len();
        if column.has_nulls && found < column.rows.div_ceil(8) {
            let rows = column.rows;
            return Err(invalid(format!(
                "{found} bytes tell which of {rows} rows are null"
            )));
        }
        Ok(())
    }

    /// A column of values of one width.
    fn plain(&mut self, column: Column, data_type: &DataType) -> Result<(), Fault> {
        self.validity(column)?;
        // Wider ones are read by copies of their own.
        let width = data_type.primitive_width().unwrap_or(1).min(8);
        self.whole(width).map(|_| ())
    }

    fn list_view(&mut self, column: Column, item: &FieldRef, width: usize) -> Result<(), Fault> {
        self.validity(column)?;
        self.whole(width)?;
        self.whole(width)?;
        self.column(item.data_type(), true)
    }

    /// The kinds of a union's values and, where it is dense, their places.
    fn kinds(&mut self, column: Column, mode: UnionMode) -> Result<(), Fault> {
        if self.version < MetadataVersion::V5 {
            self.buffer()?;
        }
        let mut expected = vec![column.rows];
        if mode == UnionMode::Dense {
            expected.push(column.rows.saturating_mul(4));
        }
        for expected in expected {
            let found = self.buffer()?;
            // An empty one, too, is read in place.
            if !found.start.is_multiple_of(ALIGNMENT) {
                return Err(invalid("a buffer of a union begins at an odd place"));
            }
            let found = found.len();
            if found < expected {
                return Err(invalid(format!(
                    "{found} bytes for a union that has {expected} of them"
                )));
            }
        }
        Ok(())
    }

    /// Text by views, each of which says its length first and may lie where others lie. Beneath a
    /// list all of them are copied.
    fn views(&mut self, column: Column, is_repeated: bool) -> Result<(), Fault> {
        self.validity(column)?;
        let views = self.whole(16)?;
        if is_repeated {
            let views = self.body[views].chunks_exact(16);
            let lengths =
                views.map(|view| u32::from_le_bytes([view[0], view[1], view[2], view[3]]));
            self.text_bytes += lengths.map(|length| length as usize).sum::<usize>();
            if self.text_bytes > FLIGHT_VALUES_BYTES_MAX {
                return Err(invalid(format!(
                    "the text beneath lists has more than {FLIGHT_VALUES_BYTES_MAX} bytes"
                )));
            }
        }
        let left = self.buffers.len();
        let count = self
            .counts
            .next()
            .and_then(|count| usize::try_from(count).ok());
        let Some(count) = count.filter(|count| *count <= left) else {
            return Err(invalid("the buffers of a column are not there"));
        };
        self.buffers.by_ref().take(count).for_each(drop);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, Int64Array, ListArray, NullArray, RecordBatch as Rows, StringArray,
        StringViewArray, UnionArray,
    };
    use arrow::buffer::ScalarBuffer;
    use arrow::datatypes::{DataType, Field, Int64Type, UnionFields};
    use arrow_flight::FlightData;

    use super::super::decode::Decoder;
    use super::super::encode::upload_of;

    fn messages(columns: Vec<ArrayRef>) -> Vec<FlightData> {
        let named = columns.into_iter().enumerate();
        let named = named.map(|(index, column)| (index.to_string(), column, true));
        upload_of(&[Rows::try_from_iter_with_nullable(named).expect("one length")])
    }

    fn read(messages: &[FlightData]) -> Result<usize, String> {
        let mut decoder = Decoder::new(usize::MAX);
        let mut rows = 0;
        for message in messages {
            let batch = decoder.read(message);
            let batch = batch.map_err(|fault| fault.message().to_owned())?;
            rows += batch.map_or(0, |batch| batch.num_rows());
        }
        Ok(rows)
    }

    /// `message` with every 16 bytes of its header that are `from` changed to `to`.
    fn with_place(message: &FlightData, from: (i64, i64), to: (i64, i64)) -> FlightData {
        let bytes =
            |(offset, length): (i64, i64)| [offset.to_le_bytes(), length.to_le_bytes()].concat();
        let (from, to) = (bytes(from), bytes(to));
        let mut header = message.data_header.to_vec();
        let places: Vec<usize> = (0..header.len().saturating_sub(15))
            .filter(|at| header[*at..at + 16] == from[..])
            .collect();
        assert_eq!(places.len(), 1, "one buffer of this place");
        header[places[0]..places[0] + 16].copy_from_slice(&to);
        FlightData {
            data_header: header.into(),
            ..message.clone()
        }
    }

    #[test]
    fn rows_without_bytes_are_few() {
        let nulls = |rows| read(&messages(vec![Arc::new(NullArray::new(rows))]));
        assert_eq!(nulls(1), Ok(1));
        let message = nulls(1_000_000).expect_err("too many");
        assert!(message.contains("1000000 rows"), "{message}");
    }

    /// Arrow's reader takes the offsets of a union in place, however few they are.
    #[test]
    fn an_empty_union_begins_where_others_do() {
        let fields = UnionFields::from_fields(vec![Field::new("i", DataType::Int64, true)]);
        let union = UnionArray::try_new(
            fields,
            ScalarBuffer::from(Vec::<i8>::new()),
            Some(ScalarBuffer::from(Vec::<i32>::new())),
            vec![Arc::new(Int64Array::from(Vec::<i64>::new()))],
        );
        let mut good = messages(vec![Arc::new(union.expect("a union"))]);
        assert_eq!(read(&good), Ok(0));
        // Every buffer of it has no length, and may lie anywhere in a body that holds more.
        good[1].data_body = vec![0; 8].into();
        let header = good[1].data_header.to_vec();
        let message = arrow::ipc::root_as_message(&header).expect("a message");
        let batch = message.header_as_record_batch().expect("rows");
        let buffers = batch.buffers().expect("buffers");
        let first = buffers.bytes().as_ptr() as usize - header.as_ptr() as usize;
        for number in 0..buffers.len() {
            let mut damaged = header.clone();
            damaged[first + 16 * number] = 1;
            let message = FlightData {
                data_header: damaged.into(),
                ..good[1].clone()
            };
            let outcome = read(&[good[0].clone(), message]);
            if let Err(message) = outcome {
                assert!(message.contains("odd place"), "{number}: {message}");
            }
        }
    }

    #[test]
    fn buffers_lie_inside_and_beside_one_another() {
        // Without nulls, each of these columns is one buffer of 40 bytes, the second at byte 64.
        let column = || Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5])) as ArrayRef;
        let good = messages(vec![column(), column()]);
        assert_eq!(read(&good), Ok(5));
        let body = good[1].data_body.len() as i64;
        let second = (64, 40);
        for (place, part) in [
            ((0, body), "over one another"),
            ((body, 40), "outside"),
            ((-8, 40), "negative"),
            ((64, i64::MAX), "outside"),
            ((65, 40), "multiple of 8"),
            ((64, 39), "values of 8 bytes"),
        ] {
            let damaged = [good[0].clone(), with_place(&good[1], second, place)];
            let message = read(&damaged).expect_err(part);
            assert!(message.contains(part), "{place:?}: {message}");
        }
    }

    #[test]
    fn a_body_may_begin_anywhere() {
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), None])]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(list),
            Arc::new(StringArray::from(vec!["text"])),
            Arc::new(StringViewArray::from(vec!["a text that is no short one"])),
        ];
        let good = messages(columns);
        for shift in 0..16 {
            let mut bytes = vec![0; shift];
            bytes.extend_from_slice(&good[1].data_body);
            let body = bytes::Bytes::from(bytes).slice(shift..);
            let moved = FlightData {
                data_body: body,
                ..good[1].clone()
            };
            assert_eq!(read(&[good[0].clone(), moved]), Ok(1), "{shift}");
        }
    }
}

//! The values of a statement's placeholders, from an upload and as a ticket carries them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use arrow_flight::FlightData;
use prost::Message;
use vitalog_query::Parameter;

use super::decode::{Decoder, guarded};
use super::encode::Encoder;
use super::sealed::SealedValues;
use crate::fault::{Fault, Reason};
use crate::limits::{FLIGHT_VALUES_BYTES_MAX, PARAMETERS_MAX};

/// The values of the one row that `messages` hold; `None` where they have no row or no columns.
///
/// # Errors
/// Several rows, too many columns or bytes, types that SQL has no values of, bytes that are
/// no Arrow.
pub(super) async fn from_upload(messages: Vec<FlightData>) -> Result<Option<SealedValues>, Fault> {
    guarded(move || read_upload(&messages)).await
}

/// As [`from_upload`], where it stands already in [`guarded`].
pub(super) fn read_upload(messages: &[FlightData]) -> Result<Option<SealedValues>, Fault> {
    let mut decoder = Decoder::new(usize::MAX);
    let mut row = None;
    for message in messages {
        let Some(batch) = decoder.read(message)? else {
            continue;
        };
        if batch.num_rows() == 0 {
            continue;
        }
        if row.is_some() || batch.num_rows() > 1 {
            let message = "several rows of values were sent; a statement is run with one row, \
                           so run it once for each";
            return Err(wrong(message));
        }
        row = Some(batch);
    }
    match row {
        None => Ok(None),
        Some(row) if row.num_columns() == 0 => Ok(None),
        Some(row) => seal(&row).map(Some),
    }
}

/// The parameters that `sealed` holds.
///
/// # Errors
/// It was not made here.
pub(super) async fn parameters_of(sealed: Option<SealedValues>) -> Result<Vec<Parameter>, Fault> {
    match sealed {
        None => Ok(Vec::new()),
        Some(sealed) => guarded(move || read_sealed(sealed)).await,
    }
}

/// As [`parameters_of`], where it stands already in [`guarded`].
pub(super) fn read_sealed(sealed: SealedValues) -> Result<Vec<Parameter>, Fault> {
    let schema = FlightData {
        data_header: sealed.schema,
        ..FlightData::default()
    };
    let rows = FlightData {
        data_header: sealed.header,
        data_body: sealed.body,
        ..FlightData::default()
    };
    let mut decoder = Decoder::new(1);
    decoder.read(&schema)?;
    match decoder.read(&rows)? {
        Some(row) if row.num_rows() == 1 => parameters(&row),
        _ => Err(wrong("the ticket holds no row of values")),
    }
}

fn parameters(row: &RecordBatch) -> Result<Vec<Parameter>, Fault> {
    let found = row.num_columns();
    if found > PARAMETERS_MAX {
        return Err(wrong(&format!(
            "{found} values, at most {PARAMETERS_MAX} are taken"
        )));
    }
    let numbered = row.columns().iter().enumerate();
    numbered
        .map(|(index, column)| {
            let value = Parameter::of_array(column, 0);
            value.map_err(|error| wrong(&format!("value {}: {}", index + 1, error.message)))
        })
        .collect()
}

/// The values of `row` with plain types, whatever the client's were.
fn seal(row: &RecordBatch) -> Result<SealedValues, Fault> {
    let columns = parameters(row)?
        .iter()
        .map(Parameter::to_array)
        .collect::<Result<Vec<ArrayRef>, _>>()
        .map_err(|error| wrong(&error.message))?;
    let fields = columns.iter().enumerate();
    let fields = fields
        .map(|(index, column)| Field::new(index.to_string(), column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)
        .map_err(|error| wrong(&error.to_string()))?;
    let (mut encoder, schema) = Encoder::new(&schema)?;
    let rows = encoder.write(&row)?.into_iter().next().unwrap_or_default();
    let sealed = SealedValues {
        schema: schema.data_header,
        header: rows.data_header,
        body: rows.data_body,
    };
    let bytes = sealed.encoded_len();
    if bytes > FLIGHT_VALUES_BYTES_MAX {
        let message = format!(
            "the values have {bytes} bytes, at most {FLIGHT_VALUES_BYTES_MAX} (2 MiB) are taken"
        );
        return Err(Fault::of_field(Reason::RequestTooLarge, "values", message));
    }
    Ok(sealed)
}

fn wrong(message: &str) -> Fault {
    Fault::of_field(Reason::InvalidRequest, "values", message)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Decimal128Array, DictionaryArray, Int32Array, ListArray, NullArray, StringArray,
        StringViewArray, TimestampNanosecondArray, UInt16Array, UnionArray,
    };
    use arrow::buffer::ScalarBuffer;
    use arrow::datatypes::{DataType, Int8Type, Int32Type, UnionFields};

    use super::super::encode::upload_of;
    use super::*;

    async fn bound(columns: Vec<ArrayRef>) -> Result<Vec<Parameter>, Fault> {
        let named = columns.into_iter().enumerate();
        let named = named.map(|(index, column)| (index.to_string(), column, true));
        let row = RecordBatch::try_from_iter_with_nullable(named).expect("one length");
        parameters_of(from_upload(upload_of(&[row])).await?).await
    }

    #[tokio::test]
    async fn values_of_every_kind_come_through_a_ticket() {
        let keys: DictionaryArray<Int8Type> = ["a"].into_iter().collect();
        let lists = vec![Some(vec![Some(1), None])];
        let fields = UnionFields::from_fields(vec![
            Field::new("i", DataType::Int32, true),
            Field::new("s", DataType::Utf8, true),
        ]);
        let union = UnionArray::try_new(
            fields,
            ScalarBuffer::from(vec![1_i8]),
            Some(ScalarBuffer::from(vec![0_i32])),
            vec![
                Arc::new(Int32Array::from(Vec::<i32>::new())),
                Arc::new(StringArray::from(vec!["in a union"])),
            ],
        );
        let columns: Vec<ArrayRef> = vec![
            Arc::new(keys),
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists)),
            Arc::new(union.expect("a union")),
            Arc::new(StringViewArray::from(vec!["a text that is no short one"])),
            Arc::new(UInt16Array::from(vec![65_535])),
            Arc::new(TimestampNanosecondArray::from(vec![1_999])),
            Arc::new(Decimal128Array::from(vec![12_345])),
            Arc::new(NullArray::new(1)),
            Arc::new(StringArray::from(vec![None::<&str>])),
        ];
        let found = bound(columns).await.expect("nine values");
        let plain: Vec<ArrayRef> = found
            .iter()
            .map(|value| value.to_array().expect("an array"))
            .collect();
        let types: Vec<String> = plain
            .iter()
            .map(|array| array.data_type().to_string())
            .collect();
        assert_eq!(types[0], "Utf8");
        assert!(types[1].starts_with("List"), "{types:?}");
        assert_eq!(types[2..5], ["Utf8", "Utf8", "Int32"]);
        assert!(types[6].starts_with("Decimal128"), "{types:?}");
        assert_eq!(found[7], Parameter::Null);
        assert_eq!(plain[8].null_count(), 1);
        let text = StringArray::from(vec!["in a union"]);
        assert_eq!(*plain[2], text);
    }

    #[tokio::test]
    async fn one_row_is_one_run() {
        let two: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let fault = bound(vec![two]).await.expect_err("two rows");
        assert!(
            fault.message().contains("several rows"),
            "{}",
            fault.message()
        );
        let large: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(3 << 20)]));
        let fault = bound(vec![large]).await.expect_err("3 MiB");
        assert_eq!(fault.reason, Reason::RequestTooLarge);
        let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
        assert_eq!(from_upload(upload_of(&[empty])).await, Ok(None));
    }
}

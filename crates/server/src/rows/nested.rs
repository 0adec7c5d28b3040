//! Lists, structs and maps as JSON text, for formats that have only flat columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};

use super::TIMESTAMP_FORM;

/// `schema` with nested columns as text.
#[must_use]
pub fn flat_schema(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| {
            if !field.data_type().is_nested() {
                return Arc::clone(field);
            }
            Arc::new(Field::new(
                field.name(),
                DataType::Utf8,
                field.is_nullable(),
            ))
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// `batch` with nested columns as JSON text; NULL stays NULL. `schema` is its [`flat_schema`].
///
/// # Errors
/// A type that JSON cannot hold, such as a union.
pub fn flat_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            if field.data_type().is_nested() {
                as_json(field, column)
            } else {
                Ok(Arc::clone(column))
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn as_json(field: &FieldRef, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_timestamp_format(TIMESTAMP_FORM.to_owned())
        .with_timestamp_tz_format(TIMESTAMP_FORM.to_owned());
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut texts = StringBuilder::with_capacity(column.len(), 0);
    let mut text = Vec::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        texts.append_value(String::from_utf8_lossy(&text));
    }
    Ok(Arc::new(texts.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, ListBuilder, StringBuilder};

    use super::*;

    #[test]
    fn lists_become_json_and_the_rest_stays() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.append_value([Some("a\"b"), None]);
        lists.append_null();
        let lists: ArrayRef = Arc::new(lists.finish());
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch =
            RecordBatch::try_from_iter_with_nullable([("l", lists, true), ("n", numbers, true)])
                .expect("columns of one length");
        let schema = flat_schema(&batch.schema());
        let flat = flat_batch(&batch, &schema).expect("text");
        assert_eq!(
            flat.column(0).as_string::<i32>().value(0),
            r#"["a\"b",null]"#
        );
        assert!(flat.column(0).is_null(1));
        assert_eq!(flat.column(1), batch.column(1));
    }
}

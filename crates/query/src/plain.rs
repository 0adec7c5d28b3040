//! The types that leave the process: those that every client of Arrow and Parquet reads alike.
//!
//! | inside | outside |
//! |---|---|
//! | `Utf8View`, `LargeUtf8` | `Utf8` |
//! | `BinaryView`, `LargeBinary` | `Binary` |
//! | `Dictionary`, `RunEndEncoded` | their values |
//! | `UInt8`, `UInt16`, `UInt32`, `UInt64` | `Int16`, `Int32`, `Int64`, `Int64` |
//! | `Float16` | `Float32` |
//! | `Timestamp` of any unit and zone | `Timestamp(µs, "UTC")`, below a microsecond cut off |
//! | `ListView`, `LargeListView`, `LargeList` | `List` |
//! | the JSON value that `->` gives, a `Union` | `Utf8`, JSON text |
//!
//! Nested types follow their parts. A `UInt64` past `Int64` is an error, never another number.
//! Invariant: nullability and names stay as they are, and the schema is that of the batches.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::util::display::FormatOptions;
use datafusion::common::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use datafusion_functions_json::JSON_UNION_DATA_TYPE;
use datafusion_functions_json::udfs::json_union_to_text_udf;
use vitalog_event::schema::timestamp_type;

/// How the batches of one answer become plain.
#[derive(Clone, Debug)]
pub(crate) struct PlainTypes {
    schema: SchemaRef,
    /// Whether nothing needs to change.
    is_plain: bool,
}

impl PlainTypes {
    /// For answers with `schema`.
    pub fn of(schema: &SchemaRef) -> Self {
        let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
        let plain = Schema::new_with_metadata(fields, schema.metadata().clone());
        let is_plain = plain == **schema;
        Self {
            schema: Arc::new(plain),
            is_plain,
        }
    }

    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// `batch` with plain types. Cost: a copy of the columns that change.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        if self.is_plain && batch.schema_ref() == &self.schema {
            return Ok(batch.clone());
        }
        let columns = batch
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(column, field)| plain_column(column, field.data_type()))
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            self.schema(),
            columns,
            &options,
        )?)
    }
}

/// `array` with a plain type.
pub(crate) fn plain_array(array: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
    plain_column(array, &plain_type(array.data_type()))
}

fn plain_column(column: &ArrayRef, plain: &DataType) -> Result<ArrayRef, DataFusionError> {
    if column.data_type() == plain {
        return Ok(Arc::clone(column));
    }
    if is_json(column.data_type()) {
        let texts = json_text(column)?;
        return plain_column(&texts, plain);
    }
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    Ok(cast_with_options(column, plain, &options)?)
}

/// Whether values are those of `json_get`.
pub(crate) fn is_json(data_type: &DataType) -> bool {
    *data_type == *JSON_UNION_DATA_TYPE
}

/// JSON values as JSON text; JSON's null is NULL.
fn json_text(column: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
    let field = |data_type| Arc::new(Field::new("json", data_type, true));
    let arguments = ScalarFunctionArgs {
        args: vec![ColumnarValue::Array(Arc::clone(column))],
        arg_fields: vec![field(column.data_type().clone())],
        number_rows: column.len(),
        return_field: field(DataType::Utf8View),
        config_options: Arc::new(ConfigOptions::default()),
    };
    let texts = json_union_to_text_udf().invoke_with_args(arguments)?;
    texts.into_array(column.len())
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let plain = plain_type(field.data_type());
    if &plain == field.data_type() {
        return Arc::clone(field);
    }
    // A dictionary's flags mean nothing without it.
    let renewed = Field::new(field.name(), plain, field.is_nullable());
    Arc::new(renewed.with_metadata(field.metadata().clone()))
}

/// The type as which a value of `data_type` leaves.
pub(crate) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Timestamp(_, _) => timestamp_type(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => DataType::List(plain_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        json if is_json(json) => DataType::Utf8,
        DataType::Map(entries, is_sorted) => DataType::Map(plain_field(entries), *is_sorted),
        other => other.clone(),
    }
}

//! Columns that a scan makes of `properties`: one key, as one of the functions on JSON reads it.
//!
//! Where a section has the key promoted, its typed column answers; the rows of the remainder, and
//! sections without the column, are parsed by the very function that the statement names.
//! Invariant: the values are those of that function on every row.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StringArray, new_null_array,
};
use arrow::compute::interleave;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, FieldRef, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion_functions_json::udfs;
use vitalog_event::schema;
use vitalog_store::{PromotedColumn, PromotedValues, Section, StoreError};

use crate::error::QueryError;

/// Where `properties` stands among the columns of `events`.
pub(crate) static PROPERTIES: LazyLock<usize> = LazyLock::new(|| {
    let index = schema::events_view_schema().index_of(schema::PROPERTIES);
    index.expect("events have properties")
});

/// The functions that take one key and answer with one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum PropertyFunction {
    /// `json_as_text`, which `->>` is.
    Text,
    /// `json_get_str`
    String,
    /// `json_get_int`
    Integer,
    /// `json_get_float`
    Double,
    /// `json_get_bool`
    Boolean,
}

impl PropertyFunction {
    const ALL: [Self; 5] = [
        Self::Text,
        Self::String,
        Self::Integer,
        Self::Double,
        Self::Boolean,
    ];

    fn function(self) -> Arc<ScalarUDF> {
        match self {
            Self::Text => udfs::json_as_text_udf(),
            Self::String => udfs::json_get_str_udf(),
            Self::Integer => udfs::json_get_int_udf(),
            Self::Double => udfs::json_get_float_udf(),
            Self::Boolean => udfs::json_get_bool_udf(),
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Text | Self::String => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Boolean => DataType::Boolean,
        }
    }
}

/// One key of `properties` as a function reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PropertyColumn {
    function: PropertyFunction,
    key: String,
}

impl PropertyColumn {
    /// What `call` asks for, where it is such a function on the column `properties` and one key.
    pub fn of(call: &Arc<dyn PhysicalExpr>, properties: usize) -> Option<Self> {
        let call = call.downcast_ref::<ScalarFunctionExpr>()?;
        let [json, key] = call.args() else {
            return None;
        };
        if json.downcast_ref::<Column>()?.index() != properties {
            return None;
        }
        let key = key.downcast_ref::<Literal>()?.value();
        let (ScalarValue::Utf8(key) | ScalarValue::Utf8View(key) | ScalarValue::LargeUtf8(key)) =
            key
        else {
            return None;
        };
        let mut functions = PropertyFunction::ALL.into_iter();
        let function = functions.find(|function| *function.function() == *call.fun())?;
        Some(Self {
            function,
            key: key.clone()?,
        })
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// The column in the output of a scan.
    pub fn field(&self) -> FieldRef {
        let name = match self.function {
            PropertyFunction::Text => format!("{} ->> '{}'", schema::PROPERTIES, self.key),
            other => {
                let function = other.function();
                format!(
                    "{}({}, '{}')",
                    function.name(),
                    schema::PROPERTIES,
                    self.key
                )
            }
        };
        Arc::new(Field::new(name, self.function.data_type(), true))
    }

    /// The values for these texts, parsed.
    fn parse(&self, properties: &ArrayRef) -> Result<ArrayRef, DataFusionError> {
        let json = Arc::new(Field::new(
            schema::PROPERTIES,
            properties.data_type().clone(),
            true,
        ));
        let key = Arc::new(Field::new("key", DataType::Utf8, false));
        let rows = properties.len();
        let arguments = ScalarFunctionArgs {
            args: vec![
                ColumnarValue::Array(Arc::clone(properties)),
                ColumnarValue::Scalar(ScalarValue::Utf8(Some(self.key.clone()))),
            ],
            arg_fields: vec![json, key],
            number_rows: rows,
            return_field: self.field(),
            config_options: Arc::new(ConfigOptions::default()),
        };
        let values = self.function.function().invoke_with_args(arguments)?;
        values.into_array(rows)
    }

    /// The values of the rows of `ranges` that are not in the remainder of `column`.
    fn typed(&self, column: &PromotedColumn, ranges: &[Range<usize>]) -> ArrayRef {
        let values = column.values();
        match self.function {
            PropertyFunction::Text => Arc::new(column.text(ranges)),
            PropertyFunction::String => match values {
                PromotedValues::Text(_) => Arc::new(column.text(ranges)),
                _ => self.nulls(ranges),
            },
            PropertyFunction::Integer => match values {
                PromotedValues::Text(_) => Arc::new(parsed::<Int64Array, i64>(column, ranges)),
                PromotedValues::Integer(array) => Arc::new(picked(array, ranges)),
                PromotedValues::Double(array, _) => {
                    let whole = |row| array.is_valid(row).then(|| whole(array.value(row)));
                    Arc::new(
                        rows(ranges)
                            .map(|row| whole(row).flatten())
                            .collect::<Int64Array>(),
                    )
                }
                PromotedValues::Boolean(_) => self.nulls(ranges),
            },
            PropertyFunction::Double => match values {
                PromotedValues::Text(_) => Arc::new(parsed::<Float64Array, f64>(column, ranges)),
                PromotedValues::Integer(array) => {
                    let doubles: Float64Array = rows(ranges)
                        .map(|row| array.is_valid(row).then(|| array.value(row) as f64))
                        .collect();
                    Arc::new(doubles)
                }
                PromotedValues::Double(array, _) => Arc::new(picked(array, ranges)),
                PromotedValues::Boolean(_) => self.nulls(ranges),
            },
            PropertyFunction::Boolean => match values {
                PromotedValues::Text(_) => Arc::new(parsed::<BooleanArray, bool>(column, ranges)),
                PromotedValues::Boolean(array) => {
                    let booleans: BooleanArray = rows(ranges)
                        .map(|row| array.is_valid(row).then(|| array.value(row)))
                        .collect();
                    Arc::new(booleans)
                }
                _ => self.nulls(ranges),
            },
        }
    }

    fn nulls(&self, ranges: &[Range<usize>]) -> ArrayRef {
        new_null_array(&self.function.data_type(), rows(ranges).count())
    }
}

fn rows(ranges: &[Range<usize>]) -> impl Iterator<Item = usize> {
    ranges.iter().flat_map(Clone::clone)
}

fn picked<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    ranges: &[Range<usize>],
) -> PrimitiveArray<T> {
    rows(ranges)
        .map(|row| array.is_valid(row).then(|| array.value(row)))
        .collect()
}

/// Strings are read as Rust reads them; what is none of the type is NULL.
fn parsed<Values, T>(column: &PromotedColumn, ranges: &[Range<usize>]) -> Values
where
    Values: FromIterator<Option<T>>,
    T: std::str::FromStr,
{
    let texts: StringArray = column.text(ranges);
    let parse = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    texts.iter().map(parse).collect()
}

/// A double without a fraction, within the range of integers, as that integer.
fn whole(value: f64) -> Option<i64> {
    // Both bounds are doubles; the upper one is the first that is too large.
    let is_whole = value.fract() == 0.0 && (-(2f64.powi(63))..2f64.powi(63)).contains(&value);
    is_whole.then_some(value as i64)
}

/// The columns that are made of `properties`, for batches of one section.
pub(super) struct PropertyReader {
    columns: Vec<(PropertyColumn, Option<Arc<PromotedColumn>>)>,
}

impl PropertyReader {
    /// Finds out which of `columns` the section has promoted.
    pub fn open(columns: &[PropertyColumn], section: &Section) -> Result<Self, DataFusionError> {
        let columns = columns
            .iter()
            .map(|column| Ok((column.clone(), section.promoted(&column.key)?)))
            .collect::<Result<Vec<_>, StoreError>>()
            .map_err(damage)?;
        Ok(Self { columns })
    }

    /// `batch`, the rows of `ranges`, with its columns after the others and in all `schema`. Gives
    /// back how many rows were parsed, once a column.
    pub fn extend(
        &self,
        batch: RecordBatch,
        section: &Section,
        ranges: &[Range<usize>],
        schema: &SchemaRef,
    ) -> Result<(RecordBatch, usize), DataFusionError> {
        if self.columns.is_empty() {
            return Ok((batch, 0));
        }
        let mut arrays = batch.columns().to_vec();
        let mut json = batch.column_by_name(schema::PROPERTIES).map(Arc::clone);
        let mut parsed = 0;
        for (column, promoted) in &self.columns {
            let array = match promoted {
                Some(promoted) => {
                    let remainder = promoted.remainder_of(ranges);
                    parsed += rows(&remainder).count();
                    let typed = column.typed(promoted, ranges);
                    completed(column, typed, section, ranges, &remainder)?
                }
                None => {
                    let json = match &json {
                        Some(json) => json,
                        None => json.insert(properties_of(section, ranges)?),
                    };
                    parsed += json.len();
                    column.parse(json)?
                }
            };
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?;
        Ok((batch, parsed))
    }
}

fn properties_of(section: &Section, ranges: &[Range<usize>]) -> Result<ArrayRef, DataFusionError> {
    let batch = section.batch(ranges, &[*PROPERTIES]).map_err(damage)?;
    Ok(Arc::clone(batch.column(0)))
}

/// `typed`, the rows of `ranges`, where those of `remainder` are parsed.
fn completed(
    column: &PropertyColumn,
    typed: ArrayRef,
    section: &Section,
    ranges: &[Range<usize>],
    remainder: &[Range<usize>],
) -> Result<ArrayRef, DataFusionError> {
    if remainder.is_empty() {
        return Ok(typed);
    }
    let parsed = column.parse(&properties_of(section, remainder)?)?;
    merged(&typed, &parsed, ranges, remainder)
}

/// The values of `parsed`, the rows of `remainder`, in the place of those of `typed`, the rows of
/// `ranges`.
fn merged(
    typed: &ArrayRef,
    parsed: &ArrayRef,
    ranges: &[Range<usize>],
    remainder: &[Range<usize>],
) -> Result<ArrayRef, DataFusionError> {
    let mut parsed_rows = rows(remainder).zip(0usize..).peekable();
    let sources: Vec<(usize, usize)> = rows(ranges)
        .enumerate()
        .map(
            |(at, row)| match parsed_rows.next_if(|next| next.0 == row) {
                Some((_, at)) => (1, at),
                None => (0, at),
            },
        )
        .collect();
    Ok(interleave(&[typed.as_ref(), parsed.as_ref()], &sources)?)
}

fn damage(error: StoreError) -> DataFusionError {
    QueryError::from(error).into()
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;
    use proptest::prelude::*;
    use vitalog_store::PromotedColumns;

    use super::*;

    /// Values as canonical JSON writes them, those that functions read differently among them.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            3 => prop::sample::select(vec![
                "1", "-7", "0", "-0", "1.0", "-0.0", "1.5", "1e2", "1E2", "2.5e-3", "1e16", "1e400",
                "9007199254740993", "-9223372036854775808", "9223372036854775808",
                "4611686018427388000", "100000000000000000000", "0.1", "1.50", "true", "false",
                "null", "[]", "{}", "[1,{\"k\":2}]", "{\"k\":{\"k\":3}}", "\"\"", "\"1\"",
                "\"-1.5\"", "\"true\"", "\"null\"", "\"inf\"", "\" 1\"", "\"é\\n\\\"\\\\\"", "\"DE\"",
            ]).prop_map(str::to_owned),
            1 => any::<i64>().prop_map(|number| number.to_string()),
            1 => any::<f64>()
                .prop_filter("finite", |number| number.is_finite())
                .prop_map(|number| format!("{number:?}")),
            1 => (-99..99i32).prop_map(|number| (f64::from(number) / 4.0).to_string()),
        ]
    }

    fn ranges(rows: usize) -> impl Strategy<Value = Vec<Range<usize>>> {
        prop::collection::btree_set(0..=rows, 0..6).prop_map(|ends| {
            let ends: Vec<usize> = ends.into_iter().collect();
            ends.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect()
        })
    }

    proptest! {
        #[test]
        fn typed_columns_say_what_the_function_says(
            (texts, ranges) in prop::collection::vec(
                prop::option::weighted(0.9, prop::option::weighted(0.9, value())), 1..40,
            ).prop_flat_map(|values| {
                let rows = values.len();
                (Just(values), ranges(rows))
            })
        ) {
            let text = |value: &Option<Option<String>>| {
                let value = value.as_ref()?.as_ref();
                Some(value.map_or_else(|| "{\"a\":1}".to_owned(), |value| format!("{{\"a\":1,\"k\":{value}}}")))
            };
            let texts: Vec<Option<String>> = texts.iter().map(text).collect();
            let stored = StringArray::from(texts.clone());
            let Some(columns) = PromotedColumns::collect(&stored) else {
                return Ok(());
            };
            let json: ArrayRef = Arc::new(StringViewArray::from(texts));
            let of = |ranges: &[Range<usize>]| -> ArrayRef {
                let indices: Int64Array = rows(ranges).map(|row| Some(row as i64)).collect();
                arrow::compute::take(&json, &indices, None).expect("rows that are there")
            };
            for promoted in columns.columns() {
                for function in PropertyFunction::ALL {
                    let column = PropertyColumn { function, key: promoted.key().to_owned() };
                    let expected = column.parse(&of(&ranges))?;
                    let remainder = promoted.remainder_of(&ranges);
                    let parsed = column.parse(&of(&remainder))?;
                    let typed = column.typed(promoted, &ranges);
                    let found = merged(&typed, &parsed, &ranges, &remainder)?;
                    prop_assert_eq!(&found, &expected, "{:?} {:?}", function, promoted);
                }
            }
        }
    }

    #[test]
    fn the_key_of_a_field_is_in_its_name() {
        let column = |function| PropertyColumn {
            function,
            key: "country".to_owned(),
        };
        let field = column(PropertyFunction::Text).field();
        assert_eq!(field.name(), "properties ->> 'country'");
        let field = column(PropertyFunction::Integer).field();
        assert_eq!(field.name(), "json_get_int(properties, 'country')");
        assert_eq!(field.data_type(), &DataType::Int64);
    }
}

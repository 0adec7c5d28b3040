//! Scalar functions that only the SQL of relations and models uses: instants, local days, weights,
//! traits.
//!
//! `trait_text`, `trait_number` and `trait_time` may stand in the SQL of a model; the others are
//! written by `sql` alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListBuilder,
    StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, TimestampMicrosecondType};
use chrono_tz::Tz;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use serde_json::value::RawValue;
use vitalog_event::schema::timestamp_type;

use super::moment::local_day;
use crate::derived::{trait_number, trait_text, trait_time};
use crate::tables::Kind;

type Result<T> = std::result::Result<T, DataFusionError>;

/// The largest weighted value in units of 1e-4: sums of 10^8 of them still fit.
const UNITS_MAX: f64 = 1e30;

/// Every native of a question in `zone`.
pub(super) fn all(zone: Tz) -> Vec<ScalarUDF> {
    let text = DataType::Utf8;
    vec![
        native("instant", vec![DataType::Int64], timestamp_type(), instant),
        native(
            "local_day",
            vec![timestamp_type()],
            DataType::Int64,
            move |arrays| local_days(arrays, zone),
        ),
        native(
            "weight_units",
            vec![DataType::Float64, DataType::Int64],
            DataType::Decimal128(38, 0),
            weight_units,
        ),
        native(
            "trait_text",
            vec![text.clone(), text.clone()],
            text.clone(),
            |arrays| {
                let values = traits(arrays, trait_text)?;
                Ok(Arc::new(values.into_iter().collect::<StringArray>()))
            },
        ),
        native(
            "trait_number",
            vec![text.clone(), text.clone()],
            DataType::Float64,
            |arrays| {
                let values = traits(arrays, trait_number)?;
                Ok(Arc::new(values.into_iter().collect::<Float64Array>()))
            },
        ),
        native(
            "trait_time",
            vec![text.clone(), text],
            timestamp_type(),
            |arrays| {
                let values = traits(arrays, trait_time)?;
                let times = values.into_iter().collect::<TimestampMicrosecondArray>();
                Ok(Arc::new(times.with_timezone("UTC")))
            },
        ),
    ]
}

/// `segment_names(b₁, …)`: the names whose condition is true, in order.
pub(super) fn segment_names(names: Vec<String>) -> ScalarUDF {
    let arguments = vec![DataType::Boolean; names.len()];
    native(
        "segment_names",
        arguments,
        Kind::Texts.data_type(),
        move |arrays| {
            let holds: Vec<&BooleanArray> = arrays.iter().map(AsArray::as_boolean).collect();
            let rows = holds.first().map_or(0, Array::len);
            let item = Field::new_list_field(DataType::Utf8, false);
            let mut lists = ListBuilder::new(StringBuilder::new()).with_field(item);
            for row in 0..rows {
                for (name, holds) in names.iter().zip(&holds) {
                    if holds.is_valid(row) && holds.value(row) {
                        lists.values().append_value(name);
                    }
                }
                lists.append(true);
            }
            Ok(Arc::new(lists.finish()))
        },
    )
}

/// A function over whole arrays; its answer depends on its arguments alone.
fn native(
    name: &str,
    arguments: Vec<DataType>,
    result: DataType,
    compute: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
) -> ScalarUDF {
    let body = move |values: &[ColumnarValue]| {
        let is_scalar = values
            .iter()
            .all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(values)?;
        let computed = compute(&arrays)?;
        if is_scalar && computed.len() == 1 {
            return Ok(ColumnarValue::Scalar(
                datafusion::common::ScalarValue::try_from_array(&computed, 0)?,
            ));
        }
        Ok(ColumnarValue::Array(computed))
    };
    create_udf(
        name,
        arguments,
        result,
        Volatility::Immutable,
        Arc::new(body),
    )
}

fn instant(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let micros = arrays[0].as_primitive::<Int64Type>();
    let times: TimestampMicrosecondArray = micros.reinterpret_cast();
    Ok(Arc::new(times.with_timezone("UTC")))
}

fn local_days(arrays: &[ArrayRef], zone: Tz) -> Result<ArrayRef> {
    let times = arrays[0].as_primitive::<TimestampMicrosecondType>();
    let day = |time_us: Option<i64>| local_day(time_us?, zone).map(i64::from);
    Ok(Arc::new(times.iter().map(day).collect::<Int64Array>()))
}

/// `value · units`, rounded half away from zero and cut at ±1e30; NULL for a missing value.
fn weight_units(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let values = arrays[0].as_primitive::<Float64Type>();
    let units = arrays[1].as_primitive::<Int64Type>();
    let product = |(value, units): (Option<f64>, Option<i64>)| {
        let product = (value? * units? as f64).round();
        Some(product.clamp(-UNITS_MAX, UNITS_MAX) as i128)
    };
    let products = values.iter().zip(units.iter()).map(product);
    let array = products.collect::<Decimal128Array>();
    Ok(Arc::new(array.with_precision_and_scale(38, 0)?))
}

/// `read` of the JSON of a trait, by row; NULL where there is none. A text that is no JSON object
/// has no traits.
fn traits<T>(arrays: &[ArrayRef], read: impl Fn(&str) -> Option<T>) -> Result<Vec<Option<T>>> {
    let (objects, names) = (arrays[0].as_string::<i32>(), arrays[1].as_string::<i32>());
    let value = |(object, name): (Option<&str>, Option<&str>)| {
        let object: BTreeMap<String, &RawValue> = serde_json::from_str(object?).ok()?;
        read(object.get(name?)?.get())
    };
    Ok(objects.iter().zip(names.iter()).map(value).collect())
}

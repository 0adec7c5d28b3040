//! The values of a statement's placeholders, from JSON.
//!
//! Null, booleans, text and numbers are what they look like: a number without fraction and exponent
//! is BIGINT, any other DOUBLE. What JSON has no word for is an object of one field, its type:
//! `{"timestamp": "2025-03-01T00:00:00Z"}`, `{"date": "2025-03-01"}`, `{"double": 1}`.

use serde_json::Value;
use vitalog_event::parse_timestamp_us;
use vitalog_query::Parameter;

use crate::fault::{Fault, Reason};

const DAY_US: i64 = 86_400_000_000;

/// The values of `$1`, `$2`, … in order.
///
/// # Errors
/// A value of another form, named by its place.
pub(super) fn parameters_of(values: &[Value]) -> Result<Vec<Parameter>, Fault> {
    let numbered = values.iter().enumerate();
    numbered
        .map(|(index, value)| {
            parameter_of(value).map_err(|message| {
                let field = format!("parameters[{index}]");
                Fault::of_field(Reason::InvalidRequest, &field, message)
            })
        })
        .collect()
}

fn parameter_of(value: &Value) -> Result<Parameter, String> {
    match value {
        Value::Null => Ok(Parameter::Null),
        Value::Bool(value) => Ok(Parameter::Boolean(*value)),
        Value::String(value) => Ok(Parameter::Text(value.clone())),
        Value::Number(number) if number.is_f64() => number_of(value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => Ok(Parameter::Integer(value)),
            None => Err(format!("{number} is past BIGINT")),
        },
        Value::Object(fields) => match fields.iter().next() {
            Some((kind, value)) if fields.len() == 1 => typed(kind, value),
            _ => Err("expected one field, the type".to_owned()),
        },
        Value::Array(_) => Err("a list is no value of a placeholder".to_owned()),
    }
}

fn typed(kind: &str, value: &Value) -> Result<Parameter, String> {
    let text = || value.as_str().ok_or("expected text");
    match kind {
        "timestamp" => {
            let text = text()?;
            let time = parse_timestamp_us(text);
            time.map(Parameter::TimestampUs)
                .map_err(|error| error.to_string())
        }
        "date" => {
            let text = text()?;
            let start = parse_timestamp_us(&format!("{text}T00:00:00Z")).ok();
            let days = start.and_then(|time| i32::try_from(time.div_euclid(DAY_US)).ok());
            days.map(Parameter::Date)
                .ok_or_else(|| format!("{text:?} is no date"))
        }
        "double" => number_of(value),
        other => Err(format!("{other:?} is none of timestamp, date and double")),
    }
}

fn number_of(value: &Value) -> Result<Parameter, String> {
    let number = value.as_f64().map(Parameter::Double);
    number.ok_or_else(|| "expected a number".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_what_they_look_like() {
        let values = json!([
            null, true, "é", 7, -7, 1.5, 1e3,
            {"timestamp": "2025-03-01T00:00:00.000001Z"}, {"date": "1969-12-31"}, {"double": 2}
        ]);
        let expected = [
            Parameter::Null,
            Parameter::Boolean(true),
            Parameter::Text("é".to_owned()),
            Parameter::Integer(7),
            Parameter::Integer(-7),
            Parameter::Double(1.5),
            Parameter::Double(1_000.0),
            Parameter::TimestampUs(1_740_787_200_000_001),
            Parameter::Date(-1),
            Parameter::Double(2.0),
        ];
        let values = values.as_array().expect("a list");
        assert_eq!(parameters_of(values), Ok(expected.to_vec()));
    }

    #[test]
    fn what_is_no_value_is_named_by_its_place() {
        for value in [
            json!([1]),
            json!({}),
            json!({"timestamp": "soon"}),
            json!({"date": 5}),
            json!({"date": "2025-02-30"}),
            json!({"time": "x"}),
            json!({"double": "1"}),
            json!({"date": "2025-01-01", "double": 1}),
            json!(18_446_744_073_709_551_615_u64),
        ] {
            let fault = parameters_of(&[json!(1), value.clone()]).expect_err("no value");
            assert!(fault.message().starts_with("parameters[1]: "), "{value}");
        }
    }
}

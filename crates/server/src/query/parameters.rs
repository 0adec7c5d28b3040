//! The values of a statement's placeholders, from messages.

use vitalog_query::Parameter;
use vitalog_wire::vitalog::v1::Value;
use vitalog_wire::vitalog::v1::value::Kind;

use crate::fault::{Fault, Reason};
use crate::instant::instant_of;
use crate::limits::PARAMETERS_MAX;

/// The values of `$1`, `$2`, … in order.
///
/// # Errors
/// More than [`PARAMETERS_MAX`]; one without a value, or with a time that is none.
pub(crate) fn parameters_of(values: Vec<Value>) -> Result<Vec<Parameter>, Fault> {
    if values.len() > PARAMETERS_MAX {
        let message = format!(
            "there are {}, at most {PARAMETERS_MAX} are taken",
            values.len()
        );
        let reason = Reason::InvalidRequest;
        return Err(Fault::of_field(reason, "parameters", message));
    }
    let numbered = values.into_iter().enumerate();
    numbered
        .map(|(index, value)| parameter_of(index, value))
        .collect()
}

fn parameter_of(index: usize, value: Value) -> Result<Parameter, Fault> {
    let field = || format!("parameters[{index}]");
    // A kind that this version does not know arrives as none: it must not become NULL.
    let Some(kind) = value.kind else {
        let message = "has no value; NULL is null_value";
        return Err(Fault::of_field(Reason::InvalidRequest, &field(), message));
    };
    Ok(match kind {
        Kind::NullValue(_) => Parameter::Null,
        Kind::BooleanValue(value) => Parameter::Boolean(value),
        Kind::IntegerValue(value) => Parameter::Integer(value),
        Kind::DoubleValue(value) => Parameter::Double(value),
        Kind::StringValue(value) => Parameter::Text(value),
        Kind::TimestampValue(time) => {
            instant_of(&field(), Some(time))?.map_or(Parameter::Null, Parameter::TimestampUs)
        }
        Kind::DateValue(days) => Parameter::Date(days),
    })
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    fn one(kind: Kind) -> Result<Vec<Parameter>, Reason> {
        let values = vec![Value { kind: Some(kind) }];
        parameters_of(values).map_err(|fault| fault.reason)
    }

    #[test]
    fn every_kind_keeps_its_type() {
        let time = Timestamp {
            seconds: -1,
            nanos: 5_999,
        };
        let cases = [
            (Kind::NullValue(0), Parameter::Null),
            (Kind::BooleanValue(true), Parameter::Boolean(true)),
            (Kind::IntegerValue(i64::MIN), Parameter::Integer(i64::MIN)),
            (Kind::DoubleValue(0.5), Parameter::Double(0.5)),
            (
                Kind::StringValue(String::new()),
                Parameter::Text(String::new()),
            ),
            (Kind::TimestampValue(time), Parameter::TimestampUs(-999_995)),
            (Kind::DateValue(-3), Parameter::Date(-3)),
        ];
        for (kind, parameter) in cases {
            assert_eq!(one(kind), Ok(vec![parameter]));
        }
    }

    #[test]
    fn what_is_no_value_is_refused_with_its_place() {
        let fault = parameters_of(vec![Value::default()]).expect_err("no kind");
        let message = tonic::Status::from(fault).message().to_owned();
        assert!(message.starts_with("parameters[0]: "), "{message}");
        let late = Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        };
        assert_eq!(one(Kind::TimestampValue(late)), Err(Reason::InvalidRequest));
        let many = vec![Value::default(); PARAMETERS_MAX + 1];
        assert!(parameters_of(many).is_err());
    }
}

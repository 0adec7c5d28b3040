//! What a function takes: names, kinds and which may be left out.
//!
//! Owns the checks that happen before any row is seen. Invariant: what is refused is refused with
//! the function's and the argument's name, and after [`Parameters::coerce`] an implementation meets
//! only the types that the kind of the argument lists.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use datafusion_common::{
    DataFusionError, Result, exec_datafusion_err, plan_datafusion_err, plan_err,
};
use datafusion_expr::{Signature, Volatility};

/// What an argument may be, and the types an implementation gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any number; seen as `Float64`.
    Number,
    /// Seen as `Boolean`.
    Boolean,
    /// A timestamp of any unit and zone, or a date; seen as it is, a dictionary as its values.
    Moment,
    /// Text of any form, dictionaries of text included; seen as it is.
    Text,
    /// Text; seen as `Utf8`.
    PlainText,
    /// A list of text of any form; seen as `List(Utf8)`.
    TextList,
    /// A list of numbers of any form; seen as `List(Float64)`.
    NumberList,
    /// A list of booleans of any form; seen as `List(Boolean)`.
    BooleanList,
    /// A length of time; seen as `Interval(MonthDayNano)`.
    Interval,
    /// A number of days, as an interval or a number; seen as `Interval(MonthDayNano)` or `Float64`.
    Days,
    /// A state as bytes; seen as `Binary`.
    State,
    /// A sketch as bytes; seen as `Binary`.
    Sketch,
    /// A length of time: an interval, seen as `Interval(MonthDayNano)`, or a number of days, seen
    /// as `Float64`.
    Length,
    /// A value whose distinctness can be told; seen as it is, or as the widest type of its kind.
    Distinct,
}

/// A parameter: its name and kind.
pub(crate) type Parameter = (&'static str, Kind);

/// The parameters of a function. Optional ones stand last, because a call by name cannot leave a
/// gap; a NULL literal takes the default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters {
    pub(crate) function: &'static str,
    pub(crate) required: &'static [Parameter],
    pub(crate) optional: &'static [Parameter],
}

impl Parameters {
    /// The signature: types are checked by [`Parameters::coerce`], names can be used in calls.
    pub(crate) fn signature(&self) -> Signature {
        let names = self.all().map(|(name, _)| name.to_owned()).collect();
        let mut signature = Signature::user_defined(Volatility::Immutable);
        signature.parameter_names = Some(names);
        signature
    }

    /// The types that arguments of these types are cast to.
    pub(crate) fn coerce(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (least, most) = (
            self.required.len(),
            self.required.len() + self.optional.len(),
        );
        if !(least..=most).contains(&types.len()) {
            let wanted = if least == most {
                least.to_string()
            } else {
                format!("{least} to {most}")
            };
            let (call, got) = (self.call(), types.len());
            return plan_err!("{call} takes {wanted} arguments, got {got}");
        }
        self.all()
            .zip(types)
            .map(|((name, kind), found)| {
                coerced(kind, found).ok_or_else(|| {
                    let (function, wanted) = (self.function, expected(kind));
                    plan_datafusion_err!("{function}: {name} must be {wanted}, got {found}")
                })
            })
            .collect()
    }

    /// The call as the reference page writes it.
    fn call(&self) -> String {
        let names = |parameters: &[Parameter]| {
            parameters
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let optional = self
            .optional
            .iter()
            .map(|(name, _)| format!(" [, {name}"))
            .collect::<String>();
        let closing = "]".repeat(self.optional.len());
        format!(
            "{}({}{optional}{closing})",
            self.function,
            names(self.required)
        )
    }

    fn all(&self) -> impl Iterator<Item = Parameter> {
        self.required.iter().chain(self.optional).copied()
    }
}

/// The error for a literal or constant that a function refuses.
pub(crate) fn refused(
    function: &'static str,
    argument: &'static str,
) -> impl Fn(vitalog_measure::Error) -> DataFusionError {
    move |error| plan_datafusion_err!("{function}: {argument} {error}")
}

/// The error for a value in some row that a function refuses.
pub(crate) fn refused_row(
    function: &'static str,
    argument: &'static str,
) -> impl Fn(vitalog_measure::Error) -> DataFusionError {
    move |error| exec_datafusion_err!("{function}: {argument} {error}")
}

/// The type of a list of text as implementations see it.
pub(crate) fn text_list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

/// The type of a list of numbers as implementations see it.
pub(crate) fn number_list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)))
}

/// The type of a list of booleans as implementations see it.
pub(crate) fn boolean_list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Boolean, true)))
}

/// The type of an instant that a function returns.
pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn interval() -> DataType {
    DataType::Interval(IntervalUnit::MonthDayNano)
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Number => "a number",
        Kind::Boolean => "true or false",
        Kind::Moment => "a timestamp or a date",
        Kind::Text | Kind::PlainText => "text",
        Kind::TextList => "a list of text",
        Kind::NumberList => "a list of numbers",
        Kind::BooleanList => "a list of conditions (true or false)",
        Kind::Interval => "an interval such as INTERVAL '7 days'",
        Kind::Days => "a number of days or an interval such as INTERVAL '7 days'",
        Kind::State => "a state made by activity()",
        Kind::Sketch => "a sketch, which is binary",
        Kind::Length => "an interval or a number of days",
        Kind::Distinct => "text, a number, true or false, a date, a timestamp or binary",
    }
}

/// The type that a kind casts a type to, or `None` where it does not take it.
fn coerced(kind: Kind, found: &DataType) -> Option<DataType> {
    use DataType::{Dictionary, Duration, FixedSizeList, Interval, LargeList, List, Null};
    match (kind, found) {
        (Kind::Text, found) if is_text(found) => Some(found.clone()),
        (Kind::Text, Null) => Some(DataType::Utf8),
        (Kind::Distinct, Dictionary(_, values)) => {
            coerced(kind, values).filter(|seen| seen == values.as_ref())?;
            Some(found.clone())
        }
        (Kind::Distinct, found) => distinct(found),
        (kind, Dictionary(_, values)) if !matches!(kind, Kind::Text) => coerced(kind, values),
        (Kind::Number, found) => {
            (found.is_numeric() || found.is_null()).then_some(DataType::Float64)
        }
        (Kind::Boolean, DataType::Boolean | Null) => Some(DataType::Boolean),
        (Kind::Moment, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) => {
            Some(found.clone())
        }
        (Kind::Moment, Null) => Some(instant()),
        (Kind::PlainText, found) => (is_text(found) || found.is_null()).then_some(DataType::Utf8),
        (Kind::TextList, List(item) | LargeList(item) | FixedSizeList(item, _)) => {
            (is_text(item.data_type()) || item.data_type().is_null()).then(text_list)
        }
        (Kind::TextList, Null) => Some(text_list()),
        (Kind::NumberList, List(item) | LargeList(item) | FixedSizeList(item, _)) => {
            coerced(Kind::Number, item.data_type()).map(|_| number_list())
        }
        (Kind::NumberList, Null) => Some(number_list()),
        (Kind::BooleanList, List(item) | LargeList(item) | FixedSizeList(item, _)) => {
            coerced(Kind::Boolean, item.data_type()).map(|_| boolean_list())
        }
        (Kind::BooleanList, Null) => Some(boolean_list()),
        (Kind::Interval | Kind::Days | Kind::Length, Interval(_) | Duration(_)) => Some(interval()),
        (Kind::Interval, Null) => Some(interval()),
        (Kind::Days | Kind::Length, found) => coerced(Kind::Number, found),
        (
            Kind::State | Kind::Sketch,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | Null,
        ) => Some(DataType::Binary),
        _ => None,
    }
}

/// The type as which distinct values of a type are seen.
fn distinct(found: &DataType) -> Option<DataType> {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Float16,
        Float32, Float64, Int64, LargeBinary, Null, Timestamp, UInt64,
    };
    match found {
        UInt64 | Int64 | Float64 | Boolean | Date32 | Timestamp(..) | Binary | LargeBinary
        | BinaryView => Some(found.clone()),
        found if found.is_string() => Some(found.clone()),
        found if found.is_integer() => Some(Int64),
        Float16 | Float32 => Some(Float64),
        Date64 => Some(Date32),
        Decimal32(_, scale) => Some(Decimal128(9, *scale)),
        Decimal64(_, scale) => Some(Decimal128(18, *scale)),
        Decimal128(..) => Some(found.clone()),
        Null => Some(DataType::Utf8),
        _ => None,
    }
}

fn is_text(found: &DataType) -> bool {
    match found {
        DataType::Dictionary(_, values) => is_text(values),
        found => found.is_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Parameters = Parameters {
        function: "some",
        required: &[("ts", Kind::Moment), ("steps", Kind::TextList)],
        optional: &[("tz", Kind::PlainText), ("p", Kind::Number)],
    };

    fn dictionary(values: DataType) -> DataType {
        DataType::Dictionary(Box::new(DataType::UInt16), Box::new(values))
    }

    #[test]
    fn wrong_types_name_the_argument() {
        let message = |types: &[DataType]| SOME.coerce(types).expect_err("refused").to_string();
        assert!(
            message(&[DataType::Utf8, text_list()])
                .contains("some: ts must be a timestamp or a date, got Utf8")
        );
        assert!(
            message(&[DataType::Date32, DataType::Utf8]).contains("steps must be a list of text")
        );
        assert!(
            message(&[DataType::Date32, text_list(), DataType::Int8]).contains("tz must be text")
        );
        assert!(
            message(&[]).contains("some(ts, steps [, tz [, p]]) takes 2 to 4 arguments, got 0")
        );
    }

    #[test]
    fn every_form_of_text_and_lists() {
        let forms = [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View];
        for text in forms
            .into_iter()
            .flat_map(|text| [dictionary(text.clone()), text])
        {
            assert_eq!(coerced(Kind::Text, &text), Some(text.clone()));
            assert_eq!(coerced(Kind::PlainText, &text), Some(DataType::Utf8));
            let item = Arc::new(Field::new_list_field(text, true));
            for list in [
                DataType::List(Arc::clone(&item)),
                DataType::LargeList(Arc::clone(&item)),
                DataType::FixedSizeList(item, 3),
            ] {
                assert_eq!(coerced(Kind::TextList, &list), Some(text_list()));
            }
        }
        let day = dictionary(DataType::Date32);
        assert_eq!(coerced(Kind::Moment, &day), Some(DataType::Date32));
    }

    #[test]
    fn null_literals_have_a_type() {
        for kind in [
            Kind::Number,
            Kind::Boolean,
            Kind::Moment,
            Kind::Text,
            Kind::PlainText,
            Kind::TextList,
            Kind::NumberList,
            Kind::BooleanList,
            Kind::Interval,
            Kind::Days,
            Kind::State,
            Kind::Sketch,
            Kind::Length,
            Kind::Distinct,
        ] {
            assert!(
                coerced(kind, &DataType::Null).is_some_and(|found| !found.is_null()),
                "{kind:?}"
            );
        }
    }
}

//! Numbers whose text can be given back from a typed value.

use std::fmt::Write;

/// How the numbers of a column of doubles are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberStyle {
    /// The shortest digits, whole numbers without a point: `10`, `0.5`; no exponents.
    Plain,
    /// The shortest digits, whole numbers with a point: `10.0`, `0.5`, `1e16`.
    Pointed,
}

/// Beyond it not every whole number is a double.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

impl NumberStyle {
    /// Appends the text of `value`.
    pub(super) fn write(self, value: f64, text: &mut String) {
        let written = match self {
            Self::Plain => write!(text, "{value}"),
            Self::Pointed => write!(text, "{value:?}"),
        };
        written.expect("text takes any number");
    }

    /// The double whose text in this style is `raw`, a JSON number, where there is one that every
    /// reader of the text would read. `buffer` is scratch.
    pub(super) fn read(self, raw: &str, buffer: &mut String) -> Option<f64> {
        let value: f64 = raw.parse().ok()?;
        if self == Self::Plain && !raw.contains('.') {
            // Whole numbers are read as integers: those that a double may round, and the zero
            // whose sign an integer loses, stay what they are.
            let is_exact = value.abs() < WHOLE_MAX && raw != "-0";
            if !is_exact {
                return None;
            }
        }
        buffer.clear();
        self.write(value, buffer);
        (buffer == raw).then_some(value)
    }
}

/// The integer whose text is `raw`, a JSON number.
pub(super) fn read_integer(raw: &str) -> Option<i64> {
    if raw == "-0" {
        return None;
    }
    raw.parse().ok()
}

/// What a number looks like, without parsing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberForm {
    /// Digits alone.
    Integer,
    /// A fraction.
    Fraction,
    /// A whole number with a point, or an exponent.
    Pointed,
}

impl NumberForm {
    pub fn of(raw: &str) -> Self {
        if raw.ends_with(".0") || raw.contains(['e', 'E']) {
            Self::Pointed
        } else if raw.contains('.') {
            Self::Fraction
        } else {
            Self::Integer
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_texts_that_come_back_are_read() {
        let check = |style: NumberStyle, raw: &str, comes_back: bool| {
            let mut buffer = String::new();
            let read = style.read(raw, &mut buffer);
            assert_eq!(read.is_some(), comes_back, "{style:?} {raw}");
        };
        for (raw, plain, pointed) in [
            ("0.5", true, true),
            ("1.0", false, true),
            ("-0.0", false, true),
            ("-0", false, false),
            ("10", true, false),
            ("-10", true, false),
            ("9007199254740991", true, false),
            ("9007199254740993", false, false),
            ("4611686018427388000", false, false),
            ("1e2", false, false),
            ("1E16", false, false),
            ("1e16", false, true),
            ("1e-7", false, true),
            ("1.50", false, false),
            ("0.1", true, true),
            ("1e999", false, false),
            ("0.30000000000000004", true, true),
            ("0.300000000000000044", false, false),
        ] {
            check(NumberStyle::Plain, raw, plain);
            check(NumberStyle::Pointed, raw, pointed);
        }
        for (raw, expected) in [
            ("0", Some(0)),
            ("-0", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1.0", None),
        ] {
            assert_eq!(read_integer(raw), expected, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn a_double_read_is_the_double_of_the_text(value in proptest::num::f64::ANY) {
            prop_assume!(value.is_finite());
            let mut buffer = String::new();
            for raw in [format!("{value}"), format!("{value:?}"), format!("{value:e}")] {
                for style in [NumberStyle::Plain, NumberStyle::Pointed] {
                    if let Some(read) = style.read(&raw, &mut buffer) {
                        prop_assert_eq!(read.to_bits(), value.to_bits());
                        prop_assert_eq!(&buffer, &raw);
                    }
                }
            }
            let shortest = format!("{value:?}");
            prop_assert!(NumberStyle::Pointed.read(&shortest, &mut buffer).is_some());
        }
    }
}

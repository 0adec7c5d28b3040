//! The one error of this crate: what was asked of the mathematics that it has no answer to.
//!
//! It does not know field or argument names; the caller adds them.

use std::fmt;

/// Why a number or some bytes were refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// A percentile that does not lie strictly between 0 and 1.
    Percentile(f64),
    /// A quantile that does not lie between 0 and 1.
    Quantile(f64),
    /// A curve that is not a finite number of at least 0.
    Curve(f64),
    /// A peg that is not a finite number above 0.
    Peg(f64),
    /// A day outside the years 1 to 9999.
    Day(i64),
    /// A weight of a risk that does not lie in [0, 1].
    Weight(f64),
    /// A severity that does not lie in [0, 1].
    Severity(f64),
    /// A weight of a mean that is not a finite number of at least 0.
    Share(f64),
    /// A threshold that is not a finite number of at least 0.
    Threshold(f64),
    /// A length of time that is negative, in µs.
    Negative(i64),
    /// `allow_reentry` without `strict_order`.
    Reentry,
    /// Two states that were made in different time zones cannot become one.
    Zones {
        /// Zone of the state merged into.
        left: String,
        /// Zone of the state that was to be merged.
        right: String,
    },
    /// Bytes that no state of this crate was written as.
    Corrupt {
        /// What was being read.
        what: &'static str,
        /// Offset of the first byte that cannot be right.
        offset: usize,
    },
    /// A state of a version that this build does not know.
    Version {
        /// What was being read.
        what: &'static str,
        /// The version that the bytes name.
        found: u8,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Percentile(p) => write!(f, "must lie strictly between 0 and 1, got {p}"),
            Error::Quantile(p) => write!(f, "must lie between 0 and 1, got {p}"),
            Error::Curve(k) => write!(f, "must be a finite number of at least 0, got {k}"),
            Error::Peg(peg) => write!(f, "must be a finite number above 0, got {peg}"),
            Error::Weight(number) | Error::Severity(number) => {
                write!(f, "must lie between 0 and 1, got {number}")
            }
            Error::Share(number) | Error::Threshold(number) => {
                write!(f, "must be a finite number of at least 0, got {number}")
            }
            Error::Negative(length_us) => write!(f, "must not be negative, got {length_us} µs"),
            Error::Reentry => write!(f, "'allow_reentry' needs 'strict_order' beside it"),
            Error::Day(day) => write!(f, "day {day} since 1970 is outside the years 1 to 9999"),
            Error::Zones { left, right } => {
                let (left, right) = (zone_name(left), zone_name(right));
                write!(
                    f,
                    "days of time zone '{left}' cannot be merged with days of '{right}'"
                )
            }
            Error::Corrupt { what, offset } => {
                write!(f, "these bytes are no {what}: wrong at offset {offset}")
            }
            Error::Version { what, found } => {
                write!(
                    f,
                    "this {what} has version {found}, which this build does not know"
                )
            }
        }
    }
}

impl std::error::Error for Error {}

/// States write UTC as an empty name.
fn zone_name(stored: &str) -> &str {
    if stored.is_empty() { "UTC" } else { stored }
}

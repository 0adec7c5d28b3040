//! Times as the store keeps them: microseconds since 1970 UTC, and days counted from there.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use thiserror::Error;

/// Microseconds of a UTC day.
pub const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// The UTC day of a time, in days since 1970-01-01; floors, so it is right before 1970 too.
#[must_use]
pub fn day_of_timestamp_us(timestamp_us: i64) -> i32 {
    // 2^63 µs are 106,751,991 days, well inside an i32.
    timestamp_us.div_euclid(DAY_US) as i32
}

/// The first microsecond of a UTC day.
#[must_use]
pub fn day_start_us(day: i32) -> i64 {
    i64::from(day) * DAY_US
}

/// RFC 3339 with microseconds and `Z`, or the bare number where the year has no such form.
#[must_use]
pub fn format_timestamp_us(timestamp_us: i64) -> String {
    DateTime::from_timestamp_micros(timestamp_us).map_or_else(
        || format!("{timestamp_us} µs"),
        |time| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
    )
}

/// The unit of a time given as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Second,
    /// Milliseconds.
    Millisecond,
    /// Microseconds.
    Microsecond,
    /// Nanoseconds; truncated to microseconds.
    Nanosecond,
}

/// Why a time could not be read.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TimeError {
    /// The text has none of the known forms.
    #[error("{0:?} is no time: expected RFC 3339 like 2025-03-01T12:30:00Z, or a date")]
    Unreadable(String),
    /// The number is NaN or infinite.
    #[error("{0} is no time")]
    NotFinite(f64),
    /// The time does not fit 64 bits of microseconds.
    #[error("{0} lies outside the range of times")]
    OutOfRange(String),
}

/// Reads a time from text: RFC 3339, the same with a space or without an offset (taken as UTC),
/// or a date (its first microsecond). Digits beyond microseconds are truncated.
///
/// # Errors
/// [`TimeError::Unreadable`] for any other text.
pub fn parse_timestamp_us(text: &str) -> Result<i64, TimeError> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_micros());
    }
    let bare = text.strip_suffix(" UTC").unwrap_or(text);
    for form in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(bare, form) {
            return Ok(time.and_utc().timestamp_micros());
        }
    }
    for form in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        if let Ok(time) = DateTime::parse_from_str(text, form) {
            return Ok(time.timestamp_micros());
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .and_then(|date| date.and_hms_opt(0, 0, 0))
        .map(|time| time.and_utc().timestamp_micros())
        .ok_or_else(|| TimeError::Unreadable(text.chars().take(64).collect()))
}

/// Reads a time from a number of `unit`s since 1970; fractions below a microsecond are truncated.
///
/// # Errors
/// [`TimeError::NotFinite`] for NaN and infinities, [`TimeError::OutOfRange`] past 64 bits.
pub fn timestamp_us_from_number(number: f64, unit: TimeUnit) -> Result<i64, TimeError> {
    if !number.is_finite() {
        return Err(TimeError::NotFinite(number));
    }
    let microseconds = match unit {
        TimeUnit::Second => number * 1e6,
        TimeUnit::Millisecond => number * 1e3,
        TimeUnit::Microsecond => number,
        TimeUnit::Nanosecond => number / 1e3,
    };
    if microseconds.abs() >= 9.2e18 {
        return Err(TimeError::OutOfRange(number.to_string()));
    }
    Ok(microseconds.floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_that_files_hold() {
        let noon = 1_740_830_400_000_000;
        for text in [
            "2025-03-01T12:00:00Z",
            "2025-03-01T12:00:00.000000900Z",
            "2025-03-01T14:00:00+02:00",
            "2025-03-01 12:00:00",
            "2025-03-01 12:00:00 UTC",
            "2025-03-01 12:00",
            "2025-03-01 14:00:00+02",
            "  2025-03-01T12:00:00  ",
        ] {
            assert_eq!(parse_timestamp_us(text), Ok(noon), "{text}");
        }
        assert_eq!(parse_timestamp_us("2025-03-01"), Ok(noon - DAY_US / 2));
        for text in ["", "NaN", "yesterday", "2025-13-01", "12"] {
            assert!(parse_timestamp_us(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_need_a_unit_and_must_be_finite() {
        let second = TimeUnit::Second;
        assert_eq!(timestamp_us_from_number(1.5, second), Ok(1_500_000));
        assert_eq!(
            timestamp_us_from_number(1_500.0, TimeUnit::Nanosecond),
            Ok(1)
        );
        assert!(timestamp_us_from_number(f64::NAN, second).is_err());
        assert!(timestamp_us_from_number(1e300, second).is_err());
    }

    #[test]
    fn days_floor_on_both_sides_of_the_epoch() {
        assert_eq!(day_of_timestamp_us(0), 0);
        assert_eq!(day_of_timestamp_us(DAY_US - 1), 0);
        assert_eq!(day_of_timestamp_us(DAY_US), 1);
        assert_eq!(day_of_timestamp_us(-1), -1);
        assert_eq!(day_start_us(day_of_timestamp_us(DAY_US + 5)), DAY_US);
    }
}

//! Day numbers, periods and instants.
//!
//! An instant is a number of microseconds since 1970-01-01T00:00Z. A day is the number of a
//! calendar day since 1970-01-01 in some time zone; who calls knows which. Invariant: a
//! [`Period`] and an [`AsOf`] hold the instant and the day it falls on together, so that the zone
//! is asked once.

use crate::Error;

/// Microseconds of a day of 24 hours.
pub const DAY_US: i64 = 86_400_000_000;
/// The first day: 0001-01-01, less one for zones west of Greenwich.
pub const DAY_MIN: i32 = -719_163;
/// The last day: 9999-12-31, plus one for zones east of Greenwich.
pub const DAY_MAX: i32 = 2_932_897;

/// The UTC day of an instant. Days before 1970 are negative.
pub fn utc_day(instant_us: i64) -> i64 {
    instant_us.div_euclid(DAY_US)
}

/// A day number that lies in the years 1 to 9999.
///
/// # Errors
/// [`Error::Day`] otherwise.
pub fn check_day(day: i64) -> Result<i32, Error> {
    match i32::try_from(day) {
        Ok(day) if (DAY_MIN..=DAY_MAX).contains(&day) => Ok(day),
        _ => Err(Error::Day(day)),
    }
}

/// A half-open stretch of time `[since, until)` with its first and last local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// First instant.
    pub since_us: i64,
    /// First instant after it.
    pub until_us: i64,
    /// Local day of `since_us`.
    pub first_day: i32,
    /// Local day of `until_us − 1`.
    pub last_day: i32,
}

impl Period {
    /// Whether the instant lies in it.
    pub fn contains(&self, instant_us: i64) -> bool {
        self.since_us <= instant_us && instant_us < self.until_us
    }

    /// How many calendar days it touches, those it cuts included; 0 when it is empty.
    pub fn days(&self) -> u32 {
        if self.since_us >= self.until_us {
            return 0;
        }
        u32::try_from(i64::from(self.last_day) - i64::from(self.first_day) + 1).unwrap_or(0)
    }
}

/// The instant of a question, exclusive, and the local day that is "today" then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    /// Rows at or after this do not exist for the question.
    pub instant_us: i64,
    /// Local day of `instant_us − 1`.
    pub today: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_before_1970_are_negative() {
        assert_eq!(utc_day(0), 0);
        assert_eq!(utc_day(-1), -1);
        assert_eq!(utc_day(DAY_US - 1), 0);
        assert_eq!(utc_day(DAY_US), 1);
    }

    #[test]
    fn limits() {
        assert_eq!(check_day(0), Ok(0));
        assert_eq!(check_day(i64::from(DAY_MAX)), Ok(DAY_MAX));
        assert!(check_day(i64::from(DAY_MAX) + 1).is_err());
        assert!(check_day(i64::from(DAY_MIN) - 1).is_err());
        assert!(check_day(i64::MAX).is_err());
    }

    #[test]
    fn days_of_a_period() {
        let period = |since_us, until_us, first_day, last_day| Period {
            since_us,
            until_us,
            first_day,
            last_day,
        };
        assert_eq!(period(0, 7 * DAY_US, 0, 6).days(), 7);
        assert_eq!(period(DAY_US / 2, DAY_US, 0, 0).days(), 1);
        assert_eq!(period(DAY_US / 2, 3 * DAY_US / 2, 0, 1).days(), 2);
        assert_eq!(period(5, 5, 0, 0).days(), 0);
        assert_eq!(period(6, 5, 0, 0).days(), 0);
        assert!(period(5, 8, 0, 0).contains(5) && !period(5, 8, 0, 0).contains(8));
    }
}

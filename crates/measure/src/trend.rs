//! The trend of a score: up, flat or down.
//!
//! Invariant: swapping now and before turns up into down and leaves flat.

use crate::Error;

/// By how much a score must change by default.
pub const THRESHOLD_DEFAULT: f64 = 10.0;

/// Where a score is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trend {
    /// It fell by at least the threshold.
    Down,
    /// Neither.
    Flat,
    /// It rose by at least the threshold.
    Up,
}

impl Trend {
    /// The trend's name in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Trend::Down => "down",
            Trend::Flat => "flat",
            Trend::Up => "up",
        }
    }

    /// The trend from `before` to `now`: a change by exactly the threshold counts. Equal scores are
    /// flat, even with a threshold of 0. `None` where one is NaN or the difference is none
    /// (`∞ − ∞`).
    ///
    /// # Errors
    /// [`Error::Threshold`] where the threshold is not a finite number of at least 0.
    pub fn of(now: f64, before: f64, threshold: f64) -> Result<Option<Self>, Error> {
        let threshold = check_threshold(threshold)?;
        let change = now - before;
        Ok(if change.is_nan() {
            None
        } else if change == 0.0 || change.abs() < threshold {
            Some(Trend::Flat)
        } else if change > 0.0 {
            Some(Trend::Up)
        } else {
            Some(Trend::Down)
        })
    }
}

/// A threshold of a trend.
///
/// # Errors
/// [`Error::Threshold`] where it is not a finite number of at least 0.
pub fn check_threshold(threshold: f64) -> Result<f64, Error> {
    if threshold.is_finite() && threshold >= 0.0 {
        Ok(threshold)
    } else {
        Err(Error::Threshold(threshold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_threshold_counts() {
        let check = |now, before, threshold, expected| {
            assert_eq!(
                Trend::of(now, before, threshold),
                Ok(expected),
                "{now} {before}"
            );
        };
        check(60.0, 50.0, 10.0, Some(Trend::Up));
        check(59.9, 50.0, 10.0, Some(Trend::Flat));
        check(40.0, 50.0, 10.0, Some(Trend::Down));
        check(40.1, 50.0, 10.0, Some(Trend::Flat));
        check(50.0, 50.0, 0.0, Some(Trend::Flat));
        check(50.1, 50.0, 0.0, Some(Trend::Up));
        check(f64::NAN, 50.0, 10.0, None);
        check(f64::INFINITY, f64::INFINITY, 10.0, None);
        check(f64::INFINITY, 50.0, 10.0, Some(Trend::Up));
        for threshold in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(Trend::of(1.0, 2.0, threshold).is_err());
        }
    }
}

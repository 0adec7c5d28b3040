//! Ratios and percentages with SQL's sense of a missing denominator.

/// `numerator / denominator`, or `None` when the denominator is 0 (of either sign).
///
/// NaN and ±∞ follow IEEE arithmetic. In SQL, `50 / 1000` of integers is 0: this is the division
/// that is meant when a share is asked for.
pub fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator != 0.0).then(|| numerator / denominator)
}

/// `100 · part / whole`, or `None` when the whole is empty.
///
/// The product is formed first, so 15 of 20 is exactly 75 and all of anything is exactly 100.
pub fn percent(part: u64, whole: u64) -> Option<f64> {
    ratio(100.0 * part as f64, whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_percentages() {
        assert_eq!(percent(15, 20), Some(75.0));
        assert_eq!(percent(40, 50), Some(80.0));
        assert_eq!(percent(5, 7), Some(500.0 / 7.0));
        assert_eq!(percent(50, 1000), Some(5.0));
        assert_eq!(percent(7, 7), Some(100.0));
        assert_eq!(percent(0, 0), None);
    }

    #[test]
    fn ratio_of_nothing_is_missing() {
        assert_eq!(ratio(1.0, 4.0), Some(0.25));
        assert_eq!(ratio(1.0, 0.0), None);
        assert_eq!(ratio(0.0, -0.0), None);
        assert!(ratio(1.0, f64::NAN).is_some_and(f64::is_nan));
    }
}

//! The risk of losing an account: how bad each signal is, and all of them together.
//!
//! Source of the idea: Accoil's guide; the formula is Vitalog's. Invariant: a severity and a risk
//! depend on the bag of the inputs only, and more severity never means less risk.

use crate::Error;

/// How bad a value is, from 0 (green) to 1 (red): `clamp((green − v) / (green − red), 0, 1)`.
///
/// When `red` is greater than `green`, lower is better. Where both are equal it is a step: 0 at and
/// above them, else 1. `None` when an argument is NaN, or where infinite thresholds leave no answer.
pub fn severity(value: f64, red: f64, green: f64) -> Option<f64> {
    if value.is_nan() || red.is_nan() || green.is_nan() {
        return None;
    }
    if red == green {
        return Some(f64::from(value < green));
    }
    let severity = (green - value) / (green - red);
    // Never −0.
    (!severity.is_nan()).then(|| severity.clamp(0.0, 1.0) + 0.0)
}

/// `100 · (1 − Π (1 − wᵢ·sᵢ))` over pairs of severity and weight, between 0 and 100.
///
/// A pair with a missing part, or a NaN severity, is skipped; `None` when all are. Computed as
/// `r + (1 − r)·w·s` from one pair to the next, in descending order of `w·s`: so one signal alone
/// gives exactly `100·w·s`, and the order of the pairs does not show.
///
/// # Errors
/// [`Error::Severity`] and [`Error::Weight`] for one that does not lie in [0, 1]; weights are
/// checked where the severity is missing, too.
pub fn churn_risk(
    signals: impl IntoIterator<Item = (Option<f64>, Option<f64>)>,
) -> Result<Option<f64>, Error> {
    let mut parts = Vec::new();
    for (severity, weight) in signals {
        let weight = weight.map(check_weight).transpose()?;
        let severity = severity.filter(|severity| !severity.is_nan());
        let severity = severity.map(check_severity).transpose()?;
        if let (Some(severity), Some(weight)) = (severity, weight) {
            parts.push(weight * severity);
        }
    }
    parts.sort_unstable_by(|a, b| f64::total_cmp(b, a));
    let risk = parts
        .iter()
        .fold(0.0, |risk, part| risk + (1.0 - risk) * part);
    Ok((!parts.is_empty()).then_some(100.0 * risk))
}

/// A weight that lies in [0, 1].
///
/// # Errors
/// [`Error::Weight`] otherwise.
pub fn check_weight(weight: f64) -> Result<f64, Error> {
    if (0.0..=1.0).contains(&weight) {
        Ok(weight)
    } else {
        Err(Error::Weight(weight))
    }
}

/// A severity that lies in [0, 1].
///
/// # Errors
/// [`Error::Severity`] otherwise.
pub fn check_severity(severity: f64) -> Result<f64, Error> {
    if (0.0..=1.0).contains(&severity) {
        Ok(severity)
    } else {
        Err(Error::Severity(severity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities() {
        let check = |value, red, green, expected| {
            assert_eq!(
                severity(value, red, green),
                expected,
                "{value} {red} {green}"
            );
        };
        check(85.0, 20.0, 85.0, Some(0.0));
        check(52.5, 20.0, 85.0, Some(0.5));
        check(20.0, 20.0, 85.0, Some(1.0));
        check(-5.0, 20.0, 85.0, Some(1.0));
        check(18.5, 30.0, 7.0, Some(0.5));
        check(40.0, 30.0, 7.0, Some(1.0));
        check(0.0, 30.0, 7.0, Some(0.0));
        check(5.0, 5.0, 5.0, Some(0.0));
        check(4.9, 5.0, 5.0, Some(1.0));
        check(f64::INFINITY, 20.0, 85.0, Some(0.0));
        check(f64::NEG_INFINITY, 20.0, 85.0, Some(1.0));
        check(f64::NAN, 20.0, 85.0, None);
        check(1.0, f64::NAN, 85.0, None);
        check(1.0, 20.0, f64::NAN, None);
        check(1.0, f64::NEG_INFINITY, f64::INFINITY, None);
        assert!(severity(7.0, 30.0, 7.0).is_some_and(f64::is_sign_positive));
    }

    #[test]
    fn risks() {
        let risk = |signals: &[(Option<f64>, Option<f64>)]| churn_risk(signals.iter().copied());
        assert_eq!(risk(&[(Some(1.0), Some(0.5))]), Ok(Some(50.0)));
        let two = [(Some(1.0), Some(0.5)), (Some(0.5), Some(0.5))];
        assert_eq!(risk(&two), Ok(Some(62.5)));
        assert_eq!(
            risk(&[two[0], (None, Some(0.4)), (Some(1.0), None)]),
            Ok(Some(50.0))
        );
        assert_eq!(risk(&[(Some(f64::NAN), Some(0.5))]), Ok(None));
        assert_eq!(risk(&[]), Ok(None));
        assert_eq!(risk(&[(Some(1.0), Some(0.2))]), Ok(Some(20.0)));
        assert_eq!(risk(&[(Some(0.0), Some(1.0))]), Ok(Some(0.0)));
        assert_eq!(risk(&[(Some(1.0), Some(1.0))]), Ok(Some(100.0)));
        assert_eq!(risk(&[(Some(1.1), Some(0.5))]), Err(Error::Severity(1.1)));
        assert_eq!(risk(&[(None, Some(-0.1))]), Err(Error::Weight(-0.1)));
    }
}

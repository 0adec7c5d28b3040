//! The curve from a raw score to a score of 1 to 100, and its inverse.
//!
//! With the peg P (the raw score worth 100), `x = clamp(raw / P, 0, 1)` and `k = −ln(1 − p)`:
//!
//! `score = 1 + 99 · (1 − e^(−k·x)) / (1 − e^(−k))`
//!
//! It is the distribution function of the exponential distribution whose own p-quantile is P,
//! rescaled so that P maps to 100; for p = 0.9 it equals `1 + 110 · (1 − 10^(−x))`. The shape has
//! no free parameter, but `k` can be given: 0 is the straight line `1 + 99·x`.
//!
//! Invariant: a score lies in [1, 100], is exactly 100 from the peg on and exactly 1 at or below
//! 0. `libm` computes the exponential, because the standard library's differs by platform.

use crate::Error;

/// The lowest score.
pub const SCORE_MIN: f64 = 1.0;
/// The highest score.
pub const SCORE_MAX: f64 = 100.0;
/// The percentile that is worth 100 unless a model says otherwise.
pub const PERCENTILE_DEFAULT: f64 = 0.9;

/// Below this the exponential curve and the straight line differ by less than a rounding.
const CURVE_LINEAR_BELOW: f64 = 1e-17;

/// The shape of the way from 0 to the peg: a checked `k` with its denominator computed once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    k: f64,
    /// `e^(−k) − 1`, negative; unused when linear.
    denominator: f64,
}

impl Curve {
    /// The curve of a percentile: `k = −ln(1 − p)`.
    ///
    /// # Errors
    /// [`Error::Percentile`] unless `0 < p < 1`.
    pub fn of_percentile(p: f64) -> Result<Self, Error> {
        check_percentile(p)?;
        Ok(Self::of_valid(-libm::log1p(-p)))
    }

    /// The curve of a given `k`; 0 is the straight line.
    ///
    /// # Errors
    /// [`Error::Curve`] unless `k` is finite and at least 0.
    pub fn of_k(k: f64) -> Result<Self, Error> {
        if k.is_finite() && k >= 0.0 {
            Ok(Self::of_valid(k))
        } else {
            Err(Error::Curve(k))
        }
    }

    /// The curve of a percentile unless a `k` overrides it. The percentile is checked either way.
    ///
    /// # Errors
    /// As [`Curve::of_percentile`] and [`Curve::of_k`].
    pub fn new(p: f64, k: Option<f64>) -> Result<Self, Error> {
        let from_percentile = Self::of_percentile(p)?;
        k.map_or(Ok(from_percentile), Self::of_k)
    }

    fn of_valid(k: f64) -> Self {
        Self {
            k,
            denominator: libm::expm1(-k),
        }
    }

    fn is_linear(&self) -> bool {
        self.k < CURVE_LINEAR_BELOW
    }

    /// The score of a raw value against a peg.
    ///
    /// - `raw` NaN stands for NULL: the answer is `None`.
    /// - `raw ≤ 0` and −∞ give 1, +∞ gives 100, whatever the peg.
    /// - `peg` `None` (an empty population): `None` for every other raw value.
    /// - equal raw values have equal scores, and the score never falls as raw rises.
    ///
    /// # Errors
    /// [`Error::Peg`] when the peg is not a finite number above 0, whatever `raw` is.
    pub fn score(&self, raw: f64, peg: Option<f64>) -> Result<Option<f64>, Error> {
        let peg = peg.map(check_peg).transpose()?;
        if raw.is_nan() {
            return Ok(None);
        }
        if raw <= 0.0 {
            return Ok(Some(SCORE_MIN));
        }
        if raw == f64::INFINITY {
            return Ok(Some(SCORE_MAX));
        }
        Ok(peg.map(|peg| self.score_of_share(raw / peg)))
    }

    /// The score of `x = raw / peg`: 1 at and below 0, exactly 100 at and above 1. NaN gives NaN.
    pub fn score_of_share(&self, x: f64) -> f64 {
        if x.is_nan() {
            return f64::NAN;
        }
        if x >= 1.0 {
            return SCORE_MAX;
        }
        if x <= 0.0 {
            return SCORE_MIN;
        }
        let risen = if self.is_linear() {
            x
        } else {
            libm::expm1(-self.k * x) / self.denominator
        };
        (SCORE_MIN + (SCORE_MAX - SCORE_MIN) * risen).clamp(SCORE_MIN, SCORE_MAX)
    }

    /// The smallest raw value (up to rounding) that has this score: the inverse of
    /// [`Curve::score`] on [1, 100].
    ///
    /// 1 gives 0 and 100 gives the peg itself. `None` when the score is NaN or lies outside
    /// [1, 100] (no raw value has it), or when the peg is `None`, except that score 1 is 0 then too.
    ///
    /// # Errors
    /// [`Error::Peg`] when the peg is not a finite number above 0.
    pub fn raw_for(&self, score: f64, peg: Option<f64>) -> Result<Option<f64>, Error> {
        let peg = peg.map(check_peg).transpose()?;
        if !(SCORE_MIN..=SCORE_MAX).contains(&score) {
            return Ok(None);
        }
        if score == SCORE_MIN {
            return Ok(Some(0.0));
        }
        Ok(peg.map(|peg| peg * self.share_for(score)))
    }

    /// `x` for a score in (1, 100].
    fn share_for(&self, score: f64) -> f64 {
        let risen = (score - SCORE_MIN) / (SCORE_MAX - SCORE_MIN);
        if risen >= 1.0 {
            return 1.0;
        }
        if self.is_linear() {
            return risen;
        }
        (-libm::log1p(risen * self.denominator) / self.k).clamp(0.0, 1.0)
    }
}

/// The percentile itself, if it lies strictly between 0 and 1.
///
/// # Errors
/// [`Error::Percentile`] otherwise, NaN included.
pub fn check_percentile(p: f64) -> Result<f64, Error> {
    if p > 0.0 && p < 1.0 {
        Ok(p)
    } else {
        Err(Error::Percentile(p))
    }
}

fn check_peg(peg: f64) -> Result<f64, Error> {
    if peg > 0.0 && peg.is_finite() {
        Ok(peg)
    } else {
        Err(Error::Peg(peg))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(raw: f64) -> f64 {
        let curve = Curve::of_percentile(0.9).expect("valid");
        curve
            .score(raw, Some(208.2))
            .expect("valid peg")
            .expect("not NULL")
    }

    /// The table of docs/health.md, to its two digits.
    #[test]
    fn published_table() {
        let table = [
            (0.0, "1.00"),
            (7.0, "9.19"),
            (21.0, "23.80"),
            (37.0, "37.94"),
            (89.0, "69.89"),
            (101.0, "75.00"),
            (112.0, "79.13"),
            (149.0, "89.83"),
            (187.0, "97.09"),
            (208.2, "100.00"),
            (475.0, "100.00"),
        ];
        for (raw, expected) in table {
            assert_eq!(format!("{:.2}", score(raw)), expected, "raw {raw}");
        }
    }

    #[test]
    fn nine_tenths_equals_the_power_of_ten() {
        for raw in [0.5, 7.0, 101.0, 200.0] {
            let other = 1.0 + 110.0 * (1.0 - 10f64.powf(-raw / 208.2));
            assert!((score(raw) - other).abs() < 1e-12 * other, "raw {raw}");
        }
    }

    #[test]
    fn edges() {
        let curve = Curve::of_percentile(0.9).expect("valid");
        let peg = Some(208.2);
        let check = |raw: f64, peg: Option<f64>, expected: Option<f64>| {
            assert_eq!(
                curve.score(raw, peg),
                Ok(expected),
                "raw {raw}, peg {peg:?}"
            );
        };
        check(-3.0, peg, Some(1.0));
        check(-0.0, peg, Some(1.0));
        check(f64::NAN, peg, None);
        check(f64::INFINITY, peg, Some(100.0));
        check(f64::NEG_INFINITY, peg, Some(1.0));
        check(0.0, None, Some(1.0));
        check(f64::INFINITY, None, Some(100.0));
        check(f64::NEG_INFINITY, None, Some(1.0));
        check(5.0, None, None);
        check(f64::NAN, None, None);
        check(f64::MAX, Some(f64::MIN_POSITIVE), Some(100.0));
        for bad in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(
                matches!(curve.score(5.0, Some(bad)), Err(Error::Peg(_))),
                "peg {bad}"
            );
            assert!(
                matches!(curve.score(-5.0, Some(bad)), Err(Error::Peg(_))),
                "peg {bad}"
            );
            assert!(
                matches!(curve.raw_for(50.0, Some(bad)), Err(Error::Peg(_))),
                "peg {bad}"
            );
        }
    }

    #[test]
    fn percentiles_and_curves_are_checked() {
        for bad in [0.0, 1.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(
                matches!(Curve::of_percentile(bad), Err(Error::Percentile(_))),
                "{bad}"
            );
            assert!(
                matches!(Curve::new(bad, Some(1.0)), Err(Error::Percentile(_))),
                "{bad}"
            );
        }
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(Curve::of_k(bad), Err(Error::Curve(_))), "{bad}");
        }
    }

    #[test]
    fn curve_zero_is_a_line_and_tiny_curves_meet_it() {
        for k in [0.0, 1e-300, 1e-18, 1e-16, 1e-12] {
            let curve = Curve::of_k(k).expect("valid");
            for x in [0.1, 0.25, 0.5, 0.9] {
                let gap = (curve.score_of_share(x) - (1.0 + 99.0 * x)).abs();
                assert!(gap < 1e-9, "k {k}, x {x}: off by {gap}");
            }
        }
    }

    #[test]
    fn inverse() {
        for k in [0.0, 0.5, std::f64::consts::LN_10, 20.0] {
            let curve = Curve::of_k(k).expect("valid");
            for wanted in [1.0, 1.5, 20.0, 50.0, 85.0, 99.5, 100.0] {
                let raw = curve
                    .raw_for(wanted, Some(208.2))
                    .expect("valid")
                    .expect("in range");
                let got = curve
                    .score(raw, Some(208.2))
                    .expect("valid")
                    .expect("not NULL");
                assert!(
                    (got - wanted).abs() < 1e-6,
                    "k {k}: {wanted} came back as {got}"
                );
            }
            assert_eq!(curve.raw_for(100.0, Some(208.2)), Ok(Some(208.2)));
            for outside in [0.99, 100.01, f64::NAN, f64::INFINITY] {
                assert_eq!(curve.raw_for(outside, Some(208.2)), Ok(None));
            }
            assert_eq!(curve.raw_for(50.0, None), Ok(None));
            assert_eq!(curve.raw_for(1.0, None), Ok(Some(0.0)));
        }
    }

    #[test]
    fn steep_curves_stay_in_bounds() {
        let curve = Curve::of_k(1e308).expect("valid");
        assert_eq!(curve.score_of_share(1e-300), 100.0);
        assert_eq!(curve.score_of_share(0.0), 1.0);
    }
}

//! A whole population at once: raw scores in, scores of 1 to 100 out.
//!
//! NaN stands for NULL on both sides. Invariant: whatever the method, equal raw values have equal
//! scores, a higher raw value never has a lower one, `raw ≤ 0` and −∞ are 1, +∞ is 100.

use crate::peg::{PegPopulation, counts};
use crate::score::{Curve, SCORE_MAX, SCORE_MIN};
use crate::{Error, share};

/// How a population is mapped to 1–100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// The curve of [`crate::score`] against the population's own peg.
    Curve {
        /// Percentile that is worth 100.
        p: f64,
        /// Shape between 0 and the peg.
        curve: Curve,
    },
    /// `clamp(100 · raw / peg, 1, 100)`: winsorised at the peg, linear below it.
    Winsor {
        /// Percentile that is worth 100.
        p: f64,
    },
    /// `1 + 99 · percent_rank`.
    ///
    /// `percent_rank` is SQL's: of n finite values, (how many are lower) / (n − 1), 0 when n = 1.
    /// Values at or below 0 are tied at the bottom, so they score 1. When all are equal, all score
    /// 1, unlike the other methods, because their percent rank is 0.
    Rank,
}

/// The score of every raw value, in the order given, and NaN where the raw value is NaN.
///
/// Cost: O(n), and O(n log n) for [`Method::Rank`].
///
/// # Errors
/// [`Error::Percentile`] unless `0 < p < 1`.
pub fn normalize(raw: &[f64], method: Method) -> Result<Vec<f64>, Error> {
    match method {
        Method::Curve { p, curve } => {
            let peg = population_peg(raw, p)?;
            Ok(raw
                .iter()
                .map(|&raw| edge_or(raw, |raw| curve.score_of_share(raw / peg)))
                .collect())
        }
        Method::Winsor { p } => {
            let peg = population_peg(raw, p)?;
            Ok(raw
                .iter()
                .map(|&raw| edge_or(raw, |raw| winsor(raw, peg)))
                .collect())
        }
        Method::Rank => Ok(rank(raw)),
    }
}

/// The peg of the values, NaN when none counts (then no score asks for it).
fn population_peg(raw: &[f64], p: f64) -> Result<f64, Error> {
    Ok(raw
        .iter()
        .copied()
        .collect::<PegPopulation>()
        .peg(p)?
        .unwrap_or(f64::NAN))
}

/// The score of a value that the population does not decide, else `score` of it.
fn edge_or(raw: f64, score: impl FnOnce(f64) -> f64) -> f64 {
    match raw {
        raw if raw.is_nan() => f64::NAN,
        raw if raw <= 0.0 => SCORE_MIN,
        f64::INFINITY => SCORE_MAX,
        raw => score(raw),
    }
}

fn winsor(raw: f64, peg: f64) -> f64 {
    // At the peg exactly 100, even where the product would round below it.
    if raw >= peg {
        SCORE_MAX
    } else {
        (100.0 * (raw / peg)).clamp(SCORE_MIN, SCORE_MAX)
    }
}

fn rank(raw: &[f64]) -> Vec<f64> {
    let others = raw
        .iter()
        .filter(|raw| raw.is_finite())
        .count()
        .saturating_sub(1) as f64;
    let mut counted: Vec<f64> = raw.iter().copied().filter(|&raw| counts(raw)).collect();
    counted.sort_unstable_by(f64::total_cmp);
    let at_bottom = raw
        .iter()
        .filter(|raw| raw.is_finite() && **raw <= 0.0)
        .count();
    let score_of = |raw: f64| {
        let lower = at_bottom + counted.partition_point(|&other| other < raw);
        let rank = share::ratio(lower as f64, others).unwrap_or(0.0);
        SCORE_MIN + (SCORE_MAX - SCORE_MIN) * rank
    };
    raw.iter().map(|&raw| edge_or(raw, score_of)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NULL: f64 = f64::NAN;

    fn pegged() -> Method {
        Method::Curve {
            p: 0.9,
            curve: Curve::of_percentile(0.9).expect("valid"),
        }
    }

    fn check(method: Method, raw: &[f64], expected: &[f64]) {
        let got = normalize(raw, method).expect("valid percentile");
        assert_eq!(got.len(), expected.len());
        for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
            let same = (got.is_nan() && expected.is_nan()) || (got - expected).abs() < 1e-9;
            assert!(
                same,
                "{method:?} of {raw:?}: at {index} {got} instead of {expected}"
            );
        }
    }

    #[test]
    fn edges_of_every_method() {
        let infinite = f64::INFINITY;
        for method in [pegged(), Method::Winsor { p: 0.9 }, Method::Rank] {
            check(method, &[], &[]);
            check(method, &[NULL], &[NULL]);
            check(
                method,
                &[0.0, -5.0, -infinite, infinite],
                &[1.0, 1.0, 1.0, 100.0],
            );
        }
        for method in [pegged(), Method::Winsor { p: 0.9 }] {
            check(method, &[7.0], &[100.0]);
            check(method, &[7.0, 7.0, 0.0, NULL], &[100.0, 100.0, 1.0, NULL]);
        }
        check(Method::Rank, &[7.0], &[1.0]);
        check(Method::Rank, &[7.0, 7.0], &[1.0, 1.0]);
    }

    #[test]
    fn winsor_is_linear_up_to_the_peg() {
        let raw: Vec<f64> = (0..=10).map(f64::from).collect();
        // The peg of 1..=10 at 0.9 is 9.1.
        let expected: Vec<f64> = raw
            .iter()
            .map(|raw| (100.0 * raw / 9.1).clamp(1.0, 100.0))
            .collect();
        check(Method::Winsor { p: 0.9 }, &raw, &expected);
    }

    #[test]
    fn rank_is_percent_rank() {
        check(Method::Rank, &[5.0, 0.0, 10.0], &[50.5, 1.0, 100.0]);
        check(
            Method::Rank,
            &[5.0, 5.0, 10.0, 1.0, NULL],
            &[34.0, 34.0, 100.0, 1.0, NULL],
        );
        check(
            Method::Rank,
            &[-1.0, 0.0, 3.0],
            &[1.0, 1.0, 1.0 + 99.0 * 2.0 / 2.0],
        );
    }
}

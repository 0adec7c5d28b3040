//! Many scores as one: the weighted mean.
//!
//! Invariant: the answer depends on the bag of pairs only, to the last bit.

use crate::Error;

/// `Σ w·s / Σ w` over pairs of score and weight.
///
/// A pair with a missing part, a NaN score or a weight of 0 is skipped; `None` when no pair is
/// left, or where infinite scores leave no answer. Terms are added in ascending order.
///
/// # Errors
/// [`Error::Share`] for a weight that is not a finite number of at least 0.
pub fn rollup(
    scores: impl IntoIterator<Item = (Option<f64>, Option<f64>)>,
) -> Result<Option<f64>, Error> {
    let (mut terms, mut weights) = (Vec::new(), Vec::new());
    for (score, weight) in scores {
        let weight = weight.map(check_weight).transpose()?;
        let score = score.filter(|score| !score.is_nan());
        if let (Some(score), Some(weight)) = (score, weight)
            && weight > 0.0
        {
            terms.push(weight * score);
            weights.push(weight);
        }
    }
    if weights.is_empty() {
        return Ok(None);
    }
    let mean = sum(&mut terms) / sum(&mut weights);
    Ok((!mean.is_nan()).then_some(mean))
}

/// A weight of a mean.
///
/// # Errors
/// [`Error::Share`] where it is not a finite number of at least 0.
pub fn check_weight(weight: f64) -> Result<f64, Error> {
    if weight.is_finite() && weight >= 0.0 {
        Ok(weight)
    } else {
        Err(Error::Share(weight))
    }
}

fn sum(terms: &mut [f64]) -> f64 {
    terms.sort_unstable_by(f64::total_cmp);
    terms.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means() {
        let check = |scores: &[(Option<f64>, Option<f64>)], expected| {
            assert_eq!(rollup(scores.iter().copied()), Ok(expected), "{scores:?}");
        };
        check(
            &[(Some(80.0), Some(3.0)), (Some(40.0), Some(1.0))],
            Some(70.0),
        );
        check(&[(Some(80.0), Some(3.0)), (None, Some(1.0))], Some(80.0));
        check(&[(Some(80.0), Some(3.0)), (Some(1.0), None)], Some(80.0));
        check(
            &[(Some(80.0), Some(3.0)), (Some(f64::NAN), Some(9.0))],
            Some(80.0),
        );
        check(
            &[(Some(80.0), Some(3.0)), (Some(f64::INFINITY), Some(0.0))],
            Some(80.0),
        );
        check(&[(Some(80.0), Some(0.0))], None);
        check(&[], None);
        let infinite = f64::INFINITY;
        check(
            &[(Some(infinite), Some(1.0)), (Some(-infinite), Some(1.0))],
            None,
        );
        for weight in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(rollup([(None, Some(weight))]).is_err());
        }
    }
}

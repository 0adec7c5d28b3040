//! The peg: the exact p-quantile of a population of raw scores.
//!
//! The quantile is type 7 of Hyndman and Fan (1996), SQL's `percentile_cont`: with the values
//! sorted as `v[0..n]` and `h = (n − 1)·p`, it is `v[⌊h⌋] + (h − ⌊h⌋)·(v[⌊h⌋+1] − v[⌊h⌋])`.
//! Invariant: every value is kept, so that the answer is exact, merging is appending, and the
//! order of arrival cannot show in a single bit.

use crate::Error;
use crate::score::check_percentile;

/// Whether a raw score counts in the population that the peg is taken over: finite and above 0.
pub fn counts(raw: f64) -> bool {
    raw > 0.0 && raw.is_finite()
}

/// The type-7 p-quantile of the values, or `None` when there are none.
///
/// Values must not be NaN (they would sort last). The slice is reordered. Cost: O(n) expected, by
/// selection; nothing is sorted.
///
/// # Errors
/// [`Error::Percentile`] unless `0 < p < 1`.
pub fn quantile(values: &mut [f64], p: f64) -> Result<Option<f64>, Error> {
    check_percentile(p)?;
    let Some(last) = values.len().checked_sub(1) else {
        return Ok(None);
    };
    let (low, share) = position(last, p);
    let (_, low_value, above) = values.select_nth_unstable_by(low, f64::total_cmp);
    let low_value = *low_value;
    if share == 0.0 {
        return Ok(Some(low_value));
    }
    let high_value = above
        .iter()
        .copied()
        .min_by(f64::total_cmp)
        .unwrap_or(low_value);
    Ok(Some(between(low_value, high_value, share)))
}

/// The same of values that are sorted already. Cost: O(1).
///
/// # Errors
/// [`Error::Percentile`] unless `0 < p < 1`.
pub fn quantile_sorted(values: &[f64], p: f64) -> Result<Option<f64>, Error> {
    check_percentile(p)?;
    let Some(last) = values.len().checked_sub(1) else {
        return Ok(None);
    };
    let (low, share) = position(last, p);
    Ok(Some(between(
        values[low],
        values[(low + 1).min(last)],
        share,
    )))
}

/// `⌊h⌋` and `h − ⌊h⌋` for `h = last · p`.
///
/// The product is formed with its rounding error (a fused multiply-add gives it exactly), so the
/// share keeps full double precision for ten million values as for ten.
fn position(last: usize, p: f64) -> (usize, f64) {
    let count = last as f64;
    let product = count * p;
    let error = count.mul_add(p, -product);
    let mut low = product.floor();
    let mut share = (product - low) + error;
    if share < 0.0 {
        low -= 1.0;
        share += 1.0;
    }
    let low = (low.max(0.0) as usize).min(last);
    (
        low,
        if low == last {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        },
    )
}

fn between(low: f64, high: f64, share: f64) -> f64 {
    (low + share * (high - low)).clamp(low, high)
}

/// The raw scores of a population, kept for an exact peg.
///
/// Eight bytes a counted value, so ten million entities take 80 MB; what does not count
/// ([`counts`]) is not kept.
#[derive(Debug, Clone, Default)]
pub struct PegPopulation {
    values: Vec<f64>,
}

impl PegPopulation {
    /// An empty population.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a raw score; NaN, ±∞ and what is not above 0 are left out.
    pub fn push(&mut self, raw: f64) {
        if counts(raw) {
            self.values.push(raw);
        }
    }

    /// Adds everything of another population. Merging is exact and its order does not matter.
    pub fn merge(&mut self, other: &PegPopulation) {
        self.values.extend_from_slice(&other.values);
    }

    /// How many raw scores count: `peg_n`.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True when nothing counts, so that there is no peg.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The counted values, in no particular order.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The peg at percentile p, or `None` of an empty population. Reorders, so `&mut`; O(n).
    ///
    /// # Errors
    /// [`Error::Percentile`] unless `0 < p < 1`.
    pub fn peg(&mut self, p: f64) -> Result<Option<f64>, Error> {
        quantile(&mut self.values, p)
    }
}

impl FromIterator<f64> for PegPopulation {
    fn from_iter<I: IntoIterator<Item = f64>>(raw: I) -> Self {
        Self {
            values: raw.into_iter().filter(|&raw| counts(raw)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published sample of Accoil's guide; nearest rank would give 223.
    const SAMPLE: [f64; 13] = [
        475.0, 89.0, 101.0, 7.0, 3.0, 21.0, 2.0, 149.0, 223.0, 1.0, 13.0, 9.0, 37.0,
    ];

    fn peg(raw: &[f64], p: f64) -> Option<f64> {
        raw.iter()
            .copied()
            .collect::<PegPopulation>()
            .peg(p)
            .expect("valid percentile")
    }

    #[test]
    fn published_sample() {
        let got = peg(&SAMPLE, 0.9).expect("not empty");
        assert!((got - 208.2).abs() <= 1e-12 * 208.2, "{got}");
    }

    #[test]
    fn what_does_not_count_changes_nothing() {
        let mut all = SAMPLE.to_vec();
        all.extend([0.0, -0.0, -7.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        assert_eq!(peg(&all, 0.9), peg(&SAMPLE, 0.9));
    }

    #[test]
    fn small_populations() {
        assert_eq!(peg(&[], 0.9), None);
        assert_eq!(peg(&[0.0, -1.0, f64::NAN], 0.9), None);
        assert_eq!(peg(&[5.0], 0.9), Some(5.0));
        assert_eq!(peg(&[5.0, 5.0, 5.0], 0.9), Some(5.0));
        assert_eq!(peg(&[1.0, 3.0], 0.5), Some(2.0));
        assert_eq!(peg(&[1.0, 2.0, 3.0], 0.5), Some(2.0));
    }

    #[test]
    fn percentile_is_checked_even_of_nothing() {
        for bad in [0.0, 1.0, f64::NAN] {
            assert!(matches!(
                PegPopulation::new().peg(bad),
                Err(Error::Percentile(_))
            ));
            assert!(matches!(
                quantile_sorted(&[], bad),
                Err(Error::Percentile(_))
            ));
        }
    }

    #[test]
    fn ends_of_the_range() {
        let mut values: Vec<f64> = (1..=1000).map(f64::from).collect();
        let top = 1.0 - f64::EPSILON / 2.0;
        let got = quantile(&mut values, top)
            .expect("valid")
            .expect("not empty");
        assert!((got - 1000.0).abs() < 1e-9);
        let got = quantile(&mut values, f64::MIN_POSITIVE)
            .expect("valid")
            .expect("not empty");
        assert_eq!(got, 1.0);
    }

    #[test]
    fn position_keeps_the_rounding_error() {
        for (last, p) in [(12, 0.9), (9_999_999, 0.9), (10, 0.7), (1_000_003, 0.1)] {
            let (low, share) = position(last, p);
            assert!((0.0..1.0).contains(&share), "{last} {p}: {share}");
            let back = low as f64 + share;
            assert!((back - last as f64 * p).abs() <= 1e-15 * back, "{last} {p}");
        }
    }
}

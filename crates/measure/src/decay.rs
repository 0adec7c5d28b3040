//! Values that fade with age: each half-life leaves half.
//!
//! Owns the weight `2^(−age / half-life)`. Invariant: it is computed by `libm`, so it has the same
//! bits on every machine, and a sum of decayed values is one of [`crate::ExactSum`].

/// What age has left of a value: `value · 2^(−age / half-life)`, each of the three operations
/// rounded once.
///
/// The age is in µs, the half-life too and above 0. NaN stays NaN and ±∞ stay what they are,
/// however old; a finite value that is old enough becomes 0.
#[inline]
pub fn decayed(value: f64, age_us: u64, half_life_us: f64) -> f64 {
    if value.is_infinite() {
        return value;
    }
    value * libm::exp2(-(age_us as f64) / half_life_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_half_life_leaves_half() {
        for (age_us, left) in [(0, 12.0), (10, 6.0), (20, 3.0), (30, 1.5), (70, 0.093_75)] {
            assert_eq!(decayed(12.0, age_us, 10.0), left, "{age_us}");
            assert_eq!(decayed(-12.0, age_us, 10.0), -left, "{age_us}");
        }
        assert!((decayed(1.0, 5, 10.0) - 0.5f64.sqrt()).abs() < 1e-15);
        // e^(−1) = 2^(−1 / ln 2)
        let found = decayed(1.0, 1_000_000, 1e6 * std::f64::consts::LN_2);
        assert!((found - 0.367_879_441_171_442_3).abs() < 1e-15, "{found}");
    }

    #[test]
    fn the_ends() {
        assert_eq!(decayed(5.0, u64::MAX, 1.0), 0.0);
        assert_eq!(decayed(f64::INFINITY, u64::MAX, 1.0), f64::INFINITY);
        assert_eq!(decayed(f64::NEG_INFINITY, 3, 1.0), f64::NEG_INFINITY);
        assert!(decayed(f64::NAN, u64::MAX, 1.0).is_nan());
        assert_eq!(decayed(0.0, 7, 3.0), 0.0);
    }
}

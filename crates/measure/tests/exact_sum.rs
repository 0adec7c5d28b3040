//! Exact sums of random doubles against a naive model, in any order and any parts.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use vitalog_measure::ExactSum;

fn bytes(sum: &ExactSum) -> Vec<u8> {
    let mut bytes = Vec::new();
    sum.write(&mut bytes);
    bytes
}

/// A naive model: the exact sum as a plain binary number, one bit a byte, in units of 2⁻¹⁰⁷⁴.
fn model(values: &[f64]) -> f64 {
    let mut digits = vec![0i64; 2304];
    for &value in values {
        let bits = value.to_bits();
        let exponent = bits >> 52 & 0x7ff;
        let hidden = u64::from(exponent != 0);
        let mantissa = bits & ((1 << 52) - 1) | hidden << 52;
        let shift = (exponent - hidden) as usize;
        let sign = if value.is_sign_negative() { -1 } else { 1 };
        for bit in 0..53 {
            digits[shift + bit] += sign * (mantissa >> bit & 1) as i64;
        }
    }
    let mut carry = 0;
    let mut bits = |digits: &[i64]| -> Vec<i64> {
        carry = 0;
        let step = |&digit: &i64| {
            let total = digit + carry;
            carry = total.div_euclid(2);
            total.rem_euclid(2)
        };
        digits.iter().map(step).collect()
    };
    let mut found = bits(&digits);
    let negative = found.last() == Some(&1);
    if negative {
        found = bits(&digits.iter().map(|digit| -digit).collect::<Vec<_>>());
    }
    let Some(top) = found.iter().rposition(|&bit| bit == 1) else {
        return 0.0;
    };
    let low = top.saturating_sub(52);
    let mut mantissa = (low..=top)
        .rev()
        .fold(0u64, |m, at| m << 1 | found[at] as u64);
    let half = low > 0 && found[low - 1] == 1;
    let more = low > 1 && found[..low - 1].contains(&1);
    mantissa += u64::from(half && (more || mantissa & 1 == 1));
    let bits = (((low as u64) << 52) + mantissa).min(f64::INFINITY.to_bits());
    f64::from_bits(bits | u64::from(negative) << 63)
}

/// Doubles of all kinds: near one another, of any exponent, integers, and near the bounds.
fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(|bits| f64::from_bits(bits & !(1 << 62))),
        any::<u64>().prop_map(|bits| f64::from_bits(bits & !(0x7ff << 52) | 1023 << 52)),
        any::<u64>()
            .prop_map(f64::from_bits)
            .prop_filter("finite", |value| value.is_finite()),
        (-1000..1000i32).prop_map(f64::from),
        (-4.0..4.0f64),
        (0..6u64).prop_map(|back| f64::from_bits(f64::MAX.to_bits() - back)),
        (0..6u64).prop_map(f64::from_bits),
    ]
}

proptest! {
    #[test]
    fn equals_the_model(values in prop::collection::vec(double(), 0..60)) {
        let sum: ExactSum = values.iter().copied().collect();
        prop_assert_eq!(sum.value().to_bits(), model(&values).to_bits());
    }

    #[test]
    fn order_and_parts_do_not_show(
        mut values in prop::collection::vec(double(), 0..60),
        cuts in prop::collection::vec(0..60usize, 0..5),
        pairs in any::<bool>(),
    ) {
        if pairs {
            // Sums that cancel, to the last unit.
            let negated: Vec<f64> = values.iter().skip(1).map(|value| -value).collect();
            values.extend(negated);
        }
        let whole: ExactSum = values.iter().copied().collect();
        let mut parts = vec![ExactSum::new(); cuts.len() + 1];
        for (index, value) in values.iter().rev().enumerate() {
            let part = cuts.iter().filter(|&&cut| cut <= index).count();
            parts[part].add(*value);
        }
        let mut merged = ExactSum::new();
        for part in &parts {
            merged.merge(&ExactSum::from_bytes(&bytes(part)).expect("own bytes"));
        }
        prop_assert_eq!(bytes(&merged), bytes(&whole));
        prop_assert_eq!(merged.value().to_bits(), whole.value().to_bits());
        let mut direct = ExactSum::new();
        for part in parts.iter().rev() {
            direct.merge(part);
        }
        prop_assert_eq!(bytes(&direct), bytes(&whole));
    }

    #[test]
    fn any_bytes_are_an_error_or_a_sum(found in prop::collection::vec(any::<u8>(), 0..24)) {
        let found = [&[1][..], &found].concat();
        if let Ok(sum) = ExactSum::from_bytes(&found) {
            prop_assert_eq!(bytes(&sum), found);
        }
    }
}

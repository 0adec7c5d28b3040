//! A sum of doubles that loses nothing, so that order and partitions cannot show in it.
//!
//! Every finite double is an integer times 2⁻¹⁰⁷⁴, so a sum of doubles is one integer of some 2,100
//! bits; it is rounded once, when it is asked for. Nearly all sums of practice fit 128 of these
//! bits, so that a sum is 32 bytes and adding is one shift and one addition. Invariant: what is
//! held is the exact sum, and neither the window nor what lies outside of it can be told from the
//! answer or the bytes.
//!
//! Kulisch's long accumulator; the two levels are in the spirit of Neal, "Fast exact summation
//! using small and large superaccumulators" (2015).

use crate::Error;
use crate::code::{Reader, put_varint};
use crate::wide::{self, Wide};

/// What the bytes are, for errors.
const WHAT: &str = "exact sum";
const VERSION: u8 = 1;

const NAN: u8 = 1;
const PLUS_INFINITY: u8 = 2;
const MINUS_INFINITY: u8 = 4;
const NEGATIVE: u8 = 8;

/// Bits of a double's fraction; with the hidden bit a mantissa has one more.
const FRACTION_BITS: u32 = 52;
const EXPONENT_SPECIAL: u64 = 0x7ff;
/// Shift of the largest finite doubles.
const SHIFT_MAX: u16 = 2045;
/// Doubles whose shift lies so far above the window's base are added in the window: a mantissa
/// ends below bit 124, so that at least seven additions are free before one is checked in vain.
const WINDOW: u16 = 72;
/// A new window begins at least so far below the first value, at a multiple of [`ALIGNMENT`], so
/// that the windows of partitions mostly agree.
const BELOW: u16 = 16;
const ALIGNMENT: u16 = 16;
/// A window is moved down only where so many bits stay free above what it holds.
const FREE_BITS: u32 = 32;
/// A window ends below the shift of ±∞ and NaN.
const BASE_MAX: u16 = SHIFT_MAX + 1 - WINDOW;
/// A base that every value is far from, below and above.
const NO_BASE: u16 = 1 << 15;

/// The exact sum of doubles.
///
/// NaN makes the sum NaN, and so do +∞ and −∞ together; one of these alone makes it that infinity.
/// A sum of nothing, or of zeros of either sign, is `+0.0`. Takes 32 bytes, and 288 more once the
/// values of one sum lie more than some twenty orders of magnitude apart.
#[derive(Debug, Clone)]
pub struct ExactSum {
    /// The sum of what was added in the window, in units of `2^(base − 1074)`.
    window: i128,
    /// The rest, in units of `2^−1074`.
    wide: Option<Box<Wide>>,
    base: u16,
    specials: u8,
}

impl Default for ExactSum {
    fn default() -> Self {
        Self {
            window: 0,
            wide: None,
            base: NO_BASE,
            specials: 0,
        }
    }
}

impl ExactSum {
    /// The sum of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value. Cost: some nanoseconds; no memory unless values lie very far apart.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let (magnitude, shift) = parts(value);
        // Infinities and NaN have a shift that lies above every window.
        let place = shift.wrapping_sub(self.base);
        if place < WINDOW {
            let magnitude = i128::from(magnitude) << place;
            let negative = value.is_sign_negative();
            let added = if negative { -magnitude } else { magnitude };
            if let Some(sum) = self.window.checked_add(added) {
                self.window = sum;
                return;
            }
        }
        self.add_outside(value);
    }

    /// Adds all that another sum holds.
    pub fn merge(&mut self, other: &ExactSum) {
        self.specials |= other.specials;
        if let Some(wide) = &other.wide {
            match &mut self.wide {
                Some(own) => own.add(wide),
                None => self.wide = Some(wide.clone()),
            }
        }
        if other.window != 0 {
            self.add_scaled(other.window, other.base);
        }
    }

    /// The sum, correctly rounded once: to the nearest double, of two equally near ones to the even;
    /// beyond the largest double to ±∞.
    pub fn value(&self) -> f64 {
        match self.specials {
            0 => {}
            PLUS_INFINITY => return f64::INFINITY,
            MINUS_INFINITY => return f64::NEG_INFINITY,
            _ => return f64::NAN,
        }
        match &self.wide {
            None if self.window == 0 => 0.0,
            None => rounded(
                self.window < 0,
                self.window.unsigned_abs(),
                u32::from(self.base),
            ),
            Some(_) => {
                let (negative, total) = self.total().into_magnitude();
                let (magnitude, position) = total.leading();
                if magnitude == 0 {
                    0.0
                } else {
                    rounded(negative, magnitude, position)
                }
            }
        }
    }

    /// Appends the sum's bytes: version, flags and, of a finite sum other than 0, the number of zero
    /// bytes (varint) below its magnitude in units of 2⁻¹⁰⁷⁴ and the magnitude's bytes, the lowest
    /// first. Equal sums have equal bytes, mostly 10 to 16.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        if self.specials != 0 {
            let both = PLUS_INFINITY | MINUS_INFINITY;
            let undefined = self.specials & NAN != 0 || self.specials & both == both;
            out.push(if undefined { NAN } else { self.specials });
            return;
        }
        if self.wide.is_none() {
            let magnitude = self.window.unsigned_abs().to_le_bytes();
            write_digits(out, self.window < 0, self.base / 8, &magnitude);
        } else {
            let (negative, total) = self.total().into_magnitude();
            write_digits(out, negative, 0, &total.to_bytes());
        }
    }

    /// Reads what [`ExactSum::write`] wrote.
    ///
    /// # Errors
    /// [`Error::Version`] and [`Error::Corrupt`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(WHAT, bytes);
        reader.version(VERSION)?;
        let flags = reader.byte()?;
        let mut sum = Self::new();
        match flags {
            NAN | PLUS_INFINITY | MINUS_INFINITY => {
                sum.specials = flags;
                reader.finish()?;
                return Ok(sum);
            }
            0 if bytes.len() == 2 => return Ok(sum),
            0 | NEGATIVE => {}
            _ => return Err(reader.corrupt()),
        }
        let zeros = reader.varint()?;
        let length = reader.remaining();
        let digits = reader.take(length)?;
        let (Some(&lowest), Some(&highest)) = (digits.first(), digits.last()) else {
            return Err(reader.corrupt());
        };
        if lowest == 0 || highest == 0 || zeros.saturating_add(length as u64) > wide::BYTES_MAX {
            return Err(reader.corrupt());
        }
        // The lowest come first, so that the window begins where they are.
        for (index, digits) in (0u16..).zip(digits.chunks(15)) {
            let mut number = [0; 16];
            number[..digits.len()].copy_from_slice(digits);
            let number = i128::from_le_bytes(number);
            if number != 0 {
                let number = if flags == NEGATIVE { -number } else { number };
                sum.add_scaled(number, 8 * (zeros as u16 + 15 * index));
            }
        }
        Ok(sum)
    }

    /// Bytes of heap memory.
    pub fn heap_bytes(&self) -> usize {
        self.wide.as_ref().map_or(0, |_| size_of::<Wide>())
    }

    /// Adds what is not in the window, or does not fit it any more.
    #[cold]
    #[inline(never)]
    fn add_outside(&mut self, value: f64) {
        if !value.is_finite() {
            self.specials |= match value {
                f64::INFINITY => PLUS_INFINITY,
                f64::NEG_INFINITY => MINUS_INFINITY,
                _ => NAN,
            };
            return;
        }
        let (magnitude, shift) = parts(value);
        if magnitude == 0 {
            return;
        }
        let magnitude = i128::from(magnitude);
        let negative = value.is_sign_negative();
        self.add_scaled(if negative { -magnitude } else { magnitude }, shift);
    }

    /// Adds `number · 2^(shift − 1074)`: in the window if it can be brought there exactly.
    fn add_scaled(&mut self, number: i128, shift: u16) {
        if self.window == 0 {
            self.base = base_for(number, shift);
        }
        if shift < self.base {
            self.move_down(base_for(number, shift));
        }
        let brought = if shift >= self.base {
            raised(number, shift - self.base)
        } else {
            let below = u32::from(self.base - shift);
            (number.trailing_zeros() >= below).then(|| number >> below)
        };
        match brought.and_then(|number| self.window.checked_add(number)) {
            Some(sum) => self.window = sum,
            None => self
                .wide
                .get_or_insert_default()
                .add_scaled(number, u32::from(shift)),
        }
        // A window that is nearly full is emptied, so that it does not stay so.
        if self.window.unsigned_abs().leading_zeros() < 4 {
            let wide = self.wide.get_or_insert_default();
            wide.add_scaled(self.window, u32::from(self.base));
            self.window = 0;
        }
    }

    /// Moves the window so that it begins at `base`, if what it holds stays well inside.
    fn move_down(&mut self, base: u16) {
        let Some(by) = self.base.checked_sub(base) else {
            return;
        };
        let free = self.window.unsigned_abs().leading_zeros();
        if u32::from(by) + FREE_BITS < free {
            self.window <<= by;
            self.base = base;
        }
    }

    fn total(&self) -> Wide {
        let mut total = self.wide.as_deref().cloned().unwrap_or_default();
        if self.window != 0 {
            total.add_scaled(self.window, u32::from(self.base));
        }
        total
    }
}

impl Extend<f64> for ExactSum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        for value in values {
            self.add(value);
        }
    }
}

impl FromIterator<f64> for ExactSum {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sum = Self::new();
        sum.extend(values);
        sum
    }
}

/// Writes sign and magnitude, the latter given by its bytes above `zeros` bytes of 0. Where the
/// magnitude is 0, `zeros` means nothing.
fn write_digits(out: &mut Vec<u8>, negative: bool, zeros: u16, magnitude: &[u8]) {
    let Some(last) = magnitude.iter().rposition(|&byte| byte != 0) else {
        out.push(0);
        return;
    };
    let first = magnitude.iter().position(|&byte| byte != 0).unwrap_or(last);
    out.push(if negative { NEGATIVE } else { 0 });
    put_varint(out, u64::from(zeros) + first as u64);
    out.extend_from_slice(&magnitude[first..=last]);
}

/// A double's magnitude is `mantissa · 2^(shift − 1074)`; ±∞ and NaN have shift 2046.
#[inline]
fn parts(value: f64) -> (u64, u16) {
    let bits = value.to_bits();
    let exponent = bits >> FRACTION_BITS & EXPONENT_SPECIAL;
    let hidden = u64::from(exponent != 0);
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    (
        fraction | hidden << FRACTION_BITS,
        (exponent - hidden) as u16,
    )
}

/// Where a window begins whose first content is this number: well below it, seen as a double, but
/// above none of its bits.
fn base_for(number: i128, shift: u16) -> u16 {
    let bits = 128 - number.unsigned_abs().leading_zeros() as u16;
    let as_double = (shift + bits).saturating_sub(FRACTION_BITS as u16 + 1);
    let lowest = shift + number.trailing_zeros().min(127) as u16;
    let base = as_double.saturating_sub(BELOW).min(lowest).min(BASE_MAX);
    base / ALIGNMENT * ALIGNMENT
}

/// `number · 2^by` if it fits.
fn raised(number: i128, by: u16) -> Option<i128> {
    let free = number.unsigned_abs().leading_zeros();
    (u32::from(by) + 1 < free).then(|| number << by)
}

/// `magnitude · 2^(position − 1074)` of a magnitude above 0, rounded half to even.
fn rounded(negative: bool, magnitude: u128, position: u32) -> f64 {
    let top = position + 127 - magnitude.leading_zeros();
    // Below 2⁵³ units every integer is a double, and its bits are the integer.
    let shift = top.saturating_sub(FRACTION_BITS);
    let kept = if shift <= position {
        (magnitude << (position - shift)) as u64
    } else {
        half_even(magnitude, shift - position)
    };
    // A mantissa that rounds up to 2⁵³ carries into the exponent, as it must.
    let bits = (u64::from(shift) << FRACTION_BITS) + kept;
    let bits = bits.min(f64::INFINITY.to_bits());
    f64::from_bits(bits | u64::from(negative) << 63)
}

/// The magnitude without its lowest `drop` bits, rounded; `drop` is below 128.
fn half_even(magnitude: u128, drop: u32) -> u64 {
    let kept = (magnitude >> drop) as u64;
    let dropped = magnitude & ((1 << drop) - 1);
    let half = 1u128 << (drop - 1);
    let up = dropped > half || (dropped == half && kept & 1 == 1);
    kept + u64::from(up)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64]) -> f64 {
        values.iter().copied().collect::<ExactSum>().value()
    }

    fn bytes(sum: &ExactSum) -> Vec<u8> {
        let mut bytes = Vec::new();
        sum.write(&mut bytes);
        bytes
    }

    #[test]
    fn what_naive_sums_lose() {
        assert_eq!(sum(&[1e100, 1.0, -1e100]), 1.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[1e308, 1e308, -1e308]), 1e308);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX, -f64::MAX]), 0.0);
        assert_eq!(sum(&[5e-324, 5e-324]), 1e-323);
        assert_eq!(sum(&[f64::MIN_POSITIVE, -5e-324]).to_bits(), (1 << 52) - 1);
        assert_eq!(sum(&[1e16, 1.0]), 1e16, "half to even");
        assert_eq!(sum(&[1e16, 1.0, 5e-324]), 1e16 + 2.0, "just above the half");
        assert_eq!(sum(&[-1e16, -1.0, -5e-324]), -1e16 - 2.0);
    }

    #[test]
    fn of_nothing_and_of_zeros() {
        for values in [&[][..], &[0.0], &[-0.0], &[-0.0, 0.0], &[1.5, -1.5]] {
            assert_eq!(sum(values).to_bits(), 0, "{values:?}");
            assert_eq!(bytes(&values.iter().copied().collect()), [VERSION, 0]);
        }
    }

    #[test]
    fn infinities_and_nan() {
        let (plus, minus) = (f64::INFINITY, f64::NEG_INFINITY);
        assert_eq!(sum(&[1.0, plus, -3.0]), plus);
        assert_eq!(sum(&[minus, 1.0, minus]), minus);
        assert!(sum(&[plus, minus]).is_nan());
        assert!(sum(&[1.0, f64::NAN]).is_nan());
        let undefined: ExactSum = [plus, 2.0, minus].into_iter().collect();
        assert_eq!(bytes(&undefined), [VERSION, NAN]);
        let mut merged: ExactSum = [plus].into_iter().collect();
        merged.merge(&[minus].into_iter().collect());
        assert_eq!(bytes(&merged), [VERSION, NAN]);
    }

    #[test]
    fn a_full_window_is_emptied() {
        let large = 2f64.powi(71);
        let mut sum: ExactSum = [1.0].into_iter().collect();
        sum.extend(std::iter::repeat_n(large, 1 << 16));
        sum.extend(std::iter::repeat_n(-large, (1 << 16) - 1));
        sum.add(-1.0);
        assert_eq!(sum.value(), large);
    }

    #[test]
    fn bytes_of_practice_are_short() {
        let sum: ExactSum = (0..100_000).map(|i| f64::from(i) * 0.01).collect();
        assert!(bytes(&sum).len() <= 16);
        assert_eq!(sum.heap_bytes(), 0);
        assert_eq!(size_of::<ExactSum>(), 32);
        let down: ExactSum = (0..100_000).rev().map(|i| f64::from(i) * 0.01).collect();
        assert_eq!(bytes(&down), bytes(&sum));
        assert_eq!(down.heap_bytes(), 0);
        let mut merged = ExactSum::from_bytes(&bytes(&sum)).expect("own bytes");
        assert_eq!(merged.heap_bytes(), 0);
        merged.merge(&down);
        merged.add(1e-3);
        assert_eq!(merged.heap_bytes(), 0);
    }

    #[test]
    fn other_bytes_are_refused() {
        let good = bytes(&[-1e300, 1e-300].into_iter().collect());
        assert!(ExactSum::from_bytes(&good).is_ok());
        for end in 0..2 {
            assert!(ExactSum::from_bytes(&good[..end]).is_err(), "{end}");
        }
        for bytes in [
            &[2, 0][..],
            &[1, 16],
            &[1, 3],
            &[1, NEGATIVE],
            &[1, NAN, 0],
            &[1, 0, 0],
            &[1, 0, 0, 0],
            &[1, 0, 0, 1, 0],
            &[1, 0, 0, 0, 1],
            &[
                1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1,
            ],
            &[1, 0, 0x98, 0x02, 1],
        ] {
            assert!(ExactSum::from_bytes(bytes).is_err(), "{bytes:?}");
        }
        let longest = [&[1, 0, 0][..], &[1; wide::BYTES_MAX as usize]].concat();
        let sum = ExactSum::from_bytes(&longest).expect("as many bytes as can be");
        assert_eq!(sum.value(), f64::INFINITY);
        assert_eq!(bytes(&sum), longest);
    }
}

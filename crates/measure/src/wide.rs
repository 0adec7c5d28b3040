//! An integer wide enough for any sum of doubles.
//!
//! Owns 2,304 bits in two's complement, in units of 2⁻¹⁰⁷⁴, the smallest double: the largest double
//! ends at bit 2,098, so 2²⁰⁰ of them do not overflow it. Used by exact sums for what lies outside
//! of their window.

const LIMBS: usize = 36;

/// Bytes of the magnitudes that are read from outside: 64 bits stay free for sums of them.
pub(crate) const BYTES_MAX: u64 = 8 * (LIMBS as u64 - 1);

/// The lowest limb first.
#[derive(Debug, Clone)]
pub(crate) struct Wide([u64; LIMBS]);

impl Default for Wide {
    fn default() -> Self {
        Self([0; LIMBS])
    }
}

impl Wide {
    /// Adds another.
    pub(crate) fn add(&mut self, other: &Wide) {
        let mut carry = false;
        for (limb, &added) in self.0.iter_mut().zip(&other.0) {
            (*limb, carry) = with_carry(*limb, added, carry);
        }
    }

    /// Adds `number · 2^position`.
    pub(crate) fn add_scaled(&mut self, number: i128, position: u32) {
        let (first, offset) = (position as usize / 64, position % 64);
        let sign = (number >> 127) as u64;
        let middle = if offset == 0 {
            (number >> 64) as u64
        } else {
            (number >> (64 - offset)) as u64
        };
        let high = if offset == 0 {
            sign
        } else {
            (number >> (128 - offset).min(127)) as u64
        };
        let parts = [(number as u64) << offset, middle, high];
        let mut carry = false;
        for (index, limb) in self.0[first..].iter_mut().enumerate() {
            let added = parts.get(index).copied().unwrap_or(sign);
            if index >= parts.len() && added == u64::from(carry).wrapping_neg() {
                // Zeros without a carry, or ones with it: nothing changes from here on.
                break;
            }
            (*limb, carry) = with_carry(*limb, added, carry);
        }
    }

    /// Whether it is below 0, and its absolute value.
    pub(crate) fn into_magnitude(mut self) -> (bool, Self) {
        let negative = self.0[LIMBS - 1] >> 63 == 1;
        if negative {
            let mut carry = true;
            for limb in &mut self.0 {
                (*limb, carry) = with_carry(!*limb, 0, carry);
            }
        }
        (negative, self)
    }

    /// The two highest limbs of a magnitude from its highest bit on, and their position; the lowest bit
    /// is set too where anything below is, so that rounding sees it. 0 of 0.
    pub(crate) fn leading(&self) -> (u128, u32) {
        let Some(top) = self.0.iter().rposition(|&limb| limb != 0) else {
            return (0, 0);
        };
        let low = top.saturating_sub(1);
        let pair = if top == low {
            u128::from(self.0[top])
        } else {
            u128::from(self.0[top]) << 64 | u128::from(self.0[low])
        };
        let below = self.0[..low].iter().any(|&limb| limb != 0);
        (pair | u128::from(below), 64 * low as u32)
    }

    /// The bytes of a magnitude, the lowest first.
    pub(crate) fn to_bytes(&self) -> [u8; 8 * LIMBS] {
        let mut bytes = [0; 8 * LIMBS];
        for (bytes, limb) in bytes.chunks_exact_mut(8).zip(&self.0) {
            bytes.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }
}

fn with_carry(limb: u64, added: u64, carry: bool) -> (u64, bool) {
    let (sum, one) = limb.overflowing_add(added);
    let (sum, two) = sum.overflowing_add(u64::from(carry));
    (sum, one | two)
}

//! Random secrets.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Ids that one secret is made of: each holds at least 32 bits of the system's randomness.
const IDS: usize = 32;

/// 256 bits that nobody can guess, from the random source of the operating system.
///
/// They are the hash of random ids: the one source of randomness that the server has on every
/// system. `IDS` of them hold at least 1,024 random bits, more than a hash lets through.
#[must_use]
pub fn random_secret() -> [u8; 32] {
    let mut hash = Sha256::new();
    for _ in 0..IDS {
        hash.update(Uuid::now_v7().as_bytes());
    }
    hash.finalize().into()
}

/// `bytes` in lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The 32 bytes of 64 hexadecimal digits.
pub(super) fn from_hexadecimal(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Whether both are equal, in a time that does not depend on where they differ.
pub(super) fn is_equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let pairs = one.iter().zip(other);
    let difference = pairs.fold(0, |difference, (one, other)| difference | (one ^ other));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ() {
        assert_ne!(random_secret(), random_secret());
    }

    #[test]
    fn digits_are_read_back() {
        let bytes: [u8; 32] = std::array::from_fn(|at| at as u8 * 8 + 7);
        assert_eq!(from_hexadecimal(&hexadecimal(&bytes)), Some(bytes));
        assert_eq!(from_hexadecimal(&"F".repeat(64)), Some([255; 32]));
        for text in [
            "",
            &"0".repeat(63),
            &"0".repeat(66),
            &"+f".repeat(32),
            &"é".repeat(32),
        ] {
            assert_eq!(from_hexadecimal(text), None, "{text}");
        }
    }

    #[test]
    fn equality_sees_every_bit() {
        let one = [0; 32];
        assert!(is_equal(&one, &one));
        for bit in 0..256 {
            let mut other = one;
            other[bit / 8] = 1 << (bit % 8);
            assert!(!is_equal(&one, &other), "bit {bit}");
        }
    }
}

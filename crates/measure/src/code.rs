//! Reading and writing the few numbers that states are made of.
//!
//! Varints are LEB128, little-endian groups of seven bits. Invariant: one number has one form (an
//! overlong varint is refused), so that equal states have equal bytes, and reading never goes past
//! the end.

use crate::Error;

/// Appends a number of any size in as few bytes as it needs, at most ten.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Maps small numbers of either sign to small numbers: 0, −1, 1, −2 become 0, 1, 2, 3.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// A cursor over bytes that may be anything.
pub(crate) struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes, at: 0 }
    }

    /// The error for something wrong at the byte read last (or at the end).
    pub(crate) fn corrupt(&self) -> Error {
        Error::Corrupt {
            what: self.what,
            offset: self.at.saturating_sub(1),
        }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        let found = self.bytes.get(self.at).copied();
        self.at += 1;
        found.ok_or_else(|| self.corrupt())
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let end = self.at.saturating_add(length);
        let found = self.bytes.get(self.at..end);
        self.at = end;
        found.ok_or(Error::Corrupt {
            what: self.what,
            offset: self.bytes.len(),
        })
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// Checks a version byte.
    pub(crate) fn version(&mut self, known: u8) -> Result<(), Error> {
        let found = self.byte()?;
        if found == known {
            Ok(())
        } else {
            Err(Error::Version {
                what: self.what,
                found,
            })
        }
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return Err(self.corrupt());
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                // A last byte of zero would be a longer form of a shorter number.
                return if byte == 0 && shift > 0 {
                    Err(self.corrupt())
                } else {
                    Ok(value)
                };
            }
        }
        Err(self.corrupt())
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(Error::Corrupt {
                what: self.what,
                offset: self.at,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back() {
        for value in [
            0,
            1,
            127,
            128,
            300,
            u64::from(u32::MAX),
            i64::MAX as u64,
            u64::MAX,
        ] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut reader = Reader::new("number", &bytes);
            assert_eq!(reader.varint(), Ok(value));
            assert_eq!(reader.finish(), Ok(()));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for bytes in [&[0x80, 0x00][..], &[0x80], &[], &[0xff; 10], &[0xff; 11]] {
            assert!(Reader::new("number", bytes).varint().is_err(), "{bytes:?}");
        }
    }
}

//! CRC32C (Castagnoli, polynomial 0x1EDC6F41 as in RFC 3720), and checking a region of a file
//! against it before the file is mapped.
//!
//! It owns the checksum and the reading of a region, not where checksums are recorded.

use crate::directory::ReadFile;
use crate::error::{DiskError, Result};

/// How much of a region is read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// The CRC32C of `bytes`; 0 for no bytes. Uses the processor's instruction where there is one.
pub fn crc32c(bytes: &[u8]) -> u32 {
    ::crc32c::crc32c(bytes)
}

/// The CRC32C of the bytes whose checksum is `crc`, followed by `bytes`.
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    ::crc32c::crc32c_append(crc, bytes)
}

/// Reads the `len` bytes at `offset` by positioned reads in pieces of 1 MiB, and compares their
/// CRC32C with `expected`. A region of no bytes has checksum 0.
///
/// Reading instead of touching a map turns a failing medium into an error; blocks the thread.
///
/// # Errors
/// `Damaged` with path, offset, expected and found where the checksum differs, or where the file
/// ends before the region does; `Io`.
pub fn verify_crc32c(file: &dyn ReadFile, offset: u64, len: u64, expected: u32) -> Result<()> {
    let short = |length| DiskError::Short {
        path: file.path().to_path_buf(),
        offset,
        wanted: len,
        length,
    };
    // Asked before anything is read: a damaged footer may claim a region of any size.
    let length = file.len()?;
    let end = offset
        .checked_add(len)
        .filter(|end| *end <= length)
        .ok_or_else(|| short(length))?;

    let piece_bytes = usize::try_from(len).map_or(PIECE_BYTES, |len| len.min(PIECE_BYTES));
    let mut piece = vec![0; piece_bytes];
    let mut found = 0;
    let mut position = offset;
    while position < end {
        let wanted = usize::try_from(end - position).map_or(PIECE_BYTES, |n| n.min(PIECE_BYTES));
        let bytes = &mut piece[..wanted];
        file.read_at(position, bytes)?;
        found = crc32c_append(found, bytes);
        position += wanted as u64;
    }
    if found == expected {
        return Ok(());
    }
    let path = file.path().to_path_buf();
    Err(DiskError::Checksum {
        path,
        offset,
        length: len,
        expected,
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // RFC 3720, appendix B.4, and the usual check value of the polynomial.
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c_append(crc32c(b"12345"), b"6789"), 0xE306_9283);
    }
}

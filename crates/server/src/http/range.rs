//! `Range`: which bytes of a representation a request wants (RFC 9110, section 14).
//!
//! One range is served, of either form. Several at once, other units and what cannot be read give
//! the whole representation, as the RFC allows: a client that asked for parts sees a 200 and takes
//! what it needs.

use std::ops::Range;

/// What a request wants of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes; never empty.
    Part(Range<u64>),
    /// Bytes that it does not have.
    Nothing,
}

/// What the value of a `Range` header wants of `length` bytes.
pub(super) fn wanted(header: &str, length: u64) -> Wanted {
    let Some(set) = bytes_of(header) else {
        return Wanted::Whole;
    };
    // A list may have empty elements.
    let mut specs = set
        .split(',')
        .map(str::trim)
        .filter(|spec| !spec.is_empty());
    let (Some(spec), None) = (specs.next(), specs.next()) else {
        return Wanted::Whole;
    };
    match spec.split_once('-') {
        Some(("", suffix)) => last_bytes(suffix, length),
        Some((first, last)) => from_first(first, last, length),
        None => Wanted::Whole,
    }
}

/// What stands behind `bytes=`; names of units do not depend on case.
fn bytes_of(header: &str) -> Option<&str> {
    let (unit, set) = header.trim().split_once('=')?;
    unit.eq_ignore_ascii_case("bytes").then_some(set)
}

/// `FIRST-` and `FIRST-LAST`
fn from_first(first: &str, last: &str, length: u64) -> Wanted {
    let Some(first) = number(first) else {
        return Wanted::Whole;
    };
    let last = match last {
        "" => u64::MAX,
        last => match number(last) {
            Some(last) if last >= first => last,
            _ => return Wanted::Whole,
        },
    };
    if first >= length {
        return Wanted::Nothing;
    }
    Wanted::Part(first..last.saturating_add(1).min(length))
}

/// `-SUFFIX`
fn last_bytes(suffix: &str, length: u64) -> Wanted {
    match number(suffix) {
        None => Wanted::Whole,
        Some(0) => Wanted::Nothing,
        Some(_) if length == 0 => Wanted::Nothing,
        Some(suffix) => Wanted::Part(length.saturating_sub(suffix)..length),
    }
}

/// A number of digits only; one past 64 bits is as good as the largest, for no file is as long.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 9110, section 14.1.2, over 10,000 bytes.
    #[test]
    fn the_examples_of_the_rfc() {
        for (header, expected) in [
            ("bytes=0-499", 0..500),
            ("bytes=500-999", 500..1_000),
            ("bytes=-500", 9_500..10_000),
            ("bytes=9500-", 9_500..10_000),
            ("bytes=0-0", 0..1),
            ("bytes=-1", 9_999..10_000),
            // Section 14.1.2: past the end means the end.
            ("bytes=9500-20000", 9_500..10_000),
            ("bytes=-20000", 0..10_000),
        ] {
            assert_eq!(wanted(header, 10_000), Wanted::Part(expected), "{header}");
        }
    }

    #[test]
    fn bytes_that_are_not_there() {
        for (header, length) in [
            ("bytes=10000-", 10_000),
            ("bytes=10000-10001", 10_000),
            ("bytes=-0", 10_000),
            ("bytes=99999999999999999999999-", 10_000),
            ("bytes=0-", 0),
            ("bytes=-5", 0),
        ] {
            assert_eq!(wanted(header, length), Wanted::Nothing, "{header}");
        }
    }

    #[test]
    fn what_is_no_single_range_gives_the_whole() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=1",
            "bytes=0-0,-1",
            "bytes=500-600,601-999",
            "items=0-5",
            "bytes 0-5",
            "bytes=0x1-5",
        ] {
            assert_eq!(wanted(header, 10_000), Wanted::Whole, "{header:?}");
        }
    }

    #[test]
    fn spaces_case_and_empty_elements_do_not_matter() {
        for header in [
            "Bytes=1-2",
            "bytes= 1-2",
            "bytes=1-2,",
            "bytes=, 1-2 ,",
            " bytes=1-2 ",
        ] {
            assert_eq!(wanted(header, 10), Wanted::Part(1..3), "{header:?}");
        }
    }

    #[test]
    fn numbers_past_64_bits_are_past_the_end() {
        let header = "bytes=3-99999999999999999999999";
        assert_eq!(wanted(header, 10), Wanted::Part(3..10));
        let header = "bytes=-99999999999999999999999";
        assert_eq!(wanted(header, 10), Wanted::Part(0..10));
        assert_eq!(
            wanted("bytes=0-18446744073709551615", u64::MAX),
            Wanted::Part(0..u64::MAX)
        );
    }
}

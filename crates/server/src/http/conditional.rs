//! Conditional requests (RFC 9110, section 13): whether a representation is sent, and whether in
//! parts.
//!
//! Every representation has a strong entity tag and no date, so the conditions on dates are passed
//! over, as the RFC says: `If-Modified-Since`, `If-Unmodified-Since`, and a date in `If-Range`.

use axum::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use axum::http::{HeaderValue, Method};

/// What the conditions of a request come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it; of a range where there is one to honour.
    Send {
        /// The value of `Range`.
        range: Option<String>,
    },
    /// 304: the client has it.
    NotModified,
    /// 412: the client wanted another one.
    Failed,
}

/// Judges a GET or HEAD of the representation whose entity tag is `etag`, quotes included.
pub(super) fn judge(method: &Method, headers: &HeaderMap, etag: &[u8]) -> Verdict {
    if headers.contains_key(IF_MATCH) && !names(headers, IF_MATCH, etag, Comparison::Strong) {
        return Verdict::Failed;
    }
    if names(headers, IF_NONE_MATCH, etag, Comparison::Weak) {
        return Verdict::NotModified;
    }
    // Only GET has ranges.
    let range = match method {
        &Method::GET if is_in_range(headers, etag) => single(headers, RANGE),
        _ => None,
    };
    Verdict::Send { range }
}

/// Whether `If-Range` lets a range be honoured.
fn is_in_range(headers: &HeaderMap, etag: &[u8]) -> bool {
    match headers.get(IF_RANGE) {
        None => true,
        Some(value) => value.as_bytes().trim_ascii() == etag,
    }
}

/// The value of a header that stands there once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| value.to_owned())
}

/// How entity tags are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag equals none.
    Strong,
    /// A weak tag equals the strong one of the same text.
    Weak,
}

/// Whether the header's list of entity tags, or its `*`, names `etag`.
fn names(headers: &HeaderMap, name: HeaderName, etag: &[u8], comparison: Comparison) -> bool {
    let values = headers.get_all(name).into_iter();
    let mut lists = values.map(HeaderValue::as_bytes);
    lists.any(|list| {
        if list.trim_ascii() == b"*" {
            return true;
        }
        // No tag of Vitalog holds a comma, so one that was cut at a comma equals none.
        list.split(|&byte| byte == b',').any(|tag| {
            let tag = tag.trim_ascii();
            match tag.strip_prefix(b"W/") {
                Some(weak) => comparison == Comparison::Weak && weak == etag,
                None => tag == etag,
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"xyzzy\"";

    fn judged(method: &Method, headers: &[(&'static str, &str)]) -> Verdict {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        judge(method, &map, ETAG.as_bytes())
    }

    fn sent(range: Option<&str>) -> Verdict {
        let range = range.map(str::to_owned);
        Verdict::Send { range }
    }

    /// The examples of RFC 9110, sections 13.1.1 and 13.1.2.
    #[test]
    fn the_examples_of_the_rfc() {
        for (header, value, expected) in [
            ("if-match", "\"xyzzy\"", sent(None)),
            (
                "if-match",
                "\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\"",
                sent(None),
            ),
            ("if-match", "*", sent(None)),
            ("if-match", "\"r2d2xxxx\"", Verdict::Failed),
            ("if-none-match", "\"xyzzy\"", Verdict::NotModified),
            ("if-none-match", "W/\"xyzzy\"", Verdict::NotModified),
            (
                "if-none-match",
                "W/\"r2d2xxxx\", W/\"xyzzy\", W/\"c3piozzzz\"",
                Verdict::NotModified,
            ),
            ("if-none-match", "*", Verdict::NotModified),
            ("if-none-match", "\"r2d2xxxx\"", sent(None)),
        ] {
            for method in [Method::GET, Method::HEAD] {
                assert_eq!(
                    judged(&method, &[(header, value)]),
                    expected,
                    "{header}: {value}"
                );
            }
        }
    }

    #[test]
    fn a_weak_tag_never_matches_strongly() {
        let weak = "W/\"xyzzy\"";
        assert_eq!(judged(&Method::GET, &[("if-match", weak)]), Verdict::Failed);
        let headers = [("if-range", weak), ("range", "bytes=0-1")];
        assert_eq!(judged(&Method::GET, &headers), sent(None));
    }

    #[test]
    fn if_match_goes_before_if_none_match_and_that_before_a_range() {
        let headers = [("if-match", "\"a\""), ("if-none-match", ETAG)];
        assert_eq!(judged(&Method::GET, &headers), Verdict::Failed);
        let headers = [("if-none-match", ETAG), ("range", "bytes=0-1")];
        assert_eq!(judged(&Method::GET, &headers), Verdict::NotModified);
        let headers = [("if-none-match", "\"a\""), ("if-none-match", ETAG)];
        assert_eq!(
            judged(&Method::GET, &headers),
            Verdict::NotModified,
            "two lines are one list"
        );
    }

    #[test]
    fn a_range_is_honoured_for_the_same_representation_only() {
        let range = ("range", "bytes=0-1");
        assert_eq!(judged(&Method::GET, &[range]), sent(Some("bytes=0-1")));
        assert_eq!(judged(&Method::HEAD, &[range]), sent(None));
        assert_eq!(
            judged(&Method::GET, &[range, ("if-range", ETAG)]),
            sent(Some("bytes=0-1"))
        );
        for other in ["\"abc\"", "xyzzy", "*", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(
                judged(&Method::GET, &[range, ("if-range", other)]),
                sent(None),
                "{other}"
            );
        }
        assert_eq!(
            judged(&Method::GET, &[range, range]),
            sent(None),
            "two ranges are several"
        );
    }

    #[test]
    fn dates_say_nothing_of_what_has_none() {
        let past = "Sat, 29 Oct 1994 19:43:31 GMT";
        for header in ["if-modified-since", "if-unmodified-since"] {
            assert_eq!(
                judged(&Method::GET, &[(header, past)]),
                sent(None),
                "{header}"
            );
        }
    }
}

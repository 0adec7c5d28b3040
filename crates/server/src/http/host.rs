//! Whom a request means to reach.
//!
//! A server that everyone on its machine may ask would also answer a web page that lets its own
//! name point to this machine. Such a request names the page's host: it is refused.

use axum::http::HeaderValue;
use axum::http::header::{HOST, HeaderMap};

/// Whether the `Host` of a request is this machine by a name that nobody else can give it. One
/// without a `Host` comes from no browser.
pub(super) fn is_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else {
        return true;
    };
    host.to_str().is_ok_and(|host| is_local_name(name_of(host)))
}

/// Whether the `Origin` of a request is a page of this machine. One that hides its origin (`null`)
/// may be any.
pub(super) fn is_local_origin(origin: &HeaderValue) -> bool {
    let host = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"));
    host.is_some_and(|(_, host)| is_local_name(name_of(host)))
}

/// `HOST:PORT` or `HOST` without its port.
fn name_of(host: &str) -> &str {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

fn is_local_name(name: &str) -> bool {
    if let Ok(address) = name.parse::<std::net::IpAddr>() {
        return address.is_loopback();
    }
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_local(host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().expect("a value"));
        is_this_machine(&headers)
    }

    #[test]
    fn names_that_only_this_machine_has() {
        assert!(is_this_machine(&HeaderMap::new()));
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "vitalog.localhost:1",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(is_local(host), "{host}");
        }
    }

    #[test]
    fn pages_of_this_machine() {
        let is_local = |origin: &str| is_local_origin(&origin.parse().expect("a value"));
        assert!(is_local("http://localhost:3000"));
        assert!(is_local("https://127.0.0.1"));
        for origin in [
            "null",
            "",
            "https://example.com",
            "http://localhost.example.com:80",
        ] {
            assert!(!is_local(origin), "{origin}");
        }
    }

    #[test]
    fn names_that_anyone_may_have() {
        for host in [
            "",
            "example.com",
            "localhost.example.com:8080",
            "127.0.0.1.example.com",
            "192.168.1.7:8080",
            "[2001:db8::1]:8080",
            "notlocalhost",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}

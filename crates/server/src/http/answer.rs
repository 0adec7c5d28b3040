//! Answers of HTTP: errors as JSON, and the headers that all have in common.

use axum::body::Body;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::reason::Reason;

/// The type of JSON.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// Tells browsers to take the type of an answer at its word.
const NOSNIFF: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-content-type-options"),
    HeaderValue::from_static("nosniff"),
);

/// An answer with this status and body, and no further header.
pub(super) fn answer(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let (name, value) = NOSNIFF;
    response.headers_mut().insert(name, value);
    response
}

/// A line of text that is not kept by anyone.
pub(super) fn line(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = answer(status, Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, TEXT);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What a request gets that failed: the status of its reason, and
/// `{"error":{"reason":"…","message":"…",…}}` with the facts beside them.
pub(super) fn refusal(fault: &Fault) -> Response<Body> {
    let reason = fault.reason;
    fault.log();
    let mut error = Map::new();
    error.insert("reason".to_owned(), json!(reason.as_str()));
    error.insert("message".to_owned(), json!(fault.message()));
    for (name, fact) in fault.facts() {
        error.insert((*name).to_owned(), json!(fact));
    }
    let mut body = json!({ "error": Value::Object(error) }).to_string();
    body.push('\n');
    let mut response = answer(reason.status(), Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match reason {
        Reason::Unauthenticated => {
            let challenge = HeaderValue::from_static("Bearer realm=\"vitalog\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        Reason::MethodNotAllowed => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        Reason::ShuttingDown => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    if let Some(delay) = reason.retry_after() {
        let seconds = delay.as_millis().div_ceil(1_000) as u64;
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    *response.body_mut() = Body::from(body);
    // For the record.
    response.extensions_mut().insert(reason);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(response: &Response<Body>, name: HeaderName) -> Option<&str> {
        let value = response.headers().get(name)?;
        value.to_str().ok()
    }

    #[test]
    fn a_refusal_says_how_to_go_on() {
        let denied = refusal(&Fault::new(Reason::Unauthenticated, "who are you?"));
        assert_eq!(denied.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            header(&denied, WWW_AUTHENTICATE),
            Some("Bearer realm=\"vitalog\"")
        );
        assert_eq!(header(&denied, CACHE_CONTROL), Some("no-store"));
        let busy = refusal(&Fault::busy("downloads"));
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(header(&busy, RETRY_AFTER), Some("1"), "0.5 s, rounded up");
        let leaving = refusal(&Fault::shutting_down());
        assert_eq!(header(&leaving, CONNECTION), Some("close"));
        let method = refusal(&Fault::new(Reason::MethodNotAllowed, "PUT"));
        assert_eq!(header(&method, ALLOW), Some("GET, HEAD"));
    }
}

//! `POST /query`: a statement in the body, its rows as CSV, JSON, Parquet or Arrow.
//!
//! It owns how a request of HTTP spells a statement and how rows become a body. Running it is
//! `statements`', values are `rows`'. Invariants: whatever goes wrong before the first row is an
//! error with its status; after it the body breaks, so that a short answer never looks whole.

mod body;
mod format;
mod parameters;
mod wanted;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use futures::StreamExt;

use self::format::{accepted, media_type};
use self::wanted::Wanted;
use super::Site;
use super::answer::{answer, refusal};
use super::host::is_local_origin;
use super::pace::Pace;
use super::right::{self, Leave, guard_host};
use crate::auth::Scope;
use crate::fault::{Fault, Reason};
use crate::limits::RECEIVE_BYTES_MAX;
use crate::statements::{Caller, Surface};

/// The seq up to which the statement saw the store.
const SEQ: HeaderName = HeaderName::from_static("vitalog-seq");
/// The id under which the statement is listed and can be cancelled.
const QUERY_ID: HeaderName = HeaderName::from_static("vitalog-query-id");

/// Answers one request to `/query`.
pub(super) async fn run(
    State(site): State<Arc<Site>>,
    ConnectInfo(pace): ConnectInfo<Pace>,
    request: Request,
) -> Response<Body> {
    match respond(&site, &pace, request).await {
        Ok(response) => response,
        Err(fault) => {
            let mut response = refusal(&fault);
            if fault.reason == Reason::MethodNotAllowed {
                let post = HeaderValue::from_static("POST");
                response.headers_mut().insert(ALLOW, post);
            }
            response
        }
    }
}

async fn respond(site: &Arc<Site>, pace: &Pace, request: Request) -> Result<Response<Body>, Fault> {
    let held = (site.gate.enter()?, pace.begin());
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        let message = "only POST is answered here, with the statement as its body";
        return Err(Fault::new(Reason::MethodNotAllowed, message));
    }
    let leave = Leave::of(site, &head, Scope::Read);
    let caller = caller_of(site, &head, pace.peer())?;
    let body = whole(site, body).await?;
    let wanted = Wanted::of(&head, &body)?;
    let format = match wanted.format {
        Some(format) => format,
        None => accepted(&head.headers)?,
    };
    let mut rows = site.statements.start(wanted.ask(caller)).await?;
    // The first rows before the head: what fails at once has a status of its own.
    let first = match rows.next().await {
        None => None,
        Some(Ok(batch)) => Some(batch),
        Some(Err(fault)) => return Err(fault),
    };
    let mut response = answer(StatusCode::OK, Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type(format));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(SEQ, HeaderValue::from(rows.seq()));
    if let Ok(id) = HeaderValue::from_str(rows.id()) {
        headers.insert(QUERY_ID, id);
    }
    let readers = site.readers.clone();
    *response.body_mut() = body::of_rows(format, rows, first, readers, leave, held)?;
    Ok(response)
}

/// Who asks, if they may.
fn caller_of(site: &Site, head: &Parts, peer: Option<SocketAddr>) -> Result<Caller, Fault> {
    guard_host(site, head)?;
    // A browser lets any page send statements here, though not read their rows.
    let is_own_page = head.headers.get(ORIGIN).is_none_or(is_local_origin);
    if site.guards_host && !is_own_page {
        return Err(Fault::new(
            Reason::WrongHost,
            "without tokens requests of pages of other hosts are not answered; configure tokens",
        ));
    }
    let principal = right::caller(site, head, Scope::Read)?;
    Ok(Caller::of(Surface::Http, &principal, peer))
}

/// The body of a request, which is small and comes in time.
async fn whole(site: &Site, body: Body) -> Result<Vec<u8>, Fault> {
    let reading = to_bytes(body, RECEIVE_BYTES_MAX);
    match tokio::time::timeout(site.request_wait, reading).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) => {
            let message = format!(
                "the body could not be read, or has more than {RECEIVE_BYTES_MAX} bytes: {error}"
            );
            Err(Fault::new(Reason::RequestTooLarge, message))
        }
        Err(_) => {
            let message = "the body of the request did not come in time";
            Err(Fault::new(Reason::DeadlineExceeded, message))
        }
    }
}

/// See [`crate::http::is_statement`].
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn is_statement(words: &str, media: &str, accept: &str, body: &[u8]) -> bool {
    let request = axum::http::Request::post(format!("/query?{words}"))
        .header(CONTENT_TYPE, media)
        .header(axum::http::header::ACCEPT, accept)
        .body(());
    let Ok(request) = request else {
        return false;
    };
    let (head, ()) = request.into_parts();
    Wanted::of(&head, body).is_ok() && accepted(&head.headers).is_ok()
}

/// A header's value as text.
fn text_of<'a>(head: &'a Parts, name: &HeaderName) -> Result<Option<&'a str>, Fault> {
    let Some(value) = head.headers.get(name) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| {
        let message = "is no text";
        Fault::of_field(Reason::InvalidRequest, name.as_str(), message)
    })?;
    Ok(Some(text))
}

/// Refuses bodies that are compressed: nothing here unpacks them.
fn check_encoding(head: &Parts) -> Result<(), Fault> {
    match text_of(head, &CONTENT_ENCODING)? {
        None | Some("identity") => Ok(()),
        Some(other) => {
            let message = format!("{other:?} is not taken; send the statement as it is");
            let reason = Reason::InvalidRequest;
            Err(Fault::of_field(reason, "content-encoding", message))
        }
    }
}

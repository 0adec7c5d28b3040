//! `/snapshots/…`: what is asked for is found, judged by its conditions, and sent whole or in part.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Site;
use super::address::Address;
use super::answer::{answer as bare, refusal};
use super::body;
use super::conditional::{Verdict, judge};
use super::pace::{Pace, UnderWay};
use super::range::{Wanted, wanted};
use super::representation::{self, Content, Label, Representation};
use super::right::{Leave, Signing, guard_host, right_to};
use crate::admission::turn;
use crate::fault::{Fault, Reason};

/// Answers one request below `/snapshots`.
pub(super) async fn answer(
    State(site): State<Arc<Site>>,
    ConnectInfo(pace): ConnectInfo<Pace>,
    request: Request,
) -> Response<Body> {
    let pace = pace.begin();
    // Nothing reads a body of a request.
    let (request, _) = request.into_parts();
    match respond(&site, pace, &request).await {
        Ok(response) => response,
        Err(fault) => refusal(&fault),
    }
}

/// A method that nothing here takes.
pub(super) fn other_method() -> Fault {
    Fault::new(
        Reason::MethodNotAllowed,
        "only GET and HEAD are answered here",
    )
}

async fn respond(
    site: &Arc<Site>,
    pace: UnderWay,
    request: &Parts,
) -> Result<Response<Body>, Fault> {
    let gate = site.gate.enter()?;
    let (method, headers) = (&request.method, &request.headers);
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(other_method());
    }
    guard_host(site, request)?;
    let address = Address::parse(request.uri.path());
    let (leave, signing) = right_to(site, request, address.as_ref())?;
    let Some(address) = address else {
        return Err(Fault::new(
            Reason::PathNotFound,
            "there is nothing here; snapshots are listed at /snapshots/",
        ));
    };
    let Representation { label, content } = find(site, address, signing).await?;
    let range = match judge(method, headers, label.etag.as_bytes()) {
        Verdict::NotModified => return Ok(head(StatusCode::NOT_MODIFIED, &label)),
        Verdict::Failed => return Ok(failed(&label)),
        Verdict::Send { range } => range,
    };
    let wanted = range.map_or(Wanted::Whole, |range| wanted(&range, label.length));
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..label.length),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => return Ok(unsatisfiable(&label)),
    };
    let body = match method {
        &Method::HEAD => Body::empty(),
        _ => body_of(site, content, range.clone(), leave, (gate, pace)).await?,
    };
    Ok(sent(status, &label, &range, body))
}

/// Finds and opens what `address` names, on a thread that may block.
async fn find(
    site: &Arc<Site>,
    address: Address,
    signing: Option<Signing>,
) -> Result<Representation, Fault> {
    let shelf = site.shelf.clone();
    let finding =
        tokio::task::spawn_blocking(move || representation::of(&shelf, &address, signing.as_ref()));
    match tokio::time::timeout(site.call_timeout, finding).await {
        Ok(found) => found.map_err(|error| Fault::of_task(&error))?,
        Err(_) => Err(Fault::new(
            Reason::DeadlineExceeded,
            "the disk did not answer in time",
        )),
    }
}

/// The bytes of `range`. A file waits for a turn of downloads.
async fn body_of(
    site: &Site,
    content: Content,
    range: Range<u64>,
    leave: Leave,
    (gate, pace): (TaskTrackerToken, UnderWay),
) -> Result<Body, Fault> {
    match content {
        Content::Bytes(bytes) => {
            let range = range.start as usize..range.end as usize;
            Ok(Body::from(bytes.slice(range)))
        }
        Content::File(file) => {
            let slot = turn(&site.downloads, site.queue_wait, "downloads").await?;
            let held = (gate, pace, slot);
            Ok(body::of_file(
                file,
                range,
                site.readers.clone(),
                leave,
                held,
            ))
        }
    }
}

/// The head of an answer that describes the representation.
fn head(status: StatusCode, label: &Label) -> Response<Body> {
    let mut response = bare(status, Body::empty());
    let headers = response.headers_mut();
    headers.insert(ETAG, label.etag.clone());
    headers.insert(CACHE_CONTROL, label.cache.header());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

/// An answer with the bytes of `range`, or to HEAD without them.
fn sent(status: StatusCode, label: &Label, range: &Range<u64>, body: Body) -> Response<Body> {
    let mut response = head(status, label);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, label.media.clone());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let (first, last, length) = (range.start, range.end - 1, label.length);
        let range = format!("bytes {first}-{last}/{length}");
        headers.insert(CONTENT_RANGE, ascii(&range));
    }
    *response.body_mut() = body;
    response
}

/// 416, with the length that there is.
fn unsatisfiable(label: &Label) -> Response<Body> {
    let mut response = head(StatusCode::RANGE_NOT_SATISFIABLE, label);
    let range = format!("bytes */{}", label.length);
    let headers = response.headers_mut();
    headers.insert(CONTENT_RANGE, ascii(&range));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    // It is an answer about this request, not the representation.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 412: the client wanted another version.
fn failed(label: &Label) -> Response<Body> {
    let mut response = head(StatusCode::PRECONDITION_FAILED, label);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits and signs")
}

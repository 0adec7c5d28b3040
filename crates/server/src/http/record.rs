//! The record of each request: its metrics, and one line in the log where it failed or took long.
//!
//! Invariants as in [`crate::record`]: every request is recorded once, however it ends, without
//! anything that was sent but its request id.

use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Response};
use axum::middleware::Next;
use http_body::{Frame, SizeHint};
use thiserror::Error;

use super::Site;
use super::pace::{Pace, UnderWay};
use crate::fault::Reason;
use crate::metrics::{Metrics, Route};
use crate::record::{CallerName, REQUEST_ID, request_id};

/// Why an answer broke off after its head, as its record tells it.
#[derive(Clone, Copy, Debug, Error)]
#[error("the answer broke off: {}", .0.as_str())]
pub(super) struct BrokenOff(pub Reason);

/// Answers `request` and records the end of the answer.
pub(super) async fn recorded(
    State(site): State<Arc<Site>>,
    ConnectInfo(pace): ConnectInfo<Pace>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let record = Record {
        metrics: site.metrics.clone(),
        route: Route::of(request.uri().path()),
        slow: site.slow,
        started: Instant::now(),
        peer: pace.peer(),
        request_id: request_id(request.headers()),
        caller: CallerName::default(),
        answer: None,
        is_broken: false,
        _under_way: pace.begin(),
    };
    request.extensions_mut().insert(record.caller.clone());
    let answer = next.run(request).await;
    record.answered(answer)
}

/// A request under way. It ends when it is dropped: with its answer, or with its reader.
struct Record {
    metrics: Metrics,
    route: Route,
    slow: Option<Duration>,
    started: Instant,
    peer: Option<SocketAddr>,
    request_id: String,
    caller: CallerName,
    /// Status and reason, once there is an answer.
    answer: Option<(u16, Option<Reason>)>,
    /// Whether the answer ended before its last byte by a fault of the server's.
    is_broken: bool,
    _under_way: UnderWay,
}

impl Record {
    fn answered(mut self, mut answer: Response<Body>) -> Response<Body> {
        let reason = answer.extensions().get::<Reason>().copied();
        self.answer = Some((answer.status().as_u16(), reason));
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        answer.map(|body| Body::new(RecordedBody { body, record: self }))
    }

    /// The answer breaks off by `error`.
    fn broke_off(&mut self, error: &axum::Error) {
        let mut causes = std::iter::successors(error.source(), |error| (*error).source());
        let broken = causes.find_map(|error| error.downcast_ref::<BrokenOff>());
        self.is_broken = true;
        if let (Some((_, reason)), Some(BrokenOff(found))) = (&mut self.answer, broken) {
            *reason = Some(*found);
        }
    }
}

/// What is recorded of a request whose reader went away before there was an answer.
const GONE: u16 = 499;

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let (status, reason) = self.answer.unwrap_or_else(|| {
            if std::thread::panicking() {
                (500, Some(Reason::Internal))
            } else {
                (GONE, None)
            }
        });
        self.metrics.answered(self.route, status, took);
        let reason = reason.map_or("", Reason::as_str);
        if !reason.is_empty() {
            self.metrics.failed(reason);
        }
        let is_slow = self.slow.is_some_and(|slow| took >= slow) && self.route.is_quick();
        /// The fields are the same at every level, which must be a constant.
        macro_rules! line {
            ($level:ident, $text:literal) => {
                tracing::$level!(
                    target: "vitalog::call",
                    route = self.route.name(),
                    request_id = self.request_id,
                    peer = self.peer.map(tracing::field::display),
                    principal = self.caller.name(),
                    status,
                    reason,
                    duration_ms = took.as_millis() as u64,
                    $text
                )
            };
        }
        match status {
            _ if self.is_broken => line!(warn, "an answer broke off"),
            500 => line!(error, "a request failed"),
            501.. => line!(warn, "a request failed"),
            GONE => line!(debug, "a caller went away"),
            400.. => line!(info, "a request failed"),
            _ if is_slow => line!(warn, "a request was slow"),
            _ => {}
        }
    }
}

/// An answer whose end is recorded.
struct RecordedBody {
    body: Body,
    record: Record,
}

impl HttpBody for RecordedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(Err(error))) = &frame {
            this.record.broke_off(error);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

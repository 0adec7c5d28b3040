//! The record of each call: its metrics, and one line in the log where it failed or took long.
//!
//! It stands before admission, so that calls which are refused are recorded too, and sees an
//! answer to its end. Invariants: every call that began is recorded once, however it ends; a
//! record never holds what a caller sent but its request id, nor the text of an error, which may
//! quote it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::Layer;
use tracing::{Instrument, Span};

use crate::auth::Principal;
use crate::fault::{Fault, Reason};
use crate::limits::{METADATA_ENTRIES_MAX, REQUEST_ID_BYTES_MAX};
use crate::metrics::{Metrics, RpcMetrics, code_name};

/// The header by which a caller names a request, and is told its name.
pub(crate) const REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

/// Streams that take as long as their reader wants: none of them is slow.
const ENDLESS: [&str; 8] = [
    "vitalog.v1.EventService/Read",
    "vitalog.v1.EventService/AppendStream",
    "vitalog.v1.HealthService/Watch",
    "vitalog.v1.SnapshotService/Fetch",
    "arrow.flight.protocol.FlightService/DoPut",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Who called, told by admission to the record.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallerName(Arc<OnceLock<String>>);

impl CallerName {
    pub fn tell(&self, principal: &Principal) {
        if let Some(name) = principal.name() {
            let _ = self.0.set(name.to_owned());
        }
    }

    /// Empty where nobody told.
    pub fn name(&self) -> &str {
        self.0.get().map_or("", String::as_str)
    }
}

/// Records the calls of what it stands before.
#[derive(Clone, Debug)]
pub(crate) struct RecordLayer {
    pub metrics: Metrics,
    /// From how long on a call is slow; `None` finds none slow.
    pub slow: Option<Duration>,
}

impl<S> Layer<S> for RecordLayer {
    type Service = Recorded<S>;

    fn layer(&self, inner: S) -> Recorded<S> {
        let layer = self.clone();
        Recorded { inner, layer }
    }
}

/// See [`RecordLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Recorded<S> {
    inner: S,
    layer: RecordLayer,
}

impl<S> Service<http::Request<Body>> for Recorded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Self::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let call = Call::begin(&self.layer, &request);
        if let Some(fault) = too_many_entries(request.headers()) {
            return Box::pin(async move { Ok(call.answered(Status::from(fault).into_http())) });
        }
        request.extensions_mut().insert(call.caller.clone());
        let span = call.span.clone();
        let answer = self.inner.call(request).instrument(span);
        Box::pin(async move { Ok(call.answered(answer.await?)) })
    }
}

fn too_many_entries(headers: &http::HeaderMap) -> Option<Fault> {
    let entries = headers.len();
    (entries > METADATA_ENTRIES_MAX).then(|| {
        let message = format!(
            "the call has {entries} metadata entries, at most {METADATA_ENTRIES_MAX} are taken"
        );
        Fault::new(Reason::RequestTooLarge, message)
    })
}

/// A call under way. Dropping it before it ended is the caller's going away.
struct Call {
    metrics: Metrics,
    rpc: Arc<RpcMetrics>,
    slow: Option<Duration>,
    started: Instant,
    peer: Option<SocketAddr>,
    request_id: String,
    caller: CallerName,
    span: Span,
    has_ended: bool,
}

impl Call {
    fn begin(layer: &RecordLayer, request: &http::Request<Body>) -> Self {
        let rpc = layer.metrics.rpc(request.uri().path());
        rpc.began();
        let request_id = request_id(request.headers());
        let info = request.extensions().get::<TcpConnectInfo>();
        let span = tracing::info_span!(
            target: "vitalog::call",
            "call",
            rpc = rpc.name(),
            request_id,
            code = tracing::field::Empty,
        );
        Self {
            metrics: layer.metrics.clone(),
            rpc,
            slow: layer.slow,
            started: Instant::now(),
            peer: info.and_then(TcpConnectInfo::remote_addr),
            request_id,
            caller: CallerName::default(),
            span,
            has_ended: false,
        }
    }

    /// The answer, which records its end.
    fn answered(mut self, mut answer: http::Response<Body>) -> http::Response<Body> {
        if let Ok(id) = http::HeaderValue::from_str(&self.request_id) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        if let Some(status) = Status::from_header_map(answer.headers()) {
            self.end(&status);
            return answer;
        }
        answer.map(|body| Body::new(RecordedBody { body, call: self }))
    }

    fn end(&mut self, status: &Status) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let took = self.started.elapsed();
        let code = status.code();
        self.rpc.ended(code, took);
        let details = status.get_error_details();
        let reason = details.error_info().map_or("", |info| &info.reason);
        if code != Code::Ok && code != Code::Cancelled {
            self.metrics.failed(reason);
        }
        self.span.record("code", code_name(code));
        self.tell(code, reason, took);
    }

    /// The line of a call that failed or took long. Its text has no secrets: see the invariant.
    fn tell(&self, code: Code, reason: &str, took: Duration) {
        /// The fields are the same at every level, which must be a constant.
        macro_rules! line {
            ($level:ident, $text:literal) => {
                tracing::$level!(
                    target: "vitalog::call",
                    rpc = self.rpc.name(),
                    request_id = self.request_id,
                    peer = self.peer.map(tracing::field::display),
                    principal = self.caller.name(),
                    code = code_name(code),
                    reason,
                    duration_ms = took.as_millis() as u64,
                    $text
                )
            };
        }
        match code {
            Code::Ok => {
                let is_endless = || ENDLESS.contains(&self.rpc.name().as_str());
                if self.slow.is_some_and(|slow| took >= slow) && !is_endless() {
                    line!(warn, "a call was slow");
                }
            }
            Code::Internal | Code::DataLoss | Code::Unknown => line!(error, "a call failed"),
            Code::Unavailable | Code::ResourceExhausted => line!(warn, "a call failed"),
            // Readers go away all the time.
            Code::Cancelled => line!(debug, "a caller went away"),
            _ => line!(info, "a call failed"),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let end = if std::thread::panicking() {
            Fault::new(Reason::Internal, "the call ended in a panic").into()
        } else {
            Status::cancelled("")
        };
        self.end(&end);
    }
}

/// The id that the caller gave the request, or a new one.
pub(crate) fn request_id(headers: &http::HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_plain = |id: &&str| {
        let has_length = (1..=REQUEST_ID_BYTES_MAX).contains(&id.len());
        has_length && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match given.filter(is_plain) {
        Some(given) => given.to_owned(),
        None => uuid::Uuid::now_v7().to_string(),
    }
}

/// An answer whose end is recorded.
struct RecordedBody {
    body: Body,
    call: Call,
}

impl http_body::Body for RecordedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let span = this.call.span.clone();
        let frame = span.in_scope(|| Pin::new(&mut this.body).poll_frame(context));
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let status = Status::from_header_map(trailers);
                    let missing = || Status::unknown("no status");
                    this.call.end(&status.unwrap_or_else(missing));
                }
            }
            Poll::Ready(Some(Err(status))) => this.call.end(status),
            // Without trailers: no answer of gRPC.
            Poll::Ready(None) => this.call.end(&Status::unknown("no status")),
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(id: &str) -> http::HeaderMap {
        let mut headers = http::HeaderMap::new();
        headers.insert(REQUEST_ID, id.parse().expect("a value"));
        headers
    }

    #[test]
    fn a_plain_request_id_is_kept_and_any_other_replaced() {
        assert_eq!(request_id(&headers("order-7/a")), "order-7/a");
        let longest = "x".repeat(REQUEST_ID_BYTES_MAX);
        assert_eq!(request_id(&headers(&longest)), longest);
        let too_long = format!("{longest}x");
        for id in ["", "two words", too_long.as_str()] {
            let made = request_id(&headers(id));
            assert_ne!(made, id);
            assert!(made.parse::<uuid::Uuid>().is_ok(), "{made}");
        }
        assert_ne!(
            request_id(&http::HeaderMap::new()),
            request_id(&http::HeaderMap::new())
        );
    }

    #[test]
    fn streams_without_an_end_are_methods_of_the_contract() {
        let metrics = Metrics::new();
        let is_known = |name: &&str| metrics.rpc(&format!("/{name}")).name() == *name;
        let unknown: Vec<&str> = ENDLESS.into_iter().filter(|name| !is_known(name)).collect();
        // Of a later version of the contract.
        assert_eq!(unknown, ["vitalog.v1.HealthService/Watch"]);
    }

    #[test]
    fn a_call_is_recorded_once() {
        let layer = RecordLayer {
            metrics: Metrics::new(),
            slow: None,
        };
        let request = http::Request::builder()
            .uri("/vitalog.v1.EventService/Append")
            .body(Body::empty())
            .expect("a request");
        let mut call = Call::begin(&layer, &request);
        call.end(&Status::ok(""));
        call.end(&Status::internal("later"));
        drop(call);
        drop(Call::begin(&layer, &request));
        let text = layer.metrics.text(&crate::metrics::Facts::default());
        let counted = |code: &str, count: u32| {
            let labels = "service=\"vitalog.v1.EventService\",method=\"Append\"";
            format!("vitalog_rpc_calls_total{{{labels},code=\"{code}\"}} {count}\n")
        };
        assert!(text.contains(&counted("OK", 1)), "{text}");
        assert!(text.contains(&counted("CANCELLED", 1)), "{text}");
        assert!(!text.contains("INTERNAL"), "{text}");
    }
}

//! Browsers: gRPC-Web over HTTP/1.1, for pages of the origins that are named.
//!
//! It owns whose pages may call, and what browsers ask before they do (CORS). It does not own
//! the framing of gRPC-Web (`tonic-web`). Invariant: a request that a browser sends for a page of
//! an origin that is not named is refused before anything reads it, whatever its host says: so no
//! page can reach a server of its visitor's machine by giving its own name that address.

use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use tonic::codegen::{BoxFuture, Service, http};
use tower::Layer;

use self::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use crate::seldom::Seldom;

/// Headers that pages may send.
const SENT: &str = "authorization,content-type,grpc-timeout,x-grpc-web,x-request-id,x-user-agent";
/// Headers that pages may read.
const READ: &str = "grpc-status,grpc-message,grpc-status-details-bin,x-request-id";
/// How long a browser may remember what it was allowed, in seconds.
const REMEMBERED: &str = "600";

/// Stands before gRPC-Web.
#[derive(Clone, Debug)]
pub(crate) struct WebLayer {
    /// As browsers write them: `https://app.example.com`.
    pub origins: Arc<[String]>,
    /// Pages that were refused, which calls' records do not see.
    pub refused: Arc<Seldom>,
}

impl<S> Layer<S> for WebLayer {
    type Service = Web<S>;

    fn layer(&self, inner: S) -> Web<S> {
        let layer = self.clone();
        Web { inner, layer }
    }
}

/// See [`WebLayer`].
#[derive(Clone, Debug)]
pub(crate) struct Web<S> {
    inner: S,
    layer: WebLayer,
}

impl<S> Service<Request<Body>> for Web<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Self::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(origin) = request.headers().get(ORIGIN).cloned() else {
            return Box::pin(self.inner.call(request));
        };
        if !self.is_named(&origin) {
            self.layer.refused.say(|more| {
                tracing::warn!(
                    more,
                    "a call of a web page was refused: [server] web_origins does not name its origin"
                );
            });
            return answered(refused());
        }
        if is_preflight(&request) {
            return answered(allowed(&origin));
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            let headers = answer.headers_mut();
            name_origin(headers, origin);
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(READ),
            );
            Ok(answer)
        })
    }
}

impl<S> Web<S> {
    fn is_named(&self, origin: &HeaderValue) -> bool {
        let mut named = self.layer.origins.iter();
        named.any(|named| named.as_bytes() == origin.as_bytes())
    }
}

fn answered<E: Send + 'static>(answer: Response<Body>) -> BoxFuture<Response<Body>, E> {
    Box::pin(std::future::ready(Ok(answer)))
}

/// What a browser asks before the request of a page.
fn is_preflight(request: &Request<Body>) -> bool {
    request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn refused() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::FORBIDDEN;
    answer
}

fn allowed(origin: &HeaderValue) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    name_origin(headers, origin.clone());
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (ACCESS_CONTROL_ALLOW_HEADERS, SENT),
        (ACCESS_CONTROL_MAX_AGE, REMEMBERED),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn name_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(VARY, HeaderValue::from_static("origin"));
}

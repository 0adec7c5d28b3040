//! What stands before every service: the gate, the caller's rights, the queue, the clock, and clear
//! words for requests that cannot be read.
//!
//! It acts before a message is read off the wire, so that what waits costs no memory: HTTP/2 flow
//! control holds its bytes back in the client.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::{Code, Status};

use crate::auth::{Access, scope_of_call};
use crate::fault::{Fault, Reason};
use crate::gate::Gate;

/// How calls of one service are let in.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub gate: Gate,
    pub access: Access,
    /// Turns for calls until their answer begins; `None` lets all in at once.
    pub turns: Option<Arc<Semaphore>>,
    pub queue_wait: Duration,
    pub call_timeout: Duration,
    /// Why a call failed that took too long.
    pub timeout_reason: Reason,
}

impl Admission {
    async fn run<S>(
        &self,
        inner: &mut S,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Fault>
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    {
        let _token = self.gate.enter()?;
        let authorization = request.headers().get(http::header::AUTHORIZATION);
        let authorization = authorization.map(http::HeaderValue::as_bytes);
        let scope = scope_of_call(request.uri().path());
        self.access.check(authorization, scope)?;
        let _turn = match &self.turns {
            Some(turns) => Some(turn(turns, self.queue_wait, "calls").await?),
            None => None,
        };
        let answer = tokio::time::timeout(self.call_timeout, inner.call(request)).await;
        match answer {
            Ok(Ok(response)) => Ok(clarified(response)),
            Ok(Err(never)) => match never {},
            Err(_) => {
                let waited = self.call_timeout.as_secs();
                let message = format!("the call had no answer after {waited} s and was given up");
                Err(Fault::new(self.timeout_reason, message))
            }
        }
    }
}

/// A turn of `turns`, waited for at most `queue_wait`.
pub(crate) async fn turn(
    turns: &Arc<Semaphore>,
    queue_wait: Duration,
    what: &str,
) -> Result<OwnedSemaphorePermit, Fault> {
    let waiting = Arc::clone(turns).acquire_owned();
    match tokio::time::timeout(queue_wait, waiting).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(Fault::busy(what)),
    }
}

/// A service behind its admission.
#[derive(Clone, Debug)]
pub(crate) struct Admitted<S> {
    pub inner: S,
    pub admission: Admission,
}

impl<S: NamedService> NamedService for Admitted<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Admitted<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // The instance that was polled ready takes the call; its clone takes the next.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let admission = self.admission.clone();
        Box::pin(async move {
            let answer = admission.run(&mut inner, request).await;
            Ok(answer.unwrap_or_else(|fault| Status::from(fault).into_http()))
        })
    }
}

/// Statuses that the transport makes for requests it cannot read, with the code and the reason
/// that clients are promised. Vitalog's own statuses carry details and are left alone.
fn clarified(response: http::Response<Body>) -> http::Response<Body> {
    let Some(status) = response.extensions().get::<Status>() else {
        return response;
    };
    if !status.details().is_empty() {
        return response;
    }
    let reason = match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => Reason::RequestTooLarge,
        Code::Internal => Reason::MalformedMessage,
        _ => return response,
    };
    let message = format!("the request could not be read: {}", status.message());
    Status::from(Fault::new(reason, message)).into_http()
}

//! What stands before every service: the gate, the caller's rights, the queue, the clock, and clear
//! words for requests that cannot be read.
//!
//! It acts before a message is read off the wire, so that what waits costs no memory: HTTP/2 flow
//! control holds its bytes back in the client. Invariant: a service sees a [`Principal`] in the
//! extensions of every request, no answer outlives the deadline of its caller, and none but an upload's
//! their token.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::{Code, Status};

use crate::auth::{Access, Need, Principal, Right, Scope, is_upload, need_of_call};
use crate::deadline::{self, Deadline};
use crate::fault::{Fault, Reason};
use crate::gate::Gate;
use crate::record::CallerName;

/// What the caller of an upload needs for each of its messages. Uploads look at it themselves, so
/// that what was taken is still answered.
#[derive(Clone, Debug)]
pub(crate) struct WriteRight(Option<Right>);

impl WriteRight {
    /// That of `request`.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        let right = request.extensions().get::<Self>();
        right.cloned().unwrap_or(Self(None))
    }

    /// # Errors
    /// The token was taken out, or may write no longer.
    pub fn check(&mut self) -> Result<(), Fault> {
        Ok(Right::check(self.0.as_mut())?)
    }
}

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
        mut request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Fault>
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    {
        let _token = self.gate.enter()?;
        let mut right = self.right(&request);
        if is_upload(request.uri().path()) {
            let writes = self.access.right(authorization(&request), Scope::Write);
            request.extensions_mut().insert(WriteRight(writes));
            right = None;
        }
        let principal = self.principal(&request)?;
        if let Some(caller) = request.extensions().get::<CallerName>() {
            caller.tell(&principal);
        }
        request.extensions_mut().insert(principal);
        let allowed = deadline::allowed(request.headers());
        let end = allowed.map(|allowed| Instant::now() + allowed);
        let in_time = allowed.map(deadline::in_time);
        let in_time = in_time.filter(|in_time| *in_time < self.call_timeout);
        let limit = in_time.unwrap_or(self.call_timeout);
        match tokio::time::timeout(limit, self.answer(inner, request)).await {
            Ok(answer) => Ok(deadline::held(answer?, end, right)),
            Err(_) if in_time.is_some() => Err(Deadline::passed()),
            Err(_) => {
                let waited = limit.as_secs();
                let message = format!("the call had no answer after {waited} s and was given up");
                Err(Fault::new(self.timeout_reason, message))
            }
        }
    }

    /// The answer of the service, once it is the call's turn.
    async fn answer<S>(
        &self,
        inner: &mut S,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Fault>
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    {
        let _turn = match &self.turns {
            Some(turns) => Some(turn(turns, self.queue_wait, "calls").await?),
            None => None,
        };
        match inner.call(request).await {
            Ok(response) => Ok(clarified(response)),
            Err(never) => match never {},
        }
    }

    /// What the caller needs for as long as the answer goes on.
    fn right(&self, request: &http::Request<Body>) -> Option<Right> {
        match need_of_call(request.uri().path()) {
            Need::Scope(scope) => self.access.right(authorization(request), scope),
            // What needs either of two is one message, answered at once.
            Need::Nothing | Need::Either(_) => None,
        }
    }

    /// Who calls, if they may call this.
    fn principal(&self, request: &http::Request<Body>) -> Result<Principal, Fault> {
        let authorization = authorization(request);
        match need_of_call(request.uri().path()) {
            Need::Scope(scope) => Ok(self.access.check(authorization, scope)?),
            Need::Either(scopes) => Ok(self.access.check_either(authorization, scopes)?),
            Need::Nothing => {
                let known = self.access.principal(authorization);
                Ok(known.unwrap_or_else(|_| Principal::stranger()))
            }
        }
    }
}

/// What the caller sent to prove a right.
fn authorization(request: &http::Request<Body>) -> Option<&[u8]> {
    let authorization = request.headers().get(http::header::AUTHORIZATION);
    authorization.map(http::HeaderValue::as_bytes)
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

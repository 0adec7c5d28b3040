//! The HTTP listener: statements, published snapshots as files, and probes.
//!
//! It owns addresses, conditions, ranges, signatures in URLs, bodies and the pace of connections.
//! It does not own what a snapshot is (`vitalog-store`) or who may read one (`auth`). The promises
//! to clients stand in `docs/clients/http.md`.
//!
//! Invariants: a path never becomes the name of a file unless a manifest has that name; a body is
//! of one version or breaks; nothing that blocks runs on the reactor; every connection, download
//! and wait is bounded.

mod address;
mod answer;
mod body;
mod conditional;
mod host;
mod metrics;
mod pace;
mod probes;
mod query;
mod range;
mod record;
mod representation;
mod right;
mod snapshots;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Response;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use vitalog_query::QueryEngine;
use vitalog_store::Store;

pub(crate) use self::address::file_path;
use self::answer::refusal;
use self::pace::{Pace, PacedListener};
pub(crate) use self::right::{Signing, no_signing_key};
use crate::auth::{Access, SigningKey};
use crate::fault::{Fault, Reason};
use crate::gate::Gate;
use crate::listener::Door;
use crate::metrics::Metrics;
use crate::readers::Readers;
use crate::snapshots::Shelf;
use crate::statements::Statements;

/// What requests are answered from.
#[derive(Debug)]
pub(crate) struct Site {
    pub store: Arc<Store>,
    pub shelf: Shelf,
    pub gate: Gate,
    pub readers: Readers,
    pub statements: Statements,
    pub access: Access,
    pub signing_key: Option<SigningKey>,
    /// Whether only requests to names of this machine are answered.
    pub guards_host: bool,
    /// Turns of downloads.
    pub downloads: Arc<Semaphore>,
    pub engine: QueryEngine,
    pub metrics: Metrics,
    /// Whether `/metrics` answers everyone.
    pub metrics_open: bool,
    /// From how long on a request is slow.
    pub slow: Option<Duration>,
    pub queue_wait: Duration,
    pub call_timeout: Duration,
    /// For the next request of a connection, head and all.
    pub request_wait: Duration,
}

/// Serves `site` behind `door` until `leave`, then lets requests under way end.
pub(crate) async fn serve(door: Door, site: Site, leave: CancellationToken) -> io::Result<()> {
    let listener = PacedListener {
        door,
        request_wait: site.request_wait,
    };
    let service = router(Arc::new(site)).into_make_service_with_connect_info::<Pace>();
    axum::serve(listener, service)
        .with_graceful_shutdown(leave.cancelled_owned())
        .await
}

fn router(site: Arc<Site>) -> Router {
    let recorded = from_fn_with_state(Arc::clone(&site), record::recorded);
    Router::new()
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/query", any(query::run))
        .route("/metrics", get(metrics::answer))
        .route("/snapshots", any(snapshots::answer))
        .route("/snapshots/", any(snapshots::answer))
        .route("/snapshots/{*path}", any(snapshots::answer))
        .method_not_allowed_fallback(other_method)
        .fallback(nothing_here)
        .layer(recorded)
        .with_state(site)
}

/// Whether `path` names something that may be there.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_address(path: &str) -> bool {
    address::Address::parse(path).is_some_and(|address| {
        // What was read is written the same way.
        address::Address::parse(&address.path()).is_some()
    })
}

/// Whether `POST /query` takes a statement in `body`, with these words behind the `?` of the address,
/// this `Content-Type` and this `Accept`.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_statement(words: &str, media: &str, accept: &str, body: &[u8]) -> bool {
    query::is_statement(words, media, accept, body)
}

/// Whether `header`, the value of `Range`, wants a part of `length` bytes.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_part(header: &str, length: u64) -> bool {
    match range::wanted(header, length) {
        range::Wanted::Part(part) => {
            assert!(part.start < part.end && part.end <= length, "{part:?}");
            true
        }
        range::Wanted::Whole | range::Wanted::Nothing => false,
    }
}

async fn nothing_here() -> Response<Body> {
    refusal(&Fault::new(
        Reason::PathNotFound,
        "there is nothing here; statements go to /query, snapshots are listed at /snapshots/",
    ))
}

async fn other_method() -> Response<Body> {
    refusal(&snapshots::other_method())
}

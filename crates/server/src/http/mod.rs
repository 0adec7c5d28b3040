//! The HTTP listener: published snapshots as files, and probes.
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
mod pace;
mod probes;
mod range;
mod representation;
mod right;
mod snapshots;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Response;
use axum::routing::{any, get};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use vitalog_store::Store;

pub(crate) use self::address::file_path;
use self::answer::refusal;
pub(crate) use self::pace::Patience;
use self::pace::{Pace, PacedListener};
pub(crate) use self::right::{Signing, no_signing_key};
use crate::auth::{Access, SigningKey};
use crate::fault::{Fault, Reason};
use crate::gate::Gate;
use crate::snapshots::Shelf;

/// What requests are answered from.
#[derive(Debug)]
pub(crate) struct Site {
    pub store: Arc<Store>,
    pub shelf: Shelf,
    pub gate: Gate,
    pub access: Access,
    pub signing_key: Option<SigningKey>,
    /// Whether only requests to names of this machine are answered.
    pub guards_host: bool,
    /// Turns of downloads.
    pub downloads: Arc<Semaphore>,
    pub queue_wait: Duration,
    pub call_timeout: Duration,
    pub patience: Patience,
}

/// Serves `site` until `leave`, then lets requests under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    connections_max: usize,
    site: Site,
    leave: CancellationToken,
) -> io::Result<()> {
    let listener = PacedListener {
        listener,
        slots: Arc::new(Semaphore::new(connections_max)),
        closed: site.gate.closed().clone(),
        patience: site.patience,
    };
    let service = router(Arc::new(site)).into_make_service_with_connect_info::<Pace>();
    axum::serve(listener, service)
        .with_graceful_shutdown(leave.cancelled_owned())
        .await
}

fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/snapshots", any(snapshots::answer))
        .route("/snapshots/", any(snapshots::answer))
        .route("/snapshots/{*path}", any(snapshots::answer))
        .method_not_allowed_fallback(other_method)
        .fallback(nothing_here)
        .with_state(site)
}

async fn nothing_here() -> Response<Body> {
    refusal(&Fault::new(
        Reason::PathNotFound,
        "there is nothing here; snapshots are listed at /snapshots/",
    ))
}

async fn other_method() -> Response<Body> {
    refusal(&snapshots::other_method())
}

//! Probes: whether the process lives, and whether it is worth sending to.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};

use vitalog_store::{StoreError, StoreErrorKind};

use super::Site;
use super::answer::{line, refusal};
use crate::fault::Fault;

/// `/livez`: 200 as long as the process answers at all.
pub(super) async fn live() -> Response<Body> {
    line(StatusCode::OK, "alive\n")
}

/// `/readyz`: 200 while the server takes work and the log takes events, else 503 with the reason.
pub(super) async fn ready(State(site): State<Arc<Site>>) -> Response<Body> {
    match readiness(&site).await {
        Ok(()) => line(StatusCode::OK, "ready\n"),
        Err(fault) => {
            let mut response = refusal(&fault);
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
    }
}

async fn readiness(site: &Site) -> Result<(), Fault> {
    if site.gate.draining().is_cancelled() {
        return Err(Fault::shutting_down());
    }
    let store = Arc::clone(&site.store);
    // It asks the disk how much room it has.
    let checking = tokio::task::spawn_blocking(move || store.check_writable());
    let refused = |message| StoreError::Failed {
        kind: StoreErrorKind::Unavailable,
        message,
    };
    let late = |_| refused("the disk did not answer in time".to_owned());
    let checked = tokio::time::timeout(site.queue_wait, checking).await;
    let checked = checked.map_err(late)?;
    Ok(checked
        .map_err(|error| Fault::of_task(&error))?
        .map_err(refused)?)
}

//! `/metrics`: what the server counts, for Prometheus.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};

use super::Site;
use super::answer::{answer as bare, refusal};
use super::right::{caller, guard_host};
use crate::auth::Scope;
use crate::fault::{Fault, Reason};
use crate::metrics::{Facts, MEDIA_TYPE};

/// Answers who has the scope `read`, or everyone where the settings say so.
pub(super) async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response<Body> {
    // Nothing reads a body of a request.
    let (request, _) = request.into_parts();
    match text(&site, &request).await {
        Ok(text) => {
            let mut response = bare(StatusCode::OK, Body::from(text));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(fault) => refusal(&fault),
    }
}

async fn text(site: &Arc<Site>, request: &Parts) -> Result<String, Fault> {
    guard_host(site, request)?;
    if !site.metrics_open {
        caller(site, request, Scope::Read)?;
    }
    let reading = {
        let site = Arc::clone(site);
        tokio::task::spawn_blocking(move || site.metrics.text(&facts(&site)))
    };
    match tokio::time::timeout(site.call_timeout, reading).await {
        Ok(text) => text.map_err(|error| Fault::of_task(&error)),
        Err(_) => Err(Fault::new(
            Reason::DeadlineExceeded,
            "the disk did not answer in time",
        )),
    }
}

fn facts(site: &Site) -> Facts {
    Facts {
        store: site.store.statistics().ok(),
        queue_batches: site.store.queue_len(),
        is_writable: site.store.check_writable().is_ok(),
        running_queries: site.statements.with_turn(),
        query_memory_bytes: site.engine.memory_bytes(),
    }
}

//! `HealthService` against a real server.
#![allow(clippy::unwrap_used)]

mod changes;
mod explain;
mod pictures;
mod scores;
#[path = "../support/mod.rs"]
mod support;

use prost_types::Duration;
use support::{TestServer, append, recent};
use tonic::Status;
use tonic::transport::Channel;
use vitalog_wire::vitalog::v1::health_service_client::HealthServiceClient;
use vitalog_wire::vitalog::v1::{Event, GetScoresRequest, GetScoresResponse, Score};

type Client = HealthServiceClient<Channel>;

const FRESH: Option<Duration> = Some(Duration {
    seconds: 0,
    nanos: 0,
});

/// Accounts `a00` to `a09` with one to ten logins of one user each.
fn world() -> Vec<Event> {
    let accounts = 0..10_u64;
    accounts
        .flat_map(|account| {
            let (account_id, user_id) = (format!("a{account:02}"), format!("u{account}"));
            (0..=account).map(move |n| recent(&account_id, &user_id, "login", n))
        })
        .collect()
}

async fn started() -> (TestServer, Client) {
    let server = TestServer::start().await;
    append(&mut server.events().await, world()).await;
    let health = server.health().await;
    (server, health)
}

async fn scores(
    health: &mut Client,
    request: GetScoresRequest,
) -> Result<GetScoresResponse, Status> {
    Ok(health.get_scores(request).await?.into_inner())
}

/// All pages of a request.
async fn all_pages(health: &mut Client, mut request: GetScoresRequest) -> Vec<GetScoresResponse> {
    let mut pages = Vec::new();
    loop {
        let page = scores(health, request.clone()).await.unwrap();
        request.page_token.clone_from(&page.next_page_token);
        pages.push(page);
        if request.page_token.is_empty() {
            return pages;
        }
    }
}

fn ids(scores: &[Score]) -> Vec<&str> {
    let ids = scores.iter().map(|score| score.account_id.as_deref());
    ids.map(Option::unwrap).collect()
}

fn fresh() -> GetScoresRequest {
    GetScoresRequest {
        max_staleness: FRESH,
        ..GetScoresRequest::default()
    }
}

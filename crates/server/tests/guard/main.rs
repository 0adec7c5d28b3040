//! The guard of the wire: who is refused, how, what is said of it, and that nobody else notices.
#![allow(clippy::unwrap_used)]

mod certificates;
mod limits;
mod log;
mod metrics;
mod plain;
mod rights;
mod tls;
mod web;

#[path = "../support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use support::TestServer;
use tonic::Status;

/// How long anything may take that should happen at once.
const SOON: Duration = Duration::from_secs(30);

/// Waits for what should happen soon.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(SOON, work).await;
    waited.expect("it should have happened long ago")
}

/// Tries again until `found` is true.
async fn until(mut found: impl AsyncFnMut() -> bool) {
    soon(async {
        while !found().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// A client that goes on while others are refused: each append must be taken.
struct Bystander {
    client: vitalog_wire::vitalog::v1::event_service_client::EventServiceClient<
        tonic::transport::Channel,
    >,
    token: Option<String>,
}

/// So that each event is a new one, whoever appends it.
static APPENDED: AtomicU64 = AtomicU64::new(0);

impl Bystander {
    async fn of(server: &TestServer) -> Self {
        Self::over(server.channel().await, None)
    }

    fn over(channel: tonic::transport::Channel, token: Option<&str>) -> Self {
        let client =
            vitalog_wire::vitalog::v1::event_service_client::EventServiceClient::new(channel);
        Self {
            client,
            token: token.map(str::to_owned),
        }
    }

    /// One whose append was taken. It connects again where its connection is closed before: it may
    /// have greeted too late, or found no slot, as one may be free only after its last client has
    /// seen the end.
    async fn admitted(server: &TestServer) -> Self {
        soon(async {
            loop {
                if let Some(admitted) = Self::tried(server).await {
                    return admitted;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    async fn tried(server: &TestServer) -> Option<Self> {
        let address = format!("http://{}", server.address);
        let endpoint = tonic::transport::Channel::from_shared(address).unwrap();
        let mut tried = Self::over(endpoint.connect().await.ok()?, None);
        let Err(status) = tried.appends().await else {
            return Some(tried);
        };
        assert!(status.details().is_empty(), "{status}");
        None
    }

    async fn goes_on(&mut self) {
        self.appends().await.unwrap();
    }

    async fn appends(&mut self) -> Result<(), Status> {
        let event = support::event(1_000_000 + APPENDED.fetch_add(1, Ordering::Relaxed));
        let mut request = tonic::Request::new(support::request(vec![event]));
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let answer = soon(self.client.append(request)).await?;
        assert_eq!(answer.into_inner().accepted, 1);
        Ok(())
    }
}

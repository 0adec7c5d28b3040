//! What the tests share: a server on a free port over a store in a directory of its own, and
//! events by number.
#![allow(dead_code, clippy::unwrap_used)]

pub mod http;
pub mod raw;
pub mod snapshots;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use vitalog_disk::RealDirectory;
use vitalog_query::{QueryConfig, QueryEngine};
use vitalog_server::{Server, ServerConfig, ServerError, ServerHandle, Shutdown};
use vitalog_store::{Store, StoreConfig, SystemClock};
use vitalog_wire::vitalog::v1::append_request::Batch;
use vitalog_wire::vitalog::v1::catalog_service_client::CatalogServiceClient;
use vitalog_wire::vitalog::v1::event_service_client::EventServiceClient;
use vitalog_wire::vitalog::v1::health_service_client::HealthServiceClient;
use vitalog_wire::vitalog::v1::model_service_client::ModelServiceClient;
use vitalog_wire::vitalog::v1::query_service_client::QueryServiceClient;
use vitalog_wire::vitalog::v1::snapshot_service_client::SnapshotServiceClient;
use vitalog_wire::vitalog::v1::upkeep_service_client::UpkeepServiceClient;
use vitalog_wire::vitalog::v1::view_service_client::ViewServiceClient;
use vitalog_wire::vitalog::v1::{
    AppendRequest, AppendResponse, Event, EventBatch, ReadRequest, ReadResponse,
};

/// A server that runs until it is dropped or [`TestServer::shut_down`].
pub struct TestServer {
    pub address: SocketAddr,
    pub http: SocketAddr,
    pub store: Arc<Store>,
    pub handle: ServerHandle,
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<Shutdown, ServerError>>,
    _directory: TempDir,
}

/// A configuration on a free port of the loopback.
pub fn free_port() -> ServerConfig {
    ServerConfig {
        grpc: "127.0.0.1:0".parse().unwrap(),
        http: "127.0.0.1:0".parse().unwrap(),
        ..ServerConfig::default()
    }
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(free_port(), StoreConfig::default()).await
    }

    pub async fn with(config: ServerConfig, store_config: StoreConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = Arc::new(RealDirectory::open(directory.path()).unwrap());
        let (store, _) = Store::open(files, store_config, Arc::new(SystemClock)).unwrap();
        let store = Arc::new(store);
        let engine = QueryEngine::new(Arc::clone(&store), QueryConfig::default()).unwrap();
        let server = Server::bind(Arc::clone(&store), engine, config)
            .await
            .unwrap();
        let (address, handle) = (server.local_addr(), server.handle());
        let http = server.http_addr();
        let (shutdown, asked) = oneshot::channel();
        let running = tokio::spawn(server.run(async move {
            // A dropped sender is a wish to end, too.
            let _ = asked.await;
        }));
        let shutdown = Some(shutdown);
        Self {
            address,
            http,
            store,
            handle,
            shutdown,
            running,
            _directory: directory,
        }
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    pub async fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel().await).max_decoding_message_size(64 << 20)
    }

    pub async fn queries(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.channel().await)
    }

    pub async fn catalog(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.channel().await)
    }

    pub async fn health(&self) -> HealthServiceClient<Channel> {
        HealthServiceClient::new(self.channel().await)
    }

    pub async fn models(&self) -> ModelServiceClient<Channel> {
        ModelServiceClient::new(self.channel().await)
    }

    pub async fn snapshots(&self) -> SnapshotServiceClient<Channel> {
        SnapshotServiceClient::new(self.channel().await)
    }

    pub async fn upkeep(&self) -> UpkeepServiceClient<Channel> {
        UpkeepServiceClient::new(self.channel().await)
    }

    pub async fn views(&self) -> ViewServiceClient<Channel> {
        ViewServiceClient::new(self.channel().await)
    }

    /// Asks for a shutdown without waiting for it.
    pub fn ask_to_shut_down(&mut self) {
        let _ = self.shutdown.take().unwrap().send(());
    }

    /// Waits for a shutdown that was asked for.
    pub async fn ended(self) -> (Shutdown, Arc<Store>) {
        (self.running.await.unwrap().unwrap(), self.store)
    }

    pub async fn shut_down(mut self) -> (Shutdown, Arc<Store>) {
        self.ask_to_shut_down();
        self.ended().await
    }
}

/// 2025-03-01T00:00:00Z.
pub const START_SECONDS: i64 = 1_740_787_200;

/// Event `n` of a small world: several days, accounts and users, some without.
pub fn event(n: u64) -> Event {
    let seconds = START_SECONDS + (n % 5) as i64 * 86_400 + n as i64;
    Event {
        event_id: Some(format!("event-{n}")),
        event_time: Some(prost_types::Timestamp {
            seconds,
            nanos: 123_456_000,
        }),
        event: format!("name {}", n % 3),
        account_id: (!n.is_multiple_of(7)).then(|| format!("account {}", n % 4)),
        user_id: (!n.is_multiple_of(11)).then(|| format!("user {}", n % 9)),
        value: n.is_multiple_of(2).then_some(n as f64 / 4.0),
        properties: n.is_multiple_of(3).then(|| format!("{{\"n\":{n}}}")),
    }
}

pub fn numbered(range: std::ops::Range<u64>) -> Vec<Event> {
    range.map(event).collect()
}

/// Event `n` of a member, `n` + 1 minutes ago.
pub fn recent(account_id: &str, user_id: &str, name: &str, n: u64) -> Event {
    let now = std::time::SystemTime::now();
    let then = now - Duration::from_secs(60 * (n + 1));
    Event {
        event_id: Some(format!("{name}-{user_id}-{n}")),
        event_time: Some(then.into()),
        account_id: Some(account_id.to_owned()),
        user_id: Some(user_id.to_owned()),
        ..bare(name)
    }
}

/// An event with a name and nothing else.
pub fn bare(name: &str) -> Event {
    Event {
        event: name.to_owned(),
        ..Event::default()
    }
}

pub fn request(events: Vec<Event>) -> AppendRequest {
    AppendRequest {
        batch: Some(Batch::Events(EventBatch { events })),
        ..AppendRequest::default()
    }
}

pub async fn append(
    client: &mut EventServiceClient<Channel>,
    events: Vec<Event>,
) -> AppendResponse {
    client.append(request(events)).await.unwrap().into_inner()
}

/// Everything that a finite read returns.
pub async fn read_all(
    client: &mut EventServiceClient<Channel>,
    request: ReadRequest,
) -> Vec<ReadResponse> {
    let mut stream = client.read(request).await.unwrap().into_inner();
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        messages.push(message);
    }
    messages
}

/// The (seq, event) of each event of `messages`.
pub fn rows_of(messages: &[ReadResponse]) -> Vec<(u64, Event)> {
    messages
        .iter()
        .flat_map(|message| &message.events)
        .map(|stored| (stored.seq, stored.event.clone().unwrap()))
        .collect()
}

/// What `begin` gives, which is told how long its call may take: longer each time, where that was
/// over before the call had begun.
pub async fn begun<T>(
    mut allowed: Duration,
    mut begin: impl AsyncFnMut(Duration) -> Result<T, Status>,
) -> T {
    loop {
        match begin(allowed).await {
            Ok(begun) => return begun,
            Err(status) => assert!(is_late(&status) && allowed.as_secs() < 30, "{status}"),
        }
        allowed *= 2;
    }
}

/// Whether the deadline of a call has passed. The client looks at the same clock as the server,
/// and may give up first.
fn is_late(status: &Status) -> bool {
    match status.code() {
        Code::DeadlineExceeded => true,
        Code::Cancelled => status.details().is_empty(),
        _ => false,
    }
}

/// The code, and the reason that the details carry.
pub fn cause(status: &Status) -> (Code, String) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| {
        assert_eq!(info.domain, vitalog_server::ERROR_DOMAIN);
        info.reason.clone()
    });
    (status.code(), reason.unwrap_or_default())
}

/// The field that a status names.
pub fn field_of(status: &Status) -> String {
    let details = status.get_error_details();
    details.bad_request().unwrap().field_violations[0]
        .field
        .clone()
}

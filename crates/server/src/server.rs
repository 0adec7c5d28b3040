//! The server: binds, serves, and leaves in good order.
//!
//! It owns the listeners and the order of a shutdown: take nothing new, let what is under way end,
//! close. The store is the caller's: it is closed after [`Server::run`] returns.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinError};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use vitalog_query::QueryEngine;
use vitalog_store::Store;

use crate::config::ServerConfig;
use crate::gate::Gate;
use crate::http::{self, Site};
use crate::listener::{Door, Greeting};
use crate::metrics::Metrics;
use crate::readers::Readers;
use crate::services::SERVICES;
use crate::snapshots::{Publisher, Shelf};
use crate::statements::{Ceilings, Statements};
use crate::tls::Protocol;

/// How long connections may take to close when no call is under way on them.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a server did not start, or stopped.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address could not be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address of the configuration.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The system has no more threads.
    #[error("no threads for readers: {0}")]
    Threads(#[source] io::Error),
    /// Serving ended by itself.
    #[error("serving failed: {0}")]
    Transport(String),
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Calls and streams that did not end in time and were ended by the server; 0 when all did.
    pub abandoned: usize,
}

/// A server that listens and does not serve yet.
#[derive(Debug)]
pub struct Server {
    grpc: Listening,
    http: Listening,
    pub(crate) config: ServerConfig,
    pub(crate) gate: Gate,
    pub(crate) readers: Readers,
    pub(crate) store: Arc<Store>,
    pub(crate) engine: QueryEngine,
    pub(crate) statements: Statements,
    pub(crate) publisher: Arc<Publisher>,
    /// Turns of downloads, over HTTP and gRPC together.
    pub(crate) downloads: Arc<Semaphore>,
    /// Turns of statements, pictures and checks together.
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
}

#[derive(Debug)]
struct Listening {
    listener: TcpListener,
    /// With the port that was taken.
    address: SocketAddr,
}

impl Listening {
    async fn at(address: SocketAddr) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }
}

/// Acts on a running server from elsewhere. Clones act on the same one.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    gate: Gate,
}

impl ServerHandle {
    /// Ends a shutdown at once: streams end, connections close, [`Server::run`] returns within
    /// moments. What the log has taken is still made durable by closing the store.
    pub fn force(&self) {
        self.gate.hurry();
    }

    /// Calls and streams under way.
    #[must_use]
    pub fn calls_under_way(&self) -> usize {
        self.gate.len()
    }
}

impl Server {
    /// Takes the addresses of `config`. Clients that connect wait until [`Server::run`].
    ///
    /// # Errors
    /// [`ServerError::Bind`], [`ServerError::Threads`].
    pub async fn bind(
        store: Arc<Store>,
        engine: QueryEngine,
        config: ServerConfig,
    ) -> Result<Self, ServerError> {
        let grpc = Listening::at(config.grpc).await?;
        let http = Listening::at(config.http).await?;
        let gate = Gate::default();
        let readers = Readers::start(gate.clone()).map_err(ServerError::Threads)?;
        let publisher = Publisher::new(Arc::clone(&store), engine.clone(), gate.clone(), &config);
        let downloads = Arc::new(Semaphore::new(config.downloads_max));
        let ceilings = Ceilings {
            rows: config.result_rows_max,
            bytes: config.result_bytes_max,
        };
        let sources = (Arc::clone(&store), engine.clone());
        let turns = Arc::new(Semaphore::new(config.queries_max));
        let shared = Arc::clone(&turns);
        let statements = Statements::new(sources, shared, config.queue_wait, ceilings);
        Ok(Self {
            grpc,
            http,
            config,
            gate,
            readers,
            store,
            engine,
            statements,
            publisher: Arc::new(publisher),
            downloads,
            turns,
            metrics: Metrics::new(),
        })
    }

    /// The address that the gRPC listener took, with its port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.grpc.address
    }

    /// The address that the HTTP listener took, with its port.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http.address
    }

    /// A handle on this server.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {
            gate: self.gate.clone(),
        }
    }

    /// Serves until `shutdown`, then takes nothing new, waits for what is under way at most as
    /// long as [`ServerConfig::drain_timeout`], and closes every connection. The caller then
    /// closes the store.
    ///
    /// # Errors
    /// [`ServerError::Transport`] when serving ends by itself.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Shutdown, ServerError> {
        let (health, health_service) = tonic_health::server::health_reporter();
        report(&health, ServingStatus::Serving).await;
        let router = self.router()?.add_service(health_service);
        let site = self.site();
        let Self {
            grpc,
            http,
            config,
            gate,
            publisher,
            metrics,
            ..
        } = self;
        let door = |listening: Listening, protocol, name| {
            let greeting = Greeting {
                protocol,
                tls: config.tls.clone(),
                patience: config.greeting_wait,
                reader_pause: config.reader_pause,
                handshakes_max: config.handshakes_max,
            };
            let closed = gate.closed().clone();
            let (slots, metrics) = (config.connections_max, metrics.door(name));
            Door::new(listening.listener, greeting, slots, closed, metrics)
        };
        let incoming = door(grpc, Protocol::Grpc, "grpc").connections();
        let http = door(http, Protocol::Http, "http");
        let leave = CancellationToken::new();
        let left = leave.clone().cancelled_owned();
        let mut grpc = tokio::spawn(router.serve_with_incoming_shutdown(incoming, left));
        let mut http = tokio::spawn(http::serve(http, site, leave.clone()));
        let schedule = tokio::spawn(publisher.follow_schedule());
        let aborts = [grpc.abort_handle(), http.abort_handle()];
        let ended = tokio::select! {
            () = shutdown => None,
            ended = &mut grpc => Some(ended_early("gRPC", ended)),
            ended = &mut http => Some(ended_early("HTTP", ended)),
        };
        gate.drain();
        if let Some(error) = ended {
            gate.expire();
            gate.close();
            aborts.iter().for_each(AbortHandle::abort);
            return Err(error);
        }
        report(&health, ServingStatus::NotServing).await;
        let abandoned = drain(&gate, config.drain_timeout).await;
        leave.cancel();
        let serving = async { tokio::join!(grpc, http) };
        close(&gate, serving, &aborts).await;
        // It ends as soon as the gate drains, but for the file that it is deleting.
        let _ = tokio::time::timeout(FAREWELL, schedule).await;
        Ok(Shutdown { abandoned })
    }

    /// What HTTP answers from.
    fn site(&self) -> Site {
        let config = &self.config;
        Site {
            store: Arc::clone(&self.store),
            shelf: self.shelf(),
            gate: self.gate.clone(),
            readers: self.readers.clone(),
            statements: self.statements.clone(),
            access: config.access.clone(),
            signing_key: config.signing_key.clone(),
            guards_host: config.access.is_open() && self.http.address.ip().is_loopback(),
            downloads: Arc::clone(&self.downloads),
            engine: self.engine.clone(),
            metrics: self.metrics.clone(),
            metrics_open: config.metrics_open,
            slow: config.slow_call,
            queue_wait: config.queue_wait,
            call_timeout: config.call_timeout,
            request_wait: config.request_wait,
        }
    }

    pub(crate) fn shelf(&self) -> Shelf {
        Shelf::new(Arc::clone(&self.store), self.config.public_url.as_deref())
    }
}

async fn report(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}

/// Waits until nothing is under way; returns how much had to be ended.
async fn drain(gate: &Gate, limit: Duration) -> usize {
    tokio::select! {
        biased;
        () = gate.emptied() => return 0,
        () = gate.hurried().cancelled() => {}
        () = tokio::time::sleep(limit) => {}
    }
    let abandoned = gate.len();
    tracing::warn!("shutdown: {abandoned} calls did not end in time");
    gate.expire();
    // Their last word is on its way.
    tokio::select! {
        () = gate.emptied() => {}
        () = gate.hurried().cancelled() => {}
        () = tokio::time::sleep(FAREWELL) => {}
    }
    abandoned
}

/// Waits until connections are closed, and closes those that stay.
async fn close<T>(gate: &Gate, serving: impl Future<Output = T>, aborts: &[AbortHandle]) {
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        _ = &mut serving => return,
        () = gate.hurried().cancelled() => {}
        () = tokio::time::sleep(FAREWELL) => {}
    }
    gate.close();
    if tokio::time::timeout(FAREWELL, serving).await.is_err() {
        aborts.iter().for_each(AbortHandle::abort);
    }
}

fn ended_early<E: std::fmt::Display>(
    what: &str,
    ended: Result<Result<(), E>, JoinError>,
) -> ServerError {
    let cause = match ended {
        Ok(Ok(())) => "it ended without a reason".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    ServerError::Transport(format!("{what}: {cause}"))
}

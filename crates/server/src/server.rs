//! The server: binds, serves, and leaves in good order.
//!
//! It owns the listener and the order of a shutdown: take nothing new, let what is under way end,
//! close. The store is the caller's: it is closed after [`Server::run`] returns.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::Router;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use vitalog_query::QueryEngine;
use vitalog_store::Store;
use vitalog_wire::FILE_DESCRIPTOR_SET;
use vitalog_wire::vitalog::v1::catalog_service_server::CatalogServiceServer;
use vitalog_wire::vitalog::v1::health_service_server::HealthServiceServer;
use vitalog_wire::vitalog::v1::model_service_server::ModelServiceServer;
use vitalog_wire::vitalog::v1::query_service_server::QueryServiceServer;
use vitalog_wire::vitalog::v1::view_service_server::ViewServiceServer;

use crate::admission::{Admission, Admitted};
use crate::append::Appender;
use crate::catalog::Catalog;
use crate::config::ServerConfig;
use crate::events::{EventEndpoint, Events};
use crate::fault::Reason;
use crate::gate::Gate;
use crate::health::Health;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, RECEIVE_BYTES_MAX,
    STREAM_WINDOW_BYTES,
};
use crate::listener::connections;
use crate::models::Models;
use crate::query::Queries;
use crate::read::LogReader;
use crate::views::Views;

/// What every generated service is told: they have these methods in common and no trait.
macro_rules! configured {
    ($service:expr) => {
        $service
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Zstd)
            .max_decoding_message_size(RECEIVE_BYTES_MAX)
    };
}

/// The services whose health is reported, and the empty name, which stands for the server.
const SERVICES: [&str; 7] = [
    "",
    "vitalog.v1.CatalogService",
    "vitalog.v1.EventService",
    "vitalog.v1.HealthService",
    "vitalog.v1.ModelService",
    "vitalog.v1.QueryService",
    "vitalog.v1.ViewService",
];

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
    /// Serving ended by itself.
    #[error("the gRPC transport failed: {0}")]
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
    listener: TcpListener,
    address: SocketAddr,
    config: ServerConfig,
    gate: Gate,
    store: Arc<Store>,
    engine: QueryEngine,
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
    /// Takes the address of `config`. Clients that connect wait until [`Server::run`].
    ///
    /// # Errors
    /// [`ServerError::Bind`].
    pub async fn bind(
        store: Arc<Store>,
        engine: QueryEngine,
        config: ServerConfig,
    ) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Bind {
            address: config.grpc,
            source,
        };
        let listener = TcpListener::bind(config.grpc).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            config,
            gate: Gate::default(),
            store,
            engine,
        })
    }

    /// The address that was taken, with its port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
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
        let Self {
            listener,
            config,
            gate,
            ..
        } = self;
        let incoming = connections(listener, config.connections_max, gate.closed().clone());
        let leave = CancellationToken::new();
        let left = leave.clone().cancelled_owned();
        let mut serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, left));
        tokio::select! {
            () = shutdown => {}
            ended = &mut serving => return Err(ended_early(ended)),
        }
        gate.drain();
        report(&health, ServingStatus::NotServing).await;
        let abandoned = drain(&gate, config.drain_timeout).await;
        leave.cancel();
        close(&gate, serving).await;
        Ok(Shutdown { abandoned })
    }

    fn router(&self) -> Result<Router, ServerError> {
        let reflected = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let broken = |error: tonic_reflection::server::Error| {
            ServerError::Transport(format!("reflection: {error}"))
        };
        // Statements, pictures and checks take their turns together.
        let turns = Arc::new(Semaphore::new(self.config.queries_max));
        let router = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_concurrent_streams(self.config.streams_per_connection_max)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .add_service(self.event_service())
            .add_service(self.query_service(&turns))
            .add_service(self.health_service(&turns))
            .add_service(self.model_service(&turns))
            .add_service(self.view_service())
            .add_service(self.catalog_service())
            .add_service(reflected().build_v1().map_err(broken)?)
            .add_service(reflected().build_v1alpha().map_err(broken)?);
        Ok(router)
    }

    fn event_service(&self) -> Admitted<EventEndpoint> {
        let (sender, published) = watch::channel(self.store.snapshot().seq());
        self.store.on_publish(move |seq| {
            sender.send_replace(seq);
        });
        let store = Arc::clone(&self.store);
        let inner = EventEndpoint::new(Events {
            appender: Appender {
                store: Arc::clone(&store),
                queue_wait: self.config.queue_wait,
            },
            reader: LogReader { store, published },
            gate: self.gate.clone(),
            reads: Arc::new(Semaphore::new(self.config.reads_max)),
        });
        let turns = Some(Arc::new(Semaphore::new(self.config.appends_max)));
        // An append that was given up may have reached the log.
        Admitted {
            inner,
            admission: self.admission(turns, Reason::OutcomeUnknown),
        }
    }

    fn query_service(&self, turns: &Arc<Semaphore>) -> Admitted<QueryServiceServer<Queries>> {
        self.admitted(configured!(QueryServiceServer::new(Queries {
            store: Arc::clone(&self.store),
            engine: self.engine.clone(),
            gate: self.gate.clone(),
            turns: Arc::clone(turns),
            queue_wait: self.config.queue_wait,
        })))
    }

    fn health_service(&self, turns: &Arc<Semaphore>) -> Admitted<HealthServiceServer<Health>> {
        let sources = (Arc::clone(&self.store), self.engine.clone());
        let (gate, turns) = (self.gate.clone(), Arc::clone(turns));
        let health = Health::new(sources, gate, turns, self.config.queue_wait);
        self.admitted(configured!(HealthServiceServer::new(health)))
    }

    fn model_service(&self, turns: &Arc<Semaphore>) -> Admitted<ModelServiceServer<Models>> {
        self.admitted(configured!(ModelServiceServer::new(Models {
            engine: self.engine.clone(),
            turns: Arc::clone(turns),
            queue_wait: self.config.queue_wait,
        })))
    }

    fn view_service(&self) -> Admitted<ViewServiceServer<Views>> {
        let engine = self.engine.clone();
        self.admitted(configured!(ViewServiceServer::new(Views { engine })))
    }

    fn catalog_service(&self) -> Admitted<CatalogServiceServer<Catalog>> {
        let engine = self.engine.clone();
        self.admitted(configured!(CatalogServiceServer::new(Catalog { engine })))
    }

    /// A service whose calls may be repeated: one that was given up has done no harm.
    fn admitted<S>(&self, inner: S) -> Admitted<S> {
        Admitted {
            inner,
            admission: self.admission(None, Reason::DeadlineExceeded),
        }
    }

    fn admission(&self, turns: Option<Arc<Semaphore>>, timeout_reason: Reason) -> Admission {
        Admission {
            gate: self.gate.clone(),
            turns,
            queue_wait: self.config.queue_wait,
            call_timeout: self.config.call_timeout,
            timeout_reason,
        }
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
async fn close(gate: &Gate, mut serving: JoinHandle<Result<(), tonic::transport::Error>>) {
    tokio::select! {
        _ = &mut serving => return,
        () = gate.hurried().cancelled() => {}
        () = tokio::time::sleep(FAREWELL) => {}
    }
    gate.close();
    if tokio::time::timeout(FAREWELL, &mut serving).await.is_err() {
        serving.abort();
    }
}

fn ended_early(
    ended: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>,
) -> ServerError {
    let cause = match ended {
        Ok(Ok(())) => "it ended without a reason".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    ServerError::Transport(cause)
}

//! The gRPC services of a server, each behind its admission.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tonic::codec::CompressionEncoding;
use tonic::transport::server::Router;
use vitalog_wire::FILE_DESCRIPTOR_SET;
use vitalog_wire::vitalog::v1::catalog_service_server::CatalogServiceServer;
use vitalog_wire::vitalog::v1::health_service_server::HealthServiceServer;
use vitalog_wire::vitalog::v1::model_service_server::ModelServiceServer;
use vitalog_wire::vitalog::v1::query_service_server::QueryServiceServer;
use vitalog_wire::vitalog::v1::snapshot_service_server::SnapshotServiceServer;
use vitalog_wire::vitalog::v1::upkeep_service_server::UpkeepServiceServer;
use vitalog_wire::vitalog::v1::view_service_server::ViewServiceServer;

use crate::admission::{Admission, Admitted};
use crate::append::Appender;
use crate::catalog::Catalog;
use crate::events::{EventEndpoint, Events};
use crate::fault::Reason;
use crate::health::Health;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, RECEIVE_BYTES_MAX,
    STREAM_WINDOW_BYTES,
};
use crate::models::Models;
use crate::query::Queries;
use crate::read::LogReader;
use crate::server::{Server, ServerError};
use crate::snapshots::Snapshots;
use crate::upkeep::Upkeep;
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
pub(crate) const SERVICES: [&str; 9] = [
    "",
    "vitalog.v1.CatalogService",
    "vitalog.v1.EventService",
    "vitalog.v1.HealthService",
    "vitalog.v1.ModelService",
    "vitalog.v1.QueryService",
    "vitalog.v1.SnapshotService",
    "vitalog.v1.UpkeepService",
    "vitalog.v1.ViewService",
];

impl Server {
    /// Every service, but the one of health checks.
    pub(crate) fn router(&self) -> Result<Router, ServerError> {
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
            .add_service(self.snapshot_service())
            .add_service(self.upkeep_service())
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

    fn snapshot_service(&self) -> Admitted<SnapshotServiceServer<Snapshots>> {
        let inner = configured!(SnapshotServiceServer::new(Snapshots {
            shelf: self.shelf(),
            publisher: Arc::clone(&self.publisher),
            signing_key: self.config.signing_key.clone(),
            gate: self.gate.clone(),
            downloads: Arc::clone(&self.downloads),
            queue_wait: self.config.queue_wait,
        }));
        // Publishing takes long, and says itself when it takes too long.
        let call_timeout = self.config.publish_timeout + self.config.call_timeout;
        let admission = Admission {
            call_timeout,
            ..self.admission(None, Reason::DeadlineExceeded)
        };
        Admitted { inner, admission }
    }

    fn upkeep_service(&self) -> Admitted<UpkeepServiceServer<Upkeep>> {
        let inner = configured!(UpkeepServiceServer::new(Upkeep {
            store: Arc::clone(&self.store),
            gate: self.gate.clone(),
            turns: Arc::new(Semaphore::new(self.config.upkeep_calls_max)),
            queue_wait: self.config.queue_wait,
        }));
        let admission = Admission {
            call_timeout: self.config.upkeep_timeout,
            ..self.admission(None, Reason::DeadlineExceeded)
        };
        Admitted { inner, admission }
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
            access: self.config.access.clone(),
            turns,
            queue_wait: self.config.queue_wait,
            call_timeout: self.config.call_timeout,
            timeout_reason,
        }
    }
}

//! The gRPC services of a server, each behind its admission.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tonic::codec::CompressionEncoding;
use tonic::transport::server::Router;
use tonic_web::GrpcWebLayer;
use tower::layer::util::{Identity, Stack};
use vitalog_wire::FILE_DESCRIPTOR_SET;
use vitalog_wire::vitalog::v1::catalog_service_server::CatalogServiceServer;
use vitalog_wire::vitalog::v1::health_service_server::HealthServiceServer;
use vitalog_wire::vitalog::v1::model_service_server::ModelServiceServer;
use vitalog_wire::vitalog::v1::query_service_server::QueryServiceServer;
use vitalog_wire::vitalog::v1::snapshot_service_server::SnapshotServiceServer;
use vitalog_wire::vitalog::v1::upkeep_service_server::UpkeepServiceServer;
use vitalog_wire::vitalog::v1::view_service_server::ViewServiceServer;

use crate::admission::{Admission, Admitted};
use crate::append::{AppendStreams, Appender, Publications};
use crate::catalog::Catalog;
use crate::events::{EventEndpoint, Events};
use crate::fault::Reason;
use crate::flight::{Flight, FlightEndpoint};
use crate::health::Health;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, FAULTY_STREAMS_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
    METADATA_BYTES_MAX, PENDING_RESETS_MAX, RECEIVE_BYTES_MAX, STREAM_WINDOW_BYTES,
};
use crate::models::Models;
use crate::query::Queries;
use crate::read::LogReader;
use crate::record::RecordLayer;
use crate::server::{Server, ServerError};
use crate::snapshots::Snapshots;
use crate::upkeep::Upkeep;
use crate::views::Views;
use crate::web::WebLayer;

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
pub(crate) const SERVICES: [&str; 10] = [
    "",
    "arrow.flight.protocol.FlightService",
    "vitalog.v1.CatalogService",
    "vitalog.v1.EventService",
    "vitalog.v1.HealthService",
    "vitalog.v1.ModelService",
    "vitalog.v1.QueryService",
    "vitalog.v1.SnapshotService",
    "vitalog.v1.UpkeepService",
    "vitalog.v1.ViewService",
];

/// What every call passes, the outermost last.
type Layers = Stack<RecordLayer, Stack<GrpcWebLayer, Stack<WebLayer, Identity>>>;

impl Server {
    /// Every service, but the one of health checks.
    pub(crate) fn router(&self) -> Result<Router<Layers>, ServerError> {
        let reflected = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let broken = |error: tonic_reflection::server::Error| {
            ServerError::Transport(format!("reflection: {error}"))
        };
        let web = WebLayer {
            origins: self.config.web_origins.clone().into(),
            refused: Arc::default(),
        };
        let record = RecordLayer {
            metrics: self.metrics.clone(),
            slow: self.config.slow_call,
        };
        let (appender, published) = self.appender();
        let router = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_concurrent_streams(self.config.streams_per_connection_max)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_header_list_size(METADATA_BYTES_MAX)
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
            .http2_max_local_error_reset_streams(Some(FAULTY_STREAMS_MAX))
            // Browsers cannot do otherwise.
            .accept_http1(true)
            .layer(web)
            .layer(GrpcWebLayer::new())
            .layer(record)
            .add_service(self.event_service(appender.clone(), published))
            .add_service(self.query_service())
            .add_service(self.flight_service(appender))
            .add_service(self.health_service())
            .add_service(self.model_service())
            .add_service(self.snapshot_service())
            .add_service(self.upkeep_service())
            .add_service(self.view_service())
            .add_service(self.catalog_service())
            .add_service(reflected().build_v1().map_err(broken)?)
            .add_service(reflected().build_v1alpha().map_err(broken)?);
        Ok(router)
    }

    /// What appends, and the last `seq` published.
    fn appender(&self) -> (Appender, watch::Receiver<i64>) {
        let (sender, published) = watch::channel(self.store.snapshot().seq());
        let publications = Publications::default();
        let noted = publications.clone();
        self.store.on_publish(move |seq| {
            noted.note(seq);
            sender.send_replace(seq);
        });
        let appender = Appender {
            store: Arc::clone(&self.store),
            queue_wait: self.config.queue_wait,
            publications,
            metrics: self.metrics.appends(),
        };
        (appender, published)
    }

    fn event_service(
        &self,
        appender: Appender,
        published: watch::Receiver<i64>,
    ) -> Admitted<EventEndpoint> {
        let store = Arc::clone(&self.store);
        let inner = EventEndpoint::new(Events {
            appender: appender.clone(),
            streams: AppendStreams {
                appender,
                gate: self.gate.clone(),
                slots: Arc::new(Semaphore::new(self.config.append_streams_max)),
                open_wait: self.config.call_timeout,
            },
            reader: LogReader::new(store, published),
            readers: self.readers.clone(),
            reads: Arc::new(Semaphore::new(self.config.reads_max)),
        });
        let turns = Some(Arc::new(Semaphore::new(self.config.appends_max)));
        // An append that was given up may have reached the log.
        Admitted {
            inner,
            admission: self.admission(turns, Reason::OutcomeUnknown),
        }
    }

    fn flight_service(&self, appender: Appender) -> Admitted<FlightEndpoint> {
        let sources = (appender, self.statements.clone());
        let ways = (self.gate.clone(), self.readers.clone());
        let flight = Flight::new(sources, ways, Arc::clone(&self.turns));
        self.admitted(FlightEndpoint::new(flight))
    }

    fn query_service(&self) -> Admitted<QueryServiceServer<Queries>> {
        self.admitted(configured!(QueryServiceServer::new(Queries {
            statements: self.statements.clone(),
            readers: self.readers.clone(),
        })))
    }

    fn health_service(&self) -> Admitted<HealthServiceServer<Health>> {
        let sources = (Arc::clone(&self.store), self.engine.clone());
        let (gate, turns) = (self.gate.clone(), Arc::clone(&self.turns));
        let health = Health::new(sources, gate, turns, self.config.queue_wait);
        self.admitted(configured!(HealthServiceServer::new(health)))
    }

    fn model_service(&self) -> Admitted<ModelServiceServer<Models>> {
        self.admitted(configured!(ModelServiceServer::new(Models {
            engine: self.engine.clone(),
            turns: Arc::clone(&self.turns),
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
            readers: self.readers.clone(),
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

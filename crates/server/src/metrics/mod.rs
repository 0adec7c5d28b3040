//! What the server counts, and how Prometheus reads it.
//!
//! It owns names, labels and buckets of every metric; who counts holds a handle. Invariant: every
//! label has a bounded set of values, whatever clients send: methods are those of the contract,
//! paths those of the site, and all else is `other`.

mod http;
mod process;
mod rpc;
mod store;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub(crate) use self::http::Route;
pub(crate) use self::rpc::{RpcMetrics, code_name};
pub(crate) use self::store::Facts;

use self::http::HttpFamilies;
use self::process::ProcessGauges;
use self::rpc::RpcTable;
use self::store::StoreGauges;

/// The type of what [`Metrics::text`] returns.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper ends of the buckets of durations, in seconds.
const DURATIONS: [f64; 17] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 300.0,
];

fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

/// The metrics of one server. Clones are of the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<All>);

#[derive(Debug)]
struct All {
    registry: Registry,
    rpcs: RpcTable,
    http: HttpFamilies,
    doors: DoorFamilies,
    appends: AppendMetrics,
    process: ProcessGauges,
    store: StoreGauges,
    /// One scrape at a time: what is asked for when it is read must not mix.
    scrape: Mutex<()>,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("vitalog");
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The program that runs", Info::new(version));
        Self(Arc::new(All {
            rpcs: RpcTable::register(&mut registry),
            http: HttpFamilies::register(&mut registry),
            doors: DoorFamilies::register(&mut registry),
            appends: AppendMetrics::register(&mut registry),
            process: ProcessGauges::register(&mut registry),
            store: StoreGauges::register(&mut registry),
            scrape: Mutex::new(()),
            registry,
        }))
    }

    /// The handles of the method at `path`.
    pub fn rpc(&self, path: &str) -> Arc<RpcMetrics> {
        self.0.rpcs.of(path)
    }

    /// A failed call or request, by the word of its reason; a word that is none counts as `other`.
    pub fn failed(&self, reason: &str) {
        self.0.rpcs.failed(reason);
    }

    /// An answer of HTTP.
    pub fn answered(&self, route: Route, status: u16, took: Duration) {
        self.0.http.answered(route, status, took);
    }

    pub fn door(&self, listener: &'static str) -> DoorMetrics {
        self.0.doors.of(listener)
    }

    pub fn appends(&self) -> AppendMetrics {
        self.0.appends.clone()
    }

    /// All of it, with `facts` as they are now. Cost: it reads files of the system.
    pub fn text(&self, facts: &Facts) -> String {
        let all = &self.0;
        let _scrape = all.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        all.store.set(facts);
        all.process.set();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &all.registry)
            .expect("writing into a string cannot fail");
        text
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ListenerLabel {
    listener: &'static str,
}

#[derive(Debug)]
struct DoorFamilies {
    open: Family<ListenerLabel, Gauge>,
    accepted: Family<ListenerLabel, Counter>,
    refused: Family<ListenerLabel, Counter>,
    failed: Family<ListenerLabel, Counter>,
}

impl DoorFamilies {
    fn register(registry: &mut Registry) -> Self {
        let families = Self {
            open: Family::default(),
            accepted: Family::default(),
            refused: Family::default(),
            failed: Family::default(),
        };
        let open = families.open.clone();
        registry.register("connections", "Connections that are open", open);
        let accepted = families.accepted.clone();
        registry.register("connections_accepted", "Connections that came in", accepted);
        let refused = families.refused.clone();
        registry.register(
            "connections_refused",
            "Connections that were closed for want of room",
            refused,
        );
        let failed = families.failed.clone();
        registry.register(
            "handshakes_failed",
            "TLS handshakes that failed or took too long",
            failed,
        );
        families
    }

    fn of(&self, listener: &'static str) -> DoorMetrics {
        let label = ListenerLabel { listener };
        DoorMetrics {
            open: self.open.get_or_create_owned(&label),
            accepted: self.accepted.get_or_create_owned(&label),
            refused: self.refused.get_or_create_owned(&label),
            failed: self.failed.get_or_create_owned(&label),
        }
    }
}

/// What one listener counts.
#[derive(Clone, Debug)]
pub(crate) struct DoorMetrics {
    open: Gauge,
    accepted: Counter,
    refused: Counter,
    failed: Counter,
}

impl DoorMetrics {
    /// A connection is open until what is returned is dropped.
    pub fn opened(&self) -> OpenConnection {
        self.accepted.inc();
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    pub fn refused(&self) {
        self.refused.inc();
    }

    pub fn handshake_failed(&self) {
        self.failed.inc();
    }
}

/// See [`DoorMetrics::opened`].
#[derive(Debug)]
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What appends count.
#[derive(Clone, Debug)]
pub(crate) struct AppendMetrics {
    durable: Histogram,
    visible: Histogram,
    accepted: Counter,
    duplicates: Counter,
    rejected: Counter,
    pending_bytes: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl AppendMetrics {
    fn register(registry: &mut Registry) -> Self {
        let outcomes: Family<OutcomeLabel, Counter> = Family::default();
        let of = |outcome| outcomes.get_or_create_owned(&OutcomeLabel { outcome });
        let metrics = Self {
            durable: durations(),
            visible: durations(),
            accepted: of("accepted"),
            duplicates: of("duplicate"),
            rejected: of("rejected"),
            pending_bytes: Gauge::default(),
        };
        let (durable, visible) = (metrics.durable.clone(), metrics.visible.clone());
        registry.register(
            "append_durable_seconds",
            "From the arrival of a batch to the log's word that it is durable",
            durable,
        );
        registry.register(
            "append_visible_seconds",
            "From the arrival of a batch to the moment from which every new question sees it",
            visible,
        );
        registry.register(
            "append_events",
            "Events that were sent, by outcome",
            outcomes,
        );
        let pending = metrics.pending_bytes.clone();
        registry.register(
            "append_pending_bytes",
            "Bytes of requests that wait for the log or are being checked",
            pending,
        );
        metrics
    }

    /// `bytes` wait until what is returned is dropped.
    pub fn pending(&self, bytes: usize) -> PendingBytes {
        let bytes = bytes as i64;
        self.pending_bytes.inc_by(bytes);
        PendingBytes(self.pending_bytes.clone(), bytes)
    }

    /// A batch that arrived at `arrived` is durable now, and was visible at `visible`.
    pub fn committed(&self, arrived: Instant, visible: Instant) {
        self.durable.observe(arrived.elapsed().as_secs_f64());
        let visible = visible.saturating_duration_since(arrived);
        self.visible.observe(visible.as_secs_f64());
    }

    /// What became of the events of a batch.
    pub fn events(&self, accepted: u64, duplicates: u64, rejected: u64) {
        self.accepted.inc_by(accepted);
        self.duplicates.inc_by(duplicates);
        self.rejected.inc_by(rejected);
    }
}

/// See [`AppendMetrics::pending`].
#[derive(Debug)]
pub(crate) struct PendingBytes(Gauge, i64);

impl Drop for PendingBytes {
    fn drop(&mut self) {
        self.0.dec_by(self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_while_it_is_held() {
        let metrics = Metrics::new();
        let door = metrics.door("grpc");
        let (one, other) = (door.opened(), door.opened());
        let pending = metrics.appends().pending(7);
        drop(one);
        let text = metrics.text(&Facts::default());
        assert!(
            text.contains("vitalog_connections{listener=\"grpc\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("vitalog_connections_accepted_total{listener=\"grpc\"} 2\n"));
        assert!(text.contains("vitalog_append_pending_bytes 7\n"));
        drop((other, pending));
        let text = metrics.text(&Facts::default());
        assert!(text.contains("vitalog_connections{listener=\"grpc\"} 0\n"));
        assert!(text.contains("vitalog_append_pending_bytes 0\n"));
        assert!(text.ends_with("# EOF\n"));
    }
}

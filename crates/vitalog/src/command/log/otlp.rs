//! Spans of calls on their way to a collector of OpenTelemetry, over gRPC.
//!
//! Invariant: a collector that is slow or gone costs spans, never calls: they wait in a bounded
//! queue, and what does not fit is dropped.

use std::fmt;

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use tokio::runtime::Runtime;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// The name under which spans are found.
const SERVICE: &str = "vitalog";

/// An export under way. Dropping it sends what waits.
pub(super) struct Export {
    provider: SdkTracerProvider,
    /// Keeps the connection. Dropped last.
    _runtime: Runtime,
}

impl Export {
    /// Sends spans to `endpoint` from now on. It need not be there yet.
    ///
    /// # Errors
    /// No address, no thread.
    pub fn to(endpoint: &str) -> anyhow::Result<Self> {
        let failed = || format!("[log] otlp_endpoint is {endpoint:?}");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("vitalog-otlp")
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .with_context(failed)?;
        let resource = Resource::builder().with_service_name(SERVICE).build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        drop(entered);
        Ok(Self {
            provider,
            _runtime: runtime,
        })
    }

    /// What turns spans of the process into spans of the collector.
    pub fn spans<S>(&self) -> OpenTelemetryLayer<S, Tracer>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer(SERVICE))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown() {
            eprintln!("warning: the last spans were not sent: {error}");
        }
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Export")
    }
}

//! What calls count: one set of handles for each method of the contract, and one for all else.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Code;
use vitalog_wire::FILE_DESCRIPTOR_SET;

use super::durations;
use crate::fault::Reason;

/// Methods that no descriptor of ours has.
const OTHERS: [(&str, &[&str]); 4] = [
    (
        "arrow.flight.protocol.FlightService",
        &[
            "Handshake",
            "ListFlights",
            "GetFlightInfo",
            "PollFlightInfo",
            "GetSchema",
            "DoGet",
            "DoPut",
            "DoExchange",
            "DoAction",
            "ListActions",
        ],
    ),
    ("grpc.health.v1.Health", &["Check", "Watch"]),
    (
        "grpc.reflection.v1.ServerReflection",
        &["ServerReflectionInfo"],
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection",
        &["ServerReflectionInfo"],
    ),
];

/// The label of what is in no contract.
pub(super) const OTHER: &str = "other";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RpcLabel {
    service: String,
    method: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeLabel {
    service: String,
    method: String,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

type Durations = Family<RpcLabel, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug)]
struct Families {
    calls: Family<CodeLabel, Counter>,
    took: Durations,
    open: Family<RpcLabel, Gauge>,
    failures: Family<ReasonLabel, Counter>,
}

/// The handles of every method.
#[derive(Debug)]
pub(super) struct RpcTable {
    families: Families,
    /// By path.
    methods: HashMap<String, Arc<RpcMetrics>>,
    other: Arc<RpcMetrics>,
}

/// The handles of one method. A method that nobody calls has no series.
#[derive(Debug)]
pub(crate) struct RpcMetrics {
    label: RpcLabel,
    families: Families,
    counting: OnceLock<(Histogram, Gauge)>,
}

impl RpcTable {
    pub fn register(registry: &mut Registry) -> Self {
        let families = Families {
            calls: Family::default(),
            took: Durations::new_with_constructor(durations as fn() -> Histogram),
            open: Family::default(),
            failures: Family::default(),
        };
        let calls = families.calls.clone();
        registry.register("rpc_calls", "Calls that ended, by their code", calls);
        let took = families.took.clone();
        registry.register(
            "rpc_duration_seconds",
            "From the head of a call to the end of its answer",
            took,
        );
        let open = families.open.clone();
        registry.register("rpc_open", "Calls and streams under way", open);
        let failures = families.failures.clone();
        registry.register("failures", "Calls and requests that failed", failures);
        let handles = |service: &str, method: &str| {
            Arc::new(RpcMetrics {
                label: RpcLabel {
                    service: service.to_owned(),
                    method: method.to_owned(),
                },
                families: families.clone(),
                counting: OnceLock::new(),
            })
        };
        let methods = methods().into_iter();
        let methods = methods.map(|(service, method)| {
            let path = format!("/{service}/{method}");
            (path, handles(&service, &method))
        });
        Self {
            methods: methods.collect(),
            other: handles(OTHER, OTHER),
            families,
        }
    }

    pub fn of(&self, path: &str) -> Arc<RpcMetrics> {
        Arc::clone(self.methods.get(path).unwrap_or(&self.other))
    }

    pub fn failed(&self, reason: &str) {
        let mut known = Reason::ALL.iter().map(|known| known.as_str());
        let reason = known.find(|known| *known == reason).unwrap_or(OTHER);
        let label = ReasonLabel { reason };
        self.families.failures.get_or_create(&label).inc();
    }
}

/// Service and method of every call that the server knows.
fn methods() -> Vec<(String, String)> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("the checked-in set");
    let mut methods = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            let found = service.method.iter();
            methods.extend(found.map(|method| (name.clone(), method.name().to_owned())));
        }
    }
    for (service, names) in OTHERS {
        let named = |name: &&str| (service.to_owned(), (*name).to_owned());
        methods.extend(names.iter().map(named));
    }
    methods
}

impl RpcMetrics {
    /// `Service/Method`, as the contract has it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.label.service, self.label.method)
    }

    /// A call has begun.
    pub fn began(&self) {
        self.counting().1.inc();
    }

    /// A call that had begun ended.
    pub fn ended(&self, code: Code, took: Duration) {
        let (durations, open) = self.counting();
        open.dec();
        durations.observe(took.as_secs_f64());
        let RpcLabel { service, method } = self.label.clone();
        let label = CodeLabel {
            service,
            method,
            code: code_name(code),
        };
        self.families.calls.get_or_create(&label).inc();
    }

    fn counting(&self) -> &(Histogram, Gauge) {
        self.counting.get_or_init(|| {
            let took = self.families.took.get_or_create_owned(&self.label);
            (took, self.families.open.get_or_create_owned(&self.label))
        })
    }
}

/// The word of a code, as gRPC's specification has it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_contract_is_one_series() {
        let mut registry = Registry::default();
        let table = RpcTable::register(&mut registry);
        for n in 0..1_000 {
            let rpc = table.of(&format!("/vitalog.v1.EventService/Append{n}"));
            rpc.began();
            rpc.ended(Code::Unimplemented, Duration::from_millis(1));
            table.failed(&format!("REASON_{n}"));
        }
        let append = table.of("/vitalog.v1.EventService/Append");
        assert_eq!(append.name(), "vitalog.v1.EventService/Append");
        append.began();
        append.ended(Code::Ok, Duration::from_millis(1));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        let line =
            "rpc_calls_total{service=\"other\",method=\"other\",code=\"UNIMPLEMENTED\"} 1000";
        assert!(text.contains(line), "{text}");
        for (name, series) in [
            ("rpc_calls_total{", 2),
            ("rpc_duration_seconds_count{", 2),
            ("failures_total{", 1),
        ] {
            let lines = text.lines().filter(|line| line.starts_with(name));
            assert_eq!(lines.count(), series, "{name} in {text}");
        }
    }

    #[test]
    fn every_code_has_its_own_word() {
        let words: std::collections::HashSet<_> = (0..17)
            .map(|code| code_name(Code::from_i32(code)))
            .collect();
        assert_eq!(words.len(), 17);
    }
}

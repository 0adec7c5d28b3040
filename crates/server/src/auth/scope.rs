//! Scopes, and the one that each gRPC call needs.

use std::fmt;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Ask, list, count and download.
    Read,
    /// Append events, apply models and views, publish and delete snapshots.
    Write,
    /// Everything, erasing and backing up included.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The word of the scope.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The scope of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    /// The bit of this scope in a set of them.
    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What a gRPC call needs of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: it is how callers come to a right, or says nothing of what is stored.
    Nothing,
    /// This scope.
    Scope(Scope),
    /// One of these scopes.
    Either([Scope; 2]),
}

/// Where Flight's calls are.
const FLIGHT: &str = "/arrow.flight.protocol.FlightService/";

/// Services that anyone may ask. They are served without admission; they stand here so that this
/// is the whole list.
const OPEN: [&str; 3] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// What a gRPC call needs, by the path of its method. What is not listed needs the highest, so
/// that a new method is never open by oversight.
pub(crate) fn need_of_call(path: &str) -> Need {
    if OPEN.iter().any(|service| path.starts_with(*service)) {
        return Need::Nothing;
    }
    if let Some(method) = path.strip_prefix(FLIGHT) {
        return need_of_flight(method);
    }
    let method = path.strip_prefix("/vitalog.v1.");
    let Some((service, method)) = method.and_then(|method| method.split_once('/')) else {
        return Need::Scope(Scope::Admin);
    };
    Need::Scope(match (service, method) {
        // Whoever writes must know where to go on.
        ("EventService", "GetWriterState") => return Need::Either([Scope::Read, Scope::Write]),
        ("CatalogService", "ListTables" | "GetTable" | "ListFunctions")
        | ("HealthService", "GetScores" | "Explain")
        | ("QueryService", "Query" | "Explain" | "ListQueries" | "CancelQuery")
        | ("EventService", "Read")
        | ("ModelService", "Check" | "Get" | "List")
        | ("ViewService", "Get" | "List")
        | ("SnapshotService", "Get" | "List" | "Fetch")
        | ("UpkeepService", "GetStats") => Scope::Read,
        ("EventService", "Append" | "AppendStream")
        | ("ModelService", "Apply")
        | ("ViewService", "Apply" | "Drop")
        | ("SnapshotService", "Create" | "Delete") => Scope::Write,
        _ => Scope::Admin,
    })
}

/// Whether a call sends one message after another to be written.
pub(crate) fn is_upload(path: &str) -> bool {
    matches!(
        path,
        "/vitalog.v1.EventService/AppendStream" | "/arrow.flight.protocol.FlightService/DoPut"
    )
}

/// What a call of Flight needs. Commands stand in the messages: those that write ask for more
/// when they are read.
fn need_of_flight(method: &str) -> Need {
    match method {
        "Handshake" => Need::Nothing,
        "ListFlights" | "GetFlightInfo" | "PollFlightInfo" | "GetSchema" | "DoGet" | "DoPut"
        | "DoExchange" | "DoAction" | "ListActions" => Need::Scope(Scope::Read),
        _ => Need::Scope(Scope::Admin),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message;
    use prost_types::FileDescriptorSet;
    use vitalog_wire::FILE_DESCRIPTOR_SET;

    use super::*;

    const READ: Need = Need::Scope(Scope::Read);
    const WRITE: Need = Need::Scope(Scope::Write);
    const ADMIN: Need = Need::Scope(Scope::Admin);

    /// Every method of the contract, of health checks and of reflection.
    const NEEDS: [(&str, Need); 38] = [
        ("vitalog.v1.CatalogService/GetTable", READ),
        ("vitalog.v1.CatalogService/ListFunctions", READ),
        ("vitalog.v1.CatalogService/ListTables", READ),
        ("vitalog.v1.EventService/Append", WRITE),
        ("vitalog.v1.EventService/AppendStream", WRITE),
        (
            "vitalog.v1.EventService/GetWriterState",
            Need::Either([Scope::Read, Scope::Write]),
        ),
        ("vitalog.v1.EventService/Read", READ),
        ("vitalog.v1.HealthService/Explain", READ),
        ("vitalog.v1.HealthService/GetScores", READ),
        ("vitalog.v1.ModelService/Apply", WRITE),
        ("vitalog.v1.ModelService/Check", READ),
        ("vitalog.v1.ModelService/Get", READ),
        ("vitalog.v1.ModelService/List", READ),
        ("vitalog.v1.QueryService/CancelQuery", READ),
        ("vitalog.v1.QueryService/Explain", READ),
        ("vitalog.v1.QueryService/ListQueries", READ),
        ("vitalog.v1.QueryService/Query", READ),
        ("vitalog.v1.SnapshotService/Create", WRITE),
        ("vitalog.v1.SnapshotService/Delete", WRITE),
        ("vitalog.v1.SnapshotService/Fetch", READ),
        ("vitalog.v1.SnapshotService/Get", READ),
        ("vitalog.v1.SnapshotService/List", READ),
        ("vitalog.v1.UpkeepService/Backup", ADMIN),
        ("vitalog.v1.UpkeepService/Compact", ADMIN),
        ("vitalog.v1.UpkeepService/Erase", ADMIN),
        ("vitalog.v1.UpkeepService/GetStats", READ),
        ("vitalog.v1.UpkeepService/ListImports", ADMIN),
        ("vitalog.v1.UpkeepService/ListReceipts", ADMIN),
        ("vitalog.v1.UpkeepService/Retain", ADMIN),
        ("vitalog.v1.UpkeepService/UndoImport", ADMIN),
        ("vitalog.v1.ViewService/Apply", WRITE),
        ("vitalog.v1.ViewService/Drop", WRITE),
        ("vitalog.v1.ViewService/Get", READ),
        ("vitalog.v1.ViewService/List", READ),
        ("grpc.health.v1.Health/Check", Need::Nothing),
        ("grpc.health.v1.Health/Watch", Need::Nothing),
        (
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            Need::Nothing,
        ),
        (
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            Need::Nothing,
        ),
    ];

    /// The methods of every service that is described.
    fn described() -> Vec<String> {
        let sets: [&[u8]; 4] = [
            FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let mut names = Vec::new();
        for set in sets {
            let set = FileDescriptorSet::decode(set).expect("a checked-in set");
            for file in &set.file {
                for service in &file.service {
                    let service_name = format!("{}.{}", file.package(), service.name());
                    let methods = service.method.iter();
                    names.extend(methods.map(|method| format!("{service_name}/{}", method.name())));
                }
            }
        }
        names
    }

    #[test]
    fn every_method_of_every_service_has_its_need() {
        let expected = NEEDS.map(|(name, need)| (name.to_owned(), need));
        let found = described().into_iter().map(|name| {
            let need = need_of_call(&format!("/{name}"));
            (name, need)
        });
        let found: BTreeMap<String, Need> = found.collect();
        assert_eq!(found, BTreeMap::from(expected));
    }

    #[test]
    fn what_is_not_known_needs_the_highest() {
        for path in [
            "",
            "/",
            "/grpc.health.v1.Healthy/Check",
            "/vitalog.v1.EventService/Erase",
            "/vitalog.v1.QueryService/Erase",
            "/vitalog.v2.QueryService/Query",
            "/arrow.flight.protocol.FlightService/DoErase",
        ] {
            assert_eq!(need_of_call(path), ADMIN, "{path}");
        }
    }

    /// Its crate has no description of its service.
    #[test]
    fn flight_reads_and_its_handshake_needs_nothing() {
        let need = |method| need_of_call(&format!("{FLIGHT}{method}"));
        assert_eq!(need("Handshake"), Need::Nothing);
        for method in [
            "ListFlights",
            "GetFlightInfo",
            "PollFlightInfo",
            "GetSchema",
            "DoGet",
            "DoPut",
            "DoExchange",
            "DoAction",
            "ListActions",
        ] {
            assert_eq!(need(method), READ, "{method}");
        }
    }
}

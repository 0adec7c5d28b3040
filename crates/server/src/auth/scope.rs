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

/// The scope that a gRPC call needs, by the path of its method. What is not listed needs the
/// highest, so that a new method is never open by oversight.
pub(crate) fn scope_of_call(path: &str) -> Scope {
    let Some((service, method)) = path
        .strip_prefix("/vitalog.v1.")
        .and_then(|name| name.split_once('/'))
    else {
        return Scope::Admin;
    };
    match (service, method) {
        ("CatalogService" | "HealthService" | "QueryService", _)
        | ("EventService", "Read")
        | ("ModelService", "Check" | "Get" | "List")
        | ("ViewService", "Get" | "List")
        | ("SnapshotService", "Get" | "List" | "Fetch")
        | ("UpkeepService", "GetStats") => Scope::Read,
        ("EventService", "Append")
        | ("ModelService", "Apply")
        | ("ViewService", "Apply" | "Drop")
        | ("SnapshotService", "Create" | "Delete") => Scope::Write,
        _ => Scope::Admin,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;
    use vitalog_wire::FILE_DESCRIPTOR_SET;

    use super::*;

    /// The methods of the contract whose calls need `scope`.
    fn methods(scope: Scope) -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("the checked-in set");
        let services = set.file.iter().flat_map(|file| &file.service);
        let names = services.flat_map(|service| {
            let methods = service.method.iter();
            methods.map(|method| format!("{}/{}", service.name(), method.name()))
        });
        names
            .filter(|name| scope_of_call(&format!("/vitalog.v1.{name}")) == scope)
            .collect()
    }

    #[test]
    fn every_method_of_the_contract_has_its_scope() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let writes: BTreeSet<String> = set(&[
            "EventService/Append",
            "ModelService/Apply",
            "SnapshotService/Create",
            "SnapshotService/Delete",
            "ViewService/Apply",
            "ViewService/Drop",
        ]);
        assert_eq!(methods(Scope::Write), writes);
        let admin = methods(Scope::Admin);
        assert!(admin.contains("UpkeepService/Erase"));
        assert!(
            admin.iter().all(|name| name.starts_with("UpkeepService/")),
            "{admin:?}"
        );
        let reads = methods(Scope::Read);
        assert!(reads.contains("SnapshotService/Fetch"));
        assert!(reads.contains("UpkeepService/GetStats"));
    }

    #[test]
    fn what_is_not_known_needs_the_highest() {
        for path in [
            "",
            "/",
            "/grpc.health.v1.Health/Check",
            "/vitalog.v1.EventService/Erase",
        ] {
            assert_eq!(scope_of_call(path), Scope::Admin, "{path}");
        }
    }
}

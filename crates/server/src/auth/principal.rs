//! Who calls: what every surface knows of the caller of a request.
//!
//! It stands in the extensions of each request that was let in, over gRPC, Flight SQL and HTTP
//! alike. Invariant: it holds nothing that would open anything.

use super::Denied;
use super::scope::Scope;

/// A caller whose right was proven, or anyone where no right is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    name: Option<String>,
    /// See [`Scope::bit`].
    scopes: u8,
}

impl Principal {
    /// A caller of a server that everyone may ask everything.
    pub fn anyone() -> Self {
        Self {
            name: None,
            scopes: Scope::Admin.bit(),
        }
    }

    /// A caller who proved nothing: what needs no right is open to them, and nothing else.
    pub fn stranger() -> Self {
        Self {
            name: None,
            scopes: 0,
        }
    }

    pub(super) fn of_token(name: &str, scopes: u8) -> Self {
        Self {
            name: Some(name.to_owned()),
            scopes,
        }
    }

    /// The name of the caller's token; `None` without one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the caller may do what needs `scope`: `admin` opens everything.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// # Errors
    /// The caller may not do what needs `scope`.
    pub fn require(&self, scope: Scope) -> Result<(), Denied> {
        if self.has(scope) {
            return Ok(());
        }
        let Some(name) = &self.name else {
            return Err(Denied::Unknown);
        };
        Err(Denied::Lacks {
            name: name.clone(),
            scope,
        })
    }

    /// # Errors
    /// The caller has none of the two scopes; the first is named.
    pub fn require_either(&self, [first, other]: [Scope; 2]) -> Result<(), Denied> {
        if self.has(other) {
            return Ok(());
        }
        self.require(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_may_do_what_their_scopes_say() {
        for scope in Scope::ALL {
            assert_eq!(Principal::anyone().require(scope), Ok(()));
            assert_eq!(Principal::stranger().require(scope), Err(Denied::Unknown));
        }
        let writer = Principal::of_token("etl", Scope::Write.bit());
        assert_eq!(writer.require(Scope::Write), Ok(()));
        let name = "etl".to_owned();
        let scope = Scope::Read;
        assert_eq!(
            writer.require(scope),
            Err(Denied::Lacks { name, scope }),
            "write is not read"
        );
        let both = [Scope::Read, Scope::Write];
        for scope in both {
            let one = Principal::of_token("one", scope.bit());
            assert_eq!(one.require_either(both), Ok(()), "{scope}");
        }
        assert_eq!(Principal::anyone().require_either(both), Ok(()));
        let stranger = Principal::stranger().require_either(both);
        assert_eq!(stranger, Err(Denied::Unknown));
        let name = "etl".to_owned();
        let scope = Scope::Read;
        assert_eq!(
            writer.require_either([Scope::Read, Scope::Admin]),
            Err(Denied::Lacks { name, scope })
        );
    }
}

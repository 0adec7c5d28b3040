//! Who may do what: bearer tokens with scopes, and signed URLs.
//!
//! It owns what proves a caller's right ([`Access`], [`SigningKey`]) and which right each call
//! needs ([`Scope`]). It does not own how a refusal travels: gRPC has `fault`, HTTP has
//! `http::answer`. Invariant: no secret is ever compared in a time that depends on it, printed by
//! `Debug`, or kept in a form that would open anything.

mod scope;
mod secret;
mod signature;
mod tokens;

use std::sync::Arc;

pub use self::scope::Scope;
pub(crate) use self::scope::scope_of_call;
pub use self::secret::random_secret;
pub use self::signature::SigningKey;
pub(crate) use self::signature::{SIGNED_FOR_MAX, Signature};
pub use self::tokens::{TokenError, TokenLine, Tokens};

/// What a caller's `Authorization` header must say.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// `None` lets everyone do everything.
    tokens: Option<Arc<Tokens>>,
}

/// Why a caller is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No bearer token was sent, or one that is not known: which of the two is nobody's business.
    Unknown,
    /// The token is known and lacks the scope.
    Lacks { name: String, scope: Scope },
}

impl Access {
    /// Everyone may do everything: for a server that only its own machine reaches.
    #[must_use]
    pub fn open() -> Self {
        Self::default()
    }

    /// Only callers with one of `tokens`.
    #[must_use]
    pub fn with_tokens(tokens: Tokens) -> Self {
        Self {
            tokens: Some(Arc::new(tokens)),
        }
    }

    /// Whether everyone may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.tokens.is_none()
    }

    /// Whether the caller who sent `authorization`, the value of that header, has `scope`.
    pub(crate) fn check(&self, authorization: Option<&[u8]>, scope: Scope) -> Result<(), Denied> {
        let Some(tokens) = &self.tokens else {
            return Ok(());
        };
        let token = authorization.and_then(bearer).ok_or(Denied::Unknown)?;
        let line = tokens.find(token).ok_or(Denied::Unknown)?;
        if line.has(scope) {
            return Ok(());
        }
        Err(Denied::Lacks {
            name: line.name().to_owned(),
            scope,
        })
    }
}

/// The token of `Bearer TOKEN`; the word's case does not matter.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (word, token) = header.split_at_checked(7)?;
    word.eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        let read = TokenLine::new("bi", &[Scope::Read], "reads").expect("a line");
        let all = TokenLine::new("ops", &[Scope::Admin], "does all").expect("a line");
        let text = format!("# tokens\n{read}\n\n{all}\n");
        Access::with_tokens(Tokens::parse(&text).expect("two lines"))
    }

    #[test]
    fn a_token_opens_what_its_scopes_say() {
        let access = access();
        let check = |header: &str, scope| access.check(Some(header.as_bytes()), scope);
        assert_eq!(check("Bearer reads", Scope::Read), Ok(()));
        assert_eq!(check("bearer  reads ", Scope::Read), Ok(()));
        let lacks = |scope| {
            let name = "bi".to_owned();
            Err(Denied::Lacks { name, scope })
        };
        assert_eq!(check("Bearer reads", Scope::Write), lacks(Scope::Write));
        assert_eq!(check("Bearer reads", Scope::Admin), lacks(Scope::Admin));
        for scope in [Scope::Read, Scope::Write, Scope::Admin] {
            assert_eq!(check("BEARER does all", scope), Ok(()));
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        let access = access();
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Basic reads",
            "reads",
            "Bearer readsx",
        ] {
            let found = access.check(Some(header.as_bytes()), Scope::Read);
            assert_eq!(found, Err(Denied::Unknown), "{header:?}");
        }
        assert_eq!(access.check(None, Scope::Read), Err(Denied::Unknown));
        assert_eq!(Access::open().check(None, Scope::Admin), Ok(()));
    }
}

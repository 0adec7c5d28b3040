//! Who may do what: bearer tokens with scopes, and signed URLs.
//!
//! It owns what proves a caller's right ([`Access`], [`SigningKey`]) and which right each call
//! needs ([`Scope`]). It does not own how a refusal travels: gRPC has `fault`, HTTP has
//! `http::answer`. Invariant: no secret is ever compared in a time that depends on it, printed by
//! `Debug`, or kept in a form that would open anything.

mod basic;
mod principal;
mod scope;
mod secret;
mod signature;
mod tokens;

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use self::principal::Principal;
pub use self::scope::Scope;
pub(crate) use self::scope::{Need, is_upload, need_of_call};
pub use self::secret::random_secret;
pub use self::signature::SigningKey;
pub(crate) use self::signature::{SIGNED_FOR_MAX, Signature};
pub use self::tokens::{TokenError, TokenLine, Tokens};

/// What a caller's `Authorization` header must say. Clones are of the same tokens: one that is told
/// new ones tells all.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// `None` lets everyone do everything.
    known: Option<Arc<Known>>,
}

/// The tokens in force.
#[derive(Debug)]
struct Known {
    tokens: RwLock<Tokens>,
    /// How often others took their place.
    generation: AtomicU64,
}

/// What a caller was let in for, to be looked at again while an answer goes on.
#[derive(Clone)]
pub(crate) struct Right {
    known: Arc<Known>,
    /// Of the token.
    hash: [u8; 32],
    scope: Scope,
    /// The generation in which it held.
    held_in: u64,
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
            known: Some(Arc::new(Known {
                tokens: RwLock::new(tokens),
                generation: AtomicU64::new(0),
            })),
        }
    }

    /// Puts `tokens` in the place of those that are known, for every call from now on. A server
    /// that is open stays open: what nobody asked for is not closed under its callers.
    pub fn replace_tokens(&self, tokens: Tokens) {
        if let Some(known) = &self.known {
            *known.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
            known.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether everyone may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.known.is_none()
    }

    /// The caller who sent `authorization`, the value of that header, if they have `scope`.
    pub(crate) fn check(
        &self,
        authorization: Option<&[u8]>,
        scope: Scope,
    ) -> Result<Principal, Denied> {
        let principal = self.principal(authorization)?;
        principal.require(scope)?;
        Ok(principal)
    }

    /// The caller who sent `authorization`, if they have one of `scopes`.
    pub(crate) fn check_either(
        &self,
        authorization: Option<&[u8]>,
        scopes: [Scope; 2],
    ) -> Result<Principal, Denied> {
        let principal = self.principal(authorization)?;
        principal.require_either(scopes)?;
        Ok(principal)
    }

    /// The caller who sent `authorization`, the value of that header.
    pub(crate) fn principal(&self, authorization: Option<&[u8]>) -> Result<Principal, Denied> {
        if self.is_open() {
            return Ok(Principal::anyone());
        }
        let token = authorization.and_then(token_of).unwrap_or_default();
        self.principal_of_token(&token)
    }

    /// The caller who has `token`, however it came.
    pub(crate) fn principal_of_token(&self, token: &[u8]) -> Result<Principal, Denied> {
        let Some(known) = &self.known else {
            return Ok(Principal::anyone());
        };
        let tokens = known.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let line = tokens.find(token).ok_or(Denied::Unknown)?;
        Ok(line.principal())
    }

    /// The right of the caller who sent `authorization` to what needs `scope`; `None` where no
    /// right is asked for. Taken before it is checked for the first time, so that no replacement
    /// of tokens falls in between.
    pub(crate) fn right(&self, authorization: Option<&[u8]>, scope: Scope) -> Option<Right> {
        let known = Arc::clone(self.known.as_ref()?);
        let token = authorization.and_then(token_of).unwrap_or_default();
        Some(Right {
            hash: tokens::hash_of(&token),
            scope,
            held_in: known.generation.load(Ordering::Acquire),
            known,
        })
    }
}

impl Right {
    /// Whether `right` still holds, where one is asked for. Cost: that of reading a number, until
    /// tokens are replaced.
    ///
    /// # Errors
    /// The token was taken out, or has lost the scope.
    pub fn check(right: Option<&mut Self>) -> Result<(), Denied> {
        if right.is_some_and(|right| !right.holds()) {
            return Err(Denied::Unknown);
        }
        Ok(())
    }

    fn holds(&mut self) -> bool {
        let generation = self.known.generation.load(Ordering::Acquire);
        if generation == self.held_in {
            return true;
        }
        self.held_in = generation;
        let tokens = self.known.tokens.read();
        let tokens = tokens.unwrap_or_else(PoisonError::into_inner);
        let line = tokens.find_hash(&self.hash);
        line.is_some_and(|line| line.has(self.scope))
    }
}

/// Shows nothing of the token.
impl fmt::Debug for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Right({})", self.scope)
    }
}

/// The token of a header: that of Bearer, or the password of Basic.
fn token_of(header: &[u8]) -> Option<Cow<'_, [u8]>> {
    let bearer = bearer(header).map(Cow::Borrowed);
    bearer.or_else(|| basic::password(header).map(Cow::Owned))
}

/// `Bearer TOKEN` with the token that came in a header of either scheme; a server that lets
/// everyone in gets calls without one.
pub(crate) fn bearer_of(authorization: Option<&[u8]>) -> Vec<u8> {
    let token = authorization.and_then(token_of);
    let token = token.filter(|token| !token.is_empty());
    [b"Bearer ", token.as_deref().unwrap_or(b"anonymous")].concat()
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
        let check = |header: &str, scope| {
            let found = access.check(Some(header.as_bytes()), scope);
            found.map(|principal| assert!(principal.name().is_some()))
        };
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
    fn a_password_is_a_token() {
        let access = access();
        // "anyone:reads"
        let header = b"Basic YW55b25lOnJlYWRz";
        assert!(access.check(Some(header), Scope::Read).is_ok());
        assert!(access.check(Some(header), Scope::Write).is_err());
        assert_eq!(bearer_of(Some(header)), b"Bearer reads");
        assert_eq!(bearer_of(Some(b"bearer  reads ")), b"Bearer reads");
        assert_eq!(bearer_of(None), b"Bearer anonymous");
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
        let open = Access::open().check(None, Scope::Admin);
        assert_eq!(open, Ok(Principal::anyone()));
    }

    #[test]
    fn new_tokens_count_at_once_for_every_clone() {
        let access = access();
        let clone = access.clone();
        let check = |token: &str| clone.check(Some(token.as_bytes()), Scope::Read);
        assert!(check("Bearer reads").is_ok());
        let line = TokenLine::new("new", &[Scope::Read], "fresh").expect("a line");
        access.replace_tokens(Tokens::parse(&line.to_string()).expect("one line"));
        assert_eq!(check("Bearer reads"), Err(Denied::Unknown));
        let found = check("Bearer fresh").expect("it is known now");
        assert_eq!(found.name(), Some("new"));
    }

    #[test]
    fn a_right_holds_until_its_token_is_taken_out_or_loses_the_scope() {
        let access = access();
        let right = |token: &str, scope| access.right(Some(token.as_bytes()), scope);
        let mut reads = right("Bearer reads", Scope::Read).expect("tokens are asked for");
        let mut all = right("Bearer does all", Scope::Write).expect("tokens are asked for");
        let line = |name, scope, token| TokenLine::new(name, &[scope], token).expect("a line");
        let replace = |lines: [TokenLine; 2]| {
            let text = lines.map(|line| line.to_string()).join("\n");
            access.replace_tokens(Tokens::parse(&text).expect("two lines"));
        };
        let ops = |scope| line("ops", scope, "does all");
        assert!(reads.holds() && all.holds());
        replace([line("bi", Scope::Read, "reads"), ops(Scope::Write)]);
        assert!(reads.holds() && all.holds());
        // The same name is not the same token, nor the same token the same scope.
        replace([line("bi", Scope::Read, "another"), ops(Scope::Read)]);
        assert!(!reads.holds() && !all.holds());
        assert!(Access::open().right(None, Scope::Admin).is_none());
    }
}

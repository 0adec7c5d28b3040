//! Who may read an address: a caller with a token, or whoever has a URL that was signed.

use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use tokio_util::sync::CancellationToken;

use super::Site;
use super::address::Address;
use super::host::is_this_machine;
use crate::auth::{Principal, Right, SIGNED_FOR_MAX, Scope, Signature, SigningKey};
use crate::fault::{Fault, Reason};
use crate::record::CallerName;

/// The parameter that asks for signed URLs, in seconds.
const SIGN_FOR: &str = "sign_for=";

/// What the URLs in an answer are signed with.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    pub key: SigningKey,
    /// Seconds since 1970.
    pub expires: u64,
}

impl Signing {
    /// `path` with its signature behind it.
    pub fn signed(&self, path: &str) -> String {
        format!("{path}?{}", self.key.sign(path, self.expires))
    }
}

/// For how long an answer may go on: until every answer must end, and as long as the token that
/// opened it is known.
#[derive(Debug)]
pub(super) struct Leave {
    expired: CancellationToken,
    /// `None` where no token is asked for.
    right: Option<Right>,
}

impl Leave {
    /// That of a caller whose token has `scope`. Taken before the token is checked.
    pub fn of(site: &Site, request: &Parts, scope: Scope) -> Self {
        Self {
            expired: site.gate.expired().clone(),
            right: site.access.right(authorization(request), scope),
        }
    }

    /// # Errors
    /// The token was taken out.
    pub fn check(&mut self) -> Result<(), Fault> {
        Ok(Right::check(self.right.as_mut())?)
    }

    /// Waits until every answer must end, and says why.
    pub async fn over(&self) -> Fault {
        self.expired.cancelled().await;
        Fault::shutting_down()
    }
}

fn authorization(request: &Parts) -> Option<&[u8]> {
    let authorization = request.headers.get(AUTHORIZATION);
    authorization.map(HeaderValue::as_bytes)
}

/// The caller of a request, if their token has `scope`.
///
/// # Errors
/// No token that is known was sent, or one that lacks the scope.
pub(super) fn caller(site: &Site, request: &Parts, scope: Scope) -> Result<Principal, Fault> {
    let authorization = authorization(request);
    let principal = site.access.check(authorization, scope)?;
    if let Some(caller) = request.extensions.get::<CallerName>() {
        caller.tell(&principal);
    }
    Ok(principal)
}

/// # Errors
/// Everyone on the machine may ask, and the request names another host: see
/// [`host`](super::host).
pub(super) fn guard_host(site: &Site, request: &Parts) -> Result<(), Fault> {
    if !site.guards_host || is_this_machine(&request.headers) {
        return Ok(());
    }
    Err(Fault::new(
        Reason::WrongHost,
        "without tokens only requests to localhost are answered; name the server so, or configure \
         tokens",
    ))
}

/// Whether the caller may read `address`, for how long, and what the URLs in the answer are to be
/// signed with.
///
/// # Errors
/// Neither a token nor a signature of this very path opens it.
pub(super) fn right_to(
    site: &Site,
    request: &Parts,
    address: Option<&Address>,
) -> Result<(Leave, Option<Signing>), Fault> {
    let leave = Leave::of(site, request, Scope::Read);
    let now = site.shelf.now_seconds();
    let query = request.uri.query().unwrap_or_default();
    let Err(denied) = caller(site, request, Scope::Read) else {
        return Ok((leave, asked_for(site.signing_key.as_ref(), query, now)?));
    };
    let signature = Signature::of_query(query);
    let (Some(key), Some(address), Some(signature)) = (&site.signing_key, address, signature)
    else {
        return Err(denied);
    };
    if !key.verify(&address.path(), &signature, now) {
        return Err(Fault::new(
            Reason::Unauthenticated,
            "the signature is of another path or key, or its time is over",
        ));
    }
    // What a signed answer names may be read as long as the answer itself.
    let (key, expires) = (key.clone(), signature.expires);
    let leave = Leave {
        right: None,
        ..leave
    };
    Ok((leave, Some(Signing { key, expires })))
}

/// What a caller with a token asks for by `sign_for=SECONDS`.
fn asked_for(key: Option<&SigningKey>, query: &str, now: u64) -> Result<Option<Signing>, Fault> {
    let mut pairs = query.split('&');
    let Some(seconds) = pairs.find_map(|pair| pair.strip_prefix(SIGN_FOR)) else {
        return Ok(None);
    };
    let longest = SIGNED_FOR_MAX.as_secs();
    let seconds = seconds.parse().ok();
    let Some(seconds) = seconds.filter(|seconds| (1..=longest).contains(seconds)) else {
        let message = format!("expected whole seconds from 1 to {longest}");
        return Err(Fault::of_field(Reason::InvalidRequest, "sign_for", message));
    };
    let key = key.ok_or_else(no_signing_key)?.clone();
    let expires = now.saturating_add(seconds);
    Ok(Some(Signing { key, expires }))
}

/// The server cannot sign.
pub(crate) fn no_signing_key() -> Fault {
    Fault::new(
        Reason::SigningUnavailable,
        "this server has no key to sign URLs with",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_is_asked_for_in_seconds() {
        let key = SigningKey::random();
        let asked = |query| asked_for(Some(&key), query, 100);
        assert!(asked("").expect("nothing is asked").is_none());
        let signing = asked("a=b&sign_for=60").expect("valid").expect("asked");
        assert_eq!(signing.expires, 160);
        let url = signing.signed("/snapshots/");
        let (path, query) = url.split_once('?').expect("a query");
        let signature = Signature::of_query(query).expect("a signature");
        assert!(key.verify(path, &signature, 159));
        for query in [
            "sign_for=",
            "sign_for=0",
            "sign_for=-1",
            "sign_for=1h",
            "sign_for=604801",
        ] {
            let fault = asked(query).expect_err(query);
            assert_eq!(fault.reason, Reason::InvalidRequest, "{query}");
        }
        let fault = asked_for(None, "sign_for=60", 100).expect_err("no key");
        assert_eq!(fault.reason, Reason::SigningUnavailable);
    }
}

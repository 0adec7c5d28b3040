//! Signed URLs: the right to read one path until a moment, in the URL itself.
//!
//! A signed path has the parameters `expires`, in seconds since 1970, and `signature`, the
//! HMAC-SHA256 of the decoded path, a line feed and the digits of `expires`, in 64 hexadecimal
//! digits. It does not depend on the method: whoever may GET may HEAD.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::secret::{from_hexadecimal, hexadecimal};

/// Longest time that a URL may be signed for.
pub(crate) const SIGNED_FOR_MAX: Duration = Duration::from_secs(7 * 86_400);

/// A key that signs URLs. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct SigningKey([u8; 32]);

/// What a signed URL carries behind its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Seconds since 1970 from which on it is worth nothing.
    pub expires: u64,
    digits: String,
}

impl SigningKey {
    /// Fewest bytes of a secret that makes a key.
    pub const SECRET_BYTES_MIN: usize = 32;

    /// The key of a secret of any length. Equal secrets make equal keys, so that URLs outlive a
    /// restart and several servers know each other's.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// A key that lives as long as the process.
    #[must_use]
    pub fn random() -> Self {
        Self(super::random_secret())
    }

    /// Lets whoever has it read `path` until `expires`.
    pub(crate) fn sign(&self, path: &str, expires: u64) -> Signature {
        let digits = hexadecimal(&self.mac(path, expires).finalize().into_bytes());
        Signature { expires, digits }
    }

    /// Whether `signature` is of this key, for `path`, and not past its time at `now` (seconds
    /// since 1970).
    pub(crate) fn verify(&self, path: &str, signature: &Signature, now: u64) -> bool {
        let Some(digest) = from_hexadecimal(&signature.digits) else {
            return false;
        };
        let is_signed = self.mac(path, signature.expires).verify_slice(&digest);
        is_signed.is_ok() && now < signature.expires
    }

    fn mac(&self, path: &str, expires: u64) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(path.as_bytes());
        mac.update(b"\n");
        mac.update(expires.to_string().as_bytes());
        mac
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey")
    }
}

impl Signature {
    /// The signature that a query (what stands behind the '?') carries.
    pub fn of_query(query: &str) -> Option<Self> {
        let (mut expires, mut digits) = (None, None);
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("expires", value)) => expires = Some(value.parse().ok()?),
                Some(("signature", value)) => digits = Some(value.to_owned()),
                _ => {}
            }
        }
        Some(Self {
            expires: expires?,
            digits: digits?,
        })
    }
}

/// As it stands behind the '?' of a URL.
impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "expires={}&signature={}",
            self.expires, self.digits
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/snapshots/events/20250301T093000Z-7/dt=2025-03-01/part-00.parquet";

    fn key() -> SigningKey {
        SigningKey::from_secret(b"a secret of the test")
    }

    /// The same as `printf 'PATH\n1740823200' | openssl dgst -sha256 -mac HMAC -macopt hexkey:KEY`,
    /// where KEY is the SHA-256 of the secret.
    #[test]
    fn a_signature_is_the_hmac_of_path_and_expiry() {
        let text = key().sign(PATH, 1_740_823_200).to_string();
        assert_eq!(text, KNOWN);
        assert_eq!(
            Signature::of_query(KNOWN),
            Some(key().sign(PATH, 1_740_823_200))
        );
    }

    const KNOWN: &str = "expires=1740823200&signature=78c964b98cc94f8fd14c16e62e52607814c6ef8281cb2278463c5c4b7d27c874";

    /// RFC 4231, test case 2.
    #[test]
    fn the_hmac_is_the_standard_one() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").expect("a key");
        mac.update(b"what do ya want for nothing?");
        let digits = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hexadecimal(&mac.finalize().into_bytes()), digits);
    }

    #[test]
    fn it_holds_for_its_path_its_key_and_its_time_only() {
        let signature = key().sign(PATH, 100);
        assert!(key().verify(PATH, &signature, 99));
        assert!(!key().verify(PATH, &signature, 100), "its time is over");
        assert!(!key().verify("/snapshots/", &signature, 99));
        assert!(!SigningKey::random().verify(PATH, &signature, 99));
        let later = Signature {
            expires: 200,
            ..signature.clone()
        };
        assert!(!key().verify(PATH, &later, 99), "the expiry is signed");
        for digits in [
            String::new(),
            "0".repeat(64),
            signature.digits[..62].to_owned(),
        ] {
            let forged = Signature {
                digits,
                ..signature.clone()
            };
            assert!(!key().verify(PATH, &forged, 99), "{forged}");
        }
    }

    #[test]
    fn a_query_without_both_parts_is_unsigned() {
        for query in ["", "expires=1", "signature=00", "expires=x&signature=00"] {
            assert_eq!(Signature::of_query(query), None, "{query}");
        }
        let found = Signature::of_query("a=b&signature=00&expires=7").expect("both are there");
        assert_eq!(found.to_string(), "expires=7&signature=00");
    }
}

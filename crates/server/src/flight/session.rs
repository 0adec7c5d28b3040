//! Sessions: a cookie that carries what a client set, so that any connection may go on with it.
//!
//! | option | value | does |
//! |---|---|---|
//! | `catalog` | `vitalog` | nothing: it is the only one |
//! | `schema` | `public` | likewise |
//! | `as_of_seq` | a whole number | statements see the log up to it, until it is unset |
//!
//! The messages are those of Flight's protocol that arrow-flight does not have:
//! <https://github.com/apache/arrow/blob/main/format/Flight.proto>.

use std::collections::HashMap;

use bytes::Bytes;
use tonic::metadata::MetadataMap;

use super::sealed::{self, Kind, SessionCookie};
use crate::fault::{Fault, Reason};

/// The name of the cookie, which clients know.
const COOKIE: &str = "arrow_flight_session_id";

/// Longest cookie that is read, in digits.
const COOKIE_BYTES_MAX: usize = 256;

/// Most options of one request: the answer names each that is wrong.
const OPTIONS_MAX: usize = 64;

const CATALOG: (&str, &str) = ("catalog", "vitalog");
const SCHEMA: (&str, &str) = ("schema", "public");
const AS_OF_SEQ: &str = "as_of_seq";

/// A value of an option; none unsets it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    pub value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub values: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub session_options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub errors: HashMap<String, OptionError>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct OptionError {
    #[prost(enumeration = "OptionFault", tag = "1")]
    pub value: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum OptionFault {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Other = 3,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub session_options: HashMap<String, OptionValue>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct CloseSessionResult {
    /// 1 is closed.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// The session of a call; that of a client without a cookie has set nothing.
///
/// # Errors
/// A cookie that was not made here.
pub(super) fn session_of(metadata: &MetadataMap) -> Result<SessionCookie, Fault> {
    let headers = metadata.get_all("cookie");
    let texts = headers.iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let found = pairs.find(|(name, _)| *name == COOKIE);
    let Some(value) = found.map(|(_, value)| value.trim_matches('"')) else {
        return Ok(SessionCookie::default());
    };
    // A text that is none of ours has no bytes, which then are refused.
    sealed::open(Kind::Session, COOKIE, &bytes_of(value).unwrap_or_default())
}

/// The header that gives `session` to the client.
pub(super) fn cookie_of(session: SessionCookie) -> String {
    let bytes = sealed::seal(Kind::Session, &session);
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{COOKIE}={digits}")
}

/// The header that takes a session away from the client.
pub(super) fn cookie_of_none() -> String {
    format!("{COOKIE}=closed; Max-Age=0")
}

fn bytes_of(digits: &str) -> Option<Bytes> {
    if digits.len() > COOKIE_BYTES_MAX || !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let pairs = digits.as_bytes().chunks_exact(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| Some((digit(&pair[0])? << 4) | digit(&pair[1])?))
        .collect();
    Some(bytes?.into())
}

/// Refuses a request of more options than there could be.
///
/// # Errors
/// More than [`OPTIONS_MAX`].
pub(super) fn check(request: &SetSessionOptionsRequest) -> Result<(), Fault> {
    let found = request.session_options.len();
    if found > OPTIONS_MAX {
        let message = format!("there are {found}, at most {OPTIONS_MAX} are taken");
        let reason = Reason::InvalidRequest;
        return Err(Fault::of_field(reason, "session_options", message));
    }
    Ok(())
}

/// What `session` becomes with the options of `request`, and what is wrong with which. Options that
/// are right hold whatever is wrong with others.
pub(super) fn set(
    mut session: SessionCookie,
    last_seq: i64,
    request: SetSessionOptionsRequest,
) -> (SessionCookie, SetSessionOptionsResult) {
    let mut errors = HashMap::new();
    for (name, option) in request.session_options {
        let outcome = set_one(&mut session, last_seq, &name, option.value);
        if let Err(fault) = outcome {
            let value = fault.into();
            errors.insert(name, OptionError { value });
        }
    }
    (session, SetSessionOptionsResult { errors })
}

fn set_one(
    session: &mut SessionCookie,
    last_seq: i64,
    name: &str,
    value: Option<Value>,
) -> Result<(), OptionFault> {
    let is_only = |only: &str| match &value {
        None => Ok(()),
        Some(Value::Text(text)) if text == only => Ok(()),
        Some(_) => Err(OptionFault::InvalidValue),
    };
    match name {
        _ if name == CATALOG.0 => is_only(CATALOG.1),
        _ if name == SCHEMA.0 => is_only(SCHEMA.1),
        AS_OF_SEQ => {
            let seq = match value {
                None => None,
                Some(Value::Integer(seq)) => Some(seq),
                Some(Value::Text(text)) => {
                    Some(text.parse().map_err(|_| OptionFault::InvalidValue)?)
                }
                Some(_) => return Err(OptionFault::InvalidValue),
            };
            if seq.is_some_and(|seq| !(0..=last_seq).contains(&seq)) {
                return Err(OptionFault::InvalidValue);
            }
            session.as_of_seq = seq;
            Ok(())
        }
        _ => Err(OptionFault::InvalidName),
    }
}

/// The options of `session`.
pub(super) fn options_of(session: SessionCookie) -> GetSessionOptionsResult {
    let text = |text: &str| Value::Text(text.to_owned());
    let fixed = [CATALOG, SCHEMA].map(|(name, value)| (name, Some(text(value))));
    let seq = (AS_OF_SEQ, session.as_of_seq.map(Value::Integer));
    let options = fixed.into_iter().chain([seq]);
    let options = options.map(|(name, value)| (name.to_owned(), OptionValue { value }));
    GetSessionOptionsResult {
        session_options: options.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(options: &[(&str, Option<Value>)]) -> SetSessionOptionsRequest {
        let options = options.iter().cloned();
        let options = options.map(|(name, value)| (name.to_owned(), OptionValue { value }));
        SetSessionOptionsRequest {
            session_options: options.collect(),
        }
    }

    #[test]
    fn a_session_comes_back_in_its_cookie() {
        let session = SessionCookie { as_of_seq: Some(7) };
        let mut metadata = MetadataMap::new();
        assert_eq!(session_of(&metadata), Ok(SessionCookie::default()));
        let cookies = format!("a=b; {}", cookie_of(session));
        metadata.insert("cookie", cookies.parse().expect("ASCII"));
        assert_eq!(session_of(&metadata), Ok(session));
        for wrong in ["", "zz", "0", "00", "closed", &"0".repeat(1_000)] {
            let cookie = format!("{COOKIE}={wrong}");
            metadata.insert("cookie", cookie.parse().expect("ASCII"));
            assert!(session_of(&metadata).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_are_few() {
        let names: Vec<String> = (0..=OPTIONS_MAX).map(|n| n.to_string()).collect();
        let options: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
        assert_eq!(check(&request(&options[1..])), Ok(()));
        let fault = check(&request(&options)).expect_err("one too many");
        assert!(fault.message().contains("session_options"));
    }

    #[test]
    fn options_are_set_one_by_one() {
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let (session, result) = set(
            SessionCookie::default(),
            10,
            request(&[
                ("catalog", text("vitalog")),
                ("schema", text("other")),
                ("as_of_seq", Some(Value::Integer(10))),
                ("colour", text("red")),
            ]),
        );
        assert_eq!(session.as_of_seq, Some(10));
        let fault = |name: &str| result.errors.get(name).map(OptionError::value);
        assert_eq!(fault("catalog"), None);
        assert_eq!(fault("schema"), Some(OptionFault::InvalidValue));
        assert_eq!(fault("colour"), Some(OptionFault::InvalidName));
        for (value, expected) in [
            (text("5"), Some(5)),
            (text("five"), Some(10)),
            (Some(Value::Integer(11)), Some(10)),
            (Some(Value::Boolean(true)), Some(10)),
            (None, None),
        ] {
            let (changed, _) = set(session, 10, request(&[("as_of_seq", value)]));
            assert_eq!(changed.as_of_seq, expected);
        }
        let options = options_of(session).session_options;
        assert_eq!(options["schema"].value, text("public"));
        assert_eq!(options["as_of_seq"].value, Some(Value::Integer(10)));
    }
}

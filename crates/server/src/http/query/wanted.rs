//! What a request of `/query` wants: from its address, its body and its media type.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::Value;
use vitalog_query::Parameter;

use super::format::format_of;
use super::parameters::parameters_of;
use super::{check_encoding, text_of};
use crate::fault::{Fault, Reason};
use crate::rows::RowFormat;
use crate::statements::{Ask, Caller, Limits, positive};

/// One statement, and how its rows are sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    sql: String,
    parameters: Vec<Parameter>,
    settings: Settings,
    limits: Limits,
    /// `None` leaves it to what the client accepts.
    pub format: Option<RowFormat>,
}

/// What may stand in the address, and in a body of JSON as well.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    format: Option<String>,
    as_of_seq: Option<u64>,
    min_seq: Option<u64>,
    max_rows: Option<u64>,
    max_bytes: Option<u64>,
    max_memory_bytes: Option<u64>,
    /// A number and a unit, as in `30s`; seconds where it has none.
    timeout: Option<String>,
    query_id: Option<String>,
}

/// A body of JSON.
#[derive(Debug, Deserialize)]
struct JsonBody {
    sql: String,
    #[serde(default)]
    parameters: Vec<Value>,
    #[serde(flatten)]
    settings: BTreeMap<String, Value>,
}

impl Wanted {
    /// What `head` and `body` say together.
    ///
    /// # Errors
    /// Something that is not known, has no such value, or is said twice.
    pub fn of(head: &Parts, body: &[u8]) -> Result<Self, Fault> {
        check_encoding(head)?;
        let Query(in_address) = Query::<Settings>::try_from_uri(&head.uri)
            .map_err(|error| invalid("the address", &error.body_text()))?;
        let media = text_of(head, &CONTENT_TYPE)?.unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        let (sql, parameters, settings) = match media.to_ascii_lowercase().as_str() {
            "application/json" => {
                let body: JsonBody = serde_json::from_slice(body)
                    .map_err(|error| invalid("the body", &error.to_string()))?;
                let settings = in_address.joined(body.settings)?;
                (body.sql, parameters_of(&body.parameters)?, settings)
            }
            // The last is what curl says of --data.
            "" | "text/plain" | "application/sql" | "application/x-www-form-urlencoded" => {
                (text(body)?, Vec::new(), in_address)
            }
            other => {
                let message = format!(
                    "{other:?} is none of text/plain, application/sql and application/json"
                );
                let reason = Reason::InvalidRequest;
                return Err(Fault::of_field(reason, "content-type", message));
            }
        };
        let format = settings.format.as_deref().map(format_of).transpose()?;
        let limits = settings.limits()?;
        Ok(Self {
            sql,
            parameters,
            settings,
            limits,
            format,
        })
    }

    /// The statement of `caller`.
    pub fn ask(self, caller: Caller) -> Ask {
        Ask {
            parameters: self.parameters,
            as_of_seq: self.settings.as_of_seq,
            min_seq: self.settings.min_seq,
            limits: self.limits,
            id: self.settings.query_id,
            ..Ask::new(self.sql, caller)
        }
    }
}

impl Settings {
    /// These and those of a body; none may stand in both.
    fn joined(self, body: BTreeMap<String, Value>) -> Result<Self, Fault> {
        let fields: serde_json::Map<String, Value> = body.into_iter().collect();
        let body: Self = serde_json::from_value(Value::Object(fields))
            .map_err(|error| invalid("the body", &error.to_string()))?;
        Ok(Self {
            format: one("format", self.format, body.format)?,
            as_of_seq: one("as_of_seq", self.as_of_seq, body.as_of_seq)?,
            min_seq: one("min_seq", self.min_seq, body.min_seq)?,
            max_rows: one("max_rows", self.max_rows, body.max_rows)?,
            max_bytes: one("max_bytes", self.max_bytes, body.max_bytes)?,
            max_memory_bytes: one(
                "max_memory_bytes",
                self.max_memory_bytes,
                body.max_memory_bytes,
            )?,
            timeout: one("timeout", self.timeout, body.timeout)?,
            query_id: one("query_id", self.query_id, body.query_id)?,
        })
    }

    fn limits(&self) -> Result<Limits, Fault> {
        let memory = positive("max_memory_bytes", self.max_memory_bytes)?;
        Ok(Limits {
            rows: positive("max_rows", self.max_rows)?,
            bytes: positive("max_bytes", self.max_bytes)?,
            time: self.timeout.as_deref().map(timeout_of).transpose()?,
            memory_bytes: memory.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        })
    }
}

fn one<T>(field: &str, address: Option<T>, body: Option<T>) -> Result<Option<T>, Fault> {
    match (address, body) {
        (Some(_), Some(_)) => {
            let message = "stands in the address and in the body";
            Err(Fault::of_field(Reason::InvalidRequest, field, message))
        }
        (address, body) => Ok(address.or(body)),
    }
}

/// The statement of a body that is nothing else.
fn text(body: &[u8]) -> Result<String, Fault> {
    let text = std::str::from_utf8(body);
    text.map(str::to_owned)
        .map_err(|_| invalid("the body", "it is not UTF-8"))
}

fn invalid(what: &str, why: &str) -> Fault {
    Fault::new(Reason::InvalidRequest, format!("{what} is wrong: {why}"))
}

/// `30s`, `250ms`, `5m` or a number of seconds; above 0.
fn timeout_of(text: &str) -> Result<Duration, Fault> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_lowercase());
    let unit = &text[digits.len()..];
    let milliseconds = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = digits
        .parse()
        .ok()
        .filter(|number| is_number && *number > 0);
    let time = number
        .zip(milliseconds)
        .and_then(|(number, unit)| number.checked_mul(unit));
    time.map(Duration::from_millis).ok_or_else(|| {
        let message = format!("{text:?} is no time; expected one such as 30s, 250ms or 5m");
        Fault::of_field(Reason::InvalidRequest, "timeout", message)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn wanted(address: &str, media: Option<&str>, body: &str) -> Result<Wanted, Fault> {
        let mut request = Request::post(address);
        if let Some(media) = media {
            request = request.header(CONTENT_TYPE, media);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        Wanted::of(&head, body.as_bytes())
    }

    #[test]
    fn a_statement_comes_as_text_or_in_json() {
        for media in [
            None,
            Some("text/plain; charset=utf-8"),
            Some("application/sql"),
            Some("application/x-www-form-urlencoded"),
        ] {
            let wanted = wanted("/query", media, "SELECT 1").expect("a statement");
            assert_eq!(wanted.sql, "SELECT 1");
            assert_eq!(wanted.limits, Limits::default());
        }
        let json = r#"{"sql": "SELECT $1", "parameters": [7], "format": "csv", "min_seq": 9}"#;
        let address = "/query?max_rows=5&timeout=250ms&query_id=q%201";
        let found = wanted(address, Some("application/json"), json).expect("a statement");
        assert_eq!(found.format, Some(RowFormat::Csv));
        assert_eq!(found.parameters, [Parameter::Integer(7)]);
        assert_eq!(found.limits.rows, Some(5));
        assert_eq!(found.limits.time, Some(Duration::from_millis(250)));
        let settings = &found.settings;
        assert_eq!(settings.min_seq, Some(9));
        assert_eq!(settings.query_id.as_deref(), Some("q 1"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let json = Some("application/json");
        for (address, media, body, word) in [
            ("/query?formt=csv", None, "", "formt"),
            ("/query?format=xls", None, "", "format"),
            ("/query?max_rows=0", None, "", "max_rows"),
            ("/query?max_rows=-1", None, "", "address"),
            ("/query?timeout=0s", None, "", "timeout"),
            ("/query?timeout=1d", None, "", "timeout"),
            ("/query?timeout=+1s", None, "", "timeout"),
            ("/query", json, "SELECT 1", "body"),
            ("/query", json, "{}", "sql"),
            ("/query", json, r#"{"sql": "", "limit": 1}"#, "limit"),
            (
                "/query?min_seq=1",
                json,
                r#"{"sql": "", "min_seq": 1}"#,
                "min_seq",
            ),
            ("/query", Some("text/html"), "", "content-type"),
        ] {
            let fault = wanted(address, media, body).expect_err(address);
            assert_eq!(fault.reason, Reason::InvalidRequest, "{address}");
            assert!(fault.message().contains(word), "{}", fault.message());
        }
    }
}

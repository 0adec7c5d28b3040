//! A statement as a surface hands it over, and who sent it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use vitalog_query::{Parameter, Viewer};

use crate::auth::{Principal, Scope};
use crate::fault::{Fault, Reason};

/// One statement to run.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub sql: String,
    /// The values of `$1`, `$2`, …
    pub parameters: Vec<Parameter>,
    /// The seq up to which the store is seen; `None` sees everything durable.
    pub as_of_seq: Option<u64>,
    /// The statement waits until this seq can be read.
    pub min_seq: Option<u64>,
    pub limits: Limits,
    pub caller: Caller,
    /// The id that the client chose; `None` gets a UUIDv7.
    pub id: Option<String>,
}

impl Ask {
    /// A statement without values and limits of its own.
    pub fn new(sql: impl Into<String>, caller: Caller) -> Self {
        Self {
            sql: sql.into(),
            parameters: Vec::new(),
            as_of_seq: None,
            min_seq: None,
            limits: Limits::default(),
            caller,
            id: None,
        }
    }
}

/// What a statement may take at most; `None` leaves it to the server, whose own limits are never
/// exceeded. A limit is a guard: past it the statement fails, it is not cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Rows of the answer.
    pub rows: Option<u64>,
    /// Bytes of the answer's columns, before a surface encodes them.
    pub bytes: Option<u64>,
    /// From the arrival to the last row, queues and the reader's pauses included.
    pub time: Option<Duration>,
    /// Bytes that the operators hold at once.
    pub memory_bytes: Option<usize>,
}

/// A limit of a request, which is at least 1.
///
/// # Errors
/// It is 0.
pub(crate) fn positive(field: &str, limit: Option<u64>) -> Result<Option<u64>, Fault> {
    if limit == Some(0) {
        let message = "is 0; a limit is at least 1";
        return Err(Fault::of_field(Reason::InvalidRequest, field, message));
    }
    Ok(limit)
}

/// By which way a statement came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Surface {
    /// `QueryService`.
    Grpc,
    /// Flight SQL.
    FlightSql,
    /// `POST /query`.
    Http,
}

impl Surface {
    /// The word of the surface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::FlightSql => "flight_sql",
            Self::Http => "http",
        }
    }
}

impl fmt::Display for Surface {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Who sent a statement, as far as the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub surface: Surface,
    /// The name of the token, or of the certificate; `None` where the server asks for none.
    pub name: Option<String>,
    /// Whether it may see and end what others run.
    pub is_admin: bool,
    pub peer: Option<SocketAddr>,
}

impl Caller {
    /// `principal`, who came by `surface`.
    pub fn of(surface: Surface, principal: &Principal, peer: Option<SocketAddr>) -> Self {
        Self {
            surface,
            name: principal.name().map(str::to_owned),
            is_admin: principal.has(Scope::Admin),
            peer,
        }
    }

    /// What it may see of what others run.
    pub fn viewer(&self) -> Viewer {
        Viewer {
            name: self.name.clone(),
            is_admin: self.is_admin,
        }
    }
}

//! Actions: prepared statements, sessions and cancelling.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, Command, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    Result as ActionResult,
};
use bytes::Bytes;
use prost::Message;
use tonic::metadata::MetadataMap;

use super::Flight;
use super::command::{bare_body_of, body_of, of_bytes, unsupported};
use super::sealed::{self, Kind, StatementTicket};
use super::session::{self, CloseSessionResult, SetSessionOptionsRequest};
use crate::fault::{Fault, Reason};
use crate::statements::Caller;

const CREATE_PREPARED: &str = "CreatePreparedStatement";
const CLOSE_PREPARED: &str = "ClosePreparedStatement";
const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
const CANCEL_QUERY: &str = "CancelQuery";
const SET_OPTIONS: &str = "SetSessionOptions";
const GET_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// Every action that is served, with what it does.
const ACTIONS: [(&str, &str); 7] = [
    (
        CREATE_PREPARED,
        "Prepares a statement, with placeholders or without.",
    ),
    (CLOSE_PREPARED, "Forgets a prepared statement."),
    (
        CANCEL_FLIGHT_INFO,
        "Ends the streams of a FlightInfo's tickets.",
    ),
    (CANCEL_QUERY, "The same, as older clients ask for it."),
    (
        SET_OPTIONS,
        "Sets options of the session: catalog, schema, as_of_seq.",
    ),
    (GET_OPTIONS, "The options of the session."),
    (CLOSE_SESSION, "Ends the session."),
];

/// The results of an action, and the session that the client has from now on.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub results: Vec<ActionResult>,
    pub cookie: Option<String>,
}

/// The actions that are served.
pub(super) fn action_types() -> impl Iterator<Item = ActionType> {
    ACTIONS.into_iter().map(|(name, description)| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    })
}

/// What an action asks for, its body read.
#[derive(Debug)]
pub(super) enum Wanted {
    Prepare {
        sql: String,
    },
    Close {
        handle: Bytes,
    },
    /// `is_older`: asked for as older clients do.
    Cancel {
        tickets: Vec<StatementTicket>,
        is_older: bool,
    },
    SetOptions(SetSessionOptionsRequest),
    GetOptions,
    CloseSession,
}

/// Reads `action`.
///
/// # Errors
/// An action that is not served, and a body that is none of its.
pub(super) fn wanted(action: &Action) -> Result<Wanted, Fault> {
    let body = &action.body;
    match action.r#type.as_str() {
        CREATE_PREPARED => {
            let request: ActionCreatePreparedStatementRequest = body_of(body)?;
            no_transaction(request.transaction_id.as_ref())?;
            Ok(Wanted::Prepare { sql: request.query })
        }
        CLOSE_PREPARED => {
            let request: ActionClosePreparedStatementRequest = body_of(body)?;
            Ok(Wanted::Close {
                handle: request.prepared_statement_handle,
            })
        }
        CANCEL_FLIGHT_INFO => {
            let request: CancelFlightInfoRequest = bare_body_of(body)?;
            Ok(Wanted::Cancel {
                tickets: tickets_of(request.info)?,
                is_older: false,
            })
        }
        CANCEL_QUERY => {
            let request: ActionCancelQueryRequest = body_of(body)?;
            let info = FlightInfo::decode(request.info);
            let info = info.map_err(|error| wrong_info(&error.to_string()))?;
            Ok(Wanted::Cancel {
                tickets: tickets_of(Some(info))?,
                is_older: true,
            })
        }
        SET_OPTIONS => {
            let request: SetSessionOptionsRequest = bare_body_of(body)?;
            session::check(&request)?;
            Ok(Wanted::SetOptions(request))
        }
        GET_OPTIONS => Ok(Wanted::GetOptions),
        CLOSE_SESSION => Ok(Wanted::CloseSession),
        "BeginTransaction" | "EndTransaction" | "BeginSavepoint" | "EndSavepoint" => {
            let instead = "a statement sees one point of the log, and an ingest is idempotent by \
                           its event ids";
            Err(unsupported("a transaction", instead))
        }
        "CreatePreparedSubstraitPlan" => Err(unsupported("Substrait", "send SQL")),
        other => {
            let names: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
            let instead = format!("there are {}", names.join(", "));
            Err(unsupported(&format!("the action {other:?}"), &instead))
        }
    }
}

/// The statements of the tickets of `info`; lists have nothing that runs.
fn tickets_of(info: Option<FlightInfo>) -> Result<Vec<StatementTicket>, Fault> {
    let info = info.ok_or_else(|| wrong_info("it is missing"))?;
    let mut tickets = Vec::new();
    for ticket in info.endpoint.into_iter().filter_map(|one| one.ticket) {
        let Command::TicketStatementQuery(query) = of_bytes("ticket", &ticket.ticket)? else {
            continue;
        };
        let handle = &query.statement_handle;
        tickets.push(sealed::open(Kind::Ticket, "ticket", handle)?);
    }
    Ok(tickets)
}

impl Flight {
    /// Does what `action` asks for.
    pub(super) async fn act(
        &self,
        action: &Action,
        metadata: &MetadataMap,
        caller: &Caller,
    ) -> Result<Outcome, Fault> {
        match wanted(action)? {
            Wanted::Prepare { sql } => {
                let session = session::session_of(metadata)?;
                let prepared = self.prepare(sql, session).await?;
                Ok(result(&prepared.as_any()))
            }
            Wanted::Close { handle } => {
                self.close(&handle)?;
                Ok(Outcome::default())
            }
            Wanted::Cancel { tickets, is_older } => {
                let status: i32 = self.cancel(&tickets, caller)?.into();
                Ok(if is_older {
                    // Both enumerations have the same numbers.
                    result(&ActionCancelQueryResult { result: status }.as_any())
                } else {
                    result(&CancelFlightInfoResult { status })
                })
            }
            Wanted::SetOptions(request) => {
                let session = session::session_of(metadata)?;
                let last_seq = self.store.snapshot().seq();
                let (session, errors) = session::set(session, last_seq, request);
                let cookie = Some(session::cookie_of(session));
                Ok(Outcome {
                    cookie,
                    ..result(&errors)
                })
            }
            Wanted::GetOptions => {
                let session = session::session_of(metadata)?;
                Ok(result(&session::options_of(session)))
            }
            Wanted::CloseSession => Ok(Outcome {
                cookie: Some(session::cookie_of_none()),
                ..result(&CloseSessionResult { status: 1 })
            }),
        }
    }

    /// Ends the streams of `tickets`, as far as they are open.
    fn cancel(&self, tickets: &[StatementTicket], caller: &Caller) -> Result<CancelStatus, Fault> {
        let mut status = CancelStatus::NotCancellable;
        for ticket in tickets {
            match self.statements.cancel(&ticket.id, caller) {
                Ok(true) => status = CancelStatus::Cancelled,
                Ok(false) => {}
                Err(fault) if fault.reason == Reason::QueryNotFound => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(status)
    }
}

/// Statements run outside of transactions.
pub(super) fn no_transaction(transaction_id: Option<&Bytes>) -> Result<(), Fault> {
    match transaction_id {
        Some(id) if !id.is_empty() => Err(unsupported("a transaction", "leave its id out")),
        _ => Ok(()),
    }
}

fn result(message: &impl Message) -> Outcome {
    let body = message.encode_to_vec().into();
    Outcome {
        results: vec![ActionResult { body }],
        cookie: None,
    }
}

fn wrong_info(message: &str) -> Fault {
    Fault::of_field(Reason::MalformedMessage, "info", message)
}

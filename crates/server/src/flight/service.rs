//! The methods of Flight, each handed to what does it.

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::Command;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult,
    Ticket,
};
use bytes::Bytes;
use futures::stream::{self, Iter};
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Request, Response, Status, Streaming};

use super::action::{self, no_transaction};
use super::command::{self, unsupported};
use super::encode::schema_bytes;
use super::put::Upload;
use super::{Flight, session};
use crate::admission::{WriteRight, turn};
use crate::auth::{Denied, Principal, Scope, bearer_of};
use crate::deadline;
use crate::fault::{Fault, Reason};
use crate::outbox::{self, End, Outgoing};
use crate::statements::{Caller, Surface};

/// A stream whose items are known.
type Known<T> = Iter<std::vec::IntoIter<Result<T, Status>>>;

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = Known<HandshakeResponse>;
    type ListFlightsStream = Known<FlightInfo>;
    type DoGetStream = Outgoing<FlightData>;
    type DoPutStream = Outgoing<PutResult>;
    type DoActionStream = Known<ActionResult>;
    type ListActionsStream = Known<ActionType>;
    type DoExchangeStream = Known<FlightData>;

    /// Turns a name and a token, sent as a password, into the header of all further calls.
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let principal = principal_of(&request);
        if !Scope::ALL.into_iter().any(|scope| principal.has(scope)) {
            return Err(Fault::from(Denied::Unknown).into());
        }
        let header = request.metadata().get("authorization");
        let bearer = bearer_of(header.map(AsciiMetadataValue::as_bytes));
        // Some clients look for the token in the message, not in the header.
        let response = HandshakeResponse {
            protocol_version: 0,
            payload: bearer[b"Bearer ".len()..].to_vec().into(),
        };
        let bearer = AsciiMetadataValue::try_from(bearer).map_err(|_| {
            let message = "the token has characters that headers do not take";
            Fault::of_field(Reason::InvalidRequest, "authorization", message)
        })?;
        let mut response = Response::new(known(vec![response]));
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn list_flights(
        &self,
        _request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let instead = "ask for the tables with CommandGetTables";
        Err(unsupported("ListFlights", instead).into())
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        Ok(Response::new(self.info(request).await?))
    }

    /// Planning takes milliseconds, so that the first answer is the last.
    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        Ok(Response::new(PollInfo {
            info: Some(self.info(request).await?),
            flight_descriptor: None,
            progress: Some(1.0),
            expiration_time: None,
        }))
    }

    async fn get_schema(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        let schema = self.schema(request).await?;
        Ok(Response::new(SchemaResult { schema }))
    }

    async fn do_get(
        &self,
        request: Request<Ticket>,
    ) -> Result<Response<Self::DoGetStream>, Status> {
        let timeout = deadline::allowed(request.metadata().as_ref());
        let caller = caller_of(&request);
        let answer = self.answer(request.get_ref(), caller, timeout).await?;
        Ok(Response::new(answer))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let timeout = deadline::allowed(request.metadata().as_ref());
        let may_write = principal_of(&request).require(Scope::Write);
        let may_write = may_write.map(|()| WriteRight::of(&request));
        let turn = turn(&self.puts, self.queue_wait, "uploads").await?;
        let upload = Upload::new(request.into_inner());
        let flight = self.clone();
        let end = End::within(timeout);
        let stream = outbox::stream(&self.gate, end, |outbox| async move {
            flight.put(upload, turn, may_write, outbox).await
        });
        Ok(Response::new(stream))
    }

    async fn do_exchange(
        &self,
        _request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(unsupported("DoExchange", "ask with DoGet, add events with DoPut").into())
    }

    async fn do_action(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = caller_of(&request);
        let (action, metadata) = (request.get_ref(), request.metadata());
        let outcome = self.act(action, metadata, &caller).await?;
        let mut response = Response::new(known(outcome.results));
        if let Some(cookie) = outcome.cookie {
            set_cookie(response.metadata_mut(), cookie);
        }
        Ok(response)
    }

    async fn list_actions(
        &self,
        _request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(known(action::action_types().collect())))
    }
}

impl Flight {
    /// How to fetch what a command asks for.
    async fn info(&self, request: Request<FlightDescriptor>) -> Result<FlightInfo, Fault> {
        let session = session::session_of(request.metadata())?;
        let descriptor = request.into_inner();
        match command::of_descriptor(&descriptor)? {
            Command::CommandStatementQuery(query) => {
                no_transaction(query.transaction_id.as_ref())?;
                self.statement_info(query.query, None, session, descriptor)
                    .await
            }
            Command::CommandPreparedStatementQuery(query) => {
                let handle = &query.prepared_statement_handle;
                self.prepared_info(handle, session, descriptor).await
            }
            list => self.list_info(list, descriptor),
        }
    }

    /// The schema of what a command asks for; that of a statement as far as it is known before its
    /// placeholders have values.
    async fn schema(&self, request: Request<FlightDescriptor>) -> Result<Bytes, Fault> {
        let session = session::session_of(request.metadata())?;
        let descriptor = request.into_inner();
        let (sql, values) = match command::of_descriptor(&descriptor)? {
            Command::CommandStatementQuery(query) => {
                no_transaction(query.transaction_id.as_ref())?;
                (query.query, None)
            }
            Command::CommandPreparedStatementQuery(query) => {
                self.bound(&query.prepared_statement_handle)?
            }
            list => return Ok(self.list_info(list, descriptor)?.schema),
        };
        schema_bytes(&self.described(sql, values, session).await?.schema)
    }
}

/// Who calls, as it was found out on the way here.
fn principal_of<T>(request: &Request<T>) -> Principal {
    let principal = request.extensions().get::<Principal>();
    principal.cloned().unwrap_or_else(Principal::stranger)
}

fn caller_of<T>(request: &Request<T>) -> Caller {
    let principal = principal_of(request);
    Caller::of(Surface::FlightSql, &principal, request.remote_addr())
}

fn known<T>(items: Vec<T>) -> Known<T> {
    let items: Vec<_> = items.into_iter().map(Ok).collect();
    stream::iter(items)
}

fn set_cookie(metadata: &mut MetadataMap, cookie: String) {
    let cookie = AsciiMetadataValue::try_from(cookie);
    metadata.insert("set-cookie", cookie.expect("hexadecimal digits"));
}

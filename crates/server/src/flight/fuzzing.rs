//! Every decoder of Flight SQL as a function of bytes, and inputs that each of them takes.
//!
//! For [`crate::fuzzing`]. Invariant: what runs here is what runs for a client, without the store
//! behind it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array,
    ListArray, NullArray, RecordBatch, StringArray, StringViewArray, StructArray,
    TimestampMicrosecondArray, UnionArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, Int8Type, Int32Type, UnionFields};
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, Command, CommandGetDbSchemas, CommandGetSqlInfo,
    CommandGetTables, CommandPreparedStatementQuery, CommandStatementIngest, CommandStatementQuery,
    ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo,
    Ticket,
};
use bytes::Bytes;
use prost::Message;
use tonic::metadata::MetadataMap;

use super::action::{self, Wanted, no_transaction};
use super::decode::Decoder;
use super::encode::upload_of;
use super::sealed::{self, Handle, Kind, SealedValues, SessionCookie, StatementTicket};
use super::session::{self, OptionValue, SetSessionOptionsRequest, Value};
use super::{catalog, command, ingest, prepared, values};
use crate::fault::{Fault, Reason};
use crate::limits::FLIGHT_BATCH_ROWS_MAX;

/// An encoded `FlightDescriptor`: a command.
pub(crate) fn command(bytes: &[u8]) -> bool {
    let Ok(descriptor) = FlightDescriptor::decode(bytes) else {
        return false;
    };
    match command::of_descriptor(&descriptor) {
        Ok(Command::CommandStatementQuery(query)) => {
            no_transaction(query.transaction_id.as_ref()).is_ok()
        }
        Ok(Command::CommandPreparedStatementQuery(query)) => {
            prepared::open(&query.prepared_statement_handle).is_ok()
        }
        Ok(Command::CommandStatementIngest(command)) => ingest::check(&command).is_ok(),
        Ok(list) => catalog::is_list(list),
        Err(_) => false,
    }
}

/// The bytes of a ticket.
pub(crate) fn ticket(bytes: &[u8]) -> bool {
    let ticket = Bytes::copy_from_slice(bytes);
    match command::of_bytes("ticket", &ticket) {
        Ok(Command::TicketStatementQuery(query)) => is_ticket(&query.statement_handle),
        Ok(list) => catalog::is_list(list),
        Err(_) => false,
    }
}

/// What clients carry for the server, its kind first, without the checksum, which anyone can make.
pub(crate) fn sealed(bytes: &[u8]) -> bool {
    let sealed = Bytes::from(sealed::forged(bytes));
    let cookie = || sealed::open::<SessionCookie>(Kind::Session, "cookie", &sealed);
    match bytes.first() {
        Some(b'T') => is_ticket(&sealed),
        Some(b'H') => prepared::open(&sealed).is_ok_and(|handle| are_values(handle.values)),
        Some(_) => cookie().is_ok(),
        None => false,
    }
}

/// An encoded `Action`.
pub(crate) fn action(bytes: &[u8]) -> bool {
    let Ok(action) = Action::decode(bytes) else {
        return false;
    };
    match action::wanted(&action) {
        Ok(Wanted::Close { handle }) => prepared::open(&handle).is_ok(),
        Ok(Wanted::SetOptions(request)) => {
            let session = SessionCookie { as_of_seq: None };
            let (_, result) = session::set(session, 10, request);
            result.errors.is_empty()
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

/// The value of a `Cookie` header.
pub(crate) fn cookie(bytes: &[u8]) -> bool {
    let Ok(value) = axum::http::HeaderValue::from_bytes(bytes) else {
        return false;
    };
    let mut headers = axum::http::HeaderMap::new();
    headers.insert("cookie", value);
    // Without a session of its own, a client has one that nothing was set in.
    session::session_of(&MetadataMap::from_headers(headers))
        .is_ok_and(|session| session.as_of_seq.is_some())
}

/// The messages of an upload, each behind its length: values for a prepared statement, or events.
/// `now_us`: the present.
pub(crate) fn upload(bytes: &[u8], now_us: i64) -> bool {
    contained(|| read_upload(bytes, now_us)).unwrap_or(false)
}

fn read_upload(mut bytes: &[u8], now_us: i64) -> Result<bool, Fault> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let message = FlightData::decode_length_delimited(&mut bytes);
        messages.push(message.map_err(|error| malformed(&error.to_string()))?);
    }
    let descriptor = messages
        .first()
        .and_then(|message| message.flight_descriptor.as_ref());
    let descriptor = descriptor.ok_or_else(|| malformed("no descriptor"))?;
    match command::of_descriptor(descriptor)? {
        Command::CommandPreparedStatementQuery(query) => {
            prepared::open(&query.prepared_statement_handle)?;
            if let Some(sealed) = values::read_upload(&messages)? {
                // What was bound is read again, whenever the statement runs.
                values::read_sealed(sealed)?;
            }
            Ok(true)
        }
        Command::CommandStatementIngest(command) => {
            ingest::check(&command)?;
            let mut decoder = Decoder::new(FLIGHT_BATCH_ROWS_MAX);
            for message in &messages {
                let columns = ingest::read(&mut decoder, message)?;
                if columns.is_some_and(|columns| !columns.are_taken(now_us)) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn malformed(message: &str) -> Fault {
    Fault::new(Reason::MalformedMessage, message)
}

fn is_ticket(handle: &Bytes) -> bool {
    sealed::open::<StatementTicket>(Kind::Ticket, "ticket", handle)
        .is_ok_and(|ticket| are_values(ticket.values))
}

fn are_values(sealed: Option<SealedValues>) -> bool {
    let Some(sealed) = sealed else {
        return true;
    };
    contained(|| values::read_sealed(sealed)).is_ok()
}

/// As `decode::guarded` does it: where Arrow's reader panics, the bytes are refused. A fuzzer sees
/// the panic all the same, because it stops at the first.
fn contained<T>(read: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(malformed("damaged")))
}

/// Inputs that the decoder `name` takes; none for a name that is of none here.
pub(crate) fn seeds(name: &str) -> Vec<Vec<u8>> {
    match name {
        "flight_command" => commands(),
        "flight_ticket" => tickets(),
        "flight_sealed" => sealed_things(),
        "flight_action" => actions(),
        "flight_cookie" => {
            let cookie = session::cookie_of(SessionCookie { as_of_seq: Some(7) });
            vec![format!("a=b; {cookie}").into_bytes(), cookie.into_bytes()]
        }
        "flight_upload" => uploads(),
        _ => Vec::new(),
    }
}

fn packed(message: &impl ProstMessageExt) -> Vec<u8> {
    message.as_any().encode_to_vec()
}

fn descriptor(message: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(packed(message))
}

fn statement() -> CommandStatementQuery {
    CommandStatementQuery {
        query: "SELECT 1".to_owned(),
        transaction_id: None,
    }
}

fn into_events() -> CommandStatementIngest {
    CommandStatementIngest {
        table: "events".to_owned(),
        schema: Some("public".to_owned()),
        ..CommandStatementIngest::default()
    }
}

fn with_handle() -> CommandPreparedStatementQuery {
    CommandPreparedStatementQuery {
        prepared_statement_handle: handle().into(),
    }
}

fn handle() -> Vec<u8> {
    let handle = Handle {
        sql: "SELECT $1".to_owned(),
        values: None,
        id: "id".to_owned(),
    };
    sealed::seal(Kind::Handle, &handle)
}

/// A ticket with values of every kind.
fn statement_ticket() -> Vec<u8> {
    let values = values::read_upload(&upload_of(&[one_row()])).expect("values of known types");
    let ticket = StatementTicket {
        sql: "SELECT $1".to_owned(),
        values,
        seq: 7,
        id: "id".to_owned(),
    };
    sealed::seal(Kind::Ticket, &ticket)
}

fn commands() -> Vec<Vec<u8>> {
    let tables = CommandGetTables {
        catalog: Some("vitalog".to_owned()),
        db_schema_filter_pattern: Some("pub%".to_owned()),
        table_name_filter_pattern: Some("event_".to_owned()),
        table_types: vec!["TABLE".to_owned(), "VIEW".to_owned()],
        include_schema: true,
    };
    let schemas = CommandGetDbSchemas {
        catalog: None,
        db_schema_filter_pattern: Some("%".to_owned()),
    };
    [
        descriptor(&statement()),
        descriptor(&with_handle()),
        descriptor(&into_events()),
        descriptor(&tables),
        descriptor(&schemas),
        descriptor(&CommandGetSqlInfo { info: vec![8, 504] }),
    ]
    .map(|descriptor| descriptor.encode_to_vec())
    .to_vec()
}

fn tickets() -> Vec<Vec<u8>> {
    let query = TicketStatementQuery {
        statement_handle: statement_ticket().into(),
    };
    vec![packed(&query), packed(&CommandGetTables::default())]
}

fn sealed_things() -> Vec<Vec<u8>> {
    let cookie = sealed::seal(Kind::Session, &SessionCookie { as_of_seq: Some(7) });
    let without_checksum = |sealed: Vec<u8>| sealed[..sealed.len() - 8].to_vec();
    [statement_ticket(), handle(), cookie]
        .map(without_checksum)
        .to_vec()
}

fn actions() -> Vec<Vec<u8>> {
    let prepare = ActionCreatePreparedStatementRequest {
        query: "SELECT $1".to_owned(),
        transaction_id: None,
    };
    let close = ActionClosePreparedStatementRequest {
        prepared_statement_handle: handle().into(),
    };
    let query = TicketStatementQuery {
        statement_handle: statement_ticket().into(),
    };
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(packed(&query)));
    let info = FlightInfo::new().with_endpoint(endpoint);
    let older = ActionCancelQueryRequest {
        info: info.encode_to_vec().into(),
    };
    let newer = CancelFlightInfoRequest { info: Some(info) };
    let options = [
        ("catalog", Value::Text("vitalog".to_owned())),
        ("as_of_seq", Value::Integer(5)),
    ];
    let options = options.map(|(name, value)| {
        let value = Some(value);
        (name.to_owned(), OptionValue { value })
    });
    let options = SetSessionOptionsRequest {
        session_options: options.into_iter().collect(),
    };
    [
        ("CreatePreparedStatement", packed(&prepare)),
        ("ClosePreparedStatement", packed(&close)),
        ("CancelFlightInfo", newer.encode_to_vec()),
        ("CancelQuery", packed(&older)),
        ("SetSessionOptions", options.encode_to_vec()),
        ("GetSessionOptions", Vec::new()),
    ]
    .map(|(name, body)| {
        let action = Action {
            r#type: name.to_owned(),
            body: body.into(),
        };
        action.encode_to_vec()
    })
    .to_vec()
}

fn uploads() -> Vec<Vec<u8>> {
    let upload = |descriptor: FlightDescriptor, rows: RecordBatch| {
        let mut messages = upload_of(&[rows]);
        messages[0].flight_descriptor = Some(descriptor);
        let encoded = messages.iter().map(Message::encode_length_delimited_to_vec);
        encoded.collect::<Vec<_>>().concat()
    };
    vec![
        upload(descriptor(&with_handle()), one_row()),
        upload(descriptor(&into_events()), events()),
    ]
}

/// Values of every layout that a column may have.
fn one_row() -> RecordBatch {
    let keys: DictionaryArray<Int8Type> = ["a"].into_iter().collect();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
    let number = Arc::new(Int64Array::from(vec![7])) as ArrayRef;
    let parts = vec![(
        Arc::new(Field::new("part", DataType::Int64, true)),
        Arc::clone(&number),
    )];
    let kinds = UnionFields::from_fields(vec![Field::new("i", DataType::Int32, true)]);
    let union = UnionArray::try_new(
        kinds,
        ScalarBuffer::from(vec![0_i8]),
        Some(ScalarBuffer::from(vec![0_i32])),
        vec![Arc::new(Int32Array::from(vec![5]))],
    );
    let columns: Vec<ArrayRef> = vec![
        number,
        Arc::new(StringArray::from(vec![None::<&str>])),
        Arc::new(StringViewArray::from(vec!["a text that is no short one"])),
        Arc::new(BooleanArray::from(vec![true])),
        Arc::new(Decimal128Array::from(vec![12_345])),
        Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC")),
        Arc::new(NullArray::new(1)),
        Arc::new(keys),
        Arc::new(list),
        Arc::new(StructArray::from(parts)),
        Arc::new(union.expect("one value of one kind")),
    ];
    let named = columns.into_iter().enumerate();
    let named = named.map(|(index, column)| (index.to_string(), column, true));
    RecordBatch::try_from_iter_with_nullable(named).expect("columns of one row")
}

fn events() -> RecordBatch {
    let names: DictionaryArray<Int8Type> = ["opened", "closed", "opened"].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_id", Arc::new(StringArray::from(vec!["1", "2", "3"]))),
        ("event", Arc::new(names)),
        (
            "account_id",
            Arc::new(StringViewArray::from(vec![
                Some("an account with a long name"),
                None,
                Some("acme"),
            ])),
        ),
        (
            "value",
            Arc::new(Float64Array::from(vec![Some(0.5), None, Some(2.0)])),
        ),
    ];
    let named = columns
        .into_iter()
        .map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(named).expect("columns of three rows")
}

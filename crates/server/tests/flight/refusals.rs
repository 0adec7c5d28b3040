//! What is not served, and bytes that are none of Flight SQL's.

use arrow_flight::sql::{
    ActionBeginTransactionRequest, Any, CommandGetTables, CommandStatementQuery,
    CommandStatementSubstraitPlan, CommandStatementUpdate, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{Criteria, FlightData, FlightDescriptor, Ticket};
use futures::stream;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use prost::Message;
use tonic::Code;

use crate::support::{TestServer, cause};
use crate::{act, bare, client, descriptor_of, number, status_of};

const UNSUPPORTED: (Code, &str) = (Code::Unimplemented, "NOT_SUPPORTED");

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_supported_says_so() {
    let server = TestServer::start().await;
    let (mut bare, mut client) = (bare(&server).await, client(&server).await);
    let mut found = vec![
        bare.list_flights(Criteria::default()).await.err().unwrap(),
        bare.do_exchange(stream::empty()).await.err().unwrap(),
        bare.get_flight_info(descriptor_of(&CommandStatementSubstraitPlan::default()))
            .await
            .err()
            .unwrap(),
    ];
    let begin = ActionBeginTransactionRequest {}.as_any().encode_to_vec();
    for (name, body) in [
        ("BeginTransaction", begin),
        ("BeginSavepoint", Vec::new()),
        ("CreatePreparedSubstraitPlan", Vec::new()),
        ("RenewFlightEndpoint", Vec::new()),
        ("DropEverything", Vec::new()),
    ] {
        found.push(act(&mut bare, name, body, None).await.unwrap_err());
    }
    let in_transaction = client
        .execute("SELECT 1".to_owned(), Some("t".into()))
        .await;
    found.push(status_of(in_transaction.unwrap_err()));
    for status in found {
        let (code, reason) = cause(&status);
        assert_eq!((code, reason.as_str()), UNSUPPORTED, "{status:?}");
        assert!(!status.message().is_empty());
    }
    let update = CommandStatementUpdate {
        query: "DELETE FROM events".to_owned(),
        transaction_id: None,
    };
    let message = FlightData {
        flight_descriptor: Some(descriptor_of(&update)),
        ..FlightData::default()
    };
    let results = bare.do_put(stream::iter([message])).await.unwrap();
    let status = results.into_inner().message().await.unwrap_err();
    assert_eq!(cause(&status).1, "INVALID_SQL");
    let actions = bare.list_actions(arrow_flight::Empty {}).await.unwrap();
    let mut actions = actions.into_inner();
    let mut names = Vec::new();
    while let Some(action) = actions.message().await.unwrap() {
        names.push(action.r#type);
    }
    assert!(names.contains(&"CancelFlightInfo".to_owned()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_that_are_none_are_refused() {
    let server = TestServer::start().await;
    let (mut bare, mut client) = (bare(&server).await, client(&server).await);
    let info = client.execute("SELECT 1".to_owned(), None).await.unwrap();
    let good = crate::ticket_of(&info).ticket.to_vec();
    let packed = |bytes: &[u8]| {
        let query = TicketStatementQuery {
            statement_handle: bytes.to_vec().into(),
        };
        query.as_any().encode_to_vec()
    };
    let mut wrong = vec![
        Vec::new(),
        b"SELECT 1".to_vec(),
        packed(b""),
        packed(b"SELECT 1"),
    ];
    wrong.push(CommandStatementQuery::default().as_any().encode_to_vec());
    for at in (0..good.len()).step_by(7) {
        let mut changed = good.clone();
        changed[at] ^= 0x55;
        wrong.push(changed);
        wrong.push(good[..at].to_vec());
    }
    for ticket in wrong {
        let shown = format!("{ticket:?}");
        let status = bare.do_get(Ticket::new(ticket)).await.expect_err(&shown);
        let (code, reason) = cause(&status);
        assert!(
            matches!(code, Code::InvalidArgument | Code::Unimplemented),
            "{shown}: {status:?}"
        );
        assert!(!reason.is_empty(), "{shown}: {status:?}");
    }
    assert!(bare.do_get(Ticket::new(good)).await.is_ok());
}

/// Any bytes where a command, a ticket, a body or Arrow is expected: a status with a reason, and a
/// server that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_are_answered_with_a_status() {
    let server = TestServer::start().await;
    let mut bare = bare(&server).await;
    let mut runner = TestRunner::deterministic();
    let noise = proptest::collection::vec(any::<u8>(), 0..100);
    let kinds = [
        "CommandGetTables",
        "CommandGetSqlInfo",
        "CommandPreparedStatementQuery",
        "CommandStatementIngest",
        "CommandStatementUpdate",
        "TicketStatementQuery",
        "ActionCreatePreparedStatementRequest",
        "Nothing",
    ];
    for round in 0..200 {
        let mut next = || noise.new_tree(&mut runner).unwrap().current();
        let kind = kinds[round % kinds.len()];
        let any = Any {
            type_url: format!("type.googleapis.com/arrow.flight.protocol.sql.{kind}"),
            value: next().into(),
        };
        let bytes = if round % 3 == 0 {
            next()
        } else {
            any.encode_to_vec()
        };
        let is_told = |status: tonic::Status| {
            assert!(!cause(&status).1.is_empty(), "{bytes:?}: {status:?}");
        };
        let descriptor = FlightDescriptor::new_cmd(bytes.clone());
        if let Err(status) = bare.get_flight_info(descriptor.clone()).await {
            is_told(status);
        }
        if let Err(status) = bare.do_get(Ticket::new(bytes.clone())).await {
            is_told(status);
        }
        for action in [
            "CreatePreparedStatement",
            "CancelFlightInfo",
            "SetSessionOptions",
        ] {
            if let Err(status) = act(&mut bare, action, bytes.clone(), None).await {
                is_told(status);
            }
        }
        let messages = [
            FlightData {
                flight_descriptor: Some(descriptor),
                data_header: next().into(),
                ..FlightData::default()
            },
            FlightData {
                data_header: next().into(),
                data_body: next().into(),
                ..FlightData::default()
            },
        ];
        let results = bare.do_put(stream::iter(messages)).await.unwrap();
        if let Err(status) = results.into_inner().message().await {
            is_told(status);
        }
    }
    let paths = FlightDescriptor::new_path(vec!["events".to_owned()]);
    let status = bare.get_flight_info(paths).await.unwrap_err();
    assert_eq!(cause(&status).1, "MALFORMED_MESSAGE");
    let many = CommandGetTables {
        table_types: vec!["T".to_owned(); 100_000],
        ..CommandGetTables::default()
    };
    assert!(bare.get_flight_info(descriptor_of(&many)).await.is_ok());
    assert_eq!(number(&mut client(&server).await, "SELECT 1").await, 1);
}

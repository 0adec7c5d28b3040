//! What is wrong: with a batch, which costs the batch, and with the stream, which ends it.

use std::sync::Arc;

use bytes::Bytes;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use vitalog_disk::{FaultPlan, FaultyDirectory};
use vitalog_query::{QueryConfig, QueryEngine};
use vitalog_server::Server;
use vitalog_store::{Store, StoreConfig, SystemClock};
use vitalog_wire::vitalog::v1::append_request::Batch;
use vitalog_wire::vitalog::v1::event_service_client::EventServiceClient;
use vitalog_wire::vitalog::v1::{AppendRequest, AppendStreamRequest};

use crate::support::{TestServer, bare, cause, event, field_of, free_port, numbered};
use crate::writer::{Writer, batch, connected, is_appended, open, state};

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_batch_costs_itself_and_leaves_its_number() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    let arrow = |bytes: &'static [u8]| AppendRequest {
        batch: Some(Batch::ArrowIpc(Bytes::from_static(bytes))),
        ..AppendRequest::default()
    };
    writer.send(1, numbered(0..2)).await;
    writer.say(batch(2, arrow(b"this is no Arrow"))).await;
    writer.send(3, numbered(2..4)).await;
    writer.say(batch(2, AppendRequest::default())).await;
    let long = AppendRequest {
        request_id: "x".repeat(129),
        ..crate::support::request(vec![event(7)])
    };
    writer.say(batch(2, long)).await;
    writer.send(2, numbered(2..4)).await;
    writer.say(batch(2, arrow(b"neither is this"))).await;
    writer.send(3, vec![bare("later")]).await;
    writer.appended(1).await;
    let invalid = Code::InvalidArgument;
    assert_eq!(
        writer.refused(2).await,
        (invalid, "INVALID_ARROW".to_owned())
    );
    assert_eq!(
        writer.refused(3).await,
        (Code::OutOfRange, "NUMBER_GAP".to_owned())
    );
    assert_eq!(
        writer.refused(2).await,
        (invalid, "INVALID_REQUEST".to_owned())
    );
    assert_eq!(
        writer.refused(2).await,
        (invalid, "INVALID_REQUEST".to_owned())
    );
    assert_eq!(writer.appended(2).await.accepted, 2);
    // What is durable is not looked at again, where it is known when the batch comes.
    let (code, reason) = writer.refused(2).await;
    assert!(
        [
            (invalid, "INVALID_ARROW"),
            (Code::AlreadyExists, "NUMBER_DURABLE")
        ]
        .contains(&(code, reason.as_str())),
        "{code:?} {reason}"
    );
    assert_eq!(writer.appended(3).await.accepted, 1);
    writer.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_too_many_events_is_refused() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    writer.send(1, vec![bare("a"); 65_537]).await;
    writer.send(1, vec![bare("a"); 65_536]).await;
    let refused = writer.refused(1).await;
    assert_eq!(
        refused,
        (Code::ResourceExhausted, "REQUEST_TOO_LARGE".to_owned())
    );
    assert_eq!(writer.appended(1).await.accepted, 65_536);
}

/// How a stream ends on which `messages` are said first.
async fn end_after(server: &TestServer, messages: Vec<AppendStreamRequest>) -> Status {
    let mut client = server.events().await;
    let (requests, mut answers) = connected(&mut client).await.unwrap();
    for message in messages {
        let _ = requests.send(message).await;
    }
    loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended well"),
            Err(status) => return status,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_the_rules_ends() {
    let server = TestServer::start().await;
    let first = batch(1, crate::support::request(numbered(0..1)));
    let nothing = AppendStreamRequest { part: None };
    for (messages, field) in [
        (vec![first.clone()], "open"),
        (vec![nothing.clone()], "open"),
        (vec![open("")], "writer_id"),
        (vec![open(&"x".repeat(129))], "writer_id"),
        (vec![open("w"), open("w")], "part"),
        (vec![open("w"), first, nothing], "part"),
    ] {
        let what = format!("{messages:?}");
        let status = end_after(&server, messages).await;
        let expected = (Code::InvalidArgument, "INVALID_REQUEST".to_owned());
        assert_eq!(cause(&status), expected, "{what}");
        assert_eq!(field_of(&status), field, "{what}");
    }
    let mut client = server.events().await;
    assert_eq!(
        state(&mut client, "w").await.last_number,
        1,
        "what was taken counts"
    );
}

/// A message of some more bytes than `bytes`.
fn message_of(bytes: usize) -> AppendStreamRequest {
    let mut events = numbered(0..bytes as u64 / 60_000 + 1);
    for event in &mut events {
        event.properties = Some(format!("{{\"a\":\"{}\"}}", "x".repeat(60_000)));
    }
    batch(1, crate::support::request(events))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_past_the_credit_ends_its_stream() {
    let server = TestServer::start().await;
    let past = message_of(4 << 20);
    let length = prost::Message::encoded_len(&past);
    assert!(
        (4 << 20..(4 << 20) + (64 << 10)).contains(&length),
        "{length}"
    );
    let status = end_after(&server, vec![open("w"), past]).await;
    let expected = (Code::ResourceExhausted, "CREDIT_EXCEEDED".to_owned());
    assert_eq!(cause(&status), expected);
    assert!(status.message().contains("of credit left"), "{status}");
    let status = end_after(&server, vec![open("w"), message_of(5 << 20)]).await;
    let expected = (Code::ResourceExhausted, "REQUEST_TOO_LARGE".to_owned());
    assert_eq!(cause(&status), expected);
    let mut client = server.events().await;
    assert_eq!(state(&mut client, "w").await.last_number, 0);
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    writer.say(message_of(3 << 20)).await;
    writer.appended(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_sync_ends_streams_and_what_was_acked_is_there() {
    let directory = FaultyDirectory::new();
    let open_store = |directory: &FaultyDirectory| {
        let directory = Arc::new(directory.clone());
        let opened = Store::open(directory, StoreConfig::default(), Arc::new(SystemClock));
        Arc::new(opened.unwrap().0)
    };
    let store = open_store(&directory);
    let engine = QueryEngine::new(Arc::clone(&store), QueryConfig::default()).unwrap();
    let server = Server::bind(Arc::clone(&store), engine, free_port())
        .await
        .unwrap();
    let address = server.local_addr();
    let running = tokio::spawn(server.run(std::future::pending()));
    let mut client = EventServiceClient::connect(format!("http://{address}"))
        .await
        .unwrap();
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    writer.send(1, vec![bare("a")]).await;
    writer.appended(1).await;
    directory.set_plan(FaultPlan::new().fail_syncs_from(directory.operations()));
    for number in 2..5 {
        writer.send(number, vec![bare("a")]).await;
    }
    let (acks, end) = writer.ended().await;
    assert!(!acks.iter().any(is_appended), "{acks:?}");
    let status = end.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::Unavailable, "OUTCOME_UNKNOWN".to_owned())
    );
    assert!(status.get_error_details().retry_info().is_some());
    running.abort();
    // A restart knows: the state says which of them are durable, and the next one goes in.
    let image = directory.crash_image(5);
    let store = open_store(&image);
    let last = store.writer_state("w").unwrap().last_number;
    assert_eq!(store.snapshot().seq(), last as i64);
    assert!((1..=4).contains(&last), "{last}");
}

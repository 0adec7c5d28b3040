//! The flow of bytes: credit comes back, a reader that is slow slows its own stream, slots are
//! limited.

use std::time::Duration;

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};
use vitalog_server::ServerConfig;
use vitalog_store::StoreConfig;

use crate::support::{TestServer, append, bare, begun, cause, free_port, numbered, request};
use crate::writer::{Writer, batch, connected, open, state};

/// What `begin` gives, tried again where a server that waits for no more than moments gave up.
async fn taken_in_time<T>(mut begin: impl AsyncFnMut() -> Result<T, Status>) -> T {
    let trying = async {
        loop {
            match begin().await {
                Ok(begun) => return begun,
                Err(status) => {
                    let (_, reason) = cause(&status);
                    let is_late =
                        ["OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED"].contains(&reason.as_str());
                    assert!(is_late, "{status}");
                }
            }
        }
    };
    let tried = tokio::time::timeout(Duration::from_secs(30), trying).await;
    tried.expect("it should have been taken long ago")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ack_gives_back_what_its_message_took() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    // Five times the credit, as fast as the credit allows.
    let mut credit = writer.opened.credit_bytes;
    let (mut sent, mut acked) = (0_u64, 0_u64);
    let mut total = 0;
    while acked < 120 {
        let mut events = numbered(sent * 4..sent * 4 + 4);
        for event in &mut events {
            event.properties = Some(format!("{{\"a\":\"{}\"}}", "x".repeat(45_000)));
        }
        let message = batch(sent + 1, request(events));
        let bytes = message.encoded_len() as u64;
        if sent < 120 && bytes <= credit {
            credit -= bytes;
            total += bytes;
            sent += 1;
            writer.say(message).await;
            continue;
        }
        let ack = writer.ack().await;
        acked += 1;
        assert_eq!(ack.number, acked);
        assert!(ack.credit_bytes > 0);
        credit += ack.credit_bytes;
    }
    assert!(total > 5 * writer.opened.credit_bytes, "{total}");
    assert_eq!(credit, writer.opened.credit_bytes, "all of it came back");
    assert_eq!(server.store.snapshot().seq(), 480);
}

/// Acks of some 50 KiB each that nobody reads: the server stops taking, and forgets none of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_of_acks_stops_its_own_stream_and_loses_none() {
    const BATCHES: u64 = 300;
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let mut writer = Writer::open(&mut client, "slow").await.unwrap();
    let requests = writer.requests();
    let sending = tokio::spawn(async move {
        for number in 1..=BATCHES {
            let message = batch(number, request(vec![bare("e"); 1_000]));
            requests.send(message).await.unwrap();
        }
    });
    let mut other = server.events().await;
    while state(&mut other, "slow").await.last_number < 40 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Others are served meanwhile.
    for n in 0..100 {
        append(&mut other, numbered(n..n + 1)).await;
    }
    let taken = state(&mut other, "slow").await.last_number;
    assert!(
        taken < BATCHES * 2 / 3,
        "{taken} batches were taken although no ack was read"
    );
    for number in 1..=BATCHES {
        let answer = writer.appended(number).await;
        assert_eq!((answer.accepted, answer.assigned_ids.len()), (1_000, 1_000));
    }
    sending.await.unwrap();
    writer.end().await.unwrap();
    assert_eq!(state(&mut other, "slow").await.last_number, BATCHES);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_the_limit_are_refused_and_slots_come_back() {
    let config = ServerConfig {
        append_streams_max: 2,
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut client = server.events().await;
    let first = Writer::open(&mut client, "a").await.unwrap();
    let _second = Writer::open(&mut client, "b").await.unwrap();
    let Err(status) = Writer::open(&mut client, "c").await else {
        panic!("a third stream was opened");
    };
    assert_eq!(cause(&status), (Code::ResourceExhausted, "BUSY".to_owned()));
    drop(first);
    while Writer::open(&mut client, "c").await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_the_deadline_of_its_caller() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let opened = begun(Duration::from_secs(2), async |allowed| {
        let (requests, sent) = mpsc::channel(1);
        let mut call = Request::new(ReceiverStream::new(sent));
        call.set_timeout(allowed);
        let mut answers = client.append_stream(call).await?.into_inner();
        // Where it is not taken the answer says why.
        let _ = requests.send(open("w")).await;
        answers.message().await?.unwrap();
        Ok((requests, answers))
    });
    let (_requests, mut answers) = opened.await;
    let status = answers.message().await.unwrap_err();
    // Client and server both watch it.
    assert!(
        [Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_opened_ends() {
    let config = ServerConfig {
        call_timeout: Duration::from_secs(2),
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut client = server.events().await;
    let connecting = taken_in_time(async || connected(&mut client).await);
    let (_requests, mut answers) = connecting.await;
    let status = answers.message().await.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned())
    );
    // One that is open may stay silent.
    let mut writer = taken_in_time(async || Writer::open(&mut client, "w").await).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    writer.send(1, vec![bare("a")]).await;
    writer.appended(1).await;
}

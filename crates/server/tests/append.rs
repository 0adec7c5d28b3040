//! `EventService.Append` against a real server: what goes in, what is refused, and how.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use prost::Message;
use support::raw::raw_append;
use support::{
    START_SECONDS, TestServer, append, bare, cause, event, field_of, numbered, read_all, request,
    rows_of,
};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic_types::StatusExt;
use vitalog_server::ServerConfig;
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::{AppendRequest, Event, ReadRequest};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_is_read_back_and_a_retry_adds_nothing() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let events = numbered(0..2_500);
    let answer = append(&mut client, events.clone()).await;
    assert_eq!(
        (answer.accepted, answer.duplicates, answer.last_seq),
        (2_500, 0, 2_500)
    );
    assert!(answer.rejected.is_empty() && answer.assigned_ids.is_empty() && !answer.retry_unsafe);
    let again = append(&mut client, events.clone()).await;
    assert_eq!(
        (again.accepted, again.duplicates, again.last_seq),
        (0, 2_500, 2_500)
    );
    let rows = rows_of(&read_all(&mut client, ReadRequest::default()).await);
    assert_eq!(rows.len(), 2_500);
    for (index, (seq, row)) in rows.iter().enumerate() {
        assert_eq!((*seq, row), (index as u64 + 1, &events[index]));
    }
}

/// Each fault in a batch of its own kind, between two good events.
#[tokio::test(flavor = "multi_thread")]
async fn each_bad_event_is_named_and_the_rest_goes_in() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let time = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let text = |text: &str| Some(text.to_owned());
    let year_9999 = 253_402_300_799;
    let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    let cases = [
        (
            Event {
                event_id: text(""),
                ..event(0)
            },
            "event_id",
            "empty",
        ),
        (
            Event {
                event_id: Some("x".repeat(257)),
                ..event(0)
            },
            "event_id",
            "too_long",
        ),
        (
            Event {
                event: String::new(),
                ..event(0)
            },
            "event",
            "missing",
        ),
        (
            Event {
                event: "x".repeat(201),
                ..event(0)
            },
            "event",
            "too_long",
        ),
        (
            Event {
                event: "$set".to_owned(),
                ..event(0)
            },
            "event",
            "reserved_name",
        ),
        (
            Event {
                event: "$group".to_owned(),
                account_id: None,
                ..event(0)
            },
            "account_id",
            "missing",
        ),
        (
            Event {
                event_time: time(-1, 0),
                ..event(0)
            },
            "event_time",
            "before_1970",
        ),
        (
            Event {
                event_time: time(year_9999, 0),
                ..event(0)
            },
            "event_time",
            "in_future",
        ),
        (
            Event {
                event_time: time(i64::MAX, 0),
                ..event(0)
            },
            "event_time",
            "in_future",
        ),
        (
            Event {
                event_time: time(i64::MIN, 0),
                ..event(0)
            },
            "event_time",
            "before_1970",
        ),
        (
            Event {
                event_time: time(0, -1),
                ..event(0)
            },
            "event_time",
            "wrong_type",
        ),
        (
            Event {
                account_id: text(""),
                ..event(0)
            },
            "account_id",
            "empty",
        ),
        (
            Event {
                user_id: text(""),
                ..event(0)
            },
            "user_id",
            "empty",
        ),
        (
            Event {
                value: Some(f64::NAN),
                ..event(0)
            },
            "value",
            "not_a_number",
        ),
        (
            Event {
                value: Some(f64::INFINITY),
                ..event(0)
            },
            "value",
            "not_a_number",
        ),
        (
            Event {
                properties: text(""),
                ..event(0)
            },
            "properties",
            "invalid_properties",
        ),
        (
            Event {
                properties: text("[1]"),
                ..event(0)
            },
            "properties",
            "invalid_properties",
        ),
        (
            Event {
                properties: text("{\"a\":1,\"a\":2}"),
                ..event(0)
            },
            "properties",
            "invalid_properties",
        ),
        (
            Event {
                properties: Some(huge),
                ..event(0)
            },
            "properties",
            "too_long",
        ),
    ];
    let mut events = Vec::new();
    for (n, (bad, _, _)) in (1..).zip(&cases) {
        events.extend([bad.clone(), event(n)]);
    }
    let answer = append(&mut client, events).await;
    assert_eq!(answer.accepted, cases.len() as u64);
    assert_eq!(answer.rejected.len(), cases.len());
    for (at, (rejected, (bad, field, code))) in answer.rejected.iter().zip(&cases).enumerate() {
        let found = (
            rejected.index,
            rejected.field.as_str(),
            rejected.code.as_str(),
        );
        assert_eq!(found, (2 * at as u64, *field, *code), "{bad:?}");
        assert!(!rejected.message.is_empty());
    }
    let other = Event {
        value: Some(1.0),
        ..event(1)
    };
    let answer = append(&mut client, vec![event(2), other, event(99)]).await;
    assert_eq!((answer.accepted, answer.duplicates), (1, 1));
    assert_eq!(
        (answer.rejected[0].index, answer.rejected[0].code.as_str()),
        (1, "conflict")
    );
}

/// The generated message cannot hold such text, so its bytes are changed.
#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf8_costs_its_event_only() {
    let server = TestServer::start().await;
    let named = |name: &str| Event {
        user_id: Some(name.to_owned()),
        ..event(1)
    };
    let mut bytes = request(vec![named("\u{7f}BAD"), event(2)]).encode_to_vec();
    let at = bytes
        .windows(4)
        .position(|window| window == b"\x7fBAD")
        .unwrap();
    bytes[at] = 0xff;
    let answer = raw_append(&server, bytes).await.unwrap();
    assert_eq!(answer.accepted, 1);
    let rejected = &answer.rejected[0];
    assert_eq!((rejected.index, rejected.field.as_str()), (0, "user_id"));
    assert_eq!(rejected.code, "invalid_utf8");
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_ids_come_from_the_request_or_are_random() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let mut named = request(vec![bare("a"), bare("$no"), event(1), bare("b")]);
    named.request_id = "batch-7".to_owned();
    let first = client.append(named.clone()).await.unwrap().into_inner();
    let ids: Vec<_> = first
        .assigned_ids
        .iter()
        .map(|id| (id.index, id.event_id.as_str()))
        .collect();
    assert_eq!(ids, [(0, "batch-7#0"), (3, "batch-7#3")]);
    assert_eq!((first.accepted, first.retry_unsafe), (3, false));
    let retry = client.append(named).await.unwrap().into_inner();
    assert_eq!((retry.accepted, retry.duplicates), (0, 3));

    let answer = append(&mut client, vec![bare("a"), bare("a")]).await;
    assert!(answer.retry_unsafe);
    let ids: HashSet<_> = answer.assigned_ids.iter().map(|id| &id.event_id).collect();
    assert_eq!((answer.accepted, ids.len()), (2, 2));
    let all_refused = append(&mut client, vec![bare("$no")]).await;
    assert!(!all_refused.retry_unsafe && all_refused.assigned_ids.is_empty());
    assert_eq!(all_refused.last_seq, 5, "the last durable seq");
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_times_are_the_servers_and_finer_digits_are_cut() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let fine = prost_types::Timestamp {
        seconds: START_SECONDS,
        nanos: 1_999,
    };
    let events = vec![
        Event {
            event_time: Some(fine),
            ..event(1)
        },
        Event {
            event_time: None,
            ..event(2)
        },
    ];
    append(&mut client, events).await;
    let rows = rows_of(&read_all(&mut client, ReadRequest::default()).await);
    assert_eq!(rows[0].1.event_time.unwrap().nanos, 1_000);
    assert!(rows[1].1.event_time.unwrap().seconds > START_SECONDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_fails_as_a_whole() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let status = client.append(AppendRequest::default()).await.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::InvalidArgument, "INVALID_REQUEST".to_owned())
    );
    assert_eq!(field_of(&status), "batch");
    let long = AppendRequest {
        request_id: "x".repeat(129),
        ..request(numbered(0..1))
    };
    let status = client.append(long).await.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::InvalidArgument, "INVALID_REQUEST".to_owned())
    );
    assert_eq!(field_of(&status), "request_id");
    for bytes in [
        b"\x0a\xff\xff\xff".to_vec(),
        b"\x08\x01".to_vec(),
        vec![0xff; 64],
    ] {
        let status = raw_append(&server, bytes).await.unwrap_err();
        assert_eq!(
            cause(&status),
            (Code::InvalidArgument, "MALFORMED_MESSAGE".to_owned())
        );
    }
    assert_eq!(server.store.snapshot().seq(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_have_ten_mebibytes_and_no_more() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let padded = |n: u64| {
        let properties = Some(format!("{{\"p\":\"{}\"}}", "x".repeat(60_000)));
        Event {
            properties,
            ..event(n)
        }
    };
    let full = request((0..170).map(padded).collect());
    assert!((9 << 20..10 << 20).contains(&full.encoded_len()));
    assert_eq!(
        client.append(full).await.unwrap().into_inner().accepted,
        170
    );
    // Refused by its size, by its length prefix, and by what it holds when decompressed.
    for count in [180, 400] {
        let large = request((0..count).map(padded).collect());
        let status = client.append(large.clone()).await.unwrap_err();
        assert_eq!(
            cause(&status),
            (Code::ResourceExhausted, "REQUEST_TOO_LARGE".to_owned())
        );
        assert!(status.message().contains("too large") || status.message().contains("10 MiB"));
        assert!(
            status.get_error_details().retry_info().is_none(),
            "a retry cannot help"
        );
        let mut zipped = client.clone().send_compressed(CompressionEncoding::Zstd);
        let status = zipped.append(large).await.unwrap_err();
        assert_eq!(
            cause(&status),
            (Code::ResourceExhausted, "REQUEST_TOO_LARGE".to_owned())
        );
    }
    assert_eq!(
        server.store.snapshot().seq(),
        170,
        "nothing of what was refused went in"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_requests_are_taken() {
    let server = TestServer::start().await;
    for (encoding, n) in [
        (CompressionEncoding::Gzip, 0),
        (CompressionEncoding::Zstd, 100),
    ] {
        let client = server.events().await.send_compressed(encoding);
        let mut client = client.accept_compressed(encoding);
        assert_eq!(
            append(&mut client, numbered(n..n + 100)).await.accepted,
            100
        );
        let from_seq = n + 1;
        let read = ReadRequest {
            from_seq,
            ..ReadRequest::default()
        };
        assert_eq!(rows_of(&read_all(&mut client, read).await).len(), 100);
    }
}

/// A queue of one batch and many clients: all wait their turn, none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_waited_for() {
    let store = StoreConfig {
        queue_batches: 1,
        ..StoreConfig::default()
    };
    // Each batch is a sync of its own, and each waits behind those of fifteen others.
    let config = ServerConfig {
        queue_wait: Duration::from_secs(50),
        ..support::free_port()
    };
    let server = TestServer::with(config, store).await;
    let mut clients = Vec::new();
    for n in 0..16 {
        let mut client = server.events().await;
        clients.push(tokio::spawn(async move {
            let mut accepted = 0;
            for batch in 0..10 {
                let first = (n * 10 + batch) * 20;
                accepted += append(&mut client, numbered(first..first + 20))
                    .await
                    .accepted;
            }
            accepted
        }));
    }
    for client in clients {
        assert_eq!(client.await.unwrap(), 200);
    }
    assert_eq!(server.store.snapshot().seq(), 16 * 200);
}

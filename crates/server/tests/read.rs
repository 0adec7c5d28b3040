//! `EventService.Read` against a real server: order, filters, resuming, following.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use prost::Message;
use support::{TestServer, append, bare, begun, cause, event, numbered, read_all, rows_of};
use tonic::Code;
use vitalog_server::ServerConfig;
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::{Event, ReadRequest, StoredEvent};

/// A store whose rows lie in several segments and in memory.
async fn filled(events: u64) -> TestServer {
    let store = StoreConfig {
        memtable_events_max: 700,
        ..StoreConfig::default()
    };
    let server = TestServer::with(support::free_port(), store).await;
    let mut client = server.events().await;
    for first in (0..events).step_by(250) {
        append(&mut client, numbered(first..(first + 250).min(events))).await;
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_comes_in_order_from_any_seq() {
    let server = filled(3_000).await;
    let mut client = server.events().await;
    for (from_seq, limit) in [(0, 0), (1, 0), (1_234, 0), (2_999, 7), (5, 1), (700, 1_500)] {
        let request = ReadRequest {
            from_seq,
            limit,
            ..ReadRequest::default()
        };
        let messages = read_all(&mut client, request).await;
        let first = from_seq.max(1);
        let last = if limit == 0 {
            3_000
        } else {
            (first + limit - 1).min(3_000)
        };
        let expected: Vec<_> = (first..=last).map(|seq| (seq, event(seq - 1))).collect();
        assert_eq!(
            rows_of(&messages),
            expected,
            "from {from_seq}, limit {limit}"
        );
        assert_eq!(messages.last().unwrap().next_seq, last + 1);
        let times: Vec<_> = messages
            .iter()
            .flat_map(|message| &message.events)
            .map(received)
            .collect();
        assert!(times.is_sorted());
    }
    let past = ReadRequest {
        from_seq: u64::MAX,
        ..ReadRequest::default()
    };
    assert!(read_all(&mut client, past).await.is_empty());
}

fn received(event: &StoredEvent) -> (i64, i32) {
    let time = event.received_at.unwrap();
    (time.seconds, time.nanos)
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_hold_together_and_progress_is_reported() {
    let server = filled(2_000).await;
    let mut client = server.events().await;
    let text = |texts: &[&str]| {
        texts
            .iter()
            .map(|&text| text.to_owned())
            .collect::<Vec<_>>()
    };
    let cases = [
        (text(&["account 1"]), text(&[]), text(&[])),
        (
            text(&["account 1", "account 2", "nobody"]),
            text(&["user 3"]),
            text(&[]),
        ),
        (
            text(&[]),
            text(&["user 3", "user 4"]),
            text(&["name 0", "name 1"]),
        ),
        (text(&[]), text(&[]), text(&["name 2"])),
        (text(&["nobody"]), text(&[]), text(&[])),
    ];
    for (account_ids, user_ids, events) in cases {
        let passes = |filter: &[String], value: Option<&String>| {
            filter.is_empty() || value.is_some_and(|value| filter.contains(value))
        };
        let expected: Vec<_> = (1..=2_000)
            .map(|seq| (seq, event(seq - 1)))
            .filter(|(_, event)| {
                passes(&account_ids, event.account_id.as_ref())
                    && passes(&user_ids, event.user_id.as_ref())
                    && passes(&events, Some(&event.event))
            })
            .collect();
        let request = ReadRequest {
            account_ids,
            user_ids,
            events,
            ..ReadRequest::default()
        };
        let messages = read_all(&mut client, request.clone()).await;
        assert_eq!(rows_of(&messages), expected, "{request:?}");
        assert_eq!(messages.last().unwrap().next_seq, 2_001, "{request:?}");
        let few = ReadRequest {
            limit: 3,
            ..request
        };
        let rows = rows_of(&read_all(&mut client, few).await);
        assert_eq!(rows, expected[..3.min(expected.len())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rare_events_are_found_behind_long_stretches_of_others() {
    const EVENTS: u64 = 12_000;
    let server = TestServer::start().await;
    let mut client = server.events().await;
    // From 19 on the first window of 4,096 has none.
    let rare = |n: u64| n == 17 || n == EVENTS - 1;
    let of = |n: u64| Event {
        event: if rare(n) { "rare" } else { "usual" }.to_owned(),
        ..event(n)
    };
    for first in (0..EVENTS).step_by(2_000) {
        append(&mut client, (first..first + 2_000).map(of).collect()).await;
    }
    for (from_seq, found) in [
        (0, vec![18, EVENTS]),
        (19, vec![EVENTS]),
        (EVENTS + 1, vec![]),
    ] {
        let request = ReadRequest {
            from_seq,
            events: vec!["rare".to_owned()],
            ..ReadRequest::default()
        };
        let messages = read_all(&mut client, request).await;
        let seqs: Vec<u64> = rows_of(&messages).into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(seqs, found, "from {from_seq}");
        let resume = messages.last().map_or(from_seq, |message| message.next_seq);
        assert_eq!(resume, EVENTS + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_events_come_in_messages_below_four_mebibytes() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let properties = format!("{{\"p\":\"{}\"}}", "x".repeat(65_000));
    let large = |n| Event {
        properties: Some(properties.clone()),
        ..event(n)
    };
    append(&mut client, (0..120).map(large).collect()).await;
    let messages = read_all(&mut client, ReadRequest::default()).await;
    assert!(
        messages.len() > 1
            && messages
                .iter()
                .all(|message| message.encoded_len() <= 4 << 20)
    );
    assert_eq!(rows_of(&messages).len(), 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_resumes_where_it_stopped() {
    let server = filled(1_000).await;
    let mut client = server.events().await;
    let (mut next_seq, mut seqs) = (0, Vec::new());
    loop {
        let request = ReadRequest {
            from_seq: next_seq,
            limit: 97,
            ..ReadRequest::default()
        };
        let messages = read_all(&mut client, request).await;
        let Some(last) = messages.last() else { break };
        next_seq = last.next_seq;
        seqs.extend(rows_of(&messages).into_iter().map(|(seq, _)| seq));
    }
    assert_eq!(seqs, (1..=1_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn following_sends_what_is_appended_later() {
    let server = filled(100).await;
    let mut client = server.events().await;
    let request = ReadRequest {
        from_seq: 51,
        follow: true,
        limit: 2_050,
        ..ReadRequest::default()
    };
    let mut tail = client.read(request).await.unwrap().into_inner();
    let mut writer = client.clone();
    let writing = tokio::spawn(async move {
        for first in (100..2_100).step_by(50) {
            append(&mut writer, numbered(first..first + 50)).await;
        }
    });
    let mut seqs = Vec::new();
    while let Some(message) = tail.message().await.unwrap() {
        seqs.extend(message.events.iter().map(|event| event.seq));
    }
    writing.await.unwrap();
    assert_eq!(
        seqs,
        (51..=2_100).collect::<Vec<_>>(),
        "and it ended by its limit"
    );
}

/// Some 16 MB for a tail that nobody reads: it holds nobody up, and misses nothing when it is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_tail_holds_nobody_up_and_misses_nothing() {
    let server = TestServer::start().await;
    let mut reader = server.events().await;
    let request = ReadRequest {
        follow: true,
        limit: 4_000,
        ..ReadRequest::default()
    };
    let mut tail = reader.read(request).await.unwrap().into_inner();
    let mut writer = server.events().await;
    for first in (0..4_000).step_by(50) {
        let mut events = numbered(first..first + 50);
        for event in &mut events {
            event.properties = Some(format!("{{\"a\":\"{}\"}}", "x".repeat(4_000)));
        }
        append(&mut writer, events).await;
    }
    let mut seqs = Vec::new();
    while let Some(message) = tail.message().await.unwrap() {
        seqs.extend(message.events.iter().map(|event| event.seq));
    }
    assert_eq!(seqs, (1..=4_000).collect::<Vec<_>>());
}

/// A name that is unknown when the tail begins is found when it comes.
#[tokio::test(flavor = "multi_thread")]
async fn following_finds_names_that_are_new() {
    let server = filled(10).await;
    let mut client = server.events().await;
    let request = ReadRequest {
        events: vec!["new".to_owned()],
        follow: true,
        limit: 1,
        ..ReadRequest::default()
    };
    let mut tail = client.read(request).await.unwrap().into_inner();
    append(&mut client, vec![bare("old"), bare("new")]).await;
    let mut seqs = Vec::new();
    while let Some(message) = tail.message().await.unwrap() {
        seqs.extend(message.events.iter().map(|event| event.seq));
    }
    assert_eq!(seqs, [12]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_frees_its_slot() {
    let config = ServerConfig {
        reads_max: 1,
        ..support::free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut client = server.events().await;
    let follow = || ReadRequest {
        follow: true,
        ..ReadRequest::default()
    };
    let tail = client.read(follow()).await.unwrap();
    let status = client.read(follow()).await.unwrap_err();
    assert_eq!(cause(&status), (Code::ResourceExhausted, "BUSY".to_owned()));
    drop(tail);
    // The stream is reset and its task woken: a matter of scheduling, not of time.
    while client.read(follow()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_tail() {
    let server = filled(10).await;
    let mut client = server.events().await;
    let tail = begun(Duration::from_millis(300), async |allowed| {
        let mut request = tonic::Request::new(ReadRequest {
            follow: true,
            ..ReadRequest::default()
        });
        request.set_timeout(allowed);
        client.read(request).await
    });
    let mut tail = tail.await.into_inner();
    let status = loop {
        match tail.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a tail does not end by itself"),
            Err(status) => break status,
        }
    };
    assert_eq!(
        cause(&status),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned())
    );
}

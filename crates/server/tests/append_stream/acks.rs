//! Acks: in order, durable, and what they say of numbers that came before or too early.

use std::collections::BTreeSet;

use tonic::Code;
use tonic_types::StatusExt;
use vitalog_wire::vitalog::v1::query_response::Part;
use vitalog_wire::vitalog::v1::{Event, GetWriterStateRequest, QueryRequest, ReadRequest};

use crate::support::{
    TestServer, append, bare, cause, event, field_of, numbered, read_all, rows_of,
};
use crate::writer::{Writer, is_appended, state, status_of};

#[tokio::test(flavor = "multi_thread")]
async fn many_batches_under_way_are_answered_in_order() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    assert_eq!(writer.opened.last_number, 0);
    assert_eq!(writer.opened.credit_bytes, 4 << 20);
    let requests = writer.requests();
    let sending = tokio::spawn(async move {
        for number in 1..=400_u64 {
            let append = crate::support::request(numbered(number * 10..number * 10 + 10));
            requests
                .send(crate::writer::batch(number, append))
                .await
                .unwrap();
        }
    });
    let mut next_seq = 1;
    for number in 1..=400 {
        let answer = writer.appended(number).await;
        assert_eq!(
            (answer.accepted, answer.first_seq),
            (10, Some(next_seq)),
            "{number}"
        );
        next_seq += 10;
        assert!(answer.last_seq >= next_seq - 1);
    }
    sending.await.unwrap();
    writer.end().await.unwrap();
    let known = state(&mut client, "w").await;
    assert_eq!((known.last_number, known.last_seq), (400, 4_000));
    assert!(known.last_time.unwrap().seconds > crate::support::START_SECONDS);
    let rows = rows_of(&read_all(&mut client, ReadRequest::default()).await);
    let events: Vec<Event> = rows.into_iter().map(|(_, event)| event).collect();
    assert_eq!(events, numbered(10..4_010));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_seen_on_another_connection() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    let mut queries = server.queries().await;
    for number in 1..=30_u64 {
        writer
            .send(number, numbered(number * 10..number * 10 + 10))
            .await;
        let last_seq = writer.appended(number).await.last_seq;
        // One row for each event: the statistics count them.
        let request = QueryRequest {
            sql: "SELECT seq FROM events".to_owned(),
            ..QueryRequest::default()
        };
        let mut stream = queries.query(request).await.unwrap().into_inner();
        let mut statistics = None;
        while let Some(message) = stream.message().await.unwrap() {
            if let Some(Part::Statistics(last)) = message.part {
                statistics = Some(last);
            }
        }
        let statistics = statistics.unwrap();
        assert_eq!(statistics.rows, number * 10);
        assert!(statistics.seq >= last_seq, "{statistics:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_came_before_or_come_too_early_are_told() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    for (number, events) in [
        (1, 0..3),
        (2, 3..5),
        (1, 5..9),
        (4, 5..9),
        (3, 5..6),
        (0, 0..1),
    ] {
        writer.send(number, numbered(events)).await;
    }
    assert_eq!(writer.appended(1).await.accepted, 3);
    assert_eq!(writer.appended(2).await.accepted, 2);
    for (number, expected, last_numbers) in [
        // The second may have been on its way to the disk.
        (1, (Code::AlreadyExists, "NUMBER_DURABLE"), &["1", "2"][..]),
        (4, (Code::OutOfRange, "NUMBER_GAP"), &["2"]),
    ] {
        let ack = writer.ack().await;
        assert_eq!(ack.number, number);
        let status = status_of(&ack);
        let (code, reason) = cause(&status);
        assert_eq!((code, reason.as_str()), expected);
        let details = status.get_error_details();
        let last_number = &details.error_info().unwrap().metadata["last_number"];
        assert!(
            last_numbers.contains(&last_number.as_str()),
            "{number}: {last_number}"
        );
        assert!(details.retry_info().is_none());
    }
    assert_eq!(writer.appended(3).await.accepted, 1);
    let ack = writer.ack().await;
    assert_eq!(cause(&status_of(&ack)).1, "INVALID_REQUEST");
    assert_eq!(field_of(&status_of(&ack)), "number");
    writer.end().await.unwrap();
    assert_eq!(server.store.snapshot().seq(), 6, "nothing else went in");
}

/// Nothing else is in its commit group.
#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_comes_alone_is_told() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    writer.send(7, numbered(0..2)).await;
    let gap = (Code::OutOfRange, "NUMBER_GAP".to_owned());
    assert_eq!(writer.refused(7).await, gap);
    writer.send(1, numbered(0..2)).await;
    assert_eq!(writer.appended(1).await.accepted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_goes_on_where_it_was() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    assert_eq!(state(&mut client, "w").await, Default::default());
    for session in 0..3_u64 {
        let mut writer = Writer::open(&mut client, "w").await.unwrap();
        assert_eq!(writer.opened.last_number, session * 5);
        for number in session * 5 + 1..=session * 5 + 5 {
            // Without ids: the number alone tells a repetition.
            writer.send(number, vec![bare("tick"), bare("tock")]).await;
            let answer = writer.appended(number).await;
            assert_eq!((answer.accepted, answer.assigned_ids.len()), (2, 2));
            assert!(!answer.retry_unsafe);
        }
        // Dropped as a broken connection is.
    }
    assert_eq!(state(&mut client, "w").await.last_number, 15);
    assert_eq!(state(&mut client, "another").await.last_number, 0);
    assert_eq!(server.store.snapshot().seq(), 30);
    for writer_id in [String::new(), "x".repeat(129)] {
        let request = GetWriterStateRequest { writer_id };
        let status = client.get_writer_state(request).await.unwrap_err();
        assert_eq!(
            (status.code(), field_of(&status)),
            (Code::InvalidArgument, "writer_id".to_owned())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_streams_of_one_writer_one_wins_each_number() {
    let server = TestServer::start().await;
    let tasks = (0..2).map(|stream| {
        let address = server.address;
        tokio::spawn(async move {
            let endpoint = tonic::transport::Channel::from_shared(format!("http://{address}"));
            let channel = endpoint.unwrap().connect().await.unwrap();
            let mut client =
                vitalog_wire::vitalog::v1::event_service_client::EventServiceClient::new(channel);
            let mut writer = Writer::open(&mut client, "shared").await.unwrap();
            let mut won = BTreeSet::new();
            for number in 1..=100_u64 {
                let mut events = numbered(number..number + 1);
                events[0].event_id = Some(format!("stream {stream} batch {number}"));
                writer.send(number, events).await;
                let ack = writer.ack().await;
                if is_appended(&ack) {
                    won.insert(number);
                } else {
                    assert_eq!(cause(&status_of(&ack)).1, "NUMBER_DURABLE", "{number}");
                }
            }
            won
        })
    });
    let won: Vec<BTreeSet<u64>> = futures::future::try_join_all(tasks).await.unwrap();
    assert!(won[0].is_disjoint(&won[1]));
    assert_eq!(won[0].len() + won[1].len(), 100);
    assert_eq!(server.store.snapshot().seq(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_events_and_duplicates_take_the_number_of_their_batch() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    append(&mut client, numbered(0..3)).await;
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    writer.send(1, vec![bare("$reserved"), bare("")]).await;
    writer.send(2, numbered(0..3)).await;
    writer.send(3, Vec::new()).await;
    let conflict = Event {
        event: "other".to_owned(),
        ..event(0)
    };
    writer.send(4, vec![conflict, event(3)]).await;
    let codes = |answer: &vitalog_wire::vitalog::v1::AppendResponse| {
        let codes = answer
            .rejected
            .iter()
            .map(|one| (one.index, one.code.clone()));
        codes.collect::<Vec<_>>()
    };
    let answer = writer.appended(1).await;
    let expected = [(0, "reserved_name".to_owned()), (1, "missing".to_owned())];
    assert_eq!(codes(&answer), expected);
    assert_eq!(writer.appended(2).await.duplicates, 3);
    assert_eq!(writer.appended(3).await.accepted, 0);
    let answer = writer.appended(4).await;
    assert_eq!(codes(&answer), [(0, "conflict".to_owned())]);
    assert_eq!(answer.accepted, 1);
    assert_eq!(state(&mut client, "w").await.last_number, 4);
}

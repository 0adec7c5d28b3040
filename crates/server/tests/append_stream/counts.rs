//! What streams count, and answers that would be too large: their lists are cut, their counts are not.

use prost::Message;
use vitalog_wire::vitalog::v1::event_service_client::EventServiceClient;
use vitalog_wire::vitalog::v1::{AppendResponse, Event};

use crate::support::http::Http;
use crate::support::{TestServer, append, bare, event, numbered, request};
use crate::writer::{Writer, state};

/// A sample of `/metrics`, by its name and labels as they are written.
async fn sample(server: &TestServer, name: &str) -> f64 {
    let answer = Http::connect(server.http).await.get("/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut lines = answer.text().lines();
    let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("{name} in {}", answer.text()));
    found.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_count_as_appends_do() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    append(&mut client, numbered(0..10)).await;
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    let mut mixed = numbered(0..30);
    mixed.push(bare("$no"));
    let conflict = Event {
        event: "other".to_owned(),
        ..event(0)
    };
    writer.send(1, mixed).await;
    writer.send(2, vec![conflict]).await;
    writer.send(3, Vec::new()).await;
    writer.send(4, vec![bare("$no"), bare("$no")]).await;
    for number in 1..=4 {
        writer.appended(number).await;
    }
    // Neither is appended, and neither is counted.
    writer.send(4, numbered(40..50)).await;
    writer.refused(4).await;
    writer.send(9, numbered(40..50)).await;
    writer.refused(9).await;
    for (name, expected) in [
        ("vitalog_append_events_total{outcome=\"accepted\"}", 30.0),
        ("vitalog_append_events_total{outcome=\"duplicate\"}", 10.0),
        ("vitalog_append_events_total{outcome=\"rejected\"}", 4.0),
        // Of the batches that gave the log an event.
        ("vitalog_append_durable_seconds_count", 3.0),
        ("vitalog_append_visible_seconds_count", 3.0),
        ("vitalog_append_pending_bytes", 0.0),
    ] {
        assert_eq!(sample(&server, name).await, expected, "{name}");
    }
    let visible = sample(&server, "vitalog_append_visible_seconds_sum").await;
    assert!(visible <= sample(&server, "vitalog_append_durable_seconds_sum").await);
}

/// Counts every event of `answer`, which has some that are left out, and is small enough for
/// clients with the usual limit.
fn cut_and_counted(answer: &AppendResponse) -> u64 {
    assert!(answer.rejected_omitted > 0, "{}", answer.rejected.len());
    assert!(answer.encoded_len() < 1 << 20, "{}", answer.encoded_len());
    let indexes = answer.rejected.iter().map(|one| one.index);
    assert!(indexes.eq(0..answer.rejected.len() as u64));
    answer.rejected.len() as u64 + answer.rejected_omitted
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_of_many_rejected_events_is_small() {
    let server = TestServer::start().await;
    // With the usual limit of 4 MiB for a message.
    let mut client = EventServiceClient::new(server.channel().await);
    let mut writer = Writer::open(&mut client, "w").await.unwrap();
    writer.send(1, vec![bare("$no"); 65_536]).await;
    let answer = writer.appended(1).await;
    assert_eq!(cut_and_counted(&answer), 65_536);
    assert_eq!((answer.accepted, answer.duplicates), (0, 0));
    // The ids of a whole batch are all told.
    writer.send(2, vec![bare("e"); 65_536]).await;
    let answer = writer.appended(2).await;
    assert_eq!(
        (answer.accepted, answer.assigned_ids.len()),
        (65_536, 65_536)
    );
    assert_eq!(answer.assigned_ids_omitted, 0);
    assert_eq!(state(&mut client, "w").await.last_number, 2);
    let rejected = sample(&server, "vitalog_append_events_total{outcome=\"rejected\"}").await;
    assert_eq!(rejected, 65_536.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_an_append_is_small() {
    let server = TestServer::start().await;
    let mut client = EventServiceClient::new(server.channel().await);
    let answer = append(&mut client, vec![bare("$no"); 100_000]).await;
    assert_eq!(cut_and_counted(&answer), 100_000);
    let mut named = request(vec![bare("e"); 50_000]);
    named.request_id = "r".repeat(128);
    let answer = client.append(named).await.unwrap().into_inner();
    assert_eq!((answer.accepted, answer.rejected_omitted), (50_000, 0));
    let told = answer.assigned_ids.len() as u64;
    assert!(answer.assigned_ids_omitted > 0);
    assert_eq!(told + answer.assigned_ids_omitted, 50_000);
}

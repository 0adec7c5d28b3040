//! What many readers do to each other and to the writer: nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tonic::Code;
use vitalog_server::ServerConfig;
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::query_response::Part;
use vitalog_wire::vitalog::v1::{QueryLimits, QueryRequest, ReadRequest};

use crate::support::{TestServer, append, cause, free_port, numbered};
use crate::{ENDLESS, SILENT, number, quiet, rows, sql};

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_over_its_memory_limit_fails_alone() {
    let server = TestServer::start().await;
    let mut events = server.events().await;
    append(&mut events, numbered(0..1_000)).await;
    let greedy = QueryRequest {
        limits: Some(QueryLimits {
            max_memory_bytes: Some(2 << 20),
            ..QueryLimits::default()
        }),
        ..sql("SELECT array_agg(value) FROM generate_series(1, 2000000) a(value)")
    };
    let modest = "SELECT count(DISTINCT event_id) FROM events";
    let mut tasks = Vec::new();
    for n in 0..12 {
        let mut queries = server.queries().await;
        let greedy = greedy.clone();
        tasks.push(tokio::spawn(async move {
            if n % 3 == 0 {
                let status = rows(&mut queries, greedy).await.unwrap_err();
                let expected = (Code::ResourceExhausted, "QUERY_LIMIT".to_owned());
                assert_eq!(cause(&status), expected, "{}", status.message());
                assert!(
                    status.message().contains("limit of the request"),
                    "{}",
                    status.message()
                );
            } else {
                for _ in 0..5 {
                    assert_eq!(number(&mut queries, sql(modest)).await, 1_000);
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Work that nothing but a stop ends: its reader goes, and so do the call, the turn and the work.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_answers_leave_room_for_others() {
    let config = ServerConfig {
        queries_max: 1,
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut queries = server.queries().await;
    for text in [
        ENDLESS,
        SILENT,
        "SELECT value, count(*) FROM generate_series(1, 100000000) a(value) GROUP BY value",
        "SELECT value FROM generate_series(1, 100000000) a(value) ORDER BY value DESC",
        "SELECT sum(value) OVER (ORDER BY value DESC) FROM generate_series(1, 100000000) a(value)",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
        "SELECT count(*) FROM generate_series(1, 100000000) a(value) \
         CROSS JOIN generate_series(1, 100000000) b(value)",
        "SELECT a.value FROM generate_series(1, 2000000) a(value) \
         JOIN generate_series(1, 2000000) b(value) \
         ON a.value % 2 = b.value % 2 AND a.value + b.value < 0",
    ] {
        let stream = queries.query(sql(text)).await.unwrap();
        drop(stream);
        quiet(&server).await;
        // There is one turn, and it is free.
        assert_eq!(number(&mut queries, sql("SELECT 1")).await, 1, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_go_on_beside_many_readers() {
    const IDLE: usize = 200;
    const BUSY: usize = 32;
    let config = ServerConfig {
        // Turns for the busy ones and for the slow one.
        queries_max: BUSY + 1,
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut events = server.events().await;
    append(&mut events, numbered(0..2_000)).await;

    let mut idle = Vec::new();
    for _ in 0..IDLE / 50 {
        let reader = server.events().await;
        for _ in 0..50 {
            let follow = ReadRequest {
                events: vec!["never".to_owned()],
                follow: true,
                ..ReadRequest::default()
            };
            idle.push(reader.clone().read(follow).await.unwrap());
        }
    }
    let mut slow = server
        .queries()
        .await
        .query(sql(ENDLESS))
        .await
        .unwrap()
        .into_inner();
    assert!(matches!(
        slow.message()
            .await
            .unwrap()
            .and_then(|message| message.part),
        Some(Part::Started(_))
    ));

    let is_over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let mut busy = Vec::new();
    for _ in 0..BUSY {
        let mut queries = server.queries().await;
        let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
        busy.push(tokio::spawn(async move {
            let text = "SELECT event, count(*) FROM events GROUP BY event";
            while !is_over.load(Ordering::Relaxed) {
                let (found, _) = rows(&mut queries, sql(text)).await.unwrap();
                assert_eq!(found.len(), 3);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let mut appended = 2_000;
    while appended < 4_000 || answered.load(Ordering::Relaxed) < 2 * BUSY {
        let acked = append(&mut events, numbered(appended..appended + 10)).await;
        appended += 10;
        assert_eq!((acked.accepted, acked.last_seq), (10, appended));
    }
    is_over.store(true, Ordering::Relaxed);
    for task in busy {
        task.await.unwrap();
    }
    assert_eq!(idle.len(), IDLE);
    // The slow one was held up, not harmed.
    let rest = slow
        .message()
        .await
        .unwrap()
        .and_then(|message| message.part);
    assert!(matches!(rest, Some(Part::ArrowIpc(_))));
}

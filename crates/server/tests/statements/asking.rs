//! Points in time, limits, plans and errors.

use std::time::Duration;

use tonic::Code;
use vitalog_server::ServerConfig;
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::value::Kind;
use vitalog_wire::vitalog::v1::{QueryLimits, QueryRequest, QueryServiceExplainRequest, Value};

use crate::support::{TestServer, append, cause, event, field_of, free_port, numbered};
use crate::{ENDLESS, number, rows, sql};

const COUNT: &str = "SELECT count(*) AS n FROM events";

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_event_is_seen_with_and_without_its_seq() {
    let server = TestServer::start().await;
    let (mut events, mut queries) = (server.events().await, server.queries().await);
    for n in 0..40 {
        let acked = append(&mut events, vec![event(n)]).await;
        assert_eq!(number(&mut queries, sql(COUNT)).await, n as i64 + 1);
        let request = QueryRequest {
            min_seq: Some(acked.last_seq),
            ..sql(COUNT)
        };
        assert_eq!(number(&mut queries, request).await, n as i64 + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_waits_for_what_another_appends() {
    let config = ServerConfig {
        queue_wait: Duration::from_secs(50),
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let (mut events, mut queries) = (server.events().await, server.queries().await);
    let request = QueryRequest {
        min_seq: Some(5),
        ..sql(COUNT)
    };
    let waiting = tokio::spawn(async move { number(&mut queries, request).await });
    for n in 0..5 {
        append(&mut events, vec![event(n)]).await;
    }
    assert!(waiting.await.unwrap() >= 5);
    let mut queries = server.queries().await;
    let request = QueryRequest {
        min_seq: Some(4),
        as_of_seq: Some(3),
        ..sql(COUNT)
    };
    let status = rows(&mut queries, request).await.unwrap_err();
    assert_eq!(field_of(&status), "as_of_seq");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_guards() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let limited = |text: &str, limits| QueryRequest {
        limits: Some(limits),
        ..sql(text)
    };
    let max_rows = |rows| QueryLimits {
        max_rows: Some(rows),
        ..QueryLimits::default()
    };
    let series = "SELECT a.value FROM generate_series(1, 10) a(value)";
    let whole = rows(&mut queries, limited(series, max_rows(10)))
        .await
        .unwrap();
    assert_eq!((whole.0.len(), whole.1.rows, whole.1.bytes), (10, 10, 80));
    for (text, limits, reason) in [
        (series, max_rows(9), "RESULT_TOO_LARGE"),
        (
            series,
            QueryLimits {
                max_bytes: Some(79),
                ..QueryLimits::default()
            },
            "RESULT_TOO_LARGE",
        ),
        (
            ENDLESS,
            QueryLimits {
                timeout_ms: Some(50),
                ..QueryLimits::default()
            },
            "QUERY_LIMIT",
        ),
        (
            "SELECT array_agg(value) FROM generate_series(1, 2000000) a(value)",
            QueryLimits {
                max_memory_bytes: Some(1 << 20),
                ..QueryLimits::default()
            },
            "QUERY_LIMIT",
        ),
    ] {
        let status = rows(&mut queries, limited(text, limits)).await.unwrap_err();
        let expected = (Code::ResourceExhausted, reason.to_owned());
        assert_eq!(cause(&status), expected, "{text}: {}", status.message());
    }
    let status = rows(&mut queries, limited(series, max_rows(0)))
        .await
        .unwrap_err();
    assert_eq!(field_of(&status), "limits.max_rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_explained() {
    let server = TestServer::start().await;
    let (mut events, mut queries) = (server.events().await, server.queries().await);
    append(&mut events, numbered(0..50)).await;
    let seq = Value {
        kind: Some(Kind::IntegerValue(20)),
    };
    let explain = |query: QueryRequest, analyze| QueryServiceExplainRequest {
        query: Some(query),
        analyze,
    };
    let filtered = QueryRequest {
        parameters: vec![seq],
        ..sql("SELECT event, count(*) FROM events WHERE seq > $1 GROUP BY event")
    };
    let plans = queries
        .explain(explain(filtered.clone(), false))
        .await
        .unwrap()
        .into_inner();
    assert!(
        plans.logical_plan.contains("Aggregate"),
        "{}",
        plans.logical_plan
    );
    assert!(
        plans.physical_plan.contains("AggregateExec"),
        "{}",
        plans.physical_plan
    );
    assert_eq!(plans.seq, 50);
    let counted = queries
        .explain(explain(filtered, true))
        .await
        .unwrap()
        .into_inner();
    assert!(
        counted.physical_plan.contains("output_rows="),
        "{}",
        counted.physical_plan
    );
    assert_eq!(counted.logical_plan, "");
    let wrong = sql("SELECT 1,\n  acount_id FROM events");
    let status = queries.explain(explain(wrong, false)).await.unwrap_err();
    let details = tonic_types::StatusExt::get_error_details(&status);
    let facts = &details.error_info().unwrap().metadata;
    assert_eq!(
        (facts["line"].as_str(), facts["column"].as_str()),
        ("2", "3")
    );
    let none = QueryServiceExplainRequest::default();
    let status = queries.explain(none).await.unwrap_err();
    assert_eq!(field_of(&status), "query");
    for (text, analyze) in [("DROP TABLE events", false), ("DELETE FROM events", true)] {
        let status = queries
            .explain(explain(sql(text), analyze))
            .await
            .unwrap_err();
        assert_eq!(cause(&status).1, "INVALID_SQL", "{text}");
    }
}

//! One statement's own limits, how its work ends, and the tables of the process itself.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use futures::{StreamExt, TryStreamExt};
use support::{Layout, engine_over, error_of, random_rows, request, rows, store_of};
use vitalog_query::{
    ColumnDescription, QueryConfig, QueryEngine, QueryError, QueryErrorKind, QueryRequest,
    SystemTable, TableDescription, Viewer, schema_of_table,
};

/// More than the 128 steps that the runtime gives a task at once.
const DEPTH: usize = 140;

fn roomy_engine(rows: u64) -> (Arc<vitalog_store::Store>, QueryEngine) {
    let store = store_of(&random_rows(rows, 6_000), Layout::Flushed);
    let config = QueryConfig {
        partitions: 1,
        batch_rows: 512,
        ..QueryConfig::default()
    };
    let engine = QueryEngine::new(Arc::clone(&store), config).unwrap();
    (store, engine)
}

#[tokio::test]
async fn a_statement_spills_at_its_own_limit_and_says_so() {
    let (_store, engine) = roomy_engine(3);
    let sql = "SELECT event_id, account_id, properties FROM events ORDER BY event_id DESC";
    let limited = QueryRequest {
        memory_bytes_max: Some(512 << 10),
        ..request(sql)
    };
    let mut stream = engine.query(limited).await.unwrap();
    let gauge = stream.gauge();
    let mut found = 0;
    while let Some(batch) = stream.next().await {
        found += batch.unwrap().num_rows();
    }
    assert_eq!(found, 6_000);
    let usage = gauge.read();
    assert!(usage.spilled_bytes > 0, "{usage:?}");
    assert!(
        (1..=512 << 10).contains(&usage.memory_peak_bytes),
        "{usage:?}"
    );
    assert_eq!(usage.rows_scanned, 6_000);
    let roomy = engine.query(request(sql)).await.unwrap();
    let gauge = roomy.gauge();
    assert_eq!(roomy.try_collect::<Vec<_>>().await.unwrap().len(), 12);
    assert_eq!(gauge.read().spilled_bytes, 0);
}

#[tokio::test]
async fn a_statement_past_its_own_limit_fails_alone() {
    let (_store, engine) = roomy_engine(4);
    let greedy = QueryRequest {
        memory_bytes_max: Some(64 << 10),
        ..request("SELECT array_agg(event_id), array_agg(properties) FROM events")
    };
    let modest = request("SELECT count(DISTINCT event_id) FROM events");
    let (failed, answered) = tokio::join!(error_of(&engine, greedy), rows(&engine, modest));
    assert_eq!(failed.kind(), QueryErrorKind::Limit, "{failed}");
    assert!(failed.message.contains("limit of 64.0 KB"), "{failed}");
    assert!(
        failed.message.contains("memory limit of the request"),
        "{failed}"
    );
    assert_eq!(answered, [["6000"]]);
    let config = QueryConfig {
        statement_memory_bytes: Some(64 << 10),
        ..QueryConfig::default()
    };
    let (store, _) = roomy_engine(4);
    let engine = QueryEngine::new(store, config).unwrap();
    let greedy = request("SELECT array_agg(event_id), array_agg(properties) FROM events");
    let failed = error_of(&engine, greedy).await;
    assert!(
        failed.message.contains("query.statement_memory_bytes"),
        "{failed}"
    );
}

#[tokio::test]
async fn a_request_may_set_a_nearer_deadline() {
    let (_store, engine) = roomy_engine(5);
    let late = QueryRequest {
        deadline: Some(Duration::from_millis(50)),
        ..request(
            "SELECT count(*) FROM events a, events b, events c WHERE a.seq + b.seq + c.seq > 7",
        )
    };
    let error = error_of(&engine, late).await;
    assert_eq!(error.kind(), QueryErrorKind::Limit, "{error}");
    assert!(error.message.contains("deadline of 50ms"), "{error}");
}

/// Wherever a statement is held up, its work ends when its reader goes.
#[tokio::test]
async fn work_ends_in_every_operator() {
    let (store, engine) = roomy_engine(6);
    let snapshot = store.snapshot();
    let held = Arc::strong_count(&snapshot);
    for sql in [
        "SELECT a.value FROM generate_series(1, 3000000) a(value) \
         JOIN generate_series(1, 3000000) b(value) ON a.value + b.value < 0",
        "SELECT a.value FROM generate_series(1, 1000000) a(value) \
         JOIN generate_series(1, 1000000) b(value) \
         ON a.value % 2 = b.value % 2 AND a.value + b.value < 0",
        "SELECT a.value FROM generate_series(1, 3000000) a(value) WHERE NOT EXISTS \
         (SELECT 1 FROM generate_series(1, 3000000) b(value) WHERE a.value + b.value < 0)",
        "SELECT count(*) FROM generate_series(1, 100000000) a(value) \
         CROSS JOIN generate_series(1, 100000000) b(value)",
        "SELECT a.value FROM generate_series(1, 100000000) a(value) ORDER BY value DESC",
        "SELECT a.value, count(*) FROM generate_series(1, 100000000) a(value) GROUP BY value",
        "SELECT sum(value) OVER (ORDER BY value DESC) FROM generate_series(1, 100000000) a(value)",
        "SELECT count(*) FROM (SELECT unnest(range(1, 10000)) FROM generate_series(1, 10000000))",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
        "SELECT count(*) FROM (SELECT value FROM generate_series(1, 10000000000) UNION ALL \
         SELECT seq FROM events) WHERE value < 0",
    ] {
        let stream = engine.query(request(sql)).await.unwrap();
        assert!(Arc::strong_count(&snapshot) > held, "{sql}");
        // Into its work.
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(stream);
        while Arc::strong_count(&snapshot) > held {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A plan that is deeper than a task has steps in a turn goes on all the same, and not in circles.
#[tokio::test]
async fn a_deep_plan_has_its_answer() {
    let (_store, engine) = roomy_engine(8);
    let joins: String = (1..DEPTH)
        .map(|n| format!(" JOIN (SELECT max(seq) AS seq FROM events) t{n} ON t{n}.seq >= t0.seq"))
        .collect();
    let sql = format!("SELECT count(*) FROM events t0{joins}");
    let answering = rows(&engine, request(&sql));
    let answer = tokio::time::timeout(Duration::from_secs(240), answering).await;
    assert_eq!(answer.expect("it ends"), [["6000"]]);
}

#[tokio::test]
async fn a_statement_is_stopped_from_elsewhere() {
    let (_store, engine) = roomy_engine(7);
    let sql = "SELECT a.value FROM generate_series(1, 3000000) a(value) \
               JOIN generate_series(1, 3000000) b(value) ON a.value + b.value < 0";
    let mut stream = engine.query(request(sql)).await.unwrap();
    let stopper = stream.stopper().unwrap();
    stopper.stop();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), QueryErrorKind::Closed, "{error}");
    assert!(error.message.contains("cancelled"), "{error}");
    assert!(stream.next().await.is_none());
    assert!(stream.stopper().is_none());
    stopper.stop();
}

/// A table that shows who looks at it.
#[derive(Debug)]
struct Mirror;

impl SystemTable for Mirror {
    fn describe(&self) -> TableDescription {
        let column = |name: &str| ColumnDescription {
            name: name.to_owned(),
            data_type: DataType::Utf8,
            is_nullable: true,
            comment: "Who asks.".to_owned(),
        };
        TableDescription {
            name: "mirror".to_owned(),
            comment: "One row.".to_owned(),
            columns: vec![column("name"), column("right")],
        }
    }

    fn rows(&self, viewer: &Viewer) -> Result<RecordBatch, QueryError> {
        let names: ArrayRef = Arc::new(StringArray::from(vec![viewer.name.clone()]));
        let right = viewer.is_admin.then_some("admin");
        let rights: ArrayRef = Arc::new(StringArray::from(vec![right]));
        Ok(RecordBatch::try_new(schema_of_table(&self.describe()), vec![names, rights]).unwrap())
    }
}

#[tokio::test]
async fn tables_of_the_process_show_what_their_viewer_may_see() {
    let engine = engine_over(&store_of(&[], Layout::Memory));
    let error = error_of(&engine, request("SELECT * FROM system.mirror")).await;
    assert_eq!(error.kind(), QueryErrorKind::Invalid, "{error}");
    engine.add_system_table(Arc::new(Mirror));
    assert_eq!(engine.system_tables()[0].name, "mirror");
    let seen_by = |viewer: Viewer, sql: &str| QueryRequest {
        viewer,
        ..request(sql)
    };
    let bi = Viewer {
        name: Some("bi".to_owned()),
        is_admin: true,
    };
    let sql = "SELECT \"right\", name FROM system.mirror WHERE name IS NOT NULL OR true";
    assert_eq!(rows(&engine, seen_by(bi, sql)).await, [["admin", "bi"]]);
    let nobody = rows(
        &engine,
        seen_by(Viewer::default(), "SELECT name FROM system.mirror"),
    )
    .await;
    assert_eq!(nobody, [["NULL"]]);
    let listed = "SELECT table_schema, table_name FROM information_schema.tables \
                  WHERE table_schema = 'system'";
    assert_eq!(rows(&engine, request(listed)).await, [["system", "mirror"]]);
    let refused = error_of(&engine, request("DROP TABLE system.mirror")).await;
    assert!(refused.message.contains("refused"), "{refused}");
}

#[tokio::test]
async fn one_call_never_makes_gigabytes() {
    let (_store, engine) = roomy_engine(8);
    for sql in [
        "SELECT length(repeat('x', 2000000000))",
        "SELECT length(lpad('x', 2000000000))",
        "SELECT length(rpad(event, 1000000, 'é')) FROM events",
        "SELECT array_length(range(1, 1000000000))",
        "SELECT array_length(generate_series(1, 9000000000000000000))",
        "SELECT array_length(array_repeat(seq, 10000000)) FROM events",
        "SELECT sum(length(repeat(event_id, 1000000))) FROM events",
        "SELECT array_length(array_repeat(repeat('x', 1000000), 1000))",
        "SELECT length(replace(repeat('x', 1000000), 'x', repeat('y', 1000)))",
        "SELECT length(array_to_string(range(1, 1000000), repeat('y', 1000)))",
    ] {
        let error = error_of(&engine, request(sql)).await;
        assert_eq!(error.kind(), QueryErrorKind::Limit, "{sql}: {error}");
        assert!(error.message.contains("at most 256 MiB"), "{sql}: {error}");
    }
    for (sql, expected) in [
        (
            "SELECT length(repeat('ab', 3) || lpad('x', 5) || rpad('x', 5))",
            "16",
        ),
        (
            "SELECT array_length(range(1, 10)) + array_length(generate_series(1, 10))",
            "19",
        ),
        ("SELECT array_length(array_repeat('x', 4))", "4"),
        ("SELECT replace('abab', 'b', 'cc')", "accacc"),
        (
            "SELECT length(replace(repeat('ab', 1000000), 'q', repeat('y', 1000)))",
            "2000000",
        ),
        ("SELECT array_to_string(make_array(1, 2), '-')", "1-2"),
        (
            "SELECT array_length(range(DATE '2025-01-01', DATE '2025-02-01', INTERVAL '1 day'))",
            "31",
        ),
    ] {
        assert_eq!(rows(&engine, request(sql)).await, [[expected]], "{sql}");
    }
}

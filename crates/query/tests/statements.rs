//! One statement at a time: what it sees, how it ends, what it may not do, what leaves.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, TimeUnit};
use futures::{StreamExt, TryStreamExt};
use vitalog_query::{
    Access, Position, QueryConfig, QueryEngine, QueryError, QueryErrorKind, QueryRequest,
    QueryStream,
};

use support::{
    Layout, answer, append, batches, empty_store, engine_over, error_of, history, random_rows,
    request, rows, store_of,
};

fn as_of(sql: &str, seq: i64) -> QueryRequest {
    QueryRequest {
        as_of_seq: Some(seq),
        parameters: Vec::new(),
        ..request(sql)
    }
}

fn local(sql: &str) -> QueryRequest {
    QueryRequest {
        access: Access::Local,
        ..request(sql)
    }
}

#[tokio::test]
async fn a_statement_sees_one_snapshot_from_planning_to_its_last_row() {
    let history = history();
    let store = store_of(&history[..10], Layout::Mixed);
    let engine = engine_over(&store);
    let sql = "SELECT (SELECT count(*) FROM events) AS a, (SELECT max(seq) FROM events) AS b, \
               (SELECT sum(\"count\") FROM event_catalog) AS c, count(seq) AS d FROM events";
    let stream = engine.query(request(sql)).await.unwrap();
    // Planned, not yet read: what comes now is not seen.
    append(&store, &history[10..]);
    store.flush().unwrap();
    assert_eq!(stream.seq(), 10);
    let seen: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(support::texts(&seen), [["10", "10", "10", "10"]]);
    assert_eq!(answer(&engine, sql).await, [["18", "18", "18", "18"]]);
}

#[tokio::test]
async fn the_past_is_what_a_store_with_fewer_rows_shows() {
    let history = history();
    let tables = [
        "events",
        "accounts",
        "users",
        "memberships",
        "event_catalog",
    ];
    let engines = Layout::ALL.map(|layout| (layout, engine_over(&store_of(&history, layout))));
    for seq in [0, 1, 5, 6, 9, 12, 14, 15, 17, 18] {
        let then = engine_over(&store_of(&history[..seq], Layout::Flushed));
        let whole = tables.map(|table| format!("SELECT * FROM {table} ORDER BY 1, 2"));
        let bounds = "SELECT count(*), max(event_time), min(seq) FROM events".to_owned();
        for sql in whole.into_iter().chain([bounds]) {
            let expected = answer(&then, &sql).await;
            for (layout, engine) in &engines {
                let past = rows(engine, as_of(&sql, seq as i64)).await;
                assert_eq!(past, expected, "{layout:?} at {seq}: {sql}");
            }
        }
    }
}

#[tokio::test]
async fn a_seq_outside_the_log_is_an_error_that_names_both() {
    let engine = engine_over(&store_of(&history(), Layout::Flushed));
    let error = error_of(&engine, as_of("SELECT 1", 19)).await;
    assert_eq!(error.kind(), QueryErrorKind::Invalid);
    assert!(
        error.message.contains("19") && error.message.contains("18"),
        "{error}"
    );
    let error = error_of(&engine, as_of("SELECT 1", -1)).await;
    assert!(error.message.contains("-1"), "{error}");
    assert_eq!(
        rows(&engine, as_of("SELECT count(*) FROM events", 0)).await,
        [["0"]]
    );
}

#[tokio::test]
async fn an_empty_store_answers() {
    let engine = engine_over(&empty_store());
    for table in [
        "events",
        "accounts",
        "users",
        "memberships",
        "event_catalog",
    ] {
        assert_eq!(
            answer(&engine, &format!("SELECT count(*) FROM {table}")).await,
            [["0"]]
        );
        assert!(
            answer(&engine, &format!("SELECT * FROM {table}"))
                .await
                .is_empty()
        );
    }
    assert_eq!(
        answer(&engine, "SELECT max(event_time) FROM events").await,
        [["NULL"]]
    );
}

#[tokio::test]
async fn errors_carry_place_and_near_name() {
    let engine = engine_over(&store_of(&history(), Layout::Flushed));
    let check = async |sql: &str, line, column, suggestion: Option<&str>| {
        let error = error_of(&engine, request(sql)).await;
        assert_eq!(error.kind(), QueryErrorKind::Invalid, "{error}");
        assert_eq!(error.position, Some(Position { line, column }), "{error}");
        assert_eq!(error.suggestion.as_deref(), suggestion, "{error}");
        let shown = error.to_string();
        let caret = shown.lines().last().unwrap().chars().count() - 5;
        assert_eq!(caret, column - 1, "{shown}");
    };
    check("SELECT acount_id FROM events", 1, 8, Some("account_id")).await;
    check("SELECT *\nFROM evnts", 2, 6, Some("events")).await;
    check("SELECT cuont(*) FROM events", 1, 8, Some("count")).await;
    check("SELECT e.usr_id\nFROM events e", 1, 8, Some("user_id")).await;
    check(
        "SELECT 1 FROM events WHERE\n  vale > 1",
        2,
        3,
        Some("value"),
    )
    .await;
    check(
        "SELECT event FROM events JOIN event_catalog ON true",
        1,
        8,
        None,
    )
    .await;
    check("SELEC 1", 1, 1, None).await;
    check("SELECT (1 FROM events", 1, 11, None).await;
    check("SELECT 'open", 1, 8, None).await;
    check(
        "SELECT * FROM genrate_series(1, 2)",
        1,
        15,
        Some("generate_series"),
    )
    .await;
}

#[tokio::test]
async fn what_is_refused_over_the_wire_changes_nothing() {
    let store = store_of(&history(), Layout::Mixed);
    let engine = engine_over(&store);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.parquet");
    let sql = format!("COPY (SELECT * FROM events) TO '{}'", file.display());
    let error = error_of(&engine, request(&sql)).await;
    assert!(error.message.starts_with("COPY is refused"), "{error}");
    assert!(!file.exists());
    for access in [Access::ReadOnly, Access::Local] {
        for sql in [
            "DELETE FROM events",
            "INSERT INTO events SELECT * FROM events",
            "DROP TABLE events",
        ] {
            let refused = QueryRequest {
                access,
                ..request(sql)
            };
            let error = error_of(&engine, refused).await;
            assert_eq!(error.kind(), QueryErrorKind::Invalid);
            assert!(error.message.contains("is refused"), "{error}");
        }
    }
    assert_eq!(
        answer(&engine, "SELECT count(*) FROM events").await,
        [["18"]]
    );
}

#[tokio::test]
async fn the_local_command_line_writes_and_reads_files_with_plain_types() {
    let engine = engine_over(&store_of(&history(), Layout::Mixed));
    let folder = tempfile::tempdir().unwrap();
    for ending in ["parquet", "csv", "json"] {
        let file = folder.path().join(format!("out.{ending}"));
        let copy = format!(
            "COPY (SELECT event_id, seq, event_time, row_number() OVER (ORDER BY seq) AS n \
             FROM events) TO '{}'",
            file.display()
        );
        assert_eq!(rows(&engine, local(&copy)).await, [["18"]], "{ending}");
        let back = format!(
            "SELECT count(*), sum(seq), sum(n) FROM '{}'",
            file.display()
        );
        assert_eq!(
            rows(&engine, local(&back)).await,
            [["18", "171", "171"]],
            "{ending}"
        );
        // The file stands beside the tables of the store.
        let joined = format!(
            "SELECT count(*) FROM '{}' f JOIN events e ON e.event_id = f.event_id",
            file.display()
        );
        assert_eq!(rows(&engine, local(&joined)).await, [["18"]], "{ending}");
    }
    let types = format!(
        "SELECT arrow_typeof(event_time), arrow_typeof(n) FROM '{}' LIMIT 1",
        folder.path().join("out.parquet").display()
    );
    let found = rows(&engine, local(&types)).await;
    assert!(
        found[0][0].starts_with("Timestamp(µs") || found[0][0].contains("Microsecond"),
        "{found:?}"
    );
    assert_eq!(found[0][1], "Int64");
    let error = error_of(&engine, local("SELECT * FROM 'missing.parquet'")).await;
    assert_eq!(error.kind(), QueryErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn what_leaves_has_plain_types_and_the_announced_schema() {
    let engine = engine_over(&store_of(&history(), Layout::Mixed));
    let sql = "SELECT *, row_number() OVER (ORDER BY seq) AS n, \
               arrow_cast(event, 'Dictionary(Int32, Utf8)') AS d, \
               [event, user_id] AS list, {'at': now(), 'who': account_id} AS pair, \
               arrow_cast(event_time, 'Timestamp(Nanosecond, None)') AS ns, \
               arrow_cast(1, 'UInt8') AS small, NULL AS nothing FROM events ORDER BY seq";
    let stream = engine.query(request(sql)).await.unwrap();
    let schema = stream.schema();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let type_of = |name: &str| schema.field_with_name(name).unwrap().data_type().clone();
    for name in ["event_id", "event", "account_id", "properties", "d"] {
        assert_eq!(type_of(name), DataType::Utf8, "{name}");
    }
    for name in ["event_time", "received_at", "ns"] {
        assert_eq!(type_of(name), time, "{name}");
    }
    assert_eq!(type_of("n"), DataType::Int64);
    assert_eq!(type_of("small"), DataType::Int16);
    let DataType::List(item) = type_of("list") else {
        panic!("{schema:?}");
    };
    assert_eq!(item.data_type(), &DataType::Utf8);
    let DataType::Struct(fields) = type_of("pair") else {
        panic!("{schema:?}");
    };
    assert_eq!(fields[0].data_type(), &time);
    assert_eq!(fields[1].data_type(), &DataType::Utf8);
    assert!(!schema.field_with_name("event_id").unwrap().is_nullable());
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    assert!(batches.len() > 1);
    for batch in &batches {
        assert_eq!(batch.schema(), schema);
    }
    let first = batches[0].column_by_name("event_id").unwrap();
    assert_eq!(first.as_string::<i32>().value(0), "g1");
}

#[tokio::test]
async fn a_number_that_fits_no_plain_type_is_an_error() {
    let engine = engine_over(&empty_store());
    let sql = "SELECT arrow_cast(18446744073709551615, 'UInt64') AS n";
    let error = error_of(&engine, request(sql)).await;
    assert_eq!(error.kind(), QueryErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn a_dropped_answer_ends_its_work() {
    let store = store_of(&random_rows(1, 500), Layout::Flushed);
    let engine = engine_over(&store);
    let snapshot = store.snapshot();
    let held = Arc::strong_count(&snapshot);
    // 500^4 rows each: neither would end in the life of a test.
    let streaming = "SELECT a.seq FROM events a, events b, events c, events d";
    let silent = "SELECT count(*) FROM events a, events b, events c, events d \
                  WHERE a.seq + b.seq + c.seq + d.seq > 7";
    let mut first = engine.query(request(streaming)).await.unwrap();
    assert!(first.next().await.unwrap().is_ok());
    let second = engine.query(request(silent)).await.unwrap();
    assert!(Arc::strong_count(&snapshot) > held);
    drop((first, second));
    while Arc::strong_count(&snapshot) > held {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // A caller that gives up while its statement is planned leaves nothing, either.
    let planning = engine.query(request(streaming));
    let _ = tokio::time::timeout(Duration::ZERO, planning).await;
    while Arc::strong_count(&snapshot) > held {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The answer to `sql` after its first batch.
async fn begun(engine: &QueryEngine, sql: &str) -> Result<QueryStream, QueryError> {
    let mut stream = engine.query(request(sql)).await?;
    stream.next().await.unwrap()?;
    Ok(stream)
}

#[tokio::test]
async fn a_deadline_holds_over_planning_work_and_reading() {
    let store = store_of(&random_rows(2, 300), Layout::Mixed);
    let engine = |deadline| {
        let config = QueryConfig {
            deadline: Some(deadline),
            ..QueryConfig::default()
        };
        QueryEngine::new(Arc::clone(&store), config).unwrap()
    };
    let error = error_of(
        &engine(Duration::ZERO),
        request("SELECT count(*) FROM events"),
    )
    .await;
    assert_eq!(error.kind(), QueryErrorKind::Limit, "{error}");
    let endless = "SELECT count(*) FROM events a, events b, events c, events d \
                   WHERE a.seq + b.seq + c.seq + d.seq > 7";
    let error = error_of(&engine(Duration::from_millis(300)), request(endless)).await;
    assert_eq!(error.kind(), QueryErrorKind::Limit, "{error}");
    assert!(error.message.contains("deadline"), "{error}");
    // A reader that does not read. The deadline is one that leaves time for the first batch.
    let many = "SELECT a.seq FROM events a, events b";
    let mut deadline = Duration::from_millis(300);
    let stream = loop {
        match begun(&engine(deadline), many).await {
            Ok(stream) => break stream,
            Err(error) => assert_eq!(error.kind(), QueryErrorKind::Limit, "{error}"),
        }
        deadline *= 10;
        assert!(deadline <= Duration::from_secs(30), "no batch in time");
    };
    tokio::time::sleep(deadline + Duration::from_millis(100)).await;
    let rest: Vec<_> = stream.collect().await;
    let error = rest.last().unwrap().as_ref().unwrap_err();
    assert_eq!(error.kind(), QueryErrorKind::Limit, "{error}");
}

#[tokio::test]
async fn a_statement_that_needs_too_much_memory_spills_or_fails_cleanly() {
    let store = store_of(&random_rows(3, 6_000), Layout::Flushed);
    let config = QueryConfig {
        memory_bytes: 512 << 10,
        partitions: 1,
        batch_rows: 512,
        ..QueryConfig::default()
    };
    let engine = QueryEngine::new(Arc::clone(&store), config).unwrap();
    let sql = "SELECT event_id, account_id, properties FROM events ORDER BY event_id DESC";
    let sorted = answer(&engine, sql).await;
    assert_eq!(sorted.len(), 6_000);
    assert!(sorted.is_sorted_by(|left, right| left[0] > right[0]));
    let plan = &answer(&engine, &format!("EXPLAIN ANALYZE {sql}")).await[0][1];
    assert!(
        plan.contains("spill_count=") && !plan.contains("spill_count=0"),
        "{plan}"
    );
    let config = QueryConfig {
        memory_bytes: 1 << 10,
        ..QueryConfig::default()
    };
    let engine = QueryEngine::new(store, config).unwrap();
    let sql = "SELECT count(*) FROM events a JOIN events b ON a.event_id = b.event_id";
    let error = error_of(&engine, request(sql)).await;
    assert_eq!(error.kind(), QueryErrorKind::Limit, "{error}");
}

#[tokio::test]
async fn a_statement_that_is_too_long_is_not_parsed() {
    let config = QueryConfig {
        sql_bytes_max: 20,
        ..QueryConfig::default()
    };
    let engine = QueryEngine::new(empty_store(), config).unwrap();
    let error = error_of(&engine, request("SELECT                   1")).await;
    assert_eq!(error.kind(), QueryErrorKind::Limit);
    assert!(
        error.message.contains("26") && error.message.contains("20"),
        "{error}"
    );
}

#[tokio::test]
async fn an_error_while_running_ends_the_stream() {
    let engine = engine_over(&store_of(&history(), Layout::Mixed));
    let error = error_of(&engine, request("SELECT 1 / (seq - 7) FROM events")).await;
    assert_eq!(error.kind(), QueryErrorKind::Invalid, "{error}");
    let error = error_of(&engine, request("SELECT CAST(event AS BIGINT) FROM events")).await;
    assert_eq!(error.kind(), QueryErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn an_answer_outlives_its_engine() {
    let engine = engine_over(&store_of(&history(), Layout::Mixed));
    let stream = engine
        .query(request("SELECT seq FROM events"))
        .await
        .unwrap();
    drop(engine);
    let rows: usize = stream
        .map_ok(|batch| batch.num_rows())
        .try_fold(0, |a, b| async move { Ok(a + b) })
        .await
        .unwrap();
    assert_eq!(rows, 18);
}

#[test]
fn an_engine_needs_no_runtime_of_its_caller() {
    let engine = engine_over(&store_of(&history(), Layout::Flushed));
    let answer = futures::executor::block_on(batches(&engine, request("SELECT 1 AS one"))).unwrap();
    assert_eq!(support::texts(&answer), [["1"]]);
}

#[test]
fn tables_and_functions_are_described() {
    let engine = engine_over(&empty_store());
    let tables = engine.tables();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "accounts",
            "event_catalog",
            "events",
            "health_features",
            "health_models",
            "health_steps_catalogue",
            "health_weights",
            "memberships",
            "users"
        ]
    );
    for table in &tables {
        assert!(!table.comment.is_empty());
        assert!(
            table
                .columns
                .iter()
                .all(|column| !column.comment.is_empty()),
            "{}",
            table.name
        );
    }
    let functions = engine.functions();
    assert!(functions.is_sorted_by(|left, right| left.name <= right.name));
    for name in [
        "count",
        "date_trunc",
        "row_number",
        "generate_series",
        "health_score",
    ] {
        assert!(
            functions.iter().any(|function| function.name == name),
            "{name}"
        );
    }
}

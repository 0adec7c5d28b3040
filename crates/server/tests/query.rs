//! `QueryService` and `CatalogService` against a real server.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Cursor;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit};
use arrow::ipc::reader::StreamReader;
use prost::Message;
use support::{TestServer, append, cause, event, field_of, numbered};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use vitalog_wire::vitalog::v1::query_response::Part;
use vitalog_wire::vitalog::v1::query_service_client::QueryServiceClient;
use vitalog_wire::vitalog::v1::value::Kind;
use vitalog_wire::vitalog::v1::{
    Event, FunctionKind, GetTableRequest, ListFunctionsRequest, ListTablesRequest, QueryRequest,
    QueryStatistics, Value,
};

struct Answer {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    statistics: QueryStatistics,
    pieces: usize,
}

async fn ask(
    client: &mut QueryServiceClient<Channel>,
    request: QueryRequest,
) -> Result<Answer, Status> {
    let mut stream = client.query(request).await?.into_inner();
    let (mut bytes, mut statistics, mut pieces) = (Vec::new(), None, 0);
    let mut started = None;
    while let Some(message) = stream.message().await? {
        assert!(message.encoded_len() < 4 << 20);
        assert!(statistics.is_none(), "statistics come last");
        match message.part.unwrap() {
            Part::ArrowIpc(piece) => {
                pieces += 1;
                bytes.extend_from_slice(&piece);
            }
            Part::Statistics(last) => statistics = Some(last),
            Part::Started(begun) => {
                assert_eq!((pieces, &started), (0, &None), "it comes first, once");
                started = Some(begun);
            }
            Part::Heartbeat(_) => {}
            Part::JsonRows(_) => panic!("JSON was not asked for"),
        }
    }
    let reader = StreamReader::try_new(Cursor::new(bytes), None).unwrap();
    let schema = reader.schema();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    let statistics = statistics.unwrap();
    assert_eq!(started.unwrap().seq, statistics.seq);
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(statistics.rows, rows as u64);
    Ok(Answer {
        schema,
        batches,
        statistics,
        pieces,
    })
}

fn sql(sql: &str) -> QueryRequest {
    QueryRequest {
        sql: sql.to_owned(),
        ..QueryRequest::default()
    }
}

async fn count(client: &mut QueryServiceClient<Channel>, as_of_seq: Option<u64>) -> i64 {
    let request = QueryRequest {
        as_of_seq,
        ..sql("SELECT count(*) FROM events")
    };
    let answer = ask(client, request).await.unwrap();
    answer.batches[0]
        .column(0)
        .as_primitive::<Int64Type>()
        .value(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_event_is_seen_by_the_next_question() {
    let server = TestServer::start().await;
    let (mut events, mut queries) = (server.events().await, server.queries().await);
    for n in 0..60_u64 {
        let answer = append(&mut events, numbered(n * 10..n * 10 + 10)).await;
        assert_eq!(count(&mut queries, None).await, 10 * (n as i64 + 1));
        assert_eq!(
            count(&mut queries, Some(answer.last_seq)).await,
            10 * (n as i64 + 1)
        );
    }
    assert_eq!(count(&mut queries, Some(123)).await, 123);
    assert_eq!(count(&mut queries, Some(0)).await, 0);
    let request = QueryRequest {
        as_of_seq: Some(601),
        ..sql("SELECT 1")
    };
    let status = ask(&mut queries, request).await.err().unwrap();
    assert_eq!(
        cause(&status),
        (Code::OutOfRange, "SEQ_PAST_END".to_owned())
    );
    assert_eq!(field_of(&status), "as_of_seq");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_plain_types_and_their_schema_even_when_empty() {
    let server = TestServer::start().await;
    let (mut events, mut queries) = (server.events().await, server.queries().await);
    let last_seq = append(&mut events, numbered(0..100)).await.last_seq;
    let statement = "SELECT * FROM events ORDER BY seq";
    let answer = ask(&mut queries, sql(statement)).await.unwrap();
    assert_eq!(
        (answer.statistics.rows, answer.statistics.seq),
        (100, last_seq)
    );
    let types: Vec<_> = answer
        .schema
        .fields()
        .iter()
        .map(|field| field.data_type())
        .collect();
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(
        types[..5],
        [
            &DataType::Utf8,
            &time,
            &time,
            &DataType::Int64,
            &DataType::Utf8
        ]
    );
    let ids = answer.batches[0].column(0).as_string::<i32>();
    assert_eq!(Some(ids.value(7).to_owned()), event(7).event_id);
    let empty = ask(&mut queries, sql("SELECT * FROM events WHERE seq < 0"))
        .await
        .unwrap();
    assert_eq!((empty.statistics.rows, empty.schema), (0, answer.schema));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_comes_in_small_messages() {
    let server = TestServer::start().await;
    let (mut events, mut queries) = (server.events().await, server.queries().await);
    let properties = format!("{{\"p\":\"{}\"}}", "x".repeat(60_000));
    let large = |n| Event {
        properties: Some(properties.clone()),
        ..event(n)
    };
    append(&mut events, (0..150).map(large).collect()).await;
    let answer = ask(&mut queries, sql("SELECT properties FROM events"))
        .await
        .unwrap();
    assert_eq!(answer.statistics.rows, 150);
    assert!(answer.pieces > 4, "{}", answer.pieces);
    let wide = sql("SELECT repeat('x', 5000000) AS text");
    let status = ask(&mut queries, wide).await.err().unwrap();
    assert_eq!(
        cause(&status),
        (Code::ResourceExhausted, "ROW_TOO_LARGE".to_owned())
    );
}

fn bound(text: &str, values: Vec<Kind>) -> QueryRequest {
    let values = values.into_iter().map(|kind| Value { kind: Some(kind) });
    QueryRequest {
        parameters: values.collect(),
        ..sql(text)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn placeholders_take_values_of_every_type() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let time = prost_types::Timestamp {
        seconds: support::START_SECONDS,
        nanos: 5_000,
    };
    let day = i32::try_from(support::START_SECONDS / 86_400).unwrap();
    for (condition, value) in [
        ("$1 + 1 = 3", Kind::IntegerValue(2)),
        ("$1", Kind::BooleanValue(true)),
        ("$1 / 2 = 0.25", Kind::DoubleValue(0.5)),
        (
            "upper($1) = 'IT''S É'",
            Kind::StringValue("it's é".to_owned()),
        ),
        (
            "$1 = TIMESTAMP '2025-03-01T00:00:00.000005Z'",
            Kind::TimestampValue(time),
        ),
        ("$1 = DATE '2025-03-01'", Kind::DateValue(day)),
        ("coalesce($1, 7) = 7", Kind::NullValue(0)),
    ] {
        let text = format!("SELECT count(*) FROM (SELECT 1) WHERE {condition}");
        let answer = ask(&mut queries, bound(&text, vec![value])).await.unwrap();
        let counts = answer.batches[0].column(0).as_primitive::<Int64Type>();
        assert_eq!(counts.value(0), 1, "{condition}");
    }
    let several = bound(
        "SELECT count(*) FROM (SELECT 1) WHERE $2 > $1",
        vec![Kind::IntegerValue(1), Kind::IntegerValue(2)],
    );
    let answer = ask(&mut queries, several).await.unwrap();
    let counts = answer.batches[0].column(0).as_primitive::<Int64Type>();
    assert_eq!(counts.value(0), 1, "in the order of their numbers");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_do_not_fit_their_placeholders_are_refused() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let one = || vec![Kind::IntegerValue(1)];
    for request in [
        bound("SELECT $1", vec![]),
        bound("SELECT $1 + $2", one()),
        bound("SELECT 1", one()),
        bound(
            "SELECT * FROM events WHERE seq = $1",
            vec![Kind::StringValue("soon".to_owned())],
        ),
    ] {
        let text = request.sql.clone();
        let status = ask(&mut queries, request).await.err().unwrap();
        let expected = (Code::InvalidArgument, "INVALID_SQL".to_owned());
        assert_eq!(cause(&status), expected, "{text}: {}", status.message());
    }
    let request = QueryRequest {
        parameters: vec![Value::default()],
        ..sql("SELECT $1")
    };
    let status = ask(&mut queries, request).await.err().unwrap();
    assert_eq!(
        cause(&status),
        (Code::InvalidArgument, "INVALID_REQUEST".to_owned())
    );
    assert_eq!(field_of(&status), "parameters[0]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_statement_has_its_place() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let status = ask(&mut queries, sql("SELECT 1,\n  acount_id FROM events"))
        .await
        .err()
        .unwrap();
    assert_eq!(
        cause(&status),
        (Code::InvalidArgument, "INVALID_SQL".to_owned())
    );
    let details = status.get_error_details();
    let facts = &details.error_info().unwrap().metadata;
    assert_eq!(
        (facts["line"].as_str(), facts["column"].as_str()),
        ("2", "3")
    );
    assert_eq!(facts["suggestion"], "account_id");
    let violation = &details.bad_request().unwrap().field_violations[0];
    assert_eq!(violation.field, "sql");
    assert!(
        violation.description.starts_with("line 2, column 3"),
        "{}",
        violation.description
    );
    let long = sql(&format!("SELECT '{}'", "x".repeat(1 << 20)));
    let status = ask(&mut queries, long).await.err().unwrap();
    assert_eq!(
        cause(&status),
        (Code::ResourceExhausted, "REQUEST_TOO_LARGE".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_over_the_wire_only_read() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let target = std::env::temp_dir().join("vitalog-must-not-exist.parquet");
    for statement in [
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "DROP TABLE events".to_owned(),
        "INSERT INTO events VALUES (1)".to_owned(),
        "DELETE FROM events".to_owned(),
        "UPDATE events SET event = 'x'".to_owned(),
        format!("COPY (SELECT 1) TO '{}'", target.display()),
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc/passwd'".to_owned(),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
    ] {
        let status = ask(&mut queries, sql(&statement)).await.err().unwrap();
        let expected = (Code::InvalidArgument, "INVALID_SQL".to_owned());
        assert_eq!(
            cause(&status),
            expected,
            "{statement}: {}",
            status.message()
        );
    }
    assert!(!target.exists());
}

/// A statement that would run for very long; dropping its stream ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_answer_stops_its_work() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let endless = "SELECT a.value FROM generate_series(1, 100000000) a(value)";
    let stream = queries.query(sql(endless)).await.unwrap();
    assert_eq!(server.handle.calls_under_way(), 1);
    drop(stream);
    while server.handle.calls_under_way() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_describes_tables_and_functions() {
    let server = TestServer::start().await;
    let mut catalog = server.catalog().await;
    let tables = catalog
        .list_tables(ListTablesRequest {})
        .await
        .unwrap()
        .into_inner()
        .tables;
    let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
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
            "system.queries",
            "users"
        ]
    );
    let named = |name: &str| GetTableRequest {
        name: name.to_owned(),
    };
    let events = catalog
        .get_table(named("events"))
        .await
        .unwrap()
        .into_inner()
        .table
        .unwrap();
    let columns: Vec<_> = events
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.nullable))
        .collect();
    assert_eq!(columns[0], ("event_id", false));
    assert_eq!(columns[8], ("properties", true));
    assert_eq!(events.columns[0].data_type, "Utf8");
    let status = catalog.get_table(named("event")).await.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::NotFound, "TABLE_NOT_FOUND".to_owned())
    );
    assert!(
        status.message().contains("did you mean events?"),
        "{}",
        status.message()
    );
    let functions = catalog
        .list_functions(ListFunctionsRequest {})
        .await
        .unwrap()
        .into_inner();
    let functions = functions.functions;
    assert!(functions.is_sorted_by_key(|function| (function.name.clone(), function.kind)));
    let score = functions
        .iter()
        .find(|function| function.name == "health_score")
        .unwrap();
    assert_eq!(score.kind(), FunctionKind::Scalar);
    assert!(score.signature.contains("health_score") && !score.description.is_empty());
    assert!(
        functions
            .iter()
            .all(|function| function.kind() != FunctionKind::Unspecified)
    );
}

//! Statements: their rows, their schemas, their sizes, and the point of the log that they see.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow_flight::sql::CommandStatementQuery;
use futures::TryStreamExt;
use prost::Message;
use tonic::Code;

use crate::support::{TestServer, append, cause, event, numbered};
use crate::{ask, bare, client, descriptor_of, fetch, number, status_of, ticket_of};

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_event_is_seen_by_the_next_statement() {
    let server = TestServer::start().await;
    let (mut events, mut client) = (server.events().await, client(&server).await);
    for n in 0..20_u64 {
        append(&mut events, numbered(n * 10..n * 10 + 10)).await;
        let count = number(&mut client, "SELECT count(*) FROM events").await;
        assert_eq!(count, 10 * (n as i64 + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_sees_the_log_as_it_was_planned() {
    let server = TestServer::start().await;
    let (mut events, mut client) = (server.events().await, client(&server).await);
    append(&mut events, numbered(0..10)).await;
    let sql = "SELECT count(*) FROM events".to_owned();
    let info = client.execute(sql, None).await.unwrap();
    append(&mut events, numbered(10..20)).await;
    for _ in 0..2 {
        let (_, rows) = fetch(&mut client, info.clone()).await.unwrap();
        let count = rows.column(0).as_primitive::<Int64Type>().value(0);
        assert_eq!(count, 10, "the same ticket, as often as it is used");
    }
    let mut another = crate::client(&server).await;
    let (_, rows) = fetch(&mut another, info).await.unwrap();
    assert_eq!(rows.num_rows(), 1, "on another connection, too");
}

/// [`fetch`] compares the schema of the info with that of the stream.
#[tokio::test(flavor = "multi_thread")]
async fn the_schema_of_the_info_is_the_schema_of_the_stream() {
    let server = TestServer::start().await;
    let (mut events, mut client) = (server.events().await, client(&server).await);
    append(&mut events, numbered(0..100)).await;
    for sql in [
        "SELECT * FROM events ORDER BY seq",
        "SELECT * FROM events WHERE seq < 0",
        "SELECT * FROM accounts",
        "SELECT * FROM users",
        "SELECT * FROM memberships",
        "SELECT * FROM event_catalog",
        "SELECT * FROM health_models",
        "SELECT * FROM health_scores()",
        "SELECT event, count(*) AS n, avg(value), max(event_time) FROM events GROUP BY event",
        "SELECT e.event_id, a.account_id FROM events e LEFT JOIN accounts a USING (account_id)",
        "SELECT NULL AS nothing, 1 AS one, 1.5 AS real, 'x' AS text, true AS yes",
        "SELECT CAST(1.25 AS DECIMAL(10, 2)) AS d, CAST(1 AS DECIMAL(38, 0)) AS wide",
        "SELECT [1, 2, NULL] AS list, ['a', 'b'] AS texts, [[1], []] AS nested",
        "SELECT struct(1 AS a, 'b' AS b) AS pair, [struct(1, 'x')] AS pairs",
        "SELECT DATE '2025-03-01' AS day, TIMESTAMP '2025-03-01 10:00:00' AS instant",
        "SELECT INTERVAL '1 month 2 days' AS i, event_time - received_at AS d FROM events LIMIT 1",
        "SELECT arrow_cast(1, 'UInt8') AS u, arrow_cast(1, 'UInt64') AS w",
        "SELECT arrow_cast('x', 'Dictionary(Int32, Utf8)') AS k, arrow_cast('x', 'Utf8View') AS v",
        "SELECT arrow_cast('x', 'LargeUtf8') AS l, arrow_cast('x', 'Binary') AS b",
        "SELECT TIME '10:00:00' AS t, arrow_cast(1, 'Float16') AS h",
        "SELECT properties -> 'n' AS json, properties ->> 'n' AS text FROM events",
        "SELECT map(['a'], [1]) AS m",
        "SELECT count(*) OVER (PARTITION BY event) AS n, row_number() OVER () AS r FROM events",
        "SELECT 1 AS a UNION ALL SELECT 2.5",
        "WITH x AS (SELECT seq FROM events) SELECT count(*) FROM x",
        "VALUES (1, 'a'), (2, NULL)",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
        "SELECT * FROM information_schema.columns",
    ] {
        if let Err(status) = ask(&mut client, sql).await {
            panic!("{sql}: {status:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_has_plain_types() {
    let server = TestServer::start().await;
    let mut client = client(&server).await;
    let sql = "SELECT arrow_cast('x', 'Utf8View') AS a, arrow_cast(7, 'UInt64') AS b, \
               arrow_cast('x', 'Dictionary(Int32, Utf8)') AS c, \
               arrow_cast([1], 'LargeList(Int32)') AS d, \
               arrow_cast(1, 'Timestamp(Second, None)') AS e";
    let rows = ask(&mut client, sql).await.unwrap();
    let types: Vec<String> = rows
        .columns()
        .iter()
        .map(|column| column.data_type().to_string())
        .collect();
    assert_eq!(types[..3], ["Utf8", "Int64", "Utf8"]);
    assert!(matches!(rows.column(3).data_type(), DataType::List(_)));
    assert_eq!(types[4], "Timestamp(µs, \"UTC\")");
    let past = "SELECT arrow_cast(18446744073709551615, 'UInt64') AS past_bigint";
    assert!(
        ask(&mut client, past).await.is_err(),
        "never another number"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_comes_in_small_messages() {
    let server = TestServer::start().await;
    let (mut events, mut client) = (server.events().await, client(&server).await);
    let properties = format!("{{\"p\":\"{}\"}}", "x".repeat(60_000));
    let large = (0..150).map(|n| vitalog_wire::vitalog::v1::Event {
        properties: Some(properties.clone()),
        ..event(n)
    });
    append(&mut events, large.collect()).await;
    let sql = "SELECT properties FROM events".to_owned();
    let info = client.execute(sql, None).await.unwrap();
    let mut bare = bare(&server).await;
    let mut stream = bare.do_get(ticket_of(&info)).await.unwrap().into_inner();
    let (mut messages, mut bytes) = (0, 0);
    while let Some(message) = stream.try_next().await.unwrap() {
        assert!(message.encoded_len() < 4 << 20);
        messages += 1;
        bytes += message.data_body.len();
    }
    assert!(messages > 4 && bytes > 150 * 60_000, "{messages}, {bytes}");
    let rows = ask(&mut client, "SELECT repeat('x', 3145728) AS text").await;
    let rows = rows.unwrap();
    assert_eq!(rows.column(0).as_string::<i32>().value_length(0), 3 << 20);
    let wide = "SELECT 'a' AS text UNION ALL SELECT repeat('x', 5000000)";
    let status = ask(&mut client, wide).await.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::ResourceExhausted, "ROW_TOO_LARGE".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_polled_once_and_a_schema_is_told() {
    let server = TestServer::start().await;
    let (mut bare, mut client) = (bare(&server).await, client(&server).await);
    let command = CommandStatementQuery {
        query: "SELECT 1 AS one".to_owned(),
        transaction_id: None,
    };
    let descriptor = descriptor_of(&command);
    let poll = bare.poll_flight_info(descriptor.clone()).await.unwrap();
    let poll = poll.into_inner();
    assert_eq!((poll.flight_descriptor, poll.progress), (None, Some(1.0)));
    let info = poll.info.unwrap();
    let schema = bare.get_schema(descriptor).await.unwrap().into_inner();
    assert_eq!(schema.schema, info.schema);
    let (_, rows) = fetch(&mut client, info).await.unwrap();
    assert_eq!(rows.num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_statement_is_refused_with_its_place_before_it_runs() {
    let server = TestServer::start().await;
    let mut client = client(&server).await;
    for (sql, part) in [
        ("SELECT\n nonsense FROM events", "line 2"),
        ("DROP TABLE events", "DROP"),
        ("INSERT INTO events VALUES (1)", "INSERT"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "empty"),
        ("SELECT $1", "placeholder $1"),
        ("SELECT ?", "placeholder $1"),
    ] {
        let error = client.execute(sql.to_owned(), None).await.unwrap_err();
        let status = status_of(error);
        let expected = (Code::InvalidArgument, "INVALID_SQL".to_owned());
        assert_eq!(cause(&status), expected, "{sql}: {status:?}");
        assert!(
            status.message().contains(part),
            "{sql}: {}",
            status.message()
        );
    }
}

//! `POST /query`: bodies, formats, rights, limits, and answers that break.

use std::io::Cursor;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use vitalog_server::{Access, Scope, ServerConfig, TokenLine, Tokens};
use vitalog_store::StoreConfig;

use crate::support::http::{Answer, Http};
use crate::support::{TestServer, append, event, free_port, numbered};
use crate::{ENDLESS, SILENT, quiet};

const JSON: &str = "Content-Type: application/json";

async fn asked(server: &TestServer, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut http = Http::connect(server.http).await;
    let (answer, is_whole) = http.post(path, headers, body.as_bytes()).await;
    assert!(is_whole, "{answer:?}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_every_format() {
    let server = TestServer::start().await;
    let mut events = server.events().await;
    let last_seq = append(&mut events, numbered(0..3)).await.last_seq;
    let text = "SELECT seq, event_id, value FROM events ORDER BY seq";
    let csv = asked(&server, "/query?format=csv&query_id=mine", &[], text).await;
    assert_eq!(
        csv.text(),
        "seq,event_id,value\n1,event-0,0.0\n2,event-1,\n3,event-2,0.5\n"
    );
    assert_eq!(
        csv.header("content-type"),
        Some("text/csv; charset=utf-8; header=present")
    );
    assert_eq!(
        csv.header("vitalog-seq"),
        Some(last_seq.to_string().as_str())
    );
    assert_eq!(csv.header("vitalog-query-id"), Some("mine"));
    assert_eq!(csv.header("cache-control"), Some("no-store"));
    let json = asked(&server, "/query", &[], text).await;
    assert_eq!(json.json()[1]["event_id"], "event-1");
    let lines = asked(&server, "/query", &["Accept: application/x-ndjson"], text).await;
    assert_eq!(lines.text().lines().count(), 3);
    let arrow = asked(&server, "/query?format=arrow", &[], text).await;
    let reader = StreamReader::try_new(Cursor::new(arrow.body), None).unwrap();
    let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 3);
    let parquet = asked(&server, "/query?format=parquet", &[], text).await;
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(parquet.body)).unwrap();
    let batch = builder.build().unwrap().next().unwrap().unwrap();
    assert_eq!(
        batch.column(0).as_primitive::<Int64Type>().values(),
        &[1, 2, 3]
    );
    let none = "SELECT seq FROM events WHERE false";
    for (format, body) in [("csv", "seq\n"), ("json", "[\n]\n"), ("jsonl", "")] {
        let path = format!("/query?format={format}");
        assert_eq!(
            asked(&server, &path, &[], none).await.text(),
            body,
            "{format}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_event_is_seen() {
    let server = TestServer::start().await;
    let mut events = server.events().await;
    let mut http = Http::connect(server.http).await;
    for n in 0..30 {
        let acked = append(&mut events, vec![event(n)]).await.last_seq;
        for path in [
            "/query?format=csv".to_owned(),
            format!("/query?format=csv&min_seq={acked}"),
        ] {
            let text = "SELECT count(*) AS n FROM events";
            let (answer, is_whole) = http.post(&path, &[], text.as_bytes()).await;
            assert!(is_whole);
            assert_eq!(answer.text(), format!("n\n{}\n", n + 1));
        }
    }
    let path = "/query?format=csv&as_of_seq=7";
    let past = asked(&server, path, &[], "SELECT count(*) AS n FROM events").await;
    assert_eq!(past.text(), "n\n7\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_in_json_have_values() {
    let server = TestServer::start().await;
    let body = r#"{"sql": "SELECT $1 + 1 AS a, upper($2) AS b, $3 > TIMESTAMP '2025-01-01' AS c",
                   "parameters": [41, "é", {"timestamp": "2025-03-01T00:00:00Z"}],
                   "format": "jsonl", "max_rows": 1}"#;
    let answer = asked(&server, "/query", &[JSON], body).await;
    assert_eq!(answer.text(), "{\"a\":42,\"b\":\"É\",\"c\":true}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_before_the_first_row_has_a_status() {
    let server = TestServer::start().await;
    for (path, headers, body, status, reason) in [
        ("/query", vec![], "SELECT nothing", 400, "INVALID_SQL"),
        ("/query", vec![], "DROP TABLE events", 400, "INVALID_SQL"),
        (
            "/query",
            vec![],
            "SELECT 1 / (1 - value) FROM generate_series(1, 2)",
            400,
            "INVALID_SQL",
        ),
        (
            "/query?format=xls",
            vec![],
            "SELECT 1",
            400,
            "INVALID_REQUEST",
        ),
        (
            "/query?as_of_seq=9",
            vec![],
            "SELECT 1",
            422,
            "SEQ_PAST_END",
        ),
        (
            "/query?max_rows=1",
            vec![],
            "SELECT value FROM generate_series(1, 2)",
            422,
            "RESULT_TOO_LARGE",
        ),
        ("/query?timeout=50ms", vec![], SILENT, 422, "QUERY_LIMIT"),
        (
            "/query",
            vec!["Accept: text/html"],
            "SELECT 1",
            400,
            "INVALID_REQUEST",
        ),
        (
            "/query",
            vec!["Content-Encoding: gzip"],
            "SELECT 1",
            400,
            "INVALID_REQUEST",
        ),
        (
            "/query",
            vec!["Host: example.com"],
            "SELECT 1",
            421,
            "WRONG_HOST",
        ),
        (
            "/query",
            vec!["Origin: https://example.com"],
            "SELECT 1",
            421,
            "WRONG_HOST",
        ),
        (
            "/query",
            vec![JSON],
            r#"{"sql": "SELECT $1"}"#,
            400,
            "INVALID_SQL",
        ),
    ] {
        let answer = asked(&server, path, &headers, body).await;
        let found = (answer.status, answer.reason());
        assert_eq!(
            found,
            (status, reason.to_owned()),
            "{path} {body}: {}",
            answer.text()
        );
    }
    let wrong = asked(&server, "/query", &[], "SELECT 1,\n  acount_id FROM events").await;
    let error = &wrong.json()["error"];
    assert_eq!(
        (error["line"].as_str(), error["column"].as_str()),
        (Some("2"), Some("3"))
    );
    assert_eq!(error["suggestion"], "account_id");
    let mut http = Http::connect(server.http).await;
    let get = http.get("/query").await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    let large = "x".repeat((2 << 20) + 1);
    let mut http = Http::connect(server.http).await;
    let (refused, _) = http.post("/query", &[], large.as_bytes()).await;
    assert_eq!(refused.reason(), "REQUEST_TOO_LARGE");
    let long = format!("SELECT '{}'", "x".repeat(1 << 20));
    let refused = asked(&server, "/query", &[], &long).await;
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (413, "REQUEST_TOO_LARGE")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_fails_midway_breaks() {
    let server = TestServer::start().await;
    let text = "SELECT 1 / (500000 - value) AS n FROM generate_series(1, 1000000)";
    for format in ["csv", "json", "jsonl", "arrow", "parquet"] {
        let mut http = Http::connect(server.http).await;
        let path = format!("/query?format={format}");
        let (answer, is_whole) = http.post(&path, &[], text.as_bytes()).await;
        assert_eq!(answer.status, 200, "{format}");
        assert!(!is_whole, "{format}: a short answer must not look whole");
    }
    quiet(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_its_statement() {
    let server = TestServer::start().await;
    for text in [ENDLESS, SILENT] {
        let mut http = Http::connect(server.http).await;
        let length = format!("Content-Length: {}", text.len());
        http.send("POST", "/query?format=csv", &[&length]).await;
        tokio::io::AsyncWriteExt::write_all(&mut http.stream, text.as_bytes())
            .await
            .unwrap();
        while server.handle.calls_under_way() == 0 {
            tokio::task::yield_now().await;
        }
        drop(http);
        quiet(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_needs_the_scope() {
    let line = |name, scope, token| TokenLine::new(name, &[scope], token).unwrap();
    let lines = [
        line("bi", Scope::Read, "reads"),
        line("etl", Scope::Write, "writes"),
    ];
    let tokens = Tokens::parse(&lines.map(|line| line.to_string()).join("\n")).unwrap();
    let config = ServerConfig {
        access: Access::with_tokens(tokens),
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    for (header, status) in [
        ("X-None: 1", 401),
        ("Authorization: Bearer wrong", 401),
        ("Authorization: Bearer writes", 403),
        ("Authorization: Bearer reads", 200),
    ] {
        let answer = asked(&server, "/query", &[header], "SELECT 1").await;
        assert_eq!(answer.status, status, "{header}");
    }
    let headers = ["Authorization: Bearer reads"];
    let text = "SELECT name, surface, peer LIKE '127.0.0.1:%' AS is_here FROM system.queries \
                WHERE state = 'finished'";
    let own = asked(&server, "/query?format=csv", &headers, text).await;
    assert_eq!(own.text(), "name,surface,is_here\nbi,http,true\n");
}

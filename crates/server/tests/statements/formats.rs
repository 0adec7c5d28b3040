//! Rows as JSON over gRPC: values, sizes, and the order of messages.

use prost::Message;
use serde_json::json;
use vitalog_wire::vitalog::v1::query_response::Part;
use vitalog_wire::vitalog::v1::{QueryFormat, QueryRequest};

use crate::support::{TestServer, cause};
use crate::{SILENT, rows, sql};

#[tokio::test(flavor = "multi_thread")]
async fn json_has_every_value_in_one_look() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let text = "SELECT 9223372036854775807 AS large, CAST('NaN' AS DOUBLE) AS nan, \
                1.5 AS half, NULL AS nothing, TIMESTAMP '2025-03-01T00:00:00.000001Z' AS time, \
                DATE '2025-03-01' AS day, [1, 2] AS list, 'é\n\"' AS text, true AS yes, \
                CAST(1.25 AS DECIMAL(10, 2)) AS exact, X'00ff' AS bytes, \
                named_struct('a', 1, 'b', 'x') AS pair";
    let (found, statistics) = rows(&mut queries, sql(text)).await.unwrap();
    assert_eq!(statistics.rows, 1);
    assert_eq!(
        found[0],
        json!({
            "large": 9_223_372_036_854_775_807_i64, "nan": null, "half": 1.5, "nothing": null,
            "time": "2025-03-01T00:00:00.000001Z", "day": "2025-03-01", "list": [1, 2],
            "text": "é\n\"", "yes": true, "exact": 1.25, "bytes": "00ff", "pair": {"a": 1, "b": "x"}
        })
    );
    let (empty, statistics) = rows(&mut queries, sql("SELECT 1 WHERE false"))
        .await
        .unwrap();
    assert_eq!((empty.len(), statistics.rows), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_begin_with_the_id_hold_whole_lines_and_stay_small() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let request = QueryRequest {
        format: QueryFormat::JsonRows.into(),
        query_id: Some("mine".to_owned()),
        ..sql("SELECT value, repeat('\"', 1000) AS text FROM generate_series(1, 9000)")
    };
    let mut stream = queries.query(request).await.unwrap().into_inner();
    let (mut lines, mut pieces, mut statistics) = (0, 0, None);
    while let Some(message) = stream.message().await.unwrap() {
        assert!(message.encoded_len() < 4 << 20);
        match message.part.unwrap() {
            Part::Started(started) => {
                assert_eq!((pieces, started.query_id.as_str()), (0, "mine"));
            }
            Part::JsonRows(piece) => {
                assert!(piece.ends_with(b"}\n"));
                lines += piece.iter().filter(|byte| **byte == b'\n').count();
                pieces += 1;
            }
            Part::Statistics(last) => statistics = Some(last),
            other => panic!("{other:?}"),
        }
    }
    assert!(pieces > 4, "{pieces}");
    assert_eq!((lines, statistics.unwrap().rows), (9_000, 9_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_computes_gives_signs_of_life() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let mut stream = queries.query(sql(SILENT)).await.unwrap().into_inner();
    let heartbeat = loop {
        match stream.message().await.unwrap().unwrap().part.unwrap() {
            Part::Heartbeat(heartbeat) => break heartbeat,
            // The id and the schema.
            Part::Started(_) | Part::ArrowIpc(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(heartbeat.elapsed_us >= 5_000_000, "{heartbeat:?}");
    assert_eq!(heartbeat.rows, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_fits_no_message_fails_its_statement() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let request = QueryRequest {
        query_id: Some("large".to_owned()),
        ..sql("SELECT repeat('x', 5000000) AS text")
    };
    let status = rows(&mut queries, request).await.unwrap_err();
    assert_eq!(cause(&status).1, "ROW_TOO_LARGE");
    let text = "SELECT state, reason FROM system.queries WHERE query_id = 'large'";
    let (found, _) = rows(&mut queries, sql(text)).await.unwrap();
    assert_eq!(
        found,
        [json!({"state": "failed", "reason": "ROW_TOO_LARGE"})]
    );
}

//! The Arrow form of `EventService.Append` against a real server.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::ipc::writer::StreamWriter;
use support::{START_SECONDS, TestServer, append, cause, field_of, numbered, read_all, rows_of};
use tonic::Code;
use vitalog_wire::vitalog::v1::append_request::Batch;
use vitalog_wire::vitalog::v1::{AppendRequest, ReadRequest};

fn arrow_request(columns: Vec<(&str, ArrayRef)>) -> AppendRequest {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let stream = writer.into_inner().unwrap();
    AppendRequest {
        batch: Some(Batch::ArrowIpc(stream.into())),
        ..AppendRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arrow_batch_is_appended_by_the_names_of_its_columns() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let text = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let millis = START_SECONDS * 1_000;
    let times = TimestampMillisecondArray::from(vec![Some(millis), Some(millis + 1), Some(-1)]);
    let mut request = arrow_request(vec![
        (
            "event",
            text(vec![Some("login"), Some("logout"), Some("login")]),
        ),
        ("event_time", Arc::new(times)),
        ("event_id", text(vec![Some("a"), None, Some("c")])),
        ("account_id", text(vec![Some("acme"), None, None])),
        (
            "value",
            Arc::new(Float64Array::from(vec![None, Some(2.5), None])),
        ),
        ("properties", text(vec![Some("{ \"b\": 1 }"), None, None])),
    ]);
    request.request_id = "r".to_owned();
    let answer = client.append(request.clone()).await.unwrap().into_inner();
    assert_eq!((answer.accepted, answer.assigned_ids.len()), (2, 1));
    assert_eq!(answer.assigned_ids[0].event_id, "r#1");
    let rejected = &answer.rejected[0];
    assert_eq!((rejected.index, rejected.code.as_str()), (2, "before_1970"));
    let again = client.append(request).await.unwrap().into_inner();
    assert_eq!((again.accepted, again.duplicates), (0, 2));
    let rows = rows_of(&read_all(&mut client, ReadRequest::default()).await);
    assert_eq!(rows[0].1.properties.as_deref(), Some("{\"b\":1}"));
    assert_eq!(rows[1].1.value, Some(2.5));
    assert_eq!(rows[1].1.event_time.unwrap().nanos, 1_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_arrow_batch_is_refused() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    let names = || Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef;
    let status = client
        .append(arrow_request(vec![
            ("event", names()),
            ("acount_id", names()),
        ]))
        .await;
    let status = status.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::InvalidArgument, "UNKNOWN_COLUMN".to_owned())
    );
    assert!(
        status.message().contains("did you mean account_id?"),
        "{}",
        status.message()
    );
    let stream = match arrow_request(vec![("event", names())]).batch {
        Some(Batch::ArrowIpc(stream)) => stream,
        other => panic!("{other:?}"),
    };
    for wrong in [
        stream.slice(..0),
        stream.slice(..40),
        stream.slice(8..),
        vec![7; 300].into(),
    ] {
        let batch = Some(Batch::ArrowIpc(wrong));
        let status = client
            .append(AppendRequest {
                batch,
                ..AppendRequest::default()
            })
            .await;
        let status = status.unwrap_err();
        assert_eq!(
            cause(&status),
            (Code::InvalidArgument, "INVALID_ARROW".to_owned())
        );
        assert_eq!(field_of(&status), "arrow_ipc");
    }
    assert_eq!(
        append(&mut client, numbered(0..1)).await.accepted,
        1,
        "the server goes on"
    );
}

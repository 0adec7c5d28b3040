//! Statement ingest: rows in, exact counts, and what is refused.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int64Array, LargeStringArray, NullArray, RecordBatch,
    StringArray, StringViewArray, TimestampNanosecondArray,
};
use arrow::datatypes::Int16Type;
use arrow_flight::FlightData;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::sql::{
    CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use futures::{StreamExt, TryStreamExt, stream};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{START_SECONDS, TestServer, cause, field_of};
use crate::{Client, bare, client, descriptor_of, number, status_of};

fn append_to(table: &str) -> CommandStatementIngest {
    let options = TableDefinitionOptions {
        if_not_exist: TableNotExistOption::Fail.into(),
        if_exists: TableExistsOption::Append.into(),
    };
    CommandStatementIngest {
        table_definition_options: Some(options),
        table: table.to_owned(),
        ..CommandStatementIngest::default()
    }
}

/// Events `from` to `to`, a minute apart.
fn events(from: i64, to: i64) -> RecordBatch {
    let texts = |prefix: &str| {
        let texts = (from..to).map(|n| format!("{prefix} {n}"));
        Arc::new(StringArray::from_iter_values(texts)) as ArrayRef
    };
    let times = (from..to).map(|n| (START_SECONDS + n % 500_000) * 1_000_000_000);
    let times = TimestampNanosecondArray::from_iter_values(times).with_timezone("UTC");
    let names: DictionaryArray<Int16Type> = (from..to)
        .map(|n| if n % 2 == 0 { "even" } else { "odd" })
        .collect();
    let accounts: LargeStringArray = (from..to).map(|n| Some(format!("a{}", n % 7))).collect();
    let users: StringViewArray = (from..to).map(|n| Some(format!("u{}", n % 11))).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_id", texts("id")),
        ("event_time", Arc::new(times)),
        ("event", Arc::new(names)),
        ("account_id", Arc::new(accounts)),
        ("user_id", Arc::new(users)),
        (
            "value",
            Arc::new(Float64Array::from_iter_values((from..to).map(|n| n as f64))),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap()
}

async fn ingest(
    client: &mut Client,
    command: CommandStatementIngest,
    batches: Vec<RecordBatch>,
) -> Result<i64, Status> {
    let batches = stream::iter(batches.into_iter().map(Ok));
    client
        .execute_ingest(command, batches)
        .await
        .map_err(status_of)
}

/// The messages of an ingest of events: each batch whole, dictionaries as they are.
async fn upload(batches: Vec<RecordBatch>) -> Vec<FlightData> {
    FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(descriptor_of(&append_to("events"))))
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_max_flight_data_size(usize::MAX)
        .build(stream::iter(batches.into_iter().map(Ok)))
        .try_collect()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_in_and_a_retry_adds_nothing() {
    let server = TestServer::start().await;
    let mut client = client(&server).await;
    let batches = || vec![events(0, 1_000), events(1_000, 1_500), events(1_500, 1_501)];
    let accepted = ingest(&mut client, append_to("events"), batches()).await;
    assert_eq!(accepted.unwrap(), 1_501);
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM events").await,
        1_501
    );
    let again = ingest(&mut client, append_to("events"), batches()).await;
    assert_eq!(again.unwrap(), 0);
    let sql = "SELECT count(*) FROM events WHERE event = 'odd' AND user_id LIKE 'u%'";
    assert_eq!(number(&mut client, sql).await, 750);
    let sql = "SELECT count(DISTINCT account_id) FROM events";
    assert_eq!(number(&mut client, sql).await, 7);
}

/// More rows than one append takes, as one batch with its dictionary.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_goes_in_by_pieces() {
    let server = TestServer::start().await;
    let mut bare = bare(&server).await.max_encoding_message_size(64 << 20);
    let batch = events(0, 200_000);
    let messages = upload(vec![batch]).await;
    assert!(
        messages
            .iter()
            .any(|message| message.data_body.len() > 8 << 20)
    );
    let results = bare.do_put(stream::iter(messages)).await.unwrap();
    let result = results.into_inner().message().await.unwrap().unwrap();
    let result: arrow_flight::sql::DoPutUpdateResult =
        prost::Message::decode(result.app_metadata).unwrap();
    assert_eq!(result.record_count, 200_000);
    let mut client = client(&server).await;
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM events").await,
        200_000
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_rows_are_named_and_the_others_are_in() {
    let server = TestServer::start().await;
    let mut client = client(&server).await;
    let names = |names: Vec<Option<&str>>| {
        let columns = [("event", Arc::new(StringArray::from(names)) as ArrayRef)];
        let named = columns
            .into_iter()
            .map(|(name, column)| (name, column, true));
        RecordBatch::try_from_iter_with_nullable(named).unwrap()
    };
    let batches = vec![
        names(vec![Some("a"), Some("$reserved"), Some("b")]),
        names(vec![Some("c"), None]),
        names(vec![Some("$x"), Some("$y"), Some("$z"), Some("d")]),
    ];
    let status = ingest(&mut client, append_to("events"), batches).await;
    let status = status.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::InvalidArgument, "ROWS_REJECTED".to_owned())
    );
    let message = status.message();
    assert!(
        message.starts_with("5 of 9 rows were rejected, 4 rows went in"),
        "{message}"
    );
    for part in [
        "row 1: event reserved_name",
        "row 4: event missing",
        "row 5",
        "2 more",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["accepted"], "4");
    assert_eq!(number(&mut client, "SELECT count(*) FROM events").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_append_to_events_is_refused() {
    let server = TestServer::start().await;
    let mut client = client(&server).await;
    let with = |if_exists: TableExistsOption| CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create.into(),
            if_exists: if_exists.into(),
        }),
        ..append_to("events")
    };
    for (command, reason, field) in [
        (append_to("accounts"), "TABLE_NOT_FOUND", "table"),
        (append_to("new_table"), "TABLE_NOT_FOUND", "table"),
        (
            with(TableExistsOption::Fail),
            "INVALID_REQUEST",
            "if_exists",
        ),
        (
            with(TableExistsOption::Replace),
            "INVALID_REQUEST",
            "if_exists",
        ),
        (
            CommandStatementIngest {
                temporary: true,
                ..append_to("events")
            },
            "INVALID_REQUEST",
            "temporary",
        ),
        (
            CommandStatementIngest {
                transaction_id: Some("t".into()),
                ..append_to("events")
            },
            "INVALID_REQUEST",
            "transaction_id",
        ),
        (
            CommandStatementIngest {
                schema: Some("private".to_owned()),
                ..append_to("events")
            },
            "TABLE_NOT_FOUND",
            "table",
        ),
    ] {
        let status = ingest(&mut client, command, vec![events(0, 1)]).await;
        let status = status.unwrap_err();
        assert_eq!(cause(&status).1, reason, "{status:?}");
        assert_eq!(field_of(&status), field);
    }
    // What is to be done where the table does not exist is of no consequence.
    let accepted = ingest(
        &mut client,
        with(TableExistsOption::Append),
        vec![events(0, 3)],
    )
    .await;
    assert_eq!(accepted.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_columns_are_refused() {
    let server = TestServer::start().await;
    let mut client = client(&server).await;
    let text = || Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
    let number = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    for (columns, reason, part) in [
        (
            vec![("event", text()), ("acount_id", text())],
            "UNKNOWN_COLUMN",
            "did you mean account_id?",
        ),
        (
            vec![("event_id", text())],
            "INVALID_ARROW",
            "event is missing",
        ),
        (
            vec![("event", text()), ("value", number())],
            "INVALID_ARROW",
            "expected a double",
        ),
        (
            vec![("event", text()), ("event_time", text())],
            "INVALID_ARROW",
            "expected a timestamp",
        ),
        (
            vec![("event", number())],
            "INVALID_ARROW",
            "expected a string",
        ),
    ] {
        let named = columns
            .into_iter()
            .map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(named).unwrap();
        let status = ingest(&mut client, append_to("events"), vec![batch]).await;
        let status = status.unwrap_err();
        assert_eq!(cause(&status).1, reason);
        assert!(status.message().contains(part), "{}", status.message());
    }
    let columns: Vec<(&str, ArrayRef)> =
        vec![("event", text()), ("user_id", Arc::new(NullArray::new(1)))];
    let named = columns
        .into_iter()
        .map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(named).unwrap();
    let accepted = ingest(&mut client, append_to("events"), vec![batch]).await;
    assert_eq!(accepted.unwrap(), 1);
}

/// Uploads that take long leave the way free for the values of statements.
#[tokio::test(flavor = "multi_thread")]
async fn values_are_bound_while_ingests_are_under_way() {
    let server = TestServer::start().await;
    let mut messages = upload(vec![events(0, 1)]).await;
    messages.truncate(1);
    let mut bare = bare(&server).await;
    let mut open = Vec::new();
    // One more than there are turns.
    for _ in 0..=vitalog_server::limits::FLIGHT_INGESTS_MAX {
        let endless = stream::iter(messages.clone()).chain(stream::pending());
        open.push(bare.do_put(endless).await.unwrap().into_inner());
    }
    let mut client = client(&server).await;
    let sql = "SELECT CAST($1 AS BIGINT)".to_owned();
    let mut prepared = client.prepare(sql, None).await.unwrap();
    let seven = Arc::new(Int64Array::from(vec![7])) as ArrayRef;
    let row = RecordBatch::try_from_iter([("0", seven)]).unwrap();
    prepared.set_parameters(row).unwrap();
    assert!(prepared.execute().await.is_ok());
    let results = open.iter_mut().map(|results| Box::pin(results.message()));
    let (ended, ..) = futures::future::select_all(results).await;
    assert_eq!(cause(&ended.unwrap_err()).1, "BUSY");
}

/// What came before the damage is in, and the message says so.
#[tokio::test(flavor = "multi_thread")]
async fn damage_in_the_middle_ends_an_upload() {
    let server = TestServer::start().await;
    let plain = |from, to| {
        let batch = events(from, to);
        let columns = [batch.schema().index_of("event_id").unwrap()];
        let ids = batch.project(&columns).unwrap().column(0).clone();
        let named = [("event_id", ids.clone(), true), ("event", ids, true)];
        RecordBatch::try_from_iter_with_nullable(named).unwrap()
    };
    let mut messages = upload(vec![plain(0, 10), plain(10, 20)]).await;
    messages[2].data_body = messages[2].data_body.slice(..16);
    let mut bare = bare(&server).await;
    let results = bare.do_put(stream::iter(messages)).await.unwrap();
    let status = results.into_inner().message().await.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::InvalidArgument, "INVALID_ARROW".to_owned())
    );
    assert!(
        status.message().starts_with("10 rows went in"),
        "{}",
        status.message()
    );
    let mut client = client(&server).await;
    assert_eq!(number(&mut client, "SELECT count(*) FROM events").await, 10);
}

//! Prepared statements: their schemas, their values, their handles.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, Int8Array,
    Int32Array, Int64Array, ListArray, NullArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Int8Type, Int64Type, Schema};
use arrow_flight::FlightData;
use arrow_flight::sql::{CommandPreparedStatementQuery, DoPutPreparedStatementResult};
use arrow_flight::utils::batches_to_flight_data;
use prost::Message;
use tonic::{Code, Status};
use vitalog_server::ServerConfig;
use vitalog_server::limits::{FLIGHT_PUTS_MAX, FLIGHT_VALUES_WAIT_MAX};
use vitalog_store::StoreConfig;

use crate::support::{START_SECONDS, TestServer, append, cause, free_port, numbered};
use crate::{Client, bare, client, descriptor_of, fetch, status_of};

fn row(values: Vec<ArrayRef>) -> RecordBatch {
    let named = values.into_iter().enumerate();
    let named = named.map(|(index, value)| (index.to_string(), value, true));
    RecordBatch::try_from_iter_with_nullable(named).unwrap()
}

/// The one number that `sql` answers with `values`.
async fn run(client: &mut Client, sql: &str, values: Vec<ArrayRef>) -> Result<i64, Status> {
    let mut prepared = client
        .prepare(sql.to_owned(), None)
        .await
        .map_err(status_of)?;
    prepared.set_parameters(row(values)).unwrap();
    let info = prepared.execute().await.map_err(status_of)?;
    prepared.close().await.unwrap();
    let (_, rows) = fetch(client, info).await?;
    Ok(rows.column(0).as_primitive::<Int64Type>().value(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_type_are_bound() {
    let server = TestServer::start().await;
    let (mut events, mut client) = (server.events().await, client(&server).await);
    append(&mut events, numbered(0..100)).await;
    let text = |text: &str| Arc::new(StringArray::from(vec![text.to_owned()])) as ArrayRef;
    let start = START_SECONDS * 1_000_000;
    let instant = TimestampMicrosecondArray::from(vec![start + 86_400_000_000]);
    let zoned = instant.clone().with_timezone("+02:00");
    let nanos = TimestampNanosecondArray::from(vec![(start + 86_400_000_000) * 1_000]);
    let keys: DictionaryArray<Int8Type> = ["name 1"].into_iter().collect();
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), Some(2)])]);
    let day = arrow::array::Date32Array::from(vec![START_SECONDS as i32 / 86_400 + 1]);
    let of_name_1 = 33;
    let first_day = 20;
    let cases: Vec<(&str, ArrayRef, i64)> = vec![
        ("event = $1", text("name 1"), of_name_1),
        ("event = ?", text("name 1"), of_name_1),
        ("event = ?", Arc::new(keys), of_name_1),
        (
            "event = ?",
            Arc::new(StringViewArray::from(vec!["name 1"])),
            of_name_1,
        ),
        ("seq <= ?", Arc::new(Int64Array::from(vec![10])), 10),
        ("seq <= ?", Arc::new(Int32Array::from(vec![10])), 10),
        ("seq <= ?", Arc::new(Int8Array::from(vec![10])), 10),
        ("seq <= ?", Arc::new(UInt64Array::from(vec![10])), 10),
        ("seq <= ?", Arc::new(Float64Array::from(vec![10.5])), 10),
        (
            "seq <= ?",
            Arc::new(
                Decimal128Array::from(vec![1_050])
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
            10,
        ),
        ("event_time < ?", Arc::new(instant), first_day),
        ("event_time < ?", Arc::new(zoned), first_day),
        ("event_time < ?", Arc::new(nanos), first_day),
        ("event_time < ?", Arc::new(day), first_day),
        ("array_has(?, seq)", Arc::new(list), 2),
        ("?", Arc::new(BooleanArray::from(vec![true])), 100),
        ("event = ?", Arc::new(NullArray::new(1)), 0),
        (
            "event = ?",
            Arc::new(StringArray::from(vec![None::<&str>])),
            0,
        ),
    ];
    for (condition, value, expected) in cases {
        let sql = format!("SELECT count(*) FROM events WHERE {condition}");
        let data_type = value.data_type().clone();
        let found = run(&mut client, &sql, vec![value]).await;
        assert_eq!(found.unwrap(), expected, "{condition} {data_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_tells_its_schemas() {
    let server = TestServer::start().await;
    let mut client = client(&server).await;
    let sql = "SELECT event, seq + 1 AS next FROM events WHERE event = ? AND seq > ? AND \
               event_time < ? AND value = ? AND coalesce(?, 'x') = 'x' LIMIT ?";
    let prepared = client.prepare(sql.to_owned(), None).await.unwrap();
    let parameters = prepared.parameter_schema().unwrap();
    let named: Vec<(&str, String)> = parameters
        .fields()
        .iter()
        .map(|field| (field.name().as_str(), field.data_type().to_string()))
        .collect();
    let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["0", "1", "2", "3", "4", "5"]);
    let types: Vec<&str> = named.iter().map(|(_, found)| found.as_str()).collect();
    let time = "Timestamp(µs, \"UTC\")";
    assert_eq!(types, ["Utf8", "Int64", time, "Float64", "Utf8", "Int64"]);
    let schema = prepared.dataset_schema().unwrap();
    let fields: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
    assert_eq!(fields, ["event", "next"]);
    assert_eq!(schema.field(0).data_type(), &DataType::Utf8);
    let plain = client.prepare("SELECT 1 AS one".to_owned(), None).await;
    let plain = plain.unwrap();
    assert!(plain.parameter_schema().unwrap().fields().is_empty());
    assert_eq!(plain.dataset_schema().unwrap().field(0).name(), "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_is_run_again_with_other_values() {
    let server = TestServer::start().await;
    let mut client = client(&server).await;
    let mut prepared = client
        .prepare("SELECT CAST(? AS BIGINT) + ? AS sum".to_owned(), None)
        .await
        .unwrap();
    for n in 0..5_i64 {
        let value = |n| Arc::new(Int64Array::from(vec![n])) as ArrayRef;
        let parameters = row(vec![value(n), value(10)]);
        prepared.set_parameters(parameters).unwrap();
        let info = prepared.execute().await.unwrap();
        let (_, rows) = fetch(&mut client, info).await.unwrap();
        let sum = rows.column(0).as_primitive::<Int64Type>().value(0);
        assert_eq!(sum, n + 10);
    }
}

/// A relation's arguments are no expressions of a row: its placeholders are found as well.
#[tokio::test(flavor = "multi_thread")]
async fn arguments_of_relations_are_bound() {
    let server = TestServer::start().await;
    let (mut events, mut client) = (server.events().await, client(&server).await);
    append(&mut events, numbered(0..100)).await;
    let sql = "SELECT count(*) FROM health_scores(as_of => ?)";
    let prepared = client.prepare(sql.to_owned(), None).await.unwrap();
    assert_eq!(prepared.parameter_schema().unwrap().fields().len(), 1);
    let instant = (START_SECONDS + 2 * 86_400) * 1_000_000;
    let instant = TimestampMicrosecondArray::from(vec![instant]);
    let day = arrow::array::Date32Array::from(vec![START_SECONDS as i32 / 86_400 + 2]);
    for value in [Arc::new(instant) as ArrayRef, Arc::new(day)] {
        let data_type = value.data_type().clone();
        let found = run(&mut client, sql, vec![value]).await;
        assert!(found.is_ok(), "{data_type}: {found:?}");
    }
}

/// Uploads values for `handle`; the handle that comes back.
async fn bind(
    server: &TestServer,
    handle: &bytes::Bytes,
    mut messages: Vec<FlightData>,
) -> Result<bytes::Bytes, Status> {
    messages[0].flight_descriptor = Some(descriptor_of(&CommandPreparedStatementQuery {
        prepared_statement_handle: handle.clone(),
    }));
    let mut bare = bare(server).await.max_encoding_message_size(64 << 20);
    let mut results = bare
        .do_put(futures::stream::iter(messages))
        .await?
        .into_inner();
    let result = results.message().await?.unwrap();
    let result = DoPutPreparedStatementResult::decode(result.app_metadata).unwrap();
    Ok(result.prepared_statement_handle.unwrap())
}

async fn handle_of(server: &TestServer, sql: &str) -> bytes::Bytes {
    use arrow_flight::sql::{
        ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any,
        ProstMessageExt,
    };
    let request = ActionCreatePreparedStatementRequest {
        query: sql.to_owned(),
        transaction_id: None,
    };
    let body = request.as_any().encode_to_vec();
    let mut bare = bare(server).await;
    let (results, _) = crate::act(&mut bare, "CreatePreparedStatement", body, None)
        .await
        .unwrap();
    let result: ActionCreatePreparedStatementResult = Any::decode(results[0].clone())
        .unwrap()
        .unpack()
        .unwrap()
        .unwrap();
    result.prepared_statement_handle
}

async fn run_handle(server: &TestServer, handle: &bytes::Bytes) -> Result<i64, Status> {
    let command = CommandPreparedStatementQuery {
        prepared_statement_handle: handle.clone(),
    };
    let mut bare = bare(server).await;
    let info = bare.get_flight_info(descriptor_of(&command)).await?;
    let (_, rows) = fetch(&mut client(server).await, info.into_inner()).await?;
    Ok(rows.column(0).as_primitive::<Int64Type>().value(0))
}

fn messages(batch: RecordBatch) -> Vec<FlightData> {
    batches_to_flight_data(&batch.schema(), vec![batch]).unwrap()
}

fn numbers(values: &[i64]) -> RecordBatch {
    row(vec![Arc::new(Int64Array::from(values.to_vec()))])
}

#[tokio::test(flavor = "multi_thread")]
async fn both_the_old_handle_and_the_new_one_have_the_values() {
    let server = TestServer::start().await;
    let handle = handle_of(&server, "SELECT CAST(? AS BIGINT)").await;
    let twin = handle_of(&server, "SELECT CAST(? AS BIGINT)").await;
    let status = run_handle(&server, &handle).await.unwrap_err();
    assert_eq!(cause(&status).1, "INVALID_SQL", "nothing is bound");
    let bound = bind(&server, &handle, messages(numbers(&[7])))
        .await
        .unwrap();
    assert_eq!(run_handle(&server, &handle).await.unwrap(), 7);
    assert_eq!(run_handle(&server, &bound).await.unwrap(), 7);
    assert!(
        run_handle(&server, &twin).await.is_err(),
        "no other handle has"
    );
    bind(&server, &handle, messages(numbers(&[8])))
        .await
        .unwrap();
    assert_eq!(run_handle(&server, &handle).await.unwrap(), 8);
    assert_eq!(run_handle(&server, &bound).await.unwrap(), 7);
    let another = TestServer::start().await;
    let found = run_handle(&another, &bound).await.unwrap();
    assert_eq!(found, 7, "after a restart, too");
}

/// A schema may be asked for before there are values.
#[tokio::test(flavor = "multi_thread")]
async fn the_schema_of_a_handle_is_told() {
    let server = TestServer::start().await;
    let handle = handle_of(&server, "SELECT CAST(? AS BIGINT) AS n").await;
    let bound = bind(&server, &handle, messages(numbers(&[7]))).await;
    let unbound = handle_of(&server, "SELECT CAST(? AS BIGINT) AS n").await;
    let mut bare = bare(&server).await;
    for handle in [unbound, bound.unwrap()] {
        let command = CommandPreparedStatementQuery {
            prepared_statement_handle: handle,
        };
        let told = bare.get_schema(descriptor_of(&command)).await.unwrap();
        let told = Schema::try_from(told.get_ref()).unwrap();
        assert_eq!(told.field(0).name(), "n");
        assert_eq!(told.field(0).data_type(), &DataType::Int64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_values_are_refused() {
    let server = TestServer::start().await;
    let handle = handle_of(&server, "SELECT CAST(? AS BIGINT)").await;
    let refused = |batch: RecordBatch| {
        let (server, handle) = (&server, &handle);
        async move { bind(server, handle, messages(batch)).await.unwrap_err() }
    };
    let status = refused(numbers(&[1, 2])).await;
    assert_eq!(cause(&status).1, "INVALID_REQUEST");
    assert!(
        status.message().contains("several rows"),
        "{}",
        status.message()
    );
    let large = StringArray::from(vec!["x".repeat(5 << 20)]);
    let status = refused(row(vec![Arc::new(large)])).await;
    assert_eq!(cause(&status).1, "REQUEST_TOO_LARGE");
    let two = row(vec![
        Arc::new(Int32Array::from(vec![1])),
        Arc::new(Int32Array::from(vec![2])),
    ]);
    let bound = bind(&server, &handle, messages(two)).await.unwrap();
    let status = run_handle(&server, &bound).await.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::InvalidArgument, "INVALID_SQL".to_owned())
    );
    assert!(
        status.message().contains("parameter 2"),
        "{}",
        status.message()
    );
    let mut damaged = messages(numbers(&[1]));
    damaged[1].data_body = damaged[1].data_body.slice(..4);
    let status = bind(&server, &handle, damaged).await.unwrap_err();
    assert_eq!(cause(&status).1, "INVALID_ARROW");
}

/// Uploads that say nothing give their turns back.
#[tokio::test(flavor = "multi_thread")]
async fn values_are_bound_beside_silent_uploads() {
    let config = ServerConfig {
        queue_wait: 2 * FLIGHT_VALUES_WAIT_MAX,
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut bare = bare(&server).await;
    let mut silent = Vec::new();
    for _ in 0..FLIGHT_PUTS_MAX {
        silent.push(bare.do_put(futures::stream::pending()).await.unwrap());
    }
    let mut client = client(&server).await;
    let seven = Arc::new(Int64Array::from(vec![7]));
    let found = run(&mut client, "SELECT CAST($1 AS BIGINT)", vec![seven]).await;
    assert_eq!(found.unwrap(), 7);
}

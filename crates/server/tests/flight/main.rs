//! Flight SQL against a real server, with the client of arrow-flight and with bare messages.
#![allow(clippy::unwrap_used)]

mod cancel;
mod ingest;
mod metadata;
mod prepared;
mod queries;
mod refusals;
mod rights;
mod sessions;
#[path = "../support/mod.rs"]
mod support;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::ProstMessageExt;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{Action, FlightDescriptor, FlightInfo, Ticket};
use bytes::Bytes;
use futures::TryStreamExt;
use prost::Message;
use support::TestServer;
use tonic::transport::Channel;
use tonic::{Request, Status};

type Client = FlightSqlServiceClient<Channel>;
type Bare = FlightServiceClient<Channel>;

async fn client(server: &TestServer) -> Client {
    FlightSqlServiceClient::new(server.channel().await)
}

async fn bare(server: &TestServer) -> Bare {
    FlightServiceClient::new(server.channel().await)
}

/// The status of a call that failed.
fn status_of(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => panic!("no status: {other}"),
    }
}

fn ticket_of(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().unwrap()
}

/// The rows of `info` as one batch, and the schema that was announced for them.
async fn fetch(client: &mut Client, info: FlightInfo) -> Result<(SchemaRef, RecordBatch), Status> {
    let ticket = ticket_of(&info);
    let announced = SchemaRef::new(info.try_decode_schema().unwrap());
    let mut stream = client.do_get(ticket).await.map_err(status_of)?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.try_next().await.map_err(status_of)? {
        batches.push(batch);
    }
    let sent = stream.schema().unwrap().clone();
    assert_eq!(sent, announced, "the schema is that of the info");
    let rows = concat_batches(&sent, &batches).unwrap();
    Ok((announced, rows))
}

/// The answer of a statement.
async fn ask(client: &mut Client, sql: &str) -> Result<RecordBatch, Status> {
    let info = client.execute(sql.to_owned(), None).await;
    let info = info.map_err(status_of)?;
    assert_eq!((info.total_records, info.total_bytes), (-1, -1));
    Ok(fetch(client, info).await?.1)
}

/// The one number that a statement answers.
async fn number(client: &mut Client, sql: &str) -> i64 {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    let rows = ask(client, sql).await.unwrap();
    rows.column(0).as_primitive::<Int64Type>().value(0)
}

fn descriptor_of(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

/// The results of an action, and the cookie that came with them.
async fn act(
    bare: &mut Bare,
    name: &str,
    body: Vec<u8>,
    cookie: Option<&str>,
) -> Result<(Vec<Bytes>, Option<String>), Status> {
    let mut request = Request::new(Action::new(name, body));
    if let Some(cookie) = cookie {
        let metadata = request.metadata_mut();
        metadata.insert("cookie", cookie.parse().unwrap());
    }
    let response = bare.do_action(request).await?;
    let cookie = response.metadata().get("set-cookie");
    let cookie = cookie.map(|cookie| cookie.to_str().unwrap().to_owned());
    let results: Vec<_> = response.into_inner().try_collect().await?;
    Ok((
        results.into_iter().map(|result| result.body).collect(),
        cookie,
    ))
}

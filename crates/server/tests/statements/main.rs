//! Statements against a real server: limits, points in time, lists, cancelling, formats and what
//! one statement may do to others, over gRPC and over HTTP.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod asking;
mod formats;
mod listing;
mod load;
mod post;

use support::TestServer;
use tonic::Status;
use tonic::transport::Channel;
use vitalog_wire::vitalog::v1::query_response::Part;
use vitalog_wire::vitalog::v1::query_service_client::QueryServiceClient;
use vitalog_wire::vitalog::v1::{QueryFormat, QueryRequest, QueryStatistics};

/// A client of the service under test.
pub type Queries = QueryServiceClient<Channel>;

/// More rows than anybody waits for.
pub const ENDLESS: &str = "SELECT a.value FROM generate_series(1, 100000000) a(value)";

/// Computes for very long and gives no row.
pub const SILENT: &str = "SELECT a.value FROM generate_series(1, 3000000) a(value) \
     JOIN generate_series(1, 3000000) b(value) ON a.value + b.value < 0";

/// A question without options.
pub fn sql(sql: &str) -> QueryRequest {
    QueryRequest {
        sql: sql.to_owned(),
        ..QueryRequest::default()
    }
}

/// The rows of `request` as JSON, and what they took.
pub async fn rows(
    client: &mut Queries,
    request: QueryRequest,
) -> Result<(Vec<serde_json::Value>, QueryStatistics), Status> {
    let request = QueryRequest {
        format: QueryFormat::JsonRows.into(),
        ..request
    };
    let mut stream = client.query(request).await?.into_inner();
    let (mut text, mut statistics) = (Vec::new(), None);
    while let Some(message) = stream.message().await? {
        match message.part.unwrap() {
            Part::JsonRows(lines) => text.extend_from_slice(&lines),
            Part::Statistics(last) => statistics = Some(last),
            Part::Started(_) | Part::Heartbeat(_) => {}
            Part::ArrowIpc(_) => panic!("Arrow was not asked for"),
        }
    }
    let text = String::from_utf8(text).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    Ok((rows.collect(), statistics.unwrap()))
}

/// The one number that `request` answers.
pub async fn number(client: &mut Queries, request: QueryRequest) -> i64 {
    let (rows, _) = rows(client, request).await.unwrap();
    let row = rows[0].as_object().unwrap();
    row.values().next().unwrap().as_i64().unwrap()
}

/// Waits until no call is under way on `server`.
pub async fn quiet(server: &TestServer) {
    while server.handle.calls_under_way() > 0 {
        tokio::task::yield_now().await;
    }
}

//! The code of `docs/clients/rust.md`, compiled here and run against the binary.

use std::error::Error;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use vitalog_tests::Page;

use super::Guarded;

// The example over gRPC begins here.
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use vitalog_wire::vitalog::v1::append_request::Batch;
use vitalog_wire::vitalog::v1::event_service_client::EventServiceClient;
use vitalog_wire::vitalog::v1::{AppendRequest, Event, EventBatch};

/// Puts the token into every request.
#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    fn new(token: &str) -> Result<Self, Box<dyn Error>> {
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse()?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

async fn append_one(url: String, token: &str) -> Result<u64, Box<dyn Error>> {
    let channel = Channel::from_shared(url)?.connect().await?;
    let mut events: EventServiceClient<InterceptedService<Channel, Bearer>> =
        EventServiceClient::with_interceptor(channel, Bearer::new(token)?);
    let event = Event {
        event_id: Some("rust-1".to_owned()),
        event: "login".to_owned(),
        account_id: Some("acme".to_owned()),
        ..Event::default()
    };
    let batch = EventBatch {
        events: vec![event],
    };
    let request = AppendRequest {
        batch: Some(Batch::Events(batch)),
        ..AppendRequest::default()
    };
    Ok(events.append(request).await?.into_inner().accepted)
}
// The example over gRPC ends here.

// The example over Flight SQL begins here.
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;

async fn ask(url: String, token: &str, sql: &str) -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let channel = Channel::from_shared(url)?.connect().await?;
    let mut client = FlightSqlServiceClient::new(channel);
    client.set_token(token.to_owned());
    let info = client.execute(sql.to_owned(), None).await?;
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let ticket = endpoint.ticket.ok_or("an endpoint without a ticket")?;
        batches.extend(client.do_get(ticket).await?.try_collect::<Vec<_>>().await?);
    }
    Ok(batches)
}

async fn ask_with(
    url: String,
    token: &str,
    sql: &str,
    values: RecordBatch,
) -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let channel = Channel::from_shared(url)?.connect().await?;
    let mut client = FlightSqlServiceClient::new(channel);
    client.set_token(token.to_owned());
    let mut statement = client.prepare(sql.to_owned(), None).await?;
    statement.set_parameters(values)?;
    let info = statement.execute().await?;
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let ticket = endpoint.ticket.ok_or("an endpoint without a ticket")?;
        batches.extend(client.do_get(ticket).await?.try_collect::<Vec<_>>().await?);
    }
    statement.close().await?;
    Ok(batches)
}
// The example over Flight SQL ends here.

#[test]
fn the_examples_work() {
    let server = Guarded::start();
    let url = format!("http://{}", server.grpc);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let token = server.token.as_str();
        assert_eq!(append_one(url.clone(), token).await.unwrap(), 1);
        let sql = "SELECT count(*) AS n FROM events";
        let batches = ask(url.clone(), token, sql).await.unwrap();
        assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 1);
        let values = RecordBatch::try_from_iter([
            (
                "0",
                std::sync::Arc::new(StringArray::from(vec!["acme"])) as _,
            ),
            ("1", std::sync::Arc::new(Int64Array::from(vec![41])) as _),
        ]);
        let sql = "SELECT count(*) + CAST($2 AS BIGINT) AS n FROM events WHERE account_id = $1";
        let batches = ask_with(url.clone(), token, sql, values.unwrap())
            .await
            .unwrap();
        assert_eq!(
            batches[0].column(0).as_primitive::<Int64Type>().value(0),
            42
        );
        let refused = ask(url, "wrong", sql).await.unwrap_err().to_string();
        assert!(!refused.contains(token), "{refused}");
    });
}

#[test]
fn the_page_shows_the_examples() {
    let source = include_str!("rust.rs");
    let page = Page::of_client("rust.md");
    let shown: Vec<&str> = page.blocks_of("rust").collect();
    for part in ["gRPC", "Flight SQL"] {
        let (_, rest) = source
            .split_once(&format!("// The example over {part} begins here.\n"))
            .unwrap();
        let (example, _) = rest
            .split_once(&format!("// The example over {part} ends here.\n"))
            .unwrap();
        assert!(shown.contains(&example), "copy {part} to rust.md");
    }
}

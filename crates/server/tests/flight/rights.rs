//! Who may do what: names and tokens, and the scope that ingest needs.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::CommandStatementIngest;
use arrow_flight::{Empty, FlightData, HandshakeRequest};
use futures::{Stream, StreamExt, stream};
use tonic::{Code, Request};
use vitalog_server::{Access, Scope, ServerConfig, TokenLine, Tokens};
use vitalog_store::StoreConfig;

use crate::support::{TestServer, cause, free_port};
use crate::{Client, ask, client};

fn tokens(lines: &[(&str, &[Scope], &str)]) -> Tokens {
    let lines = lines.iter().map(|(name, scopes, token)| {
        let line = TokenLine::new(name, scopes, token);
        format!("{}\n", line.unwrap())
    });
    Tokens::parse(&lines.collect::<String>()).unwrap()
}

/// What a server knows whose tokens `reads` and `writes` may do so.
fn access() -> Access {
    Access::with_tokens(tokens(&[
        ("bi", &[Scope::Read], "reads"),
        ("etl", &[Scope::Read, Scope::Write], "writes"),
    ]))
}

async fn with_access(access: Access) -> TestServer {
    let config = ServerConfig {
        access,
        ..free_port()
    };
    TestServer::with(config, StoreConfig::default()).await
}

async fn guarded() -> TestServer {
    with_access(access()).await
}

async fn with_token(server: &TestServer, token: &str) -> Client {
    let mut client = client(server).await;
    client.set_token(token.to_owned());
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_becomes_a_bearer_token() {
    let server = guarded().await;
    let mut client = client(&server).await;
    let status = ask(&mut client, "SELECT 1").await.unwrap_err();
    assert_eq!(cause(&status).1, "UNAUTHENTICATED");
    let payload = client.handshake("anyone", "reads").await.unwrap();
    assert_eq!(
        payload, "reads",
        "for clients that do not look at the header"
    );
    assert_eq!(client.token().map(String::as_str), Some("reads"));
    assert!(ask(&mut client, "SELECT 1").await.is_ok());
    let wrong = crate::client(&server).await.handshake("anyone", "no").await;
    let message = wrong.unwrap_err().to_string();
    assert!(message.contains("bearer token is needed"), "{message}");
    let mut bare = FlightServiceClient::new(server.channel().await);
    let nothing = bare.handshake(stream::iter([HandshakeRequest::default()]));
    let status = nothing.await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_needs_a_token() {
    let server = guarded().await;
    let mut bare = FlightServiceClient::new(server.channel().await);
    let found = [
        bare.list_actions(Empty {}).await.err(),
        bare.do_get(arrow_flight::Ticket::default()).await.err(),
        bare.get_schema(arrow_flight::FlightDescriptor::default())
            .await
            .err(),
        bare.do_put(stream::iter([FlightData::default()]))
            .await
            .err(),
        bare.do_action(arrow_flight::Action::default()).await.err(),
    ];
    for status in found {
        assert_eq!(cause(&status.unwrap()).1, "UNAUTHENTICATED");
    }
}

fn one_event() -> RecordBatch {
    let names = Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
    RecordBatch::try_from_iter([("event", names)]).unwrap()
}

/// Ingests `batches` into events.
async fn ingest(
    client: &mut Client,
    batches: impl Stream<Item = RecordBatch> + Send + 'static,
) -> Result<i64, tonic::Status> {
    let command = CommandStatementIngest {
        table: "events".to_owned(),
        ..CommandStatementIngest::default()
    };
    let ingested = client.execute_ingest(command, batches.map(Ok));
    ingested.await.map_err(crate::status_of)
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_needs_the_right_to_write() {
    let server = guarded().await;
    let one = || stream::iter([one_event()]);
    let mut reader = with_token(&server, "reads").await;
    let status = ingest(&mut reader, one()).await.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::PermissionDenied, "PERMISSION_DENIED".to_owned())
    );
    assert!(!status.message().contains("reads"), "{}", status.message());
    let mut writer = with_token(&server, "writes").await;
    assert_eq!(ingest(&mut writer, one()).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_ends_when_its_right_is_taken() {
    for left in [&[][..], &[("etl", &[Scope::Read][..], "writes")]] {
        let access = access();
        let server = with_access(access.clone()).await;
        let (batches, uploaded) = tokio::sync::mpsc::unbounded_channel();
        let uploaded = stream::unfold(uploaded, async |mut uploaded| {
            let batch = uploaded.recv().await?;
            Some((batch, uploaded))
        });
        let mut writer = with_token(&server, "writes").await;
        let ingesting = tokio::spawn(async move { ingest(&mut writer, uploaded).await });
        batches.send(one_event()).unwrap();
        while server.store.snapshot().seq() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        access.replace_tokens(tokens(left));
        batches.send(one_event()).unwrap();
        let status = ingesting.await.unwrap().unwrap_err();
        assert_eq!(cause(&status).1, "UNAUTHENTICATED");
        assert_eq!(server.store.snapshot().seq(), 1);
    }
}

/// A ticket holds no right of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_nothing() {
    let server = guarded().await;
    let mut reader = with_token(&server, "reads").await;
    let info = reader.execute("SELECT 1".to_owned(), None).await.unwrap();
    let ticket = crate::ticket_of(&info);
    let mut stranger = FlightServiceClient::new(server.channel().await);
    let status = stranger.do_get(Request::new(ticket)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

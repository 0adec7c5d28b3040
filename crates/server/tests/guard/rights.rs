//! Tokens: none, a wrong one, one without the scope, and one that is taken back.

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use vitalog_server::{Access, Scope, ServerConfig, TokenLine, Tokens};
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::append_stream_request::Part;
use vitalog_wire::vitalog::v1::{
    AppendStreamBatch, AppendStreamOpen, AppendStreamRequest, GetWriterStateRequest, ReadRequest,
};

use super::support::{TestServer, cause, event, free_port, request};
use super::{Bystander, log, soon, until};

const READER: &str = "vtl_reader-of-this-test";
const WRITER: &str = "vtl_writer-of-this-test";
const STRANGER: &str = "vtl_nobody-of-this-test";

fn tokens(lines: &[(&str, Scope, &str)]) -> Tokens {
    let lines = lines.iter();
    let lines = lines.map(|(name, scope, token)| TokenLine::new(name, &[*scope], token).unwrap());
    let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
    Tokens::parse(&lines.join("\n")).unwrap()
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_right_are_refused_and_named_without_their_secret() {
    log::keep();
    let lines = [("bi", Scope::Read, READER), ("etl", Scope::Write, WRITER)];
    let access = Access::with_tokens(tokens(&lines));
    let config = ServerConfig {
        access: access.clone(),
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut good = Bystander::over(server.channel().await, Some(WRITER));
    let mut client = server.events().await;
    let events = || request(vec![event(1)]);

    let refused = soon(client.append(events())).await.unwrap_err();
    let unauthenticated = (Code::Unauthenticated, "UNAUTHENTICATED".to_owned());
    assert_eq!(cause(&refused), unauthenticated);
    good.goes_on().await;
    let refused = soon(client.append(with_token(events(), STRANGER))).await;
    assert_eq!(cause(&refused.unwrap_err()), unauthenticated);
    good.goes_on().await;
    let refused = soon(client.append(with_token(events(), READER))).await;
    let refused = refused.unwrap_err();
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED".to_owned());
    assert_eq!(cause(&refused), denied);
    assert!(refused.message().contains("\"bi\""), "{refused}");
    let stream = soon(client.read(with_token(ReadRequest::default(), WRITER))).await;
    assert_eq!(cause(&stream.unwrap_err()), denied);
    good.goes_on().await;

    // Taken back while the server runs, and while an answer goes on.
    let follow = ReadRequest {
        follow: true,
        ..ReadRequest::default()
    };
    let tail = soon(client.read(with_token(follow, READER))).await;
    let mut tail = tail.unwrap().into_inner();
    soon(tail.message()).await.unwrap().unwrap();
    access.replace_tokens(tokens(&[("etl", Scope::Write, WRITER)]));
    let read = soon(client.read(with_token(ReadRequest::default(), READER))).await;
    assert_eq!(cause(&read.unwrap_err()), unauthenticated);
    good.goes_on().await;
    let ended = loop {
        match soon(tail.message()).await {
            Ok(message) => assert!(message.is_some(), "it ended without a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(cause(&ended), unauthenticated);
    good.goes_on().await;

    until(async || log::failures("UNAUTHENTICATED") >= 4).await;
    until(async || log::failures("PERMISSION_DENIED") >= 2).await;
    let text = log::text();
    for secret in [READER, WRITER, STRANGER] {
        assert!(!text.contains(secret), "the log has {secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_a_writer_is_for_whoever_reads_or_writes() {
    let lines = [("bi", Scope::Read, READER), ("etl", Scope::Write, WRITER)];
    let config = ServerConfig {
        access: Access::with_tokens(tokens(&lines)),
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut client = server.events().await;
    let asked = || GetWriterStateRequest {
        writer_id: "w".to_owned(),
    };
    for token in [READER, WRITER] {
        let state = soon(client.get_writer_state(with_token(asked(), token))).await;
        assert_eq!(state.unwrap().into_inner().last_number, 0);
    }
    let refused = soon(client.get_writer_state(with_token(asked(), STRANGER))).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    let refused = soon(client.get_writer_state(asked())).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    // Health checks need nothing.
    let mut health = HealthClient::new(server.channel().await);
    soon(health.check(HealthCheckRequest::default()))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_call_names_its_caller_and_its_request() {
    log::keep();
    let access = Access::with_tokens(tokens(&[("named-caller", Scope::Write, WRITER)]));
    let config = ServerConfig {
        access,
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut client = server.events().await;
    let mut wrong = with_token(request(vec![event(1)]), WRITER);
    wrong.get_mut().request_id = "x".repeat(1_000);
    let id = "order-4711";
    wrong
        .metadata_mut()
        .insert("x-request-id", id.parse().unwrap());
    let refused = soon(client.append(wrong)).await.unwrap_err();
    assert_eq!(cause(&refused).1, "INVALID_REQUEST");
    let told = refused.metadata().get("x-request-id");
    assert_eq!(told.and_then(|id| id.to_str().ok()), Some(id));
    let line = || {
        let text = log::text();
        let mut lines = text.lines();
        let found = lines.find(|line| line.contains(id) && line.contains("INVALID_REQUEST"));
        found.map(str::to_owned)
    };
    until(async || line().is_some()).await;
    let line = line().unwrap();
    for word in [
        "\"principal\":\"named-caller\"",
        "\"peer\":\"127.0.0.1:",
        "\"rpc\":\"vitalog.v1.EventService/Append\"",
        "\"code\":\"INVALID_ARGUMENT\"",
        "\"duration_ms\":",
    ] {
        assert!(line.contains(word), "{word} in {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_batches_ends_with_its_token() {
    let access = Access::with_tokens(tokens(&[("etl", Scope::Write, WRITER)]));
    let config = ServerConfig {
        access: access.clone(),
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut client = server.events().await;
    let (requests, sent) = tokio::sync::mpsc::channel(1);
    let sent = with_token(ReceiverStream::new(sent), WRITER);
    let answers = soon(client.append_stream(sent)).await.unwrap();
    let mut answers = answers.into_inner();
    let say = async |part| {
        let part = Some(part);
        requests.send(AppendStreamRequest { part }).await.unwrap();
    };
    let batch = |number| {
        let append = Some(request(vec![event(number)]));
        Part::Batch(AppendStreamBatch { number, append })
    };
    let writer_id = "w".to_owned();
    say(Part::Open(AppendStreamOpen { writer_id })).await;
    soon(answers.message()).await.unwrap().unwrap();
    say(batch(1)).await;
    soon(answers.message()).await.unwrap().unwrap();
    access.replace_tokens(tokens(&[]));
    say(batch(2)).await;
    let ended = soon(answers.message()).await.unwrap_err();
    let unauthenticated = (Code::Unauthenticated, "UNAUTHENTICATED".to_owned());
    assert_eq!(cause(&ended), unauthenticated);
    assert_eq!(server.store.writer_state("w").unwrap().last_number, 1);
}

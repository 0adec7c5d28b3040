//! Requests that are too large, too many or no requests at all.

use std::time::Duration;

use tonic::codegen::http::{HeaderMap, HeaderName};
use tonic::{Code, Request, Status};
use vitalog_server::ServerConfig;
use vitalog_server::limits::METADATA_ENTRIES_MAX;
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::append_request::Batch;
use vitalog_wire::vitalog::v1::{AppendRequest, ReadRequest};

use super::plain::{APPEND, call, message_header};
use super::support::{TestServer, cause, free_port};
use super::{Bystander, log, soon, until};

fn entries(count: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for n in 0..count {
        let name = HeaderName::try_from(format!("k{n}")).unwrap();
        headers.insert(name, "v".parse().unwrap());
    }
    headers
}

fn too_large() -> (Code, String) {
    (Code::ResourceExhausted, "REQUEST_TOO_LARGE".to_owned())
}

/// Whether the client gave up: it looks at the same clock, and where this machine is slow, it is
/// the first.
fn gave_up(status: &Status) -> bool {
    status.code() == Code::Cancelled && status.details().is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_gigabyte_is_refused_by_its_header() {
    log::keep();
    let server = TestServer::start().await;
    let mut good = Bystander::of(&server).await;
    let mut channel = server.channel().await;
    let paths = [
        APPEND,
        "/vitalog.v1.EventService/AppendStream",
        "/vitalog.v1.QueryService/Query",
        "/vitalog.v1.CatalogService/ListTables",
        "/arrow.flight.protocol.FlightService/GetFlightInfo",
        "/arrow.flight.protocol.FlightService/DoGet",
        "/arrow.flight.protocol.FlightService/DoPut",
        "/arrow.flight.protocol.FlightService/DoAction",
    ];
    for path in paths {
        let header = message_header(1 << 30);
        let status = soon(call(&mut channel, path, HeaderMap::new(), header)).await;
        assert_eq!(cause(&status), too_large(), "{path}: {status}");
        good.goes_on().await;
    }
    until(async || log::failures("REQUEST_TOO_LARGE") >= paths.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_entries_of_metadata_are_refused() {
    log::keep();
    let server = TestServer::start().await;
    let mut good = Bystander::of(&server).await;
    let mut channel = server.channel().await;
    for count in [METADATA_ENTRIES_MAX + 1, 10_000] {
        let status = soon(call(
            &mut channel,
            APPEND,
            entries(count),
            message_header(0),
        ))
        .await;
        assert_eq!(cause(&status), too_large(), "{count}: {status}");
        good.goes_on().await;
    }
    // Past what the transport reads there are no words left.
    let mut large = HeaderMap::new();
    for n in 0..60 {
        let name = HeaderName::try_from(format!("k{n}")).unwrap();
        large.insert(name, "v".repeat(10_000).parse().unwrap());
    }
    let status = soon(call(&mut channel, APPEND, large, message_header(0))).await;
    assert_ne!(status.code(), Code::Ok, "{status}");
    good.goes_on().await;
    // Ordinary ones pass: the message itself is what is wrong.
    let few = entries(METADATA_ENTRIES_MAX / 2);
    let status = soon(call(&mut channel, APPEND, few, message_header(0))).await;
    assert_eq!(cause(&status).1, "INVALID_REQUEST", "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_arrow_are_refused() {
    log::keep();
    let server = TestServer::start().await;
    let mut good = Bystander::of(&server).await;
    let mut client = server.events().await;
    let secret = b"secret-of-a-customer";
    let mut length_without_bytes = vec![0xff; 4];
    length_without_bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    for ipc in [secret.to_vec(), vec![0xff; 64], length_without_bytes] {
        let batch = Some(Batch::ArrowIpc(ipc.into()));
        let request = AppendRequest {
            batch,
            ..AppendRequest::default()
        };
        let refused = soon(client.append(request)).await.unwrap_err();
        let expected = (Code::InvalidArgument, "INVALID_ARROW".to_owned());
        assert_eq!(cause(&refused), expected, "{refused}");
        good.goes_on().await;
    }
    until(async || log::failures("INVALID_ARROW") >= 3).await;
    assert!(!log::text().contains("secret-of-a-customer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_at_the_deadline_of_its_caller() {
    let server = TestServer::start().await;
    let mut good = Bystander::of(&server).await;
    good.goes_on().await;
    let mut channel = server.channel().await;
    let mut headers = HeaderMap::new();
    headers.insert("grpc-timeout", "300m".parse().unwrap());
    let follow = prost::Message::encode_to_vec(&ReadRequest {
        follow: true,
        ..ReadRequest::default()
    });
    let mut bytes = message_header(follow.len() as u32);
    bytes.extend_from_slice(&follow);
    let path = "/vitalog.v1.EventService/Read";
    until(async || {
        let ended = call(&mut channel, path, headers.clone(), bytes.clone());
        let status = soon(ended).await;
        if gave_up(&status) {
            return false;
        }
        let expected = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned());
        assert_eq!(cause(&status), expected, "{status}");
        true
    })
    .await;
    until(async || server.handle.calls_under_way() == 0).await;
    good.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_ends_at_the_deadline_of_its_caller() {
    let config = ServerConfig {
        appends_max: 1,
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    // A body that never comes holds the only turn.
    let mut holding = server.channel().await;
    let held = tokio::spawn(async move {
        let part = message_header(100);
        let headers = HeaderMap::new();
        let endless = futures::stream::iter([Ok::<_, std::io::Error>(part)]);
        let endless = futures::StreamExt::chain(endless, futures::stream::pending());
        let body = tonic::body::Body::new(axum::body::Body::from_stream(endless));
        super::plain::call_with(&mut holding, APPEND, headers, body).await
    });
    until(async || server.handle.calls_under_way() == 1).await;
    let mut client = server.events().await;
    until(async || {
        let mut request = Request::new(super::support::request(vec![super::support::event(1)]));
        let value = "200m".parse().unwrap();
        request.metadata_mut().insert("grpc-timeout", value);
        let refused = soon(client.append(request)).await.unwrap_err();
        if gave_up(&refused) {
            return false;
        }
        let expected = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned());
        assert_eq!(cause(&refused), expected, "{refused}");
        true
    })
    .await;
    held.abort();
    Bystander::of(&server).await.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_is_not_waited_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let config = ServerConfig {
        greeting_wait: Duration::from_millis(300),
        connections_max: 4,
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut good = Bystander::admitted(&server).await;
    let mut silent = Vec::new();
    for n in 0..3 {
        let mut stream = tokio::net::TcpStream::connect(server.address)
            .await
            .unwrap();
        // Some of HTTP/2's preface, and no more.
        stream.write_all(&b"PRI * HTTP"[..n * 5]).await.unwrap();
        silent.push(stream);
    }
    good.goes_on().await;
    for mut stream in silent {
        let mut rest = Vec::new();
        // An end or a reset: either way the slot is free.
        let _ = soon(stream.read_to_end(&mut rest)).await;
    }
    good.goes_on().await;
    Bystander::admitted(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_not_waited_for() {
    use tokio::io::AsyncWriteExt;
    let config = ServerConfig {
        reader_pause: Duration::from_millis(300),
        connections_max: 2,
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut good = Bystander::of(&server).await;
    let mut deaf = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    // The preface, empty settings, and pings without end, whose answers are never read.
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    deaf.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    deaf.write_all(&settings).await.unwrap();
    let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[1; 8]].concat();
    let pings = ping.repeat(1_000);
    soon(async { while deaf.write_all(&pings).await.is_ok() {} }).await;
    // Its slot is free.
    good.goes_on().await;
    Bystander::admitted(&server).await;
}

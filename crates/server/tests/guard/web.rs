//! Browsers: gRPC-Web over HTTP/1.1, and whose pages may call.

use bytes::{Buf, Bytes};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vitalog_server::ServerConfig;
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::{AppendRequest, AppendResponse};

use super::plain::{APPEND, message_header};
use super::support::{TestServer, event, free_port, request};
use super::{Bystander, log, soon, until};

const ORIGIN: &str = "https://app.example.com";

async fn server() -> TestServer {
    let config = ServerConfig {
        web_origins: vec![ORIGIN.to_owned()],
        ..free_port()
    };
    TestServer::with(config, StoreConfig::default()).await
}

/// One request over HTTP/1.1, and its answer as it came.
async fn exchange(server: &TestServer, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let length = body.len();
    let host = server.address;
    let head =
        format!("{head}\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = answer.split_off(end.unwrap() + 4);
    let head = String::from_utf8(answer).unwrap().to_lowercase();
    let body = match head.contains("transfer-encoding: chunked") {
        true => unchunked(&body),
        false => body,
    };
    (head, body)
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 2 + length + 2..];
    }
}

/// The messages and the trailers of an answer.
fn frames(body: Vec<u8>) -> (Vec<Bytes>, String) {
    let mut rest = Bytes::from(body);
    let (mut messages, mut trailers) = (Vec::new(), String::new());
    while !rest.is_empty() {
        let kind = rest.get_u8();
        let length = rest.get_u32() as usize;
        let frame = rest.split_to(length);
        match kind {
            0 => messages.push(frame),
            0x80 => trailers = String::from_utf8(frame.to_vec()).unwrap(),
            kind => panic!("a frame of kind {kind}"),
        }
    }
    (messages, trailers)
}

fn append(message: &AppendRequest) -> Vec<u8> {
    let message = message.encode_to_vec();
    let mut bytes = message_header(message.len() as u32);
    bytes.extend_from_slice(&message);
    bytes
}

fn post(headers: &str) -> String {
    format!(
        "POST {APPEND} HTTP/1.1\r\nContent-Type: application/grpc-web+proto\r\nX-Grpc-Web: 1{headers}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_named_origin_appends() {
    let server = server().await;
    let ask = format!(
        "OPTIONS {APPEND} HTTP/1.1\r\nOrigin: {ORIGIN}\r\nAccess-Control-Request-Method: POST"
    );
    let (head, _) = exchange(&server, &ask, b"").await;
    assert!(head.starts_with("http/1.1 204"), "{head}");
    let allowed = format!("access-control-allow-origin: {ORIGIN}\r\n");
    assert!(head.contains(&allowed), "{head}");
    assert!(
        head.contains("access-control-allow-methods: post\r\n"),
        "{head}"
    );

    let from_page = post(&format!("\r\nOrigin: {ORIGIN}"));
    let body = append(&request(vec![event(1), event(2)]));
    let (head, body) = exchange(&server, &from_page, &body).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains(&allowed), "{head}");
    assert!(
        head.contains("access-control-expose-headers: grpc-status"),
        "{head}"
    );
    let (messages, trailers) = frames(body);
    let answer = AppendResponse::decode(messages[0].clone()).unwrap();
    assert_eq!((messages.len(), answer.accepted), (1, 2));
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_are_refused_and_nothing_of_them_is_read() {
    log::keep();
    let server = server().await;
    let mut good = Bystander::of(&server).await;
    for origin in [
        "https://evil.example.com",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        &format!("http://{}", server.address),
        "null",
    ] {
        let from_page = post(&format!("\r\nOrigin: {origin}"));
        let body = append(&request(vec![event(1)]));
        let (head, _) = exchange(&server, &from_page, &body).await;
        assert!(head.starts_with("http/1.1 403"), "{origin}: {head}");
        assert!(!head.contains("access-control-allow-origin"), "{head}");
        good.goes_on().await;
    }
    let answer = server.events().await;
    let answer = answer
        .clone()
        .append(request(vec![event(1)]))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().accepted, 1, "none of them was appended");
    until(async || log::text().contains("a call of a web page was refused")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_a_page_with_its_reason() {
    let server = server().await;
    let from_page = post(&format!("\r\nOrigin: {ORIGIN}"));
    let (head, body) = exchange(&server, &from_page, &append(&AppendRequest::default())).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let said = head + &frames(body).1;
    assert!(
        said.contains("grpc-status:3") || said.contains("grpc-status: 3"),
        "{said}"
    );
    assert!(said.contains("grpc-status-details-bin"), "{said}");
    // What is neither gRPC nor gRPC-Web is nothing here.
    let (head, _) = exchange(&server, "GET / HTTP/1.1", b"").await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
}

//! Calls that no generated client would make.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http_body::Body as _;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, Request};
use tonic::transport::Channel;

/// Where events are appended.
pub const APPEND: &str = "/vitalog.v1.EventService/Append";

/// Sends `bytes` as the body of a call, with `headers` beside those that gRPC needs; returns the
/// status of the answer, or what became of the connection.
pub async fn call(
    channel: &mut Channel,
    path: &str,
    headers: HeaderMap,
    bytes: impl Into<Bytes>,
) -> Status {
    let body = axum::body::Body::from(bytes.into());
    call_with(channel, path, headers, Body::new(body)).await
}

/// As [`call`], with any body.
pub async fn call_with(
    channel: &mut Channel,
    path: &str,
    headers: HeaderMap,
    body: Body,
) -> Status {
    poll_fn(|context| channel.poll_ready(context))
        .await
        .unwrap();
    let mut request = Request::post(path).body(body).unwrap();
    *request.headers_mut() = headers;
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = match channel.call(request).await {
        Ok(answer) => answer,
        Err(error) => return Status::from_error(error.into()),
    };
    if let Some(status) = Status::from_header_map(answer.headers()) {
        return status;
    }
    let http = answer.status();
    let mut body = answer.into_body();
    loop {
        match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            Some(Ok(frame)) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return Status::from_header_map(&trailers).unwrap();
                }
            }
            Some(Err(status)) => return status,
            None => return Status::unknown(format!("HTTP {http}")),
        }
    }
}

/// The header of a message of `length` bytes.
pub fn message_header(length: u32) -> Vec<u8> {
    let mut header = vec![0];
    header.extend_from_slice(&length.to_be_bytes());
    header
}

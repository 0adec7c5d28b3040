//! The server as operators meet it: health, reflection, limits, shutdown.
#![allow(clippy::unwrap_used)]

mod support;

use support::{TestServer, append, cause, numbered, request};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_types::StatusExt;
use vitalog_server::ServerConfig;
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::ReadRequest;

const SERVICES: [&str; 8] = [
    "vitalog.v1.CatalogService",
    "vitalog.v1.EventService",
    "vitalog.v1.HealthService",
    "vitalog.v1.ModelService",
    "vitalog.v1.QueryService",
    "vitalog.v1.SnapshotService",
    "vitalog.v1.UpkeepService",
    "vitalog.v1.ViewService",
];

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_for_every_service() {
    let server = TestServer::start().await;
    let mut health = HealthClient::new(server.channel().await);
    let flight = "arrow.flight.protocol.FlightService";
    for service in SERVICES.into_iter().chain(["", flight]) {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = HealthCheckRequest {
        service: "nobody".to_owned(),
    };
    assert_eq!(
        health.check(unknown).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_the_services_in_both_versions() {
    let server = TestServer::start().await;
    let expected = |names: Vec<String>| {
        for service in SERVICES.into_iter().chain(["grpc.health.v1.Health"]) {
            assert!(
                names.iter().any(|name| name == service),
                "{service} in {names:?}"
            );
        }
    };
    let mut client =
        v1::server_reflection_client::ServerReflectionClient::new(server.channel().await);
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let stream = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap();
    let answer = stream
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response;
    match answer.unwrap() {
        v1::server_reflection_response::MessageResponse::ListServicesResponse(list) => {
            expected(
                list.service
                    .into_iter()
                    .map(|service| service.name)
                    .collect(),
            );
        }
        other => panic!("{other:?}"),
    }
    let mut client =
        v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel().await);
    let symbol = "vitalog.v1.EventService".to_owned();
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(symbol),
        ),
    };
    let stream = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap();
    let answer = stream
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response;
    match answer.unwrap() {
        v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(files) => {
            assert!(!files.file_descriptor_proto.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_waits_for_appends_and_ends_tails() {
    const BATCH: u64 = 100;
    let mut server = TestServer::start().await;
    let mut client = server.events().await;
    append(&mut client, numbered(0..10)).await;
    let follow = ReadRequest {
        follow: true,
        ..ReadRequest::default()
    };
    let mut tail = client.read(follow).await.unwrap().into_inner();
    tail.message().await.unwrap().unwrap();
    let mut writers = Vec::new();
    for n in 0..8 {
        let mut client = server.events().await;
        writers.push(tokio::spawn(async move {
            let mut acknowledged = 0;
            for batch in 0_u64.. {
                let first = 1_000_000 * (n + 1) + batch * BATCH;
                match client.append(request(numbered(first..first + BATCH))).await {
                    Ok(answer) => acknowledged += answer.into_inner().accepted,
                    Err(status) => return (acknowledged, status),
                }
            }
            unreachable!("the server leaves before the numbers end")
        }));
    }
    // Every writer is well under way before the server is asked to leave.
    while server.store.snapshot().seq() < 4_000 {
        tokio::task::yield_now().await;
    }
    server.ask_to_shut_down();
    let status = loop {
        match tail.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a tail does not end by itself"),
            Err(status) => break status,
        }
    };
    assert_eq!(
        cause(&status),
        (Code::Unavailable, "SHUTTING_DOWN".to_owned())
    );
    assert!(status.get_error_details().retry_info().is_some());
    let (mut acknowledged, mut untold) = (10, 0);
    for writer in writers {
        let (accepted, status) = writer.await.unwrap();
        // Either the server's word, or the client's own of a connection that was closed.
        let is_told = cause(&status) == (Code::Unavailable, "SHUTTING_DOWN".to_owned());
        assert!(is_told || status.details().is_empty(), "{status:?}");
        acknowledged += accepted;
        untold += u64::from(!is_told);
    }
    let (shutdown, store) = server.ended().await;
    assert_eq!(shutdown.abandoned, 0);
    store.close().unwrap();
    // A connection that is closed before its writer was told may take one answer with it.
    let seq = store.snapshot().seq() as u64;
    assert!(acknowledged <= seq, "{acknowledged} of {seq}");
    let unanswered = seq - acknowledged;
    assert!(
        unanswered <= untold * BATCH && unanswered.is_multiple_of(BATCH),
        "what was let in was answered: {unanswered} were not, {untold} writers were not told"
    );
}

/// A reader that does not read holds its finite stream open.
#[tokio::test(flavor = "multi_thread")]
async fn while_it_drains_a_server_says_so_and_a_second_word_forces_it() {
    let mut server = TestServer::start().await;
    let mut client = server.events().await;
    let properties = format!("{{\"p\":\"{}\"}}", "x".repeat(60_000));
    for first in (0..600).step_by(100) {
        let mut events = numbered(first..first + 100);
        events
            .iter_mut()
            .for_each(|event| event.properties = Some(properties.clone()));
        append(&mut client, events).await;
    }
    let stalled = client.read(ReadRequest::default()).await.unwrap();
    let mut health = HealthClient::new(server.channel().await);
    let mut watch = health
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    server.ask_to_shut_down();
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    let status = client.append(request(numbered(0..1))).await.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::Unavailable, "SHUTTING_DOWN".to_owned())
    );
    assert_eq!(server.handle.calls_under_way(), 1);
    server.handle.force();
    let (shutdown, _) = server.ended().await;
    assert_eq!(shutdown.abandoned, 1);
    drop(stalled);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_past_the_limit_are_closed() {
    let config = ServerConfig {
        connections_max: 2,
        ..support::free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let (mut first, mut second) = (server.events().await, server.events().await);
    append(&mut first, numbered(0..1)).await;
    append(&mut second, numbered(1..2)).await;
    let endpoint =
        tonic::transport::Channel::from_shared(format!("http://{}", server.address)).unwrap();
    let third = endpoint.connect().await;
    let failed = match third {
        Err(_) => true,
        Ok(channel) => {
            let mut health = HealthClient::new(channel);
            health.check(HealthCheckRequest::default()).await.is_err()
        }
    };
    assert!(failed);
    append(&mut first, numbered(2..3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_named() {
    let server = TestServer::start().await;
    let on_grpc = ServerConfig {
        grpc: server.address,
        ..support::free_port()
    };
    let on_http = ServerConfig {
        http: server.http,
        ..support::free_port()
    };
    for (config, address) in [(on_grpc, server.address), (on_http, server.http)] {
        let engine = vitalog_query::QueryEngine::new(
            std::sync::Arc::clone(&server.store),
            vitalog_query::QueryConfig::default(),
        );
        let again = vitalog_server::Server::bind(
            std::sync::Arc::clone(&server.store),
            engine.unwrap(),
            config,
        );
        let error = again.await.unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }
}

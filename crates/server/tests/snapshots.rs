//! `SnapshotService`: published, listed, fetched and deleted over gRPC, on call and on schedule.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use support::http::Http;
use support::snapshots::{bytes_of, publish};
use support::{TestServer, append, cause, field_of, free_port, numbered};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use vitalog_server::{Access, Scope, ServerConfig, SigningKey, SnapshotConfig, TokenLine, Tokens};
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::snapshot_service_client::SnapshotServiceClient;
use vitalog_wire::vitalog::v1::{
    Snapshot, SnapshotServiceCreateRequest, SnapshotServiceDeleteRequest,
    SnapshotServiceFetchRequest, SnapshotServiceFetchResponse, SnapshotServiceGetRequest,
    SnapshotServiceListRequest,
};

const DAY: Duration = Duration::from_secs(86_400);

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

async fn create(
    client: &mut SnapshotServiceClient<Channel>,
    tables: &[&str],
    lease: Option<prost_types::Duration>,
) -> Result<Snapshot, Status> {
    let tables = tables.iter().map(|table| (*table).to_owned()).collect();
    let request = SnapshotServiceCreateRequest { tables, lease };
    let answer = client.create(request).await?.into_inner();
    Ok(answer.snapshot.unwrap())
}

fn by_id(id: &str) -> SnapshotServiceGetRequest {
    SnapshotServiceGetRequest {
        id: id.to_owned(),
        ..Default::default()
    }
}

async fn fetch(
    client: &mut SnapshotServiceClient<Channel>,
    (id, table, path): (&str, &str, &str),
    offset: u64,
) -> Result<Vec<SnapshotServiceFetchResponse>, Status> {
    let request = SnapshotServiceFetchRequest {
        id: id.to_owned(),
        table: table.to_owned(),
        path: path.to_owned(),
        offset,
    };
    let mut stream = client.fetch(request).await?.into_inner();
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await? {
        messages.push(message);
    }
    Ok(messages)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_made_found_and_deleted() {
    let server = TestServer::start().await;
    append(&mut server.events().await, numbered(0..200)).await;
    let mut client = server.snapshots().await;
    let empty = client.list(SnapshotServiceListRequest::default()).await;
    assert!(empty.unwrap().into_inner().snapshots.is_empty());
    let none = client.get(by_id("")).await.unwrap_err();
    assert_eq!(
        cause(&none),
        (Code::NotFound, "SNAPSHOT_NOT_FOUND".to_owned())
    );

    let made = create(&mut client, &["events"], None).await.unwrap();
    assert_eq!(made.seq, 200);
    assert_eq!(made.tables.len(), 1);
    let events = &made.tables[0];
    assert_eq!(
        (events.name.as_str(), events.rows, events.file_count),
        ("events", 200, 5)
    );
    let lease = made.expires_at.unwrap().seconds - made.created_at.unwrap().seconds;
    assert_eq!(lease, 86_400, "the lease of the configuration");

    let got = client.get(by_id(&made.id)).await.unwrap().into_inner();
    assert_eq!(got.snapshot.as_ref(), Some(&made));
    assert_eq!(got.files.len(), 5);
    let bytes: u64 = got.files.iter().map(|file| file.bytes).sum();
    assert_eq!(bytes, events.bytes);
    let newest = client.get(by_id("")).await.unwrap().into_inner();
    assert_eq!(newest.snapshot.as_ref(), Some(&made));

    // What it names over HTTP is there.
    let mut http = Http::connect(server.http).await;
    let file = &got.files[0];
    let served = http.get(&file.url).await;
    assert_eq!((served.status, served.body.len() as u64), (200, file.bytes));

    let id = made.id.clone();
    let request = SnapshotServiceDeleteRequest { id };
    let deleted = client.delete(request.clone()).await.unwrap().into_inner();
    assert_eq!(deleted.snapshot.as_ref(), Some(&made));
    let again = client.delete(request).await.unwrap_err();
    assert_eq!(cause(&again), (Code::NotFound, "SNAPSHOT_GONE".to_owned()));
    let gone = client.get(by_id(&made.id)).await.unwrap_err();
    assert_eq!(cause(&gone), (Code::NotFound, "SNAPSHOT_GONE".to_owned()));
    assert_eq!(http.get(&file.url).await.status, 410);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_fetched_in_pieces_and_taken_up_again() {
    let server = TestServer::start().await;
    let snapshot = publish(&server.store, "events", 400_000, DAY);
    let mut client = server.snapshots().await;
    let id = snapshot.id.as_str();
    let got = client.get(by_id(id)).await.unwrap().into_inner();
    let file = &got.files[0];
    let whole = bytes_of(&server.store, &file.url);
    let address = (id, "events", file.path.as_str());
    for offset in [0, 1, 1 << 20, file.bytes - 1, file.bytes] {
        let messages = fetch(&mut client, address, offset).await.unwrap();
        let mut at = offset;
        for (number, message) in messages.iter().enumerate() {
            assert_eq!((message.offset, message.total_bytes), (at, file.bytes));
            assert!(message.data.len() <= 1 << 20);
            assert_eq!(message.sha256 == file.sha256, number == 0);
            let range = at as usize..at as usize + message.data.len();
            assert!(
                message.data == whole[range],
                "offset {offset}, message {number}"
            );
            at += message.data.len() as u64;
        }
        assert_eq!(at, file.bytes, "offset {offset}");
        assert!(!messages.is_empty(), "the end of a file is told, too");
    }
    let manifest = fetch(&mut client, (id, "events", "manifest.json"), 0)
        .await
        .unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest[0].data).unwrap();
    assert_eq!(manifest["files"][0]["sha256"], file.sha256.as_str());

    let past = fetch(&mut client, address, file.bytes + 1)
        .await
        .unwrap_err();
    assert_eq!(
        cause(&past),
        (Code::OutOfRange, "OFFSET_PAST_END".to_owned())
    );
    for ((id, table, path), field, reason) in [
        (
            (id, "events", "dt=2025-03-01/none.parquet"),
            "path",
            "FILE_NOT_FOUND",
        ),
        ((id, "events", "../../../LOCK"), "path", "FILE_NOT_FOUND"),
        ((id, "events", ""), "path", "FILE_NOT_FOUND"),
        ((id, "event", "manifest.json"), "table", "TABLE_NOT_FOUND"),
        (
            ("20250301T093000Z-1", "events", "manifest.json"),
            "id",
            "SNAPSHOT_NOT_FOUND",
        ),
        (
            ("../..", "events", "manifest.json"),
            "id",
            "SNAPSHOT_NOT_FOUND",
        ),
    ] {
        let error = fetch(&mut client, (id, table, path), 0).await.unwrap_err();
        assert_eq!(cause(&error), (Code::NotFound, reason.to_owned()), "{path}");
        assert_eq!(field_of(&error), field, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_everything_once() {
    let server = TestServer::start().await;
    let ids: Vec<String> = (0..5)
        .map(|_| publish(&server.store, "events", 10, DAY).id.to_string())
        .collect();
    let mut client = server.snapshots().await;
    for page_size in 1..7 {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = SnapshotServiceListRequest {
                page_size,
                page_token,
            };
            let page = client.list(request).await.unwrap().into_inner();
            assert!(page.snapshots.len() <= page_size as usize);
            found.extend(page.snapshots.into_iter().map(|snapshot| snapshot.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
        assert_eq!(found, newest_first, "{page_size}");
    }
    let (mut files, mut request) = (Vec::new(), by_id(&ids[2]));
    request.page_size = 1;
    request.table = Some("events".to_owned());
    loop {
        let page = client.get(request.clone()).await.unwrap().into_inner();
        assert_eq!(page.snapshot.unwrap().id, ids[2]);
        files.extend(page.files.into_iter().map(|file| (file.dt, file.path)));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let days: Vec<&str> = files.iter().map(|(dt, _)| dt.as_str()).collect();
    assert_eq!(days, ["2025-03-01", "2025-03-02"]);
    // A token belongs to its snapshot, and to its call.
    let first = SnapshotServiceGetRequest {
        page_size: 1,
        ..by_id(&ids[2])
    };
    let token = client
        .get(first)
        .await
        .unwrap()
        .into_inner()
        .next_page_token;
    let other = SnapshotServiceGetRequest {
        page_token: token.clone(),
        ..by_id(&ids[1])
    };
    let error = client.get(other).await.unwrap_err();
    assert_eq!(
        cause(&error),
        (Code::InvalidArgument, "INVALID_TOKEN".to_owned())
    );
    let list = SnapshotServiceListRequest {
        page_size: 0,
        page_token: token,
    };
    let error = client.list(list).await.unwrap_err();
    assert_eq!(
        cause(&error),
        (Code::InvalidArgument, "INVALID_TOKEN".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_told_so() {
    let server = TestServer::start().await;
    let mut client = server.snapshots().await;
    for lease in [seconds(0), seconds(59), seconds(49 * 3_600), seconds(-1)] {
        let error = create(&mut client, &[], lease).await.unwrap_err();
        assert_eq!(
            cause(&error),
            (Code::InvalidArgument, "INVALID_REQUEST".to_owned())
        );
        assert_eq!(field_of(&error), "lease");
    }
    let error = create(&mut client, &["event"], None).await.unwrap_err();
    assert_eq!(
        cause(&error),
        (Code::NotFound, "TABLE_NOT_FOUND".to_owned())
    );
    assert!(
        error.message().contains("did you mean events?"),
        "{error:?}"
    );
    publish(&server.store, "events", 10, DAY);
    let wrong_table = SnapshotServiceGetRequest {
        table: Some("users".to_owned()),
        ..Default::default()
    };
    let error = client.get(wrong_table).await.unwrap_err();
    assert_eq!(
        cause(&error),
        (Code::NotFound, "SNAPSHOT_NOT_FOUND".to_owned())
    );
    let unsigned = SnapshotServiceGetRequest {
        sign_for: seconds(60),
        ..Default::default()
    };
    let error = client.get(unsigned).await.unwrap_err();
    assert_eq!(
        cause(&error),
        (Code::FailedPrecondition, "SIGNING_UNAVAILABLE".to_owned())
    );
    let pages = SnapshotServiceListRequest {
        page_size: 1_001,
        ..Default::default()
    };
    let error = client.list(pages).await.unwrap_err();
    assert_eq!(field_of(&error), "page_size");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_guard_every_call_and_signed_urls_need_none() {
    let line = |name, scope, token| TokenLine::new(name, &[scope], token).unwrap();
    let lines = [
        line("bi", Scope::Read, "reads"),
        line("etl", Scope::Write, "writes"),
    ];
    let text = format!("{}\n{}", lines[0], lines[1]);
    let config = ServerConfig {
        access: Access::with_tokens(Tokens::parse(&text).unwrap()),
        signing_key: Some(SigningKey::random()),
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    publish(&server.store, "events", 10, DAY);
    let mut client = server.snapshots().await;
    let denied = client.get(by_id("")).await.unwrap_err();
    assert_eq!(
        cause(&denied),
        (Code::Unauthenticated, "UNAUTHENTICATED".to_owned())
    );
    let mut events = server.events().await;
    let denied = events.append(support::request(numbered(0..1))).await;
    assert_eq!(denied.unwrap_err().code(), Code::Unauthenticated);
    let with = |token: &str, mut request: Request<SnapshotServiceGetRequest>| {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    };
    let denied = client.get(with("writes", Request::new(by_id("")))).await;
    let denied = denied.unwrap_err();
    assert_eq!(
        cause(&denied),
        (Code::PermissionDenied, "PERMISSION_DENIED".to_owned())
    );
    assert!(
        denied.message().contains("\"etl\" lacks the scope read"),
        "{denied:?}"
    );

    let signed = SnapshotServiceGetRequest {
        sign_for: seconds(600),
        ..by_id("")
    };
    let got = client
        .get(with("reads", Request::new(signed)))
        .await
        .unwrap();
    let mut http = Http::connect(server.http).await;
    for file in got.into_inner().files {
        assert_eq!(http.get(&file.url).await.body.len() as u64, file.bytes);
        let (unsigned, _) = file.url.split_once('?').unwrap();
        assert_eq!(http.get(unsigned).await.status, 401);
    }
    for sign_for in [seconds(0), seconds(8 * 86_400)] {
        let request = SnapshotServiceGetRequest {
            sign_for,
            ..by_id("")
        };
        let error = client.get(with("reads", Request::new(request))).await;
        assert_eq!(field_of(&error.unwrap_err()), "sign_for");
    }
    // Health checks tell nothing that is worth a token.
    let mut health = tonic_health::pb::health_client::HealthClient::new(server.channel().await);
    health
        .check(tonic_health::pb::HealthCheckRequest::default())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_publishes_and_keeps_the_newest() {
    let config = ServerConfig {
        snapshots: SnapshotConfig {
            every: Some(Duration::from_millis(1)),
            keep: 2,
            lease: Duration::from_millis(1),
            tables: vec!["events".to_owned()],
            ..SnapshotConfig::default()
        },
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    append(&mut server.events().await, numbered(0..10)).await;
    let leased = publish(&server.store, "users", 10, DAY);
    let mut seen = BTreeSet::new();
    while seen.len() < 5 {
        let listed = server.store.published().list();
        // The two that are kept, the one that is leased, and those whose moment of a lease runs.
        assert!(listed.len() <= 6, "{}", listed.len());
        seen.extend(listed.iter().map(|snapshot| snapshot.id.clone()));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        server.store.published().get(&leased.id).is_some(),
        "a lease is kept"
    );
    let (shutdown, store) = server.shut_down().await;
    assert!(shutdown.abandoned <= 1);
    store.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_of_other_tables_do_not_hold_up_the_schedule() {
    let config = ServerConfig {
        snapshots: SnapshotConfig {
            every: Some(Duration::from_millis(250)),
            keep: 1_000,
            tables: vec!["events".to_owned(), "accounts".to_owned()],
            ..SnapshotConfig::default()
        },
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    append(&mut server.events().await, numbered(0..10)).await;
    let scheduled = || {
        let listed = server.store.published().list();
        let with_accounts = listed.iter().filter(|one| one.table("accounts").is_some());
        with_accounts.count()
    };
    let started = Instant::now();
    while scheduled() < 3 {
        let is_soon = started.elapsed() < Duration::from_secs(120);
        assert!(is_soon, "{} were scheduled", scheduled());
        publish(&server.store, "events", 10, DAY);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (_, store) = server.shut_down().await;
    store.close().unwrap();
}

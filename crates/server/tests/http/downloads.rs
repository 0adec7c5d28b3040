//! Downloads under way: readers that pause, snapshots that go, servers that leave.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vitalog_server::ServerConfig;
use vitalog_store::StoreConfig;

use crate::support::http::Http;
use crate::support::snapshots::{bytes_of, paths, publish};
use crate::support::{TestServer, free_port};

const DAY: Duration = Duration::from_secs(86_400);
/// Rows of a file that no buffer between server and client holds.
const ROWS: usize = 2_500_000;

async fn serving(config: ServerConfig) -> TestServer {
    TestServer::with(config, StoreConfig::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_pauses_gets_one_version_whatever_goes() {
    let server = serving(free_port()).await;
    let snapshot = publish(&server.store, "events", ROWS, DAY);
    let path = paths(&server.store, &snapshot, "events").remove(0);
    let whole = bytes_of(&server.store, &path);
    assert!(whole.len() > 16 << 20, "{}", whole.len());
    let mut http = Http::connect(server.http).await;
    http.send("GET", &path, &[]).await;
    let head = http.head().await;
    assert_eq!(head.status, 200);
    let mut read = http.take(100_000).await;
    // The snapshot goes, file and all; the reader knows nothing of it.
    let now_us = server.store.clock().now_us();
    let published = server.store.published();
    published.delete(&snapshot.id, now_us, true).unwrap();
    let on_disk = server
        .store
        .directory()
        .path()
        .join(path.trim_start_matches('/'));
    assert!(!on_disk.exists());
    read.extend(http.take(whole.len() - read.len()).await);
    assert!(read == whole, "the bytes are those of the one version");
    // The connection goes on, the file does not.
    assert_eq!(http.get(&path).await.status, 410);
    assert_eq!(server.handle.calls_under_way(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_past_the_limit_wait_and_are_refused() {
    let server = serving(ServerConfig {
        downloads_max: 1,
        queue_wait: Duration::from_millis(10),
        ..free_port()
    })
    .await;
    let snapshot = publish(&server.store, "events", ROWS, DAY);
    let path = paths(&server.store, &snapshot, "events").remove(0);
    let mut paused = Http::connect(server.http).await;
    paused.send("GET", &path, &[]).await;
    assert_eq!(paused.head().await.status, 200);
    let mut http = Http::connect(server.http).await;
    let refused = http.get(&path).await;
    assert_eq!((refused.status, refused.reason().as_str()), (503, "BUSY"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(
        http.ask("HEAD", &path, &[]).await.status,
        200,
        "a head takes no turn"
    );
    // A reader that goes away makes room.
    drop(paused);
    loop {
        let answer = http.ask("GET", &path, &["Range: bytes=0-3"]).await;
        match answer.status {
            206 => break,
            status => assert_eq!(status, 503),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_breaks_off_a_reader_that_does_not_read() {
    let server = serving(ServerConfig {
        drain_timeout: Duration::from_millis(10),
        ..free_port()
    })
    .await;
    let snapshot = publish(&server.store, "events", ROWS, DAY);
    let path = paths(&server.store, &snapshot, "events").remove(0);
    let length = bytes_of(&server.store, &path).len();
    let mut http = Http::connect(server.http).await;
    http.send("GET", &path, &[]).await;
    let head = http.head().await;
    assert_eq!(
        head.header("content-length"),
        Some(length.to_string().as_str())
    );
    let (shutdown, _) = server.shut_down().await;
    assert_eq!(shutdown.abandoned, 1);
    let read = http.take(length).await;
    assert!(read.len() < length, "it ends before its announced length");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_past_the_limit_are_closed() {
    let server = serving(ServerConfig {
        connections_max: 1,
        ..free_port()
    })
    .await;
    let mut first = Http::connect(server.http).await;
    assert_eq!(first.get("/livez").await.status, 200);
    let mut second = Http::connect(server.http).await;
    let mut byte = [0; 1];
    // Closed without a word, or reset.
    assert_eq!(second.stream.read(&mut byte).await.unwrap_or(0), 0);
    assert_eq!(first.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_keep_pace_is_closed() {
    let server = serving(ServerConfig {
        request_wait: Duration::from_millis(50),
        ..free_port()
    })
    .await;
    // Half a head, and then byte by byte.
    let mut slow = Http::connect(server.http).await;
    slow.stream
        .write_all(b"GET /livez HTTP/1.1\r\nX: ")
        .await
        .unwrap();
    let mut byte = [0; 1];
    loop {
        tokio::select! {
            read = slow.stream.read(&mut byte) => {
                assert_eq!(read.unwrap_or(0), 0, "closed without an answer");
                break;
            }
            () = tokio::time::sleep(Duration::from_millis(5)) => {
                // It may be closed by now.
                let _ = slow.stream.write_all(b"x").await;
            }
        }
    }
    let server = serving(ServerConfig {
        reader_pause: Duration::from_millis(50),
        ..free_port()
    })
    .await;
    let snapshot = publish(&server.store, "events", ROWS, DAY);
    let path = paths(&server.store, &snapshot, "events").remove(0);
    let length = bytes_of(&server.store, &path).len();
    let mut paused = Http::connect(server.http).await;
    paused.send("GET", &path, &[]).await;
    assert_eq!(paused.head().await.status, 200);
    while server.handle.calls_under_way() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        paused.take(length).await.len() < length,
        "it was broken off"
    );
}

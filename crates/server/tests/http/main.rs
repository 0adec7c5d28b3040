//! The HTTP listener: published snapshots as BI tools pull them, and probes.
#![allow(clippy::unwrap_used)]

mod downloads;
mod files;
mod rights;

#[path = "../support/mod.rs"]
mod support;

use support::TestServer;
use support::http::Http;

#[tokio::test(flavor = "multi_thread")]
async fn probes_tell_a_server_that_leaves() {
    let mut server = TestServer::start().await;
    let mut http = Http::connect(server.http).await;
    assert_eq!(http.get("/livez").await.text(), "alive\n");
    assert_eq!(http.get("/readyz").await.status, 200);
    assert_eq!(
        http.ask("POST", "/livez", &["Content-Length: 0"])
            .await
            .status,
        405
    );
    let nothing = http.get("/").await;
    assert_eq!(
        (nothing.status, nothing.reason().as_str()),
        (404, "PATH_NOT_FOUND")
    );
    server.store.close().unwrap();
    let closed = http.get("/readyz").await;
    assert_eq!(
        (closed.status, closed.reason().as_str()),
        (503, "STORE_UNAVAILABLE")
    );
    server.ask_to_shut_down();
    let (shutdown, _) = server.ended().await;
    assert_eq!(shutdown.abandoned, 0);
}

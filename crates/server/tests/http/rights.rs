//! Who is let in: tokens, signed URLs, and hosts of other names.

use std::time::Duration;

use serde_json::Value;
use vitalog_server::{Access, Scope, ServerConfig, SigningKey, TokenLine, Tokens};
use vitalog_store::StoreConfig;

use crate::support::http::Http;
use crate::support::snapshots::{paths, publish};
use crate::support::{TestServer, free_port};

const DAY: Duration = Duration::from_secs(86_400);

fn access() -> Access {
    let line = |name, scope, token| TokenLine::new(name, &[scope], token).unwrap();
    let reader = line("bi", Scope::Read, "reads");
    let writer = line("etl", Scope::Write, "writes");
    Access::with_tokens(Tokens::parse(&format!("{reader}\n{writer}")).unwrap())
}

async fn guarded() -> TestServer {
    let config = ServerConfig {
        access: access(),
        signing_key: Some(SigningKey::from_secret(b"of the test")),
        public_url: Some("https://vitalog.example.com".to_owned()),
        ..free_port()
    };
    TestServer::with(config, StoreConfig::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_the_scope_opens() {
    let server = guarded().await;
    let snapshot = publish(&server.store, "events", 100, DAY);
    let file = paths(&server.store, &snapshot, "events").remove(0);
    let mut http = Http::connect(server.http).await;
    for path in [
        file.as_str(),
        "/snapshots/",
        "/snapshots/events/latest",
        "/snapshots/nothing",
    ] {
        for header in [
            "X-None: 1",
            "Authorization: Bearer wrong",
            "Authorization: Basic reads",
        ] {
            let denied = http.ask("GET", path, &[header]).await;
            assert_eq!(
                (denied.status, denied.reason().as_str()),
                (401, "UNAUTHENTICATED")
            );
            assert_eq!(
                denied.header("www-authenticate"),
                Some("Bearer realm=\"vitalog\"")
            );
        }
        let denied = http
            .ask("GET", path, &["Authorization: Bearer writes"])
            .await;
        assert_eq!(
            (denied.status, denied.reason().as_str()),
            (403, "PERMISSION_DENIED")
        );
    }
    let reads = "Authorization: Bearer reads";
    // With tokens it does not matter by what name the server is called.
    let opened = http
        .ask("GET", &file, &[reads, "Host: vitalog.example.com"])
        .await;
    assert_eq!(opened.status, 200);
    assert_eq!(http.get("/livez").await.status, 200, "probes have no token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_url_opens_its_own_path_for_its_time() {
    let server = guarded().await;
    publish(&server.store, "events", 100, DAY);
    let mut http = Http::connect(server.http).await;
    let reads = "Authorization: Bearer reads";
    let plain = http
        .ask("GET", "/snapshots/events/latest", &[reads])
        .await
        .json();
    let plain = plain["files"][0]["url"].as_str().unwrap().to_owned();
    let path = plain.strip_prefix("https://vitalog.example.com").unwrap();
    assert_eq!(http.get(path).await.status, 401);

    let signed = "/snapshots/events/latest?sign_for=600";
    let signed = http.ask("GET", signed, &[reads]).await.json();
    let urls: Vec<&str> = signed["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file: &Value| file["url"].as_str().unwrap())
        .collect();
    let local: Vec<&str> = urls
        .iter()
        .map(|url| url.strip_prefix("https://vitalog.example.com").unwrap())
        .collect();
    for url in &local {
        let part = http.ask("GET", url, &["Range: bytes=0-3"]).await;
        assert_eq!(
            (part.status, part.body.as_slice()),
            (206, &b"PAR1"[..]),
            "{url}"
        );
        assert_eq!(http.ask("HEAD", url, &[]).await.status, 200);
        assert_eq!(http.get(&url.replace("dt=", "dt%3D")).await.status, 200);
    }
    let (first, query) = local[0].split_once('?').unwrap();
    let (second, _) = local[1].split_once('?').unwrap();
    let longer = query.replacen("expires=1", "expires=2", 1);
    for (path, query) in [
        (second, query.to_owned()),
        (first, longer),
        (first, format!("{query}0")),
        (first, query.replace("signature", "sig")),
        (first, query.replace("expires", "expire")),
        ("/snapshots/", query.to_owned()),
    ] {
        let denied = http.get(&format!("{path}?{query}")).await;
        assert_eq!(denied.status, 401, "{path}?{query}");
    }
    let key = "sign_for=0";
    let wrong = http
        .ask("GET", &format!("/snapshots/?{key}"), &[reads])
        .await;
    assert_eq!(
        (wrong.status, wrong.reason().as_str()),
        (400, "INVALID_REQUEST")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_only_this_machine_is_answered() {
    let server = TestServer::start().await;
    publish(&server.store, "events", 10, DAY);
    let mut http = Http::connect(server.http).await;
    for host in ["Host: localhost", "Host: 127.0.0.1:1", "Host: [::1]:8080"] {
        let opened = http.ask("GET", "/snapshots/", &[host]).await;
        assert_eq!(opened.status, 200, "{host}");
    }
    let rebound = http
        .ask("GET", "/snapshots/", &["Host: evil.example.com"])
        .await;
    assert_eq!(
        (rebound.status, rebound.reason().as_str()),
        (421, "WRONG_HOST")
    );
    let unsigned = http.get("/snapshots/?sign_for=60").await;
    assert_eq!(
        unsigned.reason(),
        "SIGNING_UNAVAILABLE",
        "this server has no key"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_ends_with_its_token() {
    let access = access();
    let config = ServerConfig {
        access: access.clone(),
        signing_key: Some(SigningKey::from_secret(b"of the test")),
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let snapshot = publish(&server.store, "events", 2_500_000, DAY);
    let path = paths(&server.store, &snapshot, "events").remove(0);
    let reads = "Authorization: Bearer reads";
    let mut http = Http::connect(server.http).await;
    let listed = http
        .ask("GET", "/snapshots/events/latest?sign_for=60", &[reads])
        .await;
    let signed = listed.json()["files"][0]["url"].as_str().map(str::to_owned);
    let signed = signed.unwrap();
    let signed = &signed[signed.find("/snapshots/").unwrap()..];
    let mut open = Vec::new();
    for (path, headers) in [(path.as_str(), &[reads][..]), (signed, &[])] {
        let mut http = Http::connect(server.http).await;
        http.send("GET", path, headers).await;
        let length: usize = http
            .head()
            .await
            .header("content-length")
            .unwrap()
            .parse()
            .unwrap();
        open.push((http, length));
    }
    access.replace_tokens(Tokens::parse("").unwrap());
    let mut read = Vec::new();
    for (http, length) in &mut open {
        read.push((http.take(*length).await.len(), *length));
    }
    assert!(
        read[0].0 < read[0].1,
        "{read:?}: it ends before its announced length"
    );
    assert_eq!(read[1].0, read[1].1, "a signed URL needs no token");
}

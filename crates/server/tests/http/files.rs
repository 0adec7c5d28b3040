//! Files as HTTP serves them: whole, in parts, on conditions, and not at all.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::support::TestServer;
use crate::support::http::{Answer, Http};
use crate::support::snapshots::{bytes_of, paths, publish};

const DAY: Duration = Duration::from_secs(86_400);
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn facts(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("cache-control").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_names_files_that_are_what_it_says() {
    let server = TestServer::start().await;
    let mut http = Http::connect(server.http).await;
    let none = http.get("/snapshots/events/latest").await;
    assert_eq!(
        (none.status, none.reason().as_str()),
        (404, "SNAPSHOT_NOT_FOUND")
    );
    publish(&server.store, "events", 100, DAY);
    let snapshot = publish(&server.store, "events", 1_000, DAY);
    let other = publish(&server.store, "users", 10, DAY);

    let latest = http.get("/snapshots/events/latest").await;
    assert_eq!(facts(&latest), (200, "no-cache"));
    assert_eq!(latest.header("content-type"), Some("application/json"));
    let manifest = latest.json();
    assert_eq!(manifest["id"], snapshot.id.as_str());
    assert_eq!(manifest["table"], "events");
    assert_eq!(manifest["rows"], 2_000);
    let files = manifest["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    for file in files {
        let url = file["url"].as_str().unwrap();
        let whole = http.get(url).await;
        assert_eq!(facts(&whole), (200, IMMUTABLE));
        assert_eq!(
            whole.header("content-type"),
            Some("application/vnd.apache.parquet")
        );
        assert_eq!(whole.header("accept-ranges"), Some("bytes"));
        assert_eq!(whole.body, bytes_of(&server.store, url));
        assert_eq!(file["bytes"], whole.body.len());
        assert_eq!(file["sha256"], hash(&whole.body));
        let etag = format!("\"{}\"", hash(&whole.body));
        assert_eq!(whole.header("etag"), Some(etag.as_str()));
        let head = http.ask("HEAD", url, &[]).await;
        assert_eq!(head.header("etag"), Some(etag.as_str()));
        assert_eq!(
            head.header("content-length"),
            whole.header("content-length")
        );
    }
    // The manifest on disk is served as it is, and never changes.
    let url = manifest["url"].as_str().unwrap();
    let stored = http.get(url).await;
    assert_eq!(facts(&stored), (200, IMMUTABLE));
    assert_eq!(stored.body, bytes_of(&server.store, url));
    assert_eq!(stored.json()["files"][0]["path"], files[0]["path"]);
    // The list, the newest first, and one of it.
    let list = http.get("/snapshots/").await.json();
    let ids: Vec<&str> = list["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[..2], [other.id.as_str(), snapshot.id.as_str()]);
    let url = list["snapshots"][1]["url"].as_str().unwrap();
    let catalog = http.get(url).await.json();
    assert_eq!(catalog["tables"][0]["table"], "events");
    assert_eq!(catalog["tables"][0]["url"], manifest["url"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_parts_of_the_whole() {
    let server = TestServer::start().await;
    let snapshot = publish(&server.store, "events", 120_000, DAY);
    let path = &paths(&server.store, &snapshot, "events")[0];
    let whole = bytes_of(&server.store, path);
    let length = whole.len();
    assert!(
        length > 3 * (256 << 10),
        "it takes several pieces: {length}"
    );
    // One connection for all.
    let mut http = Http::connect(server.http).await;
    for (range, wanted) in [
        ("bytes=0-3", 0..4),
        ("bytes=-8", length - 8..length),
        ("bytes=100000-699999", 100_000..700_000),
        ("bytes=262144-", 262_144..length),
        ("bytes=5-99999999999", 5..length),
        ("bytes=-99999999999", 0..length),
    ] {
        let part = http.ask("GET", path, &[&format!("Range: {range}")]).await;
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(part.body, whole[wanted.clone()], "{range}");
        let expected = format!("bytes {}-{}/{length}", wanted.start, wanted.end - 1);
        assert_eq!(part.header("content-range"), Some(expected.as_str()));
    }
    for range in ["bytes=0-1,5-6", "items=0-1", "bytes=9-1"] {
        let all = http.ask("GET", path, &[&format!("Range: {range}")]).await;
        assert_eq!((all.status, all.body.len()), (200, length), "{range}");
        assert_eq!(all.header("content-range"), None);
    }
    for range in [format!("bytes={length}-"), "bytes=-0".to_owned()] {
        let none = http.ask("GET", path, &[&format!("Range: {range}")]).await;
        assert_eq!((none.status, none.body.len()), (416, 0), "{range}");
        let expected = format!("bytes */{length}");
        assert_eq!(none.header("content-range"), Some(expected.as_str()));
    }
    let head = http.ask("HEAD", path, &["Range: bytes=0-1"]).await;
    assert_eq!(head.status, 200, "only GET has ranges");
    assert_eq!(
        head.header("content-length"),
        Some(length.to_string().as_str())
    );
    // The same by an encoded path.
    let encoded = path.replace('=', "%3D");
    let part = http.ask("GET", &encoded, &["Range: bytes=0-3"]).await;
    assert_eq!((part.status, part.body.as_slice()), (206, &b"PAR1"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_save_the_body() {
    let server = TestServer::start().await;
    let snapshot = publish(&server.store, "events", 100, DAY);
    let file = paths(&server.store, &snapshot, "events").remove(0);
    let mut http = Http::connect(server.http).await;
    for path in [file.as_str(), "/snapshots/events/latest"] {
        let etag = http.get(path).await.header("etag").unwrap().to_owned();
        assert!(etag.starts_with('"') && etag.len() == 66, "{etag}");
        let ask = async |http: &mut Http, line: String| {
            http.ask("GET", path, &[&line, "Range: bytes=0-3"]).await
        };
        let known = ask(&mut http, format!("If-None-Match: \"x\", {etag}")).await;
        assert_eq!(known.status, 304, "{path}");
        assert_eq!(known.header("etag"), Some(etag.as_str()));
        let unknown = ask(&mut http, "If-None-Match: \"x\"".to_owned()).await;
        assert_eq!(unknown.status, 206, "{path}");
        let same = ask(&mut http, format!("If-Match: {etag}")).await;
        assert_eq!(same.status, 206, "{path}");
        let other = ask(&mut http, "If-Match: \"x\"".to_owned()).await;
        assert_eq!((other.status, other.body.len()), (412, 0), "{path}");
        let same = ask(&mut http, format!("If-Range: {etag}")).await;
        assert_eq!(same.status, 206, "{path}");
        let other = ask(&mut http, "If-Range: \"x\"".to_owned()).await;
        assert_eq!(other.status, 200, "what changed comes whole: {path}");
    }
    // What latest stands for changes, and so does its entity tag.
    let etag = http.get("/snapshots/events/latest").await;
    let etag = etag.header("etag").unwrap().to_owned();
    publish(&server.store, "events", 100, DAY);
    let condition = format!("If-None-Match: {etag}");
    let changed = http
        .ask("GET", "/snapshots/events/latest", &[&condition])
        .await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), Some(etag.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_and_what_never_was() {
    let server = TestServer::start().await;
    let snapshot = publish(&server.store, "events", 100, DAY);
    let id = snapshot.id.as_str();
    let file = paths(&server.store, &snapshot, "events").remove(0);
    let manifest = format!("/snapshots/events/{id}/manifest.json");
    let catalog = format!("/snapshots/catalog/{id}.json");
    let mut http = Http::connect(server.http).await;
    for path in [&file, &manifest, &catalog] {
        assert_eq!(http.get(path).await.status, 200, "{path}");
    }
    let day = file.rsplit('/').nth(1).unwrap();
    for (path, reason) in [
        (
            format!("/snapshots/users/{id}/manifest.json"),
            "TABLE_NOT_FOUND",
        ),
        (
            format!("/snapshots/events/{id}/{day}/part-0000000000000000.parquet"),
            "FILE_NOT_FOUND",
        ),
        (
            format!("/snapshots/events/{id}/{day}/..%2Fmanifest.json"),
            "PATH_NOT_FOUND",
        ),
        (
            "/snapshots/events/20250301T093000Z-1/manifest.json".to_owned(),
            "SNAPSHOT_NOT_FOUND",
        ),
        (
            "/snapshots/events/wal/manifest.json".to_owned(),
            "SNAPSHOT_NOT_FOUND",
        ),
        (
            "/snapshots/catalog/none.json".to_owned(),
            "SNAPSHOT_NOT_FOUND",
        ),
        ("/snapshots/../LOCK".to_owned(), "PATH_NOT_FOUND"),
        ("/snapshots/%2e%2e/LOCK".to_owned(), "PATH_NOT_FOUND"),
        (
            format!("/snapshots/events/{id}/../../../LOCK"),
            "PATH_NOT_FOUND",
        ),
        (format!("/snapshots/revoked/{id}.json"), "PATH_NOT_FOUND"),
    ] {
        let answer = http.get(&path).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (404, reason),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = http.ask(method, &file, &["Content-Length: 0"]).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD"))
        );
    }
    let now_us = server.store.clock().now_us();
    let reason = vitalog_store::RevocationReason::Erased;
    server
        .store
        .published()
        .revoke(&snapshot.id, reason, now_us)
        .unwrap();
    for path in [&file, &manifest, &catalog] {
        let gone = http.get(path).await;
        assert_eq!(
            (gone.status, gone.reason().as_str()),
            (410, "SNAPSHOT_GONE"),
            "{path}"
        );
        assert_eq!(gone.json()["error"]["why"], "erased");
        assert_eq!(http.ask("HEAD", path, &[]).await.status, 410);
    }
    let latest = http.get("/snapshots/events/latest").await;
    assert_eq!(latest.status, 404, "nothing is left to be the latest");
}

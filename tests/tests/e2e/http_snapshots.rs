//! Published snapshots from outside: made on the command line, pulled over HTTP with a token,
//! downloaded, taken up again, deleted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::Value;
use vitalog_tests::{Outcome, Vitalog};

use crate::{Place, text};

/// An answer of HTTP.
pub(crate) struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).unwrap();
        status.parse().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends a request and reads nothing of its answer.
pub(crate) fn ask(address: SocketAddr, path: &str, header: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

pub(crate) fn get(address: SocketAddr, path: &str, header: &str) -> Answer {
    let mut stream = ask(address, path, header);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let body = bytes.split_off(end);
    let head = String::from_utf8(bytes).unwrap();
    Answer { head, body }
}

fn json(vitalog: &Vitalog, arguments: &[&str]) -> Value {
    let text = vitalog.stdout_of(&[&["snapshot"][..], arguments, &["--format", "json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Every file below `folder`, relative to it, with its bytes.
fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = text(path.strip_prefix(folder).unwrap());
                files.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn token(vitalog: &Vitalog, name: &str, scope: &str) -> (String, String) {
    let made = vitalog.stdout_of(&["token", "new", "--name", name, "--scope", scope]);
    let value = |word: &str| {
        let found = made.lines().find_map(|line| line.strip_prefix(word));
        found.unwrap().trim().to_owned()
    };
    (value("token"), value("line"))
}

#[test]
fn a_directory_and_a_server_publish_alike() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let events = place.write_events("events.jsonl", 0..300);
    vitalog.stdout_of(&["import", &events]);
    let empty = vitalog.stdout_of(&["snapshot", "list"]);
    assert!(empty.contains("snapshot create"), "{empty}");
    let local = json(&vitalog, &["create", "--table", "events", "--lease", "2h"]);
    assert_eq!(local["seq"], 300);
    assert_eq!(local["tables"][0]["rows"], 300);
    let id = local["id"].as_str().unwrap();

    let to = text(&place.path("local"));
    vitalog.stdout_of(&["snapshot", "get", id, "--to", &to]);
    let downloaded = files_below(&place.path("local"));
    let published = vitalog.data().join("snapshots/events").join(id);
    let stored: Vec<(String, Vec<u8>)> = files_below(&published)
        .into_iter()
        .map(|(name, bytes)| (format!("events/{id}/{name}"), bytes))
        .collect();
    assert_eq!(downloaded, stored);

    let mut serving = vitalog.serve();
    let url = serving.url();
    let remote = json(&vitalog, &["create", "--table", "events", "--url", &url]);
    assert_eq!(remote["tables"], local["tables"]);
    let list = json(&vitalog, &["list", "--url", &url]);
    let ids: Vec<&Value> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, [&remote["id"], &local["id"]]);
    assert_eq!(json(&vitalog, &["get", id, "--url", &url]), local);

    // A download that was broken off is taken up: what is there stays, what is wrong is mended.
    let to = text(&place.path("remote"));
    let get = ["snapshot", "get", id, "--to", &to, "--url", &url];
    vitalog.stdout_of(&get);
    assert_eq!(files_below(&place.path("remote")), downloaded);
    let name = |at: usize| place.path("remote").join(&downloaded[at].0);
    let half = &downloaded[0].1[..downloaded[0].1.len() / 2];
    std::fs::remove_file(name(0)).unwrap();
    std::fs::write(format!("{}.part", text(&name(0))), half).unwrap();
    std::fs::write(name(1), "something else").unwrap();
    vitalog.stdout_of(&get);
    assert_eq!(files_below(&place.path("remote")), downloaded);

    let shown = vitalog.stdout_of(&["snapshot", "delete", id, "--url", &url]);
    assert!(shown.contains(id), "{shown}");
    let gone = vitalog.run(&["snapshot", "get", id, "--url", &url]);
    assert_eq!(gone.code, 1);
    assert!(gone.stderr.contains("was deleted"), "{gone:?}");
    let shown = vitalog.stdout_of(&["snapshot", "list", "--url", &url]);
    assert!(
        shown.contains("leased until") && !shown.contains(id),
        "{shown}"
    );
}

#[test]
fn bi_tools_pull_with_a_token_or_a_signed_url() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let events = place.write_events("events.jsonl", 0..300);
    vitalog.stdout_of(&["import", &events]);
    let (reads, reader) = token(&vitalog, "bi", "read");
    let (admin, operator) = token(&vitalog, "ops", "admin");
    let tokens = place.write("tokens", format!("# who may call\n{reader}\n{operator}\n"));
    let guarded = vitalog
        .clone()
        .with_setting("VITALOG_AUTH__TOKENS_FILE", &tokens)
        .with_setting("VITALOG_SNAPSHOT__TABLES", "events");
    let mut serving = guarded.serve();
    let (url, http) = (serving.url(), serving.http_address());

    let with = |token: &str| vitalog.clone().with_setting("VITALOG_TOKEN", token);
    let create = ["snapshot", "create", "--url", &url];
    let denied: [Outcome; 2] = [vitalog.run(&create), with(&reads).run(&create)];
    for (outcome, words) in denied.iter().zip(["bearer token", "lacks the scope write"]) {
        assert_eq!(outcome.code, 1, "{outcome:?}");
        assert!(outcome.stderr.contains(words), "{outcome:?}");
    }
    let made = json(&with(&admin), &["create", "--url", &url]);
    let rows = with(&reads).stdout_of(&["sql", "--url", &url, "-c", "SELECT 7 AS n"]);
    assert!(rows.contains('7'), "a reader may ask: {rows}");

    let path = "/snapshots/events/latest";
    assert_eq!(get(http, path, "X-None: 1").status(), 401);
    let bearer = format!("Authorization: Bearer {reads}");
    let latest = get(http, path, &bearer).json();
    assert_eq!(latest["id"], made["id"]);
    for file in latest["files"].as_array().unwrap() {
        let url = file["url"].as_str().unwrap();
        assert_eq!(get(http, url, "X-None: 1").status(), 401);
        let whole = get(http, url, &bearer);
        assert_eq!(whole.status(), 200);
        assert_eq!(file["bytes"].as_u64(), Some(whole.body.len() as u64));
        let stored = vitalog.data().join(url.trim_start_matches('/'));
        assert_eq!(whole.body, std::fs::read(stored).unwrap());
    }
    let signed = get(http, "/snapshots/events/latest?sign_for=60", &bearer).json();
    let url = signed["files"][0]["url"].as_str().unwrap();
    let part = get(http, url, "Range: bytes=-4");
    assert_eq!((part.status(), part.body.as_slice()), (206, &b"PAR1"[..]));
    assert_eq!(get(http, "/readyz", "X-None: 1").status(), 200);

    serving.signal("TERM");
    let ended = serving.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        !ended.stderr.contains(&reads),
        "no secret is logged: {ended:?}"
    );
}

#[test]
fn the_schedule_publishes_by_itself() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let events = place.write_events("events.jsonl", 0..10);
    vitalog.stdout_of(&["import", &events]);
    let scheduled = vitalog
        .with_setting("VITALOG_SNAPSHOT__EVERY", "1h")
        .with_setting("VITALOG_SNAPSHOT__TABLES", "events");
    let mut serving = scheduled.serve();
    let (_, http) = (serving.address(), serving.http_address());
    let latest = loop {
        let answer = get(http, "/snapshots/events/latest", "X-None: 1");
        if answer.status() == 200 {
            break answer.json();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(latest["rows"], 10);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let place = Place::new();
    for (name, value, words) in [
        ("VITALOG_SNAPSHOT__LEASE", "3d", "erasure"),
        ("VITALOG_SNAPSHOT__KEEP", "0", "at least 1"),
        ("VITALOG_SNAPSHOT__TABLES", "event", "there is no table"),
        ("VITALOG_AUTH__TOKENS_FILE", "/nowhere", "/nowhere"),
        ("VITALOG_SERVER__PUBLIC_URL", "example.com", "public_url"),
    ] {
        let refused = place.vitalog().with_setting(name, value).run(&["serve"]);
        assert_eq!(refused.code, 1, "{name}: {refused:?}");
        assert!(refused.stderr.contains(words), "{name}: {refused:?}");
    }
    assert!(!place.path("data").exists(), "a refused start made a store");
}

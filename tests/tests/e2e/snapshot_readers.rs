//! What BI tools read of a published snapshot (`peers/snapshot_readers.py`): pyarrow, Polars,
//! DuckDB and pandas over HTTP with a token and from the directory, while rows become cold, late
//! ones arrive and the next snapshot is published; deltalake reads every version of the log.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use vitalog_tests::{Vitalog, python, skip};

use crate::{Place, text};

const READERS: [&str; 5] = ["files", "pyarrow", "polars", "duckdb", "pandas"];

/// The script that reads, and what it says, one JSON object a line.
struct Reading {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Reading {
    fn start(python: &Path, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/snapshot_readers.py");
        let mut child = Command::new(python)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let length = self.lines.read_line(&mut line).unwrap();
        (length > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    /// Lets a reader that waits go on.
    fn go_on(&mut self) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(b"go on\n").unwrap();
        stdin.flush().unwrap();
    }

    /// Everything said, where the script ended well.
    fn all(mut self) -> Vec<Value> {
        let mut said = Vec::new();
        while let Some(value) = self.next() {
            said.push(value);
        }
        self.end(&said);
        said
    }

    /// Makes sure that it ended well.
    fn end(mut self, said: &[Value]) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{said:#?}");
    }
}

/// A store of three batches: cold files, hot files and memory, and a token that reads.
fn prepared(place: &Place) -> (Vitalog, String) {
    let plain = place.vitalog();
    let made = plain.stdout_of(&["token", "new", "--name", "bi", "--scope", "admin"]);
    let value = |word: &str| {
        let found = made.lines().find_map(|line| line.strip_prefix(word));
        found.unwrap().trim().to_owned()
    };
    let tokens = place.write("tokens", value("line"));
    let vitalog = plain.with_setting("VITALOG_AUTH__TOKENS_FILE", &tokens);
    vitalog.stdout_of(&["import", &place.write_events("first.jsonl", 0..800)]);
    vitalog.stdout_of(&["compact", "--all"]);
    vitalog.stdout_of(&["import", &place.write_events("second.jsonl", 800..1_000)]);
    (vitalog, value("token"))
}

#[test]
fn every_reader_finds_one_version_while_the_store_goes_on() {
    let name = "snapshot_readers::every_reader_finds_one_version_while_the_store_goes_on";
    let python = match python() {
        Ok(python) => python,
        Err(reason) => return skip(name, &reason),
    };
    let place = Place::new();
    let (vitalog, token) = prepared(&place);
    vitalog.stdout_of(&["snapshot", "create", "--table", "events"]);
    // A file that is cold is not written again: the snapshot has another name for it.
    let cold = std::fs::read_dir(vitalog.data().join("cold"))
        .unwrap()
        .count()
        / 2;
    assert!(cold > 0, "days are cold");
    assert_eq!(linked_files(&vitalog.data().join("snapshots/events")), cold);

    let mut serving = vitalog.serve();
    let grpc = serving.url();
    let http = format!("http://{}", serving.http_address());
    let snapshots = text(&vitalog.data().join("snapshots"));
    let both = ["--url", &http, "--token", &token, "--directory", &snapshots];
    let mut reading = Reading::start(&python, &[&both[..], &["--wait"]].concat());
    // Each reader stops half-way, once over HTTP and once in the directory; meanwhile rows arrive,
    // become cold, and are published again.
    let mut said = Vec::new();
    let mut step = 1_000;
    while let Some(value) = reading.next() {
        if value["waiting"] == true {
            let late = place.write_events("late.jsonl", step..step + 50);
            step += 50;
            let remote = vitalog.clone().with_setting("VITALOG_TOKEN", &token);
            remote.stdout_of(&["import", "--url", &grpc, &late]);
            remote.stdout_of(&["compact", "--all", "--url", &grpc]);
            if step % 200 == 0 {
                remote.stdout_of(&["snapshot", "create", "--table", "events", "--url", &grpc]);
            }
            reading.go_on();
        }
        said.push(value);
    }
    reading.end(&said);
    assert_eq!(said.last().unwrap()["equal"], true, "{said:#?}");
    for from in ["http", "directory"] {
        for reader in READERS {
            let found = said.iter().find(|value| {
                value["reader"] == reader && value["from"] == from && value["rows"].is_u64()
            });
            assert!(found.is_some(), "{reader} over {from}: {said:#?}");
        }
    }
}

#[test]
fn deltalake_travels_in_time_over_the_same_files() {
    let name = "snapshot_readers::deltalake_travels_in_time_over_the_same_files";
    let python = match python() {
        Ok(python) => python,
        Err(reason) => return skip(name, &reason),
    };
    let place = Place::new();
    let (vitalog, _) = prepared(&place);
    vitalog.stdout_of(&["snapshot", "create", "--table", "events"]);
    vitalog.stdout_of(&["import", &place.write_events("third.jsonl", 1_000..1_200)]);
    vitalog.stdout_of(&["snapshot", "create", "--table", "events"]);
    let snapshots = text(&vitalog.data().join("snapshots"));
    let said = Reading::start(&python, &["--directory", &snapshots, "--delta"]).all();
    assert_eq!(said.last().unwrap()["equal"], true, "{said:#?}");
    let rows: Vec<&Value> = said
        .iter()
        .filter(|value| value["reader"] == "deltalake")
        .map(|value| &value["rows"])
        .collect();
    assert_eq!(rows, [1_000, 1_200], "{said:#?}");
}

/// Files below `folder` that have a second name.
fn linked_files(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += linked_files(&path);
        } else {
            count += usize::from(has_two_names(&path));
        }
    }
    count
}

#[cfg(unix)]
fn has_two_names(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().nlink() == 2
}

#[cfg(not(unix))]
fn has_two_names(_: &Path) -> bool {
    true
}

//! The product from outside: the binary, a store on disk, gRPC, and what a user may do to them.
//!
//! One binary of modules, because linking it takes longer than running most of it.
#![allow(clippy::unwrap_used)]

mod backup;
mod bad_input;
mod clients;
mod damage;
mod demo;
mod erase;
mod funnels;
mod health;
mod health_peers;
mod http_snapshots;
mod kill;
mod models;
mod real_data;
mod serve;
mod snapshot_readers;
mod sql;
mod tls;
mod upkeep;
mod usage;
mod writers;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vitalog_tests::{Event, Outcome, Vitalog};

/// A folder of one test: the store in `data`, and room for files beside it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary on the store `data` of this place.
    fn vitalog(&self) -> Vitalog {
        vitalog(&self.path("data"))
    }

    /// Writes a file and returns its path as an argument.
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        text(&path)
    }

    /// Writes numbered events as JSON Lines and returns the file's path as an argument.
    fn write_events(&self, name: &str, numbers: impl IntoIterator<Item = u64>) -> String {
        let mut lines = String::new();
        for number in numbers {
            lines.push_str(&Event::numbered(number).to_json_line());
            lines.push('\n');
        }
        self.write(name, lines)
    }
}

fn vitalog(data: &Path) -> Vitalog {
    Vitalog::new(env!("CARGO_BIN_EXE_vitalog-under-test"), data)
}

fn text(path: &Path) -> String {
    path.to_str()
        .expect("a path of a temporary folder is UTF-8")
        .to_owned()
}

/// The command ended with `code`, and each of `words` stands on stderr.
fn assert_failed(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, code, "{outcome:?}");
    for word in words {
        assert!(
            outcome.stderr.contains(word),
            "{word:?} is not in {outcome:?}"
        );
    }
}

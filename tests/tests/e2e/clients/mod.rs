//! The clients of other languages against the binary, one test for each script of
//! `tests/clients`, and the pages of `docs/clients`, whose code is run as it stands.
//!
//! Each test starts a server of its own with a token, and names it to the script through
//! `VITALOG_GRPC`, `VITALOG_HTTP` and `VITALOG_TOKEN`. What a client must show stands in its
//! script; here stands only how it is started.

mod go;
mod java;
mod node;
mod pages;
mod python;
mod rust;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use vitalog_tests::{Page, Serving};

use crate::Place;

/// A server with a token, for one client.
struct Guarded {
    place: Place,
    _serving: Serving,
    grpc: String,
    http: String,
    token: String,
}

impl Guarded {
    /// Starts the binary on an empty store.
    fn start() -> Self {
        let place = Place::new();
        let plain = place.vitalog();
        let made = plain.stdout_of(&["token", "new", "--name", "client", "--scope", "admin"]);
        let value = |word: &str| {
            let found = made.lines().find_map(|line| line.strip_prefix(word));
            found.unwrap().trim().to_owned()
        };
        let tokens = place.write("tokens", value("line"));
        let vitalog = plain.with_setting("VITALOG_AUTH__TOKENS_FILE", &tokens);
        let mut serving = vitalog.serve();
        Self {
            grpc: serving.address().to_string(),
            http: serving.http_address().to_string(),
            token: value("token"),
            place,
            _serving: serving,
        }
    }

    /// Runs a client to its end, which must be a good one; what it printed.
    fn run(&self, command: &mut Command) -> String {
        let output = command
            .env("VITALOG_GRPC", &self.grpc)
            .env("VITALOG_HTTP", &self.http)
            .env("VITALOG_TOKEN", &self.token)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert!(
            output.status.success(),
            "{}\n{stdout}\n{stderr}",
            output.status
        );
        stdout
    }

    /// A page with the addresses of this server in the place of the usual ones.
    fn page(&self, name: &str) -> Page {
        Page::of_client(name)
            .with("127.0.0.1:50051", &self.grpc)
            .with("127.0.0.1:8080", &self.http)
    }
}

/// The folder of the scripts of a language.
fn scripts(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(language)
}

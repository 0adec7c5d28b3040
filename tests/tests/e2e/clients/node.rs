//! The clients of Node, each a file of `tests/clients/node`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vitalog_tests::{clients_node, skip};

use super::{Guarded, scripts};
use crate::Place;

/// A folder in which Node finds the scripts, the clients, and the contract in `proto`.
pub(super) fn folder(place: &Place, modules: &Path) -> PathBuf {
    let folder = place.path("node");
    fs::create_dir(&folder).unwrap();
    link(&modules.join("node_modules"), &folder.join("node_modules"));
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    link(&contract.canonicalize().unwrap(), &folder.join("proto"));
    for entry in fs::read_dir(scripts("node")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "mjs") {
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
    folder
}

#[cfg(unix)]
fn link(target: &Path, name: &Path) {
    std::os::unix::fs::symlink(target, name).unwrap();
}

#[cfg(not(unix))]
fn link(target: &Path, name: &Path) {
    vitalog_tests::copy_directory(target, name).unwrap();
}

/// Runs every test of a file against a server.
fn run(file: &str) {
    let modules = match clients_node() {
        Ok(modules) => modules,
        Err(reason) => return skip(&format!("clients::node::{file}"), &reason),
    };
    let server = Guarded::start();
    let folder = folder(&server.place, &modules);
    server.run(
        Command::new("node")
            .args(["--test", "--test-reporter=spec"])
            // Holds for the file as for each test in it.
            .args(["--test-timeout=540000", file])
            .current_dir(folder),
    );
}

#[test]
fn flight_sql() {
    run("flight_sql.test.mjs");
}

#[test]
fn grpc() {
    run("grpc.test.mjs");
}

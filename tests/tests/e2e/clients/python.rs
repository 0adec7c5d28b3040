//! The clients of Python, each a module of `tests/clients/python`.

use std::path::Path;
use std::process::Command;

use vitalog_tests::{clients_node, clients_python, skip};

use super::{Guarded, node, scripts};

/// A command of the Python that has the clients; it leaves nothing in the folder of the scripts.
pub(super) fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs every test of a module against a server.
fn run(module: &str) {
    let python = match clients_python() {
        Ok(python) => python,
        Err(reason) => return skip(&format!("clients::python::{module}"), &reason),
    };
    let mut command = command(&python);
    command
        .args(["-m", "unittest", "--verbose", module])
        .current_dir(scripts("python"));
    let server = Guarded::start();
    if let Ok(modules) = clients_node() {
        command.env(
            "VITALOG_CLIENTS_NODE",
            node::folder(&server.place, &modules),
        );
    } else {
        command.env_remove("VITALOG_CLIENTS_NODE");
    }
    server.run(&mut command);
}

#[test]
fn adbc() {
    run("test_adbc");
}

#[test]
fn pyarrow_flight() {
    run("test_flight");
}

#[test]
fn sqlalchemy() {
    run("test_sqlalchemy");
}

#[test]
fn grpc() {
    run("test_grpc");
}

#[test]
fn http() {
    run("test_http");
}

#[test]
fn duckdb() {
    run("test_duckdb");
}

#[test]
fn what_is_acknowledged_is_seen_by_every_client() {
    run("test_visible");
}

//! `cargo xtask test`: sets up what the tests need, runs all of them, and counts.
//!
//! The last line it prints is `N passed, N failed, N skipped`, doctests included. A test that
//! cannot run where it finds itself (no Python, no data set) appends one line, its name and the
//! reason, to the file that `VITALOG_SKIPPED_TESTS` names and returns; the runner takes it for
//! passed, and here it becomes what it was: skipped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::counts::Counts;
use crate::{clients, peers, process};

/// Names the Python with DuckDB, pandas and pyarrow, to the tests.
const PYTHON_VARIABLE: &str = "VITALOG_PYTHON";
/// Names the Python with the clients of Vitalog, to the tests.
const CLIENTS_PYTHON_VARIABLE: &str = "VITALOG_CLIENTS_PYTHON";
/// Names the folder with the clients of Node, to the tests.
const CLIENTS_NODE_VARIABLE: &str = "VITALOG_CLIENTS_NODE";
/// Names the folder with what the code of Java needs, to the tests.
const CLIENTS_JAVA_VARIABLE: &str = "VITALOG_CLIENTS_JAVA";
/// Names the file to which a test that cannot run appends why.
const SKIPPED_VARIABLE: &str = "VITALOG_SKIPPED_TESTS";

/// Runs every test of the workspace; returns whether all went well.
pub fn run(root: &Path) -> Result<bool> {
    let environment = Environment {
        python: peers::prepare(root)?,
        clients: clients::prepare(root)?,
        skipped: empty_skipped_file(root)?,
    };
    let mut total = if process::runs("cargo-nextest", &["nextest", "--version"]) {
        run_nextest(root, &environment)?
    } else {
        println!("cargo-nextest is not installed; running the tests with `cargo test`");
        run_cargo_test(root, &environment, IN_CODE)?
    };
    total += run_cargo_test(root, &environment, &["--doc"])?;

    let skipped = read_skipped(&environment.skipped)?;
    for line in &skipped {
        println!("skipped: {line}");
    }
    total.skip_passed(skipped.len() as u64);
    println!("{total}");
    Ok(total.failed == 0)
}

/// Every kind of target but benches, which `--all-targets` would start too; doctests come after.
const IN_CODE: &[&str] = &["--lib", "--bins", "--tests", "--examples"];

/// What the tests are told through environment variables.
struct Environment {
    python: Option<PathBuf>,
    clients: clients::Clients,
    skipped: PathBuf,
}

impl Environment {
    fn tell(&self, command: &mut std::process::Command) {
        command.env(SKIPPED_VARIABLE, &self.skipped);
        for (name, path) in [
            (PYTHON_VARIABLE, &self.python),
            (CLIENTS_PYTHON_VARIABLE, &self.clients.python),
            (CLIENTS_NODE_VARIABLE, &self.clients.node),
            (CLIENTS_JAVA_VARIABLE, &self.clients.java),
        ] {
            match path {
                Some(path) => command.env(name, path),
                None => command.env_remove(name),
            };
        }
    }
}

fn run_nextest(root: &Path, environment: &Environment) -> Result<Counts> {
    let mut command = process::cargo(root);
    command.args([
        "nextest",
        "run",
        "--workspace",
        "--no-fail-fast",
        "--no-tests=pass",
    ]);
    environment.tell(&mut command);
    announce(&command);
    let finished = process::show_and_read(&mut command)?;
    Ok(reported(
        Counts::of_nextest(&finished),
        finished.success,
        &command,
    ))
}

fn run_cargo_test(root: &Path, environment: &Environment, targets: &[&str]) -> Result<Counts> {
    let mut command = process::cargo(root);
    command
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(targets);
    environment.tell(&mut command);
    announce(&command);
    let finished = process::show_and_read(&mut command)?;
    Ok(reported(
        Counts::of_cargo_test(&finished),
        finished.success,
        &command,
    ))
}

fn announce(command: &std::process::Command) {
    println!("running `{}`", process::words(command));
}

fn reported(counts: Counts, success: bool, command: &std::process::Command) -> Counts {
    if !success {
        println!("`{}` failed: {counts}", process::words(command));
    }
    counts
}

fn empty_skipped_file(root: &Path) -> Result<PathBuf> {
    let path = root.join("target/skipped-tests.txt");
    std::fs::create_dir_all(root.join("target")).context("create the directory target")?;
    std::fs::write(&path, "").with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// One line a skipped test, in order of name.
fn read_skipped(path: &Path) -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_test_is_counted_once() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("skipped.txt");
        std::fs::write(&path, "b: no data\na: no Python\n\nb: no data\n").expect("write");
        let lines: Vec<String> = read_skipped(&path).expect("read").into_iter().collect();
        assert_eq!(lines, ["a: no Python", "b: no data"]);
    }
}

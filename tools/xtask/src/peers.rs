//! The peers of the tests: a Python with DuckDB, ClickHouse (as chdb), pandas and pyarrow, for
//! answers that can be had twice.
//!
//! A virtual environment in `target/peers`, made from `tests/peers/requirements.txt` and kept
//! until that file, or the Python, changes. Nothing outside `target` is touched. A machine that
//! cannot have it still runs every other test: `prepare` then says why, and returns nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

const REQUIREMENTS: &str = "tests/peers/requirements.txt";
const ENVIRONMENT: &str = "target/peers";

/// The Python of the environment, made or renewed where needed; `None` where it cannot be had.
pub fn prepare(root: &Path) -> Result<Option<PathBuf>> {
    let Some(version) = system_python() else {
        without_peers("`python3` is not installed");
        return Ok(None);
    };
    let requirements = std::fs::read_to_string(root.join(REQUIREMENTS))
        .with_context(|| format!("read {REQUIREMENTS}"))?;
    let environment = root.join(ENVIRONMENT);
    let python = environment.join("bin/python");
    let stamp = environment.join("stamp.txt");
    let wanted = stamp_text(&version, &requirements);
    if is_current(&stamp, &python, &wanted) {
        return Ok(Some(python));
    }
    println!("making the Python environment of the tests in {ENVIRONMENT}");
    if !process::show(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )? {
        without_peers(
            "`python3 -m venv` failed; some systems keep it in a package of its own, such as \
             python3-venv",
        );
        return Ok(None);
    }
    let mut install = Command::new(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--only-binary=:all:",
    ]);
    install.arg("--requirement").arg(root.join(REQUIREMENTS));
    if !process::show(&mut install)? {
        without_peers(&format!(
            "pip could not install {REQUIREMENTS}; it says why above"
        ));
        return Ok(None);
    }
    std::fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))?;
    Ok(Some(python))
}

/// The version of `python3`, such as `Python 3.11.7`.
fn system_python() -> Option<String> {
    let output = Command::new("python3").arg("--version").output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !version.is_empty()).then_some(version)
}

/// What an environment was made from.
fn stamp_text(version: &str, requirements: &str) -> String {
    format!("# {version}\n{requirements}")
}

fn is_current(stamp: &Path, python: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(stamp).is_ok_and(|found| found == wanted) && python.exists()
}

fn without_peers(reason: &str) {
    println!("{reason}.");
    println!(
        "Going on without: the tests that compare answers with DuckDB, ClickHouse and pandas will \
         be skipped, and are listed at the end."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_kept_until_what_it_was_made_from_changes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let stamp = directory.path().join("stamp.txt");
        let python = directory.path().join("python");
        let wanted = stamp_text("Python 3.11.7", "duckdb==1.5.5\n");
        assert!(
            !is_current(&stamp, &python, &wanted),
            "nothing is there yet"
        );

        std::fs::write(&stamp, &wanted).expect("write the stamp");
        assert!(!is_current(&stamp, &python, &wanted), "the Python is gone");

        std::fs::write(&python, "").expect("write the program");
        assert!(is_current(&stamp, &python, &wanted));
        let newer = stamp_text("Python 3.12.0", "duckdb==1.5.5\n");
        assert!(!is_current(&stamp, &python, &newer), "the Python changed");
        let other = stamp_text("Python 3.11.7", "duckdb==1.6.0\n");
        assert!(
            !is_current(&stamp, &python, &other),
            "a requirement changed"
        );
    }
}

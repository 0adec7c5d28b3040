//! The peers of the tests: a Python with DuckDB, ClickHouse (as chdb), pandas and pyarrow, for
//! answers that can be had twice.
//!
//! A machine that cannot have it still runs every other test: `prepare` then says why, and returns
//! nothing.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::python::{Environment, Made};

const ENVIRONMENT: Environment = Environment {
    requirements: "tests/peers/requirements.txt",
    folder: "target/peers",
    choice: "--only-binary=:all:",
};

/// The Python of the environment, made or renewed where needed; `None` where it cannot be had.
pub fn prepare(root: &Path) -> Result<Option<PathBuf>> {
    let reason = match ENVIRONMENT.prepare(root)? {
        Made::Ready(python) => return Ok(Some(python)),
        Made::NoPython => "`python3` is not installed".to_owned(),
        Made::Failed(reason) => reason,
    };
    println!("{reason}.");
    println!(
        "Going on without: the tests that compare answers with DuckDB, ClickHouse and pandas will \
         be skipped, and are listed at the end."
    );
    Ok(None)
}

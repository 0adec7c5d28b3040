//! The project's chores: `cargo xtask COMMAND`.
//!
//! This file owns the command line and nothing else; each command is a file of its own. None of
//! them links a crate of the product, so that a chore starts in seconds and a guard can run on a
//! product that does not build.
#![forbid(unsafe_code)]

mod ci;
mod clients;
mod counts;
mod generate;
mod layer_table;
mod layers;
mod peers;
mod process;
mod python;
mod test_run;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test               set up and run every test, ending with: N passed, N failed, N skipped
  ci                 every check: format, lints, layers, generated code, tests, docs, licences
  layers             fail where a crate imports one above it or beside it
  generate           write crates/wire/src/generated from proto/
  generate --check   fail where that directory differs from what proto/ gives
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one command. `Ok(false)` means that it ran, found something wrong and has said what.
fn run(arguments: &[String]) -> Result<bool> {
    let root = workspace_root();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => test_run::run(&root),
        ["ci"] => ci::run(&root),
        ["layers"] => layers::run(&root),
        ["generate"] => generate::write(&root).map(|()| true),
        ["generate", "--check"] => generate::check(&root),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(true)
        }
        _ => bail!("unknown command `{}`\n\n{USAGE}", words.join(" ")),
    }
}

/// The checkout: two directories above this package, where cargo says that it lies.
fn workspace_root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("/"))
        .to_path_buf()
}

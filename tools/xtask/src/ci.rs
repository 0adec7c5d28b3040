//! `cargo xtask ci`: every check of a change, in one go.
//!
//! A failing step does not stop the later ones; the table at the end shows each with its outcome
//! and its time, and the command fails when any of them did.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{generate, layers, process, test_run};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ok,
    Failed,
    NotRun,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::NotRun => "not run",
        }
    }
}

/// A step that has ended.
struct Step {
    name: &'static str,
    outcome: Outcome,
    duration: Duration,
}

type Check = fn(&Path) -> Result<Outcome>;

/// Cheap checks first.
const CHECKS: &[(&str, Check)] = &[
    ("fmt", |root| cargo(root, &["fmt", "--all", "--check"])),
    ("layers", |root| layers::run(root).map(outcome)),
    ("generate --check", |root| {
        generate::check(root).map(outcome)
    }),
    ("clippy", |root| {
        cargo(
            root,
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                // No test is built with it.
                "--features",
                "vitalog/otlp",
                "--",
                "-D",
                "warnings",
            ],
        )
    }),
    ("test", |root| test_run::run(root).map(outcome)),
    ("doc", doc),
    ("deny", deny),
];

/// Runs every check; returns whether none failed.
pub fn run(root: &Path) -> Result<bool> {
    let mut steps = Vec::with_capacity(CHECKS.len());
    for (name, check) in CHECKS {
        println!("── {name}");
        let start = Instant::now();
        let outcome = check(root).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Outcome::Failed
        });
        steps.push(Step {
            name,
            outcome,
            duration: start.elapsed(),
        });
    }
    print!("\n{}", table(&steps));
    Ok(steps.iter().all(|step| step.outcome != Outcome::Failed))
}

fn outcome(success: bool) -> Outcome {
    if success {
        Outcome::Ok
    } else {
        Outcome::Failed
    }
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<Outcome> {
    process::show(process::cargo(root).args(arguments)).map(outcome)
}

fn doc(root: &Path) -> Result<Outcome> {
    let mut command = process::cargo(root);
    command
        .args(["doc", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings");
    process::show(&mut command).map(outcome)
}

/// Licences, bans and sources. Advisories are left out: they need a network.
fn deny(root: &Path) -> Result<Outcome> {
    if !process::runs("cargo-deny", &["--version"]) {
        println!(
            "not run: cargo-deny is not installed; `cargo install --locked cargo-deny` installs it"
        );
        return Ok(Outcome::NotRun);
    }
    let config = ["deny", "--config", ".config/deny.toml"];
    let checks = ["check", "licenses", "bans", "sources"];
    cargo(root, &[config.as_slice(), &checks].concat())
}

/// One line a step, in columns.
fn table(steps: &[Step]) -> String {
    let width = steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
    let line = |step: &Step| {
        let (word, seconds) = (step.outcome.word(), step.duration.as_secs_f64());
        format!("{:<width$}  {word:<7}  {seconds:>8.1} s\n", step.name)
    };
    steps.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_aligned() {
        let step = |name, outcome, seconds| Step {
            name,
            outcome,
            duration: Duration::from_millis(seconds),
        };
        let steps = [
            step("fmt", Outcome::Ok, 1_240),
            step("generate --check", Outcome::Failed, 125_000),
            step("deny", Outcome::NotRun, 0),
        ];
        assert_eq!(
            table(&steps),
            "fmt               ok            1.2 s\n\
             generate --check  FAILED      125.0 s\n\
             deny              not run       0.0 s\n"
        );
    }
}

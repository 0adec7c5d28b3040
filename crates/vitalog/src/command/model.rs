//! `model`: health models as files: stored as versions, checked, listed, shown.

pub(super) mod difference;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use vitalog_query::{ModelDescription, ModelFault};

use self::difference::write_differences;
use super::grid::{Cell, Grid, Heading, shown_time};
use super::keeper::{Keeper, Refusal};
use super::local::Missing;
use super::source::{Source, SourceArgs};
use crate::config::Config;
use crate::sql::screen;

/// What to do with which model, and where models are kept.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Store a model as a new version, in force from now on.
    Apply {
        #[command(flatten)]
        file: FileArgs,
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Check a model and list what it would change; stores nothing.
    Check {
        #[command(flatten)]
        file: FileArgs,
        /// List those that would not change, too.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        source: SourceArgs,
    },
    /// All versions of all models.
    List {
        #[command(flatten)]
        source: SourceArgs,
    },
    /// The text of a model.
    // `--version` is the model's, not the program's.
    #[command(disable_version_flag = true)]
    Show {
        /// The model.
        #[arg(value_name = "NAME")]
        name: String,
        /// A version; without it the one in force.
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        #[command(flatten)]
        source: SourceArgs,
    },
}

#[derive(Debug, Args)]
struct FileArgs {
    /// The model as TOML.
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// Take names of events that the store has never seen; otherwise they are faults.
    #[arg(long)]
    allow_unknown_events: bool,
}

pub(super) fn run(args: &ModelArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let open = |source: &SourceArgs| Source::open(source, data, config, Missing::Refuse);
    match &args.action {
        Action::Apply { file, source } => {
            let text = read(&file.path)?;
            let source = open(source)?;
            let code = apply(&Keeper::of(&source), file, &text);
            source.close()?;
            code
        }
        Action::Check { file, all, source } => {
            let text = read(&file.path)?;
            check(&Keeper::of(&open(source)?), file, &text, *all)
        }
        Action::List { source } => list(&Keeper::of(&open(source)?)),
        Action::Show {
            name,
            version,
            source,
        } => {
            let model = Keeper::of(&open(source)?).model(name, *version)?;
            let mut out = io::stdout().lock();
            write!(out, "{}", model.text)?;
            if !model.text.ends_with('\n') {
                writeln!(out)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn apply(keeper: &Keeper<'_>, file: &FileArgs, text: &str) -> anyhow::Result<ExitCode> {
    let applied = match keeper.apply_model(text, file.allow_unknown_events) {
        Ok(applied) => applied,
        Err(refusal) => return refused(&file.path, refusal),
    };
    let (name, version) = (&applied.model.name, applied.model.version);
    if applied.is_new {
        println!("model {name} version {version} is in force");
    } else {
        println!("nothing new: model {name} version {version} has this text and is in force");
    }
    Ok(ExitCode::SUCCESS)
}

fn check(
    keeper: &Keeper<'_>,
    file: &FileArgs,
    text: &str,
    shows_all: bool,
) -> anyhow::Result<ExitCode> {
    let checked = match keeper.check_model(text, file.allow_unknown_events) {
        Ok(checked) => checked,
        Err(refusal) => return refused(&file.path, refusal),
    };
    write_differences(&mut io::stdout().lock(), &checked, shows_all, screen())?;
    Ok(ExitCode::SUCCESS)
}

/// Names each fault with file and line, as compilers do.
fn refused(path: &Path, refusal: Refusal) -> anyhow::Result<ExitCode> {
    let faults = match refusal {
        Refusal::Other(error) => return Err(error),
        Refusal::Faults(faults) => faults,
    };
    for fault in &faults {
        eprintln!("{}", placed(path, fault));
    }
    let noun = if faults.len() == 1 { "fault" } else { "faults" };
    eprintln!("error: {} {noun}, nothing was stored", faults.len());
    Ok(ExitCode::from(1))
}

/// `model.toml:3: …`; without the line where there is none.
fn placed(path: &Path, fault: &ModelFault) -> String {
    let (path, message) = (path.display(), &fault.message);
    match fault.line {
        0 => format!("{path}: {message}"),
        line => format!("{path}:{line}: {message}"),
    }
}

fn list(keeper: &Keeper<'_>) -> anyhow::Result<ExitCode> {
    let mut grid = Grid::new(&[
        Heading::left("model", 0),
        Heading::right("version", 0),
        Heading::left("in force", 0),
        Heading::left("entity", 1),
        Heading::right("priority", 2),
        Heading::right("days", 2),
        Heading::left("since", 3),
        Heading::left("hash", 4),
        Heading::left("description", 5),
    ]);
    for model in keeper.models()? {
        grid.push(listed(&model));
    }
    grid.write(&mut io::stdout().lock(), screen())?;
    Ok(ExitCode::SUCCESS)
}

/// Digits of a hash that tell versions apart for people.
const HASH_DIGITS: usize = 12;

fn listed(model: &ModelDescription) -> Vec<Cell> {
    let hash: String = model.content_hash.chars().take(HASH_DIGITS).collect();
    let description = match (&model.description, model.version) {
        (Some(description), _) => Cell::new(description),
        (None, 0) => Cell::new("built-in default"),
        (None, _) => Cell::new(""),
    };
    vec![
        Cell::new(&model.name),
        Cell::new(model.version.to_string()),
        Cell::new(if model.is_current { "yes" } else { "no" }),
        Cell::new(&model.entity),
        Cell::of(model.priority.map(|priority| priority.to_string())),
        Cell::new(model.period_days.to_string()),
        Cell::of(model.valid_from_us.map(shown_time)),
        Cell::new(hash),
        description,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_placed_as_compilers_place_them() {
        let fault = |line| ModelFault {
            line,
            message: "no such event".to_owned(),
        };
        let path = Path::new("health.toml");
        assert_eq!(placed(path, &fault(7)), "health.toml:7: no such event");
        assert_eq!(placed(path, &fault(0)), "health.toml: no such event");
    }
}

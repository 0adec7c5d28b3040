//! `snapshot`: published snapshots of a directory or a server: create, list, get, delete.

mod download;
mod shelf;
mod shown;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use self::download::download;
use self::shelf::Shelf;
use self::shown::{write_one, write_table};
use super::local::Missing;
use super::source::{Source, SourceArgs};
use crate::config::{Config, Span};

/// What to do with which snapshot, and where snapshots are kept.
#[derive(Debug, Args)]
pub(super) struct SnapshotArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Publish the tables as they are now.
    Create {
        /// A table; may be repeated. Without it those of the configuration, or all.
        #[arg(long = "table", value_name = "TABLE")]
        tables: Vec<String>,
        /// How long it is kept at least, such as 90m, 24h or 7d.
        #[arg(long, value_name = "TIME")]
        lease: Option<Span>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The snapshots there are, the newest first.
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// One snapshot; with --to its files.
    Get {
        /// The id; without it the newest.
        #[arg(value_name = "ID")]
        id: Option<String>,
        /// Download the files into DIR/TABLE/ID; what is there already is not fetched again.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// Only this table; may be repeated.
        #[arg(long = "table", value_name = "TABLE")]
        tables: Vec<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete a snapshot, its lease notwithstanding.
    Delete {
        /// The id.
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Whom to ask, and how to write the answer.
#[derive(Debug, Args)]
struct OutputArgs {
    /// How it is written.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    #[command(flatten)]
    source: SourceArgs,
}

/// How snapshots are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned columns for people.
    Table,
    /// One JSON document.
    Json,
}

pub(super) fn run(args: &SnapshotArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let output = match &args.action {
        Action::Create { output, .. }
        | Action::List { output }
        | Action::Get { output, .. }
        | Action::Delete { output, .. } => output,
    };
    let settings = config.snapshots()?;
    let source = Source::open(&output.source, data, config, Missing::Refuse)?;
    let done = obey(&args.action, &Shelf::of(&source, &settings)?);
    source.close()?;
    done?;
    Ok(ExitCode::SUCCESS)
}

fn obey(action: &Action, shelf: &Shelf<'_>) -> anyhow::Result<()> {
    match action {
        Action::Create {
            tables,
            lease,
            output,
        } => {
            let lease = lease.map(Span::duration);
            let made = shelf.create(tables, lease)?;
            write_one(&made, output.format)
        }
        Action::List { output } => write_table(&shelf.list()?, output.format),
        Action::Get {
            id,
            to,
            tables,
            output,
        } => {
            let snapshot = shelf.get(id.as_deref())?;
            let snapshot = snapshot.with_tables(tables)?;
            if let Some(folder) = to {
                download(shelf, &snapshot, folder)?;
            }
            write_one(&snapshot, output.format)
        }
        Action::Delete { id, output } => {
            let deleted = shelf.delete(id)?;
            match output.format {
                Format::Table => println!("snapshot {} is deleted", deleted.id),
                Format::Json => write_one(&deleted, Format::Json)?,
            }
            Ok(())
        }
    }
}

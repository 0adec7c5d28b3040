//! The command line: one binary, one module a command.
//!
//! It owns arguments, exit codes and what a person sees; the work is done by the crates below.
//! Exit codes: 0 done, 1 failed, 2 usage. Results go to stdout, everything else to stderr.

mod backup;
mod compact;
mod completions;
mod demo;
mod erase;
mod grid;
mod health;
mod import;
mod instant;
mod keeper;
mod local;
mod log;
mod model;
mod progress;
mod receipt;
mod remote;
mod repair;
mod restore;
mod retention;
mod rows;
mod serve;
mod settings;
mod simulate;
mod snapshot;
mod source;
mod stats;
mod table;
mod token;
mod verify;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::Config;
use crate::sql::{SqlArgs, TlsArgs};

/// An event store that keeps the vital signs of a product's customers.
#[derive(Debug, Parser)]
#[command(name = "vitalog", version, about, propagate_version = true)]
struct Arguments {
    /// The directory of the store.
    #[arg(long, global = true, value_name = "DIR", env = "VITALOG_DATA")]
    data: Option<PathBuf>,
    /// Settings as TOML; see docs/operations.md.
    #[arg(long, global = true, value_name = "FILE", env = "VITALOG_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a store of a small B2B product in ./vitalog-demo, show its health, and serve it.
    Demo(demo::DemoArgs),
    /// Serve a store over gRPC and HTTP.
    Serve(serve::ServeArgs),
    /// Ask questions in SQL: a prompt, -c SQL, -f FILE, or stdin.
    Sql(SqlArgs),
    /// The score table, or what made one account's score.
    Health(health::HealthArgs),
    /// Health models as files: apply, check, list, show.
    Model(model::ModelArgs),
    /// Named views: apply, list, drop.
    View(view::ViewArgs),
    /// Published snapshots as Parquet files: create, list, get, delete.
    Snapshot(snapshot::SnapshotArgs),
    /// Tokens for callers of a server: new.
    Token(token::TokenArgs),
    /// Import Parquet, CSV or JSON Lines; safe to run again.
    Import(import::ImportArgs),
    /// Generate a workload, to Parquet or into a store.
    Simulate(simulate::SimulateArgs),
    /// What the store holds.
    Stats(stats::StatsArgs),
    /// Check every checksum of the store, or that nothing is left of an erased id.
    Verify(verify::VerifyArgs),
    /// Merge files and make them cold, as the settings ask for, or all of them.
    Compact(compact::CompactArgs),
    /// Erase an account or a user, for good, with a receipt.
    Erase(erase::EraseArgs),
    /// Drop the days before the last ones, for good, with a receipt.
    Retention(retention::RetentionArgs),
    /// Copy the store into another directory; the next time, only what is new.
    Backup(backup::BackupArgs),
    /// Make a store from a backup, and verify it.
    Restore(restore::RestoreArgs),
    /// Set damaged files aside, rebuild what can be rebuilt, and say what is lost.
    Repair,
    /// The settings that are in force: show.
    Config(settings::SettingsArgs),
    /// A script that completes commands and flags in a shell.
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// What is logged unless something else is asked for: who serves tells of calls.
    fn log_level(&self) -> &'static str {
        match self {
            Self::Serve(_) => "warn,vitalog=info,vitalog_server=info",
            _ => "warn",
        }
    }
}

/// Where the store lies when nothing says otherwise.
const DATA_DEFAULT: &str = "vitalog-data";

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match obey(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn obey(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(arguments.config.as_deref())?;
    let _log = log::start(&config, arguments.command.log_level())?;
    arguments.tls.set();
    let data = || {
        arguments
            .data
            .clone()
            .unwrap_or_else(|| PathBuf::from(DATA_DEFAULT))
    };
    match arguments.command {
        Command::Demo(args) => demo::run(&args, arguments.data.as_deref(), &config),
        Command::Serve(args) => serve::run(&args, &data(), &config),
        Command::Sql(args) => crate::sql::run(args, || {
            local::open_engine(&data(), &config, local::Missing::Refuse)
        }),
        Command::Health(args) => health::run(&args, &data(), &config),
        Command::Model(args) => model::run(&args, &data(), &config),
        Command::View(args) => view::run(&args, &data(), &config),
        Command::Snapshot(args) => snapshot::run(&args, &data(), &config),
        Command::Token(args) => token::run(&args),
        Command::Import(args) => import::run(&args, &data(), &config),
        Command::Simulate(args) => simulate::run(&args, &data(), &config),
        Command::Stats(args) => stats::run(&args, &data(), &config),
        Command::Compact(args) => compact::run(&args, &data(), &config),
        Command::Verify(args) => verify::run(&args, &data()),
        Command::Erase(args) => erase::run(&args, &data(), &config),
        Command::Retention(args) => retention::run(&args, &data(), &config),
        Command::Backup(args) => backup::run(&args, &data(), &config),
        Command::Restore(args) => restore::run(&args, &data()),
        Command::Repair => repair::run(&data(), &config),
        Command::Config(args) => settings::run(&args, arguments.config.as_deref()),
        Command::Completions(args) => Ok(completions::run(&args, &mut Arguments::command())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_has_a_flag_twice() {
        Arguments::command().debug_assert();
    }
}

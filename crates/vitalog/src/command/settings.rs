//! `config`: the settings that are in force, and where each comes from.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::Settings;

/// What to do with settings.
#[derive(Debug, Args)]
pub(super) struct SettingsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print every setting as it is in force, with its origin, as a file of settings. Secrets are
    /// not shown.
    Show,
}

pub(super) fn run(args: &SettingsArgs, file: Option<&Path>) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Show => print!("{}", Settings::load(file)?),
    }
    Ok(ExitCode::SUCCESS)
}

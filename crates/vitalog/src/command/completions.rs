//! `completions`: a script for a shell.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

/// For which shell.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, command: &mut Command) -> ExitCode {
    clap_complete::generate(args.shell, command, "vitalog", &mut std::io::stdout());
    ExitCode::SUCCESS
}

//! `token`: tokens for callers of a server.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use vitalog_server::{Scope, TokenLine};

/// What to do.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token: printed once, with the line for the file of `[auth] tokens_file`.
    New {
        /// A name for people: letters, digits, '-', '_' and '.'.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it opens: read, write or admin (which is all); may be repeated.
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = parse_scope)]
        scopes: Vec<Scope>,
    },
}

pub(super) fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let Action::New { name, scopes } = &args.action;
    let token = TokenLine::random_token();
    let line = TokenLine::new(name, scopes, &token).map_err(|reason| anyhow!(reason))?;
    let mut out = io::stdout().lock();
    writeln!(out, "token  {token}")?;
    writeln!(out, "line   {line}")?;
    eprintln!(
        "give the token to the caller, who sends it as `Authorization: Bearer TOKEN` (`vitalog` \
         reads VITALOG_TOKEN); it is shown only now. Add the line to the tokens_file of the server."
    );
    Ok(ExitCode::SUCCESS)
}

fn parse_scope(word: &str) -> Result<Scope, String> {
    Scope::parse(word).ok_or_else(|| "expected read, write or admin".to_owned())
}

//! `erase`: an account or a user, for good.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use vitalog_store::EraseRequest;

use super::local::{Missing, open_store};
use super::receipt::{RemovalBar, confirm, write_receipt};
use crate::config::Config;

/// Whose events are erased.
#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// Every event of this account.
    #[arg(long, value_name = "ID", required_unless_present_any = ["user", "list"])]
    account: Option<String>,
    /// Every event of this user, in whatever account.
    #[arg(long, value_name = "ID", conflicts_with = "account")]
    user: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// List the receipts of removals instead.
    #[arg(long, conflicts_with_all = ["account", "user"])]
    list: bool,
}

pub(super) fn run(args: &EraseArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let store = open_store(data, config, Missing::Refuse)?;
    let mut out = std::io::stdout().lock();
    if args.list {
        for receipt in store.receipts() {
            write_receipt(&mut out, &receipt)?;
            writeln!(out)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (request, noun, id) = match (&args.account, &args.user) {
        (Some(id), _) => (EraseRequest::Account(id), "account", id.as_str()),
        (None, id) => {
            let id = id.as_deref().unwrap_or_default();
            (EraseRequest::User(id), "user", id)
        }
    };
    let question = format!("Every event of the {noun} {id} will be erased.");
    confirm(&question, id, args.yes)?;
    let bar = RemovalBar::new("erasing");
    let erased = store.erase(request, bar.progress());
    bar.finish();
    write_receipt(&mut out, &erased?)?;
    store.close()?;
    Ok(ExitCode::SUCCESS)
}

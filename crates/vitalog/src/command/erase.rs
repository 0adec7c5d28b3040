//! `erase`: an account or a user, for good; in a directory or through a server.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use vitalog_store::EraseRequest;
use vitalog_wire::vitalog::v1 as wire;
use wire::upkeep_service_client::UpkeepServiceClient;
use wire::upkeep_service_erase_request::Entity;

use super::local::Missing;
use super::receipt::{Receipt, RemovalBar, confirm, received, write_receipt};
use super::source::{Source, SourceArgs};
use crate::config::Config;
use crate::sql::{Backend, failure};

/// Receipts that a server is asked for at once.
const PAGE_SIZE: u32 = 1_000;

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
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &EraseArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let source = Source::open(&args.source, data, config, Missing::Refuse)?;
    let done = if args.list {
        receipts(&source)
    } else {
        erase(args, &source).map(|receipt| vec![receipt])
    };
    source.close()?;
    let mut out = std::io::stdout().lock();
    for receipt in done? {
        write_receipt(&mut out, &receipt)?;
        if args.list {
            writeln!(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn erase(args: &EraseArgs, source: &Source) -> anyhow::Result<Receipt> {
    let (entity, noun) = match (&args.account, &args.user) {
        (Some(id), _) => (Entity::AccountId(id.clone()), "account"),
        (None, id) => (Entity::UserId(id.clone().unwrap_or_default()), "user"),
    };
    let (Entity::AccountId(id) | Entity::UserId(id)) = &entity;
    let question = format!("Every event of the {noun} {id} will be erased.");
    confirm(&question, id, args.yes)?;
    if let Backend::Remote(remote) = source.backend() {
        let mut client = UpkeepServiceClient::new(remote.line());
        let entity = Some(entity);
        let answer = source.wait(client.erase(wire::UpkeepServiceEraseRequest { entity }));
        return received("Erase", answer.map_err(failure)?.into_inner().receipt);
    }
    let request = match &entity {
        Entity::AccountId(id) => EraseRequest::Account(id),
        Entity::UserId(id) => EraseRequest::User(id),
    };
    let bar = RemovalBar::new("erasing");
    let erased = source.opened_store()?.erase(request, bar.progress());
    bar.finish();
    Ok(erased?.into())
}

/// All receipts, by number.
fn receipts(source: &Source) -> anyhow::Result<Vec<Receipt>> {
    let Backend::Remote(remote) = source.backend() else {
        let receipts = source.opened_store()?.receipts().into_iter();
        return Ok(receipts.map(Receipt::from).collect());
    };
    let mut client = UpkeepServiceClient::new(remote.line());
    let mut receipts = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::UpkeepServiceListReceiptsRequest {
            page_size: PAGE_SIZE,
            page_token,
        };
        let answer = source.wait(client.list_receipts(request));
        let page = answer.map_err(failure)?.into_inner();
        receipts.extend(page.receipts.into_iter().map(Receipt::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(receipts);
        }
    }
}

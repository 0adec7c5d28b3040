//! `retention`: drops the days before the last ones, for good; in a directory or through a server.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use vitalog_event::{DAY_US, day_of_timestamp_us};
use vitalog_store::{Clock, SystemClock};
use vitalog_wire::vitalog::v1 as wire;
use wire::upkeep_service_client::UpkeepServiceClient;

use super::local::Missing;
use super::receipt::{Receipt, RemovalBar, confirm, day_text, received, write_receipt};
use super::source::{Source, SourceArgs};
use crate::config::Config;
use crate::sql::{Backend, failure};

/// How much is kept.
#[derive(Debug, Args)]
pub(super) struct RetentionArgs {
    /// Whole UTC days before today that are kept. What is older is dropped, and refused from now
    /// on; traits ($group, $identify) stay.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &RetentionArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let source = Source::open(&args.source, data, config, Missing::Refuse)?;
    let dropped = drop_days(args, &source);
    source.close()?;
    write_receipt(&mut std::io::stdout().lock(), &dropped?)?;
    Ok(ExitCode::SUCCESS)
}

fn drop_days(args: &RetentionArgs, source: &Source) -> anyhow::Result<Receipt> {
    let now_us = SystemClock.now_us();
    let first = day_of_timestamp_us(now_us - i64::from(args.days) * DAY_US);
    let question = format!("Every event before {} will be dropped.", day_text(first));
    confirm(&question, &day_text(first), args.yes)?;
    if let Backend::Remote(remote) = source.backend() {
        // The server's clock says what today is.
        let request = wire::UpkeepServiceRetainRequest { days: args.days };
        let mut client = UpkeepServiceClient::new(remote.line());
        let answer = source.wait(client.retain(request));
        return received("Retain", answer.map_err(failure)?.into_inner().receipt);
    }
    let bar = RemovalBar::new("dropping");
    let dropped = source.opened_store()?.retain_from(first, bar.progress());
    bar.finish();
    Ok(dropped?.into())
}

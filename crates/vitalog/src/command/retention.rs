//! `retention`: drops the days before the last ones, for good.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use vitalog_event::{DAY_US, day_of_timestamp_us};
use vitalog_store::{Clock, SystemClock};

use super::local::{Missing, open_store};
use super::receipt::{RemovalBar, confirm, day_text, write_receipt};
use crate::config::Config;

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
}

pub(super) fn run(args: &RetentionArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let store = open_store(data, config, Missing::Refuse)?;
    let now_us = SystemClock.now_us();
    let first = day_of_timestamp_us(now_us - i64::from(args.days) * DAY_US);
    let question = format!("Every event before {} will be dropped.", day_text(first));
    confirm(&question, &day_text(first), args.yes)?;
    let bar = RemovalBar::new("dropping");
    let dropped = store.retain_from(first, bar.progress());
    bar.finish();
    write_receipt(&mut std::io::stdout().lock(), &dropped?)?;
    store.close()?;
    Ok(ExitCode::SUCCESS)
}

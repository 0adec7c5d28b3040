//! `compact`: hot files merged and made cold, now.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use vitalog_store::{CompactionGoal, CompactionReport};
use vitalog_wire::vitalog::v1 as wire;
use wire::upkeep_service_client::UpkeepServiceClient;

use super::local::Missing;
use super::progress::{bytes, count};
use super::source::{Source, SourceArgs};
use super::table::write_facts;
use crate::config::Config;
use crate::sql::{Backend, failure};

/// How far to go, and where.
#[derive(Debug, Args)]
pub(super) struct CompactArgs {
    /// Make every event cold, not only what the settings ask for.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &CompactArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let source = Source::open(&args.source, data, config, Missing::Refuse)?;
    let done = compact(&source, args.all);
    source.close()?;
    let done = done?;
    let facts = [
        ("events made cold", count(done.rows_cooled)),
        ("cold files written", count(done.cold_files_written)),
        ("cold files merged into them", count(done.cold_files_merged)),
        ("hot files made cold", count(done.hot_files_cooled)),
        ("hot files merged into others", count(done.hot_files_merged)),
        ("bytes written", bytes(done.bytes_written)),
    ];
    write_facts(&mut std::io::stdout().lock(), &facts)?;
    Ok(ExitCode::SUCCESS)
}

fn compact(source: &Source, all: bool) -> anyhow::Result<wire::UpkeepServiceCompactResponse> {
    if let Backend::Remote(remote) = source.backend() {
        let goal = match all {
            true => wire::CompactionGoal::All,
            false => wire::CompactionGoal::Due,
        };
        let request = wire::UpkeepServiceCompactRequest { goal: goal.into() };
        let mut client = UpkeepServiceClient::new(remote.line());
        let answer = source.wait(client.compact(request));
        return Ok(answer.map_err(failure)?.into_inner());
    }
    let store = source.opened_store()?;
    let report = match all {
        true => {
            store.flush()?;
            store.compact(CompactionGoal::AllCold)?
        }
        false => store.compact(CompactionGoal::Due)?,
    };
    for file in store.damaged_files() {
        eprintln!("warning: left as it is: {}", file.reason);
    }
    Ok(answered(&report))
}

/// A report as a server would send it.
fn answered(report: &CompactionReport) -> wire::UpkeepServiceCompactResponse {
    wire::UpkeepServiceCompactResponse {
        hot_files_merged: report.hot_merged as u64,
        hot_files_cooled: report.hot_cooled as u64,
        rows_cooled: report.rows_cooled,
        cold_files_merged: report.cold_merged as u64,
        cold_files_written: report.cold_written as u64,
        bytes_written: report.bytes_written,
    }
}

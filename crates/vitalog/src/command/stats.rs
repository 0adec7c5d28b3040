//! `stats`: what a store holds, per tier.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use vitalog_event::format_timestamp_us;
use vitalog_wire::vitalog::v1 as wire;
use wire::upkeep_service_client::UpkeepServiceClient;

use self::counts::{Counts, TierCounts};
use super::grid::{Cell, Grid, Heading};
use super::local::Missing;
use super::progress::{bytes, count};
use super::source::{Source, SourceArgs};
use super::table::write_facts;
use crate::config::Config;
use crate::sql::{Backend, failure, screen};

mod counts;

/// Whose counts.
#[derive(Debug, Args)]
pub(super) struct StatsArgs {
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &StatsArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let source = Source::open(&args.source, data, config, Missing::Refuse)?;
    let known = counts(&source);
    source.close()?;
    let known = known?;
    let mut out = io::stdout().lock();
    write_facts(&mut out, &facts(&known))?;
    writeln!(out)?;
    grid(&known.tiers).write(&mut out, screen())?;
    Ok(ExitCode::SUCCESS)
}

fn counts(source: &Source) -> anyhow::Result<Counts> {
    if let Backend::Remote(remote) = source.backend() {
        let mut client = UpkeepServiceClient::new(remote.line());
        let answer = source.wait(client.get_stats(wire::UpkeepServiceGetStatsRequest {}));
        return Ok(answer.map_err(failure)?.into_inner().into());
    }
    Ok((&source.opened_store()?.statistics()?).into())
}

fn facts(known: &Counts) -> Vec<(&'static str, String)> {
    let time = |time: Option<i64>| time.map_or_else(|| "-".to_owned(), format_timestamp_us);
    let events: u64 = known.tiers.iter().map(|tier| tier.rows).sum();
    let on_disk = known.tiers.iter().filter(|tier| tier.name != "memory");
    let amplification = known.write_amplification;
    vec![
        ("events", count(events)),
        ("last seq", count(known.seq)),
        ("first event_time", time(known.time_min_us)),
        ("last event_time", time(known.time_max_us)),
        ("days", count(known.days)),
        ("accounts", count(known.accounts)),
        ("users", count(known.users)),
        ("members (account, user)", count(known.members)),
        ("event names", count(known.events)),
        ("published snapshots", count(known.snapshots)),
        ("bytes on disk", bytes(on_disk.map(|tier| tier.bytes).sum())),
        ("bytes flushed since the start", bytes(known.flushed_bytes)),
        ("bytes compacted since then", bytes(known.compacted_bytes)),
        (
            "write amplification",
            amplification.map_or_else(|| "-".to_owned(), |times| format!("{times:.2}")),
        ),
    ]
}

fn grid(tiers: &[TierCounts]) -> Grid {
    let mut grid = Grid::new(&[
        Heading::left("tier", 0),
        Heading::right("files", 0),
        Heading::right("sections", 1),
        Heading::right("events", 0),
        Heading::right("bytes", 0),
        Heading::right("bytes an event", 1),
    ]);
    for tier in tiers {
        let an_event = tier.bytes as f64 / tier.rows as f64;
        grid.push(vec![
            Cell::new(tier.name),
            Cell::new(count(tier.files)),
            Cell::of(tier.holds_events().then(|| count(tier.sections))),
            Cell::of(tier.holds_events().then(|| count(tier.rows))),
            Cell::new(bytes(tier.bytes)),
            Cell::of((tier.rows > 0).then(|| format!("{an_event:.1}"))),
        ]);
    }
    grid
}

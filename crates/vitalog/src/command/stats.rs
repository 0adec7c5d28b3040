//! `stats`: what the store holds, per tier.

use std::path::Path;
use std::process::ExitCode;

use vitalog_event::format_timestamp_us;

use super::local::{Missing, open_store};
use super::progress::{bytes, count};
use super::table::write_facts;
use crate::config::Config;

pub(super) fn run(data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let store = open_store(data, config, Missing::Refuse)?;
    let known = store.statistics()?;
    let rows = known.segment_rows + known.memory_rows;
    let time = |time: Option<i64>| time.map_or_else(|| "-".to_owned(), format_timestamp_us);
    let per_event = if known.segment_rows == 0 {
        "-".to_owned()
    } else {
        format!(
            "{:.1}",
            known.segment_bytes as f64 / known.segment_rows as f64
        )
    };
    let facts = [
        ("events", count(rows)),
        ("last seq", count(known.seq.unsigned_abs())),
        ("first event_time", time(known.time_min_us)),
        ("last event_time", time(known.time_max_us)),
        ("days", count(known.days as u64)),
        ("accounts", count(known.accounts as u64)),
        ("users", count(known.users as u64)),
        ("members (account, user)", count(known.members as u64)),
        ("event names", count(known.events as u64)),
        ("hot segments", count(known.segments as u64)),
        ("hot sections", count(known.segment_sections as u64)),
        ("hot events", count(known.segment_rows)),
        ("hot bytes", bytes(known.segment_bytes)),
        ("hot bytes an event", per_event),
        ("memory sections", count(known.memory_sections as u64)),
        ("memory events", count(known.memory_rows)),
        ("memory bytes", bytes(known.memory_bytes)),
        ("log bytes (preallocated)", bytes(known.wal_bytes)),
    ];
    write_facts(&mut std::io::stdout().lock(), &facts)?;
    Ok(ExitCode::SUCCESS)
}

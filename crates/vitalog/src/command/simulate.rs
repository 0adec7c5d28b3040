//! `simulate`: a workload of a B2B product, to a Parquet file or into a store.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use vitalog_event::day_of_timestamp_us;
use vitalog_store::{Clock, SystemClock};

use super::import::{Target, Uploader};
use super::progress::{bar, count};
use crate::config::Config;
use crate::simulate::{Simulation, SimulationConfig, write_parquet};

/// What to simulate, and where it goes.
#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// Events in all; accounts and users are in proportion.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Equal seeds give equal events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Days that the events lie on.
    #[arg(long, default_value_t = 180)]
    days: u32,
    /// The last day, YYYY-MM-DD; by default yesterday.
    #[arg(long, value_name = "DATE")]
    end: Option<chrono::NaiveDate>,
    /// Write a Parquet file; without it the events go into the store of --data, or to --url.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    out: Option<PathBuf>,
    /// Append to a server, such as grpc://127.0.0.1:50051.
    #[arg(long)]
    url: Option<String>,
}

impl SimulateArgs {
    fn simulation(&self) -> anyhow::Result<Simulation> {
        let yesterday = day_of_timestamp_us(SystemClock.now_us()) - 1;
        let end_day = self.end.map_or(yesterday, |date| {
            day_of_timestamp_us(
                date.and_time(chrono::NaiveTime::MIN)
                    .and_utc()
                    .timestamp_micros(),
            )
        });
        let scaled = SimulationConfig::scaled(self.rows, self.seed, end_day);
        Ok(Simulation::new(SimulationConfig {
            days: self.days,
            ..scaled
        })?)
    }
}

pub(super) fn run(args: &SimulateArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let simulation = args.simulation()?;
    let bar = bar("simulating", Some(args.rows), false);
    let begun = Instant::now();
    let chunks = simulation.inspect(|chunk| bar.inc(chunk.len() as u64));
    let (rows, place) = match &args.out {
        Some(path) => {
            let rows = write_parquet(chunks, path)
                .with_context(|| format!("cannot write {}", path.display()))?;
            (rows, path.display().to_string())
        }
        None => {
            let target = Target::open(args.url.as_deref(), data, config)?;
            let place = target.to_string();
            let mut uploader = Uploader::new(target);
            let now_us = SystemClock.now_us();
            for chunk in chunks {
                uploader.push(chunk.to_event_batch(now_us).0)?;
            }
            (uploader.finish()?.accepted, place)
        }
    };
    bar.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f64();
    let rate = count((rows as f64 / seconds) as u64);
    eprintln!(
        "{} events to {place} in {seconds:.1} s ({rate} a second)",
        count(rows)
    );
    Ok(ExitCode::SUCCESS)
}

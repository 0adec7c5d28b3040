//! `demo`: a store of a small B2B product with a health model, its score table, the explanation of
//! the worst account, and the account that left last, whose own trend told it weeks before. All is
//! asked in SQL from the store on disk that the process goes on serving.
//!
//! Invariant: a directory holds a whole demonstration or none. It is made beside its place and
//! moved there when it is done, so that one that was broken off is made again.

mod in_spite;
mod last_act;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use vitalog_disk::LOCK_NAME;
use vitalog_event::{DAY_US, format_timestamp_us};
use vitalog_query::QueryEngine;
use vitalog_store::{Clock, Store, SystemClock};

use self::in_spite::write_red_in_spite;
use self::last_act::LastAct;
use super::grid::shown_time;
use super::health::account::Account;
use super::health::board::Board;
use super::health::standing::Standing;
use super::health::{MODEL_DEFAULT, Question};
use super::import::{Target, Uploader};
use super::keeper::{Keeper, Refusal};
use super::local::{Missing, open_directory, open_store};
use super::progress::{bar, count};
use super::serve::{ListenArgs, refuse_strangers, serve};
use super::source::Source;
use crate::config::Config;
use crate::simulate::{DEMO_DAYS, Demo, DemoConfig};
use crate::sql::{screen, visible};

/// How to demonstrate.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Leave after printing.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    listen: ListenArgs,
    /// Equal seeds give equal accounts.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// Where the demonstration lies when nothing says otherwise.
const DATA_DEFAULT: &str = "vitalog-demo";
/// Behind the name of a directory: a demonstration that is being made.
const UNFINISHED_SUFFIX: &str = ".unfinished";
/// The health model of the simulated product.
const MODEL: &str = include_str!("demo/model.toml");

pub(super) fn run(
    args: &DemoArgs,
    data: Option<&Path>,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    let data = data.map_or_else(|| PathBuf::from(DATA_DEFAULT), Path::to_owned);
    // Before the work, so that it is not done in vain.
    let server = config.server(args.listen.into())?;
    refuse_strangers(&server)?;
    if data.join(LOCK_NAME).exists() {
        eprintln!("opening the demonstration in {}", data.display());
    } else {
        make(&data, config, args.seed)?;
    }
    let store = open_store(&data, config, Missing::Refuse)?;
    if store.snapshot().seq() == 0 {
        bail!(
            "{}: the store there is empty; --data DIR names a place for the demonstration",
            data.display()
        );
    }
    let source = Source::over(QueryEngine::new(Arc::clone(&store), config.query()?)?)?;
    show(&source, &store, &data)?;
    drop(source);
    if args.once {
        store.close()?;
        return Ok(ExitCode::SUCCESS);
    }
    println!();
    serve(&store, config, server)
}

/// Makes the demonstration beside its place, and moves it there once it is whole.
fn make(data: &Path, config: &Config, seed: u64) -> anyhow::Result<()> {
    let unfinished = unfinished(data)?;
    if unfinished.exists() {
        // Whoever is making it holds the lock, which this would not get.
        drop(open_directory(&unfinished, Missing::Create)?);
        eprintln!("removing {}, which was not finished", unfinished.display());
        std::fs::remove_dir_all(&unfinished)
            .with_context(|| format!("cannot remove {}", unfinished.display()))?;
    }
    let store = open_store(&unfinished, config, Missing::Create)?;
    let events = simulate(&store, &unfinished, seed)?;
    let source = Source::over(QueryEngine::new(Arc::clone(&store), config.query()?)?)?;
    match Keeper::of(&source).apply_model(MODEL, false) {
        Ok(_) => {}
        Err(Refusal::Other(error)) => return Err(error),
        Err(Refusal::Faults(faults)) => bail!("the demonstration's model: {faults:?}"),
    }
    drop(source);
    store.close()?;
    drop(store);
    std::fs::rename(&unfinished, data).with_context(|| {
        let (from, to) = (unfinished.display(), data.display());
        format!("cannot move {from} to {to}")
    })?;
    println!("simulated {} events into {}", count(events), data.display());
    Ok(())
}

/// `vitalog-demo` → `vitalog-demo.unfinished`
fn unfinished(data: &Path) -> anyhow::Result<PathBuf> {
    let Some(name) = data.file_name() else {
        bail!("{}: expected a directory with a name", data.display());
    };
    let mut name = name.to_owned();
    name.push(UNFINISHED_SUFFIX);
    Ok(data.with_file_name(name))
}

/// Fills the store; returns the number of events.
fn simulate(store: &Arc<Store>, data: &Path, seed: u64) -> anyhow::Result<u64> {
    let now_us = SystemClock.now_us();
    let bar = bar("simulating", Some(u64::from(DEMO_DAYS)), false);
    let mut uploader = Uploader::new(Target::Local(Arc::clone(store), data.to_owned()));
    for chunk in Demo::new(DemoConfig { seed, now_us }) {
        uploader.push(chunk.to_event_batch(now_us).0)?;
        bar.inc(1);
    }
    let appended = uploader.wait()?;
    store.flush()?;
    bar.finish_and_clear();
    Ok(appended.accepted)
}

fn show(source: &Source, store: &Store, data: &Path) -> anyhow::Result<()> {
    let known = store.statistics()?;
    let until_us = store
        .clock()
        .now_us()
        .min(known.time_max_us.unwrap_or(0) + DAY_US);
    let question = Question {
        model: MODEL_DEFAULT.to_owned(),
        as_of: Some(format_timestamp_us(until_us)),
    };
    let model = Keeper::of(source).model(MODEL_DEFAULT, None)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\nAccount health of the {} days to {}, worst first ({} events of {} accounts)\n",
        model.period_days,
        shown_time(until_us),
        count(known.segment_rows + known.memory_rows),
        count(known.accounts as u64),
    )?;
    let board = Board::ask(source, &question)?;
    board.write(&mut out, screen())?;
    write_red_in_spite(source, &question, &board, &mut out)?;
    // Of one that is silent there is nothing to explain.
    let in_use = |one: &&Standing| one.raw.is_some_and(|raw| raw > 0.0);
    let Some(worst) = board.standings().find(in_use) else {
        return Ok(());
    };
    let id = worst.id();
    let name = visible(&worst.shown_name());
    writeln!(
        out,
        "\nThe worst account that still uses the product, {name}\n"
    )?;
    Account::ask(source, &question, &id)?.write(&mut out, screen())?;
    if let Some(last_act) = LastAct::ask(source, &question)? {
        writeln!(out)?;
        last_act.write(&mut out)?;
    }
    writeln!(
        out,
        "\nEverything above is SQL over the store in {0}. Ask it yourself:\n\n  \
         vitalog --data {0} health --sort trend --limit 10\n  \
         vitalog --data {0} health {id}\n  \
         vitalog --data {0} model show {MODEL_DEFAULT} > model.toml      (edit it, `model check` it)\n  \
         vitalog --data {0} sql -c \"SELECT * FROM health_scores() WHERE status = 'red' ORDER BY score\"\n  \
         vitalog sql --url grpc://HOST:PORT        (while it is served, at the address it says)",
        data.display()
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_beside_its_place() {
        let beside = |path: &str| unfinished(Path::new(path)).ok();
        let expected = Some(PathBuf::from("vitalog-demo.unfinished"));
        assert_eq!(beside("vitalog-demo"), expected);
        assert_eq!(beside("a/b/"), Some(PathBuf::from("a/b.unfinished")));
        assert_eq!(beside(".."), None);
    }
}

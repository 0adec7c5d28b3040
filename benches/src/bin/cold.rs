//! The cold tier: what a question about one account and one day reads of it, what opening a store
//! of many sections takes, and the same questions on the hot tier and on the cold one.
//!
//! Answers of both tiers are compared in full, floats to the bit, before anything is printed.
//! Opening is measured in a process of its own, which runs this program again.
//! `cargo run --release -p vitalog-benches --bin cold`
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type};
use clap::Parser;
use futures::TryStreamExt;
use tokio::runtime::Runtime;
use vitalog::simulate::{Simulation, SimulationConfig};
use vitalog_benches::{machine, median, milliseconds, print_table};
use vitalog_disk::{Directory, RealDirectory};
use vitalog_event::{day_of_timestamp_us, day_start_us, format_timestamp_us};
use vitalog_query::entity::{Entity, active_days, sessions};
use vitalog_query::{QueryConfig, QueryEngine, QueryRequest};
use vitalog_store::{Clock, CompactionGoal, Domain, RowFilter, Store, StoreConfig, SystemClock};

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events of the workload.
    #[arg(long, default_value_t = 20_000_000)]
    events: u64,
    /// Sections of the store whose opening is measured.
    #[arg(long, default_value_t = 10_000)]
    sections: u32,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Threads of the kernels, and partitions of DataFusion's plans.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Where folders for the stores are made.
    #[arg(long, default_value = ".")]
    disk: PathBuf,
    /// Opens this store, says what that took, and ends.
    #[arg(long, hide = true)]
    open: Option<PathBuf>,
}

const GAP_US: i64 = 30 * 60 * 1_000_000;

/// Accounts of one day whose questions are counted, from the largest to the smallest.
const ACCOUNTS_ASKED: usize = 5;
/// Share of the cold tier's bytes that such a question may read.
const READ_GOAL: f64 = 0.02;
const OPEN_GOAL: Duration = Duration::from_secs(1);
const RESIDENT_GOAL_MIB: f64 = 200.0;
/// So that each day of the store to open has events, weekends too.
const EVENTS_A_SECTION: u64 = 40;

/// Each with the order of its rows, so that answers can be compared.
const QUESTIONS: [(&str, &str); 6] = [
    (
        "events and values by name",
        "SELECT event, count(*), sum(value) FROM events GROUP BY event ORDER BY event",
    ),
    (
        "distinct users a day",
        "SELECT date_trunc('day', event_time) AS day, count(DISTINCT user_id) FROM events \
         GROUP BY day ORDER BY day",
    ),
    (
        "latest event of each account",
        "SELECT account_id, max(event_time) FROM events GROUP BY account_id ORDER BY account_id",
    ),
    (
        "one event name and a property",
        "SELECT account_id, count(*) FROM events \
         WHERE event = 'report_viewed' AND properties ->> 'country' = 'DE' \
         GROUP BY account_id ORDER BY account_id",
    ),
    (
        "ids of one day",
        "SELECT event_id, seq, received_at FROM events \
         WHERE event_time >= (SELECT date_trunc('day', max(event_time)) - INTERVAL '30 days' \
         FROM events) \
         AND event_time < (SELECT date_trunc('day', max(event_time)) - INTERVAL '29 days' \
         FROM events) ORDER BY seq",
    ),
    (
        "every column of one account",
        "SELECT * FROM events \
         WHERE account_id = (SELECT min(account_id) FROM events) ORDER BY seq",
    ),
];

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(path) = &arguments.open {
        return open_and_tell(path);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    println!(
        "{}; {} threads; {} events; median of {}\n",
        machine(),
        arguments.threads,
        arguments.events,
        arguments.rounds
    );
    let folder = tempfile::tempdir_in(&arguments.disk)?;
    let path = folder.path().join("store");
    let config = SimulationConfig::scaled(arguments.events, 7, yesterday());
    let store = fill(&path, config)?;
    let hot = measure(&arguments, &runtime, &store)?;
    let hot_opened = reopened(store, &path)?;
    let store = open(&path)?;
    store.compact(CompactionGoal::AllCold)?;
    ensure!(
        store
            .snapshot()
            .slices()
            .iter()
            .flat_map(|slice| &slice.sections)
            .all(|section| section.is_cold()),
        "a section stayed hot"
    );
    let cold_opened = reopened(store, &path)?;
    let store = open(&path)?;
    let cold = measure(&arguments, &runtime, &store)?;
    print_scans(&hot, &cold)?;
    close(store)?;
    print_reads(&arguments, &runtime, &path)?;
    let mut opened = vec![
        (format!("{} events, hot", arguments.events), hot_opened),
        (format!("{} events, cold", arguments.events), cold_opened),
    ];
    opened.extend(stores_of_many_sections(&arguments)?);
    print_opening(&opened);
    Ok(())
}

fn yesterday() -> i32 {
    day_of_timestamp_us(SystemClock.now_us()) - 1
}

// Stores

/// A store that compacts nothing by itself.
fn open(path: &Path) -> anyhow::Result<Arc<Store>> {
    let directory: Arc<dyn Directory> = Arc::new(RealDirectory::open(path)?);
    let config = StoreConfig {
        hot_bytes_max: u64::MAX,
        ..StoreConfig::default()
    };
    let (store, _) = Store::open(directory, config, Arc::new(SystemClock))?;
    Ok(Arc::new(store))
}

/// Closes a store that nobody else holds, so that its lock is free on return.
fn close(store: Arc<Store>) -> anyhow::Result<()> {
    store.close()?;
    Arc::into_inner(store).context("the store is still held")?;
    Ok(())
}

/// A store with the events of `config`, all of them in hot files.
fn fill(path: &Path, config: SimulationConfig) -> anyhow::Result<Arc<Store>> {
    let store = open(path)?;
    for chunk in Simulation::new(config)? {
        store.append(chunk.to_event_batch(SystemClock.now_us()).0)?;
    }
    store.flush()?;
    Ok(store)
}

fn engine(store: &Arc<Store>, threads: usize) -> anyhow::Result<QueryEngine> {
    let config = QueryConfig {
        scan_threads: threads,
        partitions: threads,
        ..QueryConfig::default()
    };
    Ok(QueryEngine::new(Arc::clone(store), config)?)
}

/// The answer as one batch; `None` where it has no rows.
async fn ask(engine: &QueryEngine, sql: &str) -> anyhow::Result<Option<RecordBatch>> {
    let request = QueryRequest::new(sql);
    let batches: Vec<RecordBatch> = engine.query(request).await?.try_collect().await?;
    let Some(first) = batches.first() else {
        return Ok(None);
    };
    Ok(Some(concat_batches(&first.schema(), &batches)?))
}

// Scans

/// A question on one tier: the first time after opening, the median, and the answer.
struct Scan {
    name: &'static str,
    first: Duration,
    median: Duration,
    answer: Option<RecordBatch>,
}

fn measure(
    arguments: &Arguments,
    runtime: &Runtime,
    store: &Arc<Store>,
) -> anyhow::Result<Vec<Scan>> {
    let engine = engine(store, arguments.threads)?;
    let mut scans = Vec::new();
    for (name, sql) in QUESTIONS {
        scans.push(scan(name, arguments.rounds, || {
            runtime.block_on(ask(&engine, sql))
        })?);
    }
    let snapshot = store.snapshot();
    let filter = RowFilter::up_to(snapshot.seq());
    let threads = arguments.threads;
    scans.push(scan("kernel: active days", arguments.rounds, || {
        let counts = active_days(&snapshot, Entity::User, &filter, threads)?;
        Ok(Some(counts.to_batch(&snapshot, Domain::User)))
    })?);
    scans.push(scan("kernel: sessions", arguments.rounds, || {
        let counts = sessions(&snapshot, Entity::User, &filter, GAP_US, threads)?;
        Ok(Some(counts.to_batch(&snapshot, Domain::User)))
    })?);
    Ok(scans)
}

fn scan(
    name: &'static str,
    rounds: usize,
    mut ask: impl FnMut() -> anyhow::Result<Option<RecordBatch>>,
) -> anyhow::Result<Scan> {
    let begun = Instant::now();
    ask().with_context(|| name)?;
    let first = begun.elapsed();
    let (median, answer) = median(rounds, ask)?;
    Ok(Scan {
        name,
        first,
        median,
        answer,
    })
}

fn print_scans(hot: &[Scan], cold: &[Scan]) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut logarithms = 0.0;
    for (hot, cold) in hot.iter().zip(cold) {
        let name = hot.name;
        ensure!(hot.answer.is_some(), "{name}: the question finds nothing");
        ensure!(
            hot.answer == cold.answer,
            "{name}: the tiers answer differently"
        );
        let ratio = cold.median.as_secs_f64() / hot.median.as_secs_f64();
        logarithms += ratio.ln();
        rows.push(vec![
            name.to_owned(),
            milliseconds(hot.median),
            milliseconds(cold.median),
            milliseconds(cold.first),
            format!("{ratio:.2} ×"),
        ]);
    }
    let mean = (logarithms / rows.len() as f64).exp();
    let header = [
        "question",
        "hot ms",
        "cold ms",
        "cold, first ms",
        "cold / hot",
    ];
    print_table(&header, &rows);
    println!("\nGeometric mean of cold / hot: {mean:.2} ×\n");
    for (name, sql) in QUESTIONS {
        println!("{name}: {sql}");
    }
    println!();
    Ok(())
}

// Reads

/// Bytes that were read of cold files since the store was opened.
fn cold_bytes_read(store: &Store) -> anyhow::Result<u64> {
    Ok(store.statistics()?.cold_read_bytes)
}

/// What questions about one account and one day read, each of a store opened anew.
fn print_reads(arguments: &Arguments, runtime: &Runtime, path: &Path) -> anyhow::Result<()> {
    let mut whole = 0;
    let directory = RealDirectory::open(path)?;
    for name in directory.list("cold")? {
        whole += directory.len(&format!("cold/{name}"))?;
    }
    drop(directory);
    let (day, accounts) = accounts_of_a_day(runtime, path)?;
    let mut rows = Vec::new();
    for place in 0..ACCOUNTS_ASKED {
        let (account, events) = &accounts[place * (accounts.len() - 1) / (ACCOUNTS_ASKED - 1)];
        let sql = format!(
            "SELECT * FROM events WHERE account_id = '{account}' \
             AND event_time >= TIMESTAMP '{day}' \
             AND event_time < TIMESTAMP '{day}' + INTERVAL '1 day'"
        );
        let store = open(path)?;
        let before = cold_bytes_read(&store)?;
        let engine = engine(&store, arguments.threads)?;
        let begun = Instant::now();
        let answer = runtime.block_on(ask(&engine, &sql))?;
        let time = begun.elapsed();
        let read = cold_bytes_read(&store)? - before;
        drop(engine);
        close(store)?;
        let found = answer.map_or(0, |batch| batch.num_rows());
        ensure!(
            found as i64 == *events,
            "{account} has {events} events on {day}, and {found} were found"
        );
        let share = read as f64 / whole as f64;
        rows.push(vec![
            account.clone(),
            events.to_string(),
            read.to_string(),
            format!("{:.3} %", share * 100.0),
            format!("≤ {} %", READ_GOAL * 100.0),
            verdict(share <= READ_GOAL),
            milliseconds(time),
        ]);
    }
    println!(
        "Every column of one account on {day}, of {whole} bytes in cold files, caches empty:\n"
    );
    let header = ["account", "events", "bytes read", "share", "goal", "", "ms"];
    print_table(&header, &rows);
    println!();
    Ok(())
}

/// A day in the middle, and its accounts with their events, those with most first.
fn accounts_of_a_day(
    runtime: &Runtime,
    path: &Path,
) -> anyhow::Result<(String, Vec<(String, i64)>)> {
    let store = open(path)?;
    let snapshot = store.snapshot();
    let slices = snapshot.slices();
    let middle = slices.get(slices.len() / 2).context("the store is empty")?;
    let day = format_timestamp_us(day_start_us(middle.day));
    drop(snapshot);
    let engine = engine(&store, 1)?;
    let sql = format!(
        "SELECT account_id, count(*) AS events FROM events WHERE account_id IS NOT NULL \
         AND event_time >= TIMESTAMP '{day}' AND event_time < TIMESTAMP '{day}' + INTERVAL '1 day' \
         GROUP BY account_id ORDER BY events DESC, account_id"
    );
    let found = runtime
        .block_on(ask(&engine, &sql))?
        .with_context(|| format!("no account has events on {day}"))?;
    drop(engine);
    close(store)?;
    // Text is a view or not, as the engine likes.
    let names = cast(found.column(0), &DataType::Utf8)?;
    let counts = found.column(1).as_primitive::<Int64Type>();
    let accounts = names.as_string::<i32>().iter().zip(counts.values());
    let accounts = accounts.map(|(name, &events)| (name.unwrap_or_default().to_owned(), events));
    Ok((day, accounts.collect()))
}

// Opening

/// What opening a store took in a process of its own.
struct Opened {
    sections: usize,
    time: Duration,
    /// Resident memory without a file behind it, before and after.
    before_mib: f64,
    after_mib: f64,
}

/// Closes the store and opens it in a process of its own.
fn reopened(store: Arc<Store>, path: &Path) -> anyhow::Result<Opened> {
    close(store)?;
    let program = std::env::current_exe()?;
    let output = Command::new(program).arg("--open").arg(path).output()?;
    ensure!(
        output.status.success(),
        "opening {} failed: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let facts: Vec<f64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [sections, seconds, before_mib, after_mib] = facts[..] else {
        anyhow::bail!("opening {} said {text:?}", path.display());
    };
    Ok(Opened {
        sections: sections as usize,
        time: Duration::from_secs_f64(seconds),
        before_mib,
        after_mib,
    })
}

/// The other process: prints sections, seconds, and memory before and after.
fn open_and_tell(path: &Path) -> anyhow::Result<()> {
    let before_mib = anonymous_mib()?;
    let begun = Instant::now();
    let store = open(path)?;
    let snapshot = store.snapshot();
    let slices = snapshot.slices().iter();
    let sections: usize = slices.map(|slice| slice.sections.len()).sum();
    let seconds = begun.elapsed().as_secs_f64();
    println!("{sections} {seconds} {before_mib} {}", anonymous_mib()?);
    drop(snapshot);
    close(store)
}

/// Resident memory of this process that no file stands behind. Linux only.
fn anonymous_mib() -> anyhow::Result<f64> {
    let path = "/proc/self/smaps_rollup";
    let text = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let kib: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:")?.split_whitespace().next())
        .with_context(|| format!("{path} has no line `Anonymous:`"))?
        .parse()?;
    Ok(kib / 1024.0)
}

/// A store with a section a day, hot and then cold.
fn stores_of_many_sections(arguments: &Arguments) -> anyhow::Result<Vec<(String, Opened)>> {
    let folder = tempfile::tempdir_in(&arguments.disk)?;
    let path = folder.path().join("store");
    let sections = arguments.sections;
    let config = SimulationConfig {
        days: sections,
        ..SimulationConfig::scaled(u64::from(sections) * EVENTS_A_SECTION, 7, yesterday())
    };
    let hot = reopened(fill(&path, config)?, &path)?;
    let store = open(&path)?;
    store.compact(CompactionGoal::AllCold)?;
    let cold = reopened(store, &path)?;
    for opened in [&hot, &cold] {
        ensure!(
            opened.sections >= sections as usize,
            "{} sections where {sections} were to be opened",
            opened.sections
        );
    }
    Ok(vec![
        (format!("{sections} days, hot"), hot),
        (format!("{sections} days, cold"), cold),
    ])
}

fn print_opening(opened: &[(String, Opened)]) {
    println!("Opening, the log empty; memory is what no file stands behind:\n");
    let rows: Vec<Vec<String>> = opened
        .iter()
        .map(|(name, opened)| {
            vec![
                name.clone(),
                opened.sections.to_string(),
                milliseconds(opened.time),
                format!("{:.1}", opened.before_mib),
                format!("{:.1}", opened.after_mib),
                verdict(opened.time <= OPEN_GOAL && opened.after_mib <= RESIDENT_GOAL_MIB),
            ]
        })
        .collect();
    let header = ["store", "sections", "ms", "MiB before", "MiB after", ""];
    print_table(&header, &rows);
    println!(
        "\nGoals: {} ms and {RESIDENT_GOAL_MIB} MiB.",
        milliseconds(OPEN_GOAL)
    );
}

fn verdict(met: bool) -> String {
    if met { "met" } else { "missed" }.to_owned()
}

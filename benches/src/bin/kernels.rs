//! Two kernels on the scan interface against DataFusion's own plans over the same store: active
//! days of each user over all days, and sessions of each user at a gap of 30 minutes.
//!
//! Late sections, memtable chunks, users of several accounts and nulls are part of the workload.
//! Answers are compared in full. `cargo run --release -p vitalog-benches --bin kernels`
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use clap::Parser;
use futures::TryStreamExt;
use vitalog::simulate::{Simulation, SimulationConfig};
use vitalog_benches::{machine, median, milliseconds, print_table};
use vitalog_disk::{Directory, RealDirectory};
use vitalog_event::day_of_timestamp_us;
use vitalog_query::entity::{Entity, EntityCounts, active_days, sessions};
use vitalog_query::{QueryConfig, QueryEngine, QueryRequest};
use vitalog_store::{Clock, Domain, RowFilter, Store, StoreConfig, SystemClock};

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events of the workload.
    #[arg(long, default_value_t = 5_000_000)]
    events: u64,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Threads of the kernels, and partitions of DataFusion's plans.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Where a folder for the store is made.
    #[arg(long, default_value = ".")]
    disk: PathBuf,
}

const GAP_US: i64 = 30 * 60 * 1_000_000;

const ACTIVE_DAYS_SQL: &str = "SELECT user_id, count(DISTINCT date_trunc('day', event_time)) \
    FROM events GROUP BY user_id";

const SESSIONS_SQL: &str = "SELECT user_id, count(*) FROM (\
    SELECT user_id, event_time, lag(event_time) OVER (PARTITION BY user_id ORDER BY event_time) \
    AS before FROM events) \
    WHERE before IS NULL OR event_time - before > INTERVAL '30 minutes' GROUP BY user_id";

/// One run of a kernel.
type Kernel<'a> = &'a dyn Fn() -> anyhow::Result<EntityCounts>;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir_in(&arguments.disk)?;
    let store = fill(&folder.path().join("store"), arguments.events)?;
    let config = QueryConfig {
        scan_threads: arguments.threads,
        partitions: arguments.threads,
        ..QueryConfig::default()
    };
    let engine = QueryEngine::new(Arc::clone(&store), config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let known = store.statistics()?;
    println!(
        "{}; {} threads; {} events in {} segment sections and {} memtable sections of {} days; \
         median of {}\n",
        machine(),
        arguments.threads,
        arguments.events,
        known.segment_sections,
        known.memory_sections,
        known.days,
        arguments.rounds
    );
    let filter = RowFilter::up_to(store.snapshot().seq());
    let threads = arguments.threads;
    let kernel_days = || {
        Ok(active_days(
            &store.snapshot(),
            Entity::User,
            &filter,
            threads,
        )?)
    };
    let kernel_sessions = || {
        Ok(sessions(
            &store.snapshot(),
            Entity::User,
            &filter,
            GAP_US,
            threads,
        )?)
    };
    let mut rows = Vec::new();
    let questions: [(&str, &str, Kernel<'_>); 2] = [
        ("active days of each user", ACTIVE_DAYS_SQL, &kernel_days),
        ("sessions of each user", SESSIONS_SQL, &kernel_sessions),
    ];
    for (name, sql, kernel) in questions {
        let (kernel_time, counts) = median(arguments.rounds, kernel)?;
        let (sql_time, batches) = median(arguments.rounds, || runtime.block_on(ask(&engine, sql)))?;
        let found = by_user(&[counts.to_batch(&store.snapshot(), Domain::User)])?;
        let expected = by_user(&batches)?;
        ensure!(
            found == expected,
            "{name}: the kernel and the plan answer differently"
        );
        let ratio = sql_time.as_secs_f64() / kernel_time.as_secs_f64();
        rows.push(vec![
            name.to_owned(),
            found.len().to_string(),
            milliseconds(sql_time),
            milliseconds(kernel_time),
            format!("{ratio:.1} ×"),
            "5 ×".to_owned(),
        ]);
    }
    print_table(
        &[
            "question",
            "groups",
            "DataFusion ms",
            "kernel ms",
            "ratio",
            "goal",
        ],
        &rows,
    );
    println!("\n{ACTIVE_DAYS_SQL}\n{SESSIONS_SQL}");
    Ok(())
}

/// A store whose last hundredth of events is in the memtable; 2 % of the workload arrive late.
fn fill(path: &std::path::Path, events: u64) -> anyhow::Result<Arc<Store>> {
    let directory: Arc<dyn Directory> = Arc::new(RealDirectory::open(path)?);
    let clock = Arc::new(SystemClock);
    let store = Arc::new(Store::open(directory, StoreConfig::default(), clock)?.0);
    let end_day = day_of_timestamp_us(SystemClock.now_us()) - 1;
    let mut pushed = 0;
    let mut flushed = false;
    for chunk in Simulation::new(SimulationConfig::scaled(events, 1, end_day))? {
        if !flushed && pushed * 100 > events * 99 {
            store.flush()?;
            flushed = true;
        }
        pushed += chunk.len() as u64;
        store.append(chunk.to_event_batch(SystemClock.now_us()).0)?;
    }
    Ok(store)
}

async fn ask(engine: &QueryEngine, sql: &str) -> anyhow::Result<Vec<RecordBatch>> {
    let request = QueryRequest::new(sql);
    Ok(engine.query(request).await?.try_collect().await?)
}

fn by_user(batches: &[RecordBatch]) -> anyhow::Result<BTreeMap<Option<String>, i64>> {
    let mut counts = BTreeMap::new();
    for batch in batches {
        let users = batch.column(0).as_string::<i32>();
        let values = batch
            .column(1)
            .as_primitive_opt::<Int64Type>()
            .context("no count")?;
        for row in 0..batch.num_rows() {
            let user = users.is_valid(row).then(|| users.value(row).to_owned());
            let known = counts.insert(user.clone(), values.value(row));
            ensure!(known.is_none(), "{user:?} stands twice");
        }
    }
    Ok(counts)
}

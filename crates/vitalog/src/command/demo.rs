//! `demo`: a store of a small B2B product, its health table, and the explanation of the worst
//! account, all asked in SQL from the store on disk that the process goes on serving.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use vitalog_event::{DAY_US, day_of_timestamp_us, day_start_us, format_timestamp_us};
use vitalog_query::{Access, QueryEngine, QueryRequest};
use vitalog_store::{Clock, Store, SystemClock};

use super::import::{Target, Uploader};
use super::local::{Missing, open_store};
use super::progress::{bar, count};
use super::serve::serve;
use crate::config::Config;
use crate::simulate::{DEMO_DAYS, Demo, DemoConfig};
use crate::sql::{OutputFormat, write_batches};

/// How to demonstrate.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Leave after printing.
    #[arg(long)]
    once: bool,
    /// Address of the gRPC listener; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    grpc: Option<SocketAddr>,
    /// Equal seeds give equal accounts.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// Where the demonstration lies when nothing says otherwise.
const DATA_DEFAULT: &str = "vitalog-demo";
/// Days of the period that is scored, today included.
const PERIOD_DAYS: i32 = 30;

/// The health of every account over a period, worst first; `{since}`, `{until}` and `{weights}`
/// are filled in.
const HEALTH_SQL: &str = include_str!("demo/health.sql");
/// What made one account's score, event by event.
const EXPLAIN_SQL: &str = include_str!("demo/explain.sql");
/// What an event of each name is worth.
const WEIGHTS_SQL: &str = include_str!("demo/weights.sql");

pub(super) fn run(
    args: &DemoArgs,
    data: Option<&Path>,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    let data = data.map_or_else(|| PathBuf::from(DATA_DEFAULT), Path::to_owned);
    let store = open_store(&data, config, Missing::Create)?;
    if store.snapshot().seq() == 0 {
        simulate(&store, &data, args.seed)?;
    } else {
        eprintln!("opened the demonstration in {}", data.display());
    }
    let engine = QueryEngine::new(Arc::clone(&store), config.query())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(show(&engine, &store, &data))?;
    drop(engine);
    runtime.shutdown_background();
    if args.once {
        store.close()?;
        return Ok(ExitCode::SUCCESS);
    }
    println!();
    serve(store, config, args.grpc)
}

fn simulate(store: &Arc<Store>, data: &Path, seed: u64) -> anyhow::Result<()> {
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
    println!(
        "simulated {} events into {}",
        count(appended.accepted),
        data.display()
    );
    Ok(())
}

async fn show(engine: &QueryEngine, store: &Store, data: &Path) -> anyhow::Result<()> {
    let known = store.statistics()?;
    let until_us = store
        .clock()
        .now_us()
        .min(known.time_max_us.unwrap_or(0) + DAY_US);
    let today = day_of_timestamp_us(until_us - 1);
    let since_us = day_start_us(today - (PERIOD_DAYS - 1));
    let fill = |sql: &str| {
        sql.replace("{weights}", WEIGHTS_SQL.trim())
            .replace("{since}", &format_timestamp_us(since_us))
            .replace(
                "{previous}",
                &format_timestamp_us(since_us - i64::from(PERIOD_DAYS) * DAY_US),
            )
            .replace("{until}", &format_timestamp_us(until_us))
    };
    println!(
        "\nAccount health of the {PERIOD_DAYS} days to {}, worst first \
         ({} events of {} accounts)\n",
        format_timestamp_us(until_us),
        count(known.segment_rows + known.memory_rows),
        count(known.accounts as u64),
    );
    let health = fill(HEALTH_SQL);
    let table = collect(engine, &health).await?;
    write_batches(OutputFormat::Table, &table, &mut std::io::stdout().lock())?;
    let worst_sql =
        format!("SELECT account_id, account FROM ({health}) ORDER BY score, account LIMIT 1");
    let worst = collect(engine, &worst_sql).await?;
    let Some((id, name)) = worst.first().and_then(first_row) else {
        println!("no account has a score yet");
        return Ok(());
    };
    println!("\nWhat made the score of the worst account, {name}\n");
    let explain = fill(EXPLAIN_SQL).replace("{account}", &id.replace('\'', "''"));
    let explanation = collect(engine, &explain).await?;
    write_batches(
        OutputFormat::Table,
        &explanation,
        &mut std::io::stdout().lock(),
    )?;
    println!(
        "\nThe tables above are SQL over the store in {0}. Ask it yourself:\n\n  \
         vitalog --data {0} sql -c \"SELECT event, count(*) FROM events GROUP BY event ORDER BY 2 DESC LIMIT 5\"\n  \
         vitalog sql --url grpc://HOST:PORT        (while it is served, at the address it says)",
        data.display()
    );
    Ok(())
}

async fn collect(
    engine: &QueryEngine,
    sql: &str,
) -> anyhow::Result<Vec<arrow::array::RecordBatch>> {
    use futures::TryStreamExt;
    let request = QueryRequest {
        sql: sql.to_owned(),
        as_of_seq: None,
        access: Access::ReadOnly,
    };
    Ok(engine.query(request).await?.try_collect().await?)
}

fn first_row(batch: &arrow::array::RecordBatch) -> Option<(String, String)> {
    use arrow::array::AsArray;
    let text = |column: usize| batch.column(column).as_string::<i32>().value(0).to_owned();
    (batch.num_rows() > 0).then(|| (text(0), text(1)))
}

//! Vitalog's aggregates against DataFusion's own `sum` on the same grouping, in memory.
//!
//! The rows are those of a product: by day, and within a day by account, user and time, as the
//! store gives them. Every answer is compared with a plain loop over the rows; where one differs
//! the bench fails. Rounds are interleaved, so that what else the machine does meets all alike.
//! `cargo run --release -p vitalog-benches --bin functions`
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringViewArray,
    StringViewBuilder, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use clap::Parser;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use vitalog_benches::{Times, machine, milliseconds, print_table};

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// About how many rows there are.
    #[arg(long, default_value_t = 5_000_000)]
    rows: usize,
    /// Rounds; medians count.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Partitions, each on a thread.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

const ACCOUNTS: u64 = 5_000;
const USERS: u64 = 70_000;
const DAYS: i64 = 180;
const DAY_US: i64 = 86_400_000_000;
const EVENT_NAMES: u64 = 40;
/// Of the names every second one is a feature.
const FEATURES: usize = 20;
const HALF_LIFE_DAYS: f64 = 7.0;
/// Days between which active days are counted.
const PERIOD: std::ops::Range<i64> = 100..160;
const BATCH_ROWS: usize = 8_192;
/// Times as long as `sum` that a function may take.
const GOAL: f64 = 1.5;

const SUM: &str = "sum(value)";
const ACTIVE_DAYS: &str = "active_days(event_time, DATE '1970-04-11', DATE '1970-06-10')";
const DECAYED_SUM: &str =
    "decayed_sum(value, event_time, TIMESTAMP '1970-06-30 00:00:00', INTERVAL '7 days')";

/// One column of the rows to group by, and how a loop tells its groups apart.
struct Grouping {
    name: &'static str,
    column: &'static str,
    group_of: fn(&Rows, usize) -> u32,
}

const GROUPINGS: [Grouping; 3] = [
    Grouping {
        name: "account, text",
        column: "account_id",
        group_of: |rows, row| rows.accounts[row],
    },
    Grouping {
        name: "user, text",
        column: "user_id",
        group_of: |rows, row| rows.users[row],
    },
    Grouping {
        name: "user, integer",
        column: "user_code",
        group_of: |rows, row| rows.users[row],
    },
];

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let rows = Rows::make(arguments.rows);
    let context = session(&rows, arguments.threads)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.threads)
        .enable_all()
        .build()?;
    println!(
        "{}; {} threads; {} rows, {DAYS} days; median of {} interleaved rounds\n",
        machine(),
        arguments.threads,
        rows.times.len(),
        arguments.rounds
    );
    let adoption = feature_adoption_sql();
    let calls = [SUM, ACTIVE_DAYS, &adoption, DECAYED_SUM, "exact_sum(value)"];
    let mut table = Vec::new();
    for grouping in &GROUPINGS {
        let expected = Expected::of(&rows, grouping.group_of);
        let mut times = vec![Vec::new(); calls.len()];
        for _ in 0..arguments.rounds {
            for (call, times) in calls.iter().zip(&mut times) {
                let column = grouping.column;
                let sql = format!("SELECT {column}, {call} FROM events GROUP BY {column}");
                let begun = Instant::now();
                let batches =
                    runtime.block_on(async { context.sql(&sql).await?.collect().await })?;
                times.push(begun.elapsed());
                expected
                    .check(call, &batches)
                    .with_context(|| format!("{call} by {}", grouping.name))?;
            }
        }
        let medians: Vec<Duration> = times
            .into_iter()
            .map(|times| Times::of(times).percentile(50))
            .collect();
        for (call, time) in calls.iter().zip(&medians) {
            let ratio = time.as_secs_f64() / medians[0].as_secs_f64();
            table.push(vec![
                call.split('(').next().unwrap_or(call).to_owned(),
                grouping.name.to_owned(),
                expected.groups.len().to_string(),
                milliseconds(*time),
                format!("{ratio:.2} ×"),
                if *call == SUM {
                    "the yardstick".to_owned()
                } else {
                    format!("{GOAL} ×")
                },
            ]);
        }
    }
    print_table(
        &["function", "grouped by", "groups", "ms", "of sum", "goal"],
        &table,
    );
    println!("\n{}", calls.join("\n"));
    Ok(())
}

fn feature_adoption_sql() -> String {
    let features: Vec<String> = (0..FEATURES)
        .map(|feature| format!("'{}'", event_name(2 * feature)))
        .collect();
    format!("feature_adoption(event, [{}])", features.join(", "))
}

fn event_name(number: usize) -> String {
    format!("screen{number:02}.opened")
}

/// The rows as plain columns.
#[derive(Default)]
struct Rows {
    accounts: Vec<u32>,
    users: Vec<u32>,
    times: Vec<i64>,
    events: Vec<u8>,
    values: Vec<f64>,
}

impl Rows {
    /// Some 800,000 days of users, with so many events each that there are about `rows`; accounts
    /// have very different sizes, and so have event names.
    fn make(rows: usize) -> Self {
        let mut random = Random(1);
        let mut made = Self::default();
        let user_days = USERS * DAYS as u64;
        let events_mean = 6;
        let of_thousand = (rows as u64 * 1_000 / events_mean / user_days).clamp(1, 1_000);
        for day in 0..DAYS {
            for user in 0..USERS {
                if random.below(1_000) >= of_thousand {
                    continue;
                }
                let mut time_us = day * DAY_US + random.below(70_000) as i64 * 1_000_000;
                for _ in 0..1 + random.below(2 * events_mean - 1) {
                    time_us += 1 + random.below(120_000_000) as i64;
                    made.accounts
                        .push((ACCOUNTS * user / USERS * user / USERS) as u32);
                    made.users.push(user as u32);
                    made.times.push(time_us);
                    let share = random.below(1_000);
                    let event = EVENT_NAMES * share * share / 1_000_000;
                    made.events.push(event as u8);
                    made.values.push(random.below(100_000) as f64 / 100.0);
                }
            }
        }
        made
    }

    fn batch(&self, from: usize) -> anyhow::Result<RecordBatch> {
        let range = from..(from + BATCH_ROWS).min(self.times.len());
        let text = |prefix: &str, codes: &[u32]| -> ArrayRef {
            let names = codes.iter().map(|code| format!("{prefix}-{code:08}"));
            Arc::new(StringViewArray::from_iter_values(names))
        };
        let names: Vec<String> = (0..EVENT_NAMES as usize).map(event_name).collect();
        // As a scan gives them: rows share the text of the few names there are, and each has a copy
        // of its ids.
        let mut events = StringViewBuilder::new().with_deduplicate_strings();
        for &event in &self.events[range.clone()] {
            events.append_value(&names[usize::from(event)]);
        }
        let times = TimestampMicrosecondArray::from(self.times[range.clone()].to_vec());
        let codes = self.users[range.clone()]
            .iter()
            .map(|&user| i64::from(user));
        Ok(RecordBatch::try_from_iter([
            ("account_id", text("account", &self.accounts[range.clone()])),
            ("user_id", text("user", &self.users[range.clone()])),
            (
                "user_code",
                Arc::new(Int64Array::from_iter_values(codes)) as ArrayRef,
            ),
            ("event_time", Arc::new(times.with_timezone("UTC"))),
            ("event", Arc::new(events.finish())),
            (
                "value",
                Arc::new(Float64Array::from(self.values[range].to_vec())),
            ),
        ])?)
    }
}

fn session(rows: &Rows, threads: usize) -> anyhow::Result<SessionContext> {
    let config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_batch_size(BATCH_ROWS);
    let mut context = SessionContext::new_with_config(config);
    vitalog_functions::register_all(&mut context)?;
    let mut partitions = vec![Vec::new(); threads];
    for (index, from) in (0..rows.times.len()).step_by(BATCH_ROWS).enumerate() {
        partitions[index % threads].push(rows.batch(from)?);
    }
    let schema = partitions[0].first().context("no rows")?.schema();
    context.register_table("events", Arc::new(MemTable::try_new(schema, partitions)?))?;
    Ok(context)
}

/// What the questions have as answers, by a plain loop.
struct Expected {
    groups: BTreeMap<u32, OfGroup>,
}

#[derive(Default)]
struct OfGroup {
    days: [u64; 3],
    events: u64,
    sum: f64,
    decayed: f64,
}

impl Expected {
    fn of(rows: &Rows, group_of: fn(&Rows, usize) -> u32) -> Self {
        let mut groups: BTreeMap<u32, OfGroup> = BTreeMap::new();
        for row in 0..rows.times.len() {
            let group = groups.entry(group_of(rows, row)).or_default();
            let (time_us, value) = (rows.times[row], rows.values[row]);
            let day = time_us / DAY_US;
            group.days[(day / 64) as usize] |= 1 << (day % 64);
            group.events |= 1 << rows.events[row];
            group.sum += value;
            let age_days = (DAYS * DAY_US - time_us) as f64 / DAY_US as f64;
            if age_days > 0.0 {
                group.decayed += value * (-age_days / HALF_LIFE_DAYS).exp2();
            }
        }
        Self { groups }
    }

    /// Compares an answer: counts exactly, sums within 1e-9 of themselves, because these loops round
    /// after every addition.
    fn check(&self, call: &str, batches: &[RecordBatch]) -> anyhow::Result<()> {
        let mut found = 0;
        for batch in batches {
            let keys = keys(batch.column(0))?;
            let values = cast(batch.column(1), &DataType::Float64)?;
            let values = values.as_primitive::<Float64Type>();
            for (key, &value) in keys.iter().zip(values.values()) {
                let group = self.groups.get(key).context("a group that is not there")?;
                let expected = group.answer(call);
                let near = (value - expected).abs() <= 1e-9 * expected.abs();
                ensure!(near, "{value} instead of {expected} for {key}");
            }
            ensure!(values.null_count() == 0, "an answer is NULL");
            found += keys.len();
        }
        ensure!(
            found == self.groups.len(),
            "{found} groups instead of {}",
            self.groups.len()
        );
        Ok(())
    }
}

impl OfGroup {
    fn answer(&self, call: &str) -> f64 {
        match call {
            ACTIVE_DAYS => {
                let active = |day: &i64| self.days[(day / 64) as usize] >> (day % 64) & 1 == 1;
                PERIOD.filter(active).count() as f64
            }
            DECAYED_SUM => self.decayed,
            call if call.starts_with("feature_adoption") => {
                let used = (0..FEATURES).filter(|feature| self.events >> (2 * feature) & 1 == 1);
                100.0 * used.count() as f64 / FEATURES as f64
            }
            _ => self.sum,
        }
    }
}

/// The numbers of groups from their names or codes.
fn keys(column: &ArrayRef) -> anyhow::Result<Vec<u32>> {
    if let Some(codes) = column.as_primitive_opt::<Int64Type>() {
        return Ok(codes.values().iter().map(|&code| code as u32).collect());
    }
    let names = column
        .as_string_view_opt()
        .context("a key of another type")?;
    names
        .iter()
        .map(|name| {
            let (_, number) = name
                .and_then(|name| name.split_once('-'))
                .context("no number")?;
            Ok(number.parse()?)
        })
        .collect()
}

/// A small generator of equally distributed numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

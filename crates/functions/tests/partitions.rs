//! Aggregates over random rows, however they are cut into batches, partitions, groups and frames,
//! against plain models that look at all rows at once.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use vitalog_measure::{Funnel, FunnelEvent, FunnelModes};

const DAY_US: i64 = 86_400_000_000;
const DAYS: i64 = 200;

#[derive(Debug, Clone)]
struct Row {
    id: i64,
    group: i64,
    ts: Option<i64>,
    event: String,
    raw: Option<f64>,
}

/// A small generator of equally distributed numbers; the seed is the test's.
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

fn rows(seed: u64, count: usize, groups: u64) -> Vec<Row> {
    let mut random = Random(seed);
    (0..count as i64)
        .map(|id| Row {
            id,
            // A few groups are heavy, as in life.
            group: (random.below(groups) * random.below(groups) / groups) as i64,
            ts: (random.below(20) > 0).then(|| {
                let at = random.below(DAYS as u64) * random.below(DAYS as u64) / DAYS as u64;
                at as i64 * DAY_US + random.below(86_400) as i64 * 1_000_000
            }),
            event: format!("event{}", random.below(12)),
            raw: (random.below(10) > 0).then(|| random.below(1000) as f64 / 8.0 - 10.0),
        })
        .collect()
}

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 5] = [
        (
            "id",
            Arc::new(rows.iter().map(|row| Some(row.id)).collect::<Int64Array>()),
        ),
        (
            "g",
            Arc::new(
                rows.iter()
                    .map(|row| Some(row.group))
                    .collect::<Int64Array>(),
            ),
        ),
        (
            "ts",
            Arc::new(
                rows.iter()
                    .map(|row| row.ts)
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
        ),
        (
            "event",
            Arc::new(
                rows.iter()
                    .map(|row| Some(row.event.as_str()))
                    .collect::<StringArray>(),
            ),
        ),
        (
            "raw",
            Arc::new(rows.iter().map(|row| row.raw).collect::<Float64Array>()),
        ),
    ];
    let nullable = columns.map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(nullable).unwrap()
}

/// A session over the rows, cut into partitions and batches.
fn session(
    rows: &[Row],
    partitions: usize,
    batch_rows: usize,
    skip_partial: bool,
) -> SessionContext {
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(batch_rows);
    if skip_partial {
        let options = &mut config.options_mut().execution;
        options.skip_partial_aggregation_probe_ratio_threshold = 0.0;
        options.skip_partial_aggregation_probe_rows_threshold = 0;
    }
    let mut context = SessionContext::new_with_config(config);
    vitalog_functions::register_all(&mut context).unwrap();
    let mut parts: Vec<Vec<RecordBatch>> = vec![Vec::new(); partitions];
    for (index, rows) in rows.chunks(batch_rows).enumerate() {
        parts[index % partitions].push(batch(rows));
    }
    let table = MemTable::try_new(batch(&[]).schema(), parts).unwrap();
    context.register_table("rows", Arc::new(table)).unwrap();
    context
}

/// The rows of an answer: the key and every other column as a double, NULL as `None`.
async fn answer(context: &SessionContext, sql: &str) -> BTreeMap<i64, Vec<Option<u64>>> {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let mut answers = BTreeMap::new();
    for batch in batches {
        let keys = batch.column(0).as_primitive::<Int64Type>().clone();
        for row in 0..batch.num_rows() {
            let values = batch.columns()[1..].iter().map(|column| {
                if let Some(lists) = column.as_list_opt::<i32>() {
                    return number_of_list(lists, row);
                }
                let column = datafusion::arrow::compute::cast(
                    column,
                    &datafusion::arrow::datatypes::DataType::Float64,
                )
                .unwrap();
                let column = column.as_primitive::<Float64Type>().clone();
                column.is_valid(row).then(|| column.value(row).to_bits())
            });
            let before = answers.insert(keys.value(row), values.collect());
            assert!(before.is_none(), "key {} twice", keys.value(row));
        }
    }
    answers
}

/// The numbers of a list as the digits of one.
fn number_of_list(lists: &ListArray, row: usize) -> Option<u64> {
    let digits = lists.is_valid(row).then(|| lists.value(row))?;
    let digits = digits.as_primitive::<Int64Type>().values().clone();
    let number = digits
        .iter()
        .fold(0, |number, &digit| 10 * number + digit as u64);
    Some((number as f64).to_bits())
}

/// What `window_funnel` and `retention` below answer.
fn expected_of_steps(rows: &[&Row]) -> [Option<f64>; 3] {
    let steps = |row: &Row, names: [&[&str]; 3]| {
        (0..3).fold(0u32, |steps, step| {
            steps | u32::from(names[step].contains(&row.event.as_str())) << step
        })
    };
    let depth = |days: i64, modes: FunnelModes, names: [&[&str]; 3]| {
        let mut events: Vec<FunnelEvent> = rows
            .iter()
            .filter_map(|row| {
                let (time_us, steps) = (row.ts?, steps(row, names));
                Some(FunnelEvent { time_us, steps })
            })
            .collect();
        let funnel = Funnel::new(days * DAY_US, modes).unwrap();
        Some(f64::from(funnel.depth(&mut events)))
    };
    let strict = FunnelModes {
        strict_order: true,
        strict_once: true,
        allow_reentry: true,
        ..FunnelModes::default()
    };
    let met = rows.iter().fold(0, |met, row| {
        met | steps(row, [&["event2"], &["event3"], &["event4"]])
    });
    let digits = [100.0, 10.0, 1.0];
    let retained = (0..3)
        .filter(|bit| met & 1 == 1 && met >> bit & 1 == 1)
        .fold(0.0, |number, bit| number + digits[bit]);
    [
        depth(
            30,
            FunnelModes::default(),
            [&["event1"], &["event2", "event1"], &["event3"]],
        ),
        depth(
            90,
            strict,
            [&["event1", "event2"], &["event2", "event3"], &["event5"]],
        ),
        (!rows.is_empty()).then_some(retained),
    ]
}

/// What the questions below have as answers, told by the rows themselves.
fn expected(rows: &[&Row]) -> Vec<Option<u64>> {
    let days: BTreeSet<i64> = rows
        .iter()
        .filter_map(|row| row.ts)
        .map(|ts| ts / DAY_US)
        .collect();
    let as_of = 150;
    let before: BTreeSet<i64> = days.range(..=as_of).copied().collect();
    let inside = days.range(50..100).count() as f64;
    let inactive = before.last().map(|last| (as_of - last) as f64);
    let gap = days
        .iter()
        .zip(days.iter().skip(1))
        .map(|(a, b)| b - a)
        .max()
        .map(|gap| gap as f64);
    let streak = (0..)
        .take_while(|back| before.contains(&(as_of - back)))
        .count() as f64;
    let events: BTreeSet<&str> = rows.iter().map(|row| row.event.as_str()).collect();
    let used = ["event1", "event5", "event99"]
        .iter()
        .filter(|name| events.contains(*name))
        .count();
    let mut raw: Vec<f64> = rows
        .iter()
        .filter_map(|row| row.raw)
        .filter(|raw| *raw > 0.0)
        .collect();
    raw.sort_by(f64::total_cmp);
    let peg = raw.len().checked_sub(1).map(|last| {
        // Halves and quarters are exact, so the model may compute as it likes.
        let h = last as f64 * 0.75;
        let low = raw[h as usize];
        low + (h - h.floor()) * (raw[(h as usize + 1).min(last)] - low)
    });
    let [depth, strict_depth, retained] = expected_of_steps(rows);
    [
        Some(inside),
        Some(inside / 50.0),
        inactive,
        gap,
        Some(streak),
        Some(100.0 * used as f64 / 3.0),
        peg,
        Some(inside),
        gap,
        depth,
        strict_depth,
        retained,
    ]
    .map(|value| value.map(f64::to_bits))
    .into()
}

const QUESTIONS: &str = "
    active_days(ts, DATE '1970-02-20', DATE '1970-04-11') AS a,
    usage_frequency(ts, DATE '1970-02-20', DATE '1970-04-11') AS b,
    days_inactive(ts, DATE '1970-05-31') AS c,
    longest_gap(ts) AS d,
    streak(ts, DATE '1970-05-31') AS e,
    feature_adoption(event, ['event1', 'event5', 'event99']) AS f,
    health_peg(raw, 0.75) AS g,
    coalesce(activity_days(activity(ts), DATE '1970-02-20', DATE '1970-04-11'), 0) AS h,
    activity_longest_gap(activity(ts)) AS i,
    window_funnel(INTERVAL '30 days', ts, [event = 'event1', event IN ('event1', 'event2'), event = 'event3']) AS j,
    window_funnel(INTERVAL '90 days', ts, [event IN ('event1', 'event2'), event IN ('event2', 'event3'), event = 'event5'], ['strict_once', 'strict_order', 'allow_reentry']) AS k,
    retention([event = 'event2', event = 'event3', event = 'event4']) AS l";

fn check(found: &BTreeMap<i64, Vec<Option<u64>>>, model: &BTreeMap<i64, Vec<&Row>>, how: &str) {
    assert_eq!(found.len(), model.len(), "{how}");
    for (key, rows) in model {
        assert_eq!(found[key], expected(rows), "key {key}, {how}");
    }
}

fn by_group(rows: &[Row]) -> BTreeMap<i64, Vec<&Row>> {
    let mut groups: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(row.group).or_default().push(row);
    }
    groups
}

const CUTS: [(usize, usize, bool); 4] = [
    (1, 8192, false),
    (4, 100, false),
    (3, 7, true),
    (2, 1, false),
];

#[tokio::test]
async fn groups() {
    for seed in 0..3 {
        let rows = rows(seed, 3000, 40);
        for (partitions, batch_rows, skip_partial) in CUTS {
            let context = session(&rows, partitions, batch_rows, skip_partial);
            let how = format!("seed {seed}, {partitions} × {batch_rows}");
            let sql = format!("SELECT g AS key, {QUESTIONS} FROM rows GROUP BY g");
            check(&answer(&context, &sql).await, &by_group(&rows), &how);
            // Sorted input makes groups leave one after another.
            let sql = format!(
                "SELECT g AS key, {QUESTIONS} FROM (SELECT * FROM rows ORDER BY g) GROUP BY g"
            );
            check(
                &answer(&context, &sql).await,
                &by_group(&rows),
                &format!("{how}, sorted"),
            );
            let sql = format!("SELECT CAST(7 AS BIGINT) AS key, {QUESTIONS} FROM rows");
            let all = BTreeMap::from([(7, rows.iter().collect())]);
            check(
                &answer(&context, &sql).await,
                &all,
                &format!("{how}, no groups"),
            );
        }
    }
}

#[tokio::test]
async fn filters() {
    let rows = rows(11, 300, 60);
    let filter = "FILTER (WHERE id % 3 = 0 AND (raw IS NULL OR raw > 5))";
    let questions: Vec<String> = QUESTIONS
        .replace("activity(ts)", &format!("activity(ts) {filter}"))
        .split(" AS ")
        .map(str::to_owned)
        .collect();
    // Every aggregate call that stands last in its expression gets the filter.
    let questions = questions
        .into_iter()
        .map(|part| {
            let nested = part.contains("activity_");
            if part.ends_with(')') && !nested {
                format!("{part} {filter}")
            } else {
                part
            }
        })
        .collect::<Vec<_>>()
        .join(" AS ");
    let kept = |row: &&Row| row.id % 3 == 0 && row.raw.is_none_or(|raw| raw > 5.0);
    let model: BTreeMap<i64, Vec<&Row>> = by_group(&rows)
        .into_iter()
        .map(|(group, rows)| (group, rows.into_iter().filter(kept).collect()))
        .collect();
    assert!(
        model.values().any(Vec::is_empty),
        "a group that the filter empties"
    );
    for (partitions, batch_rows, skip_partial) in CUTS {
        let context = session(&rows, partitions, batch_rows, skip_partial);
        let sql = format!("SELECT g AS key, {questions} FROM rows GROUP BY g");
        check(
            &answer(&context, &sql).await,
            &model,
            &format!("{partitions} × {batch_rows}"),
        );
    }
}

/// Every question over a frame, as a window function.
fn over(window: &str) -> String {
    QUESTIONS
        .lines()
        .map(|line| {
            let nested = line.contains("activity(ts)");
            if nested {
                line.replace("activity(ts)", &format!("activity(ts) OVER ({window})"))
            } else {
                line.replace(") AS ", &format!(") OVER ({window}) AS "))
            }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn windows() {
    let rows = rows(5, 400, 6);
    let frames = [
        ("", None, None),
        (
            "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            None,
            Some(0),
        ),
        (
            "ROWS BETWEEN 5 PRECEDING AND CURRENT ROW",
            Some(-5),
            Some(0),
        ),
        (
            "ROWS BETWEEN 3 PRECEDING AND 2 FOLLOWING",
            Some(-3),
            Some(2),
        ),
        ("ROWS BETWEEN 2 FOLLOWING AND 4 FOLLOWING", Some(2), Some(4)),
        (
            "ROWS BETWEEN 4 PRECEDING AND 2 PRECEDING",
            Some(-4),
            Some(-2),
        ),
        (
            "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
            Some(0),
            None,
        ),
    ];
    for (frame, start, end) in frames {
        let order = if frame.is_empty() { "" } else { "ORDER BY id" };
        let window = format!("PARTITION BY g {order} {frame}");
        let mut model: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
        for members in by_group(&rows).values() {
            for (at, row) in members.iter().enumerate() {
                let bound = |offset: Option<i64>, open: usize| match offset {
                    None => open,
                    Some(offset) => (at as i64 + offset).clamp(0, members.len() as i64) as usize,
                };
                let from = bound(start, 0);
                let to = bound(end.map(|end| end + 1), members.len()).max(from);
                model.insert(row.id, members[from..to].to_vec());
            }
        }
        for (partitions, batch_rows, _) in [CUTS[0], CUTS[2]] {
            let context = session(&rows, partitions, batch_rows, false);
            let sql = format!("SELECT id AS key, {} FROM rows", over(&window));
            check(
                &answer(&context, &sql).await,
                &model,
                &format!("{window}, {partitions}"),
            );
        }
    }
}

#[tokio::test]
async fn bounds_by_row_equal_constants() {
    let rows = rows(21, 2000, 25);
    for (partitions, batch_rows, skip_partial) in CUTS {
        let context = session(&rows, partitions, batch_rows, skip_partial);
        let by_row = QUESTIONS
            .replace("DATE '1970-02-20'", "arrow_cast(50 + id - id, 'Date32')")
            .replace("DATE '1970-04-11'", "arrow_cast(100 + id - id, 'Date32')")
            .replace("DATE '1970-05-31'", "arrow_cast(150 + id - id, 'Date32')")
            .replace(
                "arrow_cast(50 + id - id",
                "arrow_cast(arrow_cast(50 + id - id, 'Int32')",
            )
            .replace(
                "arrow_cast(100 + id - id",
                "arrow_cast(arrow_cast(100 + id - id, 'Int32')",
            )
            .replace(
                "arrow_cast(150 + id - id",
                "arrow_cast(arrow_cast(150 + id - id, 'Int32')",
            );
        let aggregates: Vec<&str> = by_row.split(",\n").take(7).collect();
        let sql = format!(
            "SELECT g AS key, {} FROM rows GROUP BY g",
            aggregates.join(",\n")
        );
        let constant: Vec<&str> = QUESTIONS.split(",\n").take(7).collect();
        let other = format!(
            "SELECT g AS key, {} FROM rows GROUP BY g",
            constant.join(",\n")
        );
        assert_eq!(answer(&context, &sql).await, answer(&context, &other).await);
    }
}

//! Sums, areas and sketches over random rows: the same bits however rows are ordered and cut into
//! batches and partitions, the same over a frame as over its rows, and populations of ten million.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use vitalog_measure::ExactSum;

const QUESTIONS: [&str; 6] = [
    "exact_sum(v)",
    "exact_avg(v)",
    "decayed_sum(v, ts, TIMESTAMP '1970-04-01 00:00:00', INTERVAL '3 days 7 hours')",
    "roc_auc(v, label)",
    "quantile_sketch(v)",
    "uniq_sketch(name)",
];

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

    /// A double of any of sixty magnitudes, with all its bits.
    fn double(&mut self) -> f64 {
        let fraction = self.below(1 << 30) << 22 | self.below(1 << 22);
        let exponent = 1023 - 30 + self.below(60);
        let sign = self.below(2);
        f64::from_bits(sign << 63 | exponent << 52 | fraction)
    }
}

#[derive(Debug, Clone)]
struct Row {
    id: i64,
    group: i64,
    ts: Option<i64>,
    v: Option<f64>,
    label: Option<bool>,
    name: Option<String>,
}

fn rows(seed: u64, count: i64, groups: u64) -> Vec<Row> {
    let mut random = Random(seed);
    (0..count)
        .map(|id| Row {
            id,
            group: (random.below(groups) * random.below(groups) / groups) as i64,
            ts: (random.below(20) > 0).then(|| random.below(120 * 86_400) as i64 * 1_000_000),
            v: (random.below(10) > 0).then(|| random.double()),
            label: (random.below(10) > 0).then(|| random.below(3) == 0),
            name: (random.below(10) > 0).then(|| format!("user {}", random.below(2_000))),
        })
        .collect()
}

fn batch(rows: &[Row]) -> RecordBatch {
    let ids = rows.iter().map(|row| row.id);
    let groups = rows.iter().map(|row| row.group);
    let times = rows.iter().map(|row| row.ts);
    let times: TimestampMicrosecondArray = times.collect();
    let names = rows.iter().map(|row| row.name.as_deref());
    let columns: [(&str, ArrayRef); 6] = [
        ("id", Arc::new(Int64Array::from_iter_values(ids))),
        ("g", Arc::new(Int64Array::from_iter_values(groups))),
        ("ts", Arc::new(times.with_timezone("UTC"))),
        (
            "v",
            Arc::new(rows.iter().map(|row| row.v).collect::<Float64Array>()),
        ),
        (
            "label",
            Arc::new(rows.iter().map(|row| row.label).collect::<BooleanArray>()),
        ),
        ("name", Arc::new(names.collect::<StringArray>())),
    ];
    let nullable = columns.map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(nullable).unwrap()
}

/// How rows are cut: partitions, rows a batch, whether partial aggregation is skipped.
const CUTS: [(usize, usize, bool); 4] = [
    (1, 8192, false),
    (4, 100, false),
    (3, 7, true),
    (2, 1, false),
];

fn session(rows: &[Row], (partitions, batch_rows, skip): (usize, usize, bool)) -> SessionContext {
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(batch_rows);
    if skip {
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

/// The rows of an answer by their first column, every value as it is shown: doubles with all their
/// digits, bytes in hexadecimal.
async fn answer(context: &SessionContext, sql: &str) -> BTreeMap<String, Vec<String>> {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let options = FormatOptions::default().with_null("NULL");
    let mut answers = BTreeMap::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let mut values = columns.iter().map(|column| column.value(row).to_string());
            let key = values.next().unwrap();
            let before = answers.insert(key.clone(), values.collect());
            assert!(before.is_none(), "key {key} twice");
        }
    }
    answers
}

#[tokio::test]
async fn order_and_partitions_do_not_show() {
    let filtered = QUESTIONS.map(|question| format!("{question} FILTER (WHERE id % 3 = 0)"));
    let by_group = format!(
        "SELECT g, {}, {} FROM rows GROUP BY g",
        QUESTIONS.join(", "),
        filtered.join(", ")
    );
    let all = format!("SELECT 1, {} FROM rows", QUESTIONS.join(", "));
    for seed in 0..2 {
        let mut rows = rows(seed, 3_000, 30);
        let context = session(&rows, CUTS[0]);
        let expected = (
            answer(&context, &by_group).await,
            answer(&context, &all).await,
        );
        assert!(expected.0.len() > 20);
        for cut in CUTS {
            rows.reverse();
            rows.rotate_left(997);
            let context = session(&rows, cut);
            assert_eq!(answer(&context, &by_group).await, expected.0, "{cut:?}");
            assert_eq!(answer(&context, &all).await, expected.1, "{cut:?}");
            // Sorted input makes groups leave one after another.
            let sorted = by_group.replace("FROM rows", "FROM (SELECT * FROM rows ORDER BY g)");
            assert_eq!(
                answer(&context, &sorted).await,
                expected.0,
                "{cut:?}, sorted"
            );
        }
    }
}

#[tokio::test]
async fn sums_are_the_model() {
    let rows = rows(7, 2_000, 20);
    let mut model: BTreeMap<String, ExactSum> = BTreeMap::new();
    for row in &rows {
        let sum = model.entry(row.group.to_string()).or_default();
        if let Some(v) = row.v {
            sum.add(v);
        }
    }
    let context = session(&rows, CUTS[1]);
    let found = answer(&context, "SELECT g, exact_sum(v) FROM rows GROUP BY g").await;
    assert_eq!(found.len(), model.len());
    for (group, sum) in model {
        let found: f64 = found[&group][0].parse().unwrap();
        assert_eq!(found.to_bits(), sum.value().to_bits(), "{group}");
    }
}

#[tokio::test]
async fn merged_parts_are_the_whole() {
    let rows = rows(3, 3_000, 10);
    for cut in CUTS {
        let context = session(&rows, cut);
        let whole = "SELECT g, quantile_sketch(v), uniq_sketch(name) FROM rows GROUP BY g";
        let merged = "SELECT g, quantile_merge(q), uniq_merge(u) FROM (
            SELECT g, id % 7 AS part, quantile_sketch(v) AS q, uniq_sketch(name) AS u
            FROM rows GROUP BY g, part) GROUP BY g";
        let whole = answer(&context, whole).await;
        assert_eq!(answer(&context, merged).await, whole, "{cut:?}");
    }
}

#[tokio::test]
async fn a_frame_is_its_rows() {
    let rows = rows(5, 240, 4);
    // A frame, and which other rows of the group belong to a row's frame.
    let frames = [
        (
            "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            "b.at <= a.at",
        ),
        (
            "ROWS BETWEEN 3 PRECEDING AND 2 FOLLOWING",
            "b.at BETWEEN a.at - 3 AND a.at + 2",
        ),
        (
            "ROWS BETWEEN 2 FOLLOWING AND 4 FOLLOWING",
            "b.at BETWEEN a.at + 2 AND a.at + 4",
        ),
        (
            "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
            "b.at >= a.at",
        ),
    ];
    for (frame, inside) in frames {
        let over = QUESTIONS
            .map(|question| format!("{question} OVER (PARTITION BY g ORDER BY id {frame})"));
        let windows = format!("SELECT id, {} FROM rows", over.join(", "));
        let of_rows = QUESTIONS.map(|question| {
            let question = question.replace("(v", "(b.v").replace("(name", "(b.name");
            question
                .replace(" ts", " b.ts")
                .replace(" label", " b.label")
        });
        let joined = format!(
            "WITH placed AS (SELECT *, row_number() OVER (PARTITION BY g ORDER BY id) AS at FROM rows)
             SELECT a.id, {} FROM placed a LEFT JOIN placed b ON a.g = b.g AND {inside} GROUP BY a.id",
            of_rows.join(", ")
        );
        let context = session(&rows, CUTS[1]);
        let (windows, joined) = (
            answer(&context, &windows).await,
            answer(&context, &joined).await,
        );
        assert_eq!(windows.len(), rows.len());
        assert_eq!(windows, joined, "{frame}");
    }
}

async fn one_number(sql: &str) -> f64 {
    let mut context = SessionContext::new();
    vitalog_functions::register_all(&mut context).unwrap();
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    batches[0].column(0).as_primitive::<Float64Type>().value(0)
}

#[tokio::test]
async fn the_peg_of_ten_million_entities() {
    let found = one_number("SELECT health_peg(value) FROM generate_series(1, 10000000)").await;
    let expected = 1.0 + 0.9 * 9_999_999.0;
    assert!((found / expected - 1.0).abs() < 1e-12, "{found}");
}

#[tokio::test]
async fn scores_of_ten_million_entities() {
    let sum = one_number(
        "SELECT exact_sum(score) FROM (
           SELECT health_normalize(value, 0.9, 0) OVER () AS score FROM generate_series(1, 10000000))",
    )
    .await;
    // On a straight line the scores below the peg P sum to n + 99 · n(n + 1) / 2P, the others to 100.
    let (peg, below) = (1.0 + 0.9 * 9_999_999.0, 9_000_000.0);
    let expected = below + 99.0 * below * (below + 1.0) / 2.0 / peg + 100.0 * 1_000_000.0;
    assert!((sum / expected - 1.0).abs() < 1e-12, "{sum} for {expected}");
}

//! Scans of `events`: filters against a plain evaluation of the rows, order, statistics, pruning.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use proptest::prelude::*;
use vitalog_event::format_timestamp_us;
use vitalog_query::QueryEngine;

use support::{Layout, Row, answer, engine_over, history, random_rows, store_of};

/// SQL's three values.
type Truth = Option<bool>;

/// A condition, in SQL and as a function of a row and its seq.
#[derive(Clone, Debug)]
enum Condition {
    Name(&'static str, &'static str, Option<String>),
    In(&'static str, Vec<Option<String>>, bool),
    IsNull(&'static str, bool),
    Time(&'static str, i64, &'static str),
    Between(i64, i64),
    Day(&'static str, i64),
    Seq(&'static str, i64),
    Value(&'static str, i64),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
}

const HOUR_US: i64 = 3_600_000_000;
const START_US: i64 = 1_740_787_200_000_000;

fn name_of<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    match column {
        "account_id" => row.account_id.as_deref(),
        "user_id" => row.user_id.as_deref(),
        _ => Some(&row.event),
    }
}

fn compare<T: PartialOrd>(left: &T, operator: &str, right: &T) -> bool {
    match operator {
        "=" => left == right,
        "<>" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        ">=" => left >= right,
        other => panic!("{other}"),
    }
}

impl Condition {
    fn truth(&self, row: &Row, seq: i64) -> Truth {
        match self {
            Self::Name(column, operator, value) => {
                let (found, value) = (name_of(row, column)?, value.as_deref()?);
                Some(compare(&found, operator, &value))
            }
            Self::In(column, values, is_negated) => {
                let found = name_of(row, column)?;
                let truth = if values.iter().any(|value| value.as_deref() == Some(found)) {
                    Some(true)
                } else if values.contains(&None) {
                    None
                } else {
                    Some(false)
                };
                truth.map(|truth| truth != *is_negated)
            }
            Self::IsNull(column, is_negated) => Some(name_of(row, column).is_none() != *is_negated),
            Self::Time(operator, time, _) => Some(compare(&row.time_us, operator, time)),
            Self::Between(low, high) => Some((low..=high).contains(&&row.time_us)),
            Self::Day(operator, day) => Some(compare(
                &row.time_us.div_euclid(24 * HOUR_US),
                operator,
                day,
            )),
            Self::Seq(operator, value) => Some(compare(&seq, operator, value)),
            Self::Value(operator, value) => Some(compare(&row.value?, operator, &(*value as f64))),
            Self::And(left, right) => match (left.truth(row, seq), right.truth(row, seq)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(left, right) => match (left.truth(row, seq), right.truth(row, seq)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Self::Not(inner) => inner.truth(row, seq).map(|truth| !truth),
        }
    }

    fn sql(&self) -> String {
        let text = |value: &Option<String>| match value {
            Some(value) => format!("'{value}'"),
            None => "NULL".to_owned(),
        };
        match self {
            Self::Name(column, operator, value) => format!("{column} {operator} {}", text(value)),
            Self::In(column, values, is_negated) => {
                let list: Vec<String> = values.iter().map(text).collect();
                let not = if *is_negated { " NOT" } else { "" };
                format!("{column}{not} IN ({})", list.join(", "))
            }
            Self::IsNull(column, is_negated) => {
                format!("{column} IS {}NULL", if *is_negated { "NOT " } else { "" })
            }
            Self::Time(operator, time, form) => {
                let shown = format_timestamp_us(*time);
                match *form {
                    "text" => format!("event_time {operator} '{shown}'"),
                    "swapped" => {
                        let operator = match *operator {
                            "<" => ">",
                            "<=" => ">=",
                            ">" => "<",
                            ">=" => "<=",
                            same => same,
                        };
                        format!("TIMESTAMP '{shown}' {operator} event_time")
                    }
                    type_name => format!(
                        "event_time {operator} arrow_cast('{shown}', 'Timestamp({type_name}, Some(\"UTC\"))')"
                    ),
                }
            }
            Self::Between(low, high) => format!(
                "event_time BETWEEN '{}' AND '{}'",
                format_timestamp_us(*low),
                format_timestamp_us(*high)
            ),
            Self::Day(operator, day) => {
                let shown = format_timestamp_us(day * 24 * HOUR_US);
                format!(
                    "CAST(event_time AS DATE) {operator} DATE '{}'",
                    &shown[..10]
                )
            }
            Self::Seq(operator, value) => format!("seq {operator} {value}"),
            Self::Value(operator, value) => format!("value {operator} {value}"),
            Self::And(left, right) => format!("({} AND {})", left.sql(), right.sql()),
            Self::Or(left, right) => format!("({} OR {})", left.sql(), right.sql()),
            Self::Not(inner) => format!("NOT ({})", inner.sql()),
        }
    }
}

fn operator() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="])
}

fn named() -> impl Strategy<Value = (&'static str, Option<String>)> {
    let account = (0..4u8).prop_map(|at| format!("an account with a long id {at}"));
    let user = (0..6u8).prop_map(|at| format!("user {at}"));
    let event = (0..5u8).prop_map(|at| format!("event {at}"));
    prop_oneof![
        prop::option::weighted(0.9, account).prop_map(|name| ("account_id", name)),
        prop::option::weighted(0.9, user).prop_map(|name| ("user_id", name)),
        prop::option::weighted(0.9, event).prop_map(|name| ("event", name)),
    ]
}

fn time() -> impl Strategy<Value = i64> {
    // Also before, after and beside the times of the rows.
    (-4..8 * 24 + 4i64, -1..=1i64).prop_map(|(hour, beside)| START_US + hour * HOUR_US + beside)
}

fn leaf() -> impl Strategy<Value = Condition> {
    let forms = vec!["text", "swapped", "Microsecond", "Nanosecond"];
    prop_oneof![
        3 => (named(), prop::sample::select(vec!["=", "=", "=", "<>", "<"]))
            .prop_map(|((column, name), operator)| Condition::Name(column, operator, name)),
        2 => (named(), prop::collection::vec(named(), 0..4), any::<bool>()).prop_map(
            |((column, first), others, is_negated)| {
                let mut names: Vec<Option<String>> = vec![first];
                names.extend(others.into_iter().filter(|other| other.0 == column).map(|other| other.1));
                Condition::In(column, names, is_negated)
            }
        ),
        1 => (named(), any::<bool>()).prop_map(|((column, _), not)| Condition::IsNull(column, not)),
        3 => (operator(), time(), prop::sample::select(forms))
            .prop_map(|(operator, time, form)| Condition::Time(operator, time, form)),
        1 => (operator(), time()).prop_map(|(operator, time)| {
            // A whole second, so that the coarser unit says the same.
            Condition::Time(operator, time.div_euclid(HOUR_US) * HOUR_US, "Second")
        }),
        1 => (time(), time()).prop_map(|(low, high)| Condition::Between(low, high)),
        1 => (operator(), 20_147..20_158i64).prop_map(|(operator, day)| Condition::Day(operator, day)),
        2 => (operator(), -1..130i64).prop_map(|(operator, seq)| Condition::Seq(operator, seq)),
        1 => (operator(), 0..100i64).prop_map(|(operator, value)| Condition::Value(operator, value)),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    leaf().prop_recursive(3, 8, 2, |inner| {
        let both = (inner.clone(), inner.clone());
        prop_oneof![
            3 => both.clone().prop_map(|(l, r)| Condition::And(Box::new(l), Box::new(r))),
            3 => both.prop_map(|(l, r)| Condition::Or(Box::new(l), Box::new(r))),
            1 => inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

struct Stores {
    rows: Vec<Row>,
    engines: Vec<(Layout, QueryEngine)>,
    runtime: tokio::runtime::Runtime,
}

impl Stores {
    fn make() -> Self {
        let rows = random_rows(7, 120);
        let engines = Layout::ALL
            .into_iter()
            .map(|layout| (layout, engine_over(&store_of(&rows, layout))))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            rows,
            engines,
            runtime,
        }
    }
}

#[test]
fn a_filter_keeps_exactly_the_rows_for_which_it_is_true() {
    let stores = Stores::make();
    let config = ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let outcome = runner.run(&condition(), |condition| {
        let expected: BTreeSet<i64> = stores
            .rows
            .iter()
            .zip(1..)
            .filter(|(row, seq)| condition.truth(row, *seq) == Some(true))
            .map(|(_, seq)| seq)
            .collect();
        for (layout, engine) in &stores.engines {
            let sql = format!("SELECT seq FROM events WHERE {}", condition.sql());
            let found: Vec<i64> = stores
                .runtime
                .block_on(answer(engine, &sql))
                .into_iter()
                .map(|row| row[0].parse().unwrap())
                .collect();
            prop_assert_eq!(found.len(), expected.len(), "{:?} {}", layout, &sql);
            let found: BTreeSet<i64> = found.into_iter().collect();
            prop_assert_eq!(&found, &expected, "{:?} {}", layout, sql);
            if *layout != Layout::Mixed {
                continue;
            }
            let sql = format!("SELECT count(*) FROM events WHERE {}", condition.sql());
            let counted = stores.runtime.block_on(answer(engine, &sql));
            prop_assert_eq!(
                &counted[0][0],
                &expected.len().to_string(),
                "{:?} {}",
                layout,
                sql
            );
        }
        Ok(())
    });
    outcome.unwrap();
}

async fn plan(engine: &QueryEngine, sql: &str) -> String {
    let rows = answer(engine, &format!("EXPLAIN FORMAT INDENT {sql}")).await;
    rows.into_iter()
        .filter(|row| row[0] == "physical_plan")
        .map(|row| row[1].clone())
        .collect()
}

#[tokio::test]
async fn what_the_store_applies_leaves_no_filter_in_the_plan() {
    let engine = engine_over(&store_of(&history(), Layout::Mixed));
    for condition in [
        "event_time >= '2025-03-02' AND event_time < '2025-03-03'",
        "event_time BETWEEN '2025-03-02' AND TIMESTAMP '2025-03-03 00:00:00'",
        "CAST(event_time AS DATE) = DATE '2025-03-02'",
        "account_id = 'acme'",
        "account_id IN ('acme', 'globex', 'initech', 'other')",
        "account_id = 'acme' OR account_id = 'globex'",
        "account_id IS NULL AND user_id = 'cid' AND event = 'login'",
        "seq <= 5",
        "seq < 5",
        "seq > 5",
        "seq = 5",
        "seq BETWEEN 3 AND 7",
    ] {
        let plan = plan(
            &engine,
            &format!("SELECT event_id FROM events WHERE {condition}"),
        )
        .await;
        assert!(!plan.contains("FilterExec"), "{condition}\n{plan}");
        assert!(
            plan.contains("EventsScan: columns=[event_id]"),
            "{condition}\n{plan}"
        );
    }
    for condition in [
        "seq < 3 OR seq > 5",
        "account_id <> 'acme'",
        "account_id IS NOT NULL",
        "value > 1",
    ] {
        let plan = plan(
            &engine,
            &format!("SELECT event_id FROM events WHERE {condition}"),
        )
        .await;
        assert!(plan.contains("FilterExec"), "{condition}\n{plan}");
    }
}

#[tokio::test]
async fn sections_are_pruned_by_time_and_seq() {
    let engine = engine_over(&store_of(&history(), Layout::Flushed));
    let check = async |condition: &str, sections: &str| {
        let plan = plan(
            &engine,
            &format!("SELECT event_id FROM events WHERE {condition}"),
        )
        .await;
        assert!(plan.contains(sections), "{condition}\n{plan}");
    };
    // Six days, one section each.
    check("true", "sections=6 of 6 (0 pruned)").await;
    check("event_time >= '2025-03-05'", "sections=2 of 6 (4 pruned)").await;
    check("event_time = '2025-03-03'", "sections=1 of 6 (5 pruned)").await;
    check("seq < 3", "sections=1 of 6 (5 pruned)").await;
    check("seq > 17", "sections=1 of 6 (5 pruned)").await;
    check("account_id = 'nobody'", "sections=0 of 6").await;
    check("event_time < '2020-01-01'", "sections=0 of 6").await;
}

#[tokio::test]
async fn counts_and_bounds_come_from_statistics_where_those_are_exact() {
    let engine = engine_over(&store_of(&history(), Layout::Mixed));
    for sql in [
        "SELECT count(*) FROM events",
        "SELECT min(event_time), max(event_time), min(seq), max(seq) FROM events",
        "SELECT count(*) FROM events WHERE event_time >= '2025-03-03'",
    ] {
        let plan = plan(&engine, sql).await;
        assert!(!plan.contains("EventsScan"), "{sql}\n{plan}");
    }
    for sql in [
        "SELECT count(*) FROM events WHERE event_time >= '2025-03-02T11:15:00Z'",
        "SELECT count(*) FROM events WHERE seq <= 4",
        "SELECT max(event_time) FROM events WHERE account_id = 'globex'",
        "SELECT count(account_id) FROM events",
    ] {
        let plan = plan(&engine, sql).await;
        assert!(plan.contains("EventsScan"), "{sql}\n{plan}");
    }
}

#[tokio::test]
async fn the_order_of_files_is_declared_where_it_holds() {
    let sql = "SELECT account_id, user_id, event_time, seq FROM events \
               WHERE event_time >= '2025-03-05' ORDER BY account_id, user_id, event_time, seq";
    for (layout, is_ordered) in [
        (Layout::Flushed, true),
        (Layout::Memory, false),
        (Layout::Mixed, false),
    ] {
        let engine = engine_over(&store_of(&history(), layout));
        let plan = plan(&engine, sql).await;
        assert_eq!(!plan.contains("SortExec"), is_ordered, "{layout:?}\n{plan}");
        assert_eq!(plan.contains(", ordered"), is_ordered, "{layout:?}\n{plan}");
        let found: Vec<String> = answer(&engine, sql)
            .await
            .into_iter()
            .map(|row| row[3].clone())
            .collect();
        assert_eq!(found, ["14", "15", "16"], "{layout:?}");
    }
    // More sections than partitions, or a column of the order missing: no order is declared.
    let engine = engine_over(&store_of(&history(), Layout::Flushed));
    let all = "SELECT account_id, seq FROM events ORDER BY account_id, seq";
    assert!(plan(&engine, all).await.contains("SortExec"));
    let gap = "SELECT account_id, seq FROM events WHERE event_time >= '2025-03-05' \
               ORDER BY account_id, seq";
    assert!(plan(&engine, gap).await.contains("SortExec"));
}

#[tokio::test]
async fn a_declared_order_is_the_order_of_the_rows() {
    let rows = random_rows(11, 400);
    let engine = engine_over(&store_of(&rows, Layout::Flushed));
    for day in 1..=7 {
        // Two sections at most: each partition is one, merged by its declared order.
        let sql = format!(
            "SELECT seq FROM events WHERE event_time >= '2025-03-0{day}' \
             AND event_time < TIMESTAMP '2025-03-0{day}' + INTERVAL '2 days' \
             ORDER BY account_id, user_id, event_time, seq"
        );
        assert!(!plan(&engine, &sql).await.contains("SortExec"), "{sql}");
        let found: Vec<usize> = answer(&engine, &sql)
            .await
            .into_iter()
            .map(|row| row[0].parse().unwrap())
            .collect();
        let start = START_US + (day - 1) * 24 * HOUR_US;
        let mut expected: Vec<usize> = (1..=rows.len())
            .filter(|seq| (start..start + 48 * HOUR_US).contains(&rows[seq - 1].time_us))
            .collect();
        expected.sort_by_key(|&seq| {
            let row = &rows[seq - 1];
            let last = |id: &Option<String>| (id.is_none(), id.clone());
            (last(&row.account_id), last(&row.user_id), row.time_us, seq)
        });
        assert_eq!(found, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_limit_reads_no_more_than_it_must() {
    let engine = engine_over(&store_of(&random_rows(5, 100), Layout::Flushed));
    let plan = plan(&engine, "SELECT seq FROM events LIMIT 3").await;
    assert!(plan.contains("limit=3"), "{plan}");
    assert_eq!(
        answer(&engine, "SELECT seq FROM events LIMIT 3")
            .await
            .len(),
        3
    );
    assert_eq!(
        answer(&engine, "SELECT seq FROM events LIMIT 7 OFFSET 95")
            .await
            .len(),
        5
    );
    assert!(
        answer(&engine, "SELECT seq FROM events LIMIT 0")
            .await
            .is_empty()
    );
    let filtered = "SELECT seq FROM events WHERE event = 'event 1' LIMIT 4";
    assert_eq!(answer(&engine, filtered).await.len(), 4);
    let counted = "SELECT count(*) FROM (SELECT 1 FROM events LIMIT 60)";
    assert_eq!(answer(&engine, counted).await, [["60"]]);
}

#[tokio::test]
async fn analysed_plans_show_what_was_read() {
    let engine = engine_over(&store_of(&history(), Layout::Flushed));
    let sql = "EXPLAIN ANALYZE SELECT event_id FROM events WHERE account_id = 'acme'";
    let plan = &answer(&engine, sql).await[0][1];
    assert!(plan.contains("sections_read=6"), "{plan}");
    assert!(plan.contains("rows_considered=18"), "{plan}");
    assert!(plan.contains("output_rows=11"), "{plan}");
}

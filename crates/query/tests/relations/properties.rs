//! Properties of scores and explanations over random small histories and models.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::runtime::{Builder, Runtime};
use vitalog_query::{QueryConfig, QueryEngine};

use crate::plain::{Method, PlainModel, Rule};
use crate::support::{Layout, MovingClock, Row, answer, store_with};
use crate::world::{define, number};

/// Noon in Berlin, two days after its clocks went forward.
const UNTIL: &str = "TIMESTAMP '2025-04-01T10:00:00Z'";
const UNTIL_US: i64 = 1_743_501_600_000_000;
const HOUR_US: i64 = 3_600_000_000;

const EVENTS: [&str; 4] = ["e0", "e1", "e2", "e3"];

/// Account and user.
type Entity = (String, String);
/// An event, and its place in the explanation.
type Part = (String, usize);

/// Events of a week around the instant, on full hours so that bounds are met.
fn histories() -> impl Strategy<Value = Vec<Row>> {
    let text = |stem: &'static str, of: usize| {
        prop::option::weighted(0.85, (0..of).prop_map(move |at| format!("{stem}{at}")))
    };
    let value = prop::option::weighted(
        0.8,
        (-300..1000_i32).prop_map(|value| f64::from(value) / 8.0),
    );
    let event = (
        0..150_i64,
        select(EVENTS.to_vec()),
        text("a", 4),
        text("u", 3),
        value,
    );
    prop::collection::vec(event, 0..70).prop_map(|events| {
        let row = |(at, (hours, event, account_id, user_id, value))| Row {
            event_id: format!("event {at}"),
            time_us: UNTIL_US + HOUR_US * (4 - hours),
            event: String::from(event),
            account_id,
            user_id,
            value,
            properties: None,
        };
        events.into_iter().enumerate().map(row).collect()
    })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let units = select(vec![
        10_000,
        15_000,
        -20_000,
        0,
        1,
        -1,
        999_999_999,
        2_500,
        33_333,
    ]);
    let kind = prop_oneof![
        2 => Just((false, None)),
        1 => Just((true, None)),
        2 => (1..4_u64).prop_map(|cap| (false, Some(cap))),
    ];
    let rule = (units, kind, any::<bool>());
    // The subjects are fixed, so that every rule can be reached.
    prop::collection::vec(rule, 4).prop_map(|rules| {
        let subjects = [
            (Some(vec!["e0"]), Some(20.5)),
            (Some(vec!["e0", "e1"]), None),
            (Some(vec!["e2"]), None),
            (None, None),
        ];
        let mut rules: Vec<Rule> = subjects
            .into_iter()
            .zip(rules)
            .filter(|(_, (_, _, is_there))| *is_there)
            .map(|((events, above), (units, (times_value, cap), _))| Rule {
                events,
                above,
                units,
                times_value,
                cap,
            })
            .collect();
        if rules.is_empty() {
            rules.push(Rule {
                events: None,
                above: None,
                units: 10_000,
                times_value: false,
                cap: None,
            });
        }
        rules
    })
}

fn models() -> impl Strategy<Value = PlainModel> {
    let method = select(vec![
        Method::Peg(f64::NAN),
        Method::Peg(0.0),
        Method::Peg(0.7),
        Method::Winsor,
        Method::Rank,
    ]);
    let zone = select(vec![Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York]);
    let floor = prop::option::of(select(vec![0.5, 20.0]));
    let percentile = select(vec![0.9_f64, 0.5]);
    (
        zone,
        1..6_i64,
        rules(),
        method,
        percentile,
        floor,
        1..4_usize,
    )
        .prop_map(
            |(zone, period_days, rules, method, percentile, floor, min_population)| PlainModel {
                zone,
                period_days,
                rules,
                // NaN stands for the percentile's own curve.
                method: match method {
                    Method::Peg(k) if k.is_nan() => Method::Peg(-(1.0 - percentile).ln()),
                    method => method,
                },
                percentile,
                floor,
                min_population,
            },
        )
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn engine(
    rows: &[Row],
    layout: Layout,
    model: &str,
    partitions: usize,
    batch_rows: usize,
) -> QueryEngine {
    let store = store_with(rows, layout, MovingClock::at("2025-12-31"));
    define(&store, model);
    let config = QueryConfig {
        scan_threads: 2,
        partitions,
        batch_rows,
        ..QueryConfig::default()
    };
    QueryEngine::new(Arc::clone(&store), config).unwrap()
}

fn ask(engine: &QueryEngine, sql: &str) -> Vec<Vec<String>> {
    runtime().block_on(answer(engine, sql))
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or("NULL").to_owned()
}

fn near(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() <= tolerance * expected.abs().max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn raw_scores_pegs_and_scores_are_those_of_plain_rust(
        rows in histories(), model in models(),
        entity in select(vec!["account", "user", "member"]),
        layout in select(Layout::ALL.to_vec()),
    ) {
        let engine = engine(&rows, layout, &model.toml(), 2, 5);
        let expected = model.entities(&rows, entity, UNTIL_US);
        let raws: Vec<f64> = expected.values().map(|plain| plain.units as f64 / 1e4).collect();
        let (peg, peg_n) = model.peg(&raws);
        let found = ask(&engine, &format!(
            "SELECT account_id, user_id, raw, peg, peg_n, score FROM health_scores(model => 'm',
             as_of => {UNTIL}, entity => '{entity}') ORDER BY raw"
        ));
        prop_assert_eq!(found.len(), expected.len());
        let mut before: Option<(f64, f64)> = None;
        for row in &found {
            let key = expected.keys().find(|key| {
                row[..2] == [text(key.0.as_deref()), text(key.1.as_deref())]
            });
            let plain = &expected[key.expect("an entity of the history")];
            let raw = plain.units as f64 / 1e4;
            prop_assert_eq!(number(&row[2]).to_bits(), (raw + 0.0).to_bits(), "{:?}", row);
            match peg {
                Some(peg) => prop_assert!(near(number(&row[3]), peg, 1e-12), "{row:?} {peg}"),
                None => prop_assert_eq!(&row[3], "NULL"),
            }
            prop_assert_eq!(&row[4], &peg_n.to_string());
            let Some(score) = model.score(raw, &raws) else {
                prop_assert_eq!(&row[5], "NULL");
                continue;
            };
            let found = number(&row[5]);
            prop_assert!((1.0..=100.0).contains(&found), "{row:?}");
            prop_assert!(near(found, score, 1e-9), "{row:?} instead of {score}");
            if let Some((raw_before, score_before)) = before.replace((raw, found)) {
                prop_assert!(score_before <= found, "monotone: {row:?}");
                prop_assert!(raw_before < raw || score_before == found, "ties: {row:?}");
            }
        }
    }

    #[test]
    fn explanations_add_up(
        rows in histories(), model in models(),
        entity in select(vec!["account", "user", "member"]),
        layout in select(Layout::ALL.to_vec()),
    ) {
        let engine = engine(&rows, layout, &model.toml(), 2, 5);
        let expected = model.entities(&rows, entity, UNTIL_US);
        let found = ask(&engine, &format!(
            "SELECT account_id, user_id, event, position, count, counted, contribution, points,
             weight, share FROM health_explain(model => 'm', as_of => {UNTIL}, entity => '{entity}')"
        ));
        let scores = ask(&engine, &format!(
            "SELECT account_id, user_id, raw, score FROM health_scores(model => 'm',
             as_of => {UNTIL}, entity => '{entity}')"
        ));
        let mut parts: BTreeMap<Entity, BTreeMap<Part, &Vec<String>>> = BTreeMap::new();
        for row in &found {
            let of = parts.entry((row[0].clone(), row[1].clone())).or_default();
            let part = (row[2].clone(), row[3].parse().unwrap());
            prop_assert!(of.insert(part, row).is_none(), "twice: {row:?}");
        }
        for (key, plain) in &expected {
            let key = (text(key.0.as_deref()), text(key.1.as_deref()));
            let of = parts.remove(&key).unwrap_or_default();
            let named = model.named();
            let done: BTreeSet<_> = plain.parts.keys().cloned().collect();
            let keys: BTreeSet<_> = of.keys().cloned().collect();
            prop_assert_eq!(keys, &done | &named);
            let score = scores.iter().find(|row| row[0] == key.0 && row[1] == key.1).unwrap();
            let (raw, score) = (number(&score[2]), number(&score[3]));
            let (mut contributions, mut points) = (0.0, 0.0);
            for (part, row) in &of {
                let (count, counted, units) = plain.parts.get(part).copied().unwrap_or_default();
                prop_assert_eq!(&row[4], &count.to_string(), "{:?}", row);
                prop_assert_eq!(&row[5], &counted.to_string(), "{:?}", row);
                prop_assert!(near(number(&row[6]), units as f64 / 1e4, 1e-12), "{row:?}");
                prop_assert!(near(number(&row[8]), model.rules[part.1 - 1].units as f64 / 1e4, 1e-12));
                prop_assert_eq!(row[9] == "NULL", raw == 0.0);
                contributions += number(&row[6]);
                points += number(&row[7]);
            }
            let magnitude: f64 = of.values().map(|row| number(&row[6]).abs()).sum::<f64>().max(1.0);
            prop_assert!((contributions - raw).abs() <= 1e-12 * magnitude, "{contributions} {raw}");
            if score.is_nan() {
                prop_assert!(of.is_empty() || points.is_nan());
            } else if !of.is_empty() {
                let size = (magnitude / raw.abs().max(1e-4)).max(1.0);
                prop_assert!((points - (score - 1.0)).abs() <= 1e-9 * size, "{points} {score}");
            }
        }
        prop_assert!(parts.is_empty(), "{parts:?}");
    }
}

/// Columns that need every kind of source; `last` is left out, which depends on the order of
/// arrival where times are equal.
const EVERYTHING: &str = "
name = \"m\"
period_days = 3
healthy_days_max = 3
time_zone = \"Europe/Berlin\"
features = [\"e0\", \"e1\", \"e2\"]
steps = [\"e3\", \"e1\"]
key_event = \"e1\"
weight = [
  { event = \"e0\", weight = 0.3, times_value = true },
  { event = \"e1\", weight = -0.7, daily_cap = 1 },
  { event = \"*\", weight = 1.1, daily_cap = 2 },
]
[[dimension]]
name = \"d\"
signal = [
  { metric = \"usage_frequency\" },
  { metric = \"healthy_days\", info = true },
  { name = \"total\", sum = \"*\", info = true },
  { name = \"mean\", avg = \"e0\", info = true },
  { name = \"minutes\", sessions = \"mean_minutes\", info = true },
  { name = \"unsolved\", open = { opened = \"e0\", closed = \"e3\" }, red = \"> 2\", green = \"<= 0\" },
]";

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_the_same_to_the_bit_however_the_rows_lie(
        rows in histories(),
        order in any::<u64>(),
        layout in select(Layout::ALL.to_vec()),
        partitions in select(vec![1, 3, 8]),
        batch_rows in select(vec![1, 3, 8192]),
    ) {
        let mut random = crate::support::Random(order);
        let mut shuffled = rows.clone();
        for at in (1..shuffled.len()).rev() {
            shuffled.swap(at, random.below(at as u64 + 1) as usize);
        }
        let one = engine(&rows, Layout::Memory, EVERYTHING, 2, 5);
        let other = engine(&shuffled, layout, EVERYTHING, partitions, batch_rows);
        for relation in ["health_scores", "account_signals", "health_explain", "health_steps"] {
            let sql = format!("SELECT * FROM {relation}(model => 'm', as_of => {UNTIL})");
            let (mut one, mut other) = (ask(&one, &sql), ask(&other, &sql));
            one.sort_unstable();
            other.sort_unstable();
            prop_assert_eq!(one, other, "{}", sql);
        }
    }
}

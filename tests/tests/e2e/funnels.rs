//! Random streams of events, asked for funnels and retention by the binary and by ClickHouse
//! (`peers/funnels.py`): every combination of modes, with ties, rows of several steps and rows of
//! none. Answers are equal, user by user.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use vitalog_event::format_timestamp_us;
use vitalog_tests::{Vitalog, python, skip};

use crate::Place;

const STEPS: usize = 4;
const USERS: usize = 1500;
const WINDOWS_US: [i64; 3] = [0, 3, 1000];
/// 2025-08-01T00:00:00Z.
const START_US: i64 = 1_754_006_400_000_000;

/// A row: who, when, and the bits of the steps that it meets.
#[derive(Debug, Clone)]
struct Row {
    user: String,
    time_us: i64,
    steps: u32,
}

#[test]
fn depths_and_retention_equal_those_of_clickhouse() {
    let name = "funnels::depths_and_retention_equal_those_of_clickhouse";
    let python = match python().and_then(|python| has_chdb(&python).map(|()| python)) {
        Ok(python) => python,
        Err(reason) => return skip(name, &reason),
    };
    for seed in [1, 2] {
        let place = Place::new();
        let rows = stream(seed);
        let vitalog = store_of(&place, &rows);
        let theirs = ask_clickhouse(&python, &place, &rows);
        for mode in theirs["lacking"].as_array().unwrap() {
            let version = &theirs["version"];
            skip(
                &format!("{name} with {mode}"),
                &format!("ClickHouse {version} lacks it"),
            );
        }
        compare_depths(&vitalog, &theirs, &rows, seed);
        compare_retention(&vitalog, &theirs["retention"]);
    }
}

/// Whether this Python has ClickHouse.
fn has_chdb(python: &Path) -> Result<(), String> {
    let output = Command::new(python).args(["-c", "import chdb"]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "no chdb to compare with: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Users of few events at few times, so that ties, repeated steps and cut windows are common.
fn stream(seed: u64) -> Vec<Row> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = Vec::new();
    for number in 0..USERS {
        let times = random.random_range(1..=12);
        for _ in 0..random.random_range(1..=11) {
            let steps = match random.random_range(0..10) {
                0..6 => 1 << random.random_range(0..STEPS),
                6..9 => random.random_range(0..1 << STEPS),
                _ => 0,
            };
            rows.push(Row {
                user: format!("user-{number}"),
                time_us: START_US + random.random_range(0..times),
                steps,
            });
        }
    }
    rows.shuffle(&mut random);
    rows
}

fn store_of(place: &Place, rows: &[Row]) -> Vitalog {
    let lines: String = rows
        .iter()
        .enumerate()
        .map(|(number, row)| {
            let event = json!({
                "event_id": format!("event-{number}"),
                "event_time": format_timestamp_us(row.time_us),
                "event": "step",
                "user_id": row.user,
                "value": row.steps,
            });
            format!("{event}\n")
        })
        .collect();
    let file = place.write("events.jsonl", lines);
    let vitalog = place.vitalog();
    let outcome = vitalog.run(&["import", &file]);
    assert_eq!(
        (outcome.code, outcome.fact("accepted")),
        (0, rows.len() as u64),
        "{outcome:?}"
    );
    vitalog
}

/// Every combination that is allowed: `allow_reentry` needs `strict_order`.
fn combinations() -> Vec<Vec<&'static str>> {
    let names = [
        "strict_order",
        "strict_deduplication",
        "strict_increase",
        "strict_once",
        "allow_reentry",
    ];
    let all = (0..1 << names.len()).map(|bits: u32| {
        let chosen = names.iter().enumerate();
        let chosen = chosen.filter(|(index, _)| bits >> index & 1 == 1);
        chosen.map(|(_, name)| *name).collect::<Vec<_>>()
    });
    all.filter(|modes| !modes.contains(&"allow_reentry") || modes.contains(&"strict_order"))
        .collect()
}

fn ask_clickhouse(python: &Path, place: &Place, rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| json!([row.user, row.time_us, row.steps]))
        .collect();
    let question = json!({
        "rows": rows, "steps": STEPS, "windows": WINDOWS_US, "modes": combinations(),
    });
    let file = place.write("question.json", question.to_string());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/funnels.py");
    let output = Command::new(python).arg(script).arg(file).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The list of conditions.
fn conditions() -> String {
    let conditions: Vec<String> = (0..STEPS)
        .map(|step| format!("CAST(value AS BIGINT) & {} <> 0", 1 << step))
        .collect();
    format!("[{}]", conditions.join(", "))
}

fn compare_depths(vitalog: &Vitalog, theirs: &Value, rows: &[Row], seed: u64) {
    let lacking: Vec<&str> = theirs["lacking"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let mut asked = combinations();
    asked.retain(|modes| !modes.iter().any(|mode| lacking.contains(mode)));
    let mut seen = BTreeSet::new();
    for window in WINDOWS_US {
        let names: Vec<String> = asked
            .iter()
            .map(|modes| format!("{window} {}", modes.join(" ")).trim().to_owned())
            .collect();
        let answers = vitalog.rows(&depths_sql(window, &asked));
        assert_eq!(answers.len(), USERS);
        for answer in &answers {
            let user = answer["id"].as_str().unwrap();
            for (column, name) in names.iter().enumerate() {
                let depth = &answer[format!("depth_{column}")];
                seen.insert(depth.as_u64().unwrap());
                assert!(
                    *depth == theirs["depths"][name][user],
                    "{name:?}: {depth}, not {} for {:?} of seed {seed}",
                    theirs["depths"][name][user],
                    events_of(user, rows)
                );
            }
        }
    }
    assert!(
        seen.into_iter().eq(0..=STEPS as u64),
        "every depth must occur"
    );
}

/// Columns `id` and `depth_N` for each combination of modes.
fn depths_sql(window_us: i64, asked: &[Vec<&str>]) -> String {
    let steps = conditions();
    let depths: Vec<String> = asked
        .iter()
        .enumerate()
        .map(|(column, modes)| {
            let modes: Vec<String> = modes.iter().map(|mode| format!("'{mode}'")).collect();
            let modes = modes.join(", ");
            format!(
                "window_funnel(INTERVAL '{window_us} microseconds', event_time, {steps}, [{modes}])
                 AS depth_{column}"
            )
        })
        .collect();
    let depths = depths.join(", ");
    format!("SELECT user_id AS id, {depths} FROM events GROUP BY user_id")
}

/// Times and steps of a user's rows, to read.
fn events_of(user: &str, rows: &[Row]) -> Vec<(i64, String)> {
    let of_user = rows.iter().filter(|row| row.user == user);
    let mut events: Vec<(i64, String)> = of_user
        .map(|row| (row.time_us - START_US, format!("{:04b}", row.steps)))
        .collect();
    events.sort();
    events
}

fn compare_retention(vitalog: &Vitalog, theirs: &Value) {
    let sql = format!(
        "SELECT user_id AS id, retention({}) AS met FROM events GROUP BY user_id",
        conditions()
    );
    let ours = vitalog.rows(&sql);
    assert_eq!(ours.len(), theirs.as_object().unwrap().len());
    for row in &ours {
        let user = row["id"].as_str().unwrap();
        assert_eq!(row["met"], theirs[user], "{user}");
    }
    let kinds: BTreeSet<String> = ours.iter().map(|row| row["met"].to_string()).collect();
    assert!(kinds.len() > STEPS, "{kinds:?}");
}

//! Whole files of events, imported by the binary, answered by Vitalog and by others.
//!
//! The other sides are DuckDB and pandas on the same Parquet file (`peers/facts.py`), and for the
//! kernels, which scan in another way, Vitalog's own SQL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use serde_json::Value;
use vitalog_disk::RealDirectory;
use vitalog_event::{DAY_US, EventBatchBuilder, EventDraft, parse_timestamp_us};
use vitalog_query::entity::{Entity, active_days, sessions};
use vitalog_query::{QueryConfig, QueryEngine, QueryRequest};
use vitalog_store::{Domain, RowFilter, Store, StoreConfig, SystemClock};
use vitalog_tests::{Vitalog, python, shared_data, skip};

use crate::{Place, text};

/// Between two sessions.
const GAP_US: i64 = 30 * 60 * 1_000_000;

#[test]
fn oulad_answers_equal_those_of_duckdb_and_pandas() {
    let name = "real_data::oulad_answers_equal_those_of_duckdb_and_pandas";
    compare_with_peers(name, |_| shared_data("oulad"));
}

#[test]
fn ecom_answers_equal_those_of_duckdb_and_pandas() {
    let name = "real_data::ecom_answers_equal_those_of_duckdb_and_pandas";
    compare_with_peers(name, |_| shared_data("ecom"));
}

#[test]
fn simulated_answers_equal_those_of_duckdb_and_pandas() {
    let name = "real_data::simulated_answers_equal_those_of_duckdb_and_pandas";
    compare_with_peers(name, |place| Ok(simulated(place)));
}

#[test]
fn kernels_equal_sql_on_oulad() {
    match shared_data("oulad") {
        Ok(file) => compare_kernels(&Place::new(), &file),
        Err(reason) => skip("real_data::kernels_equal_sql_on_oulad", &reason),
    }
}

#[test]
fn kernels_equal_sql_on_ecom() {
    match shared_data("ecom") {
        Ok(file) => compare_kernels(&Place::new(), &file),
        Err(reason) => skip("real_data::kernels_equal_sql_on_ecom", &reason),
    }
}

#[test]
fn kernels_equal_sql_on_simulated_events() {
    let place = Place::new();
    let file = simulated(&place);
    compare_kernels(&place, &file);
}

/// A file of the binary's own making.
fn simulated(place: &Place) -> PathBuf {
    let path = place.path("simulated.parquet");
    place
        .vitalog()
        .stdout_of(&["simulate", "--rows", "50000", "--out", &text(&path)]);
    path
}

/// What one side says about a file.
#[derive(Debug)]
struct Facts {
    rows: u64,
    accounts: Entities,
    users: Entities,
    peg_of_accounts: f64,
    peg_of_users: f64,
}

/// By id; `None` is the group of rows without one.
type Entities = BTreeMap<Option<String>, EntityFacts>;

#[derive(Clone, Debug, PartialEq)]
struct EntityFacts {
    events: u64,
    active_days: u64,
    last_us: i64,
    sessions: u64,
}

fn compare_with_peers(test: &str, file: impl FnOnce(&Place) -> Result<PathBuf, String>) {
    let place = Place::new();
    let (python, file) = match python().and_then(|python| Ok((python, file(&place)?))) {
        Ok(found) => found,
        Err(reason) => return skip(test, &reason),
    };
    let vitalog = place.vitalog();
    let outcome = vitalog.run(&["import", &text(&file)]);
    assert_eq!(
        (outcome.code, outcome.fact("duplicates")),
        (0, 0),
        "{outcome:?}"
    );
    let ours = ask_vitalog(&vitalog);
    assert_eq!(outcome.fact("accepted"), ours.rows, "{outcome:?}");
    for (peer, theirs) in ask_peers(&python, &file) {
        assert_equal(&peer, &ours, &theirs);
    }

    let again = vitalog.run(&["import", &text(&file)]);
    let facts = ["rows read", "accepted", "duplicates", "rejected"].map(|name| again.fact(name));
    assert_eq!(
        (again.code, facts),
        (0, [ours.rows, 0, ours.rows, 0]),
        "{again:?}"
    );
    assert!(again.stdout.contains("nothing new"), "{again:?}");
    assert_eq!(vitalog.count_events(), ours.rows);
    for (column, entities) in [("account_id", &ours.accounts), ("user_id", &ours.users)] {
        let sql = format!("SELECT {column} AS id, count(*) AS events FROM events GROUP BY id");
        let rows = vitalog.rows(&sql);
        assert_eq!(rows.len(), entities.len());
        for row in rows {
            assert_eq!(
                row["events"].as_u64(),
                Some(entities[&id_of(&row)].events),
                "{row}"
            );
        }
    }
}

fn assert_equal(other: &str, ours: &Facts, theirs: &Facts) {
    assert_eq!(ours.rows, theirs.rows, "{other}");
    assert!(ours.rows > 30_000, "{ours:?}");
    for (ours, theirs) in [
        (&ours.accounts, &theirs.accounts),
        (&ours.users, &theirs.users),
    ] {
        assert!(ours.keys().eq(theirs.keys()), "{other}: other entities");
        for (id, found) in ours {
            assert_eq!(Some(found), theirs.get(id), "{other}: {id:?}");
        }
        assert_eq!(
            ours.values().map(|facts| facts.events).sum::<u64>(),
            other_rows(theirs)
        );
    }
    for (ours, theirs) in [
        (ours.peg_of_accounts, theirs.peg_of_accounts),
        (ours.peg_of_users, theirs.peg_of_users),
    ] {
        assert!(
            (ours - theirs).abs() <= 1e-12 * theirs.abs(),
            "{other}: {ours} and {theirs}"
        );
    }
}

fn other_rows(entities: &Entities) -> u64 {
    entities.values().map(|facts| facts.events).sum()
}

fn ask_peers(python: &Path, file: &Path) -> Vec<(String, Facts)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/facts.py");
    let output = Command::new(python).arg(script).arg(file).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answers: BTreeMap<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answers.keys().eq(["duckdb", "pandas"]), "{answers:?}");
    answers
        .into_iter()
        .map(|(peer, answer)| (peer, facts_of_peer(&answer)))
        .collect()
}

fn facts_of_peer(answer: &Value) -> Facts {
    let entities = |name: &str| {
        let rows = answer[name].as_array().unwrap();
        rows.iter()
            .map(|row| {
                let id = row[0].as_str().map(str::to_owned);
                assert!(id.is_some() || row[0].is_null(), "{row}");
                let facts = EntityFacts {
                    events: row[1].as_u64().unwrap(),
                    active_days: row[2].as_u64().unwrap(),
                    last_us: row[3].as_i64().unwrap(),
                    sessions: row[4].as_u64().unwrap(),
                };
                (id, facts)
            })
            .collect()
    };
    Facts {
        rows: answer["rows"].as_u64().unwrap(),
        accounts: entities("accounts"),
        users: entities("users"),
        peg_of_accounts: answer["peg_of_accounts"].as_f64().unwrap(),
        peg_of_users: answer["peg_of_users"].as_f64().unwrap(),
    }
}

fn ask_vitalog(vitalog: &Vitalog) -> Facts {
    let peg = |column: &str| {
        let counts = format!("SELECT count(*) AS raw FROM events GROUP BY {column}");
        let sql = format!("SELECT health_peg(CAST(raw AS DOUBLE)) AS peg FROM ({counts})");
        vitalog.rows(&sql)[0]["peg"].as_f64().unwrap()
    };
    Facts {
        rows: vitalog.count_events(),
        accounts: entities_by_sql(vitalog, "account_id"),
        users: entities_by_sql(vitalog, "user_id"),
        peg_of_accounts: peg("account_id"),
        peg_of_users: peg("user_id"),
    }
}

fn entities_by_sql(vitalog: &Vitalog, column: &str) -> Entities {
    let sql = format!(
        "SELECT {column} AS id, count(*) AS events, max(event_time) AS last,
                count(DISTINCT date_trunc('day', event_time)) AS days,
                active_days(event_time, DATE '1970-01-01', DATE '2100-01-01') AS active_days
         FROM events GROUP BY {column}"
    );
    let sessions: BTreeMap<Option<String>, u64> = vitalog
        .rows(&sessions_sql(column))
        .iter()
        .map(|row| (id_of(row), row["count"].as_u64().unwrap()))
        .collect();
    vitalog
        .rows(&sql)
        .iter()
        .map(|row| {
            let (id, number) = (id_of(row), |name: &str| row[name].as_u64().unwrap());
            assert_eq!(number("days"), number("active_days"), "{row}");
            let facts = EntityFacts {
                events: number("events"),
                active_days: number("active_days"),
                last_us: parse_timestamp_us(row["last"].as_str().unwrap()).unwrap(),
                sessions: sessions[&id],
            };
            (id, facts)
        })
        .collect()
}

/// Columns `id` and `count`: the events that begin a session.
fn sessions_sql(column: &str) -> String {
    format!(
        "SELECT id, count(*) AS count FROM (
           SELECT {column} AS id, event_time,
                  lag(event_time) OVER (PARTITION BY {column} ORDER BY event_time) AS previous
           FROM events)
         WHERE previous IS NULL OR event_time > previous + INTERVAL '30 minutes'
         GROUP BY id"
    )
}

fn id_of(row: &Value) -> Option<String> {
    row["id"].as_str().map(str::to_owned)
}

fn compare_kernels(place: &Place, file: &Path) {
    let vitalog = place.vitalog();
    let outcome = vitalog.run(&["import", &text(file)]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let directory = Arc::new(RealDirectory::open(vitalog.data()).unwrap());
    let clock = Arc::new(SystemClock);
    let store = Arc::new(
        Store::open(directory, StoreConfig::default(), clock)
            .unwrap()
            .0,
    );
    let engine = QueryEngine::new(Arc::clone(&store), QueryConfig::default()).unwrap();
    // A million rows are sorted by SQL once only.
    if store.snapshot().seq() < 100_000 {
        compare_on(&store, &engine);
    }
    for part in 0..3 {
        append_late(&store, part);
    }
    assert!(
        store.statistics().unwrap().memory_rows > 0,
        "the late events are still in memory"
    );
    compare_on(&store, &engine);
}

fn compare_on(store: &Store, engine: &QueryEngine) {
    let snapshot = store.snapshot();
    let filter = RowFilter::up_to(snapshot.seq());
    let cases = [
        (Entity::Account, Domain::Account),
        (Entity::User, Domain::User),
    ];
    for (entity, domain) in cases {
        let column = if entity == Entity::User {
            "user_id"
        } else {
            "account_id"
        };
        let days_sql = format!(
            "SELECT {column} AS id, count(DISTINCT date_trunc('day', event_time)) AS count
             FROM events GROUP BY {column}"
        );
        let expected_days = counts_of(&collect(engine, &days_sql));
        let expected_sessions = counts_of(&collect(engine, &sessions_sql(column)));
        for threads in [1, 2] {
            let days = active_days(&snapshot, entity, &filter, threads).unwrap();
            let days = counts_of(&[days.to_batch(&snapshot, domain)]);
            assert!(
                days == expected_days,
                "active days of each {column}, {threads} threads"
            );
            let begun = sessions(&snapshot, entity, &filter, GAP_US, threads).unwrap();
            let begun = counts_of(&[begun.to_batch(&snapshot, domain)]);
            assert!(
                begun == expected_sessions,
                "sessions of each {column}, {threads} threads"
            );
        }
    }
}

fn collect(engine: &QueryEngine, sql: &str) -> Vec<RecordBatch> {
    let request = QueryRequest::new(sql);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime
        .block_on(async { engine.query(request).await?.try_collect().await })
        .unwrap()
}

/// The counts by id, of batches with the columns id and count.
fn counts_of(batches: &[RecordBatch]) -> BTreeMap<Option<String>, i64> {
    let mut counts = BTreeMap::new();
    for batch in batches {
        let ids = batch.column(0).as_string::<i32>();
        let values = batch.column(1).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let id = ids.is_valid(row).then(|| ids.value(row).to_owned());
            assert_eq!(
                counts.insert(id, values.value(row)),
                None,
                "an id stands twice"
            );
        }
    }
    assert!(counts.len() > 1, "{counts:?}");
    counts
}

/// Appends events of users that are there, days late, between their events and on days of their
/// own, in accounts old and new, and of nobody.
fn append_late(store: &Store, part: u64) {
    let snapshot = store.snapshot();
    let known = store.statistics().unwrap();
    let (first_us, last_us) = (known.time_min_us.unwrap(), known.time_max_us.unwrap());
    let names = |domain| {
        let codes: Vec<u32> = (1..snapshot.symbols().bound(domain).min(120) as u32).collect();
        snapshot.symbols().resolve_all(domain, &codes)
    };
    let (users, accounts) = (names(Domain::User), names(Domain::Account));
    let mut builder = EventBatchBuilder::new(last_us);
    for number in 0..1500 {
        let mix = (number + part * 1500).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
        let id = format!("late-{part}-{number}");
        let user = users.value(mix as usize % users.len());
        let account = accounts.value((mix / 7) as usize % accounts.len());
        // Some exactly one gap after another, some on the last microsecond of a day.
        let step_us = [GAP_US, 1_000_000, DAY_US][mix as usize % 3];
        let span = ((last_us - first_us) / step_us).max(1);
        let start = first_us - first_us.rem_euclid(step_us);
        let time_us = start + (mix >> 3) as i64 % span * step_us - i64::from(mix.is_multiple_of(5));
        assert!(builder.push(&EventDraft {
            event_id: Some(&id),
            event_time_us: Some(time_us),
            event: Some("came late"),
            account_id: [Some(account), Some("an account of late events"), None]
                [number as usize % 3],
            user_id: (!mix.is_multiple_of(8)).then_some(user),
            ..EventDraft::default()
        }));
    }
    let receipt = store.append(builder.finish().0).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected.len()), (1500, 0));
}

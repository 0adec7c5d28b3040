//! Scores, metrics, days, sessions, a funnel, cohorts and trends, against DuckDB's SQL.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vitalog_event::{format_timestamp_us, parse_timestamp_us};
use vitalog_tests::Vitalog;

use super::comparison::assert_same_rows;
use super::{apply, ask_peer, ecom, imported, oulad, peer_file, simulated, with_peer};
use crate::Place;

/// Days of the periods: a model each.
const PERIODS: [u32; 3] = [7, 28, 30];
/// Between two sessions.
const GAP_US: i64 = 30 * 60 * 1_000_000;
/// From the first step of the funnel to the last.
const WINDOW_DAYS: i64 = 7;
/// Weeks after the first that a cohort is followed.
const WEEKS: u32 = 8;

/// What is asked about a file.
struct Question {
    /// The model in `peers/models`.
    model: &'static str,
    /// A midnight, asked for each period, and an instant within a day, asked for the middle one.
    moments: [&'static str; 2],
    funnel: [&'static str; 3],
    /// Whether the file names its sessions, and they begin after a gap of 30 minutes.
    has_session_ids: bool,
}

#[test]
fn ecom_equals_duckdb() {
    let question = Question {
        model: "ecom",
        moments: ["2024-05-16T00:00:00Z", "2024-04-20T13:37:11.5Z"],
        funnel: ["product_view", "add_to_cart", "purchase"],
        has_session_ids: true,
    };
    compare("duckdb::ecom_equals_duckdb", ecom, &question);
}

#[test]
fn oulad_equals_duckdb() {
    let question = Question {
        model: "oulad",
        moments: ["2013-12-01T00:00:00Z", "2014-02-01T12:00:00Z"],
        funnel: ["homepage", "oucontent", "quiz"],
        has_session_ids: false,
    };
    compare("duckdb::oulad_equals_duckdb", oulad, &question);
}

#[test]
fn simulated_events_equal_duckdb() {
    let question = Question {
        model: "simulated",
        moments: ["2025-07-01T00:00:00Z", "2025-08-21T11:59:59.999999Z"],
        funnel: ["login", "report_exported", "teammate_invited"],
        has_session_ids: false,
    };
    let name = "duckdb::simulated_events_equal_duckdb";
    compare(name, simulated, &question);
}

fn compare(name: &str, file: impl FnOnce(&Place) -> Result<PathBuf, String>, question: &Question) {
    with_peer(name, file, |place, python, file| {
        let model = peer_file("models").join(format!("{}.toml", question.model));
        let model = fs::read_to_string(model).unwrap();
        let vitalog = imported(place, file);
        let models =
            PERIODS.map(|days| format!("name = \"of-{days}-days\"\nperiod_days = {days}\n{model}"));
        apply(&vitalog, &models);
        let theirs = ask_duckdb(place, python, file, &model, question);
        let [midnight, within_day] = question.moments;
        compare_scores(&vitalog, &theirs, midnight, &PERIODS);
        compare_scores(&vitalog, &theirs, within_day, &PERIODS[1..2]);
        compare_days(&vitalog, &theirs, midnight);
        compare_days(&vitalog, &theirs, within_day);
        compare_funnel(&vitalog, &theirs, question.funnel);
        compare_retention(&vitalog, &theirs["retention"]);
        compare_sessions(&vitalog, &theirs, question.has_session_ids);
    });
}

fn ask_duckdb(
    place: &Place,
    python: &Path,
    file: &Path,
    model: &str,
    question: &Question,
) -> Value {
    let [midnight, within_day] = question.moments.map(microseconds);
    let question = json!({
        "file": file, "model": model,
        "scores": [[midnight, PERIODS], [within_day, &PERIODS[1..2]]],
        "days": [midnight, within_day], "periods": PERIODS,
        "funnel": question.funnel, "window_us": WINDOW_DAYS * 86_400_000_000, "gap_us": GAP_US,
    });
    ask_peer(place, python, "health_sql.py", &question)
}

fn microseconds(moment: &str) -> i64 {
    parse_timestamp_us(moment).unwrap()
}

/// The columns of an entity, as a list.
fn keys_of(entity: &str) -> &'static [&'static str] {
    match entity {
        "account" => &["account_id"],
        "user" => &["user_id"],
        _ => &["account_id", "user_id"],
    }
}

fn compare_scores(vitalog: &Vitalog, theirs: &Value, moment: &str, periods: &[u32]) {
    for entity in ["account", "user", "member"] {
        let keys = keys_of(entity);
        for days in periods {
            let sql = format!(
                "SELECT {}, raw, peg, peg_n, score, band, active_days, usage_frequency,
                        CAST(first_active AS BIGINT) AS first_active,
                        CAST(last_active AS BIGINT) AS last_active, days_inactive, tenure_days,
                        feature_adoption, activation_rate, time_to_first, members,
                        active_members, active_user_pct, trend, trend_own, direction
                 FROM health_scores(model => 'of-{days}-days', as_of => '{moment}',
                                    entity => '{entity}')",
                keys.join(", ")
            );
            let what = format!("scores {entity} {days} {}", microseconds(moment));
            assert_same_rows(&what, &vitalog.rows(&sql), &theirs[&what], keys);
        }
    }
}

fn compare_days(vitalog: &Vitalog, theirs: &Value, moment: &str) {
    let moment_us = microseconds(moment);
    let today = (moment_us - 1).div_euclid(86_400_000_000);
    let counts = PERIODS.map(|days| {
        let since = format_timestamp_us((today - i64::from(days) + 1) * 86_400_000_000);
        format!("active_days(event_time, TIMESTAMP '{since}', TIMESTAMP '{moment}') AS days_{days}")
    });
    for entity in ["account", "user", "member"] {
        let keys = keys_of(entity);
        let list = keys.join(", ");
        let known: Vec<String> = keys
            .iter()
            .map(|key| format!("{key} IS NOT NULL"))
            .collect();
        let sql = format!(
            "SELECT {list}, {}, CAST(max(event_time) AS BIGINT) AS last,
                    longest_gap(event_time) AS longest_gap
             FROM events WHERE {} AND event_time < TIMESTAMP '{moment}' GROUP BY {list}",
            counts.join(", "),
            known.join(" AND ")
        );
        let what = format!("days {entity} {moment_us}");
        assert_same_rows(&what, &vitalog.rows(&sql), &theirs[&what], keys);
    }
}

fn compare_funnel(vitalog: &Vitalog, theirs: &Value, funnel: [&str; 3]) {
    let steps = funnel.map(|event| format!("event = '{event}'")).join(", ");
    for entity in ["account", "user"] {
        let key = keys_of(entity)[0];
        let sql = format!(
            "SELECT {key},
                    window_funnel(INTERVAL '{WINDOW_DAYS} days', event_time, [{steps}]) AS depth
             FROM events WHERE {key} IS NOT NULL GROUP BY {key}"
        );
        let what = format!("funnel {entity}");
        assert_same_rows(&what, &vitalog.rows(&sql), &theirs[&what], &[key]);
    }
}

fn compare_retention(vitalog: &Vitalog, theirs: &Value) {
    let week = "date_trunc('week', event_time)";
    let conditions: Vec<String> = (0..=WEEKS)
        .map(|after| format!("{week} = cohort + INTERVAL '{} days'", 7 * after))
        .collect();
    let sums: Vec<String> = (0..=WEEKS)
        .map(|after| format!("sum(met[{}]) AS week_{after}", after + 1))
        .collect();
    let sql = format!(
        "WITH firsts AS (
           SELECT user_id, date_trunc('week', min(event_time)) AS cohort
           FROM events WHERE user_id IS NOT NULL GROUP BY user_id),
         kept AS (
           SELECT user_id, cohort, retention([{}]) AS met
           FROM events JOIN firsts USING (user_id) GROUP BY user_id, cohort)
         SELECT CAST(cohort AS BIGINT) AS cohort, {} FROM kept GROUP BY cohort",
        conditions.join(", "),
        sums.join(", ")
    );
    assert_same_rows("retention", &vitalog.rows(&sql), theirs, &["cohort"]);
}

fn compare_sessions(vitalog: &Vitalog, theirs: &Value, has_session_ids: bool) {
    let keys = ["account_id", "user_id", "start_at"];
    let sql = |columns: &str| {
        format!(
            "SELECT account_id, user_id, CAST(start_at AS BIGINT) AS start_at,
                    CAST(end_at AS BIGINT) AS end_at, {columns}
             FROM sessions(gap => INTERVAL '30 minutes', since => DATE '2000-01-01',
                           until => DATE '2100-01-01')"
        )
    };
    let ours = vitalog.rows(&sql("minutes, events"));
    assert_same_rows("sessions", &ours, &theirs["sessions"], &keys);
    if has_session_ids {
        let ours = vitalog.rows(&sql("events"));
        assert_same_rows("session ids", &ours, &theirs["session ids"], &keys);
    }
}

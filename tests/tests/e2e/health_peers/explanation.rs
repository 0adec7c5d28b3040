//! Scores and their explanations, against a plain Python reading of the same model.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::comparison::assert_same_rows;
use super::{apply, ask_peer, ecom, generated, imported, peer_file, with_peer};
use crate::Place;

/// `health_explain` by Vitalog and by Python: these cells are equal.
const EXPLANATION: &str = "account_id, user_id, event, position, count, counted, weight, contribution, share, points, \
     to_green";
/// And these of `health_scores`.
const SCORES: &str = "account_id, user_id, raw, peg, peg_n, score, band, active_days, \
    usage_frequency, CAST(first_active AS BIGINT) AS first_active, \
    CAST(last_active AS BIGINT) AS last_active, days_inactive, feature_adoption, activation_rate, \
    members, active_members, healthy_user_pct, trend, trend_own";

#[test]
fn explanations_of_generated_events_equal_those_of_python() {
    let name = "explanation::explanations_of_generated_events_equal_those_of_python";
    let model = fs::read_to_string(peer_file("models/explained.toml")).unwrap();
    // The clocks went forward at 01:00 UTC of 30 March. Dates, a noon, a midnight, a local time that
    // did not exist a period earlier, and a period that began before the first event.
    let moments = [
        "2025-03-30",
        "2025-03-30T10:00:00Z",
        "2025-04-02",
        "2025-04-05T22:00:00Z",
        "2025-04-06T00:40:00Z",
        "2025-03-06",
    ];
    compare(name, generated::events, &model, "explained", &moments);
}

#[test]
fn explanations_of_ecom_equal_those_of_python() {
    let name = "explanation::explanations_of_ecom_equal_those_of_python";
    let rules = fs::read_to_string(peer_file("models/ecom.toml")).unwrap();
    let model = format!(
        "name = \"shop\"\nperiod_days = 14\ntime_zone = \"Europe/Berlin\"\n\
         percentile = 0.8\ncurve = 1.5\n{rules}"
    );
    let moments = ["2024-04-03", "2024-03-31T10:00:00Z", "2024-05-15"];
    compare(name, ecom, &model, "shop", &moments);
}

fn compare(
    name: &str,
    file: impl FnOnce(&Place) -> Result<PathBuf, String>,
    model: &str,
    model_name: &str,
    moments: &[&str],
) {
    with_peer(name, file, |place, python, file| {
        let vitalog = imported(place, file);
        apply(&vitalog, &[model.to_owned()]);
        let entities = ["account", "user", "member"];
        let questions: Vec<[&str; 2]> = moments
            .iter()
            .flat_map(|moment| entities.map(|entity| [entity, moment]))
            .collect();
        let theirs = ask_python(place, python, file, model, &questions);
        let mut kinds = Kinds::default();
        for ([entity, moment], theirs) in questions.into_iter().zip(theirs) {
            let of =
                format!("(model => '{model_name}', as_of => '{moment}', entity => '{entity}')");
            let keys = ["account_id", "user_id"];
            let scores = vitalog.rows(&format!("SELECT {SCORES} FROM health_scores{of}"));
            assert_same_rows(&format!("scores{of}"), &scores, &theirs["scores"], &keys);
            let keys = ["account_id", "user_id", "event", "position"];
            let rows = vitalog.rows(&format!("SELECT {EXPLANATION} FROM health_explain{of}"));
            assert_same_rows(
                &format!("explain{of}"),
                &rows,
                &theirs["explanation"],
                &keys,
            );
            assert_sums(&scores, &rows);
            kinds.meet(&scores, &rows);
        }
        kinds.assert_all();
    });
}

fn ask_python(
    place: &Place,
    python: &Path,
    file: &Path,
    model: &str,
    questions: &[[&str; 2]],
) -> Vec<Value> {
    let questions: Vec<Value> = questions
        .iter()
        .map(|[entity, as_of]| json!({"entity": entity, "as_of": as_of}))
        .collect();
    let question = json!({"file": file, "model": model, "questions": questions});
    let answer = ask_peer(place, python, "health_model.py", &question);
    answer.as_array().unwrap().clone()
}

/// The points of an entity sum to its score − 1.
fn assert_sums(scores: &[Value], rows: &[Value]) {
    for entity in scores {
        let same = |row: &&Value| {
            ["account_id", "user_id"]
                .iter()
                .all(|key| row[*key] == entity[*key])
        };
        let points: f64 = rows
            .iter()
            .filter(same)
            .map(|row| row["points"].as_f64().unwrap())
            .sum();
        let (raw, score) = (
            entity["raw"].as_f64().unwrap(),
            entity["score"].as_f64().unwrap(),
        );
        let expected = if raw > 0.0 { score - 1.0 } else { 0.0 };
        assert!((points - expected).abs() < 1e-9, "{points}: {entity}");
    }
}

/// What the questions met: a comparison that never met a case says nothing about it.
#[derive(Debug, Default)]
struct Kinds {
    is_capped: bool,
    is_negative: bool,
    is_raw_not_positive: bool,
    is_above_peg: bool,
    is_far_from_green: bool,
    did_not_occur: bool,
    has_trend: bool,
}

impl Kinds {
    fn meet(&mut self, scores: &[Value], rows: &[Value]) {
        let number = |row: &Value, column: &str| row[column].as_f64();
        for row in scores {
            self.is_raw_not_positive |= number(row, "raw") <= Some(0.0);
            self.is_above_peg |= number(row, "raw") > number(row, "peg");
            self.has_trend |= number(row, "trend_own").is_some_and(|trend| trend != 0.0);
        }
        for row in rows {
            self.is_capped |= number(row, "counted") < number(row, "count");
            self.is_negative |= number(row, "contribution") < Some(0.0);
            self.is_far_from_green |= number(row, "to_green") > Some(1.0);
            self.did_not_occur |= number(row, "count") == Some(0.0);
        }
    }

    fn assert_all(&self) {
        let Self {
            is_capped,
            is_negative,
            is_raw_not_positive,
            is_above_peg,
            is_far_from_green,
            did_not_occur,
            has_trend,
        } = self;
        let of_scores = *is_raw_not_positive && *is_above_peg && *has_trend;
        let of_rows = *is_capped && *is_negative && *is_far_from_green && *did_not_occur;
        assert!(of_scores && of_rows, "{self:?}");
    }
}

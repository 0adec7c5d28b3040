//! `health` through the binary: the table, one account, and what it says where there is nothing.

use serde_json::Value;

use crate::models::{AS_OF, MODEL, reporting_store};
use crate::{Place, assert_failed};

#[test]
fn the_table_is_plain_when_piped_and_says_by_which_model() {
    let place = Place::new();
    let vitalog = reporting_store(&place);
    let table = vitalog.stdout_of(&["health", "--as-of", AS_OF]);
    assert!(!table.contains('\u{1b}'), "{table}");
    for words in [
        "account",
        "score",
        "status",
        "trend",
        "acct-1",
        "Five Ltd",
        "5 scored:",
        "built-in default",
    ] {
        assert!(table.contains(words), "{words:?} is not in {table}");
    }
    let file = place.write("health.toml", MODEL);
    vitalog.stdout_of(&["model", "apply", &file]);
    let table = vitalog.stdout_of(&["health", "--as-of", AS_OF]);
    assert!(table.contains("model default version 1"), "{table}");
    assert!(!table.contains("built-in"), "{table}");
}

#[test]
fn rows_are_the_worst_first_or_as_asked() {
    let place = Place::new();
    let vitalog = reporting_store(&place);
    let ids = |arguments: &[&str]| -> Vec<String> {
        let mut all = vec!["health", "--as-of", AS_OF, "--format", "jsonl"];
        all.extend(arguments);
        let text = vitalog.stdout_of(&all);
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|row| row["account_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let rising = ["acct-1", "acct-2", "acct-3", "acct-4", "acct-5"];
    assert_eq!(ids(&["--sort", "score"]), rising);
    assert_eq!(
        ids(&["--sort", "mrr", "--limit", "2"]),
        ["acct-5", "acct-4"]
    );
    let csv = vitalog.stdout_of(&["health", "--as-of", AS_OF, "--format", "csv"]);
    assert!(csv.starts_with("model,version,as_of,account_id,"), "{csv}");
    assert_eq!(csv.lines().count(), 6, "{csv}");
    let outcome = vitalog.run(&["health", "--sort", "luck"]);
    assert_failed(&outcome, 2, &["luck", "score"]);
}

#[test]
fn one_account_is_explained_in_full() {
    let place = Place::new();
    let vitalog = reporting_store(&place);
    let file = place.write("health.toml", MODEL);
    vitalog.stdout_of(&["model", "apply", &file]);
    let page = vitalog.stdout_of(&["health", "acct-2", "--as-of", AS_OF]);
    for words in [
        "Two Ltd (acct-2), pro, mrr 200",
        // Twenty days of two reports at 5, and one login at a half.
        "from a raw score of 200.5",
        "report_created",
        "40 × 5",
        "1 × 0.5",
        "Signals",
        "Onboarding: 2 of 2 steps done",
        "[x] report_created  2025-03-01",
        "Features: 1 of 1 ever used",
    ] {
        assert!(page.contains(words), "{words:?} is not in {page}");
    }
    assert!(!page.contains(['\u{1b}', '█']), "{page}");
    // The best account is green; the worst is told how to become so.
    let best = vitalog.stdout_of(&["health", "acct-5", "--as-of", AS_OF]);
    assert!(best.contains("Its score is green."), "{best}");
    let worst = vitalog.stdout_of(&["health", "acct-1", "--as-of", AS_OF]);
    assert!(worst.contains(" more report_created"), "{worst}");

    let arguments = ["health", "acct-2", "--as-of", AS_OF, "--format", "jsonl"];
    let text = vitalog.stdout_of(&arguments);
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let points: f64 = rows.iter().filter_map(|row| row["points"].as_f64()).sum();
    let sql =
        format!("SELECT score FROM health_scores(as_of => '{AS_OF}') WHERE account_id = 'acct-2'");
    let score = vitalog.rows(&sql)[0]["score"].as_f64().unwrap();
    assert!((points - (score - 1.0)).abs() < 1e-9, "{points} of {score}");
}

#[test]
fn who_is_not_there_is_said_with_near_names() {
    let place = Place::new();
    let vitalog = reporting_store(&place);
    let ask = |id: &str| vitalog.run(&["health", id, "--as-of", AS_OF]);
    assert_failed(
        &ask("acct-22"),
        1,
        &["there is no account acct-22", "did you mean acct-2?"],
    );
    assert_failed(&ask("Two Ltd"), 1, &["did you mean acct-2?"]);
    assert_failed(
        &ask("nobody"),
        1,
        &["there is no account nobody", "the 5 there are"],
    );
    let outcome = vitalog.run(&["health", "--model", "trial"]);
    assert_failed(&outcome, 1, &["trial"]);

    let churned = r#"{"event_id":"c","event_time":"2025-03-20T23:00:00Z","event":"$group","account_id":"acct-3","properties":{"churned_at":"2025-03-20T23:00:00Z"}}"#;
    let file = place.write("churned.jsonl", format!("{churned}\n"));
    vitalog.stdout_of(&["import", &file]);
    assert_failed(
        &ask("acct-3"),
        1,
        &["acct-3 is not scored", "churned on 2025-03-20"],
    );
    let before = vitalog.stdout_of(&["health", "acct-3", "--as-of", "2025-03-20T12:00:00Z"]);
    assert!(before.contains("Three Ltd"), "{before}");
}

#[test]
fn a_server_is_asked_as_a_directory_is() {
    let place = Place::new();
    let vitalog = reporting_store(&place);
    let local = vitalog.stdout_of(&["health", "--as-of", AS_OF]);
    let page = vitalog.stdout_of(&["health", "acct-2", "--as-of", AS_OF]);
    let mut serving = vitalog.serve();
    let url = serving.url();
    let arguments = ["health", "--as-of", AS_OF, "--url", &url];
    assert_eq!(vitalog.stdout_of(&arguments), local);
    let arguments = ["health", "acct-2", "--as-of", AS_OF, "--url", &url];
    assert_eq!(vitalog.stdout_of(&arguments), page);
}

//! The first thing a newcomer runs.

use std::fs;

use arrow::array::RecordBatch;
use vitalog_tests::{Client, Serving, Vitalog};

use crate::{Place, text, vitalog};

/// Runs `demo` as a newcomer does, in an empty folder, on another port.
fn demo(place: &Place, arguments: &[&str]) -> std::process::Command {
    let mut command = place.vitalog().command(&["demo"]);
    command
        .args(arguments)
        .env_remove("VITALOG_DATA")
        .current_dir(place.path(""));
    command
}

fn run(place: &Place, arguments: &[&str]) -> (String, String) {
    let output = demo(place, arguments).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    (stdout, stderr)
}

fn assert_shows_health(stdout: &str) {
    for words in [
        // The table, by the demonstration's own model.
        "Account health of the 28 days",
        "score",
        "adoption",
        "scored:",
        "model default version 1",
        // One account.
        "Red in spite of a green score",
        "financial: overdue_invoices 1",
        "support: ",
        "The worst account that still uses the product, ",
        "What made the score",
        "product ",
        "financial ",
        "support ",
        "Onboarding: ",
        "What would make its score green",
        // The last act.
        "The account that left last: ",
        "weeks before",
        "stayed flat",
        "Ask it yourself",
    ] {
        assert!(stdout.contains(words), "{words:?} is not in {stdout}");
    }
    for band in ["red", "yellow", "green"] {
        assert!(stdout.contains(band), "no account is {band}: {stdout}");
    }
}

/// Of the account that left last: its name, and the weeks before from which on it is told to fall.
fn last_act(stdout: &str) -> (String, u32) {
    let between = |before: &str, after: &str| {
        let rest = stdout
            .split_once(before)
            .unwrap_or_else(|| panic!("no {before:?}"))
            .1;
        rest.split_once(after)
            .unwrap_or_else(|| panic!("no {after:?}"))
            .0
            .to_owned()
    };
    let name = between("The account that left last: ", ", on ");
    let weeks = between(" turned down ", " weeks before it left");
    (name, weeks.parse().unwrap())
}

/// The account that left was seen by its own trend three weeks before, and what is told can be
/// asked: at each of these weeks the trend was down.
fn assert_last_act(store: &Vitalog, stdout: &str) {
    let (name, weeks) = last_act(stdout);
    assert!(weeks >= 3, "{stdout}");
    let left = store.rows(&format!(
        "SELECT account_id, churned_at FROM accounts WHERE name = '{name}'"
    ));
    let id = left[0]["account_id"].as_str().unwrap();
    let left_at = left[0]["churned_at"].as_str().unwrap();
    let left_us = vitalog_event::parse_timestamp_us(left_at).unwrap();
    for week in [1, i64::from(weeks)] {
        let as_of_us = left_us - week * 7 * vitalog_event::DAY_US;
        let as_of = vitalog_event::format_timestamp_us(as_of_us);
        let rows = store.rows(&format!(
            "SELECT direction FROM health_scores(as_of => '{as_of}') WHERE account_id = '{id}'"
        ));
        assert_eq!(rows, [serde_json::json!({"direction": "down"})], "{week}");
    }
}

/// Starts a first run and kills it as soon as the store is begun; whether that was before the store
/// was whole.
fn is_broken_off(place: &Place) -> bool {
    let mut child = demo(place, &["--once"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let unfinished = place.path("vitalog-demo.unfinished");
    while !unfinished.join("LOCK").exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    // Killed, or done before.
    assert!(matches!(ended.code(), None | Some(0)), "{ended}");
    unfinished.exists()
}

/// Leaves a store half made. A run that was whole before it could be killed is taken away, and the
/// next one is tried.
fn break_off(place: &Place) {
    let whole = place.path("vitalog-demo");
    for _ in 0..20 {
        if is_broken_off(place) {
            assert!(!whole.exists());
            return;
        }
        fs::remove_dir_all(&whole).unwrap();
    }
    panic!("every run was killed too late");
}

/// The account that is explained is the worst of those in use, and it stands in the table.
fn assert_worst(store: &Vitalog, stdout: &str) {
    let line = stdout
        .lines()
        .find_map(|line| line.strip_prefix("The worst account that still uses the product, "));
    let name = line.unwrap();
    let as_of = stdout.split_once("; as of ").unwrap().1;
    let as_of = as_of.lines().next().unwrap();
    let rows = store.rows(&format!(
        "SELECT a.name FROM health_scores(as_of => '{as_of}') h JOIN accounts a USING (account_id) \
         WHERE h.status = 'red' AND h.raw > 0 ORDER BY h.score LIMIT 1"
    ));
    assert_eq!(rows, [serde_json::json!({ "name": name })]);
    let table = stdout.lines().find(|line| line.contains(name));
    assert!(table.is_some_and(|line| line.contains("red")), "{table:?}");
}

/// One store for everything that is asked of it: making one takes longer than all the rest.
#[test]
fn it_is_made_whole_shows_health_and_goes_on_serving_the_store_it_shows() {
    let place = Place::new();
    break_off(&place);
    let (stdout, stderr) = run(&place, &["--once"]);
    assert!(stderr.contains("was not finished"), "{stderr}");
    assert!(!place.path("vitalog-demo.unfinished").exists());
    assert!(stdout.contains("simulated"), "{stdout}");
    assert_shows_health(&stdout);
    let store = vitalog(&place.path("vitalog-demo"));
    let events = store.count_events();
    assert!(events > 10_000, "{events}");
    assert_worst(&store, &stdout);
    assert_last_act(&store, &stdout);

    // Opened again it is the same store.
    let mut serving = Serving::start(demo(
        &place,
        &["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"],
    ));
    let client = Client::connect(serving.address()).unwrap();
    assert!(
        serving.stderr().contains("opening the demonstration"),
        "{}",
        serving.stderr()
    );
    let batches = client.query("SELECT account_id FROM accounts").unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 60);
    serving.signal("TERM");
    let ended = serving.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(store.count_events(), events);
    assert_eq!(store.run(&["verify"]).code, 0);
}

#[test]
fn it_does_not_take_the_place_of_anything_else() {
    let place = Place::new();
    let empty = place.vitalog();
    let mut serving = empty.serve();
    serving.address();
    serving.signal("TERM");
    assert_eq!(serving.wait().code, 0);
    let data = text(&place.path("data"));
    let output = demo(&place, &["--once", "--data", &data]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the store there is empty"), "{stderr}");
    assert_eq!(empty.count_events(), 0);
}

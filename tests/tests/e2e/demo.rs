//! The first thing a newcomer runs.

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
        "Account health",
        "account_id",
        "score",
        "band",
        "days_inactive",
        "status",
        "Ask it yourself",
    ] {
        assert!(stdout.contains(words), "{words:?} is not in {stdout}");
    }
    for words in [
        "What made the score of the worst account",
        "contribution",
        "points",
    ] {
        assert!(stdout.contains(words), "{words:?} is not in {stdout}");
    }
    for band in ["red", "yellow", "green"] {
        assert!(stdout.contains(band), "no account is {band}: {stdout}");
    }
}

#[test]
fn it_shows_health_and_the_worst_account_and_opens_the_same_store_again() {
    let place = Place::new();
    let (stdout, _) = run(&place, &["--once"]);
    assert_shows_health(&stdout);
    assert!(stdout.contains("simulated"), "{stdout}");
    let store = vitalog(&place.path("vitalog-demo"));
    let events = store.count_events();
    assert!(events > 10_000, "{events}");
    assert_worst_first(&store, &stdout);

    let (stdout, stderr) = run(&place, &["--once"]);
    assert_shows_health(&stdout);
    assert!(!stdout.contains("simulated"), "{stdout}");
    assert!(stderr.contains("opened the demonstration"), "{stderr}");
    assert_eq!(store.count_events(), events);
    assert_eq!(store.run(&["verify"]).code, 0);
}

/// The account that is explained is an account of the store, and the first that is shown.
fn assert_worst_first(store: &Vitalog, stdout: &str) {
    let line = stdout
        .lines()
        .find(|line| line.starts_with("What made the score of the worst"));
    let name = line.unwrap().rsplit_once(", ").unwrap().1;
    let rows = store.rows(&format!(
        "SELECT account_id FROM accounts WHERE name = '{name}'"
    ));
    assert_eq!(rows.len(), 1, "{name}");
    let at = |text: &str| {
        stdout
            .find(text)
            .unwrap_or_else(|| panic!("no {text} in {stdout}"))
    };
    let first = rows[0]["account_id"].as_str().unwrap();
    for row in store.rows("SELECT account_id FROM accounts") {
        let id = row["account_id"].as_str().unwrap();
        assert!(
            !stdout.contains(id) || at(first) <= at(id),
            "{id} stands before {first}"
        );
    }
}

#[test]
fn it_goes_on_serving_the_store_it_shows() {
    let place = Place::new();
    let data = text(&place.path("elsewhere"));
    let mut command = demo(&place, &["--data", &data, "--grpc", "127.0.0.1:0"]);
    command.env("NO_COLOR", "1");
    let mut serving = Serving::start(command);
    let client = Client::connect(serving.address()).unwrap();
    let batches = client.query("SELECT account_id FROM accounts").unwrap();
    assert!(batches.iter().map(RecordBatch::num_rows).sum::<usize>() > 3);
    serving.signal("TERM");
    let ended = serving.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(vitalog(&place.path("elsewhere")).run(&["verify"]).code, 0);
}

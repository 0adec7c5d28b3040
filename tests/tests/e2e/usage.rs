//! What a user asked for and cannot have: the exit code tells whether the words were wrong (2) or
//! the deed failed (1), and the message says what to do instead.

use crate::{Place, assert_failed, text};

#[test]
fn wrong_usage_ends_with_2() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let file = place.write_events("good.jsonl", 0..3);
    for (arguments, word) in [
        (vec!["import"], "FILE"),
        (vec!["imprt", &file], "import"),
        (vec!["import", "--maps", "a=b", &file], "--map"),
        (
            vec!["import", "--map", "company=acount_id", &file],
            "did you mean account_id?",
        ),
        (
            vec!["import", "--time-unit", "hours", &file],
            "s, ms, us, ns",
        ),
        (vec!["sql", "--format", "xml", "-c", "SELECT 1"], "jsonl"),
        (
            vec!["sql", "--url", "localhost", "-c", "SELECT 1"],
            "grpc://HOST:PORT",
        ),
        (vec!["serve", "--grpc", "nowhere"], "nowhere"),
        (vec!["serve", "--http", "nowhere"], "nowhere"),
        (vec!["snapshot", "create", "--lease", "1 day"], "24h"),
        (vec!["token", "new", "--name", "bi"], "--scope"),
        (vec!["model", "aply", &file], "apply"),
        (vec!["view", "apply"], "FILE.sql"),
        (vec!["health", "--limit", "few"], "few"),
        (vec![], "Usage"),
    ] {
        assert_failed(&vitalog.run(&arguments), 2, &[word]);
    }
    assert!(!place.path("data").exists(), "wrong usage made a store");
}

#[test]
fn what_cannot_be_done_ends_with_1_and_says_what_to_do() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let model = place.write("model.toml", "name = \"default\"\n");
    for command in [
        vec!["sql", "-c", "SELECT 1"],
        vec!["stats"],
        vec!["verify"],
        vec!["health"],
        vec!["model", "list"],
        vec!["model", "apply", &model],
        vec!["view", "list"],
        vec!["snapshot", "list"],
    ] {
        let outcome = vitalog.run(&command);
        assert_failed(
            &outcome,
            1,
            &["there is no store here", "vitalog import", "--data DIR"],
        );
    }
    assert!(!place.path("data").exists(), "a question made a store");
    let absent = text(&place.path("absent.jsonl"));
    assert_failed(
        &vitalog.run(&["import", &absent]),
        1,
        &["absent.jsonl", "cannot be opened"],
    );
    let url = ["sql", "--url", "grpc://127.0.0.1:1", "-c", "SELECT 1"];
    assert_failed(
        &vitalog.run(&url),
        1,
        &["cannot reach a server", "127.0.0.1:1"],
    );

    let file = place.write_events("good.jsonl", 0..3);
    vitalog.stdout_of(&["import", &file]);
    let mut serving = vitalog.serve();
    let url = serving.url();
    for command in [
        vec!["sql", "-c", "SELECT 1"],
        vec!["import", &file],
        vec!["stats"],
        vec!["verify"],
    ] {
        assert_failed(&vitalog.run(&command), 1, &["in use", "--url grpc://"]);
    }
    // What the message advises works.
    let more = place.write_events("more.jsonl", 0..7);
    let outcome = vitalog.run(&["import", "--url", &url, &more]);
    let facts = ["accepted", "duplicates"].map(|name| outcome.fact(name));
    assert_eq!((outcome.code, facts), (0, [4, 3]), "{outcome:?}");
    let answer = vitalog.stdout_of(&[
        "sql",
        "--url",
        &url,
        "--format",
        "csv",
        "-c",
        "SELECT count(*) AS n FROM events",
    ]);
    assert_eq!(answer, "n\n7\n");
}

#[test]
fn a_store_that_is_served_and_still_empty_is_in_use() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let mut serving = vitalog.serve();
    serving.address();
    let model = place.write("model.toml", "name = \"default\"\n");
    for command in [
        vec!["sql", "-c", "SELECT 1"],
        vec!["stats"],
        vec!["verify"],
        vec!["health"],
        vec!["model", "list"],
        vec!["model", "apply", &model],
        vec!["view", "list"],
        vec!["snapshot", "list"],
    ] {
        assert_failed(&vitalog.run(&command), 1, &["in use", "--url grpc://"]);
    }
}

#[test]
fn settings_that_are_unknown_or_wrong_are_named() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let file = place.write_events("good.jsonl", 0..3);
    let mistyped = vitalog
        .clone()
        .with_setting("VITALOG_STORE__MEMTABLE_EVENTS_MAXX", "2000");
    assert_failed(
        &mistyped.run(&["import", &file]),
        1,
        &["memtable_events_maxx"],
    );
    let config = place.write("vitalog.toml", "[store]\ndurability = \"maybe\"\n");
    let outcome = vitalog.run(&["--config", &config, "import", &file]);
    assert_failed(&outcome, 1, &["vitalog.toml", "maybe"]);
    assert!(!place.path("data").exists(), "wrong settings made a store");
}

//! SQL through the binary: what it may do where, how it says what is wrong, how answers look.

use std::process::Stdio;

use serde_json::{Value, json};
use vitalog_tests::{Outcome, Vitalog};

use crate::{Place, text, vitalog};

/// A store of `events` numbered events.
fn store_of(place: &Place, events: u64) -> Vitalog {
    let file = place.write_events("events.jsonl", 0..events);
    let vitalog = place.vitalog();
    vitalog.stdout_of(&["import", &file]);
    vitalog
}

fn assert_refused(outcome: &Outcome, words: &[&str]) {
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert_eq!(outcome.stdout, "", "{outcome:?}");
    for word in words {
        assert!(
            outcome.stderr.contains(word),
            "{word:?} is not in {outcome:?}"
        );
    }
}

/// Statements that change something or touch a file, and the name by which each is refused.
fn not_for_the_wire(readable: &str, written: &str) -> Vec<(String, &'static str)> {
    vec![
        ("CREATE TABLE t (a INT)".to_owned(), "CREATE TABLE"),
        (
            "CREATE TABLE t AS SELECT * FROM events".to_owned(),
            "CREATE TABLE",
        ),
        (
            "CREATE VIEW v AS SELECT * FROM events".to_owned(),
            "CREATE VIEW",
        ),
        ("CREATE SCHEMA s".to_owned(), "CREATE SCHEMA"),
        ("DROP TABLE events".to_owned(), "DROP TABLE"),
        (
            "ALTER TABLE events ADD COLUMN a INT".to_owned(),
            "ALTER TABLE",
        ),
        ("TRUNCATE TABLE events".to_owned(), "TRUNCATE TABLE"),
        (
            "INSERT INTO events SELECT * FROM events".to_owned(),
            "INSERT INTO",
        ),
        ("UPDATE events SET value = 1".to_owned(), "UPDATE"),
        ("DELETE FROM events".to_owned(), "DELETE FROM"),
        (format!("COPY events TO '{written}'"), "COPY"),
        (
            format!("COPY (SELECT * FROM events) TO '{written}'"),
            "COPY",
        ),
        (format!("EXPLAIN COPY (SELECT 1) TO '{written}'"), "COPY"),
        (
            format!("EXPLAIN ANALYZE COPY (SELECT 1) TO '{written}'"),
            "COPY",
        ),
        (
            format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{readable}'"),
            "CREATE EXTERNAL TABLE",
        ),
        (format!("SELECT * FROM '{readable}'"), "reading the file"),
        (
            format!("SELECT * FROM events WHERE value IN (SELECT one FROM '{readable}')"),
            "reading the file",
        ),
        (
            format!("SELECT * FROM read_parquet('{readable}')"),
            "read_parquet",
        ),
        (
            format!("SELECT * FROM parquet_scan('{readable}')"),
            "parquet_scan",
        ),
        ("SET datafusion.execution.batch_size = 1".to_owned(), "SET"),
        ("RESET datafusion.execution.batch_size".to_owned(), "RESET"),
        ("PREPARE p AS SELECT 1".to_owned(), "PREPARE"),
        ("BEGIN".to_owned(), "BEGIN"),
    ]
}

#[test]
fn over_the_wire_it_only_reads_and_refuses_by_name() {
    let place = Place::new();
    let vitalog = store_of(&place, 200);
    // A file that could be read, and one that could be written, were it allowed.
    let readable = text(&place.path("readable.parquet"));
    vitalog.stdout_of(&[
        "sql",
        "-c",
        &format!("COPY (SELECT 1 AS one) TO '{readable}'"),
    ]);
    let written = text(&place.path("written.parquet"));
    let mut serving = vitalog.serve();
    let url = serving.url();
    let ask = |sql: &str| vitalog.run(&["sql", "--url", &url, "--format", "csv", "-c", sql]);
    for (sql, name) in not_for_the_wire(&readable, &written) {
        let outcome = ask(&sql);
        assert_refused(&outcome, &[name, "refused"]);
        assert!(
            outcome.stderr.contains("over the wire"),
            "{sql}: {outcome:?}"
        );
    }
    assert!(!place.path("written.parquet").exists());
    let outcome = ask("SELECT count(*) AS n FROM events");
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (0, "n\n200\n"),
        "{outcome:?}"
    );
}

#[test]
fn local_files_are_written_and_read_and_an_export_imports_as_nothing_new() {
    let place = Place::new();
    let vitalog = store_of(&place, 500);
    let path = text(&place.path("out.parquet"));
    let copy = format!("COPY (SELECT * FROM events ORDER BY seq) TO '{path}'");
    vitalog.stdout_of(&["sql", "-c", &copy]);
    let both = |columns: &str| {
        let of = |table: &str| vitalog.rows(&format!("SELECT {columns} FROM {table} ORDER BY seq"));
        (of("events"), of(&format!("'{path}'")))
    };
    let columns =
        "seq, event_id, event_time, received_at, event, account_id, user_id, value, properties";
    let (ours, copied) = both(columns);
    assert_eq!(ours.len(), 500);
    assert_eq!(ours, copied);
    let joined = format!("SELECT count(*) AS n FROM events JOIN '{path}' AS file USING (event_id)");
    assert_eq!(vitalog.rows(&joined), [json!({"n": 500})]);

    let outcome = vitalog.run(&["import", &path]);
    let facts = ["accepted", "duplicates", "rejected"].map(|name| outcome.fact(name));
    assert_eq!((outcome.code, facts), (0, [0, 500, 0]), "{outcome:?}");
    let other = vitalog_of_export(&place, &path);
    let sql = "SELECT event_id, event_time, event, account_id, user_id, value, properties
               FROM events ORDER BY event_id";
    assert_eq!(other.rows(sql), vitalog.rows(sql));
    // Even on the owner's machine SQL does not change the store.
    for (sql, name) in [
        ("DELETE FROM events", "DELETE FROM"),
        ("SET a.b = 1", "SET"),
    ] {
        assert_refused(&vitalog.run(&["sql", "-c", sql]), &[name, "refused"]);
    }
}

fn vitalog_of_export(place: &Place, path: &str) -> Vitalog {
    let other = vitalog(&place.path("other"));
    let outcome = other.run(&["import", path]);
    assert_eq!(
        (outcome.code, outcome.fact("accepted")),
        (0, 500),
        "{outcome:?}"
    );
    other
}

#[test]
fn errors_have_a_place_and_suggest_a_near_name() {
    let place = Place::new();
    let vitalog = store_of(&place, 10);
    let cases = [
        ("SELECT count(* FROM events", vec!["line 1, column 16"]),
        ("SELECT 1\nFROM events\nWHERE AND", vec!["line 3, column"]),
        (
            "SELECT\n  acount_id\nFROM events",
            vec!["did you mean account_id?", "line 2, column 3", "^"],
        ),
        (
            "SELECT user FROM evnts",
            vec!["did you mean events?", "line 1, column 18"],
        ),
        (
            "SELECT helth_score(1, 2)",
            vec!["did you mean health_score?", "line 1, column 8"],
        ),
        (
            "SELECT health_score(1, 2) FROM events WHERE evnt = 'a'",
            vec!["did you mean event?", "line 1, column 45"],
        ),
        ("SELEC 1", vec!["line 1, column 1"]),
    ];
    for (sql, words) in &cases {
        assert_refused(&vitalog.run(&["sql", "-c", sql]), words);
    }
    let mut serving = vitalog.serve();
    let url = serving.url();
    for (sql, words) in &cases {
        assert_refused(&vitalog.run(&["sql", "--url", &url, "-c", sql]), words);
    }
}

#[test]
fn every_format_shows_nulls_and_quotes() {
    let place = Place::new();
    let vitalog = store_of(&place, 10);
    let sql = r#"SELECT * FROM (VALUES ('a "b", c', CAST(NULL AS BIGINT), 1.5),
                 (CAST(NULL AS VARCHAR), 9007199254740993, NULL), ('two
lines', -1, 0.1)) AS t (name, number, ratio)"#;
    let answers = |arguments: &[&str]| {
        ["jsonl", "json", "csv", "table"].map(|format| {
            let mut all = vec!["sql", "--format", format, "-c", sql];
            all.extend(arguments);
            vitalog.stdout_of(&all)
        })
    };
    let local = answers(&[]);
    let [jsonl, json, csv, table] = &local;
    let expected = json!([
        {"name": "a \"b\", c", "number": null, "ratio": 1.5},
        {"name": null, "number": 9_007_199_254_740_993_i64, "ratio": null},
        {"name": "two\nlines", "number": -1, "ratio": 0.1},
    ]);
    assert_eq!(serde_json::from_str::<Value>(json).unwrap(), expected);
    let lines: Vec<Value> = jsonl
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(Value::Array(lines), expected);
    let expected =
        "name,number,ratio\n\"a \"\"b\"\", c\",,1.5\n,9007199254740993,\n\"two\nlines\",-1,0.1\n";
    assert_eq!(csv, expected);
    for cell in [
        "name",
        "number",
        "ratio",
        "a \"b\", c",
        "9007199254740993",
        "1.5",
        "NULL",
    ] {
        assert!(table.contains(cell), "{cell:?} is not in\n{table}");
    }
    let mut serving = vitalog.serve();
    let url = serving.url();
    assert_eq!(answers(&["--url", &url]), local);
}

#[test]
fn stored_nulls_and_quotes_come_back_as_they_went_in() {
    let place = Place::new();
    let vitalog = store_of(&place, 300);
    let rows = vitalog.rows("SELECT * FROM events ORDER BY seq");
    assert_eq!(rows.len(), 300);
    for (row, number) in rows.iter().zip(0..) {
        let event = vitalog_tests::Event::numbered(number);
        assert_eq!(row["event_id"].as_str(), Some(event.id.as_str()));
        assert_eq!(
            row["account_id"].as_str(),
            event.account.as_deref(),
            "{row}"
        );
        assert_eq!(row["user_id"].as_str(), event.user.as_deref(), "{row}");
        assert_eq!(row["value"].as_f64(), event.value, "{row}");
        assert_eq!(
            row["properties"].as_str(),
            event.properties.as_deref(),
            "{row}"
        );
        let time = vitalog_event::parse_timestamp_us(row["event_time"].as_str().unwrap());
        assert_eq!(time, Ok(event.time_us), "{row}");
    }
    let nulls = vitalog.rows("SELECT count(*) AS n FROM events WHERE account_id IS NULL");
    let expected = (0..300)
        .filter(|&n| vitalog_tests::Event::numbered(n).account.is_none())
        .count();
    assert_eq!(nulls, [json!({"n": expected})]);
    assert!(expected > 0);
}

#[test]
fn statements_come_from_an_argument_a_file_or_stdin() {
    let place = Place::new();
    let vitalog = store_of(&place, 10);
    let script = "SELECT 1 AS a; -- a comment; with a semicolon\nSELECT ';' AS b;\n";
    let expected = "a\n1\nb\n;\n";
    assert_eq!(
        vitalog.stdout_of(&["sql", "--format", "csv", "-c", script]),
        expected
    );
    let file = place.write("script.sql", script);
    assert_eq!(
        vitalog.stdout_of(&["sql", "--format", "csv", "-f", &file]),
        expected
    );
    let mut command = vitalog.command(&["sql", "--format", "csv"]);
    let stdin = std::fs::File::open(&file).unwrap();
    let output = command.stdin(Stdio::from(stdin)).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    // A script stops at its first error, and says which statement it was.
    let outcome = vitalog.run(&[
        "sql",
        "--format",
        "csv",
        "-c",
        "SELECT 1 AS a;\nSELECT b;\nSELECT 2",
    ]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (1, "a\n1\n"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("statement 2 of 3"), "{outcome:?}");
    assert!(outcome.stderr.contains("line 2, column 8"), "{outcome:?}");
}

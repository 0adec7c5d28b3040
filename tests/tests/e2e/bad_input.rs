//! What is wrong with a file costs its own rows and nothing else: each is named with row, field
//! and reason, the rest goes in, and the store is never worse for it.

use std::fs::{self, File};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use vitalog_tests::Vitalog;

use crate::{Place, assert_failed, text};

/// A rejected row as the file of `--rejects` tells it.
fn rejects(path: &str) -> Vec<(u64, String, String)> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let kept: Value = serde_json::from_str(line).unwrap();
            assert!(!kept["message"].as_str().unwrap().is_empty(), "{line}");
            let word = |name: &str| kept[name].as_str().unwrap().to_owned();
            (kept["row"].as_u64().unwrap(), word("field"), word("code"))
        })
        .collect()
}

fn assert_rejects(path: &str, expected: &[(u64, &str, &str)]) {
    let found = rejects(path);
    let found: Vec<(u64, &str, &str)> = found
        .iter()
        .map(|(row, field, code)| (*row, field.as_str(), code.as_str()))
        .collect();
    assert_eq!(found, expected);
}

/// The store holds `events` events and every byte of it is as it should be.
fn assert_healthy(vitalog: &Vitalog, events: u64) {
    assert_eq!(vitalog.count_events(), events);
    let verified = vitalog.run(&["verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
}

/// Writes columns as a Parquet file with row groups of `group_rows` and returns its path.
fn write_parquet(
    place: &Place,
    name: &str,
    columns: Vec<(&str, ArrayRef)>,
    group_rows: usize,
) -> String {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let path = place.path(name);
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .build();
    let file = File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    text(&path)
}

/// `rows` good events as columns.
fn good_columns(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let numbered = |prefix: &str| {
        let texts = (0..rows).map(|row| format!("{prefix} {row}"));
        Arc::new(StringArray::from_iter_values(texts)) as ArrayRef
    };
    let times = (0..rows as i64).map(|row| 1_740_787_200_000_000 + row * 1_000_000);
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    vec![
        ("event_id", numbered("id")),
        ("event_time", Arc::new(times)),
        ("event", numbered("name")),
        ("account_id", numbered("account")),
    ]
}

#[test]
fn bad_lines_are_kept_with_row_field_and_reason_and_the_rest_goes_in() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let line = |rest: &str| format!(r#"{{"event":"e","account_id":"a",{rest}}}"#);
    let huge = format!(
        r#""event_time":"2025-03-01","properties":{{"a":"{}"}}"#,
        "x".repeat(1 << 20)
    );
    let lines = [
        line(r#""event_id":"1","event_time":"2025-03-01T00:00:00Z""#),
        line(r#""event_id":"2","event_time":NaN"#),
        line(r#""event_id":"3","event_time":"NaN""#),
        line(r#""event_id":"","event_time":"2025-03-01""#),
        line(&huge),
        line(r#""event_time":"2025-03-01","properties":{"a":1,"b":{"c":1,"c":2}}"#),
        line(r#""event_time":"2025-03-01","event_time":"2025-03-02""#),
        line(r#""event_time":"1969-12-31T23:59:59.999999Z""#),
        line(r#""event_time":"9999-01-01""#),
        r#"{"event":"e","event_time":"2025-03-01""#.to_owned(),
        "[1, 2]".to_owned(),
        line(r#""event_time":"2025-03-01","acount_id":"b""#),
        line(r#""event_time":"2025-03-01","value":"much""#),
        line(r#""event_id":"14","event_time":"1970-01-01T00:00:00Z""#),
    ];
    let mut bytes = (lines.join("\n") + "\n").into_bytes();
    bytes.extend_from_slice(b"{\"event\":\"\xff\xfe\",\"event_time\":\"2025-03-01\"}\n");
    bytes.extend_from_slice(line(r#""event_id":"16","event_time":"2025-03-02""#).as_bytes());
    let file = place.write("events.jsonl", bytes);
    let kept = text(&place.path("rejects.jsonl"));
    let outcome = vitalog.run(&["import", "--rejects", &kept, &file]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let facts = ["rows read", "accepted", "duplicates", "rejected"].map(|name| outcome.fact(name));
    assert_eq!(facts, [16, 3, 0, 13], "{outcome:?}");
    assert_rejects(
        &kept,
        &[
            (2, "", "malformed"),
            (3, "event_time", "not_a_number"),
            (4, "event_id", "empty"),
            (5, "properties", "too_long"),
            (6, "properties", "invalid_properties"),
            (7, "event_time", "malformed"),
            (8, "event_time", "before_1970"),
            (9, "event_time", "in_future"),
            (10, "", "malformed"),
            (11, "", "malformed"),
            (12, "acount_id", "wrong_type"),
            (13, "value", "wrong_type"),
            (15, "", "invalid_utf8"),
        ],
    );
    // The same on the screen, for whoever kept nothing.
    assert_failed(
        &outcome,
        0,
        &["row 8, field event_time", "before 1970", "events.jsonl"],
    );
    assert_healthy(&vitalog, 3);

    let again = vitalog.run(&["import", &file]);
    let facts = ["accepted", "duplicates", "rejected"].map(|name| again.fact(name));
    assert_eq!((again.code, facts), (0, [0, 3, 13]), "{again:?}");
    assert!(again.stderr.contains("more rejected rows"), "{again:?}");
    assert_healthy(&vitalog, 3);
}

#[test]
fn bad_cells_of_csv_and_parquet_are_kept_and_the_rest_goes_in() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let csv = "event_id,event_time,event,account_id,value\n\
               1,2025-03-01,e,a,1.5\n\
               2,NaN,e,a,\n\
               3,1969-01-01,e,a,\n\
               ,9999-01-01,e,a,\n\
               5,2025-03-01,e,a,NaN\n\
               6,2025-03-01,e,a\n\
               7,2025-03-01,\"e \"\"q\"\"\",a,2\n";
    let file = place.write("events.csv", csv);
    let kept = text(&place.path("rejects.jsonl"));
    let outcome = vitalog.run(&["import", "--rejects", &kept, &file]);
    assert_eq!(
        (outcome.code, outcome.fact("accepted")),
        (0, 2),
        "{outcome:?}"
    );
    let found = rejects(&kept);
    let rows: Vec<(u64, &str)> = found
        .iter()
        .map(|(row, _, code)| (*row, code.as_str()))
        .collect();
    assert_eq!(
        rows[..2],
        [(3, "not_a_number"), (4, "before_1970")],
        "{found:?}"
    );
    assert_eq!(
        rows[2..4],
        [(5, "in_future"), (6, "not_a_number")],
        "{found:?}"
    );
    assert_eq!((rows.len(), rows[4].0), (5, 7), "{found:?}");
    assert_healthy(&vitalog, 2);

    let texts = |texts: [Option<&str>; 4]| Arc::new(StringArray::from_iter(texts)) as ArrayRef;
    let times = Float64Array::from(vec![1.7e9, f64::NAN, -1.0, 1.7e9]);
    let columns = vec![
        (
            "event_id",
            texts([Some("8"), Some("9"), Some("10"), Some("")]),
        ),
        ("event_time", Arc::new(times) as ArrayRef),
        ("event", texts([Some("e"); 4])),
    ];
    let file = write_parquet(&place, "events.parquet", columns, 10);
    let outcome = vitalog.run(&["import", "--time-unit", "s", "--rejects", &kept, &file]);
    assert_eq!(
        (outcome.code, outcome.fact("accepted")),
        (0, 1),
        "{outcome:?}"
    );
    assert_rejects(
        &kept,
        &[
            (2, "event_time", "not_a_number"),
            (3, "event_time", "before_1970"),
            (4, "event_id", "empty"),
        ],
    );
    assert_healthy(&vitalog, 3);
}

#[test]
fn an_unknown_column_is_named_with_a_near_one_and_nothing_is_taken() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let good = place.write_events("good.jsonl", 0..5);
    vitalog.stdout_of(&["import", &good]);
    let csv = "event_id,event_time,event,acount_id\n1,2025-03-01,e,a\n";
    let file = place.write("events.csv", csv);
    let outcome = vitalog.run(&["import", &file]);
    let words = [
        "events.csv",
        "\"acount_id\"",
        "did you mean account_id?",
        "--map",
        "--ignore-unknown",
    ];
    assert_failed(&outcome, 1, &words);
    assert_healthy(&vitalog, 5);

    let mut columns = good_columns(3);
    columns[3].0 = "usr_id";
    let file = write_parquet(&place, "events.parquet", columns, 10);
    let outcome = vitalog.run(&["import", &file]);
    assert_failed(
        &outcome,
        1,
        &["events.parquet", "\"usr_id\"", "did you mean user_id?"],
    );
    assert_healthy(&vitalog, 5);

    // What the message advises works.
    let outcome = vitalog.run(&["import", "--map", "usr_id=user_id", &file]);
    assert_eq!(
        (outcome.code, outcome.fact("accepted")),
        (0, 3),
        "{outcome:?}"
    );
    let rows = vitalog.rows("SELECT user_id FROM events WHERE event_id = 'id 2'");
    assert_eq!(rows[0]["user_id"], "account 2");
}

#[test]
fn a_cut_parquet_is_named_and_costs_nothing_that_went_before() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let whole = write_parquet(&place, "whole.parquet", good_columns(3_000), 1_000);
    let bytes = fs::read(&whole).unwrap();
    let good = place.write_events("good.jsonl", 0..100);
    for keep in [0, 7, bytes.len() / 2, bytes.len() - 1] {
        let cut = place.write("cut.parquet", &bytes[..keep]);
        let outcome = vitalog.run(&["import", &good, &cut]);
        assert_failed(&outcome, 1, &["cut.parquet", "cut off"]);
        assert_healthy(&vitalog, 100);
    }
    let outcome = vitalog.run(&["import", &whole]);
    assert_eq!(
        (outcome.code, outcome.fact("accepted")),
        (0, 3_000),
        "{outcome:?}"
    );
    assert_healthy(&vitalog, 3_100);
}

#[test]
fn a_damaged_parquet_is_named_and_the_rows_before_stay() {
    const ROWS: u64 = 80_000;
    let place = Place::new();
    let vitalog = place.vitalog();
    let whole = write_parquet(&place, "whole.parquet", good_columns(ROWS as usize), 70_000);
    let mut damaged = fs::read(&whole).unwrap();
    // The second row group begins with nonsense where its first page header was.
    let from = {
        let reader = SerializedFileReader::new(File::open(&whole).unwrap()).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        reader.metadata().row_group(1).column(0).byte_range().0 as usize
    };
    damaged[from..from + 64].fill(0xff);
    let damaged = place.write("damaged.parquet", damaged);
    let outcome = vitalog.run(&["import", &damaged]);
    let taken = outcome.fact("accepted");
    // Rows are decoded in batches; the one that meets the damage is lost with it.
    assert!(taken > 0 && taken <= 70_000, "{outcome:?}");
    let words = format!("damaged after row {taken}");
    assert_failed(
        &outcome,
        1,
        &["damaged.parquet", &words, "the rows before were read"],
    );
    assert_healthy(&vitalog, taken);
    // The whole file adds the rest.
    let outcome = vitalog.run(&["import", &whole]);
    let facts = ["accepted", "duplicates", "rejected"].map(|name| outcome.fact(name));
    assert_eq!(
        (outcome.code, facts),
        (0, [ROWS - taken, taken, 0]),
        "{outcome:?}"
    );
    assert_healthy(&vitalog, ROWS);
}

#[test]
fn the_same_id_with_other_content_is_a_named_conflict() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let line = |id: u32, value: f64| {
        format!(r#"{{"event_id":"{id}","event_time":"2025-03-01","event":"e","value":{value}}}"#)
    };
    let first = place.write("first.jsonl", [line(1, 1.0), line(2, 2.0)].join("\n"));
    assert_eq!(vitalog.run(&["import", &first]).code, 0);
    let second = place.write(
        "second.jsonl",
        [line(3, 3.0), line(2, 2.5), line(1, 1.0)].join("\n"),
    );
    let kept = text(&place.path("rejects.jsonl"));
    let outcome = vitalog.run(&["import", "--rejects", &kept, &second]);
    let facts = ["accepted", "duplicates", "rejected"].map(|name| outcome.fact(name));
    assert_eq!((outcome.code, facts), (0, [1, 1, 1]), "{outcome:?}");
    assert_rejects(&kept, &[(2, "event_id", "conflict")]);
    let rows = vitalog.rows("SELECT value FROM events WHERE event_id = '2'");
    assert_eq!((rows.len(), rows[0]["value"].as_f64()), (1, Some(2.0)));
    assert_healthy(&vitalog, 3);
}

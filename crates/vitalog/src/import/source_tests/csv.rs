//! CSV: headers, cells, bad records.

use vitalog_event::{EventBatch, TimeUnit};

use super::super::ImportOptions;
use super::{Files, mapped, read};

#[test]
fn csv_cells_become_fields() {
    let files = Files::new();
    let text = "\u{feff}event,event_time,account_id,user_id,value,properties,event_id\r\n\
        login,2025-03-01T10:00:00Z,acme,ann,,,1\r\n\
        \r\n\
        paid,2025-03-01 11:00,,bob,12.5,\"{\"\"a\"\": 1}\",2\r\n\
        note,2025-03-01,acme,\"carl\r\nson\",,,3";
    let found = read(&files.write("events.csv", text), &ImportOptions::default());
    assert!(
        found.failure.is_none() && found.rejected.is_empty(),
        "{found:?}"
    );
    assert_eq!(found.row_numbers, [2, 4, 5]);
    assert_eq!(found.texts(EventBatch::account_ids)[1], None);
    assert_eq!(
        found.texts(EventBatch::user_ids)[2].as_deref(),
        Some("carl\r\nson")
    );
    assert_eq!(
        found.texts(EventBatch::properties)[1].as_deref(),
        Some("{\"a\":1}")
    );
    assert_eq!(found.events[0].values().value(1), 12.5);
    assert_eq!(found.without_account, 1);
    let text = "wer;event;wann\nann;login;1740823200\n";
    let options = ImportOptions {
        time_unit: Some(TimeUnit::Second),
        ..mapped(&["wer=user_id", "wann=event_time"])
    };
    assert_eq!(
        read(&files.write("events.csv", text), &options).accepted(),
        1
    );
}

#[test]
fn bad_rows_of_csv_are_left_out_one_by_one() {
    let files = Files::new();
    let mut bytes = b"event_id,event,event_time,value,properties\n".to_vec();
    let long = format!("8,e,2025-03-01,,\"{}\"", "x".repeat(2 << 20));
    for line in [
        "1,e,1969-12-31,,",
        "2,e,9999-01-01,,",
        "3,e,NaN,,",
        "4,e,1740823200,,",
        "5,e,2025-03-01,zwölf,",
        "6,e,2025-03-01,NaN,",
        "7,e,2025-03-01,,\"{\"\"a\"\":1,\"\"a\"\":1}\"",
        &long,
        "9,e,2025-03-01",
        "10,,2025-03-01,,",
        "11,e,2025-03-01,,[1]",
        "12,e,,,",
        "13,$set,2025-03-01,,",
        "good,e,2025-03-01,1,{}",
    ] {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(b"15,e\xff,2025-03-01,,\ngood as well,e,2025-03-01,,");
    let found = read(
        &files.write("events.csv", &bytes),
        &ImportOptions::default(),
    );
    assert!(found.failure.is_none(), "{:?}", found.failure);
    assert_eq!(
        found.rejections(),
        [
            (2, "event_time", "before_1970"),
            (3, "event_time", "in_future"),
            (4, "event_time", "not_a_number"),
            (5, "event_time", "wrong_type"),
            (6, "value", "wrong_type"),
            (7, "value", "not_a_number"),
            (8, "properties", "invalid_properties"),
            (9, "", "too_long"),
            (10, "", "malformed"),
            (11, "event", "missing"),
            (12, "properties", "invalid_properties"),
            (13, "event_time", "missing"),
            (14, "event", "reserved_name"),
            (16, "event", "invalid_utf8"),
        ]
    );
    assert_eq!(found.row_numbers, [15, 17]);
    assert_eq!(found.rejected[0].text, "1,e,1969-12-31,,");
    assert!(found.rejected[7].text.len() <= 1 << 10);
}

#[test]
fn headers_must_be_understood() {
    let files = Files::new();
    let check = |text: &str, reason: &str| {
        let failure = read(&files.write("events.csv", text), &ImportOptions::default()).failure();
        assert!(failure.contains(reason), "{failure}");
    };
    check("", "no header: the file is empty");
    check(
        "event,event_time,colour\n",
        "unknown column \"colour\": use --map",
    );
    check("event,event_time,userid\n", "did you mean user_id?");
    let options = ImportOptions {
        ignore_unknown: true,
        ..ImportOptions::default()
    };
    let path = files.write("events.csv", "event,event_time,colour\ne,2025-03-01,red\n");
    assert_eq!(read(&path, &options).accepted(), 1);
    let failure = read(&path, &mapped(&["color=value"])).failure();
    assert!(
        failure.contains("no column \"color\" to map (did you mean \"colour\"?)"),
        "{failure}"
    );
}

#[test]
fn a_reading_of_the_same_file_gives_the_same_ids() {
    let files = Files::new();
    let text = "event,event_time\na,2025-03-01\na,2025-03-01\nb,2025-03-01\n";
    let path = files.write("events.csv", text);
    let ids = || read(&path, &ImportOptions::default()).texts(EventBatch::event_ids);
    assert_eq!(ids(), ids());
    let different: std::collections::HashSet<_> = ids().into_iter().collect();
    assert_eq!(different.len(), 3);
}

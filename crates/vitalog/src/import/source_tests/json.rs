//! JSON Lines: bad lines, payloads of Segment and the accounts they get.

use vitalog_event::EventBatch;

use super::super::{ImportOptions, Memberships};
use super::{Files, read, read_with};

#[test]
fn bad_lines_of_json_are_left_out_one_by_one() {
    let files = Files::new();
    let mut bytes = "\u{feff}".as_bytes().to_vec();
    let huge = format!(
        r#"{{"event":"e","event_time":"2025-03-01","properties":{{"a":"{}"}}}}"#,
        "x".repeat(1 << 20)
    );
    let longer = format!(r#"{{"event":"{}"}}"#, "x".repeat(2 << 20));
    for line in [
        r#"{"event":"e","event_time":"2025-03-01"}"#,
        r#"{"event":"e","event_time":NaN}"#,
        r#"{"event":"e","event_time":"1969-12-31T23:59:59Z"}"#,
        r#"{"event":"e","event_time":"9999-01-01"}"#,
        "",
        r#"{"event":"e","event_time":"2025-03-01","event_id":""}"#,
        &huge,
        r#"{"event":"e","event":"f","event_time":"2025-03-01"}"#,
        r#"{"event":"e","event_time":"2025-03-01","properties":{"a":1,"a":1}}"#,
        r#"{"event":"e","event_time":"2025-03-01","usr_id":"u"}"#,
        "[]",
        "nonsense",
        &longer,
        r#"{"event":"e","event_time":null}"#,
        r#"{"event":"e","event_time":"2025-03-01","value":1e999}"#,
        "{\"event\":\"e\",\"event_time\":\"2025-03-01\"}\r",
    ] {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(b"{\"event\":\"\xff\",\"event_time\":\"2025-03-01\"}\n");
    bytes.extend_from_slice(br#"{"event":"e","event_time":"2025-03-01"}"#);
    let found = read(
        &files.write("events.jsonl", &bytes),
        &ImportOptions::default(),
    );
    assert!(found.failure.is_none(), "{:?}", found.failure);
    assert_eq!(
        found.rejections(),
        [
            (2, "", "malformed"),
            (3, "event_time", "before_1970"),
            (4, "event_time", "in_future"),
            (6, "event_id", "empty"),
            (7, "properties", "too_long"),
            (8, "event", "malformed"),
            (9, "properties", "invalid_properties"),
            (10, "usr_id", "wrong_type"),
            (11, "", "malformed"),
            (12, "", "malformed"),
            (13, "", "too_long"),
            (14, "event_time", "missing"),
            (15, "value", "not_a_number"),
            (17, "", "invalid_utf8"),
        ]
    );
    assert_eq!(found.row_numbers, [1, 16, 18]);
    let ids = found.texts(EventBatch::event_ids);
    let occurrences: Vec<_> = ids.iter().flatten().map(|id| &id[33..]).collect();
    assert_eq!(occurrences, ["0", "1", "2"]);
    let message = &found.rejected[7].message;
    assert!(message.contains("did you mean user_id?"), "{message}");
}

#[test]
fn segment_payloads_get_their_accounts() {
    let files = Files::new();
    let track = |user: &str, time: &str, context: &str| {
        format!(
            r#"{{"type":"track","event":"e","userId":"{user}","timestamp":"{time}","context":{{{context}}}}}"#
        )
    };
    let lines = [
        track("ann", "2025-02-01T00:00:00Z", ""),
        r#"{"type":"group","groupId":"acme","userId":"ann","timestamp":"2025-02-02T00:00:00Z","traits":{"name":"Acme"}}"#.to_owned(),
        track("ann", "2025-02-01T00:00:00Z", ""),
        track("ann", "2025-02-03T00:00:00Z", ""),
        track("ann", "2025-02-03T00:00:01Z", r#""groupId":"globex""#),
        track("bob", "2025-02-03T00:00:00Z", ""),
        r#"{"type":"identify","userId":"ann","timestamp":"2025-02-04T00:00:00Z","traits":{}}"#.to_owned(),
        r#"{"type":"alias","userId":"ann","previousId":"x"}"#.to_owned(),
    ];
    let path = files.write("segment.json", lines.join("\n"));
    let mut memberships = Memberships::new();
    let found = read_with(&path, &ImportOptions::default(), &mut memberships);
    let accounts = found.texts(EventBatch::account_ids);
    let accounts: Vec<_> = accounts.iter().map(Option::as_deref).collect();
    assert_eq!(
        accounts,
        [
            None,
            Some("acme"),
            None,
            Some("acme"),
            Some("globex"),
            None,
            None
        ],
        "the last is an identify"
    );
    assert_eq!(found.without_account, 3);
    assert_eq!(found.rejections(), [(8, "type", "wrong_type")]);
    // A second file of the same import knows who was where.
    let path = files.write("more.jsonl", track("ann", "2025-02-05T00:00:00Z", ""));
    let found = read_with(&path, &ImportOptions::default(), &mut memberships);
    assert_eq!(
        found.texts(EventBatch::account_ids),
        [Some("acme".to_owned())]
    );
    // Said to be none is not the same as not said.
    let own = r#"{"event":"e","user_id":"ann","event_time":"2025-02-05","account_id":null}"#;
    let found = read_with(
        &files.write("own.jsonl", own),
        &ImportOptions::default(),
        &mut memberships,
    );
    assert_eq!(found.texts(EventBatch::account_ids), [None]);
}

#[test]
fn many_rejected_rows_do_not_pile_up() {
    let files = Files::new();
    let line = format!("{{\"colour\":\"{}\"}}\n", "x".repeat(100_000));
    let path = files.write("bad.jsonl", line.repeat(200));
    let found = read(&path, &ImportOptions::default());
    assert_eq!((found.rejected.len(), found.accepted()), (200, 0));
    assert!(
        found.events.len() > 1,
        "twenty million bytes of text in one batch"
    );
}

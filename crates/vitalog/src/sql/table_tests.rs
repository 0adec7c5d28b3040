//! Golden tables.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};

use super::*;

fn shown(batches: &[RecordBatch], screen: Screen) -> (String, Vec<String>) {
    let mut out = Vec::new();
    let mut writer = Box::new(TableWriter::new(&batches[0].schema(), screen, &mut out));
    for batch in batches {
        writer.write(batch).expect("a vector takes it");
    }
    let notes = writer.finish().expect("a vector takes it");
    (String::from_utf8(out).expect("text"), notes)
}

fn texts(name: &str, values: &[Option<&str>]) -> RecordBatch {
    let array: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    RecordBatch::try_from_iter_with_nullable([(name, array, true)]).expect("one column")
}

fn accounts() -> RecordBatch {
    let times = vec![
        Some(1_740_832_200_000_000),
        Some(1_740_832_200_250_000),
        None,
    ];
    let columns: [(&str, ArrayRef, bool); 4] = [
        (
            "account_id",
            Arc::new(StringArray::from(vec![Some("acme"), None, Some("東京")])),
            true,
        ),
        ("n", Arc::new(Int64Array::from(vec![12, 3, -1])), true),
        (
            "last",
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
            true,
        ),
        (
            "score",
            Arc::new(Float64Array::from(vec![Some(0.5), None, Some(100.0)])),
            true,
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

#[test]
fn columns_align_and_numbers_stand_right() {
    let (text, notes) = shown(&[accounts()], Screen::default());
    let expected = "\x20account_id |  n | last                     | score
------------+----+--------------------------+-------
 acme       | 12 | 2025-03-01T12:30:00Z     |   0.5
 NULL       |  3 | 2025-03-01T12:30:00.250Z |  NULL
 東京       | -1 | NULL                     | 100.0
";
    assert_eq!(text, expected);
    assert!(notes.is_empty());
}

#[test]
fn an_answer_without_rows_shows_its_columns() {
    let (text, _) = shown(&[accounts().slice(0, 0)], Screen::default());
    assert_eq!(
        text,
        " account_id | n | last | score\n------------+---+------+-------\n"
    );
}

#[test]
fn null_is_dimmed_only_on_a_screen_with_colours() {
    let batch = texts("a", &[None, Some("NULL")]);
    let screen = Screen {
        width: Some(80),
        is_coloured: true,
    };
    assert_eq!(
        shown(&[batch], screen).0,
        " a\n------\n \x1b[2mNULL\x1b[0m\n NULL\n"
    );
}

#[test]
fn null_without_a_type_is_shown() {
    let nulls: ArrayRef = Arc::new(arrow::array::NullArray::new(1));
    let batch = RecordBatch::try_from_iter([("a", nulls)]).expect("one column");
    assert_eq!(shown(&[batch], Screen::default()).0, " a\n------\n NULL\n");
}

#[test]
fn one_long_value_does_not_widen_every_line() {
    let long = "x".repeat(100_000);
    let values = StringArray::from(vec!["a", long.as_str(), "b"]);
    let numbers = Int64Array::from(vec![1, 2, 3]);
    let columns: [(&str, ArrayRef); 2] = [("v", Arc::new(values)), ("n", Arc::new(numbers))];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let (text, _) = shown(std::slice::from_ref(&batch), Screen::default());
    assert!(text.contains(&format!(" {long} | 2\n")));
    assert!(text.len() < long.len() + 5 * 500, "{}", text.len());
    let screen = Screen {
        width: Some(1_000),
        is_coloured: false,
    };
    let (text, notes) = shown(&[batch], screen);
    assert!(text.lines().all(|line| line.chars().count() <= 1_000) && notes.len() == 1);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let batch = texts(
        "a\nb",
        &[
            Some("\u{1b}[2J\tred\u{7}"),
            Some("two\nlines\n"),
            Some("x\r\u{9b}"),
        ],
    );
    let (text, _) = shown(&[batch], Screen::default());
    let expected =
        " a\\nb\n---------------------\n \\u{1b}[2J\\tred\\u{7}\n two\n lines\n x\\r\\u{9b}\n";
    assert_eq!(text, expected);
}

#[test]
fn text_is_cut_to_the_terminal_and_numbers_are_not() {
    let long = "x".repeat(50);
    let columns: [(&str, ArrayRef); 3] = [
        ("text", Arc::new(StringArray::from(vec![long.as_str()]))),
        (
            "number",
            Arc::new(Int64Array::from(vec![1_234_567_890_123_456_789])),
        ),
        ("short", Arc::new(StringArray::from(vec!["abc"]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let screen = Screen {
        width: Some(50),
        is_coloured: false,
    };
    let (text, notes) = shown(std::slice::from_ref(&batch), screen);
    let row = text.lines().nth(2).expect("a row");
    assert_eq!(row, " xxxxxxxxxxxxxxxxx… | 1234567890123456789 | abc");
    assert!(
        text.lines().all(|line| line.chars().count() <= 50),
        "{text}"
    );
    assert_eq!(notes.len(), 1);
    let (whole, notes) = shown(&[batch], Screen::default());
    assert!(whole.contains(&long) && notes.is_empty());
}

#[test]
fn wide_characters_are_cut_to_their_width() {
    assert_eq!(cut("東京大阪", 8), "東京大阪");
    assert_eq!(cut("東京大阪", 7), "東京大…");
    assert_eq!(cut("東京大阪", 6), "東京…");
}

#[test]
fn a_plan_keeps_its_lines_whole() {
    let plan = format!("Filter: {}\n  TableScan: events", "x".repeat(100));
    let columns: [(&str, ArrayRef); 2] = [
        (
            "plan_type",
            Arc::new(StringArray::from(vec!["logical_plan"])),
        ),
        ("plan", Arc::new(StringArray::from(vec![plan.as_str()]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let (text, _) = shown(
        &[batch],
        Screen {
            width: Some(40),
            is_coloured: false,
        },
    );
    assert!(
        text.contains(&format!("| Filter: {}\n", "x".repeat(100))),
        "{text}"
    );
    assert!(
        text.ends_with("              |   TableScan: events\n"),
        "{text}"
    );
}

#[test]
fn a_long_answer_is_bounded_and_says_so() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..6_000));
    let batch = RecordBatch::try_from_iter([("n", numbers)]).expect("one column");
    let (text, notes) = shown(&[batch.clone(), batch.clone(), batch], Screen::default());
    assert_eq!(text.lines().count(), 2 + ROWS_MAX);
    assert_eq!(text.lines().last().map(str::trim), Some("3999"));
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("8000 more"), "{notes:?}");
}

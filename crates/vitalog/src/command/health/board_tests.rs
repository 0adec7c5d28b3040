//! The order of the score table, its sums, and what it says of the model.

use super::*;

fn standing(id: &str, score: Option<f64>, status: Option<&str>) -> Standing {
    Standing {
        model: "default".to_owned(),
        version: 3,
        as_of_us: 1_740_787_200_000_000,
        account_id: Some(id.to_owned()),
        score,
        band: status.map(str::to_owned),
        status: status.map(str::to_owned),
        peg: Some(208.2),
        peg_n: Some(4),
        members: Some(5),
        active_members: Some(4),
        ..Standing::default()
    }
}

fn board() -> Board {
    let mut rich = standing("rich", Some(100.0), Some("red"));
    (rich.mrr, rich.risk) = (Some(900.0), Some(12.6));
    let mut poor = standing("poor", Some(9.19), Some("red"));
    (poor.mrr, poor.days_inactive) = (Some(20.0), Some(11));
    let standings = vec![
        standing("fine", Some(90.0), Some("green")),
        rich,
        standing("new", None, None),
        poor,
    ];
    let schema = arrow::datatypes::Schema::empty();
    Board {
        rows: Rows::new(RecordBatch::new_empty(schema.into())),
        order: (0..standings.len()).collect(),
        standings,
    }
}

fn ids(board: &Board) -> Vec<String> {
    board.standings().map(Standing::id).collect()
}

#[test]
fn the_worst_stands_first_and_nulls_last() {
    let sorted = |column| ids(&board().sorted(column, None));
    assert_eq!(sorted(SortColumn::Status), ["poor", "rich", "fine", "new"]);
    assert_eq!(sorted(SortColumn::Score), ["poor", "fine", "rich", "new"]);
    assert_eq!(sorted(SortColumn::Mrr), ["rich", "poor", "fine", "new"]);
    assert_eq!(
        sorted(SortColumn::Inactive),
        ["poor", "fine", "rich", "new"]
    );
    assert_eq!(sorted(SortColumn::Account), ["fine", "new", "poor", "rich"]);
}

#[test]
fn the_table_is_plain_where_the_screen_is_and_sums_up() {
    let mut out = Vec::new();
    let board = board().sorted(SortColumn::Status, Some(2));
    board.write(&mut out, Screen::default()).expect("a vector");
    let text = String::from_utf8(out).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("account  name"), "{text}");
    assert!(
        lines[1].starts_with("poor") && lines[1].contains(" 9.2 "),
        "{text}"
    );
    assert!(
        lines[1].contains("11 d") && lines[1].contains("4/5"),
        "{text}"
    );
    assert_eq!(
        lines[3..],
        [
            "",
            "… and 2 more",
            "4 scored: 2 red, 1 green, 1 without a status",
            "model default version 3; peg 208.2 of 4 with a raw score above 0; as of \
             2025-03-01T00:00:00Z",
        ],
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn the_built_in_model_says_that_it_is_the_default() {
    let mut built_in = standing("a", Some(1.0), None);
    (built_in.version, built_in.peg) = (0, None);
    let text = described_model(&built_in);
    assert!(text.contains("built-in default"), "{text}");
    assert!(text.contains("no peg"), "{text}");
}

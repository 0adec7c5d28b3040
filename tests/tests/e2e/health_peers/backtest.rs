//! The back-test of `docs/examples/backtest-oulad.md`, run as it stands on the page: its commands,
//! its model, its view and its statements. Its tables are what they answer, and the areas are those
//! that pandas and plain Python compute (`peers/backtest.py`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use vitalog_tests::Vitalog;

use super::comparison::assert_same_rows;
use super::students::students;
use super::{ask_peer, engine_of, imported, oulad, with_peer};
use crate::{Place, text};

const PAGE: &str = "../docs/examples/backtest-oulad.md";
/// The view of the page: a student of a presentation on a day.
const VIEW: &str = "enrolled";
/// After the start of a presentation, as on the page.
const DAYS: [u32; 4] = [30, 60, 90, 120];
/// As in the model of the page.
const PERIOD_DAYS: u32 = 28;

#[test]
fn the_page_says_what_is_answered() {
    let name = "backtest::the_page_says_what_is_answered";
    with_peer(name, oulad, |place, python, events| {
        let page = Page::read();
        let vitalog = prepare(place, events, &page);
        for (sql, table) in &page.tables {
            assert_table(sql, table, &vitalog.rows(sql));
        }
        compare_areas(place, python, events, &vitalog);
    });
}

#[test]
fn areas_of_generated_students_equal_those_of_pandas() {
    let name = "backtest::areas_of_generated_students_equal_those_of_pandas";
    with_peer(name, students, |place, python, events| {
        let vitalog = prepare(place, events, &Page::read());
        compare_areas(place, python, events, &vitalog);
    });
}

/// Areas by presentation and day, and by day alone, to the last digits.
fn compare_areas(place: &Place, python: &Path, events: &Path, vitalog: &Vitalog) {
    let question = json!({
        "events": events, "labels": labels_of(events), "days": DAYS, "period_days": PERIOD_DAYS,
    });
    let theirs = ask_peer(place, python, "backtest.py", &question);
    let (each, all) = (areas("presentation"), areas("NULL"));
    let rows = vitalog.rows(&format!("{each} UNION ALL {all}"));
    assert_same_rows("areas", &rows, &theirs, &["presentation", "day"]);
}

/// The labels stand beside the events.
fn labels_of(events: &Path) -> PathBuf {
    events.with_file_name("labels.csv")
}

/// The areas of each presentation, or of all together, not rounded.
fn areas(presentation: &str) -> String {
    format!(
        "SELECT CAST({presentation} AS VARCHAR) AS presentation, day, count(*) AS students,
                count(*) FILTER (WHERE withdraws) AS withdraw,
                roc_auc(days_inactive, withdraws) AS days_inactive,
                roc_auc(-active_days, withdraws) AS active_days,
                roc_auc(-score, withdraws) AS score
         FROM {VIEW} GROUP BY 1, day"
    )
}

/// Imports the events and the labels as the page does, and applies its model and view.
fn prepare(place: &Place, events: &Path, page: &Page) -> Vitalog {
    let vitalog = imported(place, events);
    let folder = place.path("enrolments");
    fs::create_dir(&folder).unwrap();
    fs::copy(labels_of(events), folder.join("labels.csv")).unwrap();
    let status = Command::new("sh")
        .args(["-c", &page.enrolments])
        .current_dir(&folder)
        .status()
        .unwrap();
    assert!(status.success(), "{}", page.enrolments);
    let outcome = vitalog.run(&["import", &text(&folder.join("enrolments.csv"))]);
    assert_eq!(
        (outcome.code, outcome.fact("rejected")),
        (0, 0),
        "{outcome:?}"
    );
    let (engine, runtime) = engine_of(&vitalog);
    runtime
        .block_on(engine.apply_model(&page.model, false))
        .unwrap();
    runtime
        .block_on(engine.apply_view(VIEW, &page.view))
        .unwrap();
    vitalog
}

/// What the page holds, in its order.
struct Page {
    /// The command that makes events of labels.
    enrolments: String,
    model: String,
    view: String,
    /// A statement and the table below it: names, then rows.
    tables: Vec<(String, Vec<Vec<String>>)>,
}

impl Page {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
        let page = fs::read_to_string(path).unwrap();
        let mut statements = blocks(&page, "sql").into_iter();
        let (view, _) = statements.next().expect("the view");
        let tables = statements.map(|(sql, after)| (sql, table_of(after)));
        let first = |language| {
            let block = blocks(&page, language).into_iter().next();
            block.expect("a block of this language").0
        };
        Self {
            enrolments: first("sh"),
            model: first("toml"),
            view,
            tables: tables.collect(),
        }
    }
}

/// The fenced blocks of a language, each with what follows it.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<(String, &'a str)> {
    let fence = format!("```{language}\n");
    let parts = page.match_indices(&fence);
    parts
        .map(|(at, fence)| {
            let block = &page[at + fence.len()..];
            let (block, after) = block.split_once("\n```\n").expect("the end of a block");
            (block.to_owned(), after)
        })
        .collect()
}

/// The cells of the table that `text` begins with, without the line below the names.
fn table_of(text: &str) -> Vec<Vec<String>> {
    let lines = text.trim_start().lines();
    let lines = lines.take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let is_row = |(number, _): &(usize, &str)| *number != 1;
    lines
        .enumerate()
        .filter(is_row)
        .map(|(_, line)| cells(line))
        .collect()
}

/// The rows are those of the table, in its order.
fn assert_table(sql: &str, table: &[Vec<String>], rows: &[Value]) {
    let (names, cells) = table.split_first().expect("a table below a statement");
    let shown: Vec<Vec<String>> = rows
        .iter()
        .map(|row| names.iter().map(|name| shown(&row[name])).collect())
        .collect();
    assert!(!rows.is_empty() && cells == shown, "{sql}\n{shown:#?}");
    let columns = rows[0].as_object().map(serde_json::Map::len);
    assert_eq!(columns, Some(names.len()), "{sql}");
}

/// A cell as the page writes it: areas to three digits.
fn shown(cell: &Value) -> String {
    match cell {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => format!("{:.3}", number.as_f64().unwrap()),
        other => other.to_string(),
    }
}

//! The prompt through its line handler.

use super::*;
use crate::sql::testing;

/// What each entry wrote, and to where.
fn say(repl: &mut Repl<'_>, text: &str) -> (Flow, String, String) {
    let (mut out, mut log) = (Vec::new(), Vec::new());
    let flow = repl.handle(text, &mut out, &mut log).expect("vectors");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (flow, text(out), text(log))
}

fn prompt(fixture: &testing::Fixture) -> Repl<'_> {
    Repl::new(&fixture.executor, OutputFormat::Table, Screen::default())
}

#[test]
fn enter_runs_what_is_complete() {
    for text in [
        "SELECT 1;",
        "SELECT\n1\n;",
        ".tables",
        "\\d",
        "quit",
        "",
        "-- note\n",
        "SELECT 1; SELECT 2;",
    ] {
        assert!(is_complete(text), "{text:?}");
    }
    for text in [
        "SELECT 1",
        "SELECT ';",
        "SELECT 1; SELECT",
        "SELECT 1 /* ;",
        "SELECT $$;",
    ] {
        assert!(!is_complete(text), "{text:?}");
    }
}

#[test]
fn answers_go_out_and_counts_to_the_log() {
    let fixture = testing::local();
    let mut repl = prompt(&fixture);
    say(&mut repl, ".timer off");
    let (flow, out, log) = say(&mut repl, "SELECT 1 AS a; SELECT 'x' AS b;");
    assert_eq!(flow, Flow::Continue);
    assert_eq!(out, " a\n---\n 1\n b\n---\n x\n");
    assert_eq!(log, "(1 row)\n(1 row)\n");
    say(&mut repl, ".timer on");
    let (_, _, log) = say(&mut repl, "SELECT 1;");
    assert!(
        log.starts_with("(1 row, ") && log.ends_with("s)\n"),
        "{log}"
    );
}

#[test]
fn errors_are_shown_and_the_prompt_goes_on() {
    let fixture = testing::local();
    let mut repl = prompt(&fixture);
    let (flow, out, log) = say(&mut repl, "SELECT evnt FROM events; SELECT 1;");
    assert_eq!((flow, out.as_str()), (Flow::Continue, ""));
    assert!(
        log.starts_with("error: ") && log.contains("line 1, column 8"),
        "{log}"
    );
    let (_, _, log) = say(&mut repl, ".nonsense");
    assert!(log.starts_with("error: .nonsense is unknown"), "{log}");
    let (_, _, log) = say(&mut repl, ".schema nonsense");
    assert!(log.contains("no table \"nonsense\""), "{log}");
    assert!(say(&mut repl, "SELECT 1;").1.contains('1'));
}

#[test]
fn the_mode_holds_until_it_changes() {
    let fixture = testing::local();
    let mut repl = prompt(&fixture);
    say(&mut repl, ".mode jsonl");
    assert_eq!(say(&mut repl, "SELECT 1 AS a;").1, "{\"a\":1}\n");
    say(&mut repl, ".mode csv");
    assert_eq!(say(&mut repl, "SELECT 1 AS a;").1, "a\n1\n");
}

#[test]
fn tables_columns_and_functions_are_listed() {
    for fixture in [testing::local(), testing::remote()] {
        let mut repl = prompt(&fixture);
        let (_, tables, _) = say(&mut repl, ".tables");
        for table in ["accounts", "events", "users"] {
            assert!(
                tables
                    .lines()
                    .any(|line| line.starts_with(&format!(" {table} "))),
                "{tables}"
            );
        }
        let (_, columns, _) = say(&mut repl, "\\d events");
        assert!(
            columns.contains(" event_time ") && !columns.contains(" removed_at "),
            "{columns}"
        );
        let (_, all, _) = say(&mut repl, ".schema");
        assert!(
            all.contains(" event_time ") && all.contains(" removed_at "),
            "{all}"
        );
        let (_, functions, _) = say(&mut repl, ".functions date_*");
        assert!(functions.contains(" date_trunc "), "{functions}");
        let (_, one, _) = say(&mut repl, ".functions date_trunc");
        assert!(
            one.starts_with("date_trunc(") && one.contains("SELECT date_trunc"),
            "{one}"
        );
    }
}

#[test]
fn quitting_leaves() {
    let fixture = testing::local();
    let mut repl = prompt(&fixture);
    for text in [".quit", "\\q", "exit", "quit;"] {
        assert_eq!(say(&mut repl, text).0, Flow::Leave, "{text}");
    }
    let (flow, out, _) = say(&mut repl, ".help");
    assert_eq!((flow, out.as_str()), (Flow::Continue, HELP));
}

#[test]
fn a_cancelled_statement_keeps_the_prompt() {
    use futures::FutureExt;
    let fixture = testing::local_with(Box::new(|| std::future::ready(()).boxed()));
    let mut repl = prompt(&fixture);
    let (flow, out, log) = say(&mut repl, "SELECT 1; SELECT 2;");
    assert_eq!(
        (flow, out.as_str(), log.as_str()),
        (Flow::Continue, "", "cancelled\n")
    );
}

//! What the explanation of one account looks like: every part, on a plain screen and on a terminal.

use super::parts::{Signal, short};
use super::*;

fn account() -> Account {
    let contribution = |event: &str, (count, counted), weight, points, to_green| Contribution {
        event: event.to_owned(),
        count,
        counted,
        weight,
        points,
        to_green,
    };
    let signal = |name: &str, value, previous, band: &str| Signal {
        name: name.to_owned(),
        value: Some(value),
        previous: Some(previous),
        band: Some(band.to_owned()),
        severity: None,
        is_info: false,
    };
    let step = |event: &str, first_time_us| Step {
        kind: StepKind::Step,
        event: event.to_owned(),
        first_time_us,
    };
    Account {
        standing: Standing {
            model: "default".to_owned(),
            version: 1,
            account_id: Some("acme".to_owned()),
            name: Some("Acme\u{7}".to_owned()),
            plan: Some("pro".to_owned()),
            mrr: Some(490.0),
            raw: Some(40.0),
            peg: Some(208.2),
            peg_n: Some(12),
            score: Some(40.3),
            band: Some("yellow".to_owned()),
            status: Some("red".to_owned()),
            direction: Some("down".to_owned()),
            trend: Some(-12.0),
            members: Some(50),
            active_members: Some(40),
            active_user_pct: Some(80.0),
            ..Standing::default()
        },
        metrics: Metrics {
            tenure_days: Some(224),
            days_to_renewal: Some(-1),
            segments: Some("big".to_owned()),
            ..Metrics::default()
        },
        contributions: vec![
            contribution("report", (12, 10), 5.0, 49.1, Some(31)),
            contribution("ticket", (5, 5), -2.0, -9.8, None),
            contribution("invite", (0, 0), 10.0, 0.0, Some(16)),
        ],
        explanation: Rows::new(RecordBatch::new_empty(
            arrow::datatypes::Schema::empty().into(),
        )),
        dimensions: vec![Dimension {
            name: "financial".to_owned(),
            band: Some("red".to_owned()),
            signals: vec![
                signal("overdue_invoices", 1.0, 0.0, "red"),
                signal("cards", 0.25, 0.25, "green"),
            ],
        }],
        steps: vec![
            step("workspace", Some(1_740_787_200_000_000)),
            step("invite", None),
        ],
    }
}

fn written(account: &Account, screen: Screen) -> String {
    let mut out = Vec::new();
    account.write(&mut out, screen).expect("a vector takes it");
    String::from_utf8(out).expect("text")
}

#[test]
fn every_part_is_told() {
    let text = written(&account(), Screen::default());
    for line in [
        "Acme\\u{7} (acme), pro, mrr 490",
        "score 40.3 yellow · status red · own trend ▼ -12.0 · segments big",
        "  active users        40 of 50, 80 %",
        "  tenure              224 days",
        "  renewal             1 day overdue",
        "What made the score: 39.3 points above 1, from a raw score of 40.0",
        "  financial red",
        "    overdue_invoices     1  red (0 a period ago)",
        "    cards             0.25  green",
        "Onboarding: 1 of 2 steps done",
        "  [x] workspace  2025-03-01",
        "  [ ] invite",
        "  16 more invite",
        "  31 more report",
        "Its status is red by: overdue_invoices 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line:?} is not in\n{text}"
        );
    }
    assert!(
        text.contains("+49.1  10 of 12 × 5") && text.contains("-9.8  5 × -2"),
        "{text}"
    );
    assert!(!text.contains(['\u{1b}', '█']), "{text}");
    let invite = text.find("16 more invite");
    assert!(
        invite < text.find("31 more report"),
        "the shortest way is first: {text}"
    );
}

#[test]
fn a_terminal_has_colours_and_blocks() {
    let screen = Screen {
        width: Some(90),
        is_coloured: true,
    };
    let text = written(&account(), screen);
    assert!(
        text.contains("\u{1b}[31mred\u{1b}[0m") && text.contains('█'),
        "{text}"
    );
}

#[test]
fn without_a_score_there_is_nothing_to_explain() {
    let mut account = account();
    (account.standing.score, account.standing.raw) = (None, None);
    let text = written(&account, Screen::default());
    assert!(text.contains("no score to explain"), "{text}");
}

#[test]
fn numbers_are_as_short_as_they_can_be() {
    for (number, text) in [
        (3.0, "3"),
        (0.25, "0.25"),
        (12.5, "12.5"),
        (100.0, "100"),
        (0.0, "0"),
    ] {
        assert_eq!(short(number), text);
    }
}

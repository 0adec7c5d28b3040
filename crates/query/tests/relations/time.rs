//! Instants, local days and periods: what is in, what is out, to the microsecond.

use crate::support::{Layout, answer};
use crate::world::{World, number};

fn scores(model: &str, as_of: &str, columns: &str) -> String {
    format!("SELECT {columns} FROM health_scores(model => '{model}', as_of => {as_of}) ORDER BY 1")
}

const NOON: &str = "TIMESTAMP '2025-03-10T12:00:00Z'";

/// The instant is exclusive, today is cut at it, and the period begins at a local midnight.
#[tokio::test]
async fn an_instant_at_noon() {
    let mut world = World::default();
    for (time, account) in [
        ("2025-03-10T12:00:00Z", "at"),
        ("2025-03-10T11:59:59.999999Z", "before"),
        ("2025-03-04T00:00:00Z", "first"),
        ("2025-03-03T23:59:59.999999Z", "out"),
    ] {
        world.event(time, "login", account, "ann");
    }
    let columns = "account_id, raw, active_days, usage_frequency, days_inactive, as_of";
    let as_of = "2025-03-10T12:00:00Z";
    world
        .check(
            &["name = \"m\"\nperiod_days = 7"],
            &[
                (
                    &scores("m", NOON, columns),
                    &[
                        &["before", "1.0", "1", "0.14285714285714285", "0", as_of],
                        &["first", "1.0", "1", "0.14285714285714285", "6", as_of],
                        &["out", "0.0", "0", "0.0", "7", as_of],
                    ],
                ),
                (
                    // The previous period is the question at noon a week ago.
                    "SELECT account_id, value, previous FROM account_signals(model => 'm',
                     as_of => TIMESTAMP '2025-03-10T12:00:00Z')
                     WHERE signal = 'usage_frequency' ORDER BY 1",
                    &[
                        &["before", "0.14285714285714285", "NULL"],
                        &["first", "0.14285714285714285", "NULL"],
                        &["out", "0.0", "NULL"],
                    ],
                ),
            ],
        )
        .await;
}

/// A DATE, as such or as text, is the end of that local day.
#[tokio::test]
async fn a_date_is_the_end_of_its_local_day() {
    let mut world = World::default();
    world.event("2025-03-10T22:59:59.999999Z", "login", "acme", "ann");
    world.event("2025-03-10T23:00:00Z", "login", "acme", "ann");
    world.event("2025-03-11T00:00:00Z", "login", "acme", "ann");
    let models = [
        "name = \"m\"\ntime_zone = \"Europe/Berlin\"",
        "name = \"u\"",
    ];
    let berlin = ["1.0", "2025-03-10T23:00:00Z"];
    let utc = ["2.0", "2025-03-11T00:00:00Z"];
    let mut cases: Vec<(String, [&str; 2])> = Vec::new();
    for as_of in [
        "DATE '2025-03-10'",
        "'2025-03-10'",
        "arrow_cast(DATE '2025-03-10', 'Date64')",
        "to_date('2025-03-10')",
    ] {
        cases.push((scores("m", as_of, "raw, as_of"), berlin));
        cases.push((scores("u", as_of, "raw, as_of"), utc));
    }
    for as_of in [
        "TIMESTAMP '2025-03-10T23:00:00Z'",
        "'2025-03-10T23:00:00Z'",
        "'2025-03-11T00:00:00+01:00'",
        "arrow_cast('2025-03-10T23:00:00', 'Timestamp(Second, None)')",
        "TIMESTAMP '2025-03-10T22:00:00Z' + INTERVAL '1 hour'",
    ] {
        cases.push((scores("m", as_of, "raw, as_of"), berlin));
    }
    let engine = world.engine(Layout::Mixed, &models);
    for (sql, expected) in &cases {
        assert_eq!(answer(&engine, sql).await, [expected], "{sql}");
    }
}

/// Clocks went forward on 30 March 2025: that day has 23 hours and is one day.
#[tokio::test]
async fn a_period_across_a_change_of_clocks() {
    let mut world = World::default();
    for (time, account) in [
        ("2025-03-28T22:59:59.999999Z", "before"),
        ("2025-03-28T23:00:00Z", "first"),
        ("2025-03-30T21:59:59.999999Z", "sunday"),
        ("2025-03-30T22:00:00Z", "monday"),
        ("2025-03-31T21:59:59.999999Z", "last"),
        ("2025-03-31T22:00:00Z", "after"),
    ] {
        world.event(time, "login", account, "ann");
    }
    // Once each local day, across the change: three days, not two and not four.
    for time in [
        "2025-03-29T22:30:00Z",
        "2025-03-30T00:30:00Z",
        "2025-03-31T00:30:00Z",
    ] {
        world.event(time, "login", "daily", "ann");
    }
    let model = "
name = \"m\"
period_days = 3
time_zone = \"Europe/Berlin\"
weight = [{ event = \"login\", weight = 1, daily_cap = 1 }]";
    world
        .check(
            &[model],
            &[(
                &scores(
                    "m",
                    "DATE '2025-03-31'",
                    "account_id, raw, active_days, days_inactive",
                ),
                &[
                    &["before", "0.0", "0", "3"],
                    &["daily", "3.0", "3", "0"],
                    &["first", "1.0", "1", "2"],
                    &["last", "1.0", "1", "0"],
                    &["monday", "1.0", "1", "0"],
                    &["sunday", "1.0", "1", "1"],
                ],
            )],
        )
        .await;
}

/// One who churns later today is still a row at noon, green today, and counted yesterday.
#[tokio::test]
async fn churn_that_is_still_to_come() {
    let mut world = World::default();
    for day in 1..=10 {
        world.event(
            &format!("2025-03-{day:02}T01:00:00Z"),
            "login",
            "stays",
            "ann",
        );
        world.events(
            5,
            &format!("2025-03-{day:02}T02:00:00Z"),
            "login",
            "leaves",
            "bob",
        );
    }
    world.group(
        "2025-03-09",
        "leaves",
        "",
        r#"{"churned_at":"2025-03-10T18:00:00Z"}"#,
    );
    world.group(
        "2025-03-09",
        "stays",
        "",
        r#"{"churned_at":"2026-03-10T18:00:00Z"}"#,
    );
    let columns = "account_id, raw, peg_n, band, healthy_days";
    let model = "name = \"m\"\nhealthy_days_max = 5\nperiod_days = 3";
    world
        .check(
            &[model],
            &[
                (
                    &scores("m", NOON, columns),
                    &[
                        &["leaves", "15.0", "2", "green", "5"],
                        &["stays", "3.0", "2", "yellow", "0"],
                    ],
                ),
                // Alone it is the best, and has been so for this one day.
                (
                    &scores("m", "DATE '2025-03-10'", columns),
                    &[&["stays", "3.0", "1", "green", "1"]],
                ),
            ],
        )
        .await;
}

/// The grid of a history, and that its rows are those of single questions.
#[tokio::test]
async fn histories() {
    let mut world = World::default();
    for day in 1..=31 {
        for account in ["acme", "globex"].iter().take(1 + day % 2) {
            world.events(
                day as i64 % 5,
                &format!("2025-03-{day:02}"),
                "login",
                account,
                "ann",
            );
        }
    }
    let engine = world.engine(
        Layout::Mixed,
        &["name = \"m\"\ntime_zone = \"Europe/Berlin\""],
    );
    let instants = |arguments: &str| {
        format!("SELECT DISTINCT as_of FROM health_history(model => 'm', {arguments}) ORDER BY 1")
    };
    for (arguments, expected) in [
        (
            "every => 'day', since => DATE '2025-03-28', until => DATE '2025-03-30'",
            vec![
                "2025-03-28T23:00:00Z",
                "2025-03-29T23:00:00Z",
                "2025-03-30T22:00:00Z",
            ],
        ),
        (
            "since => DATE '2025-03-20', until => DATE '2025-03-31'",
            vec!["2025-03-20T23:00:00Z", "2025-03-27T23:00:00Z"],
        ),
        (
            "every => 'month', since => DATE '2025-03-05', until => DATE '2025-05-05'",
            vec![
                "2025-03-05T23:00:00Z",
                "2025-04-05T22:00:00Z",
                "2025-05-05T22:00:00Z",
            ],
        ),
        (
            "every => INTERVAL '36 hours', since => '2025-03-29T00:00:00Z', until => '2025-03-31T12:00:00Z'",
            vec!["2025-03-29T00:00:00Z", "2025-03-30T12:00:00Z"],
        ),
    ] {
        let found = answer(&engine, &instants(arguments)).await;
        assert_eq!(found.concat(), expected, "{arguments}");
    }
    let default = answer(&engine, &instants("until => DATE '2025-03-31'")).await;
    assert_eq!(
        default[0],
        ["2025-03-03T23:00:00Z"],
        "earlier ones have no rows"
    );
    assert_eq!(default.len(), 5);
    // Day by day the same, in every column.
    let history = "SELECT * FROM health_history(model => 'm', every => 'day',
         since => DATE '2025-03-28', until => DATE '2025-03-30') ORDER BY as_of, account_id";
    let mut single = Vec::new();
    for day in ["28", "29", "30"] {
        let sql = scores("m", &format!("DATE '2025-03-{day}'"), "account_id AS id, *");
        let rows = answer(&engine, &sql).await;
        single.extend(rows.into_iter().map(|row| row[1..].to_vec()));
    }
    assert_eq!(answer(&engine, history).await, single);
    assert_eq!(single.len(), 6);
}

/// A day is green as the question at its end would have said, and today as at the instant.
#[tokio::test]
async fn healthy_days_are_those_of_a_daily_question() {
    let world = crate::world::random(7, 160);
    for (at, model) in [
        "name = \"m\"\nperiod_days = 3\nhealthy_days_max = 6",
        "name = \"m\"\nperiod_days = 2\nhealthy_days_max = 6\ntime_zone = \"America/New_York\"\n
         min_population = 3\npeg_floor = 9\n
         thresholds = { score = { red = \"< 30\", green = \">= 50\" } }\n
         weight = [{ event = \"event 0\", weight = 3, daily_cap = 2 }, { event = \"event 1\", weight = -1 }, { event = \"*\", weight = 1 }]",
        "name = \"m\"\nperiod_days = 2\nhealthy_days_max = 5\nmethod = \"rank\"\n
         thresholds = { score = { red = \"< 30\", green = \">= 50\" } }",
        "name = \"m\"\nperiod_days = 2\nhealthy_days_max = 5\nmethod = \"winsor\"\nmin_population = 4\n
         weight = [{ event = \"event 2\", weight = 0.01, times_value = true }, { event = \"*\", weight = 1, daily_cap = 1 }]\n
         thresholds = { score = { red = \"< 30\", green = \">= 60\" } }",
    ]
    .iter()
    .enumerate()
    {
        let max = if at < 2 { 6 } else { 5 };
        let engine = world.engine(Layout::Mixed, &[model]);
        let mut runs = 0;
        for entity in ["account", "user", "member"] {
            let noon = "TIMESTAMP '2025-03-08T12:00:00Z'";
            let sql = format!(
                "SELECT concat(account_id, '/', user_id), healthy_days, band
                 FROM health_scores(model => 'm', as_of => {noon}, entity => '{entity}') ORDER BY 1"
            );
            let today = answer(&engine, &sql).await;
            let before = format!(
                "SELECT concat(account_id, '/', user_id), as_of, band FROM health_history(
                 model => 'm', entity => '{entity}', every => 'day', since => DATE '2025-02-28',
                 until => DATE '2025-03-07') ORDER BY as_of DESC"
            );
            let before = answer(&engine, &before).await;
            for row in &today {
                let earlier = before.iter().filter(|other| other[0] == row[0]);
                let bands = std::iter::once(&row[2]).chain(earlier.map(|other| &other[2]));
                let run = bands.take_while(|band| *band == "green").count().min(max);
                assert_eq!(row[1], run.to_string(), "{row:?} {model}");
                runs += run;
            }
        }
        assert!(runs > 0, "somebody is green: {model}");
    }
}

/// `trend` is the difference of two questions; `previous` is the earlier one's value.
#[tokio::test]
async fn trends_and_previous_values_are_those_of_two_questions() {
    let world = crate::world::random(11, 160);
    let model = "
name = \"m\"
period_days = 3
time_zone = \"Europe/Berlin\"
features = [\"event 0\", \"event 1\"]
steps = [\"event 2\", \"event 3\"]
key_event = \"event 1\"
[[dimension]]
name = \"d\"
signal = [
  { metric = \"raw\", info = true },
  { metric = \"score\" },
  { metric = \"trend\" },
  { metric = \"healthy_days\", info = true },
  { metric = \"active_members\", info = true },
  { metric = \"time_to_first\", info = true },
  { metric = \"activation_rate\" },
  { metric = \"churn_risk\", info = true },
  { name = \"counted\", count = \"event 0\", where = \"value > 20\", info = true },
  { name = \"days\", active_days = \"event 0\", info = true },
  { name = \"total\", sum = \"*\", info = true },
  { name = \"mean\", avg = \"event 1\", info = true },
  { name = \"latest\", last = \"event 2\", info = true },
  { name = \"unsolved\", open = { opened = \"event 0\", closed = \"event 3\" }, info = true },
  { name = \"visits\", sessions = \"count\", info = true },
  { name = \"minutes\", sessions = \"total_minutes\", info = true },
  { name = \"mixed\", sql = \"unsolved / nullif(visits, 0) + coalesce(score, 0)\", info = true },
]";
    let engine = world.engine(Layout::Mixed, &[model]);
    let (now, then) = ("'2025-03-07T15:00:00Z'", "'2025-03-04T15:00:00Z'");
    let trends = format!(
        "SELECT n.account_id, n.trend, n.score - t.score FROM health_scores(model => 'm', as_of => {now}) n
         LEFT JOIN health_scores(model => 'm', as_of => {then}) t ON n.account_id = t.account_id"
    );
    let found = answer(&engine, &trends).await;
    assert!(
        found.iter().any(|row| number(&row[1]).abs() > 1.0),
        "{found:?}"
    );
    for row in found {
        assert_eq!(row[1], row[2], "{row:?}");
    }
    for entity in ["account", "user", "member"] {
        let previous = format!(
            "SELECT n.signal, n.previous, t.value, n.change, n.value - t.value
             FROM account_signals(model => 'm', as_of => {now}, entity => '{entity}') n
             LEFT JOIN account_signals(model => 'm', as_of => {then}, entity => '{entity}') t
             ON n.signal = t.signal AND coalesce(n.account_id, '') = coalesce(t.account_id, '')
             AND coalesce(n.user_id, '') = coalesce(t.user_id, '')"
        );
        let found = answer(&engine, &previous).await;
        let known = found.iter().filter(|row| row[1] != "NULL").count();
        assert!(known > found.len() / 2, "{known} of {}", found.len());
        for row in found {
            assert_eq!((&row[1], &row[3]), (&row[2], &row[4]), "{row:?}");
        }
    }
}

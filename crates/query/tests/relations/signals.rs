//! The signals of a model, one by one, and what follows from them.

use crate::world::World;

const MODEL: &str = "
name = \"m\"
period_days = 10
session_gap_minutes = 20
[[dimension]]
name = \"all\"
signal = [
  { name = \"counted\", count = [\"a\", \"b\"], where = \"value >= 2\", info = true },
  { name = \"days\", active_days = \"a\", info = true },
  { name = \"total\", sum = \"a\", info = true },
  { name = \"mean\", avg = \"*\", info = true },
  { name = \"latest\", last = [\"a\", \"b\"], info = true },
  { name = \"latest_small\", last = \"a\", where = \"value < 3\", info = true },
  { name = \"unsolved\", open = { opened = [\"o\", \"p\"], closed = \"c\" }, info = true },
  { name = \"visits\", sessions = \"count\", info = true },
  { name = \"minutes\", sessions = \"total_minutes\", info = true },
  { name = \"minutes_each\", sessions = \"mean_minutes\", info = true },
  { name = \"nps\", trait = \"nps\", info = true },
  { name = \"is_vip\", trait = \"vip\", info = true },
  { name = \"since_contact\", trait = \"last contact\", info = true },
  { name = \"word\", trait = \"word\", info = true },
  { name = \"mixed\", sql = \"unsolved / nullif(visits, 0) -- by visit\", info = true },
  { name = \"is_busy\", sql = \"visits >= 2 AND total > 1\", info = true },
  { name = \"text_in_quotes\", sql = \"CASE WHEN name = 'Acme (the ''best'')' THEN 1.5 END\", info = true },
]";

#[tokio::test]
async fn every_source() {
    let mut world = World::default();
    world.valued("2025-03-25T09:00:00Z", "a", "acme", "ann", 1.5);
    world.valued("2025-03-25T09:20:00Z", "a", "acme", "ann", 2.0);
    // A gap is exceeded strictly: the one above is of the same session, this one is not.
    world.valued("2025-03-25T09:40:00.000001Z", "b", "acme", "ann", 7.0);
    world.valued("2025-03-27T09:00:00Z", "a", "acme", "bob", 4.0);
    world.event("2025-03-28T09:00:00Z", "a", "acme", "bob");
    // The last value of all history, and openings of all history.
    world.valued("2025-01-02", "a", "globex", "", 9.0);
    for (event, count) in [("o", 3), ("p", 1), ("c", 2)] {
        world.events(count, "2025-01-05T00:00:00Z", event, "acme", "");
    }
    world.events(3, "2025-01-06T00:00:00Z", "c", "globex", "");
    world.group(
        "2025-03-01",
        "acme",
        "",
        r#"{"nps":"8.5","vip":true,"last contact":"2025-03-21T23:00:00Z","word":"soon","name":"Acme (the 'best')"}"#,
    );
    let sql = "SELECT signal, value, previous, change, band, severity, is_info
         FROM account_signals(model => 'm', as_of => DATE '2025-03-31') WHERE account_id = ";
    let info = |signal: &'static str,
                value: &'static str,
                previous: &'static str,
                change: &'static str| {
        [signal, value, previous, change, "NULL", "NULL", "true"]
    };
    world
        .check(
            &[MODEL],
            &[
                (
                    &format!("{sql} 'acme' ORDER BY 1"),
                    &[
                        &info("counted", "3.0", "0.0", "3.0"),
                        &info("days", "3.0", "0.0", "3.0"),
                        &info("is_busy", "1.0", "0.0", "1.0"),
                        &info("is_vip", "1.0", "1.0", "0.0"),
                        // The value of the latest that has one.
                        &info("latest", "4.0", "NULL", "NULL"),
                        &info("latest_small", "2.0", "NULL", "NULL"),
                        &info("mean", "3.625", "NULL", "NULL"),
                        &info("minutes", "20.0", "0.0", "20.0"),
                        &info("minutes_each", "5.0", "NULL", "NULL"),
                        &info("mixed", "0.5", "NULL", "NULL"),
                        &info("nps", "8.5", "8.5", "0.0"),
                        &info("since_contact", "10.0", "0.0", "10.0"),
                        &info("text_in_quotes", "1.5", "1.5", "0.0"),
                        &info("total", "7.5", "NULL", "NULL"),
                        &info("unsolved", "2.0", "2.0", "0.0"),
                        &info("visits", "4.0", "0.0", "4.0"),
                        &info("word", "NULL", "NULL", "NULL"),
                    ],
                ),
                (
                    &format!("{sql} 'globex' AND value IS NOT NULL ORDER BY 1"),
                    &[
                        &info("counted", "0.0", "0.0", "0.0"),
                        &info("days", "0.0", "0.0", "0.0"),
                        &info("is_busy", "0.0", "0.0", "0.0"),
                        &info("latest", "9.0", "9.0", "0.0"),
                        &info("minutes", "0.0", "0.0", "0.0"),
                        &info("unsolved", "0.0", "0.0", "0.0"),
                        &info("visits", "0.0", "0.0", "0.0"),
                    ],
                ),
            ],
        )
        .await;
}

/// Events of all history that come after the instant do not exist for signals either.
#[tokio::test]
async fn signals_of_all_history_end_at_the_instant() {
    let mut world = World::default();
    world.valued("2025-03-01", "a", "acme", "", 1.0);
    world.valued("2025-03-10T00:00:00Z", "a", "acme", "", 2.0);
    world.event("2025-03-10T00:00:00Z", "o", "acme", "");
    let sql = "SELECT value FROM account_signals(model => 'm',
         as_of => TIMESTAMP '2025-03-10T00:00:00Z') WHERE signal IN ('latest', 'unsolved') ORDER BY signal";
    world.check(&[MODEL], &[(sql, &[&["1.0"], &["0.0"]])]).await;
}

/// Of equal times the later arrival is the latest.
#[tokio::test]
async fn the_latest_of_equal_times() {
    let mut world = World::default();
    for value in [5.0, 3.0, 4.0] {
        world.valued("2025-03-05", "a", "acme", "", value);
    }
    let sql = "SELECT value FROM account_signals(model => 'm', as_of => DATE '2025-03-10')
         WHERE signal = 'latest'";
    world.check(&[MODEL], &[(sql, &[&["4.0"]])]).await;
}

/// What thresholds are held against: the value, its change, or that in percent of before.
#[tokio::test]
async fn bands_of_changes() {
    let mut world = World::default();
    for (account, before, now) in [
        ("doubled", 10, 20),
        ("same", 10, 10),
        ("new", 0, 7),
        ("by 29", 100, 129),
    ] {
        world.events(before, "2025-02-15T00:00:00Z", "t", account, "");
        world.events(now, "2025-03-15T00:00:00Z", "t", account, "");
        world.event("2025-01-01", "login", account, "");
    }
    let model = "
name = \"m\"
[[dimension]]
name = \"d\"
signal = [
  { name = \"a_value\", count = \"t\", red = \"> 15\", green = \"<= 7\" },
  { name = \"b_change\", count = \"t\", band_of = \"change\", red = \">= 10\", green = \"<= 0\" },
  { name = \"c_percent\", count = \"t\", band_of = \"change_percent\", red = \"> 29\", green = \"<= 0\" },
  { name = \"d_active\", metric = \"usage_frequency\", band_of = \"change\", red = \"< 0\", green = \">= 0\" },
]";
    let sql = "SELECT account_id, signal, value, previous, change, band, severity, dimension_band
         FROM account_signals(model => 'm', as_of => DATE '2025-03-31')
         WHERE signal <> 'd_active' ORDER BY 1, 2";
    world
        .check(
            &[model],
            &[(
                sql,
                &[
                    &[
                        "by 29", "a_value", "129.0", "100.0", "29.0", "red", "1.0", "red",
                    ],
                    &[
                        "by 29", "b_change", "129.0", "100.0", "29.0", "red", "1.0", "red",
                    ],
                    &[
                        "by 29",
                        "c_percent",
                        "129.0",
                        "100.0",
                        "29.0",
                        "yellow",
                        "1.0",
                        "red",
                    ],
                    &[
                        "doubled", "a_value", "20.0", "10.0", "10.0", "red", "1.0", "red",
                    ],
                    &[
                        "doubled", "b_change", "20.0", "10.0", "10.0", "red", "1.0", "red",
                    ],
                    &[
                        "doubled",
                        "c_percent",
                        "20.0",
                        "10.0",
                        "10.0",
                        "red",
                        "1.0",
                        "red",
                    ],
                    &[
                        "new", "a_value", "7.0", "0.0", "7.0", "green", "0.0", "yellow",
                    ],
                    &[
                        "new", "b_change", "7.0", "0.0", "7.0", "yellow", "0.7", "yellow",
                    ],
                    &[
                        "new",
                        "c_percent",
                        "7.0",
                        "0.0",
                        "7.0",
                        "NULL",
                        "NULL",
                        "yellow",
                    ],
                    &[
                        "same", "a_value", "10.0", "10.0", "0.0", "yellow", "0.375", "yellow",
                    ],
                    &[
                        "same", "b_change", "10.0", "10.0", "0.0", "green", "0.0", "yellow",
                    ],
                    &[
                        "same",
                        "c_percent",
                        "10.0",
                        "10.0",
                        "0.0",
                        "green",
                        "0.0",
                        "yellow",
                    ],
                ],
            )],
        )
        .await;
}

/// The first stage that holds, every segment that holds, and NULL holds nowhere.
#[tokio::test]
async fn stages_and_segments() {
    let mut world = World::default();
    world.event("2025-03-31", "login", "young", "ann");
    world.event("2024-03-01", "login", "old", "ann");
    world.group(
        "2025-01-01",
        "old",
        "",
        r#"{"renewal_at":"2025-04-10","mrr":2000}"#,
    );
    world.group(
        "2025-01-01",
        "quiet",
        "",
        r#"{"renewal_at":"2025-03-30","plan":"pro"}"#,
    );
    let model = r#"
name = "m"
[[dimension]]
name = "d"
signal = [{ name = "logins", count = "login", info = true }]
[[stage]]
name = "onboarding"
when = "tenure_days < 30"
[[stage]]
name = "it's renewal"
when = "days_to_renewal BETWEEN 0 AND 60"
[[stage]]
name = "at risk"
when = "churn_risk >= 50 AND logins > 0"
[[segment]]
name = "paying"
when = "mrr > 0"
[[segment]]
name = "not \"new\""
when = "stage IS DISTINCT FROM 'onboarding'"
[[segment]]
name = "nobody"
when = "score > 1000 OR NULL"
[[segment]]
name = "active, or on pro"
when = """
logins > 0 -- in the period
OR trait_text(traits, 'plan') = 'pro'"""
"#;
    world
        .check(
            &[model],
            &[
                (
                    "SELECT account_id, stage, days_to_renewal, segments
                     FROM health_scores(model => 'm', as_of => DATE '2025-03-31') ORDER BY 1",
                    &[
                        &["old", "it's renewal", "10", "[paying, not \"new\"]"],
                        &["quiet", "NULL", "-1", "[not \"new\", active, or on pro]"],
                        &["young", "onboarding", "NULL", "[active, or on pro]"],
                    ],
                ),
                (
                    "SELECT account_id FROM health_scores(model => 'm', as_of => DATE '2025-03-31')
                     WHERE array_has(segments, 'paying')",
                    &[&["old"]],
                ),
                // A model without any has none: no NULL, an empty list.
                (
                    "SELECT DISTINCT stage, segments, cardinality(segments)
                     FROM health_scores(as_of => DATE '2025-03-31')",
                    &[&["NULL", "[]", "0"]],
                ),
            ],
        )
        .await;
}

/// The worst band of a dimension, the worst of all; `info` and what has no value count for none.
#[tokio::test]
async fn status() {
    let mut world = World::default();
    for (account, a, b, c) in [
        ("green", Some(9.0), None, Some(9.0)),
        ("yellow", Some(9.0), Some(5.0), None),
        ("red", Some(9.0), Some(1.0), Some(9.0)),
        ("unknown", None, None, None),
        ("only info", None, None, Some(1.0)),
    ] {
        world.event("2025-03-01", "login", account, "");
        for (event, value) in [("a", a), ("b", b), ("c", c)] {
            if let Some(value) = value {
                world.valued("2025-03-02", event, account, "", value);
            }
        }
    }
    let signal = |name: &str, rest: &str| {
        format!(
            "{{ name = \"last_{name}\", last = \"{name}\", red = \"< 3\", green = \">= 8\"{rest} }}"
        )
    };
    let model = format!(
        "name = \"m\"\ndimension = [{{ name = \"x\", signal = [{}, {}] }}, {{ name = \"y\", signal = [{}] }}]",
        signal("a", ""),
        signal("b", ""),
        signal("c", ", info = true")
    );
    let sql = "SELECT account_id, status FROM health_scores(model => 'm',
         as_of => DATE '2025-03-31') ORDER BY 1";
    let bands = "SELECT account_id, signal, band, dimension_band FROM account_signals(model => 'm',
         as_of => DATE '2025-03-31') WHERE account_id IN ('yellow', 'only info') ORDER BY 1, 2";
    world
        .check(
            &[&model],
            &[
                (
                    sql,
                    &[
                        &["green", "green"],
                        &["only info", "NULL"],
                        &["red", "red"],
                        &["unknown", "NULL"],
                        &["yellow", "yellow"],
                    ],
                ),
                (
                    bands,
                    &[
                        &["only info", "last_a", "NULL", "NULL"],
                        &["only info", "last_b", "NULL", "NULL"],
                        &["only info", "last_c", "red", "NULL"],
                        &["yellow", "last_a", "green", "yellow"],
                        &["yellow", "last_b", "yellow", "yellow"],
                        &["yellow", "last_c", "NULL", "NULL"],
                    ],
                ),
            ],
        )
        .await;
}

/// Sessions of members, with a gap that is exceeded strictly.
#[tokio::test]
async fn sessions() {
    let mut world = World::default();
    for (time, account, user) in [
        ("2025-03-10T08:00:00Z", "acme", "ann"),
        ("2025-03-10T08:30:00Z", "acme", "ann"),
        ("2025-03-10T09:00:00.000001Z", "acme", "ann"),
        ("2025-03-10T08:10:00Z", "acme", "bob"),
        ("2025-03-10T08:20:00Z", "acme", ""),
        ("2025-03-10T08:25:00Z", "acme", ""),
        ("2025-03-10T23:59:59.999999Z", "", "ann"),
        ("2025-03-11T00:00:00Z", "", "ann"),
    ] {
        world.event(time, "login", account, user);
    }
    world.group("2025-03-10T08:31:00Z", "acme", "ann", "{}");
    let sql = |arguments: &str| {
        format!(
            "SELECT account_id, user_id, events, minutes FROM sessions({arguments}
             since => DATE '2025-03-10', until => DATE '2025-03-10') ORDER BY 1, 2, start_at"
        )
    };
    world
        .check(
            &[],
            &[
                (
                    &sql(""),
                    &[
                        &["acme", "ann", "2", "30.0"],
                        &["acme", "ann", "1", "0.0"],
                        &["acme", "bob", "1", "0.0"],
                        &["acme", "NULL", "2", "5.0"],
                        &["NULL", "ann", "1", "0.0"],
                    ],
                ),
                (
                    &sql("gap => INTERVAL '1800.000001 seconds', "),
                    &[
                        &["acme", "ann", "3", "60.00000001666667"],
                        &["acme", "bob", "1", "0.0"],
                        &["acme", "NULL", "2", "5.0"],
                        &["NULL", "ann", "1", "0.0"],
                    ],
                ),
            ],
        )
        .await;
}

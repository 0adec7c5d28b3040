//! Answers that are published, or computed by hand, through the relations.

use crate::world::World;

/// The events' own values are the raw scores.
const BY_VALUE: &str = "
name = \"m\"
[[weight]]
event = \"score\"
weight = 1
times_value = true";

const MARCH_31: &str = "as_of => DATE '2025-03-31'";

fn scores(columns: &str, order: &str) -> String {
    format!("SELECT {columns} FROM health_scores(model => 'm', {MARCH_31}) ORDER BY {order}")
}

/// Source: Accoil, Customer Health Score: 3 · 9 + 5 · 7 + 10 · 5 = 112.
#[tokio::test]
async fn the_published_raw_score() {
    let mut world = World::default();
    world.events(3, "2025-03-03T09:00:00Z", "report", "acme", "ann");
    world.events(5, "2025-03-04T09:00:00Z", "share", "acme", "bob");
    world.events(10, "2025-03-31T09:00:00Z", "login", "acme", "");
    let model = "
name = \"m\"
weight = [
  { event = \"report\", weight = 9 },
  { event = \"share\", weight = 7 },
  { event = \"login\", weight = 5 },
]";
    let explain = format!(
        "SELECT event, position, count, counted, weight, contribution, share, to_green
         FROM health_explain(model => 'm', {MARCH_31}) ORDER BY position"
    );
    world
        .check(
            &[model],
            &[
                (
                    &scores("account_id, raw, peg, peg_n, score, band", "1"),
                    &[&["acme", "112.0", "112.0", "1", "100.0", "green"]],
                ),
                (
                    &explain,
                    &[
                        &[
                            "report",
                            "1",
                            "3",
                            "3",
                            "9.0",
                            "27.0",
                            "0.24107142857142858",
                            "0",
                        ],
                        &["share", "2", "5", "5", "7.0", "35.0", "0.3125", "0"],
                        &[
                            "login",
                            "3",
                            "10",
                            "10",
                            "5.0",
                            "50.0",
                            "0.44642857142857145",
                            "0",
                        ],
                    ],
                ),
            ],
        )
        .await;
}

/// Source: Accoil's published sample; its 90th percentile by linear interpolation is 208.2.
#[tokio::test]
async fn the_published_population() {
    const SAMPLE: [i32; 13] = [475, 89, 101, 7, 3, 21, 2, 149, 223, 1, 13, 9, 37];
    let mut world = World::default();
    for raw in SAMPLE {
        let account = format!("{raw:03}");
        world.valued("2025-03-10", "score", &account, "", f64::from(raw));
    }
    // Seen, and silent in the period: raw 0, and no part of the peg.
    world.valued("2025-01-10", "score", "000", "", 99.0);
    let rounded = scores(
        "account_id, raw, round(score, 2), round(peg, 9), peg_n",
        "raw",
    );
    let row = |account, raw, score| [account, raw, score, "208.2", "13"];
    world
        .check(
            &[BY_VALUE],
            &[(
                &rounded,
                &[
                    &row("000", "0.0", "1.0"),
                    &row("001", "1.0", "2.21"),
                    &row("002", "2.0", "3.41"),
                    &row("003", "3.0", "4.59"),
                    &row("007", "7.0", "9.19"),
                    &row("009", "9.0", "11.42"),
                    &row("013", "13.0", "15.73"),
                    &row("021", "21.0", "23.8"),
                    &row("037", "37.0", "37.94"),
                    &row("089", "89.0", "69.89"),
                    &row("101", "101.0", "75.0"),
                    &row("149", "149.0", "89.83"),
                    &row("223", "223.0", "100.0"),
                    &row("475", "475.0", "100.0"),
                ],
            )],
        )
        .await;
}

/// Raw scores of the published table that are not in its sample, against the same peg.
#[tokio::test]
async fn the_published_table_against_a_floor() {
    let floored = BY_VALUE.replace("[[", "peg_floor = 208.2\n[[");
    for (raw, score) in [(112.0, "79.13"), (187.0, "97.09"), (208.2, "100.0")] {
        let mut world = World::default();
        world.valued("2025-03-10", "score", "acme", "", raw);
        let sql = scores("round(score, 2), peg", "1");
        world
            .check(&[&floored], &[(&sql, &[&[score, "208.2"]])])
            .await;
    }
}

/// Sources: Accoil's guides: 5 of 7 days is 0.714, 15 of 20 features 75 %, 5 of 7 steps 71.4 %,
/// 1 January to 13 August 2025 224 days.
#[tokio::test]
async fn the_published_shares_of_days_features_and_steps() {
    let mut world = World::default();
    for (at, day) in ["07", "08", "09", "11", "13"].iter().enumerate() {
        let user = ["ann", "bob"][at % 2];
        world.event(&format!("2025-08-{day}T23:59:59Z"), "login", "acme", user);
    }
    // 15 features, by different members; some more than once.
    for at in 0..15 {
        let user = ["ann", "bob", ""][at % 3];
        world.event(
            "2025-08-08T10:00:00Z",
            &format!("feature {at}"),
            "acme",
            user,
        );
        world.event("2025-08-08T11:00:00Z", "feature 0", "acme", user);
    }
    // Outside the period: no feature of it.
    world.event("2025-08-06T23:59:59.999999Z", "feature 19", "acme", "ann");
    // Steps count whenever they were done, in any order.
    for (at, step) in ["e", "c", "b", "a", "d"].iter().enumerate() {
        let time = format!("2025-02-{:02}", 20 - at);
        world.event(&time, &format!("step {step}"), "acme", "ann");
    }
    world.group("2025-02-01", "acme", "", r#"{"created_at":"2025-01-01"}"#);
    // Two of seven days is red, three yellow.
    for (account, days) in [("two", 2), ("three", 3)] {
        for day in 0..days {
            world.event(&format!("2025-08-{:02}", 10 + day), "login", account, "u");
        }
    }
    let features: Vec<String> = (0..20).map(|at| format!("\"feature {at}\"")).collect();
    let model = format!(
        "name = \"m\"\nperiod_days = 7\nfeatures = [{}]\n
         steps = [\"step a\", \"step b\", \"step c\", \"step d\", \"step e\", \"step f\", \"step g\"]",
        features.join(", ")
    );
    let sql = |columns: &str, account: &str| {
        format!(
            "SELECT {columns} FROM health_scores(model => 'm', as_of => DATE '2025-08-13')
             WHERE account_id = '{account}'"
        )
    };
    let band = "SELECT account_id, band, severity
         FROM account_signals(model => 'm', as_of => DATE '2025-08-13')
         WHERE signal = 'usage_frequency' ORDER BY 1";
    world
        .check(
            &[&model],
            &[
                (
                    &sql(
                        "active_days, round(usage_frequency, 3), usage_frequency = 5.0 / 7.0,
                         feature_adoption, round(activation_rate, 1), tenure_days, days_inactive",
                        "acme",
                    ),
                    &[&["5", "0.714", "true", "75.0", "71.4", "224", "0"]],
                ),
                (
                    band,
                    &[
                        &["acme", "green", "0.0"],
                        &["three", "yellow", "0.6666666666666667"],
                        &["two", "red", "1.0"],
                    ],
                ),
            ],
        )
        .await;
}

/// Source: Accoil's guides: 40 of 50 members is 80 %.
#[tokio::test]
async fn the_published_share_of_members() {
    let mut world = World::default();
    for at in 0..50 {
        let (user, time) = (
            format!("user {at}"),
            if at < 40 { "2025-03-15" } else { "2025-01-13" },
        );
        world.event(time, "login", "acme", &user);
    }
    world.group("2025-01-01", "acme", "", r#"{"seats":"44"}"#);
    let with = |base: &str| format!("name = \"m\"\nmember_base = \"{base}\"");
    let sql = scores(
        "members, active_members, active_user_pct, expansion_ready",
        "1",
    );
    for (base, percent) in [
        ("known", "80.0"),
        ("seen_90_days", "80.0"),
        ("seats", "90.9090909090909"),
    ] {
        let row: &[&str] = &["50", "40", percent, "true"];
        world.check(&[&with(base)], &[(&sql, &[row])]).await;
    }
    // The 90 days that end with 12 April begin on 13 January, when the silent ones were last seen.
    let last = "SELECT members, active_members, active_user_pct
         FROM health_scores(model => 'm', as_of => DATE '2025-04-12')";
    let after = last.replace("04-12", "04-13");
    world
        .check(
            &[&with("seen_90_days")],
            &[
                (last, &[&["50", "40", "80.0"]]),
                (&after, &[&["50", "40", "100.0"]]),
            ],
        )
        .await;
}

#[tokio::test]
async fn the_time_to_the_first_key_event() {
    let mut world = World::default();
    world.group("2025-03-01", "with", "", r#"{"created_at":"2025-03-01"}"#);
    world.event("2025-03-03T12:00:00Z", "report", "with", "ann");
    world.event("2025-03-04T12:00:00Z", "report", "with", "ann");
    world.event("2025-03-02T06:00:00Z", "login", "without", "bob");
    world.event("2025-03-02T12:00:00Z", "report", "without", "bob");
    world.event("2025-03-02T12:00:00Z", "login", "never", "cid");
    world
        .check(
            &["name = \"m\"\nkey_event = \"report\""],
            &[(
                &scores("account_id, time_to_first, start_at, tenure_days", "1"),
                &[
                    &["never", "NULL", "2025-03-02T12:00:00Z", "29"],
                    &["with", "2.5", "2025-03-01T00:00:00Z", "30"],
                    &["without", "0.25", "2025-03-02T06:00:00Z", "29"],
                ],
            )],
        )
        .await;
}

/// 100 · (1 − (1 − 0.5 · 1)(1 − 0.3 · 0.5)) = 57.5; signals without a value are skipped.
#[tokio::test]
async fn risk_by_hand() {
    let mut world = World::default();
    world.events(1, "2025-03-22T09:00:00Z", "login", "half", "ann");
    world.events(1, "2025-03-31T09:00:00Z", "login", "now", "ann");
    world.group("2025-03-31", "never", "", r#"{"plan":"free"}"#);
    let model = "
name = \"m\"
period_days = 10
[thresholds]
days_inactive = { red = \">= 9\", green = \"<= 1\" }
usage_frequency = { red = \"<= 0\", green = \">= 0.2\" }
[churn_risk]
days_inactive = 0.5
usage_frequency = 0.3
feature_adoption = 1";
    world
        .check(
            &[model],
            &[(
                &scores(
                    "account_id, days_inactive, usage_frequency, round(churn_risk, 9)",
                    "1",
                ),
                &[
                    // Of one signal alone: 100 · 0.3 · 1.
                    &["half", "9", "0.1", "57.5"],
                    &["never", "NULL", "0.0", "30.0"],
                    &["now", "0", "0.1", "15.0"],
                ],
            )],
        )
        .await;
}

/// Half of an account's members are green, by their own scores against all members.
#[tokio::test]
async fn healthy_members() {
    let mut world = World::default();
    for (account, user, count) in [
        ("acme", "a", 20),
        ("acme", "b", 20),
        ("acme", "c", 1),
        ("acme", "d", 1),
        ("globex", "a", 20),
        ("initech", "e", 1),
    ] {
        world.events(count, "2025-03-15T09:00:00Z", "login", account, user);
    }
    world.events(9, "2025-03-15T09:00:00Z", "login", "nobody", "");
    world
        .check(
            &["name = \"m\""],
            &[(
                &scores("account_id, healthy_user_pct", "1"),
                &[
                    &["acme", "50.0"],
                    &["globex", "100.0"],
                    &["initech", "0.0"],
                    &["nobody", "NULL"],
                ],
            )],
        )
        .await;
}

/// Ready to grow: a score, no fall, and seats that are used where they are known.
#[tokio::test]
async fn expansion() {
    let mut world = World::default();
    for account in ["full", "free", "unknown"] {
        world.events(10, "2025-03-15T09:00:00Z", "login", account, "ann");
        world.events(10, "2025-03-15T09:00:00Z", "login", account, "bob");
    }
    world.events(1, "2025-03-15T09:00:00Z", "login", "low", "ann");
    world.events(15, "2025-03-15T09:00:00Z", "login", "falling", "ann");
    world.events(40, "2025-02-15T09:00:00Z", "login", "falling", "ann");
    world.events(30, "2025-02-15T09:00:00Z", "login", "best", "ann");
    world.events(30, "2025-03-15T09:00:00Z", "login", "best", "ann");
    for (account, seats) in [("full", 2), ("free", 3), ("low", 1)] {
        world.group("2025-01-01", account, "", &format!("{{\"seats\":{seats}}}"));
    }
    world
        .check(
            &["name = \"m\""],
            &[(
                &scores(
                    "account_id, round(score, 0), direction, expansion_ready",
                    "1",
                ),
                &[
                    &["best", "100.0", "flat", "true"],
                    &["falling", "83.0", "down", "false"],
                    &["free", "94.0", "up", "false"],
                    &["full", "94.0", "up", "true"],
                    &["low", "11.0", "flat", "false"],
                    // It did not exist a period ago, so it has no trend.
                    &["unknown", "94.0", "NULL", "true"],
                ],
            )],
        )
        .await;
}

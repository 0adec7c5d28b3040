//! What moves a customer's health, and what must not: bills, tickets, others' growth, caps, events
//! that do not count.

use crate::world::World;

const STATUS: &str = "
name = \"m\"
[thresholds]
usage_frequency = { red = \"<= 0\", green = \"> 0\" }
[[dimension]]
name = \"product\"
signal = [{ metric = \"usage_frequency\" }, { metric = \"score\", info = true }]
[[dimension]]
name = \"financial\"
[[dimension.signal]]
name = \"overdue\"
open = { opened = \"invoice_overdue\", closed = [\"invoice_paid\", \"invoice_voided\"] }
red = \">= 1\"
green = \"< 1\"
[[dimension]]
name = \"support\"
[[dimension.signal]]
name = \"spike\"
count = \"ticket_opened\"
band_of = \"change_percent\"
red = \">= 50\"
green = \"<= 0\"
[[dimension]]
name = \"empty\"
signal = [{ metric = \"feature_adoption\" }]";

#[tokio::test]
async fn one_unpaid_invoice_or_one_ticket_spike_turns_a_green_account_red() {
    let mut world = World::default();
    for account in ["calm", "unpaid", "paid", "spike", "fewer", "more", "mild"] {
        world.event("2025-02-10", "login", account, "ann");
        world.event("2025-03-10", "login", account, "ann");
    }
    // Overdue for ever until it is paid, however long ago.
    world.event("2024-11-01", "invoice_overdue", "unpaid", "");
    world.events(2, "2025-03-11", "invoice_overdue", "paid", "");
    world.event("2025-03-12", "invoice_paid", "paid", "");
    world.event("2025-03-13", "invoice_voided", "paid", "");
    // More were paid than were overdue: none is open, and none is below zero.
    world.event("2025-03-13", "invoice_paid", "calm", "");
    for (account, before, now) in [
        ("spike", 2, 3),
        ("fewer", 3, 2),
        ("more", 0, 3),
        ("mild", 4, 5),
    ] {
        world.events(before, "2025-02-15", "ticket_opened", account, "bob");
        world.events(now, "2025-03-15", "ticket_opened", account, "bob");
    }
    let status = "SELECT account_id, status FROM health_scores(model => 'm',
         as_of => DATE '2025-03-31') ORDER BY 1";
    let bands = "SELECT account_id, dimension, signal, value, previous, change, band, severity, dimension_band
         FROM account_signals(model => 'm', as_of => DATE '2025-03-31')
         WHERE signal IN ('overdue', 'spike') AND (band <> 'green' OR account_id IN ('calm', 'more'))
         ORDER BY 1, 2";
    world
        .check(
            &[STATUS],
            &[
                (
                    status,
                    &[
                        &["calm", "green"],
                        &["fewer", "green"],
                        &["mild", "yellow"],
                        // A change from nothing has no percent, so that signal is skipped.
                        &["more", "green"],
                        &["paid", "green"],
                        &["spike", "red"],
                        &["unpaid", "red"],
                    ],
                ),
                (
                    bands,
                    &[
                        &[
                            "calm",
                            "financial",
                            "overdue",
                            "0.0",
                            "0.0",
                            "0.0",
                            "green",
                            "0.0",
                            "green",
                        ],
                        &[
                            "calm", "support", "spike", "0.0", "0.0", "0.0", "NULL", "NULL", "NULL",
                        ],
                        &[
                            "mild", "support", "spike", "5.0", "4.0", "1.0", "yellow", "0.5",
                            "yellow",
                        ],
                        &[
                            "more",
                            "financial",
                            "overdue",
                            "0.0",
                            "0.0",
                            "0.0",
                            "green",
                            "0.0",
                            "green",
                        ],
                        &[
                            "more", "support", "spike", "3.0", "0.0", "3.0", "NULL", "NULL", "NULL",
                        ],
                        &[
                            "spike", "support", "spike", "3.0", "2.0", "1.0", "red", "1.0", "red",
                        ],
                        &[
                            "unpaid",
                            "financial",
                            "overdue",
                            "1.0",
                            "1.0",
                            "0.0",
                            "red",
                            "1.0",
                            "red",
                        ],
                    ],
                ),
            ],
        )
        .await;
}

/// The others grow by 30 %: the published score of one that stands still falls, its own trend does
/// not, and neither status nor risk takes note.
#[tokio::test]
async fn others_growth_does_not_make_an_account_fall() {
    let mut world = World::default();
    for account in ["a", "b", "c", "d", "flat"] {
        let now = if account == "flat" { 10 } else { 13 };
        world.events(10, "2025-02-15", "login", account, "ann");
        world.events(now, "2025-03-15", "login", account, "ann");
    }
    world.events(10, "2025-02-15", "login", "half", "ann");
    world.events(5, "2025-03-15", "login", "half", "ann");
    world.events(13, "2025-03-15", "login", "new", "ann");
    let sql = "SELECT account_id, round(trend, 6), round(trend_own, 6), direction
         FROM health_scores(model => 'm', as_of => DATE '2025-03-31')
         WHERE account_id NOT IN ('b', 'c', 'd') ORDER BY 1";
    world
        .check(
            &["name = \"m\""],
            &[(
                sql,
                &[
                    // 1 + 110 · (1 − 10^(−10/13)) = 92.286203
                    &["a", "0.0", "7.713797", "flat"],
                    &["flat", "-7.713797", "0.0", "flat"],
                    // 1 + 110 · (1 − 10^(−5/13)) = 65.629110
                    &["half", "-34.37089", "-26.657093", "down"],
                    &["new", "NULL", "NULL", "NULL"],
                ],
            )],
        )
        .await;
}

/// Ten points exactly are a direction.
#[tokio::test]
async fn ten_points_are_up_or_down() {
    let mut world = World::default();
    for (account, before, now) in [
        ("up", 40.0, 50.0),
        ("down", 50.0, 40.0),
        ("flat", 50.0, 40.1),
    ] {
        world.valued("2025-02-15", "score", account, "", before);
        world.valued("2025-03-15", "score", account, "", now);
    }
    let model = "
name = \"m\"
method = \"winsor\"
peg_floor = 100
weight = [{ event = \"score\", weight = 1, times_value = true }]";
    let sql = "SELECT account_id, trend, trend_own, direction FROM health_scores(model => 'm',
         as_of => DATE '2025-03-31') WHERE account_id <> 'flat' ORDER BY 1";
    let flat = "SELECT direction FROM health_scores(model => 'm', as_of => DATE '2025-03-31')
         WHERE account_id = 'flat'";
    world
        .check(
            &[model],
            &[
                (
                    sql,
                    &[
                        &["down", "-10.0", "-10.0", "down"],
                        &["up", "10.0", "10.0", "up"],
                    ],
                ),
                (flat, &[&["flat"]]),
            ],
        )
        .await;
}

/// Of a member, an event and a local day only so many count; nobody is one member.
#[tokio::test]
async fn caps() {
    let mut world = World::default();
    for (count, time, event, account, user) in [
        (5, "2025-03-10T08:00:00Z", "a", "acme", "x"),
        (3, "2025-03-10T09:00:00Z", "b", "acme", "x"),
        // The next local day in Berlin.
        (1, "2025-03-10T23:00:00Z", "a", "acme", "x"),
        (3, "2025-03-10T10:00:00Z", "a", "acme", "y"),
        (4, "2025-03-10T11:00:00Z", "a", "acme", ""),
        (3, "2025-03-10T12:00:00Z", "a", "globex", "x"),
        (4, "2025-03-10T12:00:00Z", "free", "globex", "x"),
        (3, "2025-03-10T12:00:00Z", "a", "", "x"),
    ] {
        world.events(count, time, event, account, user);
    }
    let model = "
name = \"m\"
time_zone = \"Europe/Berlin\"
weight = [{ events = [\"a\", \"b\"], weight = 1, daily_cap = 2 }, { event = \"*\", weight = 0.5 }]";
    let raw = |columns: &str, entity: &str| {
        format!(
            "SELECT {columns}, raw FROM health_scores(model => 'm', as_of => DATE '2025-03-11',
             entity => '{entity}') ORDER BY 1, 2"
        )
    };
    let explain = "SELECT event, position, count, counted, contribution FROM health_explain(
         model => 'm', as_of => DATE '2025-03-11', account => 'acme') ORDER BY 1";
    world
        .check(
            &[model],
            &[
                (
                    &raw("account_id", "account"),
                    &[&["acme", "9.0"], &["globex", "4.0"]],
                ),
                (&raw("user_id", "user"), &[&["x", "11.0"], &["y", "2.0"]]),
                (
                    &raw("account_id, user_id", "member"),
                    &[
                        &["acme", "x", "5.0"],
                        &["acme", "y", "2.0"],
                        &["globex", "x", "4.0"],
                    ],
                ),
                (
                    explain,
                    &[&["a", "1", "13", "7", "7.0"], &["b", "1", "3", "2", "2.0"]],
                ),
            ],
        )
        .await;
}

/// Events that a model does not look at count for none of its metrics.
#[tokio::test]
async fn the_filter_on_events() {
    let mut world = World::default();
    world.event("2025-03-03", "login", "acme", "ann");
    world.event("2025-03-04", "report", "acme", "bot-1");
    world.event("2025-03-05", "opened", "acme", "bot-1");
    world.valued("2025-03-06", "rate", "acme", "bot-1", 3.0);
    world.event("2025-03-01", "login", "acme", "bot-2");
    world.event("2025-03-05", "login", "bots", "bot-1");
    let model = "
name = \"m\"
event_filter = \"user_id NOT LIKE 'bot-%'\"
features = [\"login\", \"report\"]
steps = [\"login\", \"report\"]
key_event = \"report\"
[[dimension]]
name = \"d\"
signal = [
  { name = \"open\", open = { opened = \"opened\", closed = \"closed\" }, info = true },
  { name = \"rating\", last = \"rate\", info = true },
  { name = \"visits\", sessions = \"count\", info = true },
  { name = \"reports\", count = \"report\", info = true },
]";
    let scores = "SELECT account_id, raw, active_days, first_active, last_active, feature_adoption,
         activation_rate, time_to_first, members, active_members
         FROM health_scores(model => 'm', as_of => DATE '2025-03-31') ORDER BY 1";
    let signals = "SELECT signal, value FROM account_signals(model => 'm',
         as_of => DATE '2025-03-31') WHERE account_id = 'acme' ORDER BY 1";
    let steps = "SELECT kind, event, first_time FROM health_steps(model => 'm',
         as_of => DATE '2025-03-31') WHERE account_id = 'acme' ORDER BY 1, 2";
    let explain = "SELECT account_id, event, count FROM health_explain(model => 'm',
         as_of => DATE '2025-03-31')";
    let login = "2025-03-03T00:00:00Z";
    world
        .check(
            &[model],
            &[
                (
                    scores,
                    &[
                        &[
                            "acme", "1.0", "1", login, login, "50.0", "50.0", "NULL", "3", "1",
                        ],
                        &[
                            "bots", "0.0", "0", "NULL", "NULL", "0.0", "0.0", "NULL", "1", "0",
                        ],
                    ],
                ),
                (
                    signals,
                    &[
                        &["open", "0.0"],
                        &["rating", "NULL"],
                        &["reports", "0.0"],
                        &["visits", "1.0"],
                    ],
                ),
                (
                    steps,
                    &[
                        &["feature", "login", login],
                        &["feature", "report", "NULL"],
                        &["step", "login", login],
                        &["step", "report", "NULL"],
                    ],
                ),
                (explain, &[&["acme", "login", "1"]]),
            ],
        )
        .await;
}

/// The first rule that matches takes an event; weights may be zero or negative.
#[tokio::test]
async fn rules_in_order() {
    let mut world = World::default();
    world.valued("2025-03-03", "report", "acme", "ann", 11.0);
    world.valued("2025-03-03", "report", "acme", "ann", 10.0);
    world.event("2025-03-03", "report", "acme", "ann");
    world.events(2, "2025-03-03", "deleted", "acme", "ann");
    world.events(4, "2025-03-03", "noise", "acme", "ann");
    world.events(1, "2025-03-03", "it's \"odd\" \\ name", "acme", "ann");
    let model = r#"
name = "m"
weight = [
  { event = "report", where = "value > 10", weight = 12.5 },
  { event = "report", weight = 7 },
  { event = "deleted", weight = -3 },
  { event = "it's \"odd\" \\ name", weight = 0.0001 },
  { event = "never", weight = 2 },
  { event = "*", weight = 0 },
]"#;
    let explain = "SELECT event, position, count, weight, contribution FROM health_explain(
         model => 'm', as_of => DATE '2025-03-31') ORDER BY 2, 1";
    world
        .check(
            &[model],
            &[
                (
                    "SELECT raw FROM health_scores(model => 'm', as_of => DATE '2025-03-31')",
                    &[&["20.5001"]],
                ),
                (
                    explain,
                    &[
                        &["report", "1", "1", "12.5", "12.5"],
                        &["report", "2", "2", "7.0", "14.0"],
                        &["deleted", "3", "2", "-3.0", "-6.0"],
                        &["it's \"odd\" \\ name", "4", "1", "0.0001", "0.0001"],
                        &["never", "5", "0", "2.0", "0.0"],
                        &["noise", "6", "4", "0.0", "0.0"],
                    ],
                ),
            ],
        )
        .await;
}

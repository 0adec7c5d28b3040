//! The columns of the relations: the same for every model, and free where nobody asks for them.

use vitalog_query::QueryEngine;

use crate::support::{Layout, answer, request};
use crate::world::World;

const BIG: &str = include_str!("../models/b2b.toml");

fn world() -> World {
    let mut world = World::default();
    for month in 1..=4 {
        for day in 1..=28 {
            let time = format!("2025-{month:02}-{day:02}T09:00:00Z");
            world.event(&time, ["login", "report_created"][day % 2], "acme", "ann");
            world.event(&time, "login", "globex", "bob");
        }
    }
    world
}

async fn shape(engine: &QueryEngine, sql: &str) -> String {
    let stream = engine.query(request(sql)).await.unwrap();
    let fields = stream.schema();
    let lines = fields
        .fields()
        .iter()
        .map(|field| format!("  {}: {}\n", field.name(), field.data_type()));
    lines.collect()
}

/// Names, types and order are the same for every model and entity, as the golden file has them.
#[tokio::test]
async fn names_and_types_do_not_depend_on_the_model() {
    const RELATIONS: [&str; 5] = [
        "account_signals",
        "health_explain",
        "health_history",
        "health_scores",
        "health_steps",
    ];
    let golden = include_str!("columns.txt");
    let models = [
        &BIG.replace("name = \"default\"", "name = \"big\""),
        "name = \"users\"\nentity = \"user\"",
        "name = \"members\"\nentity = \"member\"\nsteps = [\"login\"]",
    ];
    let engine = world().engine(Layout::Mixed, &models);
    for model in ["default", "big", "users", "members"] {
        let mut found = String::new();
        for relation in RELATIONS {
            let until = match relation {
                "health_history" => ", since => DATE '2025-04-01', until => DATE '2025-04-01'",
                _ => "",
            };
            let sql = format!("SELECT * FROM {relation}(model => '{model}'{until})");
            found += &format!("{relation}\n{}", shape(&engine, &sql).await);
        }
        found += &format!(
            "sessions\n{}",
            shape(&engine, "SELECT * FROM sessions()").await
        );
        assert_eq!(found, golden, "model {model}:\n{found}");
    }
    for (view, traits) in [
        (
            "account_health",
            "  name: Utf8\n  plan: Utf8\n  mrr: Float64\n  renewal_at: Timestamp(µs, \"UTC\")\n",
        ),
        ("user_health", "  name: Utf8\n  email: Utf8\n  role: Utf8\n"),
    ] {
        let found = shape(&engine, &format!("SELECT * FROM {view}")).await;
        let scores = golden.split("health_scores\n").nth(1).unwrap();
        let scores = scores.split("health_steps\n").next().unwrap();
        assert_eq!(found, format!("{traits}{scores}"), "{view}");
    }
}

async fn plan(engine: &QueryEngine, sql: &str) -> String {
    let rows = answer(engine, &format!("EXPLAIN FORMAT INDENT {sql}")).await;
    rows.into_iter()
        .filter(|row| row[0] == "physical_plan")
        .map(|row| row[1].clone())
        .collect()
}

/// The scans of events in a plan, each with what it reads.
fn scans(plan: &str) -> Vec<&str> {
    let lines = plan.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with("EventsScan"))
        .collect()
}

/// How many sections the scans keep, and of how many.
fn sections(scan: &str) -> (usize, usize) {
    let after = scan.split("sections=").nth(1).unwrap();
    let mut numbers = after
        .split(|char: char| !char.is_ascii_digit())
        .filter(|part| !part.is_empty());
    let mut next = || numbers.next().unwrap().parse().unwrap();
    (next(), next())
}

#[tokio::test]
async fn a_metric_that_is_not_asked_for_costs_nothing() {
    let engine = world().engine(
        Layout::Flushed,
        &["name = \"m\"\nperiod_days = 7\nfeatures = [\"login\"]\nsteps = [\"login\"]"],
    );
    let of = |columns: &str| {
        format!("SELECT {columns} FROM health_scores(model => 'm', as_of => DATE '2025-04-28')")
    };
    for (columns, expected) in [
        // From what the index of members knows.
        ("account_id, model, version, as_of", 0),
        ("account_id, first_active, last_active, days_inactive", 0),
        (
            "members, active_members, active_user_pct, start_at, tenure_days",
            0,
        ),
        ("days_to_renewal, segments, stage", 0),
        ("count(*)", 0),
        // One look at the period, however many of its columns.
        ("raw", 1),
        (
            "raw, peg, peg_n, score, band, active_days, usage_frequency, feature_adoption",
            1,
        ),
        ("active_days", 1),
        ("activation_rate", 1),
        ("trend", 2),
        ("trend, score, raw, direction, trend_own", 2),
        ("raw, activation_rate, trend_own", 3),
        ("healthy_user_pct", 1),
        ("healthy_days", 1),
    ] {
        let plan = plan(&engine, &of(columns)).await;
        assert_eq!(scans(&plan).len(), expected, "{columns}:\n{plan}");
    }
}

/// Columns in a filter, an order or a join are asked for, and nothing else is.
#[tokio::test]
async fn columns_outside_the_select_list_are_asked_for() {
    let engine = world().engine(Layout::Memory, &["name = \"m\"\nperiod_days = 7"]);
    let from = "FROM health_scores(model => 'm', as_of => DATE '2025-04-28')";
    for (sql, expected) in [
        (format!("SELECT account_id {from} WHERE raw > 1"), 1),
        (format!("SELECT account_id {from} ORDER BY raw"), 1),
        (
            format!("SELECT account_id {from} WHERE last_active > now()"),
            0,
        ),
        (
            format!(
                "SELECT a.account_id, h.raw FROM accounts a JOIN (SELECT * {from}) h USING (account_id)"
            ),
            1,
        ),
    ] {
        let plan = plan(&engine, &sql).await;
        assert_eq!(scans(&plan).len(), expected, "{sql}:\n{plan}");
    }
}

/// A period is a range of times, and sections outside of it are not opened.
#[tokio::test]
async fn periods_prune_sections() {
    let engine = world().engine(Layout::Flushed, &["name = \"m\"\nperiod_days = 7"]);
    let sql = "SELECT raw FROM health_scores(model => 'm', as_of => DATE '2025-04-28')";
    let found = plan(&engine, sql).await;
    let scan = scans(&found)[0];
    let (kept, total) = sections(scan);
    assert!(kept < total / 4, "{scan}");
    assert!(scan.contains("event_time"), "{scan}");
    // Both periods of a trend, and no more.
    let sql = "SELECT trend FROM health_scores(model => 'm', as_of => DATE '2025-04-28')";
    let found = plan(&engine, sql).await;
    for scan in scans(&found) {
        let (kept, total) = sections(scan);
        assert!(kept < total / 4, "{scan}");
    }
    // All of history is read for steps, and only their events.
    let sql = "SELECT * FROM health_steps(model => 'm', as_of => DATE '2025-04-28')";
    assert!(
        scans(&plan(&engine, sql).await).is_empty(),
        "a model without steps"
    );
}

/// One account is explained from its own events alone; its score still has everybody's peg.
#[tokio::test]
async fn explanations_of_one_account_read_its_events() {
    let models = [
        "name = \"m\"\nweight = [{ event = \"login\", weight = 2 }]",
        "name = \"capped\"\nweight = [{ event = \"*\", weight = 2, daily_cap = 1 }]",
    ];
    let engine = world().engine(Layout::Flushed, &models);
    for (model, scans_of_score) in [("default", 1), ("m", 1), ("capped", 2)] {
        let from = format!(
            "SELECT event, points FROM health_explain(model => '{model}', as_of => DATE '2025-04-28'"
        );
        for sql in [
            format!("{from}, account => 'acme')"),
            format!("{from}) WHERE account_id = 'acme'"),
            format!("SELECT * FROM ({from})) WHERE event <> '' AND account_id IN ('acme')")
                .replace("event, points", "*"),
        ] {
            let found = plan(&engine, &sql).await;
            let scans = scans(&found);
            let of_account = scans
                .iter()
                .filter(|scan| scan.contains("account_id in 1 symbols"));
            assert_eq!(
                (scans.len(), of_account.count()),
                (scans_of_score + 1, 1),
                "{sql}\n{found}"
            );
        }
    }
}

/// A filter on the result is no filter on the population.
#[tokio::test]
async fn a_filter_on_the_result_does_not_move_the_peg() {
    let mut world = World::default();
    for (account, raw) in [("a", 10.0), ("b", 20.0), ("c", 40.0)] {
        world.valued("2025-03-10", "score", account, "ann", raw);
    }
    let model = "name = \"m\"\nweight = [{ event = \"score\", weight = 1, times_value = true }]";
    let from = "FROM health_scores(model => 'm', as_of => DATE '2025-03-31')";
    let of =
        |rest: &str| format!("SELECT account_id, raw, peg, peg_n, round(score, 6) {from} {rest}");
    let a: &[&str] = &["a", "10.0", "36.0", "3", "52.975032"];
    let explain = "SELECT account_id, round(points, 6) FROM health_explain(model => 'm',
         as_of => DATE '2025-03-31') WHERE account_id = 'a'";
    let one = explain.replace(") WHERE account_id = 'a'", ", account => 'a')");
    let history = "SELECT account_id, peg, peg_n FROM health_history(model => 'm', every => 'day',
         since => DATE '2025-03-31', until => DATE '2025-03-31') WHERE account_id = 'a'";
    world
        .check(
            &[model],
            &[
                (&of("WHERE account_id = 'a'"), &[a]),
                (&of("WHERE raw < 15"), &[a]),
                (&of("ORDER BY raw LIMIT 1"), &[a]),
                (
                    &of("WHERE account_id IN (SELECT account_id FROM events WHERE value < 15)"),
                    &[a],
                ),
                (&of("WHERE score < (SELECT 60.0)"), &[a]),
                (explain, &[&["a", "51.975032"]]),
                (&one, &[&["a", "51.975032"]]),
                (history, &[&["a", "36.0", "3"]]),
            ],
        )
        .await;
}

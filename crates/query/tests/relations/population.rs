//! Who is a row: members and customers that left, users and members of a model's accounts, and
//! models that share accounts out.

use crate::support::{Layout, answer};
use crate::world::World;

#[tokio::test]
async fn members_that_left_are_no_members() {
    let mut world = World::default();
    for user in ["ann", "bob", "cid", "dan"] {
        world.event("2025-03-05", "login", "acme", user);
    }
    for user in ["bob", "cid"] {
        let removed = r#"{"removed_at":"2025-03-06"}"#;
        world.group("2025-03-06", "acme", user, removed);
    }
    // Back again.
    world.event("2025-03-07", "login", "acme", "cid");
    let sql = |columns: &str, as_of: &str, entity: &str| {
        format!(
            "SELECT {columns} FROM health_scores(as_of => '{as_of}', entity => '{entity}') ORDER BY 1"
        )
    };
    let columns = "members, active_members, active_user_pct, raw";
    world
        .check(
            &[],
            &[
                // What somebody did still counts.
                (
                    &sql(columns, "2025-03-31", "account"),
                    &[&["3", "3", "100.0", "5.0"]],
                ),
                (
                    &sql(columns, "2025-03-06", "account"),
                    &[&["2", "2", "100.0", "4.0"]],
                ),
                (
                    &sql(columns, "2025-03-05", "account"),
                    &[&["4", "4", "100.0", "4.0"]],
                ),
                (
                    &sql("user_id", "2025-03-31", "member"),
                    &[&["ann"], &["cid"], &["dan"]],
                ),
            ],
        )
        .await;
}

/// Churned accounts are no rows and no part of the peg, from the instant on and not before.
#[tokio::test]
async fn customers_that_left() {
    let mut world = World::default();
    world.events(2, "2025-03-05", "login", "acme", "ann");
    world.events(40, "2025-03-05", "login", "gone", "bob");
    world.group(
        "2025-03-08",
        "gone",
        "",
        r#"{"churned_at":"2025-03-10T12:00:00Z"}"#,
    );
    let sql = |as_of: &str, entity: &str| {
        format!(
            "SELECT coalesce(account_id, user_id), raw, peg, peg_n, score
             FROM health_scores(as_of => TIMESTAMP '{as_of}', entity => '{entity}')
             ORDER BY raw"
        )
    };
    let one: &[&[&str]] = &[&["acme", "2.0", "2.0", "1", "100.0"]];
    let counts = "SELECT count(*) FROM health_scores(as_of => TIMESTAMP '2025-03-10T12:00:00Z')";
    world
        .check(
            &[],
            &[
                (&sql("2025-03-10T12:00:00.000001Z", "account"), one),
                (&sql("2025-03-20T00:00:00Z", "account"), one),
                (&sql("2025-03-20T00:00:00Z", "member"), one),
                (counts, &[&["2"]]),
            ],
        )
        .await;
    let engine = world.engine(Layout::Mixed, &[]);
    let before = answer(&engine, &sql("2025-03-10T12:00:00Z", "account")).await;
    assert_eq!(before[1][..4], ["gone", "40.0", "36.2", "2"]);
}

/// A model of accounts whose rows are users or members has those of its accounts only.
#[tokio::test]
async fn other_entities_of_a_model_with_a_filter() {
    let mut world = World::default();
    world.group("2025-03-01", "big", "", r#"{"plan":"pro"}"#);
    world.group("2025-03-01", "small", "", r#"{"plan":"free"}"#);
    world.events(3, "2025-03-05", "login", "big", "ann");
    world.events(2, "2025-03-05", "login", "small", "ann");
    world.events(9, "2025-03-05", "login", "small", "bob");
    world.events(1, "2025-03-05", "login", "big", "cid");
    world.events(1, "2025-03-05", "login", "unknown", "dan");
    world.identify("2025-03-05", "ann", r#"{"role":"admin"}"#);
    let sql = |model: &str, entity: &str| {
        format!(
            "SELECT account_id, user_id, raw, peg_n FROM health_scores(model => '{model}',
             as_of => DATE '2025-03-31', entity => '{entity}') ORDER BY 1, 2"
        )
    };
    let models = [
        "name = \"pro\"\nfilter = \"plan = 'pro'\"",
        "name = \"admins\"\nentity = \"user\"\nfilter = \"role = 'admin'\"",
        "name = \"seats\"\nentity = \"member\"\nfilter = \"plan = 'free' AND role IS NULL\"",
    ];
    world
        .check(
            &models,
            &[
                (&sql("pro", "account"), &[&["big", "NULL", "4.0", "1"]]),
                (
                    &sql("pro", "member"),
                    &[&["big", "ann", "3.0", "2"], &["big", "cid", "1.0", "2"]],
                ),
                // Over all their accounts.
                (
                    &sql("pro", "user"),
                    &[&["NULL", "ann", "5.0", "2"], &["NULL", "cid", "1.0", "2"]],
                ),
                (&sql("admins", "user"), &[&["NULL", "ann", "5.0", "1"]]),
                (&sql("seats", "member"), &[&["small", "bob", "9.0", "1"]]),
            ],
        )
        .await;
}

/// Each account belongs to the model of the lowest priority that takes it.
#[tokio::test]
async fn priorities() {
    let mut world = World::default();
    for (account, plan) in [
        ("a", "\"big\""),
        ("b", "\"small\""),
        ("c", "\"other\""),
        ("d", "null"),
    ] {
        world.group("2025-03-01", account, "", &format!("{{\"plan\":{plan}}}"));
        world.event("2025-03-02", "login", account, "ann");
    }
    let models = [
        "name = \"late\"\npriority = 9",
        "name = \"big\"\npriority = 1\nfilter = \"plan = 'big'\"",
        "name = \"both\"\npriority = 5\nfilter = \"plan IN ('big', 'small')\"",
        "name = \"both-too\"\npriority = 5\nfilter = \"plan IN ('small', 'other')\"",
        "name = \"alone\"\nfilter = \"plan <> 'other'\"",
        "name = \"users\"\nentity = \"user\"\npriority = 0",
    ];
    let of = |model: &str| {
        format!(
            "SELECT account_id FROM health_scores(model => '{model}', as_of => DATE '2025-03-31')
             ORDER BY 1"
        )
    };
    world
        .check(
            &models,
            &[
                (&of("big"), &[&["a"]]),
                (&of("both"), &[&["b"]]),
                (&of("both-too"), &[&["c"]]),
                (&of("late"), &[&["d"]]),
                (&of("alone"), &[&["a"], &["b"]]),
                (&of("default"), &[&["a"], &["b"], &["c"], &["d"]]),
            ],
        )
        .await;
}

//! Named views: applied, listed, replaced, dropped, and broken.

use vitalog_query::{QueryEngine, QueryRequest, ViewDescription};

use crate::support::{Layout, answer, error_of, request, rows};
use crate::world::World;

fn engine() -> QueryEngine {
    let mut world = World::default();
    world.events(3, "2025-03-10", "login", "acme", "ann");
    world.events(1, "2025-03-20", "login", "globex", "bob");
    world.group(
        "2025-03-01",
        "acme",
        "",
        r#"{"name":"Acme","plan":"pro","mrr":12}"#,
    );
    world.engine(Layout::Mixed, &[])
}

async fn refused(engine: &QueryEngine, name: &str, sql: &str, expected: &str) {
    let before = engine.views().unwrap();
    let error = engine.apply_view(name, sql).await.expect_err(sql);
    assert!(error.to_string().contains(expected), "{sql}: {error}");
    assert_eq!(engine.views().unwrap(), before, "{sql}: nothing is stored");
}

#[tokio::test]
async fn a_view_is_a_table() {
    let engine = engine();
    let sql =
        "SELECT account_id, raw FROM health_scores(as_of => DATE '2025-03-31') WHERE raw > 2;";
    let applied = engine.apply_view("busy", sql).await.unwrap();
    assert_eq!(
        (applied.name.as_str(), applied.version, applied.is_current),
        ("busy", 1, true)
    );
    assert_eq!(applied.sql.as_deref(), Some(sql.trim_end_matches(';')));
    for (sql, expected) in [
        ("SELECT * FROM busy", vec!["acme", "3.0"]),
        (
            "SELECT b.account_id, a.name FROM busy b JOIN accounts a USING (account_id)",
            vec!["acme", "Acme"],
        ),
        (
            "WITH v AS (SELECT * FROM busy) SELECT count(*) FROM v",
            vec!["1"],
        ),
        ("SELECT (SELECT max(raw) FROM busy)", vec!["3.0"]),
        ("SELECT raw FROM public.busy", vec!["3.0"]),
        ("SELECT raw FROM vitalog.public.busy", vec!["3.0"]),
    ] {
        assert_eq!(answer(&engine, sql).await, [expected], "{sql}");
    }
    assert!(
        !answer(&engine, "EXPLAIN SELECT * FROM busy")
            .await
            .is_empty()
    );
    // A CTE of its name stands before it.
    let shadowed = "WITH busy AS (SELECT 7 AS n) SELECT * FROM busy";
    assert_eq!(answer(&engine, shadowed).await, [["7"]]);
}

#[tokio::test]
async fn views_over_views_and_over_the_built_in_ones() {
    let engine = engine();
    engine
        .apply_view("one", "SELECT account_id, name, mrr FROM account_health")
        .await
        .unwrap();
    engine
        .apply_view("two", "SELECT * FROM one WHERE mrr > 5")
        .await
        .unwrap();
    engine
        .apply_view(
            "three",
            "SELECT t.account_id, u.user_id FROM two t, user_health u",
        )
        .await
        .unwrap();
    assert_eq!(
        answer(&engine, "SELECT * FROM three ORDER BY 2").await,
        [["acme", "ann"], ["acme", "bob"]]
    );
    // A change of the lowest shows in the highest.
    engine
        .apply_view(
            "one",
            "SELECT account_id, name, 9 AS mrr FROM account_health",
        )
        .await
        .unwrap();
    assert_eq!(answer(&engine, "SELECT count(*) FROM three").await, [["4"]]);
}

#[tokio::test]
async fn circles_are_refused() {
    let engine = engine();
    refused(&engine, "a", "SELECT * FROM a", "view a names itself").await;
    engine.apply_view("a", "SELECT 1 AS x").await.unwrap();
    refused(&engine, "a", "SELECT * FROM a", "view a names itself").await;
    refused(
        &engine,
        "a",
        "SELECT (SELECT max(x) FROM a)",
        "view a names itself",
    )
    .await;
    engine.apply_view("b", "SELECT * FROM a").await.unwrap();
    engine.apply_view("c", "SELECT * FROM b").await.unwrap();
    refused(
        &engine,
        "a",
        "SELECT * FROM c",
        "view a names itself through c",
    )
    .await;
    assert_eq!(answer(&engine, "SELECT * FROM c").await, [["1"]]);
    // Its name as a CTE is no circle.
    engine
        .apply_view("a", "WITH a AS (SELECT 2 AS x) SELECT * FROM a")
        .await
        .unwrap();
    assert_eq!(answer(&engine, "SELECT * FROM c").await, [["2"]]);
}

#[tokio::test]
async fn what_is_no_view() {
    let engine = engine();
    for (name, sql, expected) in [
        ("Busy", "SELECT 1", "is no name of a view"),
        ("1st", "SELECT 1", "is no name of a view"),
        ("", "SELECT 1", "is no name of a view"),
        ("a-b", "SELECT 1", "is no name of a view"),
        ("events", "SELECT 1", "is a name of Vitalog's own"),
        ("health_scores", "SELECT 1", "is a name of Vitalog's own"),
        ("account_health", "SELECT 1", "is a name of Vitalog's own"),
        ("v", "", "the statement is empty"),
        ("v", "SELECT 1; SELECT 2", "2 statements were sent"),
        ("v", "EXPLAIN SELECT 1", "a view is one SELECT"),
        ("v", "CREATE TABLE t (x INT)", "a view is one SELECT"),
        ("v", "SHOW TABLES", "a view is one SELECT"),
        ("v", "SELECT * FROM nothing", "nothing"),
        (
            "v",
            "SELECT acount_id FROM events",
            "did you mean account_id?",
        ),
        (
            "v",
            "SELECT * FROM events WHERE account_id = $1",
            "placeholder $1 has no value",
        ),
        (
            "v",
            "SELECT * FROM health_scores(model => $1)",
            "placeholder $1 has no value",
        ),
        (
            "v",
            "SELECT * FROM health_scores(model => 'none')",
            "there is no model 'none'",
        ),
        ("v", "SELECT * FROM 'x.parquet'", "refused"),
    ] {
        refused(&engine, name, sql, expected).await;
    }
}

#[tokio::test]
async fn versions_and_drops() {
    let engine = engine();
    engine.apply_view("v", "SELECT 1 AS x").await.unwrap();
    // The same text stores nothing, whatever surrounds it.
    let again = engine.apply_view("v", "  SELECT 1 AS x ; ").await.unwrap();
    assert_eq!(again.version, 1);
    engine.apply_view("v", "SELECT 2 AS x").await.unwrap();
    engine.apply_view("a", "SELECT 3 AS x").await.unwrap();
    assert_eq!(answer(&engine, "SELECT * FROM v").await, [["2"]]);
    let dropped = engine.drop_view("v").await.unwrap();
    assert_eq!((dropped.version, dropped.sql), (3, None));
    let error = error_of(&engine, request("SELECT * FROM v")).await;
    assert!(error.to_string().contains('v'), "{error}");
    for name in ["v", "never", "account_health"] {
        let error = engine.drop_view(name).await.expect_err(name);
        assert_eq!(error.to_string(), format!("there is no view {name}"));
    }
    let shown = |view: &ViewDescription| {
        (
            view.name.clone(),
            view.version,
            view.is_current,
            view.sql.clone(),
        )
    };
    let views: Vec<_> = engine.views().unwrap().iter().map(shown).collect();
    let row = |name: &str, version, is_current, sql: Option<&str>| {
        (name.to_owned(), version, is_current, sql.map(str::to_owned))
    };
    assert_eq!(
        views,
        [
            row("a", 1, true, Some("SELECT 3 AS x")),
            row("v", 1, false, Some("SELECT 1 AS x")),
            row("v", 2, false, Some("SELECT 2 AS x")),
            row("v", 3, false, None),
        ]
    );
    // It may come back.
    engine.apply_view("v", "SELECT 4 AS x").await.unwrap();
    assert_eq!(answer(&engine, "SELECT * FROM v").await, [["4"]]);
}

/// A view is seen from the `seq` on at which it was stored, as it was then.
#[tokio::test]
async fn a_view_at_a_seq() {
    let mut world = World::default();
    world.event("2025-03-10", "login", "acme", "ann");
    let store = world.store(Layout::Memory);
    let engine = crate::support::engine_over(&store);
    engine
        .apply_view("v", "SELECT count(*) AS n FROM events")
        .await
        .unwrap();
    let seq = store.snapshot().seq();
    let mut later = World::default();
    later.event("2025-03-11", "login", "acme", "ann").event_id = "later".to_owned();
    crate::support::append_at(&store, &later.rows, later.rows[0].time_us);
    engine.apply_view("v", "SELECT -1 AS n").await.unwrap();
    let at = |as_of_seq: i64, sql: &str| QueryRequest {
        as_of_seq: Some(as_of_seq),
        ..request(sql)
    };
    assert_eq!(rows(&engine, at(seq, "SELECT n FROM v")).await, [["1"]]);
    assert_eq!(
        rows(&engine, at(seq + 1, "SELECT n FROM v")).await,
        [["-1"]]
    );
    let error = error_of(&engine, at(0, "SELECT n FROM v")).await;
    assert!(error.to_string().contains('v'), "{error}");
}

const TABLES: &str = "SELECT table_name, table_type FROM information_schema.tables
    WHERE table_schema = 'public' AND table_name NOT LIKE 'health%' ORDER BY 1";

#[tokio::test]
async fn views_are_listed() {
    let engine = engine();
    engine
        .apply_view("busy", "SELECT account_id AS who, 1 AS n FROM accounts")
        .await
        .unwrap();
    let names: Vec<String> = answer(&engine, TABLES)
        .await
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    let expected = [
        "account_health",
        "accounts",
        "busy",
        "event_catalog",
        "events",
        "memberships",
        "user_health",
        "users",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        answer(&engine, "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'busy'").await,
        [["who", "Utf8"], ["n", "Int64"]]
    );
    let definition = "SELECT definition FROM information_schema.views WHERE table_name = 'busy'";
    assert_eq!(
        answer(&engine, definition).await,
        [["SELECT account_id AS who, 1 AS n FROM accounts"]]
    );
    let shown = answer(&engine, "SHOW TABLES").await;
    assert!(
        shown.iter().any(|row| row.contains(&"busy".to_owned())),
        "{shown:?}"
    );
    let columns = answer(&engine, "SHOW COLUMNS FROM busy").await;
    assert_eq!(columns.len(), 2, "{columns:?}");
    let described = answer(&engine, "DESCRIBE busy").await;
    assert_eq!(described.len(), 2, "{described:?}");
    let columns = answer(&engine, "SHOW COLUMNS FROM account_health").await;
    assert_eq!(columns.len(), 38, "{columns:?}");
}

/// One that cannot be planned any more says so where it is named, and harms nothing else.
#[tokio::test]
async fn a_broken_view_breaks_nothing_else() {
    let engine = engine();
    engine
        .apply_view("base", "SELECT account_id FROM accounts")
        .await
        .unwrap();
    engine
        .apply_view("over", "SELECT account_id FROM base")
        .await
        .unwrap();
    engine.apply_view("well", "SELECT 1 AS x").await.unwrap();
    engine.drop_view("base").await.unwrap();
    let error = error_of(&engine, request("SELECT * FROM over")).await;
    assert!(error.to_string().contains("base"), "{error}");
    let names: Vec<String> = answer(&engine, TABLES)
        .await
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    assert!(
        names.contains(&"well".to_owned()) && !names.contains(&"base".to_owned()),
        "{names:?}"
    );
    assert!(!answer(&engine, "SHOW TABLES").await.is_empty());
    assert_eq!(answer(&engine, "SELECT * FROM well").await, [["1"]]);
    assert_eq!(
        answer(&engine, "SELECT count(*) FROM events").await,
        [["5"]]
    );
    // A view of a listing's name does not stand in for the listing.
    engine
        .apply_view("tables", "SELECT account_id FROM well, accounts")
        .await
        .unwrap();
    engine.drop_view("well").await.unwrap();
    assert!(!answer(&engine, TABLES).await.is_empty());
}

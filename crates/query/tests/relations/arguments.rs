//! The arguments of the relations, and the places where a relation may stand.

use vitalog_query::{Parameter, QueryEngine, QueryErrorKind, QueryRequest};

use crate::support::{Layout, answer, error_of, request, rows};
use crate::world::World;

const DAY: &str = "as_of => DATE '2025-03-31'";

fn engine() -> QueryEngine {
    let mut world = World::default();
    world.events(3, "2025-03-10", "login", "acme", "ann");
    world.events(1, "2025-03-10", "login", "acme", "bob");
    world.events(2, "2025-03-20", "login", "globex", "ann");
    world.engine(
        Layout::Mixed,
        &["name = \"m\"\nweight = [{ event = \"*\", weight = 2 }]"],
    )
}

async fn refused(engine: &QueryEngine, from: &str, expected: &str) {
    let error = error_of(engine, request(&format!("SELECT * FROM {from}"))).await;
    assert_eq!(error.kind(), QueryErrorKind::Invalid, "{from}: {error}");
    let shown = error.to_string();
    assert!(
        shown.contains(expected),
        "{from}:\n{shown}\ninstead of\n{expected}"
    );
}

#[tokio::test]
async fn what_is_refused_is_named() {
    let engine = engine();
    for (from, expected) in [
        (
            "health_scores(modell => 'm')",
            "health_scores has no argument modell; it has model, as_of, known_at, version, entity",
        ),
        (
            "health_scores(account => 'acme')",
            "health_scores has no argument account; it has",
        ),
        (
            "sessions(model => 'm')",
            "sessions has no argument model; it has gap, since, until, known_at",
        ),
        (
            "health_scores('m')",
            "health_scores: arguments are named, as in health_scores(model => …), and 'm' is not",
        ),
        ("health_scores(*)", "health_scores: arguments are named"),
        (
            "account_signals(model => 'm', model => 'm')",
            "account_signals: model is given twice",
        ),
        (
            "health_scores(model => 5)",
            "health_scores: model: is text, not 5",
        ),
        (
            "health_scores(version => 'one')",
            "health_scores: version: is a whole number, not one",
        ),
        (
            "health_scores(version => 1.5)",
            "health_scores: version: is a whole number, not 1.5",
        ),
        (
            "health_scores(model => 'm', version => 7)",
            "health_scores: version: model 'm' has no version 7; the one in force is 1",
        ),
        (
            "health_scores(version => -1)",
            "model 'default' has no version -1; the one in force is 0",
        ),
        (
            "health_steps(entity => 'team')",
            "health_steps: entity: 'team' is none of 'account', 'user', 'member'",
        ),
        (
            "health_explain(model => 'n')",
            "health_explain: model: there is no model 'n'; there are 'default', 'm'",
        ),
        (
            "health_scores(as_of => 5)",
            "health_scores: as_of: is a TIMESTAMP or a DATE, not 5",
        ),
        (
            "health_scores(as_of => 'soon')",
            "health_scores: as_of: is a TIMESTAMP or a DATE, not soon",
        ),
        (
            "health_scores(as_of => TRUE)",
            "health_scores: as_of: is a TIMESTAMP or a DATE, not true",
        ),
        (
            "health_scores(known_at => '')",
            "health_scores: known_at: is a TIMESTAMP or a DATE, not ",
        ),
        (
            "health_history(every => 'fortnight')",
            "health_history: every: is 'day', 'week'",
        ),
        (
            "health_history(every => INTERVAL '0 days')",
            "health_history: every: is 'day', 'week'",
        ),
        (
            "health_history(every => INTERVAL '-1 day')",
            "health_history: every: is 'day', 'week'",
        ),
        (
            "health_history(every => 7)",
            "health_history: every: is 'day', 'week'",
        ),
        (
            "health_history(since => DATE '2025-03-02', until => DATE '2025-03-01')",
            "health_history: since: lies after until",
        ),
        (
            "health_history(every => INTERVAL '1 hour', since => DATE '2025-03-01', until => DATE '2025-03-31')",
            "health_history: every: gives more than 400 instants; take a longer step",
        ),
        (
            "sessions(gap => INTERVAL '1 month')",
            "sessions: gap: is an INTERVAL without months",
        ),
        (
            "sessions(gap => INTERVAL '-1 second')",
            "sessions: gap: is an INTERVAL without months",
        ),
        (
            "sessions(gap => 30)",
            "sessions: gap: is an INTERVAL without months",
        ),
        (
            "health_scores(model => $1)",
            "placeholder $1 has no value; 0 parameters were given",
        ),
        (
            "health_scores(model => (SELECT 'm'))",
            "health_scores: model: is one value for the statement: a literal, $1, or an expression of them",
        ),
        (
            "health_scores(version => random())",
            "health_scores: version: is one value for the statement",
        ),
        (
            "health_scores(version => max(1))",
            "health_scores: version: is one value for the statement",
        ),
        (
            "events e CROSS JOIN LATERAL health_scores(model => e.event)",
            "column",
        ),
        (
            "health_explain(account => 'acme', entity => 'user')",
            "health_explain: account: rows are of entity 'user', which has none",
        ),
        (
            "health_explain(user => 'ann')",
            "health_explain: user: rows are of entity 'account', which has none",
        ),
        (
            "helth_scores(model => 'm')",
            "there is no relation helth_scores; did you mean health_scores?",
        ),
        (
            "helth_scores()",
            "there is no table function helth_scores; did you mean health_scores?",
        ),
        (
            "public.health_scores(model => 'm')",
            "there is no relation public.health_scores; did you mean health_scores?",
        ),
        (
            "health_scores",
            "health_scores is called with brackets, as in health_scores()",
        ),
        (
            "acount_health",
            "there is no table acount_health; did you mean account_health?",
        ),
    ] {
        refused(&engine, from, expected).await;
    }
}

#[tokio::test]
async fn what_is_taken() {
    let engine = engine();
    let all = [["acme", "8.0"], ["globex", "4.0"]];
    for arguments in [
        format!("model => 'm', {DAY}"),
        format!("{DAY}, model => 'm'"),
        format!("MODEL => 'm', {DAY}"),
        format!("\"model\" => 'm', {DAY}"),
        // NULL is as good as absent.
        format!("model => 'm', version => NULL, known_at => NULL, entity => NULL, {DAY}"),
        format!("model => concat('', 'm'), {DAY}, version => 2 - 1"),
        "model => 'm', as_of => TIMESTAMP '2025-03-31T00:00:00Z' + INTERVAL '24 hours'".to_owned(),
        format!("model => 'm', {DAY}, known_at => now() + INTERVAL '100 years'"),
        format!("model => 'm', {DAY}, version => CAST(1 AS SMALLINT)"),
        format!("model => arrow_cast('m', 'LargeUtf8'), {DAY}"),
    ] {
        let sql = format!("SELECT account_id, raw FROM health_scores({arguments}) ORDER BY 1");
        assert_eq!(answer(&engine, &sql).await, all, "{sql}");
    }
    for user in ["user => 'ann'", "\"user\" => 'ann'", "USER => 'ann'"] {
        let sql = format!(
            "SELECT account_id, user_id, count FROM health_explain(model => 'm', {DAY},
             entity => 'member', {user}) ORDER BY 1"
        );
        let expected = [["acme", "ann", "3"], ["globex", "ann", "2"]];
        assert_eq!(answer(&engine, &sql).await, expected, "{sql}");
    }
    let both = format!(
        "SELECT user_id FROM health_explain({DAY}, entity => 'member', user => 'ann', account => 'acme')"
    );
    assert_eq!(answer(&engine, &both).await, [["ann"]]);
    let nobody = format!("SELECT * FROM health_explain({DAY}, account => 'it''s nobody')");
    assert!(answer(&engine, &nobody).await.is_empty());
}

fn bound(sql: &str, parameters: &[Parameter]) -> QueryRequest {
    QueryRequest {
        parameters: parameters.to_vec(),
        ..request(sql)
    }
}

#[tokio::test]
async fn parameters() {
    let engine = engine();
    let text = |text: &str| Parameter::Text(text.to_owned());
    let sql = "SELECT account_id, raw FROM health_scores(model => $1, as_of => $2, version => $3,
         known_at => $4) WHERE raw > $5 ORDER BY 1";
    let end_us = 1_743_465_600_000_000;
    let day = Parameter::Date(20_178);
    for as_of in [
        day.clone(),
        Parameter::TimestampUs(end_us),
        text("2025-03-31"),
    ] {
        let parameters = [
            text("m"),
            as_of,
            Parameter::Integer(1),
            Parameter::Null,
            Parameter::Double(4.5),
        ];
        assert_eq!(
            rows(&engine, bound(sql, &parameters)).await,
            [["acme", "8.0"]]
        );
    }
    // The same one twice, in a view's place, and in an explained statement.
    let twice = "SELECT h.account_id, e.count FROM health_scores(as_of => $1) h
         JOIN health_explain(as_of => $1, account => $2) e ON h.account_id = e.account_id";
    let found = rows(&engine, bound(twice, &[day.clone(), text("globex")])).await;
    assert_eq!(found, [["globex", "2"]]);
    let explained = format!("EXPLAIN {twice}");
    assert!(
        !rows(&engine, bound(&explained, &[day.clone(), text("globex")]))
            .await
            .is_empty()
    );

    for (sql, parameters, expected) in [
        (
            "SELECT * FROM health_scores(model => $2)",
            vec![text("m")],
            "placeholder $2 has no value; 1 parameters were given",
        ),
        (
            "SELECT * FROM health_scores(model => $1)",
            vec![text("m"), day.clone()],
            "parameter 2 was given, and the statement has no $2",
        ),
        (
            "SELECT * FROM health_scores(model => $1)",
            vec![Parameter::Integer(3)],
            "health_scores: model: is text, not 3",
        ),
        (
            "SELECT * FROM health_scores(version => $1)",
            vec![Parameter::Boolean(true)],
            "health_scores: version: is a whole number, not true",
        ),
        (
            "SELECT * FROM health_scores(as_of => $1)",
            vec![Parameter::Double(1.5)],
            "health_scores: as_of: is a TIMESTAMP or a DATE, not 1.5",
        ),
    ] {
        let error = error_of(&engine, bound(sql, &parameters)).await;
        assert!(error.to_string().contains(expected), "{sql}: {error}");
    }
}

/// A relation stands where a table may.
#[tokio::test]
async fn places() {
    let engine = engine();
    let scores = format!("health_scores({DAY})");
    for (sql, expected) in [
        (
            format!("WITH h AS (SELECT * FROM {scores}) SELECT count(*) FROM h, h AS g"),
            "4",
        ),
        (
            format!(
                "SELECT count(*) FROM {scores} AS h JOIN accounts a ON h.account_id = a.account_id WHERE h.raw > 1"
            ),
            "2",
        ),
        (
            format!("SELECT count(*) FROM accounts a LEFT JOIN {scores} USING (account_id)"),
            "2",
        ),
        (format!("SELECT (SELECT max(raw) FROM {scores})"), "4.0"),
        (
            format!(
                "SELECT count(*) FROM accounts WHERE account_id IN (SELECT account_id FROM {scores} WHERE raw > 3)"
            ),
            "1",
        ),
        (
            format!(
                "SELECT count(*) FROM accounts a WHERE EXISTS (SELECT 1 FROM {scores} h WHERE h.account_id = a.account_id AND h.raw > 3)"
            ),
            "1",
        ),
        (
            format!(
                "SELECT count(*) FROM (SELECT raw FROM {scores} UNION ALL SELECT raw FROM {scores})"
            ),
            "4",
        ),
        (
            format!(
                "SELECT sum(r) FROM (SELECT raw AS r FROM {scores} UNION SELECT raw FROM health_scores(model => 'm', {DAY}))"
            ),
            "14.0",
        ),
        (
            format!("SELECT max(health_scores.raw) FROM {scores}"),
            "4.0",
        ),
        (
            format!("SELECT h.raw FROM HEALTH_SCORES({DAY}) h WHERE h.account_id = 'acme'"),
            "4.0",
        ),
        (
            format!("SELECT account_id FROM {scores} QUALIFY row_number() OVER (ORDER BY raw) = 1"),
            "globex",
        ),
        (
            format!(
                "SELECT count(*) FROM {scores} WHERE score > (SELECT avg(score) FROM {scores})"
            ),
            "1",
        ),
        (
            format!(
                "SELECT round(avg(score), 3) FROM {scores} WHERE account_id LIKE '%' GROUP BY model"
            ),
            "89.13",
        ),
        (
            format!(
                "SELECT account_id FROM {scores} ORDER BY score DESC NULLS LAST OFFSET 1 LIMIT 1"
            ),
            "globex",
        ),
    ] {
        assert_eq!(answer(&engine, &sql).await, [[expected]], "{sql}");
    }
    // Whatever stands in its place is planned, so that it can be explained.
    let explained = answer(
        &engine,
        &format!("EXPLAIN SELECT raw FROM {scores} WHERE raw > 3"),
    )
    .await;
    assert!(
        explained.concat().concat().contains("EventsScan"),
        "{explained:?}"
    );
    let analysed = answer(
        &engine,
        &format!("EXPLAIN ANALYZE SELECT raw FROM {scores}"),
    )
    .await;
    assert!(
        analysed.concat().concat().contains("rows_considered"),
        "{analysed:?}"
    );
    let refused = error_of(
        &engine,
        request(&format!("SELECT * FROM {scores} h WHERE rw > 1")),
    )
    .await;
    assert!(refused.to_string().contains("did you mean"), "{refused}");
}

//! What is known before the first row is checked before the first row.
#![allow(clippy::unwrap_used)]

use datafusion::prelude::SessionContext;

/// The reason for which a query is refused while it is planned, never run.
async fn refused(sql: &str) -> String {
    let mut context = SessionContext::new();
    vitalog_functions::register_all(&mut context).unwrap();
    context
        .sql("CREATE TABLE t AS SELECT now() AS ts, 1.0 AS x, 'login' AS event")
        .await
        .unwrap();
    let planned = match context.sql(sql).await {
        Ok(frame) => frame.into_optimized_plan().map(|_| ()),
        Err(error) => Err(error),
    };
    planned.expect_err(sql).to_string()
}

#[tokio::test]
async fn literals_out_of_range() {
    let between = "p must lie strictly between 0 and 1";
    for (sql, reason) in [
        ("SELECT health_score(x, 5, 1.5) FROM t", between),
        (
            "SELECT health_score(x, 0) FROM t",
            "peg must be a finite number above 0",
        ),
        (
            "SELECT health_raw_for(0, x) FROM t",
            "score must lie between 1 and 100",
        ),
        ("SELECT health_peg(x, 0) FROM t", between),
        ("SELECT health_peg(x, p => 1) FROM t", between),
        ("SELECT health_normalize(x, -1) OVER () FROM t", between),
        (
            "SELECT health_normalize(x, 0.9, -1) OVER () FROM t",
            "curve must be a finite number",
        ),
        (
            "SELECT health_normalize(x, 0.9, 0, 'best') OVER () FROM t",
            "method must be 'curve'",
        ),
        (
            "SELECT longest_gap(ts, 'Berlin') FROM t",
            "tz must be a time zone",
        ),
        (
            "SELECT activity(ts, 'Berlin') FROM t",
            "tz must be a time zone",
        ),
        (
            "SELECT streak(ts, now(), 'Berlin') FROM t",
            "tz must be a time zone",
        ),
        (
            "SELECT health_band(x, 'NaN'::double, 1) FROM t",
            "red must be a number, got NaN",
        ),
        (
            "SELECT days_inactive(ts, arrow_cast(5000000, 'Date32')) FROM t",
            "as_of day",
        ),
    ] {
        let found = refused(sql).await;
        assert!(found.contains(reason), "{sql}: {found}");
    }
}

#[tokio::test]
async fn wrong_types() {
    for (sql, reason) in [
        (
            "SELECT health_score(event, 5) FROM t",
            "raw must be a number",
        ),
        (
            "SELECT health_normalize(event) OVER () FROM t",
            "raw must be a number",
        ),
        ("SELECT health_peg(ts) FROM t", "raw must be a number"),
        (
            "SELECT active_days(event, now(), now()) FROM t",
            "ts must be a timestamp or a date",
        ),
        (
            "SELECT streak(ts, as_of => '2025-01-01') FROM t",
            "as_of must be a timestamp or a date",
        ),
        (
            "SELECT feature_adoption(event, event) FROM t",
            "features must be a list of text",
        ),
        (
            "SELECT activation_rate(event, [1]) FROM t",
            "steps must be a list of text",
        ),
        (
            "SELECT activity_merge(event) FROM t",
            "state must be a state",
        ),
        ("SELECT activity_last(ts) FROM t", "a must be a state"),
        ("SELECT ratio(event, 1) FROM t", "n must be a number"),
        (
            "SELECT health_status(event) FROM t",
            "bands must be a list of text",
        ),
    ] {
        let found = refused(sql).await;
        assert!(found.contains(reason), "{sql}: {found}");
    }
}

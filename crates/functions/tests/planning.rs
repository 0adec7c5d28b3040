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
            "SELECT decayed_sum(x, ts, now(), -7) FROM t",
            "half_life must be longer than nothing, got -7 days",
        ),
        (
            "SELECT decayed_sum(x, ts, now(), INTERVAL '1 year') FROM t",
            "half_life must be given in days or less",
        ),
        (
            "SELECT decayed_sum(x, ts, arrow_cast(5000000, 'Date32'), 7) FROM t",
            "as_of day",
        ),
        (
            "SELECT quantile(quantile_sketch(x), 2) FROM t",
            "p must lie between 0 and 1",
        ),
        (
            "SELECT days_inactive(ts, arrow_cast(5000000, 'Date32')) FROM t",
            "as_of day",
        ),
        (
            "SELECT churn_risk([x], [1.5]) FROM t",
            "weights must lie between 0 and 1",
        ),
        (
            "SELECT churn_risk([-1, 0], [x, x]) FROM t",
            "severities must lie between 0 and 1",
        ),
        (
            "SELECT health_rollup([x], [-1]) FROM t",
            "weights must be a finite number",
        ),
        (
            "SELECT health_trend(x, 1, -2) FROM t",
            "threshold must be a finite number",
        ),
        (
            "SELECT health_severity(x, 'NaN'::double, 1) FROM t",
            "red must be a number, got NaN",
        ),
        (
            "SELECT activity_lifecycle(activity(ts), now(), 1.5) FROM t",
            "period must be a whole number of days",
        ),
        (
            "SELECT activity_lifecycle(activity(ts), now(), INTERVAL '1 month') FROM t",
            "period must be in days",
        ),
        (
            "SELECT session_start(ts, INTERVAL '-1 day') OVER () FROM t",
            "gap must not be negative",
        ),
        (
            "SELECT window_funnel(INTERVAL '-1 day', ts, [x > 1]) FROM t",
            "window must not be negative",
        ),
        (
            "SELECT window_funnel(INTERVAL '1 month', ts, [x > 1]) FROM t",
            "window must be in days or less",
        ),
        (
            "SELECT window_funnel(INTERVAL '1 day', ts, [x > 1], ['strict']) FROM t",
            "modes must be 'strict_order'",
        ),
        (
            "SELECT window_funnel(INTERVAL '1 day', ts, [x > 1], ['allow_reentry']) FROM t",
            "modes 'allow_reentry' needs 'strict_order'",
        ),
    ] {
        let found = refused(sql).await;
        assert!(found.contains(reason), "{sql}: {found}");
    }
}

/// 32 conditions are planned, 33 are not.
#[tokio::test]
async fn too_many_conditions() {
    let conditions = |count: usize| vec!["x > 1"; count].join(", ");
    for (call, reason) in [
        (
            "window_funnel(INTERVAL '1 day', ts, [LIST])",
            "window_funnel: steps must be at most 32, got 33",
        ),
        (
            "window_funnel(INTERVAL '1 day', ts, arrow_cast([LIST], 'FixedSizeList(33, Boolean)'))",
            "window_funnel: steps must be at most 32, got 33",
        ),
        (
            "retention([LIST])",
            "retention: conditions must be at most 32, got 33",
        ),
    ] {
        let sql = |count| format!("SELECT {} FROM t", call.replace("LIST", &conditions(count)));
        let found = refused(&sql(33)).await;
        assert!(found.contains(reason), "{call}: {found}");
    }
    let mut context = SessionContext::new();
    vitalog_functions::register_all(&mut context).unwrap();
    context
        .sql("CREATE TABLE t AS SELECT now() AS ts, 1.0 AS x")
        .await
        .unwrap();
    let sql = format!("SELECT retention([{}]) FROM t", conditions(32));
    let planned = context.sql(&sql).await.unwrap();
    planned.into_optimized_plan().unwrap();
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
        ("SELECT exact_sum(event) FROM t", "v must be a number"),
        ("SELECT exact_avg(ts) FROM t", "v must be a number"),
        (
            "SELECT decayed_sum(x, event, now(), 7) FROM t",
            "ts must be a timestamp or a date",
        ),
        (
            "SELECT decayed_sum(x, ts, now(), '7 days') FROM t",
            "half_life must be an interval or a number of days",
        ),
        (
            "SELECT roc_auc(x, event) FROM t",
            "label must be true or false",
        ),
        (
            "SELECT roc_auc(event, true) FROM t",
            "score must be a number",
        ),
        ("SELECT quantile_sketch(event) FROM t", "v must be a number"),
        (
            "SELECT quantile_merge(x) FROM t",
            "state must be a sketch, which is binary",
        ),
        (
            "SELECT quantile(event, 0.5) FROM t",
            "sketch must be a sketch, which is binary",
        ),
        ("SELECT uniq_sketch([x]) FROM t", "v must be text, a number"),
        ("SELECT uniq_merge(event) FROM t", "state must be a sketch"),
        ("SELECT uniq_count(x) FROM t", "sketch must be a sketch"),
        ("SELECT ratio(event, 1) FROM t", "n must be a number"),
        (
            "SELECT health_status(event) FROM t",
            "bands must be a list of text",
        ),
        (
            "SELECT churn_risk(['a'], [1]) FROM t",
            "severities must be a list of numbers",
        ),
        (
            "SELECT health_rollup([x], x) FROM t",
            "weights must be a list of numbers",
        ),
        (
            "SELECT health_trend(x, event) FROM t",
            "prev must be a number",
        ),
        (
            "SELECT health_severity(event, 1, 2) FROM t",
            "v must be a number",
        ),
        (
            "SELECT activity_lifecycle(ts, now(), 7) FROM t",
            "a must be a state",
        ),
        (
            "SELECT activity_lifecycle(activity(ts), now(), event) FROM t GROUP BY event",
            "period must be a number of days",
        ),
        (
            "SELECT session_start(event, INTERVAL '1 day') OVER () FROM t",
            "ts must be a timestamp",
        ),
        (
            "SELECT session_start(ts, '1 day') OVER () FROM t",
            "gap must be an interval",
        ),
        (
            "SELECT window_funnel(7, ts, [x > 1]) FROM t",
            "window must be an interval",
        ),
        (
            "SELECT window_funnel(INTERVAL '1 day', event, [x > 1]) FROM t",
            "ts must be a timestamp",
        ),
        (
            "SELECT window_funnel(INTERVAL '1 day', ts, x > 1) FROM t",
            "steps must be a list of conditions",
        ),
        (
            "SELECT window_funnel(INTERVAL '1 day', ts, [x > 1], 'strict_order') FROM t",
            "modes must be a list of text",
        ),
        (
            "SELECT retention(x > 1) FROM t",
            "conditions must be a list of conditions",
        ),
    ] {
        let found = refused(sql).await;
        assert!(found.contains(reason), "{sql}: {found}");
    }
}

//! Sessions: runs of a member's events without a silence longer than the gap.

use std::collections::BTreeSet;

use datafusion::error::DataFusionError;

use super::population::{key_list, keys_known};
use super::scores::ScoreQuery;
use super::{Script, rules, text};
use crate::model::{SessionMeasure, SignalSource};

/// Microseconds of a minute.
const MINUTE_US: i64 = 60_000_000;

/// One row a session of the rows of `events` that fulfil `condition`.
fn sessions(gap_us: i64, condition: &str) -> String {
    let (seconds, micros) = (gap_us / 1_000_000, gap_us % 1_000_000);
    let gap = format!("INTERVAL '{seconds}.{micros:06} seconds'");
    format!(
        "SELECT account_id, user_id, min(event_time) AS start_at, max(event_time) AS end_at, \
         count(*) AS events FROM \
         (SELECT account_id, user_id, event_time, sum(CASE WHEN begins THEN 1 ELSE 0 END) \
         OVER (PARTITION BY account_id, user_id ORDER BY event_time, seq \
         ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS session FROM \
         (SELECT account_id, user_id, event_time, seq, session_start(event_time, {gap}) \
         OVER (PARTITION BY account_id, user_id ORDER BY event_time, seq) AS begins \
         FROM events WHERE {condition})) GROUP BY account_id, user_id, session"
    )
}

/// The relation.
pub(super) fn relation(gap_us: i64, since_us: i64, until_us: i64, columns: &[&str]) -> Script {
    let (since, until) = (text::instant(since_us), text::instant(until_us));
    let condition = format!(
        "event_time >= {since} AND event_time < {until} AND {}",
        rules::NO_ACTIVITY
    );
    let shown: Vec<String> = columns
        .iter()
        .map(|&column| match column {
            "minutes" => format!("{} AS minutes", minutes("")),
            other => text::name(other),
        })
        .collect();
    let rows = sessions(gap_us, &condition);
    Script::new(format!("SELECT {} FROM ({rows})", shown.join(", ")), vec![])
}

/// Minutes of a session, or of all with an aggregate around the microseconds.
fn minutes(aggregate: &str) -> String {
    let us = "(CAST(end_at AS BIGINT) - CAST(start_at AS BIGINT))";
    format!("CAST({aggregate}{us} AS DOUBLE) / {MINUTE_US}.0")
}

/// The session signals of a model: one row an entity.
pub(super) fn of_entities(
    query: &ScoreQuery<'_>,
    columns: &BTreeSet<String>,
) -> Result<String, DataFusionError> {
    let model = query.question.model();
    let entity = query.question.entity;
    let (since_us, until_us) = query.period()?;
    let condition = format!(
        "{} AND {}",
        keys_known(entity),
        rules::activity(model, since_us, until_us)
    );
    let gap_us = i64::from(model.session_gap_minutes) * MINUTE_US;
    let aggregates: Vec<String> = columns
        .iter()
        .map(|column| {
            let sql = match query.signal(column).map(|signal| &signal.source) {
                Some(SignalSource::Sessions(SessionMeasure::TotalMinutes)) => minutes("sum"),
                Some(SignalSource::Sessions(SessionMeasure::MeanMinutes)) => {
                    format!("{} / CAST(count(*) AS DOUBLE)", minutes("sum"))
                }
                _ => "CAST(count(*) AS DOUBLE)".to_owned(),
            };
            format!("{sql} AS {}", text::name(column))
        })
        .collect();
    let keys = key_list(entity, "");
    let rows = sessions(gap_us, &condition);
    Ok(format!(
        "SELECT {keys}, {} FROM ({rows}) GROUP BY {keys}",
        aggregates.join(", ")
    ))
}

/// Whether an entity without a session has 0, not NULL.
pub(super) fn is_zero_without(measure: SessionMeasure) -> bool {
    matches!(
        measure,
        SessionMeasure::Count | SessionMeasure::TotalMinutes
    )
}

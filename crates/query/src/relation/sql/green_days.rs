//! `healthy_days`: the run of green days that ends today, scored daily in one look at the events.
//!
//! Each day is scored as the question at its end would be: the raw score of the period that ends
//! with it, the peg of the entities that had not churned by then. Traits are those of today.

use datafusion::error::DataFusionError;

use super::metrics::score_of;
use super::population::{key_list, keys_equal, keys_known, with_churned};
use super::scores::ScoreQuery;
use super::{rules, text};
use crate::model::{Method, Metric, WEIGHT_UNITS};

/// One row an entity with `healthy_days`.
pub(super) fn green_days(query: &ScoreQuery<'_>) -> Result<String, DataFusionError> {
    let model = query.question.model();
    let entity = query.question.entity;
    let (period, back) = (
        i64::from(model.period_days),
        i64::from(model.healthy_days_max),
    );
    let today = i64::from(query.today()?);
    let (keys, keys_p) = (key_list(entity, ""), key_list(entity, "p."));
    let units = units_by_day(query)?;
    let population = with_churned(&query.question, query.moment, query.scope);
    let equal = keys_equal(entity, "p", "u");
    let first = today - back - period + 2;
    // Whoever churns after the moment has not churned on any of these days.
    let churned = format!(
        "CASE WHEN churned_at < {} THEN local_day(churned_at) END AS churned_day",
        text::instant(query.moment.instant_us)
    );
    // Every entity on every day, with what the day adds to the raw score.
    let grid = format!(
        "SELECT {keys_p}, d.value AS day, p.churned_day, coalesce(u.units, 0) AS units \
         FROM (SELECT {keys}, {churned} FROM ({population})) p \
         CROSS JOIN generate_series({first}, {today}) AS d \
         LEFT JOIN ({units}) u ON {equal} AND u.day = d.value"
    );
    let preceding = period - 1;
    let unit = text::double(WEIGHT_UNITS as f64);
    let raw = format!(
        "SELECT *, CAST(sum(units) OVER (PARTITION BY {keys} ORDER BY day \
         ROWS BETWEEN {preceding} PRECEDING AND CURRENT ROW) AS DOUBLE) / {unit} AS raw \
         FROM ({grid})"
    );
    let oldest = today - back + 1;
    // Whoever churned on a day or before is no part of that day's population.
    let seen = format!(
        "SELECT * FROM ({raw}) WHERE day >= {oldest} AND (churned_day IS NULL OR churned_day > day)"
    );
    let scored = format!(
        "SELECT *, {} AS score FROM ({})",
        score(query),
        pegged(query, &seen)
    );
    let green = model.thresholds_of(Metric::Score).map_or_else(
        || "FALSE".to_owned(),
        |limits| text::is_green("score", limits),
    );
    Ok(format!(
        "SELECT {keys}, {today} - coalesce(max(day) FILTER (WHERE NOT coalesce({green}, FALSE)), \
         {}) AS healthy_days FROM ({scored}) GROUP BY {keys}",
        oldest - 1,
    ))
}

fn pegged(query: &ScoreQuery<'_>, rows: &str) -> String {
    let model = query.question.model();
    if model.method == Method::Rank {
        return rows.to_owned();
    }
    let own = format!(
        "health_peg(raw, {}) OVER (PARTITION BY day)",
        text::double(model.percentile)
    );
    let floor = model.peg_floor.map(text::double);
    let at_least = match &floor {
        Some(floor) => format!("greatest(coalesce({own}, {floor}), {floor})"),
        None => own,
    };
    let few = floor.unwrap_or_else(|| "CAST(NULL AS DOUBLE)".to_owned());
    format!(
        "SELECT *, CASE WHEN count(*) FILTER (WHERE raw > 0) OVER (PARTITION BY day) < {} \
         THEN {few} ELSE {at_least} END AS peg FROM ({rows})",
        model.min_population
    )
}

fn score(query: &ScoreQuery<'_>) -> String {
    let model = query.question.model();
    match model.method {
        Method::Rank => format!(
            "health_normalize(raw, {}, CAST(NULL AS DOUBLE), 'rank') OVER (PARTITION BY day)",
            text::double(model.percentile)
        ),
        Method::Peg | Method::Winsor => score_of(model, "raw"),
    }
}

/// What each entity's local days add to the raw score, in units.
fn units_by_day(query: &ScoreQuery<'_>) -> Result<String, DataFusionError> {
    let model = query.question.model();
    let keys = key_list(query.question.entity, "");
    let days = model.healthy_days_max + model.period_days - 1;
    let since_us = query.since_us(days)?;
    let condition = rules::activity(model, since_us, query.moment.instant_us);
    let known = keys_known(query.question.entity);
    let uncapped = format!(
        "SELECT {keys}, local_day(event_time) AS day, CAST({} AS DECIMAL(38, 0)) AS units \
         FROM events WHERE {known} AND {condition}",
        rules::uncapped_units(model)
    );
    let rows = if rules::has_caps(model) {
        let capped = query.counts_by_day_since(since_us);
        format!(
            "{uncapped} UNION ALL SELECT {keys}, day, \
             CAST(least(n, cap) * units AS DECIMAL(38, 0)) AS units \
             FROM ({capped}) WHERE cap IS NOT NULL"
        )
    } else {
        uncapped
    };
    Ok(format!(
        "SELECT {keys}, day, sum(units) AS units FROM ({rows}) GROUP BY {keys}, day"
    ))
}

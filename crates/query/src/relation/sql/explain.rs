//! `health_explain`: what each event adds to an entity's raw score and score.

use std::collections::BTreeSet;

use datafusion::error::DataFusionError;

use super::metrics::score_of;
use super::population::{key_list, keys_equal};
use super::scores::ScoreQuery;
use super::{Script, rules, shared_column, text};
use crate::model::{Entity, EventSet, Method, Metric, Model, WEIGHT_UNITS};
use crate::relation::moment::Moment;
use crate::relation::question::Question;
use crate::relation::scope::Scope;

/// Counts from here on are no counts: they do not fit a BIGINT.
const COUNT_MAX: f64 = 9e18;

/// The relation, of one account or user where they are named.
pub(super) fn health_explain(
    question: &Question,
    moment: Moment,
    (account, user): (Option<&str>, Option<&str>),
    columns: &[&str],
    scope: &Scope,
) -> Result<Script, DataFusionError> {
    let query = ScoreQuery::new(question, moment, scope);
    let model = question.model();
    let scored = ["raw", "peg", "score"].map(str::to_owned);
    let scores = query.sql(&BTreeSet::from(scored))?;
    let chosen = chosen(question.entity, account, user);
    let scores = format!("SELECT * FROM ({scores}){chosen}");
    let counts = counts(&query, &chosen)?;
    // Keys of the events: a filter on them reaches the scan, which one on the population does not.
    let keys = key_list(question.entity, "c.");
    let equal = keys_equal(question.entity, "s", "c");
    let rows = format!(
        "SELECT {keys}, s.raw, s.peg, s.score, c.event, c.rule, c.count, c.counted, c.units \
         FROM ({scores}) s JOIN ({counts}) c ON {equal}"
    );
    let unit = text::double(WEIGHT_UNITS as f64);
    let weighed = format!(
        "SELECT *, CAST(CASE rule {} END AS DOUBLE) / {unit} AS weight, \
         CAST(units AS DOUBLE) / {unit} AS contribution FROM ({rows})",
        weights(model)
    );
    let shown: Vec<String> = columns
        .iter()
        .map(|&column| {
            shared_column(column, question, moment).unwrap_or_else(|| {
                format!("{} AS {}", column_of(column, model), text::name(column))
            })
        })
        .collect();
    let sql = format!("SELECT {} FROM ({weighed})", shown.join(", "));
    Ok(Script::new(sql, vec![]))
}

fn column_of(column: &str, model: &Model) -> String {
    match column {
        "position" => "CAST(rule AS BIGINT)".to_owned(),
        "share" => "ratio(contribution, raw)".to_owned(),
        "points" => "CASE WHEN raw IS NULL OR score IS NULL THEN NULL WHEN raw <= 0 THEN 0.0 \
                     ELSE (score - 1.0) * contribution / raw END"
            .to_owned(),
        "to_green" => to_green(model),
        other => text::name(other),
    }
}

/// Further counts of the row's event that make the score green. A cap may keep some of them from
/// counting; an event that is weighed by its value has no count that does.
fn to_green(model: &Model) -> String {
    let never = "CAST(NULL AS BIGINT)".to_owned();
    let (Some(green), false) = (
        model.thresholds_of(Metric::Score),
        model.method == Method::Rank,
    ) else {
        return never;
    };
    let is_out_of_reach = green.green > 100.0 || (green.green == 100.0 && !green.green_inclusive);
    if green.lower_is_better || is_out_of_reach {
        return never;
    }
    let by_value: Vec<String> = model
        .weights
        .iter()
        .enumerate()
        .filter(|(_, weight)| weight.times_value)
        .map(|(at, _)| (at + 1).to_string())
        .collect();
    let is_by_value = match by_value.is_empty() {
        true => "FALSE".to_owned(),
        false => format!("rule IN ({})", by_value.join(", ")),
    };
    let level = text::double(green.green.max(1.0));
    let needed = match model.method {
        Method::Winsor => format!("peg * {level} / 100.0"),
        Method::Peg | Method::Rank => {
            let percentile = text::double(model.percentile);
            let curve = model
                .curve
                .map_or_else(String::new, |curve| format!(", {}", text::double(curve)));
            format!("health_raw_for({level}, peg, {percentile}{curve})")
        }
    };
    let counts = format!("ceil(({needed} - raw) / weight)");
    let count = format!("CAST({counts} AS BIGINT)");
    // The inverse of the curve is rounded: where it falls short, one more count makes it green.
    let reached = score_of(model, &format!("(raw + weight * {count})"));
    let reached = text::is_green(&format!("({reached})"), green);
    let now = text::is_green("score", green);
    format!(
        "CASE WHEN {now} THEN 0 WHEN weight <= 0 OR {is_by_value} OR peg IS NULL THEN NULL \
         WHEN {counts} >= {COUNT_MAX:?} THEN NULL WHEN {reached} THEN {count} ELSE {count} + 1 END"
    )
}

fn weights(model: &Model) -> String {
    let branches: Vec<String> = model
        .weights
        .iter()
        .enumerate()
        .map(|(at, weight)| format!("WHEN {} THEN {}", at + 1, weight.units))
        .collect();
    branches.join(" ")
}

/// Counts and units by entity, event and rule: those that occurred, and those that the model names.
fn counts(query: &ScoreQuery<'_>, chosen: &str) -> Result<String, DataFusionError> {
    let model = query.question.model();
    let keys = key_list(query.question.entity, "");
    let occurred = if rules::has_caps(model) {
        capped_counts(query)?
    } else {
        plain_counts(query)?
    };
    let named = named_events(model);
    if named.is_empty() {
        return Ok(format!("SELECT * FROM ({occurred}){chosen}"));
    }
    let population = query.population();
    // Named events that did not occur count 0, so that a reader sees what is missing.
    Ok(format!(
        "SELECT {keys}, event, rule, sum(count) AS count, sum(counted) AS counted, \
         sum(units) AS units FROM (SELECT {keys}, event, rule, count, counted, units \
         FROM ({occurred}){chosen} UNION ALL SELECT {keys}, n.column1 AS event, \
         n.column2 AS rule, 0 AS count, 0 AS counted, CAST(0 AS DECIMAL(38, 0)) AS units \
         FROM (SELECT {keys} FROM ({population}){chosen}) CROSS JOIN (VALUES {}) n) \
         GROUP BY {keys}, event, rule",
        named.join(", ")
    ))
}

/// Without caps every row counts.
fn plain_counts(query: &ScoreQuery<'_>) -> Result<String, DataFusionError> {
    let model = query.question.model();
    let keys = key_list(query.question.entity, "");
    let known = super::population::keys_known(query.question.entity);
    let (since_us, until_us) = query.period()?;
    let condition = rules::activity(model, since_us, until_us);
    let (rule, units) = (rules::rule(model), rules::uncapped_units(model));
    Ok(format!(
        "SELECT {keys}, event, CAST(rule AS BIGINT) AS rule, count(*) AS count, \
         count(*) AS counted, \
         coalesce(sum(CAST(units AS DECIMAL(38, 0))), CAST(0 AS DECIMAL(38, 0))) AS units FROM \
         (SELECT {keys}, event, {rule} AS rule, {units} AS units FROM events \
         WHERE {known} AND {condition}) WHERE rule IS NOT NULL GROUP BY {keys}, event, rule"
    ))
}

/// With caps rows are counted by member and day first.
fn capped_counts(query: &ScoreQuery<'_>) -> Result<String, DataFusionError> {
    let model = query.question.model();
    let keys = key_list(query.question.entity, "");
    let days = query.counts_by_day()?;
    let counted = "least(n, coalesce(cap, n))";
    let mut rows = format!(
        "SELECT {keys}, event, CAST(rule AS BIGINT) AS rule, n AS count, {counted} AS counted, \
         CAST({counted} * units AS DECIMAL(38, 0)) AS units FROM ({days})"
    );
    let by_value: Vec<String> = (1..)
        .zip(&model.weights)
        .filter(|(_, weight)| weight.times_value)
        .map(|(at, _): (usize, _)| at.to_string())
        .collect();
    if !by_value.is_empty() {
        let by_value = by_value.join(", ");
        let plain = plain_counts(query)?;
        rows = format!(
            "{rows} WHERE rule NOT IN ({by_value}) UNION ALL \
             SELECT * FROM ({plain}) WHERE rule IN ({by_value})"
        );
    }
    Ok(format!(
        "SELECT {keys}, event, rule, sum(count) AS count, sum(counted) AS counted, \
         sum(units) AS units FROM ({rows}) GROUP BY {keys}, event, rule"
    ))
}

/// The events that rules name, each with its rule, as rows of VALUES.
fn named_events(model: &Model) -> Vec<String> {
    let mut rows = Vec::new();
    for (at, weight) in model.weights.iter().enumerate() {
        if let EventSet::Named(events) = &weight.events {
            let row =
                |event: &String| format!("({}, CAST({} AS BIGINT))", text::text(event), at + 1);
            rows.extend(events.iter().map(row));
        }
    }
    rows
}

/// ` WHERE` with the one account or user, or nothing.
fn chosen(entity: Entity, account: Option<&str>, user: Option<&str>) -> String {
    let mut conditions = Vec::new();
    if let Some(account) = account.filter(|_| entity != Entity::User) {
        conditions.push(format!("account_id = {}", text::text(account)));
    }
    if let Some(user) = user.filter(|_| entity != Entity::Account) {
        conditions.push(format!("user_id = {}", text::text(user)));
    }
    if conditions.is_empty() {
        return String::new();
    }
    format!(" WHERE {}", conditions.join(" AND "))
}

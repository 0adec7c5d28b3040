//! The weight rules of a model as SQL over rows of `events`: the first rule that matches takes the
//! row.

use super::text;
use crate::model::{EventSet, Model, SqlText, Weight};

/// Names of events that are no activity.
pub(super) const NO_ACTIVITY: &str = "event NOT IN ('$group', '$identify')";

/// The rows of events of `set` that fulfil `filter`.
pub(super) fn matches(set: &EventSet, filter: Option<&SqlText>) -> String {
    let named = match set {
        EventSet::All => None,
        EventSet::Named(names) => Some(format!("event IN ({})", text::texts(names))),
    };
    let filter = filter.map(text::expression);
    match (named, filter) {
        (None, None) => "TRUE".to_owned(),
        (Some(only), None) | (None, Some(only)) => only,
        (Some(named), Some(filter)) => format!("{named} AND {filter}"),
    }
}

/// `CASE` over the rules in order, with `value` of each.
fn case(model: &Model, value: impl Fn(usize, &Weight) -> String, otherwise: &str) -> String {
    if model.weights.is_empty() {
        return otherwise.to_owned();
    }
    let branches: Vec<String> = model
        .weights
        .iter()
        .enumerate()
        .map(|(at, weight)| {
            let matched = matches(&weight.events, weight.filter.as_ref());
            format!("WHEN {matched} THEN {}", value(at, weight))
        })
        .collect();
    format!("CASE {} ELSE {otherwise} END", branches.join(" "))
}

/// The position of the row's rule, from 1; NULL where none matches.
pub(super) fn rule(model: &Model) -> String {
    case(model, |at, _| (at + 1).to_string(), "NULL")
}

/// The daily cap of the row's rule; NULL where it has none.
pub(super) fn cap_of_rule(model: &Model) -> String {
    by_rule(model, |weight| weight.daily_cap.map(|cap| cap.to_string()))
}

/// The weight of the row's rule in units.
pub(super) fn units_of_rule(model: &Model) -> String {
    by_rule(model, |weight| Some(weight.units.to_string()))
}

/// `CASE rule` over the rules that have a value.
fn by_rule(model: &Model, value: impl Fn(&Weight) -> Option<String>) -> String {
    let branches: Vec<String> = model
        .weights
        .iter()
        .enumerate()
        .filter_map(|(at, weight)| Some(format!("WHEN {} THEN {}", at + 1, value(weight)?)))
        .collect();
    if branches.is_empty() {
        return "CAST(NULL AS BIGINT)".to_owned();
    }
    format!("CASE rule {} END", branches.join(" "))
}

/// What a row adds to the raw score in units, as far as it stands for itself: capped rules are
/// counted by member and day (`capped`).
pub(super) fn uncapped_units(model: &Model) -> String {
    let needs_value = model.weights.iter().any(|weight| weight.times_value);
    let value = |_: usize, weight: &Weight| match (weight.daily_cap, weight.times_value) {
        (Some(_), _) => zero(needs_value),
        (None, true) => format!("weight_units(value, {})", weight.units),
        (None, false) if needs_value => format!("CAST({} AS DECIMAL(38, 0))", weight.units),
        (None, false) => weight.units.to_string(),
    };
    case(model, value, &zero(needs_value))
}

fn zero(is_decimal: bool) -> String {
    if is_decimal {
        "CAST(0 AS DECIMAL(38, 0))".to_owned()
    } else {
        "0".to_owned()
    }
}

/// Whether any rule has a daily cap.
pub(super) fn has_caps(model: &Model) -> bool {
    model
        .weights
        .iter()
        .any(|weight| weight.daily_cap.is_some())
}

/// The rows of a period that count as activity of the model.
pub(super) fn activity(model: &Model, since_us: i64, until_us: i64) -> String {
    let (since, until) = (text::instant(since_us), text::instant(until_us));
    format!(
        "event_time >= {since} AND event_time < {until} AND {NO_ACTIVITY}{}",
        and_event_filter(model)
    )
}

/// ` AND (…)` with the model's filter on events, or nothing.
pub(super) fn and_event_filter(model: &Model) -> String {
    model
        .event_filter
        .as_ref()
        .map_or_else(String::new, |filter| {
            format!(" AND {}", text::expression(filter))
        })
}

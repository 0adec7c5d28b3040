//! What a model says of the built-in metrics: thresholds, weights in the risk, expansion.

use super::names::did_you_mean;
use super::source::{Lined, Source, Table};
use crate::model::definition::{Expansion, Metric};
use crate::model::threshold::{Bound, Thresholds};

/// Weights in `churn_risk` where a model has none of its own.
const CHURN_RISK: [(Metric, f64); 6] = [
    (Metric::DaysInactive, 0.5),
    (Metric::TrendOwn, 0.4),
    (Metric::UsageFrequency, 0.3),
    (Metric::ActiveUserPct, 0.3),
    (Metric::FeatureAdoption, 0.2),
    (Metric::ActivationRate, 0.2),
];

/// Of every metric that has some: the model's own or the defaults.
pub(super) fn read_thresholds<'t>(
    source: &mut Source<'t>,
    model: Table<'t>,
) -> Vec<(Metric, Thresholds)> {
    let written = "[thresholds]";
    let own = source
        .table(model, "thresholds", written)
        .map_or_else(Vec::new, |table| {
            let mut own = Vec::new();
            for found in source.values(table) {
                let Some(metric) = metric_of(
                    source,
                    Lined {
                        value: found.key,
                        line: found.line,
                    },
                ) else {
                    continue;
                };
                let form = "{ red = \"…\", green = \"…\" }";
                let Some(pair) = source.table(table, found.key, form) else {
                    continue;
                };
                source.check_keys(pair, "a pair of thresholds", &["red", "green"]);
                let what = format!("the thresholds of {}", found.key);
                if let Some(thresholds) = read_bounds(source, pair, &what).flatten() {
                    own.push((metric, thresholds));
                } else if pair_is_empty(source, pair) {
                    source.fault(found.line, format!("{what} need red and green"));
                }
            }
            own
        });
    let of = |metric: Metric| {
        let found = own.iter().find(|own| own.0 == metric);
        found.map_or_else(|| metric.default_thresholds(), |own| Some(own.1))
    };
    let known = Metric::ALL.into_iter();
    known
        .filter_map(|metric| Some((metric, of(metric)?)))
        .collect()
}

fn pair_is_empty<'t>(source: &Source<'t>, pair: Table<'t>) -> bool {
    source.value(pair, "red").is_none() && source.value(pair, "green").is_none()
}

pub(super) fn metric_of(source: &mut Source<'_>, name: Lined<&str>) -> Option<Metric> {
    let metric = Metric::of(name.value);
    if metric.is_none() {
        let hint = did_you_mean(name.value, Metric::ALL.iter().map(|metric| metric.column()));
        let shown = name.value.escape_debug();
        source.fault(name.line, format!("there is no metric {shown}{hint}"));
    }
    metric
}

/// `red` and `green` of a table. `None` where something is wrong, which is noted; `Some(None)`
/// where neither stands there.
pub(super) fn read_bounds<'t>(
    source: &mut Source<'t>,
    table: Table<'t>,
    what: &str,
) -> Option<Option<Thresholds>> {
    let (red, green) = (source.value(table, "red"), source.value(table, "green"));
    let (red, green) = match (red, green) {
        (None, None) => return Some(None),
        (Some(red), Some(green)) => (red, green),
        (Some(one), None) | (None, Some(one)) => {
            let message = format!("{what}: only {} is given; both are needed", one.key);
            source.fault(one.line, message);
            return None;
        }
    };
    let line = red.line.max(green.line);
    let (red, green) = (
        read_bound(source, table, "red"),
        read_bound(source, table, "green"),
    );
    match Thresholds::of(red?, green?) {
        Ok(thresholds) => Some(Some(thresholds)),
        Err(problem) => {
            source.fault(line, format!("{what}: {problem}"));
            None
        }
    }
}

fn read_bound<'t>(source: &mut Source<'t>, table: Table<'t>, key: &str) -> Option<Bound> {
    let text = source.text(table, key)?;
    match Bound::parse(text.value) {
        Ok(bound) => Some(bound),
        Err(problem) => {
            source.fault(text.line, format!("{key}: {problem}"));
            None
        }
    }
}

/// In the order of [`Metric::ALL`], so that the product is the same to the bit.
pub(super) fn read_churn_risk<'t>(
    source: &mut Source<'t>,
    model: Table<'t>,
    thresholds: &[(Metric, Thresholds)],
) -> Vec<(Metric, f64)> {
    let mut weights = match source.table(model, "churn_risk", "[churn_risk]") {
        None => CHURN_RISK.to_vec(),
        Some(table) => {
            let mut weights = Vec::new();
            for found in source.values(table) {
                let (value, line) = (found.key, found.line);
                let Some(metric) = metric_of(source, Lined { value, line }) else {
                    continue;
                };
                let has_thresholds = thresholds.iter().any(|known| known.0 == metric);
                if metric == Metric::ChurnRisk {
                    source.fault(line, "churn_risk cannot be a part of itself");
                } else if !has_thresholds {
                    let message =
                        format!("{value} has no thresholds; give it some in [thresholds]");
                    source.fault(line, message);
                }
                let rule = "a number from 0 to 1";
                let fits = |weight| (0.0..=1.0).contains(&weight);
                if let Some(weight) = source.number(table, value, rule, fits) {
                    weights.push((metric, weight));
                }
            }
            weights
        }
    };
    weights.sort_by_key(|weight| weight.0);
    weights
}

pub(super) fn read_expansion<'t>(source: &mut Source<'t>, model: Table<'t>) -> Expansion {
    let (mut score, mut seats_percent) = (None, None);
    if let Some(table) = source.table(model, "expansion", "[expansion]") {
        source.check_keys(table, "[expansion]", &["score", "seats_percent"]);
        score = source.number(table, "score", "a number from 1 to 100", |score| {
            (1.0..=100.0).contains(&score)
        });
        let rule = "a number from 0 to 1000";
        seats_percent = source.number(table, "seats_percent", rule, |percent| {
            (0.0..=1000.0).contains(&percent)
        });
    }
    Expansion {
        score: score.unwrap_or(75.0),
        seats_percent: seats_percent.unwrap_or(90.0),
    }
}

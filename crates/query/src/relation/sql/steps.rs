//! `health_steps`: when each onboarding step and catalogue feature was first done.

use super::population::{key_list, keys_equal, keys_known, population};
use super::{Script, rules, shared_column, text};
use crate::relation::moment::Moment;
use crate::relation::question::Question;
use crate::relation::scope::Scope;

/// The relation.
pub(super) fn health_steps(
    question: &Question,
    moment: Moment,
    columns: &[&str],
    scope: &Scope,
) -> Script {
    let model = question.model();
    let rows = |kind: &str, events: &[String]| {
        let row = |(at, event): (usize, &String)| {
            format!(
                "('{kind}', CAST({} AS BIGINT), {})",
                at + 1,
                text::text(event)
            )
        };
        events.iter().enumerate().map(row).collect::<Vec<_>>()
    };
    let catalogue = [rows("step", &model.steps), rows("feature", &model.features)].concat();
    if catalogue.is_empty() {
        return nothing(columns);
    }
    let (keys, keys_p) = (
        key_list(question.entity, ""),
        key_list(question.entity, "p."),
    );
    let mut names: Vec<&String> = model.steps.iter().chain(&model.features).collect();
    names.sort_unstable();
    names.dedup();
    let first = format!(
        "SELECT {keys}, event, min(event_time) AS first_time FROM events \
         WHERE event IN ({}) AND event_time < {} AND {}{} GROUP BY {keys}, event",
        text::texts(&names),
        text::instant(moment.instant_us),
        keys_known(question.entity),
        rules::and_event_filter(model),
    );
    let population = population(question, moment, scope);
    let equal = keys_equal(question.entity, "p", "f");
    let rows = format!(
        "SELECT {keys_p}, c.column1 AS kind, c.column2 AS position, c.column3 AS event, \
         f.first_time FROM (SELECT {keys} FROM ({population})) p \
         CROSS JOIN (VALUES {}) c LEFT JOIN ({first}) f ON {equal} AND f.event = c.column3",
        catalogue.join(", ")
    );
    let shown: Vec<String> = columns
        .iter()
        .map(|&column| {
            shared_column(column, question, moment).unwrap_or_else(|| text::name(column))
        })
        .collect();
    Script::new(format!("SELECT {} FROM ({rows})", shown.join(", ")), vec![])
}

/// No rows: a model without steps and features.
fn nothing(columns: &[&str]) -> Script {
    let nulls: Vec<String> = columns
        .iter()
        .map(|column| format!("NULL AS {}", text::name(column)))
        .collect();
    Script::new(format!("SELECT {} WHERE FALSE", nulls.join(", ")), vec![])
}

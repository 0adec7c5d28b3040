//! The subqueries that columns come from: each is one look at the events or at the derived tables,
//! over as little of history as its columns need.

use std::collections::BTreeSet;

use datafusion::error::DataFusionError;

use super::population::{is_member, key_list, keys_known};
use super::scores::ScoreQuery;
use super::{green_days, rules, sessions, text};
use crate::model::{Entity, EventMeasure, EventSet, Signal, SignalSource};
use crate::relation::moment::Moment;
use crate::tables::TableName;

/// A subquery with one row an entity, or none where the entity has nothing in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The entities themselves; the others are joined to it.
    Population,
    /// Rows of the period, once.
    Usage,
    /// Rows of the period that fall under a daily cap, by member and day.
    Capped,
    /// Members of an account and those seen in the period: summaries, no rows.
    Members,
    /// Members with an event that the model looks at: rows of the period.
    ActiveMembers,
    /// First and last event that the model looks at: rows of all history.
    Filtered,
    /// Onboarding steps of all history.
    Steps,
    /// The key event in all history.
    KeyEvent,
    /// Events of all history that signals ask about.
    History,
    /// Sessions of the period.
    Sessions,
    /// Scores of an account's members.
    MemberScores,
    /// Scores of the days before.
    GreenDays,
    /// The same question one period earlier.
    Previous,
}

/// Days after which a member is not counted as seen; a longer period is, too.
const SEEN_DAYS: u32 = 90;

impl ScoreQuery<'_> {
    /// The subquery of `source` with `columns`.
    pub(super) fn source(
        &self,
        source: Source,
        columns: &BTreeSet<String>,
    ) -> Result<String, DataFusionError> {
        Ok(match source {
            Source::Population => self.population(),
            Source::Usage => self.usage(columns)?,
            Source::Capped => self.capped()?,
            Source::Members => self.members(columns)?,
            Source::ActiveMembers => self.active_members()?,
            Source::Filtered => self.filtered()?,
            Source::Steps => self.steps()?,
            Source::KeyEvent => self.key_event()?,
            Source::History => self.history(columns)?,
            Source::Sessions => sessions::of_entities(self, columns)?,
            Source::MemberScores => self.member_scores()?,
            Source::GreenDays => green_days::green_days(self)?,
            Source::Previous => self.previous(columns)?,
        })
    }

    /// What a column of `source` is for an entity that is not in it.
    pub(super) fn missing(&self, column: &str) -> Option<&'static str> {
        let model = self.question.model();
        match column {
            "$units" | "$capped" | "active_days" | "members" | "active_members"
            | "$members_seen" | "$active_members" => Some("0"),
            "feature_adoption" if !model.features.is_empty() => Some("0.0"),
            "activation_rate" if !model.steps.is_empty() => Some("0.0"),
            signal => {
                let counts = match &self.signal(signal)?.source {
                    SignalSource::Events { measure, .. } => {
                        matches!(measure, EventMeasure::Count | EventMeasure::ActiveDays)
                    }
                    SignalSource::Open { .. } => true,
                    SignalSource::Sessions(measure) => sessions::is_zero_without(*measure),
                    SignalSource::Metric(_) | SignalSource::Trait(_) | SignalSource::Sql(_) => {
                        false
                    }
                };
                counts.then_some("0.0")
            }
        }
    }

    /// One row an entity of `aggregates` over the rows of `events` that fulfil `condition`.
    fn grouped(&self, aggregates: &[String], condition: &str) -> String {
        let entity = self.question.entity;
        let keys = key_list(entity, "");
        format!(
            "SELECT {keys}, {} FROM events WHERE {} AND {condition} GROUP BY {keys}",
            aggregates.join(", "),
            keys_known(entity),
        )
    }

    fn usage(&self, columns: &BTreeSet<String>) -> Result<String, DataFusionError> {
        let model = self.question.model();
        let (since_us, until_us) = self.period()?;
        let zone = text::text(&model.time_zone);
        let (since, until) = (text::instant(since_us), text::instant(until_us));
        let active_days = format!("active_days(event_time, {since}, {until}, {zone})");
        let aggregate = |column: &String| {
            let sql = match column.as_str() {
                "$units" => format!("sum({})", rules::uncapped_units(model)),
                "active_days" => active_days.clone(),
                "feature_adoption" => {
                    format!(
                        "feature_adoption(event, [{}])",
                        text::texts(&model.features)
                    )
                }
                signal => self
                    .signal(signal)
                    .and_then(|signal| event_aggregate(signal, &active_days))
                    .unwrap_or_else(|| "CAST(NULL AS DOUBLE)".to_owned()),
            };
            format!("{sql} AS {}", text::name(column))
        };
        let aggregates: Vec<String> = columns.iter().map(aggregate).collect();
        let condition = rules::activity(model, since_us, until_us);
        Ok(self.grouped(&aggregates, &condition))
    }

    /// Capped rules: events of a member, name and day, at most the cap, times the weight.
    fn capped(&self) -> Result<String, DataFusionError> {
        let entity = self.question.entity;
        let keys = key_list(entity, "");
        let days = self.counts_by_day()?;
        Ok(format!(
            "SELECT {keys}, sum(least(n, cap) * units) AS \"$capped\" \
             FROM ({days}) WHERE cap IS NOT NULL GROUP BY {keys}"
        ))
    }

    /// Events of the period by member, event, rule and local day, with the rule's cap and units.
    pub(super) fn counts_by_day(&self) -> Result<String, DataFusionError> {
        Ok(self.counts_by_day_since(self.period()?.0))
    }

    /// The same from another beginning.
    pub(super) fn counts_by_day_since(&self, since_us: i64) -> String {
        let model = self.question.model();
        let (rule, cap, units) = (
            rules::rule(model),
            rules::cap_of_rule(model),
            rules::units_of_rule(model),
        );
        let known = keys_known(self.question.entity);
        let condition = rules::activity(model, since_us, self.moment.instant_us);
        format!(
            "SELECT *, {cap} AS cap, {units} AS units FROM \
             (SELECT account_id, user_id, event, rule, day, count(*) AS n FROM \
             (SELECT account_id, user_id, event, local_day(event_time) AS day, {rule} AS rule \
             FROM events WHERE {known} AND {condition}) \
             WHERE rule IS NOT NULL GROUP BY account_id, user_id, event, rule, day)"
        )
    }

    fn members(&self, columns: &BTreeSet<String>) -> Result<String, DataFusionError> {
        let (since_us, _) = self.period()?;
        let since = text::instant(since_us);
        // A longer look back only where it is asked for: its days may have been dropped.
        let seen_since = if columns.contains("$members_seen") {
            let days = SEEN_DAYS.max(self.question.model().period_days);
            text::instant(self.since_us(days)?)
        } else {
            since.clone()
        };
        let memberships = self
            .scope
            .table(TableName::Memberships, self.moment.instant_us);
        Ok(format!(
            "SELECT account_id, count(*) AS members, \
             count(*) FILTER (WHERE last_seen_at >= {since}) AS active_members, \
             count(*) FILTER (WHERE last_seen_at >= {seen_since}) AS \"$members_seen\" \
             FROM {memberships} WHERE {} GROUP BY account_id",
            is_member("", self.moment),
        ))
    }

    fn active_members(&self) -> Result<String, DataFusionError> {
        let (since_us, until_us) = self.period()?;
        let condition = rules::activity(self.question.model(), since_us, until_us);
        let memberships = self
            .scope
            .table(TableName::Memberships, self.moment.instant_us);
        Ok(format!(
            "SELECT m.account_id, count(*) AS \"$active_members\" FROM {memberships} m JOIN \
             (SELECT DISTINCT account_id, user_id FROM events WHERE account_id IS NOT NULL \
             AND user_id IS NOT NULL AND {condition}) e \
             ON m.account_id = e.account_id AND m.user_id = e.user_id \
             WHERE {} GROUP BY m.account_id",
            is_member("m.", self.moment),
        ))
    }

    fn filtered(&self) -> Result<String, DataFusionError> {
        let aggregates = [
            "min(event_time) AS \"$first\"",
            "max(event_time) AS \"$last\"",
        ];
        let condition = self.of_all_history("the first and last activity of this model", "")?;
        Ok(self.grouped(&aggregates.map(str::to_owned), &condition))
    }

    fn steps(&self) -> Result<String, DataFusionError> {
        let steps = text::texts(&self.question.model().steps);
        let rate = format!("activation_rate(event, [{steps}]) AS activation_rate");
        let named = format!("event IN ({steps}) AND ");
        let condition = self.of_all_history("activation_rate", &named)?;
        Ok(self.grouped(&[rate], &condition))
    }

    fn key_event(&self) -> Result<String, DataFusionError> {
        let key = text::text(
            self.question
                .model()
                .key_event
                .as_deref()
                .unwrap_or_default(),
        );
        let first = "min(event_time) AS \"$key_time\"".to_owned();
        let named = format!("event = {key} AND ");
        let condition = self.of_all_history("time_to_first", &named)?;
        Ok(self.grouped(&[first], &condition))
    }

    fn history(&self, columns: &BTreeSet<String>) -> Result<String, DataFusionError> {
        let mut names = BTreeSet::new();
        let mut aggregates = Vec::new();
        let mut is_about_all = false;
        // What is open after each instant, were closings before any opening counted: events of one
        // instant count together, in whatever order they came.
        let mut balances = Vec::new();
        for column in columns {
            let Some(signal) = self.signal(column) else {
                continue;
            };
            if let SignalSource::Open { opened, closed } = &signal.source {
                let keys = key_list(self.question.entity, "");
                balances.push(format!(
                    "sum(CASE WHEN {} THEN 1 WHEN {} THEN -1 ELSE 0 END) OVER \
                     (PARTITION BY {keys} ORDER BY event_time RANGE BETWEEN UNBOUNDED \
                     PRECEDING AND CURRENT ROW) AS {}",
                    rules::matches(opened, None),
                    rules::matches(closed, None),
                    text::name(&format!("{BALANCE}{column}")),
                ));
            }
            let (sql, sets) = history_aggregate(signal);
            aggregates.push(format!("{sql} AS {}", text::name(column)));
            for set in sets {
                match set {
                    EventSet::All => is_about_all = true,
                    EventSet::Named(events) => names.extend(events.iter().cloned()),
                }
            }
        }
        let names: Vec<String> = names.into_iter().collect();
        let named = if is_about_all {
            String::new()
        } else {
            format!("event IN ({}) AND ", text::texts(&names))
        };
        let signals: Vec<&str> = columns.iter().map(String::as_str).collect();
        let condition = self.of_all_history(&signals.join(", "), &named)?;
        if balances.is_empty() {
            return Ok(self.grouped(&aggregates, &condition));
        }
        let entity = self.question.entity;
        let keys = key_list(entity, "");
        Ok(format!(
            "SELECT {keys}, {} FROM (SELECT *, {} FROM events WHERE {} AND {condition}) \
             GROUP BY {keys}",
            aggregates.join(", "),
            balances.join(", "),
            keys_known(entity),
        ))
    }

    /// The condition of rows of all history that the model looks at, for `what`.
    fn of_all_history(&self, what: &str, named: &str) -> Result<String, DataFusionError> {
        self.scope.check_history(what, i64::MIN)?;
        Ok(format!(
            "{named}event_time < {} AND {}{}",
            text::instant(self.moment.instant_us),
            rules::NO_ACTIVITY,
            rules::and_event_filter(self.question.model()),
        ))
    }

    fn member_scores(&self) -> Result<String, DataFusionError> {
        let members = self.of_members();
        let scores = members.sql(&BTreeSet::from(["band".to_owned()]))?;
        Ok(format!(
            "SELECT account_id, ratio(100.0 * count(*) FILTER (WHERE band = 'green'), count(band)) \
             AS healthy_user_pct FROM ({scores}) GROUP BY account_id"
        ))
    }

    fn previous(&self, columns: &BTreeSet<String>) -> Result<String, DataFusionError> {
        let earlier = self.earlier()?;
        let wanted: BTreeSet<String> = columns
            .iter()
            .filter_map(|column| column.strip_prefix(PREVIOUS))
            .map(str::to_owned)
            .collect();
        let scores = earlier.sql(&wanted)?;
        let renamed: Vec<String> = wanted
            .iter()
            .map(|column| {
                let previous = format!("{PREVIOUS}{column}");
                format!("{} AS {}", text::name(column), text::name(&previous))
            })
            .collect();
        let keys = key_list(self.question.entity, "");
        Ok(format!(
            "SELECT {keys}, {} FROM ({scores})",
            renamed.join(", ")
        ))
    }
}

/// What stands before a column's name in the answer of one period earlier.
pub(super) const PREVIOUS: &str = "$previous:";

/// What stands before a signal's name in its running balance.
const BALANCE: &str = "$balance:";

/// The aggregate of a signal over the events of the period, where `active_days` is that of all
/// events; `None` for other signals.
fn event_aggregate(signal: &Signal, active_days: &str) -> Option<String> {
    let SignalSource::Events {
        measure,
        events,
        filter,
    } = &signal.source
    else {
        return None;
    };
    let of = format!("FILTER (WHERE {})", rules::matches(events, filter.as_ref()));
    Some(match measure {
        EventMeasure::Count => format!("CAST(count(*) {of} AS DOUBLE)"),
        EventMeasure::ActiveDays => format!("CAST({active_days} {of} AS DOUBLE)"),
        EventMeasure::Sum => format!("exact_sum(value) {of}"),
        EventMeasure::Average => format!("exact_avg(value) {of}"),
        EventMeasure::Last => return None,
    })
}

/// The aggregate of a signal over all history, and the events it is about.
fn history_aggregate(signal: &Signal) -> (String, Vec<&EventSet>) {
    match &signal.source {
        SignalSource::Open { opened, closed } => {
            let count = |set| format!("count(*) FILTER (WHERE {})", rules::matches(set, None));
            // A closing before there is anything to close closes nothing: the lowest balance
            // below 0 is what such closings took away.
            let lowest = text::name(&format!("{BALANCE}{}", signal.name));
            let sql = format!(
                "CAST({} - {} - least(0, min({lowest})) AS DOUBLE)",
                count(opened),
                count(closed),
            );
            (sql, vec![opened, closed])
        }
        SignalSource::Events { events, filter, .. } => {
            let matched = rules::matches(events, filter.as_ref());
            let sql = format!(
                "last_value(value ORDER BY event_time, seq) \
                 FILTER (WHERE {matched} AND value IS NOT NULL)"
            );
            (sql, vec![events])
        }
        SignalSource::Metric(_)
        | SignalSource::Sessions(_)
        | SignalSource::Trait(_)
        | SignalSource::Sql(_) => ("CAST(NULL AS DOUBLE)".to_owned(), vec![]),
    }
}

/// Which entities have a column at all: the others have NULL.
pub(super) fn is_of_accounts(entity: Entity) -> bool {
    entity == Entity::Account
}

impl ScoreQuery<'_> {
    /// The period: since, inclusive, and until, exclusive, in microseconds.
    pub(super) fn period(&self) -> Result<(i64, i64), DataFusionError> {
        let days = self.question.model().period_days;
        Ok((self.since_us(days)?, self.moment.instant_us))
    }

    pub(super) fn since_us(&self, days: u32) -> Result<i64, DataFusionError> {
        let since_us = self.moment.since_us(days);
        let since_us = since_us.ok_or_else(|| outside_calendar(self.moment))?;
        let what = format!("a look back over {days} days");
        self.scope.check_history(&what, since_us)?;
        Ok(since_us)
    }
}

pub(super) fn outside_calendar(moment: Moment) -> DataFusionError {
    crate::relation::argument::invalid(format!(
        "an instant of {} microseconds since 1970, or its period, lies outside the calendar",
        moment.instant_us
    ))
}

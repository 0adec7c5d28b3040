//! Traits: what `$group` events say of accounts and `$identify` events of users.
//!
//! Each trait stands for itself: of the events that name it, the latest by (`event_time`, `seq`)
//! wins, whatever order they came in, and `null` unsets it. `removed_at` of a `$group` event that
//! names a user is no trait of the account but ends that membership.

use std::collections::{BTreeMap, HashMap};

use arrow::array::Array;
use serde_json::value::RawValue;
use vitalog_event::{
    GROUP_EVENT, IDENTIFY_EVENT, TimeUnit, parse_timestamp_us, timestamp_us_from_number,
};
use vitalog_store::{Domain, NULL_SYMBOL, RowFilter, Run, Section, SymbolSet};

use super::Result;
use super::runs::{damage, seen_sections, visit_runs};
use crate::error::{QueryError, QueryErrorKind};
use crate::snapshot::StatementSnapshot;

/// The trait that ends a membership.
const REMOVED_AT: &str = "removed_at";

/// Numbers below are seconds since 1970, others milliseconds: as milliseconds they would lie
/// before March 1973.
const SECONDS_MAX: f64 = 1e11;

/// `event_time` in microseconds, then `seq`: what decides which of two events is later.
pub(super) type Moment = (i64, i64);

/// The winning traits of everyone, by symbol.
#[derive(Debug, Default)]
pub(super) struct Traits {
    pub accounts: HashMap<u32, EntityTraits>,
    pub users: HashMap<u32, EntityTraits>,
    /// By member: the latest removal.
    pub removals: HashMap<u32, Removal>,
}

/// An event that ends a membership, unless a later one of the pair renews it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Removal {
    pub at: Moment,
    pub removed_at_us: i64,
}

/// Winning values by trait.
#[derive(Debug, Default)]
pub(super) struct EntityTraits(BTreeMap<Box<str>, Winner>);

#[derive(Debug)]
struct Winner {
    at: Moment,
    /// JSON; `None` where the trait was unset.
    value: Option<Box<str>>,
}

impl Traits {
    /// Reads the trait events of a snapshot. Cost: those rows alone, in sections that have some.
    pub fn collect(snapshot: &StatementSnapshot) -> Result<Self> {
        let mut traits = Self::default();
        let symbols = snapshot.snapshot.symbols();
        let group = symbols.lookup(Domain::Event, GROUP_EVENT);
        let identify = symbols.lookup(Domain::Event, IDENTIFY_EVENT);
        let events: SymbolSet = group.into_iter().chain(identify).collect();
        if events.is_empty() {
            return Ok(traits);
        }
        let filter = RowFilter {
            events: Some(events),
            ..snapshot.row_filter()
        };
        for section in seen_sections(snapshot) {
            let section = section?;
            if section.statistics().has_trait_events {
                traits.collect_section(&section, &filter, group)?;
            }
        }
        Ok(traits)
    }

    fn collect_section(
        &mut self,
        section: &Section,
        filter: &RowFilter,
        group: Option<u32>,
    ) -> Result<()> {
        let selection = section.select(filter).map_err(damage)?;
        let is_group = section
            .event_table(|event| Some(event) == group)
            .map_err(damage)?;
        let codes = section.event_codes().map_err(damage)?;
        let times = section.times().map_err(damage)?;
        let seqs = section.seqs().map_err(damage)?;
        let properties = section.properties().map_err(damage)?;
        visit_runs(section, &selection, |run, rows| {
            for row in rows {
                let at = (times[row], seqs[row]);
                let text = properties.is_valid(row).then(|| properties.value(row));
                let values = match text {
                    Some(text) => members_of(text)?,
                    None => BTreeMap::new(),
                };
                match is_group[codes.index(row)] {
                    true => self.apply_group(run, at, values),
                    false => self.users.entry(run.user).or_default().apply(at, values),
                }
            }
            Ok(())
        })
    }

    fn apply_group(&mut self, run: &Run, at: Moment, mut values: BTreeMap<String, &RawValue>) {
        if run.user != NULL_SYMBOL
            && let Some(value) = values.remove(REMOVED_AT)
            && value.get() != "null"
        {
            let removed_at_us = trait_time(value.get()).unwrap_or(at.0);
            let removal = Removal { at, removed_at_us };
            let known = self.removals.entry(run.member).or_insert(removal);
            if known.at < at {
                *known = removal;
            }
        }
        self.accounts
            .entry(run.account)
            .or_default()
            .apply(at, values);
    }
}

fn members_of(properties: &str) -> Result<BTreeMap<String, &RawValue>> {
    serde_json::from_str(properties).map_err(|error| {
        let message = format!("properties of a stored event are no JSON object: {error}");
        QueryError::new(QueryErrorKind::Data, message).into()
    })
}

impl EntityTraits {
    fn apply(&mut self, at: Moment, values: BTreeMap<String, &RawValue>) {
        for (name, value) in values {
            let value = Some(value.get())
                .filter(|json| *json != "null")
                .map(Box::from);
            match self.0.get_mut(name.as_str()) {
                Some(winner) if winner.at < at => *winner = Winner { at, value },
                Some(_) => {}
                None => {
                    self.0.insert(name.into(), Winner { at, value });
                }
            }
        }
    }

    fn json(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.value.as_deref()
    }

    /// As [`trait_text`].
    pub fn text(&self, name: &str) -> Option<String> {
        trait_text(self.json(name)?)
    }

    /// As [`trait_number`].
    pub fn number(&self, name: &str) -> Option<f64> {
        trait_number(self.json(name)?)
    }

    /// A whole number, or text that is one.
    pub fn integer(&self, name: &str) -> Option<i64> {
        let text = self.text(name)?;
        let whole = |number: f64| number.fract() == 0.0 && number.abs() < 9e15;
        let rounded = || {
            self.number(name)
                .filter(|&number| whole(number))
                .map(|number| number as i64)
        };
        text.trim().parse().ok().or_else(rounded)
    }

    /// As [`trait_time`].
    pub fn timestamp(&self, name: &str) -> Option<i64> {
        trait_time(self.json(name)?)
    }

    /// All traits that are set as one canonical JSON object; `None` where none is.
    pub fn to_json(&self) -> Option<String> {
        let mut object = String::new();
        for (name, winner) in &self.0 {
            let Some(value) = &winner.value else {
                continue;
            };
            object.push(if object.is_empty() { '{' } else { ',' });
            object.push_str(&serde_json::Value::from(&**name).to_string());
            object.push(':');
            object.push_str(value);
        }
        (!object.is_empty()).then(|| object + "}")
    }
}

/// A text as it is; other JSON as it is written; `null` is no text.
pub(crate) fn trait_text(json: &str) -> Option<String> {
    let is_set = json != "null";
    is_set.then(|| serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned()))
}

/// A number, text that is one, or 1 and 0 for true and false.
pub(crate) fn trait_number(json: &str) -> Option<f64> {
    let text = trait_text(json)?;
    match text.trim() {
        "true" => Some(1.0),
        "false" => Some(0.0),
        text => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

/// Microseconds since 1970, of ISO 8601 text, or of seconds or milliseconds since 1970.
pub(crate) fn trait_time(json: &str) -> Option<i64> {
    if let Ok(text) = serde_json::from_str::<String>(json) {
        return parse_timestamp_us(&text).ok();
    }
    let number: f64 = json.parse().ok()?;
    let unit = if number.abs() < SECONDS_MAX {
        TimeUnit::Second
    } else {
        TimeUnit::Millisecond
    };
    timestamp_us_from_number(number, unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(events: &[(Moment, &str)]) -> EntityTraits {
        let mut traits = EntityTraits::default();
        for (at, json) in events {
            traits.apply(*at, members_of(json).expect("an object"));
        }
        traits
    }

    #[test]
    fn the_latest_event_wins_each_trait_in_any_order_of_arrival() {
        let events = [
            ((10, 1), r#"{"name":"Old","plan":"free","seats":3}"#),
            ((20, 2), r#"{"plan":"pro"}"#),
            ((20, 3), r#"{"plan":"team"}"#),
            ((30, 4), r#"{"seats":null}"#),
        ];
        let forwards = traits(&events);
        let mut reversed = events;
        reversed.reverse();
        let backwards = traits(&reversed);
        for traits in [forwards, backwards] {
            assert_eq!(traits.text("name").as_deref(), Some("Old"));
            assert_eq!(traits.text("plan").as_deref(), Some("team"));
            assert_eq!(traits.integer("seats"), None);
            assert_eq!(
                traits.to_json().as_deref(),
                Some(r#"{"name":"Old","plan":"team"}"#)
            );
        }
    }

    #[test]
    fn values_are_read_with_tolerance() {
        let traits = traits(&[(
            (1, 1),
            r#"{"a":"2025-03-01","b":1740787200000,"c":1740787200,"d":"soon","e":"12.50",
                "f":7.0,"g":7.5,"h":true,"i":{"x":1},"j":"a\"b"}"#,
        )]);
        let day = 1_740_787_200_000_000;
        assert_eq!(traits.timestamp("a"), Some(day));
        assert_eq!(traits.timestamp("b"), Some(day));
        assert_eq!(traits.timestamp("c"), Some(day));
        assert_eq!(traits.timestamp("d"), None);
        assert_eq!(traits.number("e"), Some(12.5));
        assert_eq!(traits.integer("f"), Some(7));
        assert_eq!(traits.integer("g"), None);
        assert_eq!(traits.text("h").as_deref(), Some("true"));
        assert_eq!(traits.text("i").as_deref(), Some(r#"{"x":1}"#));
        assert_eq!(traits.text("j").as_deref(), Some("a\"b"));
        assert_eq!(traits.text("missing"), None);
    }

    #[test]
    fn no_trait_is_no_object() {
        assert_eq!(traits(&[]).to_json(), None);
        assert_eq!(traits(&[((1, 1), r#"{"a":null}"#)]).to_json(), None);
    }
}

//! The weights of a model: exact decimals, and rules that all can be reached.

use std::collections::HashMap;

use toml::de::DeValue;

use super::names::Names;
use super::source::{Source, Table, Value};
use crate::model::definition::{EventSet, SqlText, WEIGHT_UNITS, Weight};

/// Weights of a model, at most.
const WEIGHTS_MAX: usize = 1_000;
/// Events of one rule, at most.
const EVENTS_MAX: usize = 1_000;
/// A weight lies strictly between minus this and this.
const WEIGHT_LIMIT: i64 = 100_000;
/// Decimals of a weight, at most: those of [`WEIGHT_UNITS`].
const DECIMALS_MAX: i64 = 4;
/// Largest daily cap.
const CAP_MAX: u32 = 1_000_000;

pub(super) const KEYS: &[&str] = &[
    "event",
    "events",
    "where",
    "weight",
    "times_value",
    "daily_cap",
];

/// The weights, in order; `None` where the model has none.
pub(super) fn read<'t>(source: &mut Source<'t>, model: Table<'t>) -> Option<Vec<Weight>> {
    let tables = source.tables(model, "weight", WEIGHTS_MAX);
    let mut reached = Reached::default();
    let read = |table| read_weight(source, table, &mut reached);
    let has_weights = !tables.is_empty();
    has_weights.then(|| tables.into_iter().filter_map(read).collect())
}

fn read_weight<'t>(
    source: &mut Source<'t>,
    table: Table<'t>,
    reached: &mut Reached,
) -> Option<Weight> {
    source.check_keys(table, "a weight", KEYS);
    let subject = read_subject(source, table);
    let filter = source.sql(table, "where");
    let label = subject
        .as_ref()
        .map_or_else(|| "\"?\"".to_owned(), Subject::label);
    let units = read_units(source, table, &label);
    let times_value = source.boolean(table, "times_value").unwrap_or(false);
    let daily_cap = source.count(table, "daily_cap", 1..=CAP_MAX);
    if let Some(cap) = source.value(table, "daily_cap").filter(|_| times_value) {
        let message = format!("the weight of {label} has times_value and daily_cap; only one goes");
        source.fault(cap.line, message);
    }
    let subject = subject?;
    if !(source.value(table, "where").is_some() && filter.is_none()) {
        reached.check(source, table, &subject, filter.as_ref());
    }
    Some(Weight {
        events: subject.into_events(),
        filter,
        units: units?,
        times_value,
        daily_cap,
    })
}

/// The events of a rule, with their lines.
enum Subject {
    All,
    Named(Vec<(String, usize)>),
}

impl Subject {
    fn label(&self) -> String {
        match self {
            Self::All => "\"*\"".to_owned(),
            Self::Named(events) => {
                let first = events.first().map_or("?", |event| &event.0);
                let more = if events.len() > 1 { ", …" } else { "" };
                format!("\"{}\"{more}", first.escape_debug())
            }
        }
    }

    fn into_events(self) -> EventSet {
        match self {
            Self::All => EventSet::All,
            Self::Named(events) => {
                EventSet::Named(events.into_iter().map(|event| event.0).collect())
            }
        }
    }
}

fn read_subject<'t>(source: &mut Source<'t>, table: Table<'t>) -> Option<Subject> {
    let (one, many) = (source.value(table, "event"), source.value(table, "events"));
    let found = match (one, many) {
        (Some(found), None) | (None, Some(found)) => found,
        (Some(_), Some(found)) => {
            source.fault(found.line, "a weight has event or events, not both");
            return None;
        }
        (None, None) => {
            source.fault(table.line, "a weight needs event or events");
            return None;
        }
    };
    if found.key == "event" {
        let event = source.text(table, "event")?;
        if event.value == "*" {
            return Some(Subject::All);
        }
        let name = source.event(event)?;
        return Some(Subject::Named(vec![(name, event.line)]));
    }
    let events = read_lined_events(source, found)?;
    Some(Subject::Named(events))
}

fn read_lined_events<'t>(
    source: &mut Source<'t>,
    found: Value<'t>,
) -> Option<Vec<(String, usize)>> {
    let texts = source.texts(found, EVENTS_MAX)?;
    if texts.is_empty() {
        source.refuse(found, "at least one event");
        return None;
    }
    let mut names = Names::new("event");
    let mut events = Vec::new();
    for text in texts {
        if names.is_new(source, text) {
            events.push((source.event(text)?, text.line));
        }
    }
    Some(events)
}

/// What the rules so far take whole.
#[derive(Default)]
struct Reached {
    /// The line of a rule for every event without a filter.
    all: Option<usize>,
    /// The line of the first rule that takes an event with a filter, or (`None`) without one.
    taken: HashMap<(Option<String>, Option<String>), usize>,
}

impl Reached {
    /// Faults where a rule, or an event of it, can never count; then it takes its own.
    fn check(
        &mut self,
        source: &mut Source<'_>,
        table: Table<'_>,
        subject: &Subject,
        filter: Option<&SqlText>,
    ) {
        let label = subject.label();
        if let Some(all) = self.all {
            let message =
                format!("the weight of {label} is never reached: line {all} takes every event");
            source.fault(table.line, message);
            return;
        }
        let filter = filter.map(|filter| filter.sql.trim().to_owned());
        match subject {
            Subject::All => {
                if filter.is_none() {
                    self.all = Some(table.line);
                }
                self.take(source, None, filter, table.line);
            }
            Subject::Named(events) => {
                for (event, line) in events {
                    self.take(source, Some(event.clone()), filter.clone(), *line);
                }
            }
        }
    }

    fn take(
        &mut self,
        source: &mut Source<'_>,
        event: Option<String>,
        filter: Option<String>,
        line: usize,
    ) {
        let whole = self.taken.get(&(event.clone(), None));
        let same_filter = self.taken.get(&(event.clone(), filter.clone()));
        let of_all = self.taken.get(&(None, filter.clone()));
        if let Some(first) = whole.or(same_filter).or(of_all) {
            let shown = event.as_deref().unwrap_or("*").escape_debug().to_string();
            let message =
                format!("the weight of \"{shown}\" is never reached: line {first} takes it");
            source.fault(line, message);
            return;
        }
        self.taken.insert((event, filter), line);
    }
}

fn read_units<'t>(source: &mut Source<'t>, table: Table<'t>, label: &str) -> Option<i64> {
    let Some(found) = source.value(table, "weight") else {
        source.fault(table.line, format!("the weight of {label} has no number"));
        return None;
    };
    let literal = match found.value {
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
        DeValue::Float(float) => float.as_str(),
        _ => {
            source.refuse(found, "a decimal number");
            return None;
        }
    };
    match units_of(literal) {
        Ok(units) => Some(units),
        Err(rule) => {
            let message = format!("weight of {label} is {literal}; {rule}");
            source.fault(found.line, message);
            None
        }
    }
}

/// The exact units of a decimal literal as TOML writes them.
///
/// # Errors
/// The rule that it breaks.
fn units_of(literal: &str) -> Result<i64, String> {
    let is_negative = literal.starts_with('-');
    let unsigned = literal.strip_prefix(['-', '+']).unwrap_or(literal);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a weight is a finite number".to_owned());
    }
    let significant = digits.trim_end_matches('0').trim_start_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    let too_large = || format!("|weight| must be below {WEIGHT_LIMIT}");
    let too_fine = || format!("a weight has at most {DECIMALS_MAX} decimals");
    let is_tiny = exponent.starts_with('-');
    let exponent: i64 = exponent
        .parse()
        .map_err(|_| if is_tiny { too_fine() } else { too_large() })?;
    // `value = significant · 10^scale`
    let dropped = digits.len() - digits.trim_end_matches('0').len();
    let scale = exponent
        .saturating_sub(fraction.len() as i64)
        .saturating_add(dropped as i64);
    if scale < -DECIMALS_MAX {
        return Err(too_fine());
    }
    let zeros = u32::try_from(scale.saturating_add(DECIMALS_MAX)).map_err(|_| too_large())?;
    let units = significant
        .parse::<i64>()
        .ok()
        .zip(10_i64.checked_pow(zeros))
        .and_then(|(significant, power)| significant.checked_mul(power))
        .filter(|units| *units < WEIGHT_LIMIT * WEIGHT_UNITS)
        .ok_or_else(too_large)?;
    Ok(if is_negative { -units } else { units })
}

/// An event, a list of events, or `"*"`.
pub(super) fn read_events<'t>(source: &mut Source<'t>, found: Value<'t>) -> Option<EventSet> {
    if found.value.as_str() == Some("*") {
        return Some(EventSet::All);
    }
    let events = read_lined_events(source, found)?;
    Some(Subject::Named(events).into_events())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_exactly() {
        let check = |literal: &str, units: i64| {
            assert_eq!(units_of(literal), Ok(units), "{literal}");
        };
        check("2.5", 25_000);
        check("0", 0);
        check("-0.0", 0);
        check("-7", -70_000);
        check("+0.0001", 1);
        check("1e-4", 1);
        check("1.50000000", 15_000);
        check("99999.9999", 999_999_999);
        check("-99999.9999", -999_999_999);
        check("0.00012e1", 12);
        check("12E2", 12_000_000);
        check("100000e-1", 100_000_000);
        check("0e999999999999", 0);
        check("0.1", 1_000);
    }

    #[test]
    fn what_is_no_weight() {
        let check = |literal: &str, rule: &str| {
            let fault = units_of(literal).expect_err(literal);
            assert!(fault.contains(rule), "{literal}: {fault}");
        };
        check("100000", "below 100000");
        check("-2000000", "below 100000");
        check("1e300", "below 100000");
        check("1e99999999999999999999", "below 100000");
        check("1e9223372036854775807", "below 100000");
        check("123456789012345678901234567890", "below 100000");
        check("0.00001", "4 decimals");
        check("1.23456", "4 decimals");
        check("1e-5", "4 decimals");
        check("1e-99999999999999999999", "4 decimals");
        check("inf", "finite");
        check("-nan", "finite");
    }
}

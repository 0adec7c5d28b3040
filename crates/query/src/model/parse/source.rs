//! Reading typed values out of TOML, where everything that does not fit is a fault with its line.
//!
//! A reader asks for a key and gets `None` both where it is missing and where its value is refused;
//! the fault is noted, and reading goes on to find the next one.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vitalog_event::limits::EVENT_BYTES_MAX;

use super::MODEL_KEYS;
use super::fault::{ModelFault, ModelFaults};
use super::names::{Names, did_you_mean, shorten, shown};
use crate::model::definition::SqlText;

/// Bytes of a name (not of an event's), at most.
pub(super) const NAME_BYTES_MAX: usize = 64;
/// Most characters of what is said of one fault.
const FAULT_CHARS_MAX: usize = 500;
/// Bytes of one SQL text, at most.
const SQL_BYTES_MAX: usize = 8 << 10;

/// The text, and what was found wrong so far.
pub(super) struct Source<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    faults: Vec<ModelFault>,
    /// Every event that was named, with its line.
    events: Vec<(String, usize)>,
}

/// One table of the text.
#[derive(Clone, Copy)]
pub(super) struct Table<'t> {
    entries: &'t DeTable<'t>,
    /// Of its header.
    pub line: usize,
}

/// Something and its line.
#[derive(Clone, Copy)]
pub(super) struct Lined<T> {
    pub value: T,
    pub line: usize,
}

/// A value under its key.
#[derive(Clone, Copy)]
pub(super) struct Value<'t> {
    pub key: &'t str,
    pub value: &'t DeValue<'t>,
    pub line: usize,
    start: usize,
}

impl<'t> Source<'t> {
    pub fn new(text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1));
        Self {
            text,
            line_starts: line_starts.collect(),
            faults: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The line, from 1, of a byte of the text.
    pub fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    pub fn fault(&mut self, line: usize, message: impl Into<String>) {
        let message = shorten(message.into(), FAULT_CHARS_MAX);
        self.faults.push(ModelFault { line, message });
    }

    /// The events that were named, once each, in line order.
    ///
    /// # Errors
    /// What was found wrong.
    pub fn finish(self) -> Result<Vec<(String, usize)>, ModelFaults> {
        if !self.faults.is_empty() {
            return Err(ModelFaults::of(self.faults));
        }
        let mut first_lines: HashMap<String, usize> = HashMap::new();
        for (event, line) in self.events {
            let first = first_lines.entry(event).or_insert(line);
            *first = line.min(*first);
        }
        let mut events: Vec<_> = first_lines.into_iter().collect();
        events.sort_unstable_by(|left, right| (left.1, &left.0).cmp(&(right.1, &right.0)));
        Ok(events)
    }

    /// Faults for every key that is none of `known`, with a near one.
    pub fn check_keys(&mut self, table: Table<'_>, what: &str, known: &[&str]) {
        for key in table.entries.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let hint = if MODEL_KEYS.contains(&name) {
                "; keys of the model stand above the first [table]".to_owned()
            } else {
                did_you_mean(name, known.iter().copied())
            };
            let line = self.line_of(key.span().start);
            let name = name.escape_debug();
            self.fault(line, format!("{what} has no key {name}{hint}"));
        }
    }

    pub fn value(&self, table: Table<'t>, key: &str) -> Option<Value<'t>> {
        let (key, value) = table.entries.get_key_value(key)?;
        let start = value.span().start;
        Some(Value {
            key: key.get_ref(),
            value: value.get_ref(),
            line: self.line_of(start),
            start,
        })
    }

    /// Every key of a table, in line order.
    pub fn values(&self, table: Table<'t>) -> Vec<Value<'t>> {
        let keys = table.entries.keys();
        let mut values: Vec<_> = keys
            .filter_map(|key| self.value(table, key.get_ref()))
            .collect();
        values.sort_unstable_by_key(|value| value.start);
        values
    }

    /// Notes that `value` is not what is expected.
    pub fn refuse(&mut self, value: Value<'_>, expected: &str) {
        let found = shown(value.value);
        let message = format!("{} is {found}; expected: {expected}", value.key);
        self.fault(value.line, message);
    }

    pub fn text(&mut self, table: Table<'t>, key: &str) -> Option<Lined<&'t str>> {
        let found = self.value(table, key)?;
        let Some(value) = found.value.as_str() else {
            self.refuse(found, "a string");
            return None;
        };
        let line = found.line;
        Some(Lined { value, line })
    }

    /// A name of 1 to 64 bytes without control characters and outer spaces.
    pub fn name(&mut self, table: Table<'t>, key: &str) -> Option<Lined<&'t str>> {
        let name = self.text(table, key)?;
        let is_plain = name.value.trim() == name.value && !name.value.contains(char::is_control);
        if is_plain && (1..=NAME_BYTES_MAX).contains(&name.value.len()) {
            return Some(name);
        }
        let rule = "1 to 64 bytes without line breaks and outer spaces";
        let found = self.value(table, key)?;
        self.refuse(found, rule);
        None
    }

    pub fn boolean(&mut self, table: Table<'t>, key: &str) -> Option<bool> {
        let found = self.value(table, key)?;
        let value = found.value.as_bool();
        if value.is_none() {
            self.refuse(found, "true or false");
        }
        value
    }

    pub fn integer(
        &mut self,
        table: Table<'t>,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Option<i64> {
        let found = self.value(table, key)?;
        let value = found.value.as_integer().and_then(|integer| {
            let value = i64::from_str_radix(integer.as_str(), integer.radix()).ok()?;
            range.contains(&value).then_some(value)
        });
        if value.is_none() {
            let expected = if range == (i64::MIN..=i64::MAX) {
                "a whole number of 64 bits".to_owned()
            } else {
                format!("a whole number from {} to {}", range.start(), range.end())
            };
            self.refuse(found, &expected);
        }
        value
    }

    /// As [`Source::integer`], within 0 to `u32::MAX`.
    pub fn count(
        &mut self,
        table: Table<'t>,
        key: &str,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let range = i64::from(*range.start())..=i64::from(*range.end());
        let value = self.integer(table, key, range)?;
        u32::try_from(value).ok()
    }

    /// A number, whole or not, that `fits`, which NaN must not.
    pub fn number(
        &mut self,
        table: Table<'t>,
        key: &str,
        expected: &str,
        fits: impl Fn(f64) -> bool,
    ) -> Option<f64> {
        let found = self.value(table, key)?;
        let value = match found.value {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        let value = value.filter(|value: &f64| value.is_finite() && fits(*value));
        if value.is_none() {
            self.refuse(found, expected);
        }
        value
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        table: Table<'t>,
        key: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let found = self.value(table, key)?;
        let word = found.value.as_str();
        let chosen = choices.iter().find(|choice| Some(choice.0) == word);
        if chosen.is_none() {
            let words: Vec<String> = choices
                .iter()
                .map(|choice| format!("\"{}\"", choice.0))
                .collect();
            let hint = did_you_mean(
                word.unwrap_or_default(),
                choices.iter().map(|choice| choice.0),
            );
            self.refuse(found, &format!("{}{hint}", words.join(" or ")));
        }
        chosen.map(|choice| choice.1)
    }

    pub fn sql(&mut self, table: Table<'t>, key: &str) -> Option<SqlText> {
        let found = self.value(table, key)?;
        let text = self.text(table, key)?;
        if text.value.trim().is_empty() {
            self.refuse(found, "SQL");
            return None;
        }
        if text.value.len() > SQL_BYTES_MAX {
            let bytes = text.value.len();
            let message = format!("{key} has {bytes} bytes of SQL, at most {SQL_BYTES_MAX}");
            self.fault(found.line, message);
            return None;
        }
        let literal = &self.text[found.start..];
        let opens_line = ["\"\"\"\n", "\"\"\"\r\n", "'''\n", "'''\r\n"]
            .iter()
            .any(|opening| literal.starts_with(opening));
        Some(SqlText {
            sql: text.value.to_owned(),
            line: found.line + usize::from(opens_line),
        })
    }

    /// The tables of `[[key]]`; a fault for the first past `limit`, and none after it.
    pub fn tables(&mut self, table: Table<'t>, key: &str, limit: usize) -> Vec<Table<'t>> {
        let Some(found) = self.value(table, key) else {
            return Vec::new();
        };
        let items = found.value.as_array().map(|items| items.iter());
        let tables: Option<Vec<Table<'t>>> = items.and_then(|items| {
            items
                .map(|item| self.table_of(item))
                .collect::<Option<Vec<_>>>()
        });
        let Some(mut tables) = tables else {
            self.refuse(found, &format!("tables, written [[{key}]]"));
            return Vec::new();
        };
        if let Some(past) = tables.get(limit) {
            let (line, count) = (past.line, tables.len());
            self.fault(line, format!("{count} times [[{key}]], at most {limit}"));
            tables.truncate(limit);
        }
        tables
    }

    pub fn table(&mut self, table: Table<'t>, key: &str, written: &str) -> Option<Table<'t>> {
        let found = self.value(table, key)?;
        let Some(entries) = found.value.as_table() else {
            self.refuse(found, &format!("a table, written {written}"));
            return None;
        };
        let line = found.line;
        Some(Table { entries, line })
    }

    /// The table of a whole text.
    pub fn root(entries: &'t DeTable<'t>) -> Table<'t> {
        Table { entries, line: 1 }
    }

    fn table_of(&self, item: &'t Spanned<DeValue<'t>>) -> Option<Table<'t>> {
        Some(Table {
            entries: item.get_ref().as_table()?,
            line: self.line_of(item.span().start),
        })
    }

    /// A string or a list of strings; where it is neither, a fault and nothing.
    pub fn texts(&mut self, found: Value<'t>, limit: usize) -> Option<Vec<Lined<&'t str>>> {
        let line = found.line;
        if let Some(value) = found.value.as_str() {
            return Some(vec![Lined { value, line }]);
        }
        let items = found.value.as_array().map(|items| items.iter());
        let texts: Option<Vec<_>> = items.and_then(|items| {
            items
                .map(|item| {
                    let line = self.line_of(item.span().start);
                    let value = item.get_ref().as_str()?;
                    Some(Lined { value, line })
                })
                .collect()
        });
        let Some(texts) = texts else {
            self.refuse(found, "a list of strings");
            return None;
        };
        if let Some(past) = texts.get(limit) {
            let count = texts.len();
            let message = format!("{} lists {count}, at most {limit}", found.key);
            self.fault(past.line, message);
            return None;
        }
        Some(texts)
    }

    /// Notes an event that the model names; a fault where nothing can have that name.
    pub fn event(&mut self, event: Lined<&str>) -> Option<String> {
        let Lined { value, line } = event;
        let shown = value.escape_debug();
        let problem = if value == "*" {
            Some("\"*\" cannot stand here: name the events".to_owned())
        } else if value.starts_with('$') {
            Some(format!(
                "\"{shown}\" is no activity: names that start with $ carry traits"
            ))
        } else if value.is_empty() || value.len() > EVENT_BYTES_MAX {
            Some(format!(
                "an event's name has 1 to {EVENT_BYTES_MAX} bytes, \"{shown}\" has {}",
                value.len()
            ))
        } else {
            None
        };
        if let Some(problem) = problem {
            self.fault(line, problem);
            return None;
        }
        self.events.push((value.to_owned(), line));
        Some(value.to_owned())
    }

    /// Distinct events, in order.
    pub fn events(&mut self, found: Value<'t>, limit: usize) -> Vec<String> {
        let mut names = Names::new(found.key);
        let mut events = Vec::new();
        for text in self.texts(found, limit).unwrap_or_default() {
            if names.is_new(self, text) {
                events.extend(self.event(text));
            }
        }
        events
    }
}

//! Names that must be distinct, names that are near, and values in messages.

use std::collections::HashMap;

use toml::de::DeValue;

use super::source::{Lined, NAME_BYTES_MAX, Source};
use crate::diagnosis::near;

/// Most characters of a value in a message.
const VALUE_CHARS_MAX: usize = 80;

/// Names that must be distinct, with the lines that took them.
pub(super) struct Names<'t> {
    what: &'t str,
    taken: HashMap<String, usize>,
}

impl<'t> Names<'t> {
    pub fn new(what: &'t str) -> Self {
        let taken = HashMap::new();
        Self { what, taken }
    }

    /// Whether the name stands here first; else a fault is noted.
    pub fn is_new(&mut self, source: &mut Source<'_>, name: Lined<&str>) -> bool {
        let Some(first) = self.taken.get(name.value) else {
            self.taken.insert(name.value.to_owned(), name.line);
            return true;
        };
        let (what, shown) = (self.what, name.value.escape_debug());
        let message = format!("{what} \"{shown}\" stands twice, first in line {first}");
        source.fault(name.line, message);
        false
    }
}

/// `; did you mean x?`, or nothing.
pub(super) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    if name.len() > NAME_BYTES_MAX {
        // Nothing is near, and comparing takes memory for each pair of letters.
        return String::new();
    }
    near(name, known).map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

/// A value in a message, short.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    let text = match value {
        DeValue::String(text) => format!("\"{}\"", text.escape_debug()),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    shorten(text, VALUE_CHARS_MAX)
}

/// At most `chars_max` characters of a text.
pub(super) fn shorten(text: String, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text,
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

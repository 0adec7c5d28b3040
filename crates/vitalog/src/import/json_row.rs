//! One line of JSON as an event with our own names, and what every JSON row has in common.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use vitalog_event::{EventDraft, RejectionCode, TimeUnit};

use super::assembler::SourceRow;
use super::event_field::{EventField, is_store_column, nearest_field};
use super::options::ImportOptions;
use super::time_text::{number_without_unit, time_from_text};

/// Field (as the file calls it), code and sentence of what is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowFault {
    pub field: String,
    pub code: RejectionCode,
    pub message: String,
}

impl RowFault {
    pub(super) fn new(field: &str, code: RejectionCode, message: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            code,
            message: message.into(),
        }
    }
}

/// The members of one JSON object, in the order of the text; no key stands twice.
#[derive(Debug)]
pub(super) struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// No JSON, no object, or a key that stands twice.
    pub(super) fn parse(text: &'a str) -> Result<Self, RowFault> {
        let members: Self = serde_json::from_str(text).map_err(|error| {
            let full = error.to_string();
            let reason = full
                .rfind(" at line ")
                .map_or(full.as_str(), |end| &full[..end]);
            let message = format!("no valid JSON object: {reason} at byte {}", error.column());
            RowFault::new("", RejectionCode::Malformed, message)
        })?;
        match members.repeated_key() {
            None => Ok(members),
            Some(key) => {
                let message = format!("the key {key:?} stands twice in one object");
                Err(RowFault::new(key, RejectionCode::Malformed, message))
            }
        }
    }

    /// The value of a key; `null` counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'a RawValue> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        (value.get() != "null").then_some(value)
    }

    /// The value at a path with dots; what is no object on the way has no members.
    pub(super) fn get_path(&self, path: &str) -> Option<&'a RawValue> {
        if let Some(value) = self.get(path) {
            return Some(value);
        }
        let (key, rest) = path.split_once('.')?;
        let inner: Self = serde_json::from_str(self.get(key)?.get()).ok()?;
        inner.get_path(rest)
    }

    fn repeated_key(&self) -> Option<&str> {
        let keys = self.0.iter().map(|(key, _)| key.as_ref());
        if self.0.len() > 24 {
            let mut seen = HashSet::with_capacity(self.0.len());
            return keys.into_iter().find(|key| !seen.insert(*key));
        }
        let keys: Vec<&str> = keys.collect();
        let repeats = |position: &usize| keys[..*position].contains(&keys[*position]);
        (1..keys.len()).find(repeats).map(|position| keys[position])
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(Text(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A string, borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a JSON string.
pub(super) fn string_of(value: &RawValue) -> Option<Cow<'_, str>> {
    if !value.get().starts_with('"') {
        return None;
    }
    serde_json::from_str(value.get())
        .ok()
        .map(|Text(text)| text)
}

/// An event read from JSON, not yet validated.
#[derive(Debug, Default)]
pub(super) struct JsonRow<'a> {
    pub event_id: Option<Cow<'a, str>>,
    pub event_time_us: Option<i64>,
    pub event: Option<Cow<'a, str>>,
    pub account_id: Option<Cow<'a, str>>,
    pub user_id: Option<Cow<'a, str>>,
    pub value: Option<f64>,
    pub properties: Option<Cow<'a, str>>,
    pub account_is_absent: bool,
}

impl<'a> JsonRow<'a> {
    /// Reads a row with our own names: `event_time` text (or a number where a unit is named), ids
    /// text or numbers, `value` a number, `properties` an object or its text.
    ///
    /// # Errors
    /// A key that is neither ours nor mapped (unless unknown ones are ignored), or a value of the
    /// wrong type.
    pub(super) fn own(members: &Members<'a>, options: &ImportOptions) -> Result<Self, RowFault> {
        let mut row = JsonRow {
            account_is_absent: true,
            ..JsonRow::default()
        };
        for (key, value) in &members.0 {
            if options.mapped(key).is_some() {
                continue;
            }
            match EventField::from_name(key) {
                Some(field) => row.set(field, key, value, options.time_unit)?,
                None if options.ignore_unknown || is_store_column(key) => {}
                None if is_root_of_mapping(key, options) => {}
                None => return Err(unknown_key(key)),
            }
        }
        row.apply_mappings(members, options, |_, _| true)?;
        Ok(row)
    }

    /// Fills the mapped fields that `wanted` allows, over what they held before.
    pub(super) fn apply_mappings(
        &mut self,
        members: &Members<'a>,
        options: &ImportOptions,
        wanted: impl Fn(&Self, EventField) -> bool,
    ) -> Result<(), RowFault> {
        for mapping in &options.mappings {
            if wanted(self, mapping.field)
                && let Some(value) = members.get_path(&mapping.column)
            {
                self.set(mapping.field, &mapping.column, value, options.time_unit)?;
            }
        }
        Ok(())
    }

    /// Fills a field with the value of `key`.
    pub(super) fn set(
        &mut self,
        field: EventField,
        key: &str,
        value: &'a RawValue,
        unit: Option<TimeUnit>,
    ) -> Result<(), RowFault> {
        match field {
            EventField::EventId => self.event_id = id_text(key, value)?,
            EventField::EventTime => self.event_time_us = time(key, value, unit)?,
            EventField::Event => self.event = id_text(key, value)?,
            EventField::AccountId => {
                self.account_id = id_text(key, value)?;
                self.account_is_absent = false;
            }
            EventField::UserId => self.user_id = id_text(key, value)?,
            EventField::Value => self.value = number(key, value)?,
            EventField::Properties => self.properties = properties_text(value),
        }
        Ok(())
    }

    pub(super) fn source_row(&self) -> SourceRow<'_> {
        let draft = EventDraft {
            event_id: self.event_id.as_deref(),
            event_time_us: self.event_time_us,
            time_is_stamped: false,
            event: self.event.as_deref(),
            account_id: self.account_id.as_deref(),
            user_id: self.user_id.as_deref(),
            value: self.value,
            properties: self.properties.as_deref(),
        };
        SourceRow {
            draft,
            account_is_absent: self.account_is_absent,
        }
    }
}

fn is_root_of_mapping(key: &str, options: &ImportOptions) -> bool {
    options.mappings.iter().any(|mapping| {
        mapping
            .column
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

fn unknown_key(key: &str) -> RowFault {
    let near = nearest_field(key);
    let question = near.map_or(String::new(), |field| {
        format!(" (did you mean {}?)", field.name())
    });
    let field = near.map_or("FIELD", EventField::name);
    let short: String = key.chars().take(64).collect();
    let message =
        format!("unknown field{question}: use --map {short}={field}, or --ignore-unknown");
    RowFault::new(&short, RejectionCode::WrongType, message)
}

/// An id or a name: text, or a number's own text.
fn id_text<'a>(key: &str, value: &'a RawValue) -> Result<Option<Cow<'a, str>>, RowFault> {
    match value.get().as_bytes()[0] {
        b'n' => Ok(None),
        b'"' => string_of(value)
            .map(Some)
            .ok_or_else(|| RowFault::new(key, RejectionCode::Malformed, "the text cannot be read")),
        b'-' | b'0'..=b'9' => Ok(Some(Cow::Borrowed(value.get()))),
        _ => Err(wrong_type(key, value, "text")),
    }
}

fn time(key: &str, value: &RawValue, unit: Option<TimeUnit>) -> Result<Option<i64>, RowFault> {
    let fault = |(code, message)| RowFault {
        field: key.to_owned(),
        code,
        message,
    };
    match value.get().as_bytes()[0] {
        b'n' => Ok(None),
        b'"' => {
            let text = string_of(value).unwrap_or_default();
            time_from_text(&text, unit).map(Some).map_err(fault)
        }
        b'-' | b'0'..=b'9' if unit.is_some() => {
            time_from_text(value.get(), unit).map(Some).map_err(fault)
        }
        b'-' | b'0'..=b'9' => {
            let message = number_without_unit(value.get());
            Err(RowFault::new(key, RejectionCode::WrongType, message))
        }
        _ => Err(wrong_type(key, value, "a time as text")),
    }
}

fn number(key: &str, value: &RawValue) -> Result<Option<f64>, RowFault> {
    match value.get().as_bytes()[0] {
        b'n' => Ok(None),
        // A number too large becomes infinite and is named by the validation.
        b'-' | b'0'..=b'9' => Ok(value.get().parse().ok()),
        _ => Err(wrong_type(key, value, "a number")),
    }
}

/// The text of an object, or a string that holds it; other values are left to the validation.
fn properties_text(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes()[0] {
        b'n' => None,
        b'"' => string_of(value),
        _ => Some(Cow::Borrowed(value.get())),
    }
}

fn wrong_type(key: &str, value: &RawValue, expected: &str) -> RowFault {
    let found: String = value.get().chars().take(64).collect();
    let message = format!("{expected} is expected, found {found}");
    RowFault::new(key, RejectionCode::WrongType, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &str, options: &ImportOptions) -> Result<String, RowFault> {
        let members = Members::parse(text)?;
        let row = JsonRow::own(&members, options)?;
        Ok(format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            row.event_id,
            row.event_time_us,
            row.event,
            row.account_id,
            row.user_id,
            row.value,
            row.properties
        ))
    }

    fn fault(text: &str) -> (String, RejectionCode, String) {
        let fault = own(text, &ImportOptions::default()).expect_err(text);
        (fault.field, fault.code, fault.message)
    }

    #[test]
    fn own_names_are_read_with_their_types() {
        let line = r#"{"event_id":7,"event_time":"1970-01-01T00:00:01Z","event":"a\"b","seq":1,
            "account_id":null,"user_id":"u","value":2.50,"properties":{"a":[1]},"dt":"x"}"#;
        assert_eq!(
            own(line, &ImportOptions::default()).expect("a row"),
            r#"Some("7") Some(1000000) Some("a\"b") None Some("u") Some(2.5) Some("{\"a\":[1]}")"#
        );
        let line = r#"{"properties":"{\"a\":1}"}"#;
        let row = own(line, &ImportOptions::default()).expect("a row");
        assert!(row.ends_with(r#"Some("{\"a\":1}")"#), "{row}");
    }

    #[test]
    fn faults_name_field_and_reason() {
        use RejectionCode::{Malformed, WrongType};
        let check = |text: &str, field: &str, code: RejectionCode, reason: &str| {
            let found = fault(text);
            assert_eq!((found.0.as_str(), found.1), (field, code), "{found:?}");
            assert!(found.2.contains(reason), "{found:?}");
        };
        check("[1]", "", Malformed, "expected an object");
        check(r#"{"event":}"#, "", Malformed, "at byte 10");
        check(
            r#"{"event":"a","event":"b"}"#,
            "event",
            Malformed,
            "stands twice",
        );
        check(
            r#"{"acount_id":"a"}"#,
            "acount_id",
            WrongType,
            "did you mean account_id?",
        );
        check(
            r#"{"event_time":1.5}"#,
            "event_time",
            WrongType,
            "--time-unit",
        );
        check(
            r#"{"event_time":true}"#,
            "event_time",
            WrongType,
            "found true",
        );
        check(
            r#"{"user_id":["a"]}"#,
            "user_id",
            WrongType,
            "text is expected",
        );
        check(
            r#"{"value":"12"}"#,
            "value",
            WrongType,
            "a number is expected",
        );
        let many: Vec<_> = (0..50).map(|key| format!("\"k{}\":1", key % 40)).collect();
        check(
            &format!("{{{}}}", many.join(",")),
            "k0",
            Malformed,
            "stands twice",
        );
    }

    #[test]
    fn mappings_follow_paths_and_go_before_own_names() {
        let mappings = ["who=user_id", "user_id=account_id", "extra.price.net=value"];
        let options = ImportOptions {
            mappings: mappings
                .iter()
                .map(|text| text.parse().expect("a mapping"))
                .collect(),
            ..ImportOptions::default()
        };
        let line = r#"{"user_id":"acme","who":"ann","extra":{"price":{"net":3}}}"#;
        assert_eq!(
            own(line, &options).expect("a row"),
            r#"None None None Some("acme") Some("ann") Some(3.0) None"#
        );
        let line = r#"{"extra":{"price":4}}"#;
        assert_eq!(
            own(line, &options).expect("a row"),
            "None None None None None None None"
        );
    }
}

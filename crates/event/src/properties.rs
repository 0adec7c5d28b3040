//! Canonical JSON: compact, keys in byte order, number text kept, duplicate keys rejected.
//!
//! Two texts that mean the same object become the same bytes, so contents can be compared as
//! bytes; numbers are never parsed, so `1.0`, `1e2` and 2^53 + 1 come back as they went in.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::limits::{PROPERTIES_BYTES_MAX, PROPERTIES_DEPTH_MAX};

/// Why a text is no valid `properties`.
#[derive(Debug, Error)]
pub enum PropertiesError {
    /// Not JSON, with line and column.
    #[error("no valid JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// JSON, but no object at the top.
    #[error("a JSON object is expected, found {0}")]
    NotAnObject(&'static str),
    /// One object names a key twice.
    #[error("the key {0:?} stands twice in one object")]
    DuplicateKey(String),
    /// Objects and arrays nest too deep.
    #[error("nested more than {PROPERTIES_DEPTH_MAX} levels deep")]
    TooDeep,
    /// Longer than the limit.
    #[error("{0} bytes, at most {PROPERTIES_BYTES_MAX} are taken")]
    TooLong(usize),
}

/// Appends the canonical form of the object in `text` to `out`.
///
/// Cost: one pass of the parser a level of nesting. On an error `out` keeps its old length.
///
/// # Errors
/// [`PropertiesError`] names what is wrong; a text over [`PROPERTIES_BYTES_MAX`] is not parsed.
pub fn canonical_properties(text: &str, out: &mut Vec<u8>) -> Result<(), PropertiesError> {
    if text.len() > PROPERTIES_BYTES_MAX {
        return Err(PropertiesError::TooLong(text.len()));
    }
    let start = out.len();
    let written = write_top(text, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Calls `visit` with each top-level key of a canonical object, in order; unescaped.
/// Text that is no object has no keys.
pub fn top_level_keys(canonical: &str, mut visit: impl FnMut(&str)) {
    if let Ok(members) = serde_json::from_str::<Members<'_>>(canonical) {
        for (key, _) in &members.0 {
            visit(key);
        }
    }
}

fn write_top(text: &str, out: &mut Vec<u8>) -> Result<(), PropertiesError> {
    let raw: &RawValue = serde_json::from_str(text)?;
    match kind(raw.get()) {
        "an object" => write_value(raw.get(), PROPERTIES_DEPTH_MAX, out),
        other => Err(PropertiesError::NotAnObject(other)),
    }
}

fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn write_value(json: &str, levels: usize, out: &mut Vec<u8>) -> Result<(), PropertiesError> {
    match json.as_bytes().first() {
        Some(b'{') => write_object(json, levels, out),
        Some(b'[') => write_array(json, levels, out),
        Some(b'"') => {
            let text: Text<'_> = serde_json::from_str(json)?;
            Ok(serde_json::to_writer(out, &text.0)?)
        }
        _ => {
            out.extend_from_slice(json.as_bytes());
            Ok(())
        }
    }
}

fn write_object(json: &str, levels: usize, out: &mut Vec<u8>) -> Result<(), PropertiesError> {
    let levels = levels.checked_sub(1).ok_or(PropertiesError::TooDeep)?;
    let Members(mut members) = serde_json::from_str(json)?;
    if !members.is_sorted_by(|left, right| left.0 < right.0) {
        members.sort_by(|left, right| left.0.cmp(&right.0));
        if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(PropertiesError::DuplicateKey(pair[0].0.to_string()));
        }
    }
    out.push(b'{');
    for (position, (key, value)) in members.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, key)?;
        out.push(b':');
        write_value(value.get(), levels, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_array(json: &str, levels: usize, out: &mut Vec<u8>) -> Result<(), PropertiesError> {
    let levels = levels.checked_sub(1).ok_or(PropertiesError::TooDeep)?;
    let items: Vec<&RawValue> = serde_json::from_str(json)?;
    out.push(b'[');
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write_value(item.get(), levels, out)?;
    }
    out.push(b']');
    Ok(())
}

/// A string, borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of one object in the order of the text, duplicates kept.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Text(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Result<String, String> {
        let mut out = Vec::new();
        canonical_properties(text, &mut out).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).expect("canonical text is UTF-8"))
    }

    #[test]
    fn orders_keys_and_keeps_number_text() {
        let check = |input: &str, expected: &str| {
            assert_eq!(canonical(input).as_deref(), Ok(expected), "{input}");
        };
        check("{}", "{}");
        check(
            r#" { "b" : 1.0 , "a" : [ 1e2 , null ] } "#,
            r#"{"a":[1e2,null],"b":1.0}"#,
        );
        check(
            r#"{"n":9007199254740993,"m":-0}"#,
            r#"{"m":-0,"n":9007199254740993}"#,
        );
        check(
            r#"{"k":"\u0041\/\n","\u0061":{"z":1,"y":2}}"#,
            r#"{"a":{"y":2,"z":1},"k":"A/\n"}"#,
        );
        check(r#"{"é":"ü","z":true}"#, r#"{"z":true,"é":"ü"}"#);
    }

    #[test]
    fn names_what_is_wrong() {
        let check = |input: &str, reason: &str| {
            let error = canonical(input).expect_err(input);
            assert!(error.contains(reason), "{input}: {error}");
        };
        check(r#"{"a":1,"b":2,"a":3}"#, "\"a\" stands twice");
        check(r#"{"a":1,"\u0061":3}"#, "\"a\" stands twice");
        check(r#"{"x":{"a":1,"a":1}}"#, "\"a\" stands twice");
        check("[1]", "found an array");
        check("3", "found a number");
        check("{\"a\":NaN}", "no valid JSON");
        check("{\"a\":1", "no valid JSON");
        check(r#"{"a":"\ud800"}"#, "no valid JSON");
        check(
            &format!("{{\"a\":{}1{}}}", "[".repeat(40), "]".repeat(40)),
            "levels deep",
        );
        check(
            &format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20)),
            "at most 65536",
        );
    }

    #[test]
    fn keys_come_back_unescaped() {
        let mut keys = Vec::new();
        top_level_keys(r#"{"a":{"inner":1},"b\"c":2}"#, |key| {
            keys.push(key.to_owned());
        });
        assert_eq!(keys, ["a", "b\"c"]);
    }

    proptest! {
        #[test]
        fn canonical_form_is_a_fixed_point(
            members in proptest::collection::btree_map("[a-z\"\\\\\u{e9}]{0,6}", -1e9..1e9f64, 0..8)
        ) {
            let text = serde_json::to_string(&members).expect("numbers and strings");
            let once = canonical(&text).expect("valid");
            prop_assert_eq!(canonical(&once).expect("valid"), once.clone());
            prop_assert_eq!(once, text);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,64}") {
            let _ = canonical(&text);
        }
    }
}

//! Which keys of a section are worth a column, and of which type.

use std::collections::HashMap;

use super::KEYS_MAX;
use super::members::{Member, read_members};
use super::number::{NumberForm, NumberStyle};

/// Of this many rows, one must have the key.
const ROWS_A_KEY: usize = 100;

/// Different keys that are counted; those first seen after them are not.
const KEYS_COUNTED_MAX: usize = 1 << 16;

/// The type of a promoted key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PromotedKind {
    Text,
    Integer,
    Double(NumberStyle),
    Boolean,
}

/// How often a key stands in the rows, by what its value looks like.
#[derive(Clone, Copy, Debug, Default)]
struct Census {
    text: usize,
    integer: usize,
    fraction: usize,
    pointed: usize,
    boolean: usize,
    nested: usize,
}

impl Census {
    fn count(&mut self, value: &str) {
        let counter = match value.as_bytes().first() {
            Some(b'"') => &mut self.text,
            Some(b't' | b'f') => &mut self.boolean,
            Some(b'{' | b'[') => &mut self.nested,
            Some(b'n') | None => return,
            Some(_) => match NumberForm::of(value) {
                NumberForm::Integer => &mut self.integer,
                NumberForm::Fraction => &mut self.fraction,
                NumberForm::Pointed => &mut self.pointed,
            },
        };
        *counter += 1;
    }

    /// Rows with a value, which JSON's null is not.
    fn values(&self) -> usize {
        self.text + self.integer + self.fraction + self.pointed + self.boolean + self.nested
    }

    /// The type that fits most values, and how many it fits. Of two that fit as many, the first.
    fn kind(&self) -> (PromotedKind, usize) {
        let candidates = [
            (PromotedKind::Text, self.text),
            (PromotedKind::Integer, self.integer),
            (
                PromotedKind::Double(NumberStyle::Pointed),
                self.pointed + self.fraction,
            ),
            (
                PromotedKind::Double(NumberStyle::Plain),
                self.integer + self.fraction,
            ),
            (PromotedKind::Boolean, self.boolean),
        ];
        let mut best = candidates[0];
        for candidate in &candidates[1..] {
            if candidate.1 > best.1 {
                best = *candidate;
            }
        }
        best
    }
}

/// The keys to promote, as written in the rows (without quotes, with escapes), and their types;
/// the most frequent first, of equals the first in byte order.
///
/// A key is promoted when values of one type stand in at least 1 % of the rows and are at least
/// half of its values.
pub(super) fn keys_of<'a>(
    rows: usize,
    properties: impl Iterator<Item = Option<&'a str>>,
) -> Vec<(&'a str, PromotedKind)> {
    let mut found: HashMap<&'a str, Census> = HashMap::new();
    let mut members: Vec<Member<'a>> = Vec::new();
    for text in properties.flatten() {
        read_members(text, &mut members);
        for member in &members {
            if let Some(census) = found.get_mut(member.key) {
                census.count(member.value);
            } else if found.len() < KEYS_COUNTED_MAX {
                let mut census = Census::default();
                census.count(member.value);
                found.insert(member.key, census);
            }
        }
    }
    let mut kept: Vec<(usize, &'a str, PromotedKind)> = found
        .into_iter()
        .filter_map(|(key, census)| {
            let (kind, fitting) = census.kind();
            let is_frequent = fitting > 0 && fitting * ROWS_A_KEY >= rows;
            let is_typed = fitting * 2 >= census.values();
            (is_frequent && is_typed).then_some((census.values(), key, kind))
        })
        .collect();
    kept.sort_unstable_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(right.1)));
    kept.truncate(KEYS_MAX);
    kept.into_iter().map(|(_, key, kind)| (key, kind)).collect()
}

//! A catalogue: the distinct names that a share is taken of, each with a number.
//!
//! Owns the way from a name to its number. Invariant: numbers follow the names' byte order, so two
//! catalogues of the same names, however written, give the same numbers.

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion_common::{Result, exec_err, plan_err};

/// Most names of a catalogue, so that the state of a group stays below 1 kB.
pub(crate) const NAMES_MAX: usize = 4096;
/// The number of what is not in the catalogue.
pub(crate) const ABSENT: u32 = u32::MAX;

/// Spreads bits upwards when multiplied by.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Sorted distinct names with a small open-addressed table over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Catalogue {
    names: Vec<String>,
    /// Numbers by hash, at most a quarter full; [`ABSENT`] where free.
    table: Vec<u32>,
    /// The hash of each name, so that most others are told apart without reading the name.
    hashes: Vec<usize>,
}

impl Catalogue {
    /// A catalogue of a list's elements; NULL elements are left out, repeated ones count once.
    ///
    /// # Errors
    /// When there are more than [`NAMES_MAX`].
    pub(crate) fn of(list: &ArrayRef) -> Result<Self> {
        let mut names: Vec<String> = list
            .as_string::<i32>()
            .iter()
            .flatten()
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > NAMES_MAX {
            return plan_err!(
                "at most {NAMES_MAX} names are possible, got {}",
                names.len()
            );
        }
        let hashes: Vec<usize> = names.iter().map(|name| hash(name.as_bytes())).collect();
        let mut table = vec![ABSENT; (4 * names.len() + 1).next_power_of_two()];
        let mask = table.len() - 1;
        for (number, hash) in (0u32..).zip(&hashes) {
            let mut slot = hash & mask;
            while table[slot] != ABSENT {
                slot = (slot + 1) & mask;
            }
            table[slot] = number;
        }
        Ok(Self {
            names,
            table,
            hashes,
        })
    }

    /// How many names.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The names in order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of a name, [`ABSENT`] when it is none of the catalogue.
    #[inline]
    pub(crate) fn number(&self, name: &str) -> u32 {
        let mask = self.table.len() - 1;
        let hash = hash(name.as_bytes());
        let mut slot = hash & mask;
        loop {
            let number = self.table[slot];
            if number == ABSENT {
                return number;
            }
            let known = number as usize;
            if self.hashes[known] == hash && self.names[known] == name {
                return number;
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The number of each row's name, [`ABSENT`] for NULL. Of a dictionary each value is looked up
    /// once.
    pub(crate) fn numbers(&self, names: &ArrayRef) -> Result<Vec<u32>> {
        let number = |name: Option<&str>| name.map_or(ABSENT, |name| self.number(name));
        Ok(match names.data_type() {
            DataType::Utf8 => names.as_string::<i32>().iter().map(number).collect(),
            DataType::LargeUtf8 => names.as_string::<i64>().iter().map(number).collect(),
            DataType::Utf8View => self.numbers_of_views(names.as_string_view()),
            DataType::Dictionary(..) => {
                let dictionary = names.as_any_dictionary();
                let of_values = self.numbers(dictionary.values())?;
                if of_values.is_empty() {
                    return Ok(vec![ABSENT; names.len()]);
                }
                let keys = dictionary.normalized_keys();
                let nulls = dictionary.keys().nulls();
                keys.iter()
                    .enumerate()
                    .map(|(row, &key)| match nulls {
                        Some(nulls) if nulls.is_null(row) => ABSENT,
                        _ => of_values[key],
                    })
                    .collect()
            }
            other => return exec_err!("expected text, got {other}"),
        })
    }
}

/// How many views are remembered of a batch; a power of two.
const RECENT: usize = 64;
/// No view is this, because none is as long as it says.
const NO_VIEW: u128 = u128::MAX;

impl Catalogue {
    /// The number of each row's name. Within one column equal views are equal names, and rows that
    /// were read from storage share theirs, so most names are not read at all.
    fn numbers_of_views(&self, names: &StringViewArray) -> Vec<u32> {
        let mut recent = [(NO_VIEW, ABSENT); RECENT];
        let nulls = names.nulls().filter(|nulls| nulls.null_count() > 0);
        let number = |(row, &view): (usize, &u128)| {
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                return ABSENT;
            }
            let folded = (view as u64 ^ (view >> 64) as u64).wrapping_mul(ODD);
            let known = &mut recent[(folded >> 32) as usize % RECENT];
            if known.0 != view {
                *known = (view, self.number(names.value(row)));
            }
            known.1
        };
        names.views().iter().enumerate().map(number).collect()
    }
}

/// The text of a row, `None` for NULL.
pub(crate) fn text_at(names: &ArrayRef, row: usize) -> Result<Option<&str>> {
    if names.is_null(row) {
        return Ok(None);
    }
    Ok(Some(match names.data_type() {
        DataType::Utf8 => names.as_string::<i32>().value(row),
        DataType::LargeUtf8 => names.as_string::<i64>().value(row),
        DataType::Utf8View => names.as_string_view().value(row),
        DataType::Dictionary(..) => {
            let dictionary = names.as_any_dictionary();
            let key = dictionary.keys().slice(row, 1);
            let key = arrow::compute::cast(&key, &DataType::UInt64)?;
            let key = key.as_primitive::<UInt64Type>().value(0);
            return text_at(dictionary.values(), key as usize);
        }
        other => return exec_err!("expected text, got {other}"),
    }))
}

/// Mixes the length and the first and last eight bytes; what is equal in these meets in the table
/// and is told apart by comparison. Shorter names are read as two words that overlap, so that no
/// length costs a loop.
#[inline]
fn hash(name: &[u8]) -> usize {
    let length = name.len();
    let (first, last) = if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        (u64::from(first), u64::from(last))
    } else {
        let byte = |at: usize| name.get(at).copied().map_or(0, u64::from);
        (byte(0) | byte(1) << 8 | byte(2) << 16, 0)
    };
    let mixed = (first ^ last.rotate_left(29) ^ length as u64).wrapping_mul(ODD);
    (mixed ^ (mixed >> 32)) as usize
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, LargeStringArray, StringArray, StringViewBuilder};
    use arrow::datatypes::Int8Type;

    use super::*;

    fn catalogue(names: &[Option<&str>]) -> Catalogue {
        let list: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
        Catalogue::of(&list).expect("small")
    }

    #[test]
    fn numbers_do_not_depend_on_how_it_was_written() {
        let one = catalogue(&[Some("b"), None, Some("a"), Some("b"), Some("")]);
        assert_eq!(one, catalogue(&[Some(""), Some("a"), Some("b")]));
        assert_eq!(one.names(), ["", "a", "b"]);
        assert_eq!(
            ["", "a", "b", "c"].map(|name| one.number(name)),
            [0, 1, 2, ABSENT]
        );
        assert_eq!(catalogue(&[]).number("a"), ABSENT);
    }

    #[test]
    fn names_that_share_their_ends_are_told_apart() {
        let names: Vec<String> = (0..500)
            .map(|i| format!("12345678-{i:04}-87654321"))
            .collect();
        let texts: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
        let one = catalogue(&texts);
        for (number, name) in (0u32..).zip(&names) {
            assert_eq!(one.number(name), number);
        }
        assert_eq!(one.number("12345678-9999-87654321"), ABSENT);
    }

    #[test]
    fn views_of_many_names_that_share_their_text() {
        let names: Vec<String> = (0..300)
            .map(|i| format!("{i} is a long name {i}"))
            .collect();
        let in_catalogue: Vec<Option<&str>> = names
            .iter()
            .step_by(3)
            .map(|name| Some(name.as_str()))
            .collect();
        let one = catalogue(&in_catalogue);
        for deduplicated in [true, false] {
            let mut views = StringViewBuilder::new();
            if deduplicated {
                views = views.with_deduplicate_strings();
            }
            for row in 0..2_000 {
                match row % 7 {
                    0 => views.append_null(),
                    1 => views.append_value("short"),
                    _ => views.append_value(&names[row * row % 300]),
                }
            }
            let views: ArrayRef = Arc::new(views.finish());
            let found = one.numbers(&views).expect("text");
            let texts = views.as_string_view();
            for (row, number) in found.into_iter().enumerate() {
                let expected = if texts.is_null(row) {
                    ABSENT
                } else {
                    one.number(texts.value(row))
                };
                assert_eq!(number, expected, "row {row}");
            }
        }
    }

    #[test]
    fn every_form_of_text() {
        let one = catalogue(&[Some("login"), Some("export")]);
        let names = [Some("export"), None, Some("other"), Some("login")];
        let dictionary: DictionaryArray<Int8Type> = names.into_iter().collect();
        let forms: [ArrayRef; 4] = [
            Arc::new(StringArray::from(names.to_vec())),
            Arc::new(LargeStringArray::from(names.to_vec())),
            Arc::new(StringViewArray::from(names.to_vec())),
            Arc::new(dictionary),
        ];
        for form in forms {
            let numbers = one.numbers(&form).expect("text");
            assert_eq!(numbers, [0, ABSENT, ABSENT, 1], "{}", form.data_type());
            for (row, name) in names.into_iter().enumerate() {
                assert_eq!(text_at(&form, row).expect("text"), name);
            }
        }
        let nothing: DictionaryArray<Int8Type> = [None::<&str>, None].into_iter().collect();
        let nothing: ArrayRef = Arc::new(nothing);
        assert_eq!(one.numbers(&nothing).expect("text"), [ABSENT, ABSENT]);
    }
}

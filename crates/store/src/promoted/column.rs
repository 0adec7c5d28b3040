//! One promoted column: typed values, and which rows must be read from the JSON instead.

use std::ops::Range;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, BooleanArray, DictionaryArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::BooleanBuffer;

use super::census::PromotedKind;
use super::number::NumberStyle;

/// The values of one key for each row of a section.
#[derive(Clone, Debug)]
pub struct PromotedColumn {
    key: String,
    values: PromotedValues,
    remainder: Option<BooleanBuffer>,
}

/// Typed values; NULL where the row has none, or has it in the remainder.
#[derive(Clone, Debug)]
pub enum PromotedValues {
    /// JSON strings, without quotes and escapes.
    Text(DictionaryArray<Int32Type>),
    /// JSON numbers that are written as integers.
    Integer(Int64Array),
    /// JSON numbers, finite, and how they are written.
    Double(Float64Array, NumberStyle),
    /// `true` and `false`.
    Boolean(BooleanArray),
}

impl PromotedValues {
    pub(super) fn kind(&self) -> PromotedKind {
        match self {
            Self::Text(_) => PromotedKind::Text,
            Self::Integer(_) => PromotedKind::Integer,
            Self::Double(_, style) => PromotedKind::Double(*style),
            Self::Boolean(_) => PromotedKind::Boolean,
        }
    }

    pub(super) fn array(&self) -> &dyn Array {
        match self {
            Self::Text(array) => array,
            Self::Integer(array) => array,
            Self::Double(array, _) => array,
            Self::Boolean(array) => array,
        }
    }
}

impl PromotedColumn {
    /// Both of the section's length.
    pub(super) fn new(
        key: String,
        values: PromotedValues,
        remainder: Option<BooleanBuffer>,
    ) -> Self {
        Self {
            key,
            values,
            remainder,
        }
    }

    /// The key, unescaped.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The values of all rows.
    #[must_use]
    pub fn values(&self) -> &PromotedValues {
        &self.values
    }

    /// The rows whose value is not here: who needs it parses their JSON. `None` is no row.
    #[must_use]
    pub fn remainder(&self) -> Option<&BooleanBuffer> {
        self.remainder.as_ref()
    }

    /// Those rows of `ranges` (ascending, disjoint) that are in the remainder, as ranges.
    #[must_use]
    pub fn remainder_of(&self, ranges: &[Range<usize>]) -> Vec<Range<usize>> {
        let Some(remainder) = &self.remainder else {
            return Vec::new();
        };
        ranges
            .iter()
            .flat_map(|range| {
                let marks = remainder.slice(range.start, range.len());
                let slices: Vec<(usize, usize)> = marks.set_slices().collect();
                let start = range.start;
                slices
                    .into_iter()
                    .map(move |(from, to)| start + from..start + to)
            })
            .collect()
    }

    /// The text of each row of `ranges` as `->>` gives it: a string without its quotes, a number
    /// or boolean as written, NULL for a missing key and for JSON's null. NULL as well for
    /// [`Self::remainder_of`], whose rows the caller reads from the JSON.
    ///
    /// # Panics
    /// On a range beyond the section.
    #[must_use]
    pub fn text(&self, ranges: &[Range<usize>]) -> StringArray {
        let rows = ranges.iter().map(ExactSizeIterator::len).sum();
        let mut texts = StringBuilder::with_capacity(rows, rows * 4);
        let mut buffer = String::new();
        for row in ranges.iter().flat_map(Clone::clone) {
            if self.values.array().is_null(row) {
                texts.append_null();
                continue;
            }
            match &self.values {
                PromotedValues::Text(array) => {
                    let code = array.keys().value(row);
                    texts.append_value(array.values().as_string::<i32>().value(code as usize));
                }
                PromotedValues::Integer(array) => {
                    write_integer(array.value(row), &mut buffer);
                    texts.append_value(&buffer);
                }
                PromotedValues::Double(array, style) => {
                    buffer.clear();
                    style.write(array.value(row), &mut buffer);
                    texts.append_value(&buffer);
                }
                PromotedValues::Boolean(array) => {
                    texts.append_value(if array.value(row) { "true" } else { "false" });
                }
            }
        }
        texts.finish()
    }

    /// Bytes held in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let remainder = self.remainder.as_ref();
        self.values.array().get_array_memory_size()
            + remainder.map_or(0, |marks| marks.inner().capacity())
    }
}

fn write_integer(value: i64, buffer: &mut String) {
    use std::fmt::Write;
    buffer.clear();
    write!(buffer, "{value}").expect("text takes any number");
}

//! From the JSON of a section's rows to typed columns.

use std::collections::HashMap;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int32Builder, Int64Builder};
use arrow_array::types::Int32Type;
use arrow_array::{Array, DictionaryArray, StringArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};

use super::census::{PromotedKind, keys_of};
use super::column::{PromotedColumn, PromotedValues};
use super::members::{Member, read_members, unescaped};
use super::number::{NumberStyle, read_integer};
use super::{DISTINCT_MAX, PromotedColumns};

impl PromotedColumns {
    /// The promoted columns of rows with these `properties` (canonical JSON, in row order);
    /// `None` where no key is worth one.
    ///
    /// Promoted are at most 16 keys of the top level: those whose values are of one type in at
    /// least 1 % of the rows and mostly, the most frequent first. Text that is no canonical object
    /// puts its row into every remainder. Cost: two passes over the text, which parse no value
    /// that is not promoted.
    #[must_use]
    pub fn collect(properties: &StringArray) -> Option<Self> {
        Self::collect_rows(properties.len(), || properties.iter())
    }

    /// As [`PromotedColumns::collect`], of `rows` rows that lie where they lie: `properties` gives
    /// them, each time in the same order.
    pub(crate) fn collect_rows<'a, I>(rows: usize, properties: impl Fn() -> I) -> Option<Self>
    where
        I: Iterator<Item = Option<&'a str>>,
    {
        let mut columns: Vec<ColumnBuilder<'_>> = keys_of(rows, properties())
            .into_iter()
            .filter_map(|(key, kind)| ColumnBuilder::new(key, kind, rows))
            .collect();
        let mut members: Vec<Member<'_>> = Vec::new();
        for (row, text) in properties().enumerate() {
            if columns.is_empty() {
                return None;
            }
            let is_read = text.is_none_or(|text| read_members(text, &mut members));
            let members = if text.is_some() { &members[..] } else { &[] };
            for column in &mut columns {
                let member = members.iter().find(|member| member.key == column.raw_key);
                match (is_read, member) {
                    (false, _) => column.push_remainder(row),
                    (true, None) => column.push_absent(),
                    (true, Some(member)) => column.push(row, member.value),
                }
            }
            columns.retain(|column| !column.is_too_varied());
        }
        let columns: Vec<PromotedColumn> = columns.into_iter().map(ColumnBuilder::finish).collect();
        (!columns.is_empty()).then_some(Self { rows, columns })
    }
}

/// One column while rows are added.
struct ColumnBuilder<'a> {
    /// As written, without quotes.
    raw_key: &'a str,
    key: String,
    values: ValuesBuilder<'a>,
    /// Set up when the first row stays in the remainder.
    remainder: Option<BooleanBufferBuilder>,
    rows: usize,
    buffer: String,
}

enum ValuesBuilder<'a> {
    Text(TextBuilder<'a>),
    Integer(Int64Builder),
    Double(Float64Builder, NumberStyle),
    Boolean(BooleanBuilder),
}

/// Codes of texts as they are written, with escapes: one text has one canonical form.
struct TextBuilder<'a> {
    codes: HashMap<&'a str, i32>,
    keys: Int32Builder,
    texts: Vec<String>,
}

impl<'a> ColumnBuilder<'a> {
    /// `None` where the key's escapes are wrong.
    fn new(raw_key: &'a str, kind: PromotedKind, rows: usize) -> Option<Self> {
        let values = match kind {
            PromotedKind::Text => ValuesBuilder::Text(TextBuilder {
                codes: HashMap::new(),
                keys: Int32Builder::with_capacity(rows),
                texts: Vec::new(),
            }),
            PromotedKind::Integer => ValuesBuilder::Integer(Int64Builder::with_capacity(rows)),
            PromotedKind::Double(style) => {
                ValuesBuilder::Double(Float64Builder::with_capacity(rows), style)
            }
            PromotedKind::Boolean => ValuesBuilder::Boolean(BooleanBuilder::with_capacity(rows)),
        };
        Some(Self {
            raw_key,
            key: unescaped(raw_key)?.into_owned(),
            values,
            remainder: None,
            rows,
            buffer: String::new(),
        })
    }

    fn push(&mut self, row: usize, value: &'a str) {
        let is_typed = match &mut self.values {
            ValuesBuilder::Text(builder) => builder.push(value),
            ValuesBuilder::Integer(builder) => {
                let integer = read_integer(value);
                builder.append_option(integer);
                integer.is_some()
            }
            ValuesBuilder::Double(builder, style) => {
                let double = style.read(value, &mut self.buffer);
                builder.append_option(double);
                double.is_some()
            }
            ValuesBuilder::Boolean(builder) => {
                let boolean = value.parse().ok();
                builder.append_option(boolean);
                boolean.is_some()
            }
        };
        if !is_typed && value != "null" {
            self.mark(row);
        }
    }

    fn push_absent(&mut self) {
        match &mut self.values {
            ValuesBuilder::Text(builder) => builder.keys.append_null(),
            ValuesBuilder::Integer(builder) => builder.append_null(),
            ValuesBuilder::Double(builder, _) => builder.append_null(),
            ValuesBuilder::Boolean(builder) => builder.append_null(),
        }
    }

    fn push_remainder(&mut self, row: usize) {
        self.push_absent();
        self.mark(row);
    }

    fn mark(&mut self, row: usize) {
        let rows = self.rows;
        let remainder = self.remainder.get_or_insert_with(|| {
            let mut marks = BooleanBufferBuilder::new(rows);
            marks.append_n(rows, false);
            marks
        });
        remainder.set_bit(row, true);
    }

    fn is_too_varied(&self) -> bool {
        match &self.values {
            ValuesBuilder::Text(builder) => builder.texts.len() > DISTINCT_MAX,
            _ => false,
        }
    }

    fn finish(self) -> PromotedColumn {
        let values = match self.values {
            ValuesBuilder::Text(builder) => PromotedValues::Text(builder.finish()),
            ValuesBuilder::Integer(mut builder) => PromotedValues::Integer(builder.finish()),
            ValuesBuilder::Double(mut builder, style) => {
                PromotedValues::Double(builder.finish(), style)
            }
            ValuesBuilder::Boolean(mut builder) => PromotedValues::Boolean(builder.finish()),
        };
        let remainder: Option<BooleanBuffer> = self.remainder.map(|mut marks| marks.finish());
        PromotedColumn::new(self.key, values, remainder)
    }
}

impl<'a> TextBuilder<'a> {
    /// Whether `value` is a string.
    fn push(&mut self, value: &'a str) -> bool {
        let code = self.code(value);
        self.keys.append_option(code);
        code.is_some()
    }

    fn code(&mut self, value: &'a str) -> Option<i32> {
        if let Some(&code) = self.codes.get(value) {
            return Some(code);
        }
        let raw = value.strip_prefix('"')?.strip_suffix('"')?;
        let text = unescaped(raw)?.into_owned();
        let code = i32::try_from(self.texts.len()).ok()?;
        self.codes.insert(value, code);
        self.texts.push(text);
        Some(code)
    }

    fn finish(mut self) -> DictionaryArray<Int32Type> {
        let texts = StringArray::from_iter_values(&self.texts);
        DictionaryArray::new(self.keys.finish(), std::sync::Arc::new(texts))
    }
}

//! Answers as aligned columns for people.
//!
//! Keeps the first rows of an answer, counts the rest, and writes when the answer has ended. What
//! events carry cannot steer the terminal: control characters are shown, never sent. Text is cut
//! to fit a terminal; numbers, times and what is not shown on a terminal are never cut.

use std::io::{self, Write};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use rustyline::GraphemeClusterMode;
use vitalog_server::rows::{flat_batch, flat_schema};

use super::format::{AnswerWriter, Screen};

/// Rows shown of one answer.
pub(super) const ROWS_MAX: usize = 10_000;

/// Bytes of Arrow memory kept of one answer; rows past them are counted, not shown.
const BYTES_MAX: usize = 256 << 20;

/// To fewer columns than these no text is cut.
const WIDTH_MIN: usize = 8;

/// Times for people: fractions of a second only where there are some.
const TIME_FORM: &str = "%Y-%m-%dT%H:%M:%S%.fZ";

/// To more columns than these no value is padded: a value that is longer moves what stands behind
/// it, and one long value does not widen every line.
const PADDED_MAX: usize = 400;

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Writes an answer as a table.
pub(super) struct TableWriter<'w> {
    schema: SchemaRef,
    screen: Screen,
    out: &'w mut dyn Write,
    kept: Vec<RecordBatch>,
    kept_rows: usize,
    kept_bytes: usize,
    rows: usize,
}

impl<'w> TableWriter<'w> {
    pub fn new(schema: &SchemaRef, screen: Screen, out: &'w mut dyn Write) -> Self {
        Self {
            schema: flat_schema(schema),
            screen,
            out,
            kept: Vec::new(),
            kept_rows: 0,
            kept_bytes: 0,
            rows: 0,
        }
    }
}

impl AnswerWriter for TableWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.rows += batch.num_rows();
        let room = if self.kept_bytes < BYTES_MAX {
            ROWS_MAX - self.kept_rows
        } else {
            0
        };
        let kept = batch.slice(0, batch.num_rows().min(room));
        if kept.num_rows() > 0 {
            self.kept_rows += kept.num_rows();
            self.kept_bytes += batch.get_array_memory_size();
            self.kept.push(flat_batch(&kept, &self.schema)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<String>, ArrowError> {
        let mut columns = columns_of(&self.schema, &self.kept)?;
        let is_cut = match self.screen.width {
            // A plan that is cut explains nothing.
            Some(width) if !is_plan(&self.schema) => fit(&mut columns, width),
            _ => false,
        };
        for column in columns.iter_mut().filter(|column| !column.is_cut) {
            column.width = column.width.min(PADDED_MAX);
        }
        write_table(self.out, &columns, self.kept_rows, self.screen.is_coloured)?;
        self.out.flush()?;
        let mut notes = Vec::new();
        if is_cut {
            notes.push(
                "values that end in … are cut to the terminal; csv and jsonl have them whole"
                    .to_owned(),
            );
        }
        let more = self.rows - self.kept_rows;
        if more > 0 {
            notes.push(format!(
                "the first {} rows are shown, {more} more are not; csv and jsonl have them all",
                self.kept_rows
            ));
        }
        Ok(notes)
    }
}

/// Whether the answer is that of `EXPLAIN`.
fn is_plan(schema: &SchemaRef) -> bool {
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    names == ["plan_type", "plan"]
}

/// A column as it is shown.
struct Column {
    name: String,
    is_right: bool,
    /// Whether its values may be cut.
    is_text: bool,
    width: usize,
    /// Whether longer values are cut to the width.
    is_cut: bool,
    /// `None` is NULL.
    values: Vec<Option<String>>,
}

impl Column {
    /// A line of a value, or as much of it as there is room for.
    fn shown(&self, line: &str) -> String {
        if self.is_cut {
            cut(line, self.width)
        } else {
            line.to_owned()
        }
    }
}

fn columns_of(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<Column>, ArrowError> {
    let options = FormatOptions::new()
        .with_timestamp_format(Some(TIME_FORM))
        .with_timestamp_tz_format(Some(TIME_FORM));
    let column_of = |(index, field): (usize, &arrow::datatypes::FieldRef)| {
        let mut values = Vec::new();
        for batch in batches {
            let array = batch.column(index);
            // Of a column that is NULL by its type no row has a bit of its own.
            let nulls = array.logical_nulls();
            let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
            for row in 0..array.len() {
                let text = |row| {
                    formatter
                        .value(row)
                        .try_to_string()
                        .map(|text| visible(&text))
                };
                values.push(if is_null(row) { None } else { Some(text(row)?) });
            }
        }
        let data_type = field.data_type();
        let name = visible(field.name()).replace('\n', "\\n");
        let of_value = |value: &Option<String>| value.as_deref().map_or(NULL.len(), block_width);
        let widest = values.iter().map(of_value).max().unwrap_or(0);
        let width = widest.max(text_width(&name));
        let is_text = matches!(data_type, DataType::Utf8 | DataType::Binary);
        Ok(Column {
            name,
            is_right: data_type.is_numeric(),
            is_text,
            width,
            is_cut: false,
            values,
        })
    };
    schema.fields().iter().enumerate().map(column_of).collect()
}

const NULL: &str = "NULL";

/// `text` with control characters written out; line ends stay, they become lines of a cell.
pub(crate) fn visible(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for char in text.trim_end_matches('\n').chars() {
        if char == '\n' || !char.is_control() {
            shown.push(char);
        } else {
            shown.extend(char.escape_default());
        }
    }
    shown
}

/// Columns of a terminal that a line takes.
pub(crate) fn text_width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars().map(char_width).sum()
    }
}

fn char_width(char: char) -> usize {
    usize::from(GraphemeClusterMode::WcWidth.width(char.encode_utf8(&mut [0; 4])))
}

/// The width of the widest line.
fn block_width(text: &str) -> usize {
    text.split('\n').map(text_width).max().unwrap_or(0)
}

/// Narrows text columns, the widest first, until the table fits `width`; says whether it had to.
/// A table of too many columns stays too wide.
fn fit(columns: &mut [Column], width: usize) -> bool {
    let total = |columns: &[Column], cap: usize| -> usize {
        let each = columns.iter().map(|column| {
            2 + if column.is_text {
                column.width.min(cap)
            } else {
                column.width
            }
        });
        each.sum::<usize>() + columns.len().saturating_sub(1)
    };
    if total(columns, usize::MAX) <= width {
        return false;
    }
    let cap = (WIDTH_MIN..=width)
        .rev()
        .find(|cap| total(columns, *cap) <= width);
    let cap = cap.unwrap_or(WIDTH_MIN);
    let mut is_cut = false;
    for column in columns
        .iter_mut()
        .filter(|column| column.is_text && column.width > cap)
    {
        column.width = cap;
        column.is_cut = true;
        is_cut = true;
    }
    is_cut
}

/// At most `width` columns of a line; what is cut ends in an ellipsis.
pub(crate) fn cut(line: &str, width: usize) -> String {
    if text_width(line) <= width {
        return line.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |char: &char| {
        let width = char_width(*char);
        let does_fit = width <= left;
        left = left.saturating_sub(width);
        does_fit
    };
    let mut shown: String = line.chars().take_while(fits).collect();
    shown.push('…');
    shown
}

fn write_table(
    out: &mut dyn Write,
    columns: &[Column],
    rows: usize,
    is_coloured: bool,
) -> io::Result<()> {
    if columns.is_empty() {
        return Ok(());
    }
    let names = columns
        .iter()
        .map(|column| (column, column.shown(&column.name), false));
    write_line(out, names, is_coloured)?;
    let rules: Vec<String> = columns
        .iter()
        .map(|column| "-".repeat(column.width + 2))
        .collect();
    writeln!(out, "{}", rules.join("+"))?;
    for row in 0..rows {
        let texts = columns
            .iter()
            .filter_map(|column| column.values[row].as_deref());
        let height = texts
            .map(|text| text.split('\n').count())
            .max()
            .unwrap_or(1);
        for line in 0..height {
            let cells = columns.iter().map(|column| match &column.values[row] {
                None if line == 0 => (column, NULL.to_owned(), true),
                None => (column, String::new(), false),
                Some(text) => {
                    let text = text.split('\n').nth(line).unwrap_or_default();
                    (column, column.shown(text), false)
                }
            });
            write_line(out, cells, is_coloured)?;
        }
    }
    Ok(())
}

/// Writes cells of one line; each with its column and whether it stands for NULL.
fn write_line<'c>(
    out: &mut dyn Write,
    cells: impl ExactSizeIterator<Item = (&'c Column, String, bool)>,
    is_coloured: bool,
) -> io::Result<()> {
    let last = cells.len() - 1;
    for (index, (column, text, is_null)) in cells.enumerate() {
        let room = " ".repeat(column.width.saturating_sub(text_width(&text)));
        let text = if is_null && is_coloured {
            format!("{DIM}{text}{PLAIN}")
        } else {
            text
        };
        let bar = if index == 0 { "" } else { "|" };
        match (column.is_right, index == last) {
            (true, _) => write!(out, "{bar} {room}{text}")?,
            (false, true) => write!(out, "{bar} {text}")?,
            (false, false) => write!(out, "{bar} {text}{room}")?,
        }
        if index != last {
            write!(out, " ")?;
        }
    }
    writeln!(out)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

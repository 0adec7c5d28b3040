//! Records of a CSV file: one line, or several where a quoted cell holds line breaks.
//!
//! Quotes are read strictly (RFC 4180): a closing quote ends its cell, or the record is none. A
//! record that cannot be is given up after its first line, and reading goes on with the second. So a
//! stray quote costs one line, where a lenient reader would swallow lines until the next quote and
//! could take the whole for a row.

use std::collections::VecDeque;
use std::io;

use vitalog_event::RejectionCode;

use super::line_reader::{LineRead, LineReader, without_carriage_return};

/// What a call of [`CsvRecords::read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CsvRead {
    /// A record; its cells can be asked for.
    Record,
    /// A line that is no record, and why.
    Rejected(RejectionCode, String),
    /// There are no more lines.
    End,
}

/// Reads records and counts their lines.
pub(super) struct CsvRecords {
    lines: LineReader,
    record_bytes_max: usize,
    delimiter: u8,
    /// Lines read and not yet done with, each with its `\n`.
    held: VecDeque<HeldLine>,
    spare: Vec<Vec<u8>>,
    /// Of `held`, the lines of the last record.
    used: usize,
    first_line: u64,
    failure: Option<io::Error>,
    cells: Vec<u8>,
    /// Where each cell ends in `cells`.
    ends: Vec<usize>,
    cells_expected: Option<usize>,
}

struct HeldLine {
    bytes: Vec<u8>,
    too_long: bool,
}

/// What a line made of the record.
enum LineEnd {
    /// The record is complete.
    Complete,
    /// A quoted cell goes on with the next line.
    InQuotes,
    /// Something follows the closing quote of a cell (counted from 1).
    AfterQuote(usize),
}

impl CsvRecords {
    pub(super) fn new(lines: LineReader, delimiter: u8, record_bytes_max: usize) -> Self {
        Self {
            lines,
            record_bytes_max,
            delimiter,
            held: VecDeque::new(),
            spare: Vec::new(),
            used: 0,
            first_line: 1,
            failure: None,
            cells: Vec::new(),
            ends: Vec::new(),
            cells_expected: None,
        }
    }

    /// From now on a record has as many cells as the last one.
    pub(super) fn expect_as_many(&mut self) {
        self.cells_expected = Some(self.ends.len());
    }

    /// The line on which the last record, or rejected line, begins; from 1.
    pub(super) fn row(&self) -> u64 {
        self.first_line
    }

    /// Cells of the last record.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// A cell of the last record, its quotes resolved.
    pub(super) fn cell(&self, position: usize) -> &[u8] {
        let start = if position == 0 {
            0
        } else {
            self.ends[position - 1]
        };
        &self.cells[start..self.ends[position]]
    }

    /// The lines of the last record, as they stand in the file.
    pub(super) fn text(&self) -> String {
        let lines: Vec<u8> = self
            .held
            .iter()
            .take(self.used)
            .flat_map(|line| line.bytes.iter().copied())
            .collect();
        let line = lines.strip_suffix(b"\n").unwrap_or(&lines);
        String::from_utf8_lossy(without_carriage_return(line)).into_owned()
    }

    /// The next record; blank lines are passed over.
    ///
    /// # Errors
    /// What the file or its decompressor says, after every line before it was handed out.
    pub(super) fn read(&mut self) -> io::Result<CsvRead> {
        loop {
            self.release();
            if !self.hold(0) {
                return self.failure.take().map_or(Ok(CsvRead::End), Err);
            }
            self.used = 1;
            let line = &self.held[0];
            if line.too_long {
                let message = format!("the line is longer than {} bytes", self.record_bytes_max);
                return Ok(CsvRead::Rejected(RejectionCode::TooLong, message));
            }
            if !line.bytes.trim_ascii().is_empty() {
                return Ok(self.parse());
            }
        }
    }

    /// Gives up the lines of the last record.
    fn release(&mut self) {
        for line in self.held.drain(..self.used) {
            self.spare.push(line.bytes);
            self.first_line += 1;
        }
        self.used = 0;
    }

    /// Whether there is a line `ahead` of the first one held; it is read if need be.
    fn hold(&mut self, ahead: usize) -> bool {
        while self.held.len() <= ahead {
            if self.failure.is_some() {
                return false;
            }
            let mut bytes = self.spare.pop().unwrap_or_default();
            match self.lines.read_line(&mut bytes) {
                Ok(LineRead::End) => return false,
                Ok(read) => {
                    bytes.push(b'\n');
                    self.held.push_back(HeldLine {
                        bytes,
                        too_long: read == LineRead::TooLong,
                    });
                }
                Err(error) => self.failure = Some(error),
            }
        }
        true
    }

    /// Parses the record that begins on the first line held.
    fn parse(&mut self) -> CsvRead {
        self.cells.clear();
        self.ends.clear();
        let (mut bytes, mut in_quotes) = (0, false);
        for line in 0.. {
            if !self.hold(line) || self.held[line].too_long || bytes > self.record_bytes_max {
                break;
            }
            bytes += self.held[line].bytes.len();
            match self.parse_line(line, in_quotes) {
                LineEnd::Complete => return self.accept(line + 1),
                LineEnd::InQuotes => in_quotes = true,
                LineEnd::AfterQuote(cell) => {
                    let message = format!("text follows the closing quote of cell {cell}");
                    return CsvRead::Rejected(RejectionCode::Malformed, message);
                }
            }
        }
        let message = "a quoted cell is not closed".to_owned();
        CsvRead::Rejected(RejectionCode::Malformed, message)
    }

    /// Appends the cells of one line, which ends with `\n`.
    fn parse_line(&mut self, line: usize, mut in_quotes: bool) -> LineEnd {
        let mut rest = self.held[line].bytes.as_slice();
        loop {
            if !in_quotes {
                if let Some(quoted) = rest.strip_prefix(b"\"") {
                    rest = quoted;
                } else {
                    let is_end = |byte: &u8| *byte == self.delimiter || *byte == b'\n';
                    let end = rest.iter().position(is_end).unwrap_or(rest.len() - 1);
                    let is_last = rest[end] == b'\n';
                    let cell = &rest[..end];
                    let cell = if is_last {
                        without_carriage_return(cell)
                    } else {
                        cell
                    };
                    self.cells.extend_from_slice(cell);
                    self.ends.push(self.cells.len());
                    if is_last {
                        return LineEnd::Complete;
                    }
                    rest = &rest[end + 1..];
                    continue;
                }
            }
            let Some(quote) = rest.iter().position(|byte| *byte == b'"') else {
                self.cells.extend_from_slice(rest);
                return LineEnd::InQuotes;
            };
            self.cells.extend_from_slice(&rest[..quote]);
            rest = &rest[quote + 1..];
            if let Some(escaped) = rest.strip_prefix(b"\"") {
                self.cells.push(b'"');
                rest = escaped;
                in_quotes = true;
                continue;
            }
            self.ends.push(self.cells.len());
            in_quotes = false;
            match rest {
                b"\n" | b"\r\n" => return LineEnd::Complete,
                [delimiter, after @ ..] if *delimiter == self.delimiter => rest = after,
                _ => return LineEnd::AfterQuote(self.ends.len()),
            }
        }
    }

    fn accept(&mut self, lines: usize) -> CsvRead {
        let found = self.ends.len();
        if let Some(expected) = self.cells_expected.filter(|expected| *expected != found) {
            let over = if lines > 1 {
                format!(" over {lines} lines")
            } else {
                String::new()
            };
            let message = format!("{found} cells{over}, the header has {expected}");
            return CsvRead::Rejected(RejectionCode::Malformed, message);
        }
        self.used = lines;
        CsvRead::Record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str, limit: usize) -> CsvRecords {
        let reader = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
        CsvRecords::new(LineReader::new(reader, limit), b',', limit)
    }

    /// Each record or rejected line as `line: cells` or `line! reason`.
    fn read_all(text: &str) -> Vec<String> {
        let mut records = records(text, 1_000);
        let mut found = Vec::new();
        loop {
            let read = records.read().expect("memory can be read");
            let row = records.row();
            match read {
                CsvRead::End => return found,
                CsvRead::Rejected(_, reason) => found.push(format!("{row}! {reason}")),
                CsvRead::Record => {
                    let cells: Vec<_> = (0..records.len())
                        .map(|position| String::from_utf8_lossy(records.cell(position)))
                        .collect();
                    found.push(format!("{row}: {}", cells.join("|")));
                    if row == 1 {
                        records.expect_as_many();
                    }
                }
            }
        }
    }

    #[test]
    fn quotes_breaks_and_blank_lines() {
        assert_eq!(
            read_all("a,b\r\n1,2\r\n\r\n\"x,\"\"y\"\"\",\"two\nlines\"\n,\n3,\"4\"\r\n5,6"),
            [
                "1: a|b",
                "2: 1|2",
                "4: x,\"y\"|two\nlines",
                "6: |",
                "7: 3|4",
                "8: 5|6"
            ]
        );
        assert_eq!(read_all("a\"b,\"\",\"c\"\n"), ["1: a\"b||c"]);
        assert!(read_all("").is_empty() && read_all("\n\r\n  \n").is_empty());
    }

    #[test]
    fn a_bad_record_costs_its_first_line_only() {
        assert_eq!(
            read_all("a,b\n1\n2,3,4\n5,6\n"),
            [
                "1: a|b",
                "2! 1 cells, the header has 2",
                "3! 3 cells, the header has 2",
                "4: 5|6"
            ]
        );
        assert_eq!(
            read_all("a,b\n1,\"open\n2,3\n4,5\n"),
            [
                "1: a|b",
                "2! a quoted cell is not closed",
                "3: 2|3",
                "4: 4|5"
            ]
        );
        assert_eq!(
            read_all("a,b\n\"1,2\n3,4\n\"5\",6\n7,8"),
            [
                "1: a|b",
                "2! text follows the closing quote of cell 1",
                "3: 3|4",
                "4: 5|6",
                "5: 7|8"
            ]
        );
    }

    #[test]
    fn length_is_bounded_by_line_and_by_record() {
        let long = format!(
            "a,b\n{},1\n2,3\n\"{}4,5\n6,7\n",
            "x".repeat(2_000),
            "y\n".repeat(900)
        );
        let found = read_all(&long);
        assert_eq!(found[1], "2! the line is longer than 1000 bytes");
        assert_eq!(found[2], "3: 2|3");
        assert_eq!(found[3], "4! a quoted cell is not closed");
        assert_eq!(found.last().map(String::as_str), Some("905: 6|7"));
        let mut records = records(&long, 1_000);
        records.read().expect("the header");
        records.read().expect("the long line");
        assert!(records.text().len() <= 1 << 10);
    }

    #[test]
    fn agrees_with_the_reader_of_arrow() {
        use std::sync::Arc;

        use arrow::array::AsArray;
        use arrow::csv::ReaderBuilder;
        use arrow::datatypes::{DataType, Field, Schema};

        let text = "a,b\n1,2\r\n\"x,\"\"y\"\"\",\"two\r\nlines\"\n\"\",\"\"\"\"\n,ü\n";
        let field = |name| Field::new(name, DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![field("a"), field("b")]));
        let reader = ReaderBuilder::new(schema)
            .with_header(true)
            .build(text.as_bytes());
        let batch = reader
            .expect("a reader")
            .next()
            .expect("a batch")
            .expect("no error");
        let theirs: Vec<String> = (0..batch.num_rows())
            .map(|row| {
                let cell = |column: usize| batch.column(column).as_string::<i32>().value(row);
                format!("{}|{}", cell(0), cell(1))
            })
            .collect();
        let ours: Vec<String> = read_all(text)[1..]
            .iter()
            .map(|record| record.split_once(": ").expect("a record").1.to_owned())
            .collect();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn the_text_of_a_record_is_that_of_the_file() {
        let mut records = records("a,b\r\n\"1\r\n\",2\r\n", 100);
        records.read().expect("the header");
        assert_eq!(records.text(), "a,b");
        records.read().expect("a record");
        assert_eq!(records.text(), "\"1\r\n\",2");
        assert_eq!(records.cell(0), b"1\r\n");
        assert_eq!(records.cell(1), b"2");
    }
}

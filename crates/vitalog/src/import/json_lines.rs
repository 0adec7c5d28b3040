//! Events from JSON Lines: an object a line, with our own names or as a payload of Segment's.

use vitalog_event::RejectionCode;

use super::assembler::Assembler;
use super::byte_source::ByteSource;
use super::error::ImportError;
use super::json_row::{JsonRow, Members, RowFault};
use super::line_reader::{LineRead, LineReader, without_carriage_return};
use super::memberships::Memberships;
use super::options::ImportOptions;
use super::segment_payload::{PayloadKind, read_payload};
use super::source::RowReader;

/// Reads the lines of one file.
pub(super) struct JsonLines {
    path: String,
    lines: LineReader,
    line: Vec<u8>,
    /// The line last read, from 1.
    row: u64,
    options: ImportOptions,
}

impl JsonLines {
    pub(super) fn open(path: &str, source: ByteSource, options: &ImportOptions) -> Self {
        Self {
            path: path.to_owned(),
            lines: LineReader::new(source.reader, options.line_bytes_max),
            line: Vec::new(),
            row: 0,
            options: options.clone(),
        }
    }

    fn push_line(
        &self,
        assembler: &mut Assembler,
        memberships: &mut Memberships,
    ) -> Result<(), ImportError> {
        let line = without_carriage_return(&self.line);
        let kept = || String::from_utf8_lossy(line).into_owned();
        let read = str::from_utf8(line).map_err(|error| {
            let message = format!("byte {} of the line is no UTF-8", error.valid_up_to() + 1);
            RowFault::new("", RejectionCode::InvalidUtf8, message)
        });
        match read.and_then(|text| read_object(text, &self.options)) {
            Ok(row) => {
                if !assembler.push(self.row, &row.source_row(), memberships, kept) {
                    return Err(assembler.contents_exhausted(&self.path, self.row));
                }
            }
            Err(RowFault {
                field,
                code,
                message,
            }) => {
                assembler.reject(self.row, &field, code, message, kept());
            }
        }
        Ok(())
    }
}

fn read_object<'a>(text: &'a str, options: &ImportOptions) -> Result<JsonRow<'a>, RowFault> {
    let members = Members::parse(text)?;
    match PayloadKind::of(&members, options) {
        Some(kind) => read_payload(kind, &members, options),
        None => JsonRow::own(&members, options),
    }
}

impl RowReader for JsonLines {
    fn read_rows(
        &mut self,
        assembler: &mut Assembler,
        memberships: &mut Memberships,
    ) -> Result<bool, ImportError> {
        let read = self.lines.read_line(&mut self.line);
        match read.map_err(|error| ImportError::reading(&self.path, self.row, error))? {
            LineRead::End => return Ok(false),
            LineRead::TooLong => {
                self.row += 1;
                let message = format!("longer than {} bytes", self.options.line_bytes_max);
                let text = String::from_utf8_lossy(&self.line).into_owned();
                assembler.reject(self.row, "", RejectionCode::TooLong, message, text);
            }
            LineRead::Whole => {
                self.row += 1;
                if !self.line.trim_ascii().is_empty() {
                    self.push_line(assembler, memberships)?;
                }
            }
        }
        Ok(true)
    }
}

//! Events from CSV: a header that names the columns, then a record an event; empty cells are NULL.

use vitalog_event::{EventDraft, RejectionCode, TimeUnit};

use super::assembler::{Assembler, SourceRow};
use super::byte_source::ByteSource;
use super::csv_records::{CsvRead, CsvRecords};
use super::error::ImportError;
use super::event_field::EventField;
use super::field_plan::FieldPlan;
use super::line_reader::LineReader;
use super::memberships::Memberships;
use super::options::ImportOptions;
use super::source::RowReader;
use super::time_text::{CellFault, time_from_text, value_from_text};

/// Reads the records of one file.
pub(super) struct CsvColumns {
    path: String,
    records: CsvRecords,
    plan: FieldPlan,
    time_unit: Option<TimeUnit>,
}

impl CsvColumns {
    /// Reads the header and decides which column fills which field.
    ///
    /// # Errors
    /// No header, or what [`FieldPlan::decide`] says.
    pub(super) fn open(
        path: &str,
        source: ByteSource,
        options: &ImportOptions,
    ) -> Result<Self, ImportError> {
        let delimiter = options
            .delimiter
            .unwrap_or_else(|| guess_delimiter(path, &source.head));
        let lines = LineReader::new(source.reader, options.line_bytes_max);
        let mut records = CsvRecords::new(lines, delimiter, options.line_bytes_max);
        let names = read_header(path, &mut records)?;
        let plan = FieldPlan::decide(path, &names, options)?;
        Ok(Self {
            path: path.to_owned(),
            records,
            plan,
            time_unit: options.time_unit,
        })
    }

    fn push_record(
        &self,
        assembler: &mut Assembler,
        memberships: &mut Memberships,
    ) -> Result<(), ImportError> {
        let row = self.records.row();
        let draft = match self.draft() {
            Ok(draft) => draft,
            Err((field, (code, message))) => {
                assembler.reject(row, field.name(), code, message, self.records.text());
                return Ok(());
            }
        };
        // A column of accounts says for each row whether there is one; without such a column the
        // file says nothing.
        let account_is_absent = self.plan.column(EventField::AccountId).is_none();
        let source = SourceRow {
            draft,
            account_is_absent,
        };
        if assembler.push(row, &source, memberships, || self.records.text()) {
            return Ok(());
        }
        Err(assembler.contents_exhausted(&self.path, row))
    }

    fn draft(&self) -> Result<EventDraft<'_>, (EventField, CellFault)> {
        let time = self.text(EventField::EventTime)?;
        let value = self.text(EventField::Value)?;
        Ok(EventDraft {
            event_id: self.text(EventField::EventId)?,
            event_time_us: time
                .map(|text| time_from_text(text, self.time_unit))
                .transpose()
                .map_err(|fault| (EventField::EventTime, fault))?,
            time_is_stamped: false,
            event: self.text(EventField::Event)?,
            account_id: self.text(EventField::AccountId)?,
            user_id: self.text(EventField::UserId)?,
            value: value
                .map(value_from_text)
                .transpose()
                .map_err(|fault| (EventField::Value, fault))?,
            properties: self.text(EventField::Properties)?,
        })
    }

    /// The cell of a field; `None` where it is empty or has no column.
    fn text(&self, field: EventField) -> Result<Option<&str>, (EventField, CellFault)> {
        let Some(position) = self.plan.column(field) else {
            return Ok(None);
        };
        match self.records.cell(position) {
            [] => Ok(None),
            cell => match str::from_utf8(cell) {
                Ok(text) => Ok(Some(text)),
                Err(error) => {
                    let message = format!("byte {} is no UTF-8", error.valid_up_to() + 1);
                    Err((field, (RejectionCode::InvalidUtf8, message)))
                }
            },
        }
    }
}

impl RowReader for CsvColumns {
    fn read_rows(
        &mut self,
        assembler: &mut Assembler,
        memberships: &mut Memberships,
    ) -> Result<bool, ImportError> {
        let read = self.records.read().map_err(|error| {
            ImportError::reading(&self.path, self.records.row().saturating_sub(1), error)
        })?;
        match read {
            CsvRead::End => return Ok(false),
            CsvRead::Record => self.push_record(assembler, memberships)?,
            CsvRead::Rejected(code, message) => {
                let text = self.records.text();
                assembler.reject(self.records.row(), "", code, message, text);
            }
        }
        Ok(true)
    }
}

fn read_header(path: &str, records: &mut CsvRecords) -> Result<Vec<String>, ImportError> {
    let no_header = |detail: &str| ImportError::NoHeader {
        path: path.to_owned(),
        detail: detail.to_owned(),
    };
    match records
        .read()
        .map_err(|error| ImportError::reading(path, 0, error))?
    {
        CsvRead::End => return Err(no_header("the file is empty")),
        CsvRead::Rejected(_, reason) => return Err(no_header(&reason)),
        CsvRead::Record => {}
    }
    records.expect_as_many();
    (0..records.len())
        .map(|position| {
            let name = str::from_utf8(records.cell(position)).map_err(|_| {
                no_header(&format!("the name of column {} is no UTF-8", position + 1))
            })?;
            Ok(name.trim().to_owned())
        })
        .collect()
}

/// The one of comma, semicolon, tab and bar that stands most often in the first line that is not
/// blank; a tab where the file's name ends with `.tsv`.
fn guess_delimiter(path: &str, head: &[u8]) -> u8 {
    if path.to_ascii_lowercase().contains(".tsv") {
        return b'\t';
    }
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| !line.trim_ascii().is_empty());
    let count = |delimiter: u8| {
        line.unwrap_or_default()
            .iter()
            .filter(|byte| **byte == delimiter)
            .count()
    };
    // The last of equal ones wins, so the comma stands last.
    [b'|', b'\t', b';', b',']
        .into_iter()
        .max_by_key(|delimiter| count(*delimiter))
        .unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_guessed_from_the_header() {
        assert_eq!(
            guess_delimiter("a.csv", b"event;event_time\n1,2;3,4,5"),
            b';'
        );
        assert_eq!(guess_delimiter("a.csv", b"\nevent\tevent_time\n"), b'\t');
        assert_eq!(guess_delimiter("a.csv", b"event\n"), b',');
        assert_eq!(guess_delimiter("a.tsv.gz", b"event,x"), b'\t');
        assert_eq!(guess_delimiter("a.csv", b""), b',');
    }
}

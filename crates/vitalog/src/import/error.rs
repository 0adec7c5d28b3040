//! Why a file as a whole cannot be read, or not to its end. Single rows never cause one of these.

use std::io;

use thiserror::Error;

use super::event_field::EventField;

/// What is wrong with a file or with what was said about it.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A text given as an option cannot be read.
    #[error("{text:?}: {reason}")]
    Option {
        /// The text.
        text: String,
        /// What was expected.
        reason: String,
    },
    /// The file cannot be opened.
    #[error("{path}: cannot be opened: {source}")]
    Open {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be read further.
    #[error("{path}: reading stopped after row {row}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Rows read before.
        row: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The file ends before its content does.
    #[error("{path}: the file is cut off after row {row}: {detail}; the rows before were read")]
    CutOff {
        /// The file.
        path: String,
        /// Rows read before.
        row: u64,
        /// What is missing.
        detail: String,
    },
    /// The bytes are not what the format asks for.
    #[error("{path}: damaged after row {row}: {detail}; the rows before were read")]
    Damaged {
        /// The file.
        path: String,
        /// Rows read before.
        row: u64,
        /// What was found.
        detail: String,
    },
    /// Parquet is read from its end, so it cannot come through a pipe or a compressor.
    #[error("{path}: Parquet is read from its end: give it as a plain file, not {through}")]
    NotSeekable {
        /// The file.
        path: String,
        /// How it came.
        through: &'static str,
    },
    /// A column that is neither ours nor mapped.
    #[error("{path}: unknown column {column:?}{}", advice(.column, *.near))]
    UnknownColumn {
        /// The file.
        path: String,
        /// The column.
        column: String,
        /// The field it may mean.
        near: Option<EventField>,
    },
    /// A mapping names a column that the file does not have.
    #[error("{path}: no column {column:?} to map{}", near.as_ref().map_or(String::new(), |near| format!(" (did you mean {near:?}?)")))]
    NoSuchColumn {
        /// The file.
        path: String,
        /// The column of the mapping.
        column: String,
        /// A column of the file with a similar name.
        near: Option<String>,
    },
    /// A required field has no column.
    #[error("{path}: no column for {field}; the file has {columns}: use --map COLUMN={field}", field = .field.name())]
    MissingField {
        /// The file.
        path: String,
        /// The field.
        field: EventField,
        /// The file's columns.
        columns: String,
    },
    /// Two columns fill one field.
    #[error("{path}: the columns {first:?} and {second:?} both fill {field}", field = .field.name())]
    TwoColumns {
        /// The file.
        path: String,
        /// The field.
        field: EventField,
        /// One column.
        first: String,
        /// The other one.
        second: String,
    },
    /// A column's type cannot become the field's.
    #[error("{path}: column {column:?} is {found}, {field} takes {expected}", field = .field.name())]
    ColumnType {
        /// The file.
        path: String,
        /// The column.
        column: String,
        /// The field.
        field: EventField,
        /// Its type.
        found: String,
        /// What the field takes.
        expected: &'static str,
    },
    /// A CSV file without a header.
    #[error("{path}: no header: {detail}")]
    NoHeader {
        /// The file.
        path: String,
        /// What was found instead.
        detail: String,
    },
    /// More different rows without an id than are counted.
    #[error(
        "{path}: more than {max} different rows without an event_id at row {row}: \
         give the file a column of ids, or split it"
    )]
    TooManyContents {
        /// The file.
        path: String,
        /// The row at which it was noticed.
        row: u64,
        /// The limit.
        max: usize,
    },
}

impl ImportError {
    pub(super) fn option(text: &str, reason: &str) -> Self {
        Self::Option {
            text: text.to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// An error of the system or of a decompressor while reading.
    pub(super) fn reading(path: &str, row: u64, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff {
                path,
                row,
                detail: source.to_string(),
            },
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::Damaged {
                path,
                row,
                detail: source.to_string(),
            },
            _ => Self::Read { path, row, source },
        }
    }
}

fn advice(column: &str, near: Option<EventField>) -> String {
    let (question, field) = near.map_or((String::new(), "FIELD"), |field| {
        (format!(" (did you mean {}?)", field.name()), field.name())
    });
    format!("{question}: use --map {column}={field}, or --ignore-unknown to pass over it")
}

//! What a caller says about a file: where it is, what it holds, which column fills which field.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use vitalog_event::TimeUnit;
use vitalog_event::limits::PROPERTIES_BYTES_MAX;

use super::error::ImportError;
use super::event_field::{EventField, nearest_field};

/// A file, or the standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourcePath {
    /// Written `-`.
    Stdin,
    /// A path.
    File(PathBuf),
}

impl FromStr for SourcePath {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" {
            Self::Stdin
        } else {
            Self::File(PathBuf::from(text))
        })
    }
}

impl fmt::Display for SourcePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => formatter.write_str("standard input"),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}

/// What a file holds, below its compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceFormat {
    /// Apache Parquet.
    Parquet,
    /// Text with a header line; quoted as in RFC 4180.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

impl SourceFormat {
    /// The format that the end of a file's name promises, compression left aside.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let bare = [".gz", ".zst", ".zstd"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        match bare.unwrap_or(&name).rsplit_once('.')?.1 {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" | "tsv" => Some(Self::Csv),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

impl FromStr for SourceFormat {
    type Err = ImportError;

    fn from_str(text: &str) -> Result<Self, ImportError> {
        match text {
            "parquet" => Ok(Self::Parquet),
            "csv" => Ok(Self::Csv),
            "jsonl" | "json" | "ndjson" => Ok(Self::JsonLines),
            _ => Err(ImportError::option(
                text,
                "one of parquet, csv, jsonl is expected",
            )),
        }
    }
}

/// A column of the file and the field that it fills: `column=field`.
///
/// In JSON Lines the column may be a path with dots, such as `properties.company_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMapping {
    /// The column's name in the file.
    pub column: String,
    /// The field it fills.
    pub field: EventField,
}

impl FromStr for FieldMapping {
    type Err = ImportError;

    fn from_str(text: &str) -> Result<Self, ImportError> {
        let Some((column, name)) = text.rsplit_once('=') else {
            return Err(ImportError::option(text, "column=field is expected"));
        };
        if column.is_empty() {
            return Err(ImportError::option(
                text,
                "the column before '=' is missing",
            ));
        }
        let field = EventField::from_name(name).ok_or_else(|| {
            let near = nearest_field(name).map_or(String::new(), |field| {
                format!(" (did you mean {}?)", field.name())
            });
            let names = EventField::ALL.map(EventField::name).join(", ");
            ImportError::option(text, &format!("{name:?} is none of {names}{near}"))
        })?;
        Ok(Self {
            column: column.to_owned(),
            field,
        })
    }
}

/// Reads `s`, `ms`, `us` or `ns`.
///
/// # Errors
/// [`ImportError::Option`] for any other text.
pub fn parse_time_unit(text: &str) -> Result<TimeUnit, ImportError> {
    match text {
        "s" => Ok(TimeUnit::Second),
        "ms" => Ok(TimeUnit::Millisecond),
        "us" | "µs" => Ok(TimeUnit::Microsecond),
        "ns" => Ok(TimeUnit::Nanosecond),
        _ => Err(ImportError::option(
            text,
            "one of s, ms, us, ns is expected",
        )),
    }
}

/// How to read a file.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Columns that do not bear the name of the field they fill.
    pub mappings: Vec<FieldMapping>,
    /// The unit of times that are numbers; without it such times are not taken.
    pub time_unit: Option<TimeUnit>,
    /// Whether columns that are neither ours nor mapped are passed over instead of refused.
    pub ignore_unknown: bool,
    /// What the file holds; found out from its first bytes and its name where absent.
    pub format: Option<SourceFormat>,
    /// What separates the cells of a CSV file; found out from the header where absent.
    pub delimiter: Option<u8>,
    /// Most rows of a batch.
    pub batch_rows: usize,
    /// Longest line of text, and longest record of a CSV file, in bytes. A longer one is rejected
    /// and never held whole.
    pub line_bytes_max: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            mappings: Vec::new(),
            time_unit: None,
            ignore_unknown: false,
            format: None,
            delimiter: None,
            batch_rows: 1 << 16,
            line_bytes_max: (1 << 20) + PROPERTIES_BYTES_MAX,
        }
    }
}

impl ImportOptions {
    /// The field that `column` is mapped to.
    pub(super) fn mapped(&self, column: &str) -> Option<EventField> {
        let mapping = self
            .mappings
            .iter()
            .find(|mapping| mapping.column == column)?;
        Some(mapping.field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_read_and_slips_are_explained() {
        let mapping: FieldMapping = "a=b=user_id".parse().expect("a mapping");
        assert_eq!(mapping.column, "a=b");
        assert_eq!(mapping.field, EventField::UserId);
        let check = |text: &str, reason: &str| {
            let error = text.parse::<FieldMapping>().expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        };
        check("company", "column=field is expected");
        check("=user_id", "missing");
        check("company=acount_id", "did you mean account_id?");
    }

    #[test]
    fn names_promise_formats() {
        for (name, format) in [
            ("a/events.parquet", Some(SourceFormat::Parquet)),
            ("events.CSV.gz", Some(SourceFormat::Csv)),
            ("events.jsonl.zst", Some(SourceFormat::JsonLines)),
            ("events", None),
            ("events.gz", None),
        ] {
            assert_eq!(SourceFormat::from_name(name), format, "{name}");
        }
        assert_eq!("-".parse(), Ok(SourcePath::Stdin));
        assert!(parse_time_unit("hours").is_err());
    }
}

//! Events from files: Parquet, CSV and JSON Lines, plain or compressed, as batches of valid events.
//!
//! Owns how a file's columns, lines and payloads become drafts, which rows are left out and why;
//! not what a valid event is (`vitalog-event`), nor where a batch goes. Invariants: a bad row
//! never stops a file and is reported with its row, field and reason; what was read before a file
//! breaks off is handed out before the error; memory is bounded, whatever the file holds.
//!
//! Rows are numbered from 1: lines in text (the header of a CSV file is line 1), rows in Parquet.

mod assembler;
mod byte_source;
mod content_ids;
mod csv_columns;
mod csv_records;
mod error;
mod event_field;
mod field_plan;
mod json_lines;
mod json_row;
mod line_reader;
mod memberships;
mod options;
mod parquet_columns;
mod parquet_metadata;
mod parquet_rows;
mod segment_payload;
mod source;
#[cfg(test)]
mod source_tests;
mod time_text;

pub use assembler::{RejectedRow, SourceBatch};
pub use content_ids::CONTENTS_MAX;
pub use error::ImportError;
pub use event_field::EventField;
pub use memberships::{MEMBERSHIPS_PER_USER_MAX, Memberships, USERS_MAX};
pub use options::{FieldMapping, ImportOptions, SourceFormat, SourcePath, parse_time_unit};
pub use source::{EventSource, open_reader, open_source};

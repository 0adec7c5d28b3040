//! Whole files through `open_source`: what each format makes of good rows and of bad ones.

mod csv;
mod json;
mod packing;
mod parquet;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use tempfile::TempDir;
use vitalog_event::{EventBatch, day_of_timestamp_us, parse_timestamp_us};

use super::{ImportError, ImportOptions, Memberships, RejectedRow, SourcePath, open_source};
use crate::simulate::{Simulation, SimulationConfig, write_parquet};

const NOW: &str = "2025-03-01T12:00:00Z";

fn now_us() -> i64 {
    parse_timestamp_us(NOW).expect("a time")
}

/// What a file gave.
#[derive(Debug, Default)]
struct Found {
    events: Vec<EventBatch>,
    rejected: Vec<RejectedRow>,
    rows: usize,
    without_account: u64,
    row_numbers: Vec<u64>,
    failure: Option<ImportError>,
}

impl Found {
    fn accepted(&self) -> usize {
        self.events.iter().map(EventBatch::len).sum()
    }

    fn rejections(&self) -> Vec<(u64, &str, &str)> {
        self.rejected
            .iter()
            .map(|row| (row.row, row.field.as_str(), row.code.as_str()))
            .collect()
    }

    fn texts(&self, column: impl Fn(&EventBatch) -> &StringArray) -> Vec<Option<String>> {
        let mut texts = Vec::new();
        for batch in &self.events {
            texts.extend(column(batch).iter().map(|text| text.map(str::to_owned)));
        }
        texts
    }

    fn failure(&self) -> String {
        self.failure.as_ref().expect("a failure").to_string()
    }
}

fn read_with(path: &Path, options: &ImportOptions, memberships: &mut Memberships) -> Found {
    let mut found = Found::default();
    let path = SourcePath::File(path.to_owned());
    let mut source = match open_source(&path, options, now_us()) {
        Ok(source) => source,
        Err(error) => {
            found.failure = Some(error);
            return found;
        }
    };
    loop {
        match source.next_batch(memberships) {
            Ok(None) => break,
            Err(error) => found.failure = Some(error),
            Ok(Some(batch)) => {
                assert!(found.failure.is_none(), "a batch after a failure");
                found.rows += batch.rows();
                found.without_account += batch.rows_without_account;
                found
                    .row_numbers
                    .extend((0..batch.events.len()).map(|row| batch.row_number(row)));
                found.rejected.extend(batch.rejected);
                found.events.push(batch.events);
            }
        }
    }
    assert_eq!(found.rows, found.accepted() + found.rejected.len());
    if found.failure.is_none() {
        assert_eq!(Some(source.bytes_read()), source.bytes_total());
    }
    found
}

fn read(path: &Path, options: &ImportOptions) -> Found {
    read_with(path, options, &mut Memberships::new())
}

/// A directory for the files of one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().expect("a directory"))
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    }

    fn parquet(&self, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
        let path = self.0.path().join("events.parquet");
        let batch = RecordBatch::try_from_iter(columns).expect("columns of equal length");
        let file = File::create(&path).expect("a file");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
        path
    }

    fn simulated(&self, rows: u64) -> PathBuf {
        let path = self.0.path().join("simulated.parquet");
        write_parquet(simulation(rows), &path).expect("written");
        path
    }
}

fn texts(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

fn mapped(mappings: &[&str]) -> ImportOptions {
    let mappings = mappings
        .iter()
        .map(|text| text.parse().expect("a mapping"))
        .collect();
    ImportOptions {
        mappings,
        ..ImportOptions::default()
    }
}

/// Events of the days before today.
fn simulation(rows: u64) -> Simulation {
    let end_day = day_of_timestamp_us(now_us()) - 1;
    Simulation::new(SimulationConfig::scaled(rows, 9, end_day)).expect("valid")
}

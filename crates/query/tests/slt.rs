//! Runs `tests/slt/*.slt` on the same short history in four layouts: in memory, flushed, cold,
//! and mixed with late data. Every file must give the same answers on each.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;

use arrow::record_batch::RecordBatch;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use vitalog_query::{QueryEngine, QueryError};

use support::{Layout, batches, engine_over, history, request, store_of, texts};

struct Database(QueryEngine);

#[async_trait::async_trait]
impl AsyncDB for Database {
    type Error = QueryError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, QueryError> {
        let batches = batches(&self.0, request(sql)).await?;
        let columns = batches.first().map_or(1, RecordBatch::num_columns);
        let types = vec![DefaultColumnType::Any; columns];
        // An empty text would be no column.
        let shown = |value: String| {
            if value.is_empty() {
                "(empty)".to_owned()
            } else {
                value
            }
        };
        let rows = texts(&batches)
            .into_iter()
            .map(|row| row.into_iter().map(shown).collect())
            .collect();
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {}
}

fn run_on(layout: Layout) {
    let engine = engine_over(&store_of(&history(), layout));
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let mut runner = Runner::new(|| async { Ok(Database(engine.clone())) });
        if let Err(error) = runner.run_file(&file) {
            panic!("{layout:?}: {error}");
        }
    }
}

#[test]
fn in_memory() {
    run_on(Layout::Memory);
}

#[test]
fn flushed() {
    run_on(Layout::Flushed);
}

#[test]
fn cold() {
    run_on(Layout::Cold);
}

#[test]
fn mixed_with_late_data() {
    run_on(Layout::Mixed);
}

//! The `.slt` files, each run over one partition and over several, with batches of a few rows, and
//! with partial aggregation skipped: an answer must not show how it was computed.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};
use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};

struct Session {
    runtime: tokio::runtime::Runtime,
    context: SessionContext,
}

impl Session {
    fn new(partitions: usize, batch_rows: usize, skip_partial: bool) -> Self {
        let mut config = SessionConfig::new()
            .with_target_partitions(partitions)
            .with_batch_size(batch_rows)
            .with_information_schema(true);
        if skip_partial {
            let options = &mut config.options_mut().execution;
            options.skip_partial_aggregation_probe_ratio_threshold = 0.0;
            options.skip_partial_aggregation_probe_rows_threshold = 0;
        }
        let mut context = SessionContext::new_with_config(config);
        vitalog_functions::register_all(&mut context).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self { runtime, context }
    }
}

impl DB for Session {
    type Error = DataFusionError;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, DataFusionError> {
        let batches = self
            .runtime
            .block_on(async { self.context.sql(sql).await?.collect().await })?;
        let Some(first) = batches.first() else {
            return Ok(DBOutput::StatementComplete(0));
        };
        let types = vec![DefaultColumnType::Any; first.num_columns()];
        let options = FormatOptions::default().with_null("NULL");
        let mut rows = Vec::new();
        for batch in &batches {
            let columns = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options))
                .collect::<Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                rows.push(
                    columns
                        .iter()
                        .map(|column| column.value(row).to_string())
                        .collect(),
                );
            }
        }
        Ok(DBOutput::Rows { types, rows })
    }
}

fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/slt")
        .join(file);
    for (partitions, batch_rows, skip_partial) in [(1, 8192, false), (4, 2, false), (3, 1, true)] {
        let mut runner =
            Runner::new(|| async { Ok(Session::new(partitions, batch_rows, skip_partial)) });
        if let Err(error) = runner.run_file(&path) {
            panic!("{partitions} partitions, {batch_rows} rows a batch: {error}");
        }
    }
}

macro_rules! files {
    ($($name:ident),*) => {
        $(#[test] fn $name() { check(concat!(stringify!($name), ".slt")); })*

        /// A file that no test runs cannot fail.
        #[test]
        fn every_file_is_run() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
            let mut found: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            let mut run = vec![$(concat!(stringify!($name), ".slt").to_owned()),*];
            found.sort();
            run.sort();
            assert_eq!(found, run);
        }
    };
}

files!(
    activity, bands, catalogues, days, errors, funnels, retention, scores, sessions, signals,
    sketches, sums
);

//! The questions of a first day, in SQL: `tests/day_one/*.slt` over five months of twelve customers,
//! in four layouts that must give the same answers.
//!
//! A line `-- $1 = 'red'` of a query gives the value of its placeholder `$1`.
#![allow(clippy::unwrap_used)]

#[path = "day_one/history.rs"]
mod history;
mod support;

use std::path::PathBuf;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use futures::executor::block_on;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use vitalog_query::{Parameter, QueryConfig, QueryEngine, QueryError, QueryRequest};

use history::history;
use support::{Layout, batches, store_of, texts};

const MODEL: &str = include_str!("day_one/model.toml");

/// The red accounts of the day of the questions, as a view that people give a name.
const RED_ACCOUNTS: &str = "\
    SELECT h.account_id, a.name, a.mrr, h.score FROM health_scores(as_of => DATE '2025-05-25') h \
    JOIN accounts a ON a.account_id = h.account_id WHERE h.status = 'red'";

struct Database(QueryEngine);

#[async_trait::async_trait]
impl AsyncDB for Database {
    type Error = QueryError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, QueryError> {
        let mut request = QueryRequest::new(sql);
        request.parameters = parameters(&self.0, sql).await?;
        let batches = batches(&self.0, request).await?;
        let columns = batches.first().map_or(1, RecordBatch::num_columns);
        let types = vec![DefaultColumnType::Any; columns];
        let rows = texts(&batches);
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {}
}

/// The values of the lines `-- $1 = …`, `-- $2 = …` of a query: each is any literal of SQL.
async fn parameters(engine: &QueryEngine, sql: &str) -> Result<Vec<Parameter>, QueryError> {
    let mut parameters = Vec::new();
    for line in sql.lines() {
        let Some((number, literal)) = line
            .trim()
            .strip_prefix("-- $")
            .and_then(|line| line.split_once(" = "))
        else {
            continue;
        };
        assert_eq!(number, (parameters.len() + 1).to_string(), "{line}");
        let answer = batches(engine, QueryRequest::new(format!("SELECT {literal}"))).await?;
        parameters.push(parameter(answer[0].column(0).as_ref()));
    }
    Ok(parameters)
}

/// The one value of a column.
fn parameter(column: &dyn Array) -> Parameter {
    assert_eq!(column.len(), 1);
    if column.is_null(0) {
        return Parameter::Null;
    }
    match column.data_type() {
        DataType::Boolean => Parameter::Boolean(column.as_boolean().value(0)),
        DataType::Int64 => Parameter::Integer(column.as_primitive::<Int64Type>().value(0)),
        DataType::Float64 => Parameter::Double(column.as_primitive::<Float64Type>().value(0)),
        DataType::Utf8 => Parameter::Text(column.as_string::<i32>().value(0).to_owned()),
        DataType::Date32 => Parameter::Date(column.as_primitive::<Date32Type>().value(0)),
        DataType::Timestamp(_, _) => {
            let times = column.as_primitive::<TimestampMicrosecondType>();
            Parameter::TimestampUs(times.value(0))
        }
        other => panic!("a parameter of type {other}"),
    }
}

/// Over two partitions and batches that are small against the history.
fn engine_over(layout: Layout) -> QueryEngine {
    let config = QueryConfig {
        scan_threads: 2,
        partitions: 2,
        batch_rows: 100,
        ..QueryConfig::default()
    };
    QueryEngine::new(store_of(&history(), layout), config).unwrap()
}

fn run_on(layout: Layout) {
    let engine = engine_over(layout);
    block_on(engine.apply_model(MODEL, false)).unwrap();
    block_on(engine.apply_view("red_accounts", RED_ACCOUNTS)).unwrap();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/day_one");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
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

/// The answers that `docs/health.md` shows are those of this history.
#[tokio::test]
async fn the_page_shows_real_answers() {
    let engine = engine_over(Layout::Flushed);
    engine.apply_model(MODEL, false).await.unwrap();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/health.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, part) = page.split_once("\n## Five questions\n").unwrap();
    let (part, _) = part.split_once("\n## ").unwrap();
    let mut questions = 0;
    for question in part.split("```sql\n").skip(1) {
        let (sql, rest) = question.split_once("```").unwrap();
        let (_, shown) = rest.split_once("```text\n").unwrap();
        let (shown, _) = shown.split_once("```").unwrap();
        let shown: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        let found = batches(&engine, QueryRequest::new(sql)).await.unwrap();
        let schema = found[0].schema();
        let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
        assert_eq!(shown[0], names, "{sql}");
        assert_eq!(texts(&found), shown[2..], "{sql}");
        questions += 1;
    }
    assert_eq!(questions, 5);
}

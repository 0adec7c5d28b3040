//! The rows of `health_models`, `health_weights`, `health_features`, `health_steps_catalogue`.
//!
//! All versions that a statement sees, by name and version.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::book::{ModelBook, ModelVersion};
use super::definition::{EventSet, Model, WEIGHT_UNITS, Weight};
use crate::tables::TableName;

/// A version, and whether it is in force.
type Row<'b> = (&'b ModelVersion, bool);

fn rows(book: &ModelBook) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for name in book.names() {
        let current = book.in_force(name).map(|version| version.version);
        for version in book.versions(name) {
            rows.push((&**version, Some(version.version) == current));
        }
    }
    rows
}

/// Name, version, valid from, is current: with these every table begins.
fn version_columns(rows: &[Row<'_>]) -> Vec<ArrayRef> {
    let versions = || rows.iter().map(|row| row.0);
    vec![
        texts(versions().map(|version| &version.model.name)),
        integers(versions().map(|version| Some(i64::from(version.version)))),
        Arc::new(
            versions()
                .map(|version| version.valid_from_us)
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
        booleans(rows.iter().map(|row| row.1)),
    ]
}

/// The rows of `health_models`.
pub(crate) fn health_models(book: &ModelBook) -> Result<RecordBatch, ArrowError> {
    let rows = rows(book);
    let models = || rows.iter().map(|row| &*row.0.model);
    let mut columns = version_columns(&rows);
    columns.extend([
        texts(models().map(|model| model.entity.as_str())),
        integers(models().map(|model| model.priority)),
        integers(models().map(|model| Some(i64::from(model.period_days)))),
        texts(models().map(|model| &model.time_zone)),
        doubles(models().map(|model| model.percentile)),
        Arc::new(
            models()
                .map(|model| model.description.as_deref())
                .collect::<StringArray>(),
        ),
        texts(rows.iter().map(|row| &row.0.content_hash)),
        texts(rows.iter().map(|row| &*row.0.text)),
    ]);
    RecordBatch::try_new(TableName::HealthModels.schema(), columns)
}

/// The rows of `health_weights`: one an event of a rule.
pub(crate) fn health_weights(book: &ModelBook) -> Result<RecordBatch, ArrowError> {
    let mut versions: Vec<Row<'_>> = Vec::new();
    let mut weights: Vec<(i64, &str, &Weight)> = Vec::new();
    for row in rows(book) {
        for (position, weight) in (1..).zip(&row.0.model.weights) {
            for event in events_of(&weight.events) {
                versions.push(row);
                weights.push((position, event, weight));
            }
        }
    }
    let rules = || weights.iter().map(|row| row.2);
    let mut columns = version_columns(&versions);
    columns.extend([
        integers(weights.iter().map(|row| Some(row.0))),
        texts(weights.iter().map(|row| row.1)),
        Arc::new(
            rules()
                .map(|rule| Some(rule.filter.as_ref()?.sql.as_str()))
                .collect::<StringArray>(),
        ),
        // Both are exact as doubles, so this is the double nearest to the decimal.
        doubles(rules().map(|rule| rule.units as f64 / WEIGHT_UNITS as f64)),
        booleans(rules().map(|rule| rule.times_value)),
        integers(rules().map(|rule| rule.daily_cap.map(i64::from))),
    ]);
    RecordBatch::try_new(TableName::HealthWeights.schema(), columns)
}

/// The rows of `health_features`.
pub(crate) fn health_features(book: &ModelBook) -> Result<RecordBatch, ArrowError> {
    catalogue(book, TableName::HealthFeatures, |model| &model.features)
}

/// The rows of `health_steps_catalogue`.
pub(crate) fn health_steps_catalogue(book: &ModelBook) -> Result<RecordBatch, ArrowError> {
    catalogue(book, TableName::HealthStepsCatalogue, |model| &model.steps)
}

fn catalogue(
    book: &ModelBook,
    table: TableName,
    events_of: fn(&Model) -> &[String],
) -> Result<RecordBatch, ArrowError> {
    let mut versions: Vec<Row<'_>> = Vec::new();
    let mut events: Vec<(i64, &str)> = Vec::new();
    for row in rows(book) {
        for (position, event) in (1..).zip(events_of(&row.0.model)) {
            versions.push(row);
            events.push((position, event));
        }
    }
    let mut columns = version_columns(&versions);
    columns.extend([
        integers(events.iter().map(|row| Some(row.0))),
        texts(events.iter().map(|row| row.1)),
    ]);
    RecordBatch::try_new(table.schema(), columns)
}

fn events_of(events: &EventSet) -> Vec<&str> {
    match events {
        EventSet::All => vec!["*"],
        EventSet::Named(events) => events.iter().map(String::as_str).collect(),
    }
}

fn texts(texts: impl Iterator<Item = impl AsRef<str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(texts))
}

fn integers(integers: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(integers.collect::<Int64Array>())
}

fn doubles(doubles: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(doubles))
}

fn booleans(booleans: impl Iterator<Item = bool>) -> ArrayRef {
    Arc::new(booleans.map(Some).collect::<BooleanArray>())
}

//! What one entity's score is made of, and the signals beside it.

use arrow::array::RecordBatch;
use futures::StreamExt;
use vitalog_query::{QueryEngine, QueryStream};
use vitalog_wire::vitalog::v1::{Contribution, EntityId, Signal};

use super::pin::Pin;
use super::relation::Statement;
use crate::columns::{booleans, count, doubles, integers, text, texts, value};
use crate::fault::Fault;
use crate::words::band_of;

/// The first rows of an answer, and how many it had.
pub(super) struct Listed<T> {
    pub rows: Vec<T>,
    pub total: u64,
}

/// What the score of `entity` is made of, the largest points first.
pub(super) async fn contributions(
    engine: &QueryEngine,
    pin: &Pin,
    entity: &EntityId,
    rows_max: usize,
) -> Result<Listed<Contribution>, Fault> {
    let columns = "event, position, count, counted, weight, contribution, share, points, to_green";
    let order = "ORDER BY abs(points) DESC NULLS LAST, abs(contribution) DESC NULLS LAST, \
                 position, event";
    let arguments = [
        ("account", entity.account_id.as_deref()),
        // A word of SQL's own.
        ("\"user\"", entity.user_id.as_deref()),
    ];
    let statement = Statement::new(("health_explain", columns), pin, &arguments).then(order);
    listed(statement.start(engine).await?, rows_max, contributions_of).await
}

/// The signals of `entity`, by dimension and name.
pub(super) async fn signals(
    engine: &QueryEngine,
    pin: &Pin,
    entity: &EntityId,
    rows_max: usize,
) -> Result<Listed<Signal>, Fault> {
    let columns = "dimension, signal, value, previous, change, band, severity, is_info, \
                   dimension_band";
    let relation = ("account_signals", columns);
    let ids = [
        ("account_id", entity.account_id.as_deref()),
        ("user_id", entity.user_id.as_deref()),
    ];
    let statement = Statement::new(relation, pin, &[])
        .that_has(&ids)
        .then("ORDER BY dimension, signal");
    listed(statement.start(engine).await?, rows_max, signals_of).await
}

/// Counts all rows and keeps the first, so that memory does not grow with their number.
async fn listed<T>(
    mut answer: QueryStream,
    rows_max: usize,
    rows_of: impl Fn(&RecordBatch) -> Result<Vec<T>, Fault>,
) -> Result<Listed<T>, Fault> {
    let mut listed = Listed {
        rows: Vec::new(),
        total: 0,
    };
    while let Some(batch) = answer.next().await {
        let batch = batch.map_err(|error| Fault::of_own_statement(&error))?;
        listed.total += batch.num_rows() as u64;
        let wanted = (rows_max - listed.rows.len()).min(batch.num_rows());
        listed.rows.extend(rows_of(&batch.slice(0, wanted))?);
    }
    Ok(listed)
}

fn contributions_of(batch: &RecordBatch) -> Result<Vec<Contribution>, Fault> {
    let (events, positions) = (texts(batch, "event")?, integers(batch, "position")?);
    let (counts, counted) = (integers(batch, "count")?, integers(batch, "counted")?);
    let (weights, shares) = (doubles(batch, "weight")?, doubles(batch, "share")?);
    let contributions = doubles(batch, "contribution")?;
    let (points, to_green) = (doubles(batch, "points")?, integers(batch, "to_green")?);
    let row_of = |row| Contribution {
        event: text(&events, row).unwrap_or_default(),
        position: value(&positions, row).unwrap_or_default(),
        count: count(&counts, row).unwrap_or_default(),
        counted: count(&counted, row).unwrap_or_default(),
        weight: value(&weights, row),
        contribution: value(&contributions, row),
        share: value(&shares, row),
        points: value(&points, row),
        to_green: value(&to_green, row),
    };
    Ok((0..batch.num_rows()).map(row_of).collect())
}

fn signals_of(batch: &RecordBatch) -> Result<Vec<Signal>, Fault> {
    let (dimensions, names) = (texts(batch, "dimension")?, texts(batch, "signal")?);
    let (values, previous) = (doubles(batch, "value")?, doubles(batch, "previous")?);
    let (changes, bands) = (doubles(batch, "change")?, texts(batch, "band")?);
    let (severities, is_info) = (doubles(batch, "severity")?, booleans(batch, "is_info")?);
    let dimension_bands = texts(batch, "dimension_band")?;
    let row_of = |row| {
        Ok(Signal {
            dimension: text(&dimensions, row).unwrap_or_default(),
            signal: text(&names, row).unwrap_or_default(),
            value: value(&values, row),
            previous: value(&previous, row),
            change: value(&changes, row),
            band: band_of(value(&bands, row))?.into(),
            severity: value(&severities, row),
            is_info: value(&is_info, row).unwrap_or_default(),
            dimension_band: band_of(value(&dimension_bands, row))?.into(),
        })
    };
    (0..batch.num_rows()).map(row_of).collect()
}

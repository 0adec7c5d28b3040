//! Walking rows with their identity: a run has one member, and rows are selected as ranges.

use std::ops::Range;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use vitalog_store::{Run, Section, Selection, StoreError};

use super::Result;
use crate::error::QueryError;
use crate::snapshot::StatementSnapshot;

/// An error of the store on its way through the engine.
pub(super) fn damage(error: StoreError) -> DataFusionError {
    QueryError::from(error).into()
}

/// The sections of which at least one row is seen, in time order, each opened when it is reached:
/// columns of a cold one live as long as it is held.
pub(super) fn seen_sections(
    snapshot: &StatementSnapshot,
) -> impl Iterator<Item = Result<Arc<Section>>> {
    let filter = snapshot.row_filter();
    let slices = snapshot.snapshot.slices().iter();
    let sections = slices.flat_map(|slice| &slice.sections);
    sections
        .filter(move |section| !section.is_pruned_by(&filter))
        .map(|section| snapshot.control.check().map(|()| section.open()))
}

/// Calls `visit` with each part of a run that is selected, in row order.
pub(super) fn visit_runs(
    section: &Section,
    selection: &Selection,
    mut visit: impl FnMut(&Run, Range<usize>) -> Result<()>,
) -> Result<()> {
    let mut ranges = selection.ranges().iter().peekable();
    for run in section.runs_of_members().map_err(damage)? {
        while let Some(range) = ranges.peek() {
            let part = range.start.max(run.rows.start)..range.end.min(run.rows.end);
            if !part.is_empty() {
                visit(&run, part)?;
            }
            if range.end > run.rows.end {
                break;
            }
            ranges.next();
        }
    }
    Ok(())
}

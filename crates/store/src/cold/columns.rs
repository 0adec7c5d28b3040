//! Decoding: whole columns, read in one piece a row group, or only the pages that some rows need.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_buffer::ScalarBuffer;
use arrow_select::concat::concat;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection, RowSelectionPolicy,
};

use super::blocks::{CheckedFile, Span};
use super::schema::Column;
use crate::error::{Result, StoreError};
use crate::section::EventCodes;

type Builder = ParquetRecordBatchReaderBuilder<Span>;

fn builder(span: Span, metadata: &ArrowReaderMetadata, columns: &[Column]) -> Builder {
    let leaves = columns.iter().map(|&column| column as usize);
    let mask = ProjectionMask::leaves(metadata.parquet_schema(), leaves);
    Builder::new_with_metadata(span, metadata.clone()).with_projection(mask)
}

/// Gives `each` the columns (ascending, next to each other or nearly so) of each row group as one
/// batch. Cost: one read a row group, from the first column to the end of the last.
pub(super) fn visit_row_groups(
    file: &Arc<CheckedFile>,
    metadata: &ArrowReaderMetadata,
    columns: &[Column],
    mut each: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<()> {
    for (at, group) in metadata.metadata().row_groups().iter().enumerate() {
        let ranges = columns
            .iter()
            .map(|&column| group.column(column as usize).byte_range());
        let start = ranges.clone().map(|(start, _)| start).min().unwrap_or(0);
        let end = ranges.map(|(start, length)| start + length).max();
        let length = end.unwrap_or(start) - start;
        let span = Span::ahead(file, start, length as usize)?;
        let reader = builder(span, metadata, columns)
            .with_row_groups(vec![at])
            .with_batch_size(group.num_rows() as usize)
            .build()
            .map_err(|error| file.failed(&error))?;
        for batch in reader {
            each(&batch.map_err(|error| file.failed(&error))?)?;
        }
    }
    Ok(())
}

/// A whole column.
pub(super) fn decode(
    file: &Arc<CheckedFile>,
    metadata: &ArrowReaderMetadata,
    column: Column,
) -> Result<ArrayRef> {
    let mut parts = Vec::new();
    visit_row_groups(file, metadata, &[column], |batch| {
        parts.push(Arc::clone(batch.column(0)));
        Ok(())
    })?;
    joined(file, &parts)
}

fn joined(file: &CheckedFile, parts: &[ArrayRef]) -> Result<ArrayRef> {
    match parts {
        [] => Err(file.damaged(0, "no rows")),
        [only] => Ok(Arc::clone(only)),
        several => {
            let several: Vec<&dyn Array> = several.iter().map(AsRef::as_ref).collect();
            concat(&several).map_err(|error| file.damaged(0, error.to_string()))
        }
    }
}

/// The rows of `ranges` (ascending, disjoint, not empty) of `columns` (ascending), of `rows` rows.
/// Reads only the pages that hold them, and dictionaries.
pub(super) fn decode_pages(
    file: &Arc<CheckedFile>,
    metadata: &ArrowReaderMetadata,
    columns: &[Column],
    ranges: &[Range<usize>],
    rows: usize,
) -> Result<Vec<ArrayRef>> {
    let wanted = ranges.iter().map(ExactSizeIterator::len).sum();
    let selection = RowSelection::from_consecutive_ranges(ranges.iter().cloned(), rows);
    let reader = builder(Span::none(file), metadata, columns)
        .with_row_selection(selection)
        .with_row_selection_policy(RowSelectionPolicy::Selectors)
        .with_batch_size(wanted)
        .build()
        .map_err(|error| file.failed(&error))?;
    let batches = reader
        .map(|batch| batch.map_err(|error| file.failed(&error)))
        .collect::<Result<Vec<RecordBatch>>>()?;
    if batches.iter().map(RecordBatch::num_rows).sum::<usize>() != wanted {
        return Err(file.damaged(0, "pages hold other rows than the page index says"));
    }
    (0..columns.len())
        .map(|at| {
            let parts: Vec<ArrayRef> = batches
                .iter()
                .map(|batch| Arc::clone(batch.column(at)))
                .collect();
            joined(file, &parts)
        })
        .collect()
}

/// The event of each row: its place among the names of the file, in the narrowest key.
#[derive(Debug)]
pub(super) enum EventKeys {
    I8(ScalarBuffer<i8>),
    I16(ScalarBuffer<i16>),
    I32(ScalarBuffer<i32>),
}

impl EventKeys {
    /// Decodes the column of events; `names` are in byte order. Cost: a look-up for each entry of
    /// a row group's dictionary, not for each row.
    pub fn decode(
        file: &Arc<CheckedFile>,
        metadata: &ArrowReaderMetadata,
        names: &StringArray,
    ) -> Result<Self> {
        Ok(match names.len() {
            0..=127 => Self::I8(event_keys(file, metadata, names, |code| code as i8)?.into()),
            128..=32_767 => {
                Self::I16(event_keys(file, metadata, names, |code| code as i16)?.into())
            }
            _ => Self::I32(event_keys(file, metadata, names, |code| code as i32)?.into()),
        })
    }

    /// As the code face lends them.
    pub fn codes(&self) -> EventCodes<'_> {
        match self {
            Self::I8(keys) => EventCodes::I8(keys),
            Self::I16(keys) => EventCodes::I16(keys),
            Self::I32(keys) => EventCodes::I32(keys),
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Self::I8(keys) => keys.len(),
            Self::I16(keys) => keys.len() * 2,
            Self::I32(keys) => keys.len() * 4,
        }
    }
}

fn event_keys<K: Copy>(
    file: &Arc<CheckedFile>,
    metadata: &ArrowReaderMetadata,
    names: &StringArray,
    key: impl Fn(usize) -> K,
) -> Result<Vec<K>> {
    let mut keys = Vec::with_capacity(metadata.metadata().file_metadata().num_rows() as usize);
    visit_row_groups(file, metadata, &[Column::Event], |batch| {
        let column = batch.column(0).as_dictionary::<Int32Type>();
        let values: &StringArray = column.values().as_string();
        let by_value = (0..values.len())
            .map(|at| Ok(key(place_of(file, names, values.value(at))?)))
            .collect::<Result<Vec<K>>>()?;
        let rows = column.keys().values().iter();
        keys.extend(rows.map(|&value| by_value[value as usize]));
        Ok(())
    })?;
    Ok(keys)
}

fn place_of(file: &CheckedFile, names: &StringArray, name: &str) -> Result<usize> {
    let (mut low, mut high) = (0, names.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        match names.value(middle).cmp(name) {
            std::cmp::Ordering::Equal => return Ok(middle),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    let unknown: StoreError = file.damaged(0, format!("the sidecar lacks the event {name:?}"));
    Err(unknown)
}

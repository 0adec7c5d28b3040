//! Rows of sections of any tier, gathered in the order of a cold file.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, StringArray};
use arrow_select::interleave::interleave;

use crate::error::{Result, StoreError};
use crate::section::{EventCodes, ReceivedTimes, Section};
use crate::segment::FileCodes;

/// The columns of a source that are gathered row by row.
pub(super) struct SourceColumns<'a> {
    event_ids: &'a StringArray,
    times: &'a [i64],
    seqs: &'a [i64],
    received: ReceivedTimes<'a>,
    codes: EventCodes<'a>,
    /// The file's event code by the source's.
    event_codes: Vec<u32>,
    values: &'a Float64Array,
    properties: &'a StringArray,
}

impl<'a> SourceColumns<'a> {
    pub fn of(section: &'a Section, codes: &FileCodes) -> Result<Self> {
        let in_file = |symbol: u32| codes.events.known_code(symbol).unwrap_or(0);
        Ok(Self {
            event_ids: section.event_ids()?,
            times: section.times()?,
            seqs: section.seqs()?,
            received: section.received()?,
            codes: section.event_codes()?,
            event_codes: section.event_table(in_file)?,
            values: section.values()?,
            properties: section.properties()?,
        })
    }

    /// The properties of a row.
    pub fn properties(&self, row: usize) -> Option<&'a str> {
        self.properties
            .is_valid(row)
            .then(|| self.properties.value(row))
    }

    /// Bytes of a row's id, and of its properties.
    pub fn text_bytes(&self, row: usize) -> [u64; 2] {
        let bytes = |column: &StringArray| u64::from(column.value_length(row).unsigned_abs());
        [bytes(self.event_ids), bytes(self.properties)]
    }
}

/// Some rows of the file, without identities.
pub(super) struct Gathered {
    pub event_ids: ArrayRef,
    pub times: Vec<i64>,
    pub received: Vec<i64>,
    pub seqs: Vec<i64>,
    pub events: Vec<u32>,
    pub values: ArrayRef,
    pub properties: ArrayRef,
}

impl Gathered {
    pub fn new(sources: &[SourceColumns<'_>], rows: &[(usize, usize)]) -> Result<Self> {
        let gather = |column: fn(&SourceColumns<'_>) -> ArrayRef| {
            let columns: Vec<ArrayRef> = sources.iter().map(column).collect();
            let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
            interleave(&columns, rows).map_err(StoreError::arrow("cold file"))
        };
        let longs = |of: &dyn Fn(&SourceColumns<'_>, usize) -> i64| -> Vec<i64> {
            let rows = rows.iter();
            rows.map(|&(source, row)| of(&sources[source], row))
                .collect()
        };
        let event = |&(source, row): &(usize, usize)| {
            let source = &sources[source];
            source.event_codes[source.codes.index(row)]
        };
        Ok(Self {
            event_ids: gather(|source| Arc::new(source.event_ids.clone()))?,
            times: longs(&|source, row| source.times[row]),
            received: longs(&|source, row| source.received.at(row)),
            seqs: longs(&|source, row| source.seqs[row]),
            events: rows.iter().map(event).collect(),
            values: gather(|source| Arc::new(source.values.clone()))?,
            properties: gather(|source| Arc::new(source.properties.clone()))?,
        })
    }
}

//! Writing cold files: sections of one day, of any tier, become one Parquet file and its sidecar,
//! or several where they have more text than one can have.
//!
//! Both are written under temporary names, synced and renamed, the sidecar first: a Parquet file
//! under its final name has its sidecar. Rows are gathered and encoded some tens of thousands at a
//! time, so memory holds the sources' columns and one encoded row group.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use vitalog_disk::{Directory, write_atomically};

use super::ColdEntry;
use super::gather::{Gathered, SourceColumns};
use super::order::OrderedRows;
use super::schema::{IdEncoding, Layout, file_schema, writer_properties};
use super::sidecar::encode;
use super::sink::{ColdWriter, encoding_failed};
use super::summary::Summary;
use crate::error::{Result, StoreError};
use crate::promoted::PromotedColumns;
use crate::section::{Section, trait_event_test};
use crate::segment::{FileCodes, Origin, joined_property_keys};
use crate::spool::create_anew;
use crate::symbols::Symbols;

/// Which rows of the sources are kept: asked with the place of the source and the row.
pub(crate) type Keep<'a> = &'a dyn Fn(usize, usize) -> bool;

/// Bytes of ids, or of properties, that one file can have: a reader may hold them as one column.
const TEXT_BYTES_MAX: u64 = i32::MAX as u64;

/// Rows by whose ids the encoding of ids is chosen.
const SAMPLE_ROWS: usize = 4 << 10;

/// Writes the rows of `sources`, all of one day, as cold file `number`. Durable on return; `None`
/// where no row is kept, and then nothing was written.
///
/// Cost: a sort of the runs; then encoding, a few microseconds a row.
///
/// # Errors
/// Damage of a source; [`StoreError::Limit`] past 2 GiB of ids or properties; a full or failing
/// disk, which may leave temporary files.
pub(crate) fn write_cold(
    directory: &dyn Directory,
    number: u64,
    symbols: &Symbols,
    sources: &[&Section],
    keep: Option<Keep<'_>>,
    origin: Origin,
) -> Result<Option<ColdEntry>> {
    let rows = ColdRows::new(symbols, sources, keep, TEXT_BYTES_MAX)?;
    match rows.files() {
        0 => Ok(None),
        1 => rows.write(0, directory, number, origin).map(Some),
        files => Err(StoreError::Limit {
            what: "cold files for the text of one",
            found: files as u64,
            limit: 1,
        }),
    }
}

/// The rows of some sections of one day in order, cut into the files that they become.
pub(crate) struct ColdRows<'a> {
    symbols: &'a Symbols,
    sources: &'a [&'a Section],
    columns: Vec<SourceColumns<'a>>,
    codes: FileCodes,
    files: Vec<OrderedRows>,
    /// Whether a file has every row of its sources.
    is_whole: bool,
    layout: Layout,
}

impl<'a> ColdRows<'a> {
    /// The rows of `sources` that are kept, in files of at most `text_bytes_max` bytes of ids and
    /// of properties each.
    ///
    /// Cost: reads the sources' columns; a sort of their runs.
    ///
    /// # Errors
    /// Damage of a source.
    pub fn new(
        symbols: &'a Symbols,
        sources: &'a [&'a Section],
        keep: Option<Keep<'_>>,
        text_bytes_max: u64,
    ) -> Result<Self> {
        let codes = FileCodes::new(symbols, sources)?;
        let ordered = OrderedRows::new(sources, &codes, keep)?;
        let columns = sources
            .iter()
            .map(|section| SourceColumns::of(section, &codes))
            .collect::<Result<Vec<_>>>()?;
        let files = ordered.cut(&columns, text_bytes_max.min(TEXT_BYTES_MAX));
        Ok(Self {
            symbols,
            sources,
            columns,
            codes,
            is_whole: keep.is_none() && files.len() == 1,
            files,
            layout: Layout::default(),
        })
    }

    /// In row groups and pages of other sizes.
    #[cfg(test)]
    pub(super) fn laid_out(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// How many files they become; none where no row is kept.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Writes the file at place `at` as cold file `number`. Durable on return.
    ///
    /// # Errors
    /// Damage of a source; a full or failing disk, which may leave temporary files.
    pub fn write(
        &self,
        at: usize,
        directory: &dyn Directory,
        number: u64,
        origin: Origin,
    ) -> Result<ColdEntry> {
        let ordered = &self.files[at];
        let name = ColdEntry::name_of(number);
        let temporary = format!("{name}.parquet.tmp");
        let file = create_anew(directory, &temporary)?;
        let pieces = ordered.pieces(&self.columns);
        let known = ordered.to_write(self.id_encoding(&ordered.rows[pieces[0].clone()])?);
        let mut writer = ColdWriter::new(file, writer_properties(&known, self.layout))?;
        let mut summary = Summary::new(self.codes.events.strings.len(), !self.is_whole);
        for rows in pieces {
            let gathered = Gathered::new(&self.columns, &ordered.rows[rows.clone()])?;
            summary.push(&gathered);
            writer.write(&self.batch(ordered, &gathered, rows)?)?;
        }
        let has_trait_events = summary.has_event(&self.codes, trait_event_test(self.symbols));
        let known_keys = match self.is_whole {
            true => joined_property_keys(self.sources)?,
            false => BTreeMap::new(),
        };
        let statistics = summary.statistics(ordered.day, has_trait_events);
        let (received_min_us, received_max_us) = summary.received;
        let events = summary.named_events(&self.codes, known_keys);
        let written = writer.finish()?;
        let promoted = self.promoted(ordered, written.bytes)?;
        let mut entry = ColdEntry {
            name,
            bytes: written.bytes,
            sha256: written.sha256,
            crc32c: written.crc32c,
            sidecar_bytes: 0,
            sidecar_crc32c: 0,
            received_min_us,
            received_max_us,
            origin,
            statistics,
        };
        let (sidecar, sidecar_crc32c) = encode(&written.checksums, &events, promoted, &entry);
        entry.sidecar_bytes = sidecar.len() as u64;
        entry.sidecar_crc32c = sidecar_crc32c;
        write_atomically(directory, &entry.sidecar(), &sidecar)?;
        directory.rename(&temporary, &entry.parquet())?;
        Ok(entry)
    }

    /// How the ids of some rows are best encoded.
    fn id_encoding(&self, rows: &[(usize, usize)]) -> Result<IdEncoding> {
        let sample = Gathered::new(&self.columns, &rows[..rows.len().min(SAMPLE_ROWS)])?;
        IdEncoding::of_sample(sample.event_ids.as_string()).map_err(encoding_failed)
    }

    /// The typed columns of the properties of all rows, encoded; `None` where none is worth it.
    fn promoted(&self, ordered: &OrderedRows, parquet_bytes: u64) -> Result<Option<Vec<u8>>> {
        let of_row = |&(source, row): &(usize, usize)| self.columns[source].properties(row);
        let properties = || ordered.rows.iter().map(of_row);
        let columns = PromotedColumns::collect_rows(ordered.rows.len(), properties);
        match columns {
            None => Ok(None),
            Some(columns) => columns.encode(PromotedColumns::bytes_max(parquet_bytes)),
        }
    }

    /// The rows `rows` of the file, with their identities.
    fn batch(
        &self,
        ordered: &OrderedRows,
        gathered: &Gathered,
        rows: std::ops::Range<usize>,
    ) -> Result<RecordBatch> {
        let mut run = ordered.run_of(rows.start);
        let (mut accounts, mut users) = (Vec::new(), Vec::new());
        let mut row = rows.start;
        while row < rows.end {
            let end = ordered.starts[run + 1].min(rows.end);
            accounts.resize(end - rows.start, ordered.runs[run].0 as usize);
            users.resize(end - rows.start, ordered.runs[run].1 as usize);
            (row, run) = (end, run + 1);
        }
        let codes = &self.codes;
        // The code past the last string is null.
        let text = |strings: &StringArray, codes: &mut dyn Iterator<Item = usize>| -> ArrayRef {
            let text = |code| (code < strings.len()).then(|| strings.value(code));
            Arc::new(codes.map(text).collect::<StringArray>())
        };
        let times = |times: &[i64]| -> ArrayRef {
            let times = TimestampMicrosecondArray::from_iter_values(times.iter().copied());
            Arc::new(times.with_timezone("UTC"))
        };
        let mut events = gathered.events.iter().map(|&code| code as usize);
        let columns: Vec<ArrayRef> = vec![
            Arc::clone(&gathered.event_ids),
            times(&gathered.times),
            times(&gathered.received),
            Arc::new(Int64Array::from_iter_values(gathered.seqs.iter().copied())),
            text(&codes.events.strings, &mut events),
            text(&codes.accounts.strings, &mut accounts.into_iter()),
            text(&codes.users.strings, &mut users.into_iter()),
            Arc::clone(&gathered.values),
            Arc::clone(&gathered.properties),
            Arc::new(Date32Array::from_value(ordered.day, rows.len())),
        ];
        RecordBatch::try_new(file_schema(), columns).map_err(StoreError::arrow("cold file"))
    }
}

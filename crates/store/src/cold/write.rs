//! Writing a cold file: sections of one day, of any tier, become one Parquet file and its sidecar.
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
use arrow_select::concat::concat;
use vitalog_disk::{Directory, write_atomically};

use super::ColdEntry;
use super::gather::{Gathered, SourceColumns};
use super::schema::{IdEncoding, Layout, RowsToWrite, file_schema, writer_properties};
use super::sidecar::encode;
use super::sink::{ColdWriter, encoding_failed};
use super::summary::Summary;
use crate::error::{Result, StoreError};
use crate::promoted::PromotedColumns;
use crate::section::{Section, merge_order, trait_event_test};
use crate::segment::{FileCodes, Origin, joined_property_keys};
use crate::symbols::Symbols;

/// Which rows of the sources are kept: asked with the place of the source and the row.
pub(crate) type Keep<'a> = &'a dyn Fn(usize, usize) -> bool;

/// Rows that are gathered and encoded at once.
const BATCH_ROWS: usize = 1 << 16;

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
    let layout = Layout::default();
    write_laid_out(directory, number, symbols, sources, keep, origin, layout)
}

/// As [`write_cold`], in row groups and pages of other sizes.
pub(super) fn write_laid_out(
    directory: &dyn Directory,
    number: u64,
    symbols: &Symbols,
    sources: &[&Section],
    keep: Option<Keep<'_>>,
    origin: Origin,
    layout: Layout,
) -> Result<Option<ColdEntry>> {
    let codes = FileCodes::new(symbols, sources)?;
    let plan = Plan::new(sources, &codes, keep)?;
    if plan.rows.is_empty() {
        return Ok(None);
    }
    let columns = sources
        .iter()
        .map(|section| SourceColumns::of(section, &codes))
        .collect::<Result<Vec<_>>>()?;
    let name = ColdEntry::name_of(number);
    let temporary = format!("{name}.parquet.tmp");
    if directory.exists(&temporary)? {
        directory.remove(&temporary)?;
    }
    let file = directory.create(&temporary)?;
    let sample = &plan.rows[..plan.rows.len().min(SAMPLE_ROWS)];
    let sample = Gathered::new(&columns, sample)?;
    let ids = sample.event_ids.as_string();
    let ids = IdEncoding::of_sample(ids).map_err(encoding_failed)?;
    let known = plan.to_write(ids);
    let mut writer = ColdWriter::new(file, writer_properties(&known, layout))?;
    let mut properties = Vec::new();
    let mut summary = Summary::new(codes.events.strings.len(), keep.is_some());
    for rows in (0..plan.rows.len()).step_by(BATCH_ROWS) {
        let rows = rows..plan.rows.len().min(rows + BATCH_ROWS);
        let gathered = Gathered::new(&columns, &plan.rows[rows.clone()])?;
        summary.push(&gathered);
        summary.check_text()?;
        properties.push(Arc::clone(&gathered.properties));
        writer.write(&plan.batch(&codes, &gathered, rows)?)?;
    }
    let has_trait_events = summary.has_event(&codes, trait_event_test(symbols));
    let known_keys = match keep {
        None => joined_property_keys(sources)?,
        Some(_) => BTreeMap::new(),
    };
    let statistics = summary.statistics(plan.day, has_trait_events);
    let (received_min_us, received_max_us) = summary.received;
    let events = summary.named_events(&codes, known_keys);
    let written = writer.finish()?;
    let promoted = promoted(&properties, written.bytes)?;
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
    Ok(Some(entry))
}

/// The typed columns of the `properties` of all rows, encoded; `None` where none is worth it.
fn promoted(properties: &[ArrayRef], parquet_bytes: u64) -> Result<Option<Vec<u8>>> {
    let parts: Vec<&dyn Array> = properties.iter().map(AsRef::as_ref).collect();
    let properties = concat(&parts).map_err(StoreError::arrow("properties"))?;
    let Some(columns) = PromotedColumns::collect(properties.as_string()) else {
        return Ok(None);
    };
    columns.encode(PromotedColumns::bytes_max(parquet_bytes))
}

/// The kept rows in the order of the file, and whose they are.
struct Plan {
    day: i32,
    /// (source, row).
    rows: Vec<(usize, usize)>,
    /// The account and user code of each run.
    runs: Vec<(u32, u32)>,
    /// First row of each run, and the number of rows.
    starts: Vec<usize>,
}

impl Plan {
    fn new(sources: &[&Section], codes: &FileCodes, keep: Option<Keep<'_>>) -> Result<Self> {
        let order = merge_order(sources, |member| codes.member_code(member))?;
        let mut plan = Self {
            day: sources
                .first()
                .map_or(0, |section| section.statistics().day),
            rows: Vec::with_capacity(order.rows.len()),
            runs: Vec::with_capacity(order.members.len()),
            starts: Vec::with_capacity(order.members.len() + 1),
        };
        let ends = order.starts[order.starts.len().min(1)..].iter();
        let ends = ends.map(|&start| start as usize).chain([order.rows.len()]);
        for ((&member, &start), end) in order.members.iter().zip(&order.starts).zip(ends) {
            let first = plan.rows.len();
            let rows = order.rows[start as usize..end].iter().copied();
            match keep {
                None => plan.rows.extend(rows),
                Some(keep) => plan
                    .rows
                    .extend(rows.filter(|&(source, row)| keep(source, row))),
            }
            if plan.rows.len() > first {
                let code = codes.member_code(member) as usize;
                plan.runs
                    .push((codes.member_accounts[code], codes.member_users[code]));
                plan.starts.push(first);
            }
        }
        plan.starts.push(plan.rows.len());
        Ok(plan)
    }

    fn to_write(&self, ids: IdEncoding) -> RowsToWrite {
        let distinct = |part: fn(&(u32, u32)) -> u32| {
            let mut codes: Vec<u32> = self.runs.iter().map(part).collect();
            codes.sort_unstable();
            codes.dedup();
            codes.len()
        };
        RowsToWrite {
            rows: self.rows.len(),
            accounts: distinct(|run| run.0),
            users: distinct(|run| run.1),
            ids,
        }
    }

    /// The rows of the file from `rows.start` on, with their identities.
    fn batch(
        &self,
        codes: &FileCodes,
        gathered: &Gathered,
        rows: std::ops::Range<usize>,
    ) -> Result<RecordBatch> {
        let mut run = self.starts.partition_point(|&start| start <= rows.start) - 1;
        let (mut accounts, mut users) = (Vec::new(), Vec::new());
        let mut row = rows.start;
        while row < rows.end {
            let end = self.starts[run + 1].min(rows.end);
            accounts.resize(end - rows.start, self.runs[run].0 as usize);
            users.resize(end - rows.start, self.runs[run].1 as usize);
            (row, run) = (end, run + 1);
        }
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
            Arc::new(Date32Array::from_value(self.day, rows.len())),
        ];
        RecordBatch::try_new(file_schema(), columns).map_err(StoreError::arrow("cold file"))
    }
}

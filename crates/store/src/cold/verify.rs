//! Checking a cold file without the cache's help: every byte of both files, then what they say.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, DictionaryArray, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use sha2::{Digest, Sha256};
use vitalog_disk::crc32c_append;

use super::blocks::{BLOCK_BYTES, CheckedFile};
use super::columns::visit_row_groups;
use super::file::ColdFile;
use super::schema::Column;
use super::sink::hex;
use crate::error::{Result, StoreError};

/// Blocks that are read at once.
const BLOCKS_READ: usize = 128;

impl ColdFile {
    /// Reads every byte of both files and returns what is wrong: each block and array by its own
    /// checksum, so that the place is named; the whole Parquet file by SHA-256; then that every
    /// column decodes, that the order of rows holds, and that the rows are those of the entry.
    pub fn verify(&self) -> Vec<StoreError> {
        let mut damages = match self.sidecar() {
            Ok(sidecar) => sidecar.verify(self.entry().sidecar_bytes),
            Err(error) => return vec![error],
        };
        match self.open() {
            Ok((opened, file)) => {
                damages.extend(self.verify_bytes(&file));
                if damages.is_empty() {
                    damages.extend(self.verify_rows(&file, &opened.coded).err());
                }
            }
            Err(error) => damages.push(error),
        }
        damages
    }

    fn verify_bytes(&self, file: &CheckedFile) -> Vec<StoreError> {
        let entry = self.entry();
        let (mut damages, mut sha256, mut crc) = (Vec::new(), Sha256::new(), 0);
        let mut at = 0;
        while at < entry.bytes {
            let length = (entry.bytes - at).min((BLOCKS_READ * BLOCK_BYTES) as u64);
            match file.read(at, length as usize) {
                Ok(bytes) => {
                    sha256.update(&bytes);
                    crc = crc32c_append(crc, &bytes);
                }
                Err(error) => damages.push(error),
            }
            at += length;
        }
        if damages.is_empty() && (hex(&sha256.finalize()) != entry.sha256 || crc != entry.crc32c) {
            damages.push(self.damaged("the whole file has another SHA-256 or CRC32C"));
        }
        damages
    }

    fn verify_rows(&self, file: &Arc<CheckedFile>, metadata: &ArrowReaderMetadata) -> Result<()> {
        let mut found = Found::default();
        visit_row_groups(file, metadata, &Column::ALL, |batch| found.push(batch))?;
        let (entry, known) = (self.entry(), self.statistics());
        let is_as_told = found.rows == known.rows
            && found.times == Some((known.time_min_us, known.time_max_us))
            && found.seqs == Some((known.seq_min, known.seq_max))
            && found.received == Some((entry.received_min_us, entry.received_max_us))
            && found.days == Some((known.day, known.day));
        if !is_as_told {
            return Err(self.damaged("rows, times, seqs or day are not those of the entry"));
        }
        if !found.is_sorted {
            return Err(self.damaged("the rows are not in the declared order"));
        }
        Ok(())
    }
}

type Bounds<T> = Option<(T, T)>;

fn widen<T: Ord + Copy>(bounds: &mut Bounds<T>, values: &[T]) {
    for &value in values {
        let (low, high) = bounds.unwrap_or((value, value));
        *bounds = Some((low.min(value), high.max(value)));
    }
}

/// What the rows say.
#[derive(Debug)]
struct Found {
    rows: usize,
    times: Bounds<i64>,
    received: Bounds<i64>,
    seqs: Bounds<i64>,
    days: Bounds<i32>,
    is_sorted: bool,
    last: Option<Row>,
}

type Row = ((bool, String), (bool, String), i64, i64);

impl Default for Found {
    fn default() -> Self {
        Self {
            rows: 0,
            times: None,
            received: None,
            seqs: None,
            days: None,
            is_sorted: true,
            last: None,
        }
    }
}

impl Found {
    fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let longs = |column: Column| {
            let column = batch.column(column as usize);
            column.as_primitive::<TimestampMicrosecondType>().values()
        };
        let (times, received) = (longs(Column::Time), longs(Column::Received));
        let seqs = batch
            .column(Column::Seq as usize)
            .as_primitive::<Int64Type>()
            .values();
        let days = batch
            .column(Column::Day as usize)
            .as_primitive::<Date32Type>()
            .values();
        batch
            .column(Column::Value as usize)
            .as_primitive::<Float64Type>();
        widen(&mut self.times, times);
        widen(&mut self.received, received);
        widen(&mut self.seqs, seqs);
        widen(&mut self.days, days);
        let text = |column: Column| batch.column(column as usize).as_dictionary::<Int32Type>();
        let (accounts, users) = (text(Column::Account), text(Column::User));
        let part = |column: &DictionaryArray<Int32Type>, row| {
            if column.is_null(row) {
                return (true, String::new());
            }
            let values: &StringArray = column.values().as_string();
            (
                false,
                values.value(column.keys().value(row) as usize).to_owned(),
            )
        };
        for row in 0..batch.num_rows() {
            let account = part(accounts, row);
            let user = part(users, row);
            let next = (account, user, times[row], seqs[row]);
            self.is_sorted &= self.last.as_ref().is_none_or(|last| *last < next);
            self.last = Some(next);
        }
        self.rows += batch.num_rows();
        Ok(())
    }
}

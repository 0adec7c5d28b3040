//! A Parquet file of the directory: its footer, and what a manifest says of it.
//!
//! Everything in a manifest's entry is read back from the written file, so that entries of files
//! that were written here and of linked ones come from one place.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use sha2::{Digest, Sha256};
use vitalog_disk::{Directory, ReadFile};

use super::catalog::{FileBounds, PublishedColumn, columns_of};
use crate::error::{Result, StoreError};

/// Bytes that are read at a time where a whole file is.
const PIECE_BYTES: usize = 1 << 20;

/// A file open for the Parquet reader. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct ParquetFile {
    file: Arc<dyn ReadFile>,
    bytes: u64,
}

impl ParquetFile {
    pub fn open(directory: &dyn Directory, name: &str) -> Result<Self> {
        let file: Arc<dyn ReadFile> = Arc::from(directory.open_read(name)?);
        let bytes = file.len()?;
        Ok(Self { file, bytes })
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn footer(&self) -> Result<ParquetMetaData> {
        ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Skip)
            .parse_and_finish(self)
            .map_err(|error| self.damaged(&error))
    }

    /// The SHA-256 of the whole file, hex; each piece goes to `copy`, too. Cost: reads it all.
    pub fn sha256(&self, mut copy: impl FnMut(&[u8]) -> Result<()>) -> Result<String> {
        let mut hash = Sha256::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut position = 0;
        while position < self.bytes {
            let length = PIECE_BYTES.min((self.bytes - position) as usize);
            self.file.read_at(position, &mut piece[..length])?;
            hash.update(&piece[..length]);
            copy(&piece[..length])?;
            position += length as u64;
        }
        Ok(hex(&hash.finalize()))
    }

    pub fn damaged(&self, error: &ParquetError) -> StoreError {
        StoreError::damaged(self.file.path(), 0, error.to_string())
    }
}

impl Length for ParquetFile {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for ParquetFile {
    type T = FileFrom;

    fn get_read(&self, start: u64) -> parquet::errors::Result<FileFrom> {
        Ok(FileFrom {
            file: self.clone(),
            position: start,
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // Corrupt offsets must not become allocations of their size.
        if start
            .checked_add(length as u64)
            .is_none_or(|end| end > self.bytes)
        {
            let found = self.bytes;
            let message = format!("{length} bytes wanted at {start}, the file has {found}");
            return Err(ParquetError::EOF(message));
        }
        let mut bytes = vec![0; length];
        self.file
            .read_at(start, &mut bytes)
            .map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(bytes.into())
    }
}

/// The bytes of a file from a place on.
#[derive(Debug)]
pub(super) struct FileFrom {
    file: ParquetFile,
    position: u64,
}

impl Read for FileFrom {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.bytes.saturating_sub(self.position);
        let length = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.file.file.read_at(self.position, &mut buffer[..length]);
        read.map_err(io::Error::other)?;
        self.position += length as u64;
        Ok(length)
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the footer of a file says.
#[derive(Clone, Debug)]
pub(super) struct FileFacts {
    pub rows: u64,
    pub min: FileBounds,
    pub max: FileBounds,
    pub nulls: BTreeMap<String, u64>,
    pub columns: Vec<PublishedColumn>,
}

impl FileFacts {
    pub fn of(file: &ParquetFile) -> Result<Self> {
        let footer = file.footer()?;
        let descriptor = footer.file_metadata().schema_descr();
        // Without the schema that Arrow adds: what other readers see.
        let schema =
            parquet_to_arrow_schema(descriptor, None).map_err(|error| file.damaged(&error))?;
        let rows = u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0);
        let groups = footer.row_groups();
        let (account_min, account_max) = text_bounds(groups, "account_id");
        let (user_min, user_max) = text_bounds(groups, "user_id");
        let (time_min, time_max) = integer_bounds(groups, "event_time");
        let (seq_min, seq_max) = integer_bounds(groups, "seq");
        let bounds = |account_id, user_id, event_time_us, seq| FileBounds {
            account_id,
            user_id,
            event_time_us,
            seq,
        };
        let columns = columns_of(&schema)?;
        let nulls = columns
            .iter()
            .filter_map(|column| Some((column.name.clone(), null_count(groups, &column.name)?)))
            .collect();
        Ok(Self {
            rows,
            min: bounds(account_min, user_min, time_min, seq_min),
            max: bounds(account_max, user_max, time_max, seq_max),
            nulls,
            columns,
        })
    }
}

/// The place of a top-level plain column in a row group.
pub(super) fn column_at(group: &RowGroupMetaData, name: &str) -> Option<usize> {
    let parts = |at: usize| group.column(at).column_path().parts();
    (0..group.num_columns()).find(|&at| matches!(parts(at), [only] if only == name))
}

/// The statistics of a column in each row group that has a value in it; `None` where one is
/// missing.
fn statistics_of<'a>(groups: &'a [RowGroupMetaData], name: &str) -> Option<Vec<&'a Statistics>> {
    let mut found = Vec::new();
    for group in groups {
        let statistics = group.column(column_at(group, name)?).statistics()?;
        let is_null = statistics.null_count_opt() == u64::try_from(group.num_rows()).ok();
        if !is_null {
            found.push(statistics);
        }
    }
    Some(found)
}

fn null_count(groups: &[RowGroupMetaData], name: &str) -> Option<u64> {
    let nulls = groups.iter().map(|group| {
        let statistics = group.column(column_at(group, name)?).statistics()?;
        statistics.null_count_opt()
    });
    nulls.sum()
}

fn text_bounds(groups: &[RowGroupMetaData], name: &str) -> (Option<String>, Option<String>) {
    let Some(found) = statistics_of(groups, name) else {
        return (None, None);
    };
    let bounds = |bound: fn(&Statistics) -> Option<&[u8]>| {
        let texts = found.iter().map(|statistics| {
            let bytes = bound(statistics)?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        });
        texts.collect::<Option<Vec<String>>>()
    };
    let min = bounds(Statistics::min_bytes_opt).and_then(|all| all.into_iter().min());
    let max = bounds(Statistics::max_bytes_opt).and_then(|all| all.into_iter().max());
    // Text that was cut inside a character is no bound any more.
    let is_whole = |text: &String| !text.contains(char::REPLACEMENT_CHARACTER);
    (min.filter(is_whole), max.filter(is_whole))
}

fn integer_bounds(groups: &[RowGroupMetaData], name: &str) -> (Option<i64>, Option<i64>) {
    let Some(found) = statistics_of(groups, name) else {
        return (None, None);
    };
    let integers: Option<Vec<_>> = found
        .iter()
        .map(|statistics| match statistics {
            Statistics::Int64(known) => Some((*known.min_opt()?, *known.max_opt()?)),
            _ => None,
        })
        .collect();
    let integers = integers.unwrap_or_default();
    let min = integers.iter().map(|bounds| bounds.0).min();
    (min, integers.iter().map(|bounds| bounds.1).max())
}

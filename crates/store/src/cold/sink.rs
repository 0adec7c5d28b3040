//! A Parquet file in the making: encoded row groups go to the disk and into the checksums.

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::properties::WriterProperties;
use sha2::{Digest, Sha256};
use vitalog_disk::{WriteFile, crc32c_append};

use super::blocks::BlockChecksums;
use super::schema::file_schema;
use crate::error::{Result, StoreError};
use crate::spool::Spool;

/// A Parquet file in the making.
pub(super) struct ColdWriter {
    file: Box<dyn WriteFile>,
    parquet: ArrowWriter<Spool>,
    sums: Sums,
}

/// Length and checksums of what is on disk.
#[derive(Default)]
struct Sums {
    bytes: u64,
    sha256: Sha256,
    crc32c: u32,
    blocks: BlockChecksums,
}

/// A Parquet file that is whole and synced.
pub(super) struct Written {
    pub bytes: u64,
    pub sha256: String,
    pub crc32c: u32,
    pub checksums: Vec<u32>,
}

pub(super) fn encoding_failed(error: parquet::errors::ParquetError) -> StoreError {
    StoreError::arrow("cold file")(error.into())
}

impl ColdWriter {
    pub fn new(file: Box<dyn WriteFile>, properties: WriterProperties) -> Result<Self> {
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let parquet = ArrowWriter::try_new_with_options(Spool::default(), file_schema(), options)
            .map_err(encoding_failed)?;
        Ok(Self {
            file,
            parquet,
            sums: Sums::default(),
        })
    }

    /// Encodes more rows; a row group that is full goes to the disk.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.parquet.write(batch).map_err(encoding_failed)?;
        if self.parquet.inner().bytes.is_empty() {
            return Ok(());
        }
        self.drain()
    }

    /// Puts the spooled bytes on disk.
    fn drain(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.parquet.inner_mut().bytes);
        let sums = &mut self.sums;
        self.file.write_at(sums.bytes, &bytes)?;
        sums.sha256.update(&bytes);
        sums.crc32c = crc32c_append(sums.crc32c, &bytes);
        sums.blocks.update(&bytes);
        sums.bytes += bytes.len() as u64;
        Ok(())
    }

    pub fn finish(mut self) -> Result<Written> {
        self.parquet.finish().map_err(encoding_failed)?;
        self.drain()?;
        self.file.sync_all()?;
        Ok(Written {
            bytes: self.sums.bytes,
            sha256: hex(&self.sums.sha256.finalize()),
            crc32c: self.sums.crc32c,
            checksums: self.sums.blocks.finish(),
        })
    }
}

/// Hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! Checked reads: a Parquet file is read in whole blocks, and each block is compared with its
//! checksum every time before a byte of it is used.
//!
//! So whatever part of the file a query needs, damage in it is an error that names file and place,
//! and Parquet's decoders meet verified bytes alone. Checking again costs a few microseconds a
//! block and needs no state that threads share.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use vitalog_disk::{ReadFile, crc32c, crc32c_append};

use super::cache::ReadCounters;
use crate::error::{Result, StoreError};

/// Bytes of a block; the last one of a file may be shorter. Small, so that a page of a well
/// compressed column costs little more than its own bytes to read.
pub(super) const BLOCK_BYTES: usize = 8 << 10;

/// The checksums of a file's blocks, collected while it is written.
#[derive(Debug, Default)]
pub(super) struct BlockChecksums {
    whole: Vec<u32>,
    open: u32,
    open_bytes: usize,
}

impl BlockChecksums {
    /// Takes the next bytes of the file.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = bytes.len().min(BLOCK_BYTES - self.open_bytes);
            self.open = crc32c_append(self.open, &bytes[..taken]);
            self.open_bytes += taken;
            bytes = &bytes[taken..];
            if self.open_bytes == BLOCK_BYTES {
                self.whole.push(std::mem::take(&mut self.open));
                self.open_bytes = 0;
            }
        }
    }

    /// One checksum a block.
    pub fn finish(mut self) -> Vec<u32> {
        if self.open_bytes > 0 {
            self.whole.push(self.open);
        }
        self.whole
    }
}

/// A Parquet file open for checked reads, from many threads.
#[derive(Debug)]
pub(super) struct CheckedFile {
    reader: Arc<dyn ReadFile>,
    bytes: u64,
    checksums: Arc<[u32]>,
    counters: Arc<ReadCounters>,
    /// What went wrong below a decoder, which tells no more than a text.
    failure: Mutex<Option<StoreError>>,
}

impl CheckedFile {
    /// A file of `bytes` bytes, as its entry says, with one checksum a block.
    pub fn new(
        reader: Arc<dyn ReadFile>,
        bytes: u64,
        checksums: Arc<[u32]>,
        counters: Arc<ReadCounters>,
    ) -> Result<Self> {
        let found = reader.len()?;
        if found != bytes {
            let reason = format!("{found} bytes long, expected {bytes}");
            return Err(StoreError::damaged(reader.path(), 0, reason));
        }
        if checksums.len() as u64 != bytes.div_ceil(BLOCK_BYTES as u64) {
            let reason = "the sidecar has another number of block checksums";
            return Err(StoreError::damaged(reader.path(), 0, reason));
        }
        Ok(Self {
            reader,
            bytes,
            checksums,
            counters,
            failure: Mutex::new(None),
        })
    }

    pub fn damaged(&self, offset: u64, reason: impl Into<String>) -> StoreError {
        StoreError::damaged(self.reader.path(), offset, reason)
    }

    /// The error behind what a decoder said.
    pub fn failed(&self, told: &dyn std::fmt::Display) -> StoreError {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = failure.take();
        failure.unwrap_or_else(|| self.damaged(0, told.to_string()))
    }

    /// The bytes from `start` on, checked. Cost: one read of the blocks that hold them.
    pub fn read(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.checked_add(length as u64);
        let Some(end) = end.filter(|&end| end <= self.bytes) else {
            return Err(self.damaged(start, "a part of the file is said to lie beyond its end"));
        };
        let block = BLOCK_BYTES as u64;
        let first = start / block;
        let from = first * block;
        let to = end.next_multiple_of(block).min(self.bytes).max(from);
        let mut buffer = vec![0; (to - from) as usize];
        self.reader.read_at(from, &mut buffer)?;
        self.counters.add(buffer.len());
        for (at, bytes) in buffer.chunks(BLOCK_BYTES).enumerate() {
            let (found, expected) = (crc32c(bytes), self.checksums[first as usize + at]);
            if found != expected {
                let reason = format!(
                    "the block of {} bytes has CRC32C {found:#010x}, expected {expected:#010x}",
                    bytes.len()
                );
                return Err(self.damaged(from + at as u64 * block, reason));
            }
        }
        let skipped = (start - from) as usize;
        Ok(Bytes::from(buffer).slice(skipped..skipped + length))
    }
}

/// A file as Parquet's reader sees it: some bytes read ahead, the others read when asked for.
#[derive(Clone, Debug)]
pub(super) struct Span {
    file: Arc<CheckedFile>,
    start: u64,
    ahead: Bytes,
}

impl Span {
    /// Nothing read ahead: for a few pages.
    pub fn none(file: &Arc<CheckedFile>) -> Self {
        let (file, start, ahead) = (Arc::clone(file), 0, Bytes::new());
        Self { file, start, ahead }
    }

    /// `length` bytes from `start` on read at once.
    pub fn ahead(file: &Arc<CheckedFile>, start: u64, length: usize) -> Result<Self> {
        let ahead = file.read(start, length)?;
        let file = Arc::clone(file);
        Ok(Self { file, start, ahead })
    }

    /// The last blocks, where Parquet keeps its metadata and the page index.
    pub fn end(file: &Arc<CheckedFile>, blocks: u64) -> Result<Self> {
        let bytes = file.bytes;
        let whole = bytes.next_multiple_of(BLOCK_BYTES as u64);
        let start = whole.saturating_sub(blocks * BLOCK_BYTES as u64);
        Self::ahead(file, start, (bytes - start) as usize)
    }

    fn read(&self, start: u64, length: usize) -> Result<Bytes> {
        let at = start.checked_sub(self.start).map(|at| at as usize);
        match at.and_then(|at| Some((at, at.checked_add(length)?))) {
            Some((at, end)) if end <= self.ahead.len() => Ok(self.ahead.slice(at..end)),
            _ => self.file.read(start, length),
        }
    }

    /// As [`Self::read`]; keeps an error for [`CheckedFile::failed`].
    fn read_or_note(&self, start: u64, length: usize) -> std::result::Result<Bytes, String> {
        self.read(start, length).map_err(|error| {
            let told = error.to_string();
            let failure = self.file.failure.lock();
            *failure.unwrap_or_else(PoisonError::into_inner) = Some(error);
            told
        })
    }
}

impl Length for Span {
    fn len(&self) -> u64 {
        self.file.bytes
    }
}

impl ChunkReader for Span {
    type T = SpanReader;

    fn get_read(&self, start: u64) -> parquet::errors::Result<SpanReader> {
        Ok(SpanReader {
            span: self.clone(),
            at: start,
            buffered: Bytes::new(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.read_or_note(start, length)
            .map_err(ParquetError::General)
    }
}

/// Reads a [`Span`] in order, a block at a time.
#[derive(Debug)]
pub(super) struct SpanReader {
    span: Span,
    at: u64,
    buffered: Bytes,
}

impl io::Read for SpanReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.buffered.is_empty() {
            let block_end = (self.at + 1).next_multiple_of(BLOCK_BYTES as u64);
            let length = block_end.min(self.span.len()).saturating_sub(self.at);
            let read = self.span.read_or_note(self.at, length as usize);
            self.buffered = read.map_err(io::Error::other)?;
            self.at += length;
        }
        let taken = buffer.len().min(self.buffered.len());
        self.buffered.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use vitalog_disk::{Directory, FaultyDirectory, write_atomically};

    use super::*;

    #[test]
    fn pieces_make_the_checksums_of_the_whole() {
        let bytes: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
        let expected: Vec<u32> = bytes.chunks(BLOCK_BYTES).map(crc32c).collect();
        for step in [1_000, BLOCK_BYTES, 77_777, 100_000] {
            let mut checksums = BlockChecksums::default();
            bytes.chunks(step).for_each(|part| checksums.update(part));
            assert_eq!(checksums.finish(), expected, "{step}");
        }
        assert!(BlockChecksums::default().finish().is_empty());
    }

    #[test]
    fn every_read_is_checked_and_counted() {
        let directory = FaultyDirectory::new();
        let bytes: Vec<u8> = (0..100_000u32).map(|at| (at % 253) as u8).collect();
        write_atomically(&directory, "file", &bytes).expect("written");
        let checksums: Arc<[u32]> = bytes.chunks(BLOCK_BYTES).map(crc32c).collect();
        let counters = Arc::new(ReadCounters::default());
        let open = |bytes: u64| {
            let reader = directory.open_read("file").expect("opened");
            CheckedFile::new(
                reader.into(),
                bytes,
                Arc::clone(&checksums),
                Arc::clone(&counters),
            )
        };
        assert!(open(99_999).is_err());
        let file = Arc::new(open(100_000).expect("whole"));
        let end = Span::end(&file, 2).expect("read");
        assert_eq!(counters.bytes(), 100_000 - 11 * BLOCK_BYTES as u64);
        for (start, length) in [(0, 1), (32_000, 2_000), (99_999, 1), (70_000, 0)] {
            let expected = &bytes[start..start + length];
            assert_eq!(file.read(start as u64, length).expect("read"), expected);
            let got = end.get_bytes(start as u64, length).expect("read");
            assert_eq!(got, expected);
        }
        assert!(file.read(99_999, 2).is_err());
        assert!(file.read(u64::MAX, 2).is_err());
        let mut rest = Vec::new();
        let mut reader = Span::none(&file).get_read(30_000).expect("made");
        io::Read::read_to_end(&mut reader, &mut rest).expect("read");
        assert_eq!(rest, &bytes[30_000..]);
        directory.flip_bit("file", 41_000, 3).expect("in range");
        assert!(file.read(0, BLOCK_BYTES).is_ok());
        let error = file.read(30_000, 12_000).expect_err("damaged").to_string();
        assert!(
            error.contains("file") && error.contains("at byte 40960"),
            "{error}"
        );
        assert!(Span::none(&file).get_bytes(41_000, 1).is_err());
        let kept = file.failed(&"a decoder's words").to_string();
        assert!(kept.contains("CRC32C"), "{kept}");
    }
}

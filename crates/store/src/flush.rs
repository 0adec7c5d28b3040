//! The flush: a frozen memtable becomes a segment, its symbols a file, new definitions another,
//! the numbers of writers a third, and a manifest names them all.
//!
//! Runs on a thread of its own while the writer goes on; the writer installs the result. The
//! order is what makes it safe to stop anywhere: symbols, definitions, writer states, segment,
//! manifest; only then may the log be trimmed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vitalog_disk::{Directory, crc32c, write_atomically};

use crate::definitions::{self, Definition, DefinitionEntry};
use crate::error::Result;
use crate::ledger::{Ledger, SEGMENT_FOLDER, SYMBOL_FOLDER};
use crate::manifest::{Manifest, SymbolEntry};
use crate::memtable::{Chunk, sections_by_day};
use crate::segment::{Origin, Segment, SegmentEntry, write_segment};
use crate::symbols::{Marks, SymbolPiece, Symbols, encode_file, read_file};
use crate::upkeep::WrittenBytes;
use crate::writer_states::{self, Record, WriterFileEntry};

/// Symbol files are not joined beyond this: their offsets are 32 bits wide.
const SYMBOL_FILE_BYTES_MAX: u64 = 1 << 30;

/// The name of hot segment `number`.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{SEGMENT_FOLDER}/{number:016}.arrow")
}

/// The name of symbol file `number`.
pub(crate) fn symbol_name(number: u64) -> String {
    format!("{SYMBOL_FOLDER}/{number:016}.sym")
}

/// A frozen memtable and what it follows; without chunks where only definitions or writer states
/// are new.
#[derive(Debug)]
pub(crate) struct FlushJob {
    pub directory: Arc<dyn Directory>,
    pub symbols: Arc<Symbols>,
    pub chunks: Arc<Vec<Arc<Chunk>>>,
    /// The last seq of the chunks.
    pub seq: i64,
    /// When it was received, microseconds.
    pub received_us: i64,
    /// The symbols that the chunks may use.
    pub marks: Marks,
    /// All definitions so far.
    pub definitions: Arc<Vec<Arc<Definition>>>,
    /// The states of all writers; `None` where none has changed since the last flush.
    pub writers: Option<Vec<Record>>,
    /// The first log file that holds what came later.
    pub wal_first: u64,
    pub ledger: Arc<Ledger>,
    /// The symbols that files of the manifest in force hold.
    pub flushed_marks: Marks,
    /// Manifests kept, the new one included.
    pub manifests_kept: usize,
    pub written: Arc<WrittenBytes>,
}

/// What a flush made; durable.
#[derive(Debug)]
pub(crate) struct Flushed {
    pub manifest: Arc<Manifest>,
    pub segment: Option<Arc<Segment>>,
    pub symbols: Option<SymbolPiece>,
    pub marks: Marks,
}

impl FlushJob {
    /// Does the work.
    ///
    /// # Errors
    /// A full or failing disk. Nothing that was durable before is touched; what was begun is
    /// collected at the next open, and the job can be run again.
    pub fn run(&self) -> Result<Flushed> {
        let in_force = self.ledger.manifest();
        let reservation = self.ledger.reserve();
        let number = reservation.number;
        let mut symbols = in_force.symbols.clone();
        let piece = self.write_symbols(number, &mut symbols)?;
        let mut definitions = in_force.definitions.clone();
        self.write_definitions(number, &mut definitions)?;
        let writers = self.write_writers(number)?;
        let entry = self.write_segment(number)?;
        let manifest = self.ledger.commit(|manifest| {
            // Only flushes change these, one at a time.
            manifest.symbols = symbols;
            manifest.definitions = definitions;
            manifest.writers = writers.or(manifest.writers.take());
            manifest.segments.extend(entry.clone());
            manifest.seq = self.seq;
            manifest.received_us = self.received_us;
            manifest.wal_first = self.wal_first;
        })?;
        drop(reservation);
        self.ledger.try_collect(self.manifests_kept);
        Ok(Flushed {
            manifest,
            segment: entry.map(|entry| Segment::new(Arc::clone(&self.directory), entry)),
            symbols: piece,
            marks: self.marks,
        })
    }

    fn write_segment(&self, number: u64) -> Result<Option<SegmentEntry>> {
        if self.chunks.is_empty() {
            return Ok(None);
        }
        let days = sections_by_day(&self.chunks);
        let received: Vec<(i64, i64)> = self
            .chunks
            .iter()
            .flat_map(|chunk| chunk.received.iter().copied())
            .collect();
        let name = segment_name(number);
        let directory = self.directory.as_ref();
        let entry = write_segment(
            directory,
            &name,
            &self.symbols,
            &days,
            &received,
            Origin::default(),
        )?;
        self.written
            .flushed
            .fetch_add(entry.bytes, Ordering::Relaxed);
        Ok(Some(entry))
    }

    /// Writes the definitions stored since the last flush. Smaller files before it are taken into
    /// the new one, as with symbols.
    fn write_definitions(&self, number: u64, files: &mut Vec<DefinitionEntry>) -> Result<()> {
        let mut first = files.iter().map(|file| file.count).sum();
        if first == self.definitions.len() {
            return Ok(());
        }
        let mut bytes = definitions::encode_file(&self.definitions[first..]);
        while let Some(before) = files.pop_if(|file| file.bytes <= bytes.len() as u64) {
            first -= before.count;
            bytes = definitions::encode_file(&self.definitions[first..]);
        }
        let name = format!("{}/{number:016}.def", definitions::FOLDER);
        write_atomically(self.directory.as_ref(), &name, &bytes)?;
        files.push(DefinitionEntry {
            name,
            bytes: bytes.len() as u64,
            crc32c: crc32c(&bytes),
            count: self.definitions.len() - first,
        });
        Ok(())
    }

    /// Writes the states of all writers, where one has changed.
    fn write_writers(&self, number: u64) -> Result<Option<WriterFileEntry>> {
        let Some(writers) = &self.writers else {
            return Ok(None);
        };
        let bytes = writer_states::encode_file(writers);
        let name = format!("{}/{number:016}.wrt", writer_states::FOLDER);
        write_atomically(self.directory.as_ref(), &name, &bytes)?;
        Ok(Some(WriterFileEntry {
            name,
            bytes: bytes.len() as u64,
            crc32c: crc32c(&bytes),
            count: writers.len(),
        }))
    }

    /// Writes the symbols given since the last flush. Smaller files before it are taken into the
    /// new one, so that their number grows with the logarithm of the symbols.
    fn write_symbols(
        &self,
        number: u64,
        files: &mut Vec<SymbolEntry>,
    ) -> Result<Option<SymbolPiece>> {
        if self.marks == self.flushed_marks {
            return Ok(None);
        }
        let mut from = self.flushed_marks;
        let mut bytes = encode_file(&self.symbols.read(), from, self.marks);
        let joins = |file: &SymbolEntry, bytes: u64| {
            file.bytes <= bytes && file.bytes + bytes <= SYMBOL_FILE_BYTES_MAX
        };
        while let Some(before) = files.pop_if(|file| joins(file, bytes.len() as u64)) {
            from = before.from;
            bytes = encode_file(&self.symbols.read(), from, self.marks);
        }
        let name = symbol_name(number);
        write_atomically(self.directory.as_ref(), &name, &bytes)?;
        let piece = read_file(self.directory.as_ref(), &name)?;
        files.push(SymbolEntry {
            name,
            bytes: bytes.len() as u64,
            from,
        });
        Ok(Some(piece))
    }
}

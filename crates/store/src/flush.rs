//! The flush: a frozen memtable becomes a segment, its symbols a file, new definitions another,
//! and a manifest names them all.
//!
//! Runs on a thread of its own while the writer goes on; the writer installs the result. The
//! order is what makes it safe to stop anywhere: symbols, definitions, segment, manifest; only then
//! may the log be trimmed.

use std::sync::Arc;

use vitalog_disk::{Directory, crc32c, write_atomically};

use crate::definitions::{self, Definition, DefinitionEntry};
use crate::error::Result;
use crate::manifest::{Manifest, SymbolEntry};
use crate::memtable::{Chunk, sections_by_day};
use crate::segment::{Segment, write_segment};
use crate::symbols::{Marks, SymbolPiece, Symbols, encode_file, read_file};

/// The folder of segment files.
pub(crate) const SEGMENT_FOLDER: &str = "segments";
/// The folder of symbol files.
pub(crate) const SYMBOL_FOLDER: &str = "symbols";
/// The folders whose files count only where a manifest names them.
pub(crate) const NAMED_FOLDERS: [&str; 3] = [SEGMENT_FOLDER, SYMBOL_FOLDER, definitions::FOLDER];

/// Symbol files are not joined beyond this: their offsets are 32 bits wide.
const SYMBOL_FILE_BYTES_MAX: u64 = 1 << 30;

/// A frozen memtable and what it follows; without chunks where only definitions are new.
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
    /// The first log file that holds what came later.
    pub wal_first: u64,
    /// The manifest in force.
    pub manifest: Manifest,
    /// The symbols that it covers.
    pub flushed_marks: Marks,
}

/// What a flush made; durable.
#[derive(Debug)]
pub(crate) struct Flushed {
    pub manifest: Manifest,
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
        let mut manifest = self.manifest.clone();
        manifest.number = unused_number(self.directory.as_ref(), manifest.number)?;
        let symbols = self.write_symbols(&mut manifest)?;
        self.write_definitions(&mut manifest)?;
        let segment = self.write_segment(&mut manifest)?;
        manifest.seq = self.seq;
        manifest.received_us = self.received_us;
        manifest.wal_first = self.wal_first;
        manifest.write(self.directory.as_ref())?;
        Ok(Flushed {
            manifest,
            segment,
            symbols,
            marks: self.marks,
        })
    }

    fn write_segment(&self, manifest: &mut Manifest) -> Result<Option<Arc<Segment>>> {
        if self.chunks.is_empty() {
            return Ok(None);
        }
        let days = sections_by_day(&self.chunks);
        let received: Vec<(i64, i64)> = self
            .chunks
            .iter()
            .flat_map(|chunk| chunk.received.iter().copied())
            .collect();
        let name = format!("{SEGMENT_FOLDER}/{:016}.arrow", manifest.number);
        let directory = self.directory.as_ref();
        let entry = write_segment(directory, &name, &self.symbols, &days, &received)?;
        manifest.segments.push(entry.clone());
        Ok(Some(Segment::new(Arc::clone(&self.directory), entry)))
    }

    /// Writes the definitions stored since the last flush. Smaller files before it are taken into
    /// the new one, as with symbols.
    fn write_definitions(&self, manifest: &mut Manifest) -> Result<()> {
        let mut first = manifest.definition_count();
        if first == self.definitions.len() {
            return Ok(());
        }
        let mut bytes = definitions::encode_file(&self.definitions[first..]);
        while let Some(before) = manifest
            .definitions
            .pop_if(|file| file.bytes <= bytes.len() as u64)
        {
            first -= before.count;
            bytes = definitions::encode_file(&self.definitions[first..]);
        }
        let name = format!("{}/{:016}.def", definitions::FOLDER, manifest.number);
        write_atomically(self.directory.as_ref(), &name, &bytes)?;
        manifest.definitions.push(DefinitionEntry {
            name,
            bytes: bytes.len() as u64,
            crc32c: crc32c(&bytes),
            count: self.definitions.len() - first,
        });
        Ok(())
    }

    /// Writes the symbols given since the last flush. Smaller files before it are taken into the
    /// new one, so that their number grows with the logarithm of the symbols.
    fn write_symbols(&self, manifest: &mut Manifest) -> Result<Option<SymbolPiece>> {
        if self.marks == self.flushed_marks {
            return Ok(None);
        }
        let mut from = self.flushed_marks;
        let mut bytes = encode_file(&self.symbols.read(), from, self.marks);
        let joins = |file: &SymbolEntry, bytes: u64| {
            file.bytes <= bytes && file.bytes + bytes <= SYMBOL_FILE_BYTES_MAX
        };
        while let Some(before) = manifest
            .symbols
            .pop_if(|file| joins(file, bytes.len() as u64))
        {
            from = before.from;
            bytes = encode_file(&self.symbols.read(), from, self.marks);
        }
        let name = format!("{SYMBOL_FOLDER}/{:016}.sym", manifest.number);
        write_atomically(self.directory.as_ref(), &name, &bytes)?;
        let piece = read_file(self.directory.as_ref(), &name)?;
        manifest.symbols.push(SymbolEntry {
            name,
            bytes: bytes.len() as u64,
            from,
        });
        Ok(Some(piece))
    }
}

/// A number above that of every manifest and of every file that one may name. A flush that failed
/// may have left its files, its manifest even, so its number is never taken again.
fn unused_number(directory: &dyn Directory, in_force: u64) -> Result<u64> {
    let mut highest = in_force;
    for folder in NAMED_FOLDERS.into_iter().chain([crate::manifest::FOLDER]) {
        for name in directory.list(folder)? {
            let number = name
                .split('.')
                .next()
                .and_then(|digits| digits.parse().ok());
            highest = highest.max(number.unwrap_or(0));
        }
    }
    Ok(highest + 1)
}

/// Removes what no kept manifest names: older manifests beyond `kept`, then segment, symbol and
/// definition files, and temporary files.
///
/// # Errors
/// A failing disk; whatever is left is collected the next time.
pub(crate) fn collect_orphans(directory: &dyn Directory, kept: usize) -> Result<()> {
    let numbers = Manifest::numbers(directory)?;
    let (gone, kept) = numbers.split_at(numbers.len().saturating_sub(kept.max(1)));
    let mut needed = std::collections::BTreeSet::new();
    for &number in kept {
        // A damaged older manifest names nothing; what it needed is kept by the newer ones, or
        // was dropped by them.
        if let Ok(manifest) = Manifest::read(directory, number) {
            needed.extend(manifest.files().into_iter().map(str::to_owned));
        }
    }
    for &number in gone {
        directory.remove(&Manifest::file_name(number))?;
    }
    for folder in NAMED_FOLDERS.into_iter().chain([crate::manifest::FOLDER]) {
        for name in directory.list(folder)? {
            let name = format!("{folder}/{name}");
            let is_orphan = name.ends_with(".tmp")
                || (folder != crate::manifest::FOLDER && !needed.contains(&name));
            if is_orphan {
                directory.remove(&name)?;
            }
        }
    }
    Ok(())
}

//! A segment file: opened on first touch, each array and each column verified once by `pread`
//! before it is used from the map, then kept.
//!
//! Owns the chain of checksums from the manifest's entry over footer and index to the buffers;
//! what a section's columns mean is in `section.rs`.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_buffer::{ArrowNativeType, Buffer, ScalarBuffer};
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, MetadataVersion, root_as_footer};
use arrow_schema::SchemaRef;
use vitalog_disk::{Directory, ReadFile, crc32c, verify_crc32c};

use super::codes::key_type;
use super::index::{ArrayKind, DirectoryPlace, IndexEntry, PLACE_KEY, WHOLE_FILE, read_directory};
use super::write::file_schema;
use super::{SegmentEntry, TRAILER_BYTES, footer_bytes};
use crate::error::{Result, StoreError};
use crate::section::{Identities, IdentityStrings};

/// The columns of a segment file: position in the record batch, and how many buffers each has.
#[derive(Clone, Copy)]
pub(super) enum Column {
    EventId,
    Time,
    Seq,
    Event,
    Account,
    User,
    Value,
    Properties,
}

impl Column {
    /// Buffers of each column in order: validity, then offsets and data, or data.
    const BUFFERS: [usize; 8] = [3, 2, 2, 2, 2, 2, 2, 3];

    /// The places of its buffers among those of the record batch.
    fn buffers(self) -> std::ops::Range<usize> {
        let first = Self::BUFFERS[..self as usize].iter().sum();
        first..first + Self::BUFFERS[self as usize]
    }
}

/// A segment file of a manifest, opened when first touched.
#[derive(Debug)]
pub(crate) struct Segment {
    directory: Arc<dyn Directory>,
    entry: SegmentEntry,
    opened: OnceLock<Opened>,
}

#[derive(Debug)]
struct Opened {
    map: Buffer,
    reader: Box<dyn ReadFile>,
    schema: SchemaRef,
    dictionary_blocks: Vec<Block>,
    record_blocks: Vec<Block>,
    entries: Vec<IndexEntry>,
    arrays: Vec<OnceLock<Buffer>>,
    identities: OnceLock<Arc<Identities>>,
}

/// Keeps the first value made; a second one, made at the same time, is dropped.
pub(crate) fn get_or_try_init<T>(
    cell: &OnceLock<T>,
    make: impl FnOnce() -> Result<T>,
) -> Result<&T> {
    if cell.get().is_none() {
        // Another thread may have set it since: then this value is dropped.
        let _ = cell.set(make()?);
    }
    Ok(cell.get().expect("set above"))
}

impl Segment {
    pub fn new(directory: Arc<dyn Directory>, entry: SegmentEntry) -> Arc<Self> {
        Arc::new(Self {
            directory,
            entry,
            opened: OnceLock::new(),
        })
    }

    pub fn entry(&self) -> &SegmentEntry {
        &self.entry
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(&self.entry.name)
    }

    pub(super) fn damaged(&self, offset: u64, reason: impl Into<String>) -> StoreError {
        StoreError::damaged(self.path(), offset, reason)
    }

    fn opened(&self) -> Result<&Opened> {
        let opened = get_or_try_init(&self.opened, || self.open());
        // Its name may have gone this moment, and then somebody opened it before.
        opened.or_else(|error| self.opened.get().ok_or(error))
    }

    /// Opens the file, so that whoever still holds this can read it after it was unlinked.
    ///
    /// # Errors
    /// Damage of its footer; a failing disk.
    pub fn retain(&self) -> Result<()> {
        self.opened().map(drop)
    }

    /// Reads footer and directory, each against the checksum of the level above it.
    fn open(&self) -> Result<Opened> {
        let reader = self.directory.open_read(&self.entry.name)?;
        let length = reader.len()?;
        if length != self.entry.bytes {
            let reason = format!("{length} bytes long, expected {}", self.entry.bytes);
            return Err(self.damaged(0, reason));
        }
        let footer = self.read_footer(reader.as_ref(), length)?;
        let (found, expected) = (crc32c(&footer), self.entry.footer_crc32c);
        if found != expected {
            let start = length - footer.len() as u64;
            let reason = format!("footer has CRC32C {found:#010x}, expected {expected:#010x}");
            return Err(self.damaged(start, reason));
        }
        let footer = root_as_footer(&footer[..footer.len() - TRAILER_BYTES])
            .map_err(|error| self.damaged(length, error.to_string()))?;
        let schema = footer
            .schema()
            .ok_or_else(|| self.damaged(length, "no schema"))?;
        let blocks = |blocks: Option<flatbuffers::Vector<'_, Block>>| {
            blocks
                .map(|blocks| blocks.iter().copied().collect())
                .unwrap_or_default()
        };
        let place = footer
            .custom_metadata()
            .and_then(|metadata| metadata.iter().find(|pair| pair.key() == Some(PLACE_KEY)))
            .and_then(|pair| DirectoryPlace::parse(pair.value()?))
            .ok_or_else(|| self.damaged(length, "the footer names no index"))?;
        verify_crc32c(reader.as_ref(), place.offset, place.bytes, place.crc32c)?;
        let mut directory = vec![0; place.bytes as usize];
        reader.read_at(place.offset, &mut directory)?;
        let entries = read_directory(&directory, length, &self.path(), place.offset)?;
        let record_blocks: Vec<Block> = blocks(footer.recordBatches());
        if record_blocks.len() != self.entry.sections.len() {
            return Err(self.damaged(length, "another number of sections than the manifest says"));
        }
        Ok(Opened {
            map: self.directory.map(&self.entry.name)?,
            schema: Arc::new(fb_to_schema(schema)),
            dictionary_blocks: blocks(footer.dictionaries()),
            record_blocks,
            arrays: entries.iter().map(|_| OnceLock::new()).collect(),
            entries,
            reader,
            identities: OnceLock::new(),
        })
    }

    fn read_footer(&self, reader: &dyn ReadFile, length: u64) -> Result<Vec<u8>> {
        let start = length
            .checked_sub(TRAILER_BYTES as u64)
            .ok_or_else(|| self.damaged(0, "shorter than the end of an Arrow file"))?;
        let mut trailer = vec![0; TRAILER_BYTES];
        reader.read_at(start, &mut trailer)?;
        let bytes = footer_bytes(&trailer, &self.path())? as u64;
        let start = length
            .checked_sub(bytes)
            .ok_or_else(|| self.damaged(start, "the footer is longer than the file"))?;
        let mut footer = vec![0; bytes as usize];
        reader.read_at(start, &mut footer)?;
        Ok(footer)
    }

    /// The checksum of the footer as it is, and how many sections it names, for a file that no
    /// manifest describes.
    pub(super) fn footer_facts(&self) -> Result<(u32, usize)> {
        let reader = self.directory.open_read(&self.entry.name)?;
        let footer = self.read_footer(reader.as_ref(), self.entry.bytes)?;
        let read = root_as_footer(&footer[..footer.len() - TRAILER_BYTES])
            .map_err(|error| self.damaged(self.entry.bytes, error.to_string()))?;
        let blocks = read.recordBatches().map_or(0, |blocks| blocks.len());
        Ok((crc32c(&footer), blocks))
    }

    /// Whether the footer says what the arrays of the index, which have checksums, say: for a file
    /// whose footer no manifest vouches for.
    pub(super) fn check_footer(&self) -> Result<()> {
        let opened = self.opened()?;
        let identities = self.identities()?;
        let strings = |symbols: &[u32]| key_type(symbols.len().saturating_sub(1));
        let accounts = strings(&identities.account_symbols);
        let users = strings(&identities.user_symbols);
        let events = key_type(identities.event_symbols.len());
        if opened.schema.fields() != file_schema(events, accounts, users).fields() {
            return Err(self.damaged(self.entry.bytes, "the footer has another schema"));
        }
        let mut messages = self.array_all(ArrayKind::DictionaryChecksums)?;
        for section in 0..opened.record_blocks.len() {
            messages.push(self.typed(ArrayKind::BufferChecksums, section as u32)?);
        }
        let blocks = opened.dictionary_blocks.iter().chain(&opened.record_blocks);
        let fits = |(block, message): (&Block, &ScalarBuffer<i64>)| {
            let metadata = (block.offset(), i64::from(block.metaDataLength()));
            message.get(..2) == Some(&[metadata.0, metadata.1])
        };
        let count = opened.dictionary_blocks.len() + opened.record_blocks.len();
        if messages.len() != count || !blocks.zip(&messages).all(fits) {
            let reason = "the footer places its blocks elsewhere than the index";
            return Err(self.damaged(self.entry.bytes, reason));
        }
        Ok(())
    }

    /// Whether the file has an array of this kind for the whole of it.
    pub(super) fn has_array(&self, kind: ArrayKind) -> Result<bool> {
        let mut entries = self.opened()?.entries.iter();
        Ok(entries.any(|entry| entry.kind == kind as u32 && entry.section == WHOLE_FILE))
    }

    /// An array of the index, verified on first touch. Lies in the map.
    pub(super) fn array(&self, kind: ArrayKind, section: u32) -> Result<Buffer> {
        let opened = self.opened()?;
        let found = opened
            .entries
            .iter()
            .position(|entry| entry.kind == kind as u32 && entry.section == section);
        let at = found.ok_or_else(|| {
            self.damaged(
                self.entry.bytes,
                format!("no array {kind:?} of section {section}"),
            )
        })?;
        let entry = &opened.entries[at];
        let buffer = get_or_try_init(&opened.arrays[at], || {
            verify_crc32c(
                opened.reader.as_ref(),
                entry.offset,
                entry.bytes,
                entry.crc32c,
            )?;
            Ok(opened
                .map
                .slice_with_length(entry.offset as usize, entry.bytes as usize))
        })?;
        Ok(buffer.clone())
    }

    pub(super) fn typed<T: ArrowNativeType>(
        &self,
        kind: ArrayKind,
        section: u32,
    ) -> Result<ScalarBuffer<T>> {
        // Arrays start at multiples of 64 of a page-aligned map, so they are aligned for any type.
        Ok(self.array(kind, section)?.into())
    }

    /// First seq of each commit group of the file, and when it was received; not empty.
    pub(super) fn received(&self) -> Result<(ScalarBuffer<i64>, ScalarBuffer<i64>)> {
        let seqs: ScalarBuffer<i64> = self.typed(ArrayKind::ReceivedSeqs, WHOLE_FILE)?;
        let times: ScalarBuffer<i64> = self.typed(ArrayKind::ReceivedTimes, WHOLE_FILE)?;
        if seqs.is_empty() || seqs.len() != times.len() {
            let reason = "the table of received times is not whole";
            return Err(self.damaged(self.entry.bytes, reason));
        }
        Ok((seqs, times))
    }

    /// (first seq, received at) of its commit groups, ascending.
    pub fn received_pairs(&self) -> Result<Vec<(i64, i64)>> {
        let (seqs, times) = self.received()?;
        Ok(seqs.iter().copied().zip(times.iter().copied()).collect())
    }

    /// The last seq before the first commit group that was received later than `known_at_us`; at
    /// least one was.
    pub fn seq_known_at(&self, known_at_us: i64) -> Result<i64> {
        if known_at_us < self.entry.received_min_us {
            return Ok(self.entry.seq_min() - 1);
        }
        let (seqs, times) = self.received()?;
        let later = times.partition_point(|&received_us| received_us <= known_at_us);
        let seq_first = seqs.get(later).ok_or_else(|| {
            let reason = "the table of received times ends before the manifest's latest";
            self.damaged(self.entry.bytes, reason)
        })?;
        Ok(seq_first - 1)
    }

    pub fn identities(&self) -> Result<&Arc<Identities>> {
        let opened = self.opened()?;
        get_or_try_init(&opened.identities, || {
            Ok(Arc::new(Identities {
                account_symbols: self.typed(ArrayKind::AccountSymbols, WHOLE_FILE)?,
                user_symbols: self.typed(ArrayKind::UserSymbols, WHOLE_FILE)?,
                event_symbols: self.typed(ArrayKind::EventSymbols, WHOLE_FILE)?,
                member_symbols: self.typed(ArrayKind::MemberSymbols, WHOLE_FILE)?,
                member_accounts: self.typed(ArrayKind::MemberAccounts, WHOLE_FILE)?,
                member_users: self.typed(ArrayKind::MemberUsers, WHOLE_FILE)?,
                strings: OnceLock::new(),
            }))
        })
    }

    pub fn strings(&self) -> Result<&IdentityStrings> {
        let identities = self.identities()?;
        get_or_try_init(&identities.strings, || {
            let with_null = |column| {
                let values = self.dictionary_values(column)?;
                crate::section::view_with_null(values.as_string())
            };
            let events = self.dictionary_values(Column::Event)?;
            Ok(IdentityStrings {
                accounts: with_null(Column::Account)?,
                users: with_null(Column::User)?,
                events: crate::section::view_of(events.as_string()),
            })
        })
    }

    /// The strings of a dictionary column, which are the same for all sections.
    fn dictionary_values(&self, column: Column) -> Result<ArrayRef> {
        let array = self.decode(0, column)?;
        Ok(Arc::clone(array.as_any_dictionary().values()))
    }

    /// Verifies and decodes one column of one section; its buffers lie in the map.
    pub(super) fn decode(&self, section: usize, column: Column) -> Result<ArrayRef> {
        let opened = self.opened()?;
        let is_dictionary = matches!(column, Column::Event | Column::Account | Column::User);
        let mut decoder = FileDecoder::new(Arc::clone(&opened.schema), MetadataVersion::V5)
            .with_projection(vec![column as usize])
            .with_require_alignment(true);
        if is_dictionary {
            let checksums = self.array_all(ArrayKind::DictionaryChecksums)?;
            for (block, checksums) in opened.dictionary_blocks.iter().zip(checksums) {
                self.verify_triples(&checksums, 0..usize::MAX)?;
                decoder
                    .read_dictionary(block, &self.block(block)?)
                    .map_err(StoreError::arrow(self.path()))?;
            }
        }
        let checksums = self.typed(ArrayKind::BufferChecksums, section as u32)?;
        self.verify_triples(&checksums, column.buffers())?;
        let block = &opened.record_blocks[section];
        let batch = decoder
            .read_record_batch(block, &self.block(block)?)
            .map_err(StoreError::arrow(self.path()))?
            .ok_or_else(|| self.damaged(block.offset() as u64, "no record batch"))?;
        let rows = self.entry.sections[section].rows;
        // Not yet known where no manifest names the file.
        if rows != 0 && batch.num_rows() != rows {
            let reason = format!("{} rows, expected {rows}", batch.num_rows());
            return Err(self.damaged(block.offset() as u64, reason));
        }
        Ok(Arc::clone(batch.column(0)))
    }

    fn block(&self, block: &Block) -> Result<Buffer> {
        let map = &self.opened()?.map;
        let start = usize::try_from(block.offset()).ok();
        let bytes = i64::from(block.metaDataLength()).checked_add(block.bodyLength());
        let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
        match (start, bytes) {
            (Some(start), Some(bytes))
                if start.checked_add(bytes).is_some_and(|end| end <= map.len()) =>
            {
                Ok(map.slice_with_length(start, bytes))
            }
            _ => Err(self.damaged(0, "a block of the footer lies outside the file")),
        }
    }

    fn array_all(&self, kind: ArrayKind) -> Result<Vec<ScalarBuffer<i64>>> {
        let opened = self.opened()?;
        let mut found = Vec::new();
        for (at, entry) in opened.entries.iter().enumerate() {
            if entry.kind == kind as u32 {
                let buffer = get_or_try_init(&opened.arrays[at], || {
                    let IndexEntry {
                        offset,
                        bytes,
                        crc32c,
                        ..
                    } = *entry;
                    verify_crc32c(opened.reader.as_ref(), offset, bytes, crc32c)?;
                    Ok(opened
                        .map
                        .slice_with_length(offset as usize, bytes as usize))
                })?;
                found.push(buffer.clone().into());
            }
        }
        Ok(found)
    }

    /// Verifies the metadata of a message and those of its buffers whose place is in `buffers`.
    fn verify_triples(&self, triples: &[i64], buffers: std::ops::Range<usize>) -> Result<()> {
        let reader = self.opened()?.reader.as_ref();
        for (at, triple) in triples.chunks_exact(3).enumerate() {
            if at == 0 || buffers.contains(&(at - 1)) {
                verify_crc32c(reader, triple[0] as u64, triple[1] as u64, triple[2] as u32)?;
            }
        }
        Ok(())
    }

    /// Reads every byte and returns what is wrong: each array and buffer by its own checksum, so
    /// that the place is named, and the whole file by its own, so that no byte is left out.
    pub fn verify(&self) -> Vec<StoreError> {
        let opened = match self.opened() {
            Ok(opened) => opened,
            Err(error) => return vec![error],
        };
        let reader = opened.reader.as_ref();
        let mut damages: Vec<StoreError> = opened
            .entries
            .iter()
            .filter_map(|entry| {
                verify_crc32c(reader, entry.offset, entry.bytes, entry.crc32c).err()
            })
            .map(StoreError::from)
            .collect();
        for kind in [ArrayKind::DictionaryChecksums, ArrayKind::BufferChecksums] {
            let checked = self.array_all(kind).and_then(|all| {
                all.iter()
                    .try_for_each(|triples| self.verify_triples(triples, 0..usize::MAX))
            });
            damages.extend(checked.err());
        }
        if damages.is_empty() {
            let whole = verify_crc32c(reader, 0, self.entry.bytes, self.entry.crc32c);
            damages.extend(whole.err().map(StoreError::from));
        }
        damages
    }
}

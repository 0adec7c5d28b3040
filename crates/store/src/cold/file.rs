//! A cold file: opened on first touch, through the cache, which holds what was derived of it.
//!
//! Between two uses nothing of a file is held but its entry: neither memory nor a file handle, so
//! a store may have any number of them. A section of it holds what it needs for as long as it lives.

use std::sync::{Arc, OnceLock};

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::PageIndexPolicy;
use vitalog_disk::{Directory, ReadFile};

use super::ColdEntry;
use super::blocks::{CheckedFile, Span};
use super::cache::{ColdCache, Part};
use super::schema::{Column, coded_schema, viewed_schema};
use super::section::ColdSection;
use super::sidecar::Sidecar;
use crate::NULL_SYMBOL;
use crate::error::{Result, StoreError, StoreErrorKind};
use crate::filter::SymbolSet;
use crate::promoted::PromotedBlob;
use crate::section::SectionStatistics;
use crate::segment::get_or_try_init;
use crate::segment::index::ArrayKind;
use crate::symbols::{Domain, Symbols};

/// A cold file of a manifest.
#[derive(Debug)]
pub(crate) struct ColdFile {
    directory: Arc<dyn Directory>,
    entry: ColdEntry,
    number: u64,
    symbols: Arc<Symbols>,
    cache: Arc<ColdCache>,
    /// Both files, open, once their names are about to go: see [`ColdFile::retain`].
    retained: OnceLock<Retained>,
}

/// Files that readers of older snapshots read on after their names are gone.
#[derive(Debug)]
struct Retained {
    parquet: Arc<dyn ReadFile>,
    sidecar: Arc<dyn ReadFile>,
}

/// What is read of a file before its columns.
#[derive(Debug)]
pub(super) struct Opened {
    /// For whole columns: names are dictionaries.
    pub coded: ArrowReaderMetadata,
    /// For a few pages: text as views.
    pub viewed: ArrowReaderMetadata,
    checksums: Arc<[u32]>,
}

/// Blocks read at first from the end, where metadata and page index lie; more are read if needed.
const END_BLOCKS: u64 = 4;

/// Bytes counted for a handful of small allocations.
const SMALL_BYTES: usize = 1 << 10;

/// Symbols of a filter up to which each is looked for in the bloom filters.
const ASKED_MAX: usize = 256;

impl ColdFile {
    /// The file of `entry`; nothing is read.
    pub fn new(
        directory: Arc<dyn Directory>,
        entry: ColdEntry,
        symbols: Arc<Symbols>,
        cache: Arc<ColdCache>,
    ) -> Arc<Self> {
        Arc::new(Self {
            directory,
            number: entry.number().unwrap_or(u64::MAX),
            entry,
            symbols,
            cache,
            retained: OnceLock::new(),
        })
    }

    pub fn entry(&self) -> &ColdEntry {
        &self.entry
    }

    pub fn statistics(&self) -> &SectionStatistics {
        &self.entry.statistics
    }

    pub(super) fn symbols(&self) -> &Arc<Symbols> {
        &self.symbols
    }

    pub(super) fn damaged(&self, reason: impl Into<String>) -> StoreError {
        StoreError::damaged(self.directory.path().join(self.entry.parquet()), 0, reason)
    }

    /// That the store knows no symbol of what stands in the file, as `reason` tells.
    ///
    /// Of a file that is in force this is damage. One that only readers of older snapshots still
    /// have may hold ids that were erased since: their rows must not be shown, and without them
    /// the snapshot is not what it was.
    pub(super) fn unknown(&self, reason: impl FnOnce() -> String) -> StoreError {
        if self.retained.get().is_some() {
            return StoreError::Failed {
                kind: StoreErrorKind::Unavailable,
                message: "events were erased after this read had begun, and it had not come to \
                          all of them: ask again"
                    .to_owned(),
            };
        }
        self.damaged(reason())
    }

    /// What of this file the cache holds, or makes now.
    pub(super) fn cached<T: std::any::Any + Send + Sync>(
        &self,
        part: Part,
        make: impl FnOnce() -> Result<(T, usize)>,
    ) -> Result<Arc<T>> {
        self.cache.get_or_make(self.number, part, make)
    }

    pub(super) fn is_cached(&self, part: Part) -> bool {
        self.cache.holds(self.number, part)
    }

    /// Opens both files for good, so that whoever still holds this can read them after they were
    /// unlinked. Files of the newest snapshot are opened when they are read, or their number would
    /// be bounded by that of open files.
    ///
    /// # Errors
    /// A failing disk; a file that is not there.
    pub fn retain(&self) -> Result<()> {
        get_or_try_init(&self.retained, || {
            Ok(Retained {
                parquet: self.directory.open_read(&self.entry.parquet())?.into(),
                sidecar: self.directory.open_read(&self.entry.sidecar())?.into(),
            })
        })?;
        Ok(())
    }

    fn reader(
        &self,
        name: &str,
        retained: fn(&Retained) -> &Arc<dyn ReadFile>,
    ) -> Result<Arc<dyn ReadFile>> {
        match self.directory.open_read(name) {
            Ok(reader) => Ok(reader.into()),
            // Its name may have gone this moment, and then it was retained before.
            Err(error) => match self.retained.get() {
                Some(files) => Ok(Arc::clone(retained(files))),
                None => Err(error.into()),
            },
        }
    }

    fn parquet_reader(&self) -> Result<Arc<dyn ReadFile>> {
        self.reader(&self.entry.parquet(), |files| &files.parquet)
    }

    /// Metadata and block checksums, and the file itself, open.
    pub(super) fn open(&self) -> Result<(Arc<Opened>, Arc<CheckedFile>)> {
        let reader = self.parquet_reader()?;
        let opened = self.cached(Part::Opened, || self.read_metadata())?;
        let reads = Arc::clone(self.cache.reads());
        let checksums = Arc::clone(&opened.checksums);
        let file = CheckedFile::new(reader, self.entry.bytes, checksums, reads)?;
        Ok((opened, Arc::new(file)))
    }

    fn read_metadata(&self) -> Result<(Opened, usize)> {
        let checksums = self.sidecar()?.block_checksums()?;
        let reader = self.parquet_reader()?;
        let reads = Arc::clone(self.cache.reads());
        let file = CheckedFile::new(reader, self.entry.bytes, Arc::clone(&checksums), reads)?;
        let file = Arc::new(file);
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_offset_index_policy(PageIndexPolicy::Required);
        let end = Span::end(&file, END_BLOCKS)?;
        let coded = options.clone().with_schema(coded_schema());
        let coded = ArrowReaderMetadata::load(&end, coded).map_err(|error| file.failed(&error))?;
        let viewed = options.with_schema(viewed_schema());
        let viewed = ArrowReaderMetadata::try_new(Arc::clone(coded.metadata()), viewed)
            .map_err(|error| file.failed(&error))?;
        let rows = coded.metadata().file_metadata().num_rows();
        if rows != self.entry.statistics.rows as i64 {
            let expected = self.entry.statistics.rows;
            return Err(self.damaged(format!("{rows} rows, expected {expected}")));
        }
        let bytes = coded.metadata().memory_size() + checksums.len() * 4 + SMALL_BYTES;
        let opened = Opened {
            coded,
            viewed,
            checksums,
        };
        Ok((opened, bytes))
    }

    /// Bytes of the ids, or of the properties where those are more, as a reader holds them. Cost:
    /// the end of the file, which the cache then holds.
    ///
    /// # Errors
    /// Damage of the file.
    pub fn text_bytes(&self) -> Result<u64> {
        let (opened, _) = self.open()?;
        let groups = opened.coded.metadata().row_groups();
        let bytes = |column: Column| -> u64 {
            let chunks = groups.iter().map(|group| group.column(column as usize));
            // Older writers did not count the text itself; encoded, before zstd, it is about that.
            let bytes = chunks.map(|chunk| {
                let text = chunk.unencoded_byte_array_data_bytes();
                text.unwrap_or(chunk.uncompressed_size()).unsigned_abs()
            });
            bytes.sum()
        };
        Ok(bytes(Column::EventId).max(bytes(Column::Properties)))
    }

    /// The sidecar, its directory checked.
    pub(super) fn sidecar(&self) -> Result<Sidecar> {
        let reader = self.reader(&self.entry.sidecar(), |files| &files.sidecar)?;
        Sidecar::new(reader, &self.entry, self.cache.reads())
    }

    /// The promoted columns, their footer read; `None` where there are none.
    ///
    /// # Errors
    /// Damage of the sidecar.
    pub fn promoted(&self) -> Result<Arc<Option<PromotedBlob>>> {
        self.cached(Part::Promoted, || {
            let Some(bytes) = self.sidecar()?.array(ArrayKind::Promoted)? else {
                return Ok((None, SMALL_BYTES));
            };
            let length = bytes.len() + SMALL_BYTES;
            let blob = PromotedBlob::open(&bytes, self.entry.statistics.rows)
                .map_err(|reason| self.damaged(reason))?;
            Ok((Some(blob), length))
        })
    }

    /// The last seq before the first row that was received later than `known_at_us`; `i64::MAX`
    /// where none was.
    ///
    /// # Errors
    /// Damage of the file, where it has to be looked at.
    pub fn seq_known_at(self: &Arc<Self>, known_at_us: i64) -> Result<i64> {
        let first = ColdSection::new(Arc::clone(self)).first_seq_after(known_at_us)?;
        Ok(first.map_or(i64::MAX, |seq| seq - 1))
    }

    /// The bloom filters of a column, one a row group; `None` where a row group has none.
    fn bloom_filters(&self, column: Column) -> Result<Arc<Vec<Option<Sbbf>>>> {
        self.cached(Part::Bloom(column), || {
            let (opened, file) = self.open()?;
            let groups = opened.coded.metadata().row_groups().iter();
            let filters = groups
                .map(|group| {
                    let chunk = group.column(column as usize);
                    Sbbf::read_from_column_chunk(chunk, &Span::none(&file))
                        .map_err(|error| file.failed(&error))
                })
                .collect::<Result<Vec<_>>>()?;
            let blocks: usize = filters.iter().flatten().map(Sbbf::num_blocks).sum();
            Ok((filters, blocks * 32))
        })
    }

    /// Whether an event of that id may be among the rows. Cost: the first time the bloom filters
    /// are read, which the cache then holds.
    ///
    /// # Errors
    /// Damage of the file.
    pub fn may_hold_event_id(&self, event_id: &str) -> Result<bool> {
        let filters = self.bloom_filters(Column::EventId)?;
        Ok(may_hold(&filters, event_id))
    }

    /// Whether one of `symbols` may be among the rows.
    pub(super) fn may_hold_any(&self, domain: Domain, symbols: &SymbolSet) -> Result<bool> {
        let column = match domain {
            Domain::Account => Column::Account,
            Domain::User => Column::User,
            Domain::Event => return Ok(true),
        };
        if symbols.contains(NULL_SYMBOL) || symbols.symbols().len() > ASKED_MAX {
            return Ok(true);
        }
        let filters = self.bloom_filters(column)?;
        Ok(symbols.symbols().iter().any(|&symbol| {
            let text = self.symbols.resolve(domain, symbol);
            text.is_some_and(|text| may_hold(&filters, &text))
        }))
    }
}

fn may_hold(filters: &[Option<Sbbf>], text: &str) -> bool {
    filters
        .iter()
        .any(|filter| filter.as_ref().is_none_or(|filter| filter.check(text)))
}

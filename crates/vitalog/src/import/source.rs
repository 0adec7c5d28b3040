//! A file as a stream of batches: finding out what it is, and handing out what it holds.

use std::io::{self, Read, Seek};
use std::path::Path;

use super::assembler::{Assembler, SourceBatch};
use super::byte_source::{ByteSource, Progress, open_file};
use super::content_ids::CONTENTS_MAX;
use super::csv_columns::CsvColumns;
use super::error::ImportError;
use super::json_lines::JsonLines;
use super::memberships::Memberships;
use super::options::{ImportOptions, SourceFormat, SourcePath};
use super::parquet_rows::ParquetRows;

/// The first bytes of every Parquet file.
const PARQUET_MAGIC: &[u8] = b"PAR1";

/// Events that come from somewhere in batches.
pub trait EventSource: Send {
    /// The next rows, or `None` at the end. `memberships` is shared by all files of one import.
    ///
    /// # Errors
    /// Where the file cannot be read further; every row before was handed out by earlier calls,
    /// and later calls return `None`.
    fn next_batch(
        &mut self,
        memberships: &mut Memberships,
    ) -> Result<Option<SourceBatch>, ImportError>;

    /// Bytes read so far, before decompression; of Parquet a share by rows.
    fn bytes_read(&self) -> u64;

    /// Bytes in all, before decompression, where it is known.
    fn bytes_total(&self) -> Option<u64>;
}

/// Opens a file or the standard input. `now_us` is the clock against which future times are
/// measured.
///
/// What it holds is told by its first bytes (Parquet, gzip, zstd), else by the end of its name,
/// else by the first letter (`{` begins JSON Lines, anything else CSV), unless the options say it.
///
/// # Errors
/// A file that cannot be opened or breaks off before its first row, a column that is unknown, of
/// the wrong type or missing.
pub fn open_source(
    path: &SourcePath,
    options: &ImportOptions,
    now_us: i64,
) -> Result<Box<dyn EventSource>, ImportError> {
    let name = path.to_string();
    match path {
        SourcePath::Stdin => open_reader(&name, Box::new(io::stdin()), None, options, now_us),
        SourcePath::File(path) => open_path(&name, path, options, now_us),
    }
}

/// Opens anything that can be read; `name` stands in messages, and its end may tell the format.
///
/// # Errors
/// As [`open_source`]; Parquet, which is read from its end, is refused.
pub fn open_reader(
    name: &str,
    reader: Box<dyn Read + Send>,
    bytes_total: Option<u64>,
    options: &ImportOptions,
    now_us: i64,
) -> Result<Box<dyn EventSource>, ImportError> {
    let source = ByteSource::open(reader, bytes_total)
        .map_err(|error| ImportError::reading(name, 0, error))?;
    let progress = source.progress.clone();
    match decide_format(name, &source.head, options) {
        SourceFormat::Parquet => {
            let through = if source.compressed {
                "compressed"
            } else {
                "through a pipe"
            };
            Err(ImportError::NotSeekable {
                path: name.to_owned(),
                through,
            })
        }
        SourceFormat::Csv => {
            let rows = CsvColumns::open(name, source, options)?;
            Ok(Batches::boxed(rows, progress, options, now_us))
        }
        SourceFormat::JsonLines => {
            let rows = JsonLines::open(name, source, options);
            Ok(Batches::boxed(rows, progress, options, now_us))
        }
    }
}

fn open_path(
    name: &str,
    path: &Path,
    options: &ImportOptions,
    now_us: i64,
) -> Result<Box<dyn EventSource>, ImportError> {
    let open_error = |source| ImportError::Open {
        path: name.to_owned(),
        source,
    };
    let (mut file, length) = open_file(path).map_err(open_error)?;
    let mut head = Vec::new();
    file.by_ref()
        .take(4)
        .read_to_end(&mut head)
        .map_err(open_error)?;
    file.rewind().map_err(open_error)?;
    let packed = matches!(head.as_slice(), [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd]);
    if !packed && decide_format(name, &head, options) == SourceFormat::Parquet {
        let progress = Progress::of_total(Some(length));
        let rows = ParquetRows::open(name, file, length, options, progress.clone())?;
        return Ok(Batches::boxed(rows, progress, options, now_us));
    }
    open_reader(name, Box::new(file), Some(length), options, now_us)
}

fn decide_format(name: &str, head: &[u8], options: &ImportOptions) -> SourceFormat {
    if let Some(format) = options.format {
        return format;
    }
    if head.starts_with(PARQUET_MAGIC) {
        return SourceFormat::Parquet;
    }
    SourceFormat::from_name(name).unwrap_or_else(|| {
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        match text.trim_ascii_start().first() {
            None | Some(b'{' | b'[') => SourceFormat::JsonLines,
            Some(_) => SourceFormat::Csv,
        }
    })
}

/// Pushes the rows of one format into an assembler.
pub(super) trait RowReader: Send {
    /// Reads at least one row, or line, and not past a full assembler. False at the end.
    fn read_rows(
        &mut self,
        assembler: &mut Assembler,
        memberships: &mut Memberships,
    ) -> Result<bool, ImportError>;
}

/// Cuts the rows of a reader into batches.
struct Batches<R> {
    rows: R,
    assembler: Assembler,
    failure: Option<ImportError>,
    is_done: bool,
    progress: Progress,
}

impl<R: RowReader + 'static> Batches<R> {
    fn boxed(
        rows: R,
        progress: Progress,
        options: &ImportOptions,
        now_us: i64,
    ) -> Box<dyn EventSource> {
        let assembler = Assembler::new(now_us, options.batch_rows, CONTENTS_MAX);
        Box::new(Self {
            rows,
            assembler,
            failure: None,
            is_done: false,
            progress,
        })
    }
}

impl<R: RowReader> EventSource for Batches<R> {
    fn next_batch(
        &mut self,
        memberships: &mut Memberships,
    ) -> Result<Option<SourceBatch>, ImportError> {
        while !self.is_done && !self.assembler.is_full() {
            match self.rows.read_rows(&mut self.assembler, memberships) {
                Ok(true) => {}
                Ok(false) => self.is_done = true,
                Err(error) => {
                    self.is_done = true;
                    self.failure = Some(error);
                }
            }
        }
        match self.assembler.finish() {
            Some(batch) => Ok(Some(batch)),
            None => self.failure.take().map_or(Ok(None), Err),
        }
    }

    fn bytes_read(&self) -> u64 {
        self.progress.bytes_read()
    }

    fn bytes_total(&self) -> Option<u64> {
        self.progress.total
    }
}

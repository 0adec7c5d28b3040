//! Opening a store: lock → manifest with its statistics → symbols and definitions → log → publish
//! → orphans.
//!
//! The lock is the directory's. Segments are not touched: their footers are read on first use.

use std::sync::Arc;

use arc_swap::ArcSwap;
use vitalog_disk::Directory;

use crate::config::{Clock, StoreConfig};
use crate::definitions::{self, Definitions};
use crate::error::{Result, StoreError};
use crate::flush::collect_orphans;
use crate::idempotency::RecentIds;
use crate::manifest::Manifest;
use crate::memtable::Memtable;
use crate::replay::Replay;
use crate::segment::Segment;
use crate::snapshot::{SegmentSet, Snapshot};
use crate::symbols::{Symbols, read_file};
use crate::wal::{self, FileEnd, Frame, FrameKind, WalFile, WalWriter};
use crate::writer::{HALVES_FULL, Writer};

/// What opening found, for the log and for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Events taken from the log because no segment held them yet.
    pub replayed_events: u64,
    /// Definitions taken from the log because no file of theirs held them yet.
    pub replayed_definitions: u64,
    /// Bytes behind the last whole commit group of the log, set aside.
    pub quarantined: Option<Quarantined>,
}

/// Bytes that a torn write, or damage that cannot be told from one, left at the end of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The log file they were found in.
    pub file: String,
    /// Where they began.
    pub offset: u64,
    /// How many there were.
    pub bytes: u64,
    /// The file that keeps them.
    pub kept_in: String,
    /// Why they are no commit group.
    pub reason: String,
}

const QUARANTINE_FOLDER: &str = "quarantine";

/// Everything the writer thread needs, and the report.
pub(crate) fn open(
    directory: Arc<dyn Directory>,
    config: StoreConfig,
    clock: Arc<dyn Clock>,
) -> Result<(Writer, OpenReport)> {
    let manifest = Manifest::latest(directory.as_ref())?;
    let symbols = Arc::new(Symbols::default());
    load_symbols(directory.as_ref(), &manifest, &symbols)?;
    let flushed_marks = symbols.read().marks();
    let mut segments = SegmentSet::default();
    for entry in &manifest.segments {
        segments = segments.with(Segment::new(Arc::clone(&directory), entry.clone()));
    }
    let mut replay = Replay {
        symbols: Arc::clone(&symbols),
        memtable: Memtable::default(),
        recent: RecentIds::default(),
        definitions: load_definitions(directory.as_ref(), &manifest)?,
        seq: manifest.seq,
        received_us: manifest.received_us,
        events: 0,
        definitions_replayed: 0,
    };
    let log = replay_log(directory.as_ref(), &manifest, &mut replay)?;
    let segments = Arc::new(segments);
    let logged_marks = symbols.read().marks();
    let wal = WalWriter::new(
        Arc::clone(&directory),
        config.durability,
        config.wal_file_bytes,
        log.next_number,
        log.next_group,
        log.chain,
    );
    collect_orphans(directory.as_ref(), config.manifests_kept)?;
    let chunks = [Arc::default(), replay.memtable.chunks()];
    let snapshot = Snapshot::new(
        (replay.seq, replay.received_us),
        Arc::clone(replay.definitions.all()),
        Arc::clone(&symbols),
        Arc::clone(&segments),
        chunks,
    );
    let mut writer = Writer {
        directory,
        config,
        clock,
        symbols,
        published: Arc::new(ArcSwap::from_pointee(snapshot)),
        on_publish: Arc::default(),
        wal,
        manifest,
        segments,
        flushed_marks,
        logged_marks,
        memtable: replay.memtable,
        recent: replay.recent,
        definitions: replay.definitions,
        seq: replay.seq,
        received_us: replay.received_us,
        flushing: None,
        flush_at_halves: HALVES_FULL,
    };
    if replay.events == 0 && replay.definitions_replayed == 0 {
        // Not further: files from the manifest's first on must follow each other without a gap.
        writer.wal.trim_before(writer.manifest.wal_first)?;
    } else {
        // Begun now and finished while the store already serves: the log of a killed process
        // does not pile up.
        writer.freeze()?;
    }
    let report = OpenReport {
        replayed_events: replay.events,
        replayed_definitions: replay.definitions_replayed,
        quarantined: log.quarantined,
    };
    Ok((writer, report))
}

fn load_symbols(directory: &dyn Directory, manifest: &Manifest, symbols: &Symbols) -> Result<()> {
    let pieces = manifest
        .symbols
        .iter()
        .map(|file| {
            let length = directory.len(&file.name)?;
            if length != file.bytes {
                let path = directory.path().join(&file.name);
                let reason = format!("{length} bytes long, expected {}", file.bytes);
                return Err(StoreError::damaged(path, 0, reason));
            }
            read_file(directory, &file.name)
        })
        .collect::<Result<Vec<_>>>()?;
    symbols.load(pieces)
}

fn load_definitions(directory: &dyn Directory, manifest: &Manifest) -> Result<Definitions> {
    let mut loaded = Definitions::default();
    for file in &manifest.definitions {
        for definition in definitions::read_file(directory, file)? {
            loaded.push(definition).map_err(|reason| {
                StoreError::damaged(directory.path().join(&file.name), 0, reason)
            })?;
        }
    }
    Ok(loaded)
}

struct LogEnd {
    next_number: u64,
    next_group: u64,
    chain: u32,
    quarantined: Option<Quarantined>,
}

fn replay_log(
    directory: &dyn Directory,
    manifest: &Manifest,
    replay: &mut Replay,
) -> Result<LogEnd> {
    let numbers = needed_files(directory, manifest)?;
    let mut end = LogEnd {
        next_number: manifest.wal_first.max(1),
        next_group: 1,
        chain: 0,
        quarantined: None,
    };
    let mut chain = None;
    for (at, &number) in numbers.iter().enumerate() {
        let is_newest = at + 1 == numbers.len();
        if is_newest && let Some(bytes) = wal::unborn_bytes(directory, number)? {
            if !bytes.is_empty() {
                let reason = "the header of a log file that was being created";
                end.quarantined = Some(set_aside(directory, number, 0, &bytes, reason)?);
            }
            end.next_number = number;
            break;
        }
        let file = wal::read_wal_file(directory, number, chain)?;
        let path = directory.path().join(wal::file_name(number));
        if !is_newest && file.end != FileEnd::Sealed {
            let reason = match file.end {
                FileEnd::Torn { reason, .. } => reason,
                _ => "the file ends without a seal, and a later one follows".to_owned(),
            };
            return Err(StoreError::damaged(path, file.end_offset, reason));
        }
        replay.file(&file, &path)?;
        chain = Some(file.chain);
        (end.chain, end.next_group) = (file.chain, file.next_group);
        end.next_number = number + 1;
        if file.end != FileEnd::Sealed {
            let (quarantined, chain) = close_file(directory, number, &file)?;
            end.quarantined = quarantined;
            end.chain = chain;
            end.next_group += 1;
        }
    }
    Ok(end)
}

/// The numbers of the log files from the manifest's first on, without a gap.
fn needed_files(directory: &dyn Directory, manifest: &Manifest) -> Result<Vec<u64>> {
    let names = directory.list(wal::FOLDER)?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| wal::file_number(name))
        .filter(|&number| number >= manifest.wal_first)
        .collect();
    numbers.sort_unstable();
    let first = manifest.wal_first.max(1);
    for (expected, &number) in (first..).zip(&numbers) {
        if number != expected {
            let path = directory.path().join(wal::file_name(expected));
            return Err(StoreError::damaged(path, 0, "the log file is missing"));
        }
    }
    Ok(numbers)
}

/// Keeps bytes of log file `number` under a name of their own.
fn set_aside(
    directory: &dyn Directory,
    number: u64,
    offset: u64,
    bytes: &[u8],
    reason: &str,
) -> Result<Quarantined> {
    let mut kept_in = format!("{QUARANTINE_FOLDER}/{number:016}-{offset}.wal");
    // An open that was cut short may have kept them before: the first copy is the whole one.
    for again in 2.. {
        if !directory.exists(&kept_in)? {
            break;
        }
        kept_in = format!("{QUARANTINE_FOLDER}/{number:016}-{offset}-{again}.wal");
    }
    vitalog_disk::write_atomically(directory, &kept_in, bytes)?;
    Ok(Quarantined {
        file: wal::file_name(number),
        offset,
        bytes: bytes.len() as u64,
        kept_in,
        reason: reason.to_owned(),
    })
}

/// Makes what was read durable, sets torn bytes aside, and seals the file, so that it reads as
/// whole from now on. Returns the seal's checksum.
fn close_file(
    directory: &dyn Directory,
    number: u64,
    file: &WalFile,
) -> Result<(Option<Quarantined>, u32)> {
    let name = wal::file_name(number);
    let mut writable = directory.open_write(&name)?;
    // A killed process may have left bytes that only the page cache holds.
    writable.sync_data()?;
    let mut quarantined = None;
    if let FileEnd::Torn {
        offset,
        end,
        reason,
    } = &file.end
    {
        let torn = &file.bytes[*offset as usize..(*end).max(*offset) as usize];
        quarantined = Some(set_aside(directory, number, *offset, torn, reason)?);
        writable.write_at(*offset, &vec![0; torn.len()])?;
        // Before the seal: torn bytes behind a seal would be damage.
        writable.sync_data()?;
    }
    let seal = Frame {
        kind: FrameKind::Seal,
        payload_bytes: 0,
        events: 0,
        group: file.next_group,
        seq_first: 0,
        received_at_us: 0,
        previous_crc32c: file.chain,
        payload_crc32c: vitalog_disk::crc32c(&[]),
    };
    let header = seal.encode();
    writable.write_at(file.end_offset, &header)?;
    writable.sync_all()?;
    Ok((quarantined, wal::header_crc32c(&header)))
}

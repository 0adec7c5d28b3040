//! Opening a store: lock → manifest with its statistics → symbols, definitions and writer states →
//! log → publish → orphans.
//!
//! The lock is the directory's. Segments are not touched: their footers are read on first use.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use vitalog_disk::Directory;

use crate::cold::{ColdCache, ColdFile};
use crate::config::{Clock, StoreConfig};
use crate::definitions::{self, Definitions};
use crate::error::{Result, StoreError};
use crate::idempotency::RecentIds;
use crate::imports;
use crate::ledger::Ledger;
use crate::manifest::Manifest;
use crate::memtable::Memtable;
use crate::quarantine::{Quarantined, set_aside};
use crate::removal::PendingRemoval;
use crate::replay::Replay;
use crate::segment::Segment;
use crate::snapshot::{SegmentChange, SegmentSet, Snapshot};
use crate::symbols::{Domain, Symbols, read_file};
use crate::upkeep::UpkeepBell;
use crate::wal::{self, FileEnd, Frame, FrameKind, WalFile, WalWriter};
use crate::writer::{HALVES_FULL, Writer};
use crate::writer_states::{self, WriterStates};

/// What opening found, for the log and for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Events taken from the log because no segment held them yet.
    pub replayed_events: u64,
    /// Definitions taken from the log because no file of theirs held them yet.
    pub replayed_definitions: u64,
    /// Bytes behind the last whole commit group of the log, set aside.
    pub quarantined: Option<Quarantined>,
    /// Erasures and other removals that an earlier run had begun, finished before this one serves.
    pub finished_removals: usize,
    /// Those that could not be finished now, for a damaged file or a full disk: they are pending,
    /// and tried again. Until then events that they did not reach may be seen.
    pub unfinished_removals: usize,
}

/// Everything the writer thread needs, and the report.
pub(crate) fn open(
    directory: Arc<dyn Directory>,
    config: StoreConfig,
    clock: Arc<dyn Clock>,
    upkeep: UpkeepBell,
    cache: &Arc<ColdCache>,
) -> Result<(Writer, OpenReport)> {
    let manifest = Manifest::latest(directory.as_ref())?;
    let symbols = Arc::new(Symbols::default());
    load_symbols(directory.as_ref(), &manifest, &symbols)?;
    forget_erased(&manifest, &symbols);
    let flushed_marks = symbols.read().marks();
    let hot = manifest.segments.iter().cloned();
    let hot = hot.map(|entry| Segment::new(Arc::clone(&directory), entry));
    let cold = manifest.cold.iter().cloned().map(|entry| {
        let (directory, symbols) = (Arc::clone(&directory), Arc::clone(&symbols));
        ColdFile::new(directory, entry, symbols, Arc::clone(cache))
    });
    let segments = SegmentSet::default().apply(&SegmentChange {
        hot: hot.collect(),
        cold: cold.collect(),
        ..SegmentChange::default()
    });
    let mut replay = Replay {
        symbols: Arc::clone(&symbols),
        memtable: Memtable::default(),
        recent: RecentIds::default(),
        definitions: load_definitions(directory.as_ref(), &manifest)?,
        writers: load_writers(directory.as_ref(), &manifest)?,
        seq: manifest.seq,
        received_us: manifest.received_us,
        events: 0,
        definitions_replayed: 0,
        has_writers: false,
    };
    let log = replay_log(directory.as_ref(), &manifest, &mut replay)?;
    let segments = Arc::new(segments);
    let wal_first = manifest.wal_first;
    let logged_marks = symbols.read().marks();
    let wal = WalWriter::new(
        Arc::clone(&directory),
        &config,
        log.next_number,
        log.next_group,
        log.chain,
    );
    let ledger = Arc::new(Ledger::new(Arc::clone(&directory), manifest)?);
    call_off_unbegun(&ledger, &symbols, &replay.memtable)?;
    imports::forget_lost_events(&ledger, replay.seq)?;
    let in_force = ledger.manifest();
    ledger.collect(config.manifests_kept)?;
    let chunks = [Arc::default(), replay.memtable.chunks()];
    let snapshot = Snapshot::new(
        (replay.seq, replay.received_us),
        Arc::clone(replay.definitions.all()),
        Arc::clone(&symbols),
        Arc::clone(&segments),
        chunks,
    )
    .retained_from(in_force.retained_from_day, in_force.history_from_day);
    let mut writer = Writer {
        directory,
        config,
        clock,
        symbols,
        published: Arc::new(ArcSwap::from_pointee(snapshot)),
        on_publish: Arc::default(),
        wal,
        ledger,
        segments,
        flushed_marks,
        logged_marks,
        memtable: replay.memtable,
        recent: replay.recent,
        definitions: replay.definitions,
        writers: replay.writers,
        has_new_numbers: replay.has_writers,
        silent_groups: 0,
        seq: replay.seq,
        received_us: replay.received_us,
        flushing: None,
        flush_at_halves: HALVES_FULL,
        upkeep,
        is_short: false,
        written: Arc::default(),
        removing: in_force.pending.clone(),
        retained_from_day: in_force.retained_from_day,
        history_from_day: in_force.history_from_day,
    };
    if replay.events == 0 && replay.definitions_replayed == 0 && !replay.has_writers {
        // Not further: files from the manifest's first on must follow each other without a gap.
        writer.wal.trim_before(wal_first)?;
    } else {
        // Begun now and finished while the store already serves: the log of a killed process
        // does not pile up.
        writer.freeze()?;
    }
    let report = OpenReport {
        replayed_events: replay.events,
        replayed_definitions: replay.definitions_replayed,
        quarantined: log.quarantined,
        finished_removals: in_force.pending.len(),
        unfinished_removals: 0,
    };
    Ok((writer, report))
}

/// Takes over the symbols of the manifest's files.
pub(crate) fn load_symbols(
    directory: &dyn Directory,
    manifest: &Manifest,
    symbols: &Symbols,
) -> Result<()> {
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

/// The ids of erasures under way get new symbols where they come again, in the log too.
fn forget_erased(manifest: &Manifest, symbols: &Symbols) {
    for pending in &manifest.pending {
        if let Some((domain, symbol)) = pending.what.symbol() {
            symbols.write().strings_mut(domain).forget(symbol);
        }
    }
}

/// Calls off an erasure whose symbol the log went on to use: its beginning had failed, and its
/// caller was told so, yet its manifest had reached the disk.
fn call_off_unbegun(ledger: &Ledger, symbols: &Symbols, memtable: &Memtable) -> Result<()> {
    let manifest = ledger.manifest();
    if manifest.pending.is_empty() {
        return Ok(());
    }
    let mut used = HashSet::new();
    for section in memtable.chunks().iter().flat_map(|chunk| &chunk.sections) {
        for run in section.runs_of_members()? {
            used.extend([(Domain::Account, run.account), (Domain::User, run.user)]);
        }
    }
    let is_begun = |pending: &PendingRemoval| {
        let symbol = pending.what.symbol();
        symbol.is_none_or(|symbol| !used.contains(&symbol))
    };
    let unbegun = manifest.pending.iter().filter(|pending| !is_begun(pending));
    let unbegun: Vec<(Domain, u32)> = unbegun.filter_map(|one| one.what.symbol()).collect();
    if unbegun.is_empty() {
        return Ok(());
    }
    ledger.commit(|manifest| manifest.pending.retain(is_begun))?;
    for (domain, symbol) in unbegun {
        symbols.write().strings_mut(domain).remember(symbol);
    }
    Ok(())
}

pub(crate) fn load_definitions(
    directory: &dyn Directory,
    manifest: &Manifest,
) -> Result<Definitions> {
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

pub(crate) fn load_writers(
    directory: &dyn Directory,
    manifest: &Manifest,
) -> Result<Arc<WriterStates>> {
    let loaded = WriterStates::default();
    if let Some(file) = &manifest.writers {
        loaded.apply(writer_states::read_file(directory, file)?);
    }
    Ok(Arc::new(loaded))
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

/// Makes what was read durable, sets torn bytes aside, and seals the file, so that it reads as
/// whole from now on. Returns the seal's checksum.
pub(crate) fn close_file(
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

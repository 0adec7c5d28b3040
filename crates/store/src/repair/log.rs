//! The log of a store under repair: what it reaches, and the prefix of it that can be replayed.
//!
//! Groups behind damage are not replayed although they may be whole: they may use symbols and
//! follow events that are lost. They are set aside, and said.

use std::path::PathBuf;
use std::sync::Arc;

use vitalog_disk::Directory;
use vitalog_event::day_of_timestamp_us;

use super::codes::LostCodes;
use super::files::damage_of;
use super::symbols::Completed;
use super::{Finding, Loss, RepairReport};
use crate::error::{Result, StoreError};
use crate::idempotency::RecentIds;
use crate::manifest::Manifest;
use crate::memtable::Memtable;
use crate::open::{close_file, load_definitions, load_symbols, load_writers};
use crate::quarantine;
use crate::replay::Replay;
use crate::symbols::{SymbolPiece, Symbols, decode_delta};
use crate::wal::{
    self, FileEnd, FrameKind, WalFile, decode_events, read_wal_prefix, stray_events, unborn_bytes,
};

/// How far manifest and log together go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub seq: i64,
    pub received_us: i64,
}

/// The numbers of all log files from `first` on, ascending.
fn numbers_from(disk: &dyn Directory, first: u64) -> Result<Vec<u64>> {
    let names = disk.list(wal::FOLDER)?;
    let numbers = names.iter().filter_map(|name| wal::file_number(name));
    let mut numbers: Vec<u64> = numbers.filter(|&number| number >= first).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Gives the log files from `first` on to `visit`, without a gap and up to the first damage.
fn prefix(
    disk: &dyn Directory,
    first: u64,
    mut visit: impl FnMut(u64, &WalFile) -> Result<()>,
) -> Result<()> {
    let mut chain = None;
    for (expected, number) in (first.max(1)..).zip(numbers_from(disk, first)?) {
        if number != expected {
            break;
        }
        let file = match read_wal_prefix(disk, number, chain) {
            Ok(file) => file,
            outcome => {
                damage_of(outcome)?;
                break;
            }
        };
        visit(number, &file)?;
        if file.end != FileEnd::Sealed {
            break;
        }
        chain = Some(file.chain);
    }
    Ok(())
}

/// How far `manifest` and the whole part of the log behind it go.
pub(super) fn reach(disk: &dyn Directory, manifest: &Manifest) -> Result<Reach> {
    let mut reach = Reach {
        seq: manifest.seq,
        received_us: manifest.received_us,
    };
    prefix(disk, manifest.wal_first, |_, file| {
        for (frame, _) in &file.frames {
            let last = frame.seq_first + i64::from(frame.events) - 1;
            if frame.kind == FrameKind::Events {
                reach.seq = reach.seq.max(last);
            }
            reach.received_us = reach.received_us.max(frame.received_at_us);
        }
        Ok(())
    })?;
    Ok(reach)
}

/// The symbols that the whole part of the log gives.
pub(super) fn symbols(disk: &dyn Directory, manifest: &Manifest) -> Result<Vec<SymbolPiece>> {
    let mut pieces = Vec::new();
    prefix(disk, manifest.wal_first, |number, file| {
        let path = disk.path().join(wal::file_name(number));
        for (frame, payload) in &file.frames {
            if frame.kind == FrameKind::Symbols {
                let bytes = &file.bytes[payload.clone()];
                pieces.push(decode_delta(bytes, &path, payload.start as u64)?);
            }
        }
        Ok(())
    })?;
    Ok(pieces)
}

/// Makes a rebuilt manifest follow on to the log that is there: where the log begins behind the
/// last event of a file, the events between are gone.
pub(super) fn follow(disk: &dyn Directory, manifest: &mut Manifest) -> Result<()> {
    let numbers = numbers_from(disk, 0)?;
    // Where each stretch of files without a gap begins, and the seq before its first event.
    let mut starts: Vec<(u64, Option<i64>)> = Vec::new();
    for (at, &number) in numbers.iter().enumerate() {
        if at == 0 || numbers[at - 1] + 1 != number {
            let mut before = None;
            prefix(disk, number, |_, file| {
                if let (None, Some((frame, _))) = (before, file.frames.first()) {
                    before = match frame.kind {
                        FrameKind::Events | FrameKind::Symbols | FrameKind::WriterStates => {
                            Some(frame.seq_first - 1)
                        }
                        FrameKind::Model | FrameKind::View => Some(frame.seq_first),
                        FrameKind::Seal => None,
                    };
                }
                Ok(())
            })?;
            starts.push((number, before));
        }
    }
    let follows = |start: &&(u64, Option<i64>)| start.1.is_none_or(|seq| seq <= manifest.seq);
    let start = starts.iter().rev().find(follows).or(starts.first());
    manifest.wal_first = start.map_or(manifest.wal_first, |start| start.0);
    if let Some((_, Some(seq))) = start {
        manifest.seq = manifest.seq.max(*seq);
    }
    Ok(())
}

/// Makes the log one that replays over `manifest`, whose symbols are `completed` where not all of
/// its own are there. Returns the last seq of the store.
pub(super) fn repair(
    disk: &dyn Directory,
    manifest: &Manifest,
    completed: Option<&Completed>,
    report: &mut RepairReport,
) -> Result<i64> {
    let symbols = Arc::new(Symbols::default());
    match completed {
        Some(completed) => symbols.load(completed.pieces(disk)?)?,
        None => load_symbols(disk, manifest, &symbols)?,
    }
    let lost = completed.map(|completed| &completed.lost);
    let mut replay = Replay {
        symbols,
        memtable: Memtable::default(),
        recent: RecentIds::default(),
        definitions: load_definitions(disk, manifest)?,
        writers: load_writers(disk, manifest)?,
        seq: manifest.seq,
        received_us: manifest.received_us,
        events: 0,
        definitions_replayed: 0,
        has_writers: false,
    };
    let numbers = numbers_from(disk, manifest.wal_first)?;
    let mut chain = None;
    for (at, (expected, &number)) in (manifest.wal_first.max(1)..).zip(&numbers).enumerate() {
        let is_newest = at + 1 == numbers.len();
        if number != expected {
            let missing = wal::file_name(expected);
            report.findings.push(Finding {
                file: missing.clone(),
                problem: "the log file is missing".to_owned(),
                kept_in: None,
                lost: None,
            });
            let reason = format!("it follows {missing}, which is missing");
            move_files(disk, &numbers[at..], &reason, replay.seq, report)?;
            break;
        }
        if is_newest && unborn_bytes(disk, number)?.is_some() {
            // The next open takes its place.
            break;
        }
        match take_file(disk, number, chain, lost, &mut replay, report) {
            Ok(end) => chain = Some(end),
            outcome => {
                let reason = damage_of(outcome)?.unwrap_or_default();
                move_files(disk, &numbers[at..], &reason, replay.seq, report)?;
                break;
            }
        }
    }
    Ok(replay.seq)
}

/// Replays a log file up to its first damage, sets aside what is behind it and seals it. Returns
/// the checksum that the next file must carry.
fn take_file(
    disk: &dyn Directory,
    number: u64,
    chain: Option<u32>,
    lost: Option<&LostCodes>,
    replay: &mut Replay,
    report: &mut RepairReport,
) -> Result<u32> {
    let path: PathBuf = disk.path().join(wal::file_name(number));
    let mut file = read_wal_prefix(disk, number, chain)?;
    if let Some(offset) = lost.and_then(|lost| first_with(lost, &file, replay.seq)) {
        file.cut_before(
            offset,
            "events whose ids and names are lost with the symbols",
        );
    }
    match replay.file(&file, &path) {
        Ok(()) => {}
        Err(StoreError::Damaged { offset, reason, .. }) => file.cut_before(offset, &reason),
        Err(error) => return Err(error),
    }
    let FileEnd::Torn { offset, reason, .. } = &file.end else {
        let is_newest = numbers_from(disk, number + 1)?.is_empty();
        return match file.end {
            FileEnd::Open if !is_newest => Ok(close_file(disk, number, &file)?.1),
            _ => Ok(file.chain),
        };
    };
    let lost = lost_in(&file.bytes, *offset as usize, replay.seq);
    let problem = format!("damaged at byte {offset}: {reason}");
    let (kept, chain) = close_file(disk, number, &file)?;
    report.findings.push(Finding {
        file: wal::file_name(number),
        problem,
        kept_in: kept.map(|kept| kept.kept_in),
        lost,
    });
    Ok(chain)
}

/// Where the first events behind `seq` lie that have one of `codes`.
fn first_with(codes: &LostCodes, file: &WalFile, seq: i64) -> Option<u64> {
    let mut events = file.frames.iter().filter(|(frame, _)| {
        frame.kind == FrameKind::Events && frame.seq_first + i64::from(frame.events) - 1 > seq
    });
    let found = events.find(|(_, payload)| {
        let group = decode_events(&file.bytes[payload.clone()]);
        group.is_ok_and(|group| codes.are_in(&group))
    });
    found.map(|(_, payload)| payload.start as u64)
}

/// Sets whole log files aside, the last one first, so that what is left has no gap at any time.
fn move_files(
    disk: &dyn Directory,
    numbers: &[u64],
    reason: &str,
    seq: i64,
    report: &mut RepairReport,
) -> Result<()> {
    let mut findings = Vec::new();
    for (at, &number) in numbers.iter().enumerate().rev() {
        let file = wal::file_name(number);
        let lost = lost_in(&disk.read(&file)?, 0, seq);
        let problem = if at == 0 {
            reason.to_owned()
        } else {
            format!(
                "it follows {}, which is set aside",
                wal::file_name(numbers[0])
            )
        };
        findings.push(Finding {
            kept_in: quarantine::move_file(disk, &file)?,
            file,
            problem,
            lost,
        });
    }
    report.findings.extend(findings.into_iter().rev());
    Ok(())
}

/// The events behind `offset` of a log file that no file of the store holds, as far as their
/// frames can be read.
fn lost_in(bytes: &[u8], offset: usize, seq: i64) -> Option<Loss> {
    let mut loss = Loss::default();
    for (frame, payload) in stray_events(bytes, offset) {
        let last = frame.seq_first + i64::from(frame.events) - 1;
        if last > seq {
            let group = decode_events(&bytes[payload]).ok();
            let times = group.iter().flat_map(|group| group.times.values());
            let days = times.map(|&time_us| day_of_timestamp_us(time_us));
            loss.add(u64::from(frame.events), days, (frame.seq_first, last));
        }
    }
    (loss.rows > 0).then_some(loss)
}

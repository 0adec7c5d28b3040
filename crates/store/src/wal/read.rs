//! Reading the log at open: frames in order, and an honest account of how a file ends.

use std::path::{Path, PathBuf};

use vitalog_disk::{Directory, crc32c};

use super::FrameKind;
use super::file_name;
use super::frame::{
    FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, Frame, HeaderError, VERSION,
};
use crate::error::{Result, StoreError};

/// How a log file ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileEnd {
    /// With a seal, and nothing but zeroes behind it.
    Sealed,
    /// With a whole group, and nothing but zeroes behind it: the process was killed.
    Open,
    /// With bytes behind the last whole group that are no group: a torn write, or damage that
    /// cannot be told from one.
    Torn {
        /// Where the bytes begin.
        offset: u64,
        /// Where they end: behind the last byte that is not zero.
        end: u64,
        /// Why they are no group.
        reason: String,
    },
}

/// What a log file holds.
#[derive(Debug)]
pub(crate) struct WalFile {
    /// Whole frames of whole groups, in order, with the place of each payload.
    pub frames: Vec<(Frame, std::ops::Range<usize>)>,
    pub bytes: Vec<u8>,
    pub end: FileEnd,
    /// Behind the last frame.
    pub end_offset: u64,
    /// The checksum that the next file's chain must carry.
    pub chain: u32,
    /// The number of the next group.
    pub next_group: u64,
}

/// Whether log file `number` was being created when the process ended: its header, which is synced
/// before any frame is written, is not whole, and nothing follows it. Returns what bytes it has.
pub(crate) fn unborn_bytes(directory: &dyn Directory, number: u64) -> Result<Option<Vec<u8>>> {
    let mut bytes = directory.read(&file_name(number))?;
    let used = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    let is_unborn = used <= FILE_HEADER_BYTES && FileHeader::decode(&bytes).is_err();
    bytes.truncate(used);
    Ok(is_unborn.then_some(bytes))
}

/// Reads log file `number`. `chain` is the last checksum of the file before, where it was read.
///
/// # Errors
/// Damage that cannot be a torn write: in the file's header, or before a later whole group.
pub(crate) fn read_wal_file(
    directory: &dyn Directory,
    number: u64,
    chain: Option<u32>,
) -> Result<WalFile> {
    scan_file(directory, number, chain)?.run()
}

/// Reads log file `number` up to the first damage, which is an end like a torn write, whatever
/// follows it: for repair.
///
/// # Errors
/// Damage of the file's header, from which nothing of the file can be read; a newer version.
pub(crate) fn read_wal_prefix(
    directory: &dyn Directory,
    number: u64,
    chain: Option<u32>,
) -> Result<WalFile> {
    let mut scan = scan_file(directory, number, chain)?;
    scan.is_lenient = true;
    scan.run()
}

/// Every whole frame of events in the bytes of a log file from `offset` on, whatever lies between
/// them: for saying what was in damaged bytes.
pub(crate) fn stray_events(bytes: &[u8], offset: usize) -> Vec<(Frame, std::ops::Range<usize>)> {
    let mut frames = Vec::new();
    let mut at = offset.next_multiple_of(8);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"VFRM")
            && let Ok((frame, _, payload)) = frame_at(bytes, at)
            && frame.kind == FrameKind::Events
        {
            at += frame.bytes() as usize;
            frames.push((frame, payload));
        } else {
            at += 8;
        }
    }
    frames
}

impl WalFile {
    /// Cuts the file before the commit group that has `offset` in a payload: what does not follow
    /// what came before it, though its checksums are right.
    pub fn cut_before(&mut self, offset: u64, reason: &str) {
        let behind =
            |(_, payload): &(Frame, std::ops::Range<usize>)| payload.start as u64 <= offset;
        let Some(frame) = self.frames.iter().rposition(behind) else {
            return;
        };
        let group = self.frames[frame].0.group;
        let first = self.frames.iter().position(|(one, _)| one.group == group);
        let first = first.unwrap_or(frame);
        let (one, payload) = &self.frames[first];
        self.end_offset = (payload.start - FRAME_HEADER_BYTES) as u64;
        self.chain = one.previous_crc32c;
        self.next_group = one.group;
        self.end = FileEnd::Torn {
            offset: self.end_offset,
            end: used_bytes(&self.bytes) as u64,
            reason: reason.to_owned(),
        };
        self.frames.truncate(first);
    }
}

/// Behind the last byte that is not zero: what lies there is preallocated and unused.
fn used_bytes(bytes: &[u8]) -> usize {
    let last = bytes.iter().rposition(|&byte| byte != 0);
    last.map_or(0, |last| last + 1)
}

/// Reads the header of a log file, and makes ready to read its frames.
fn scan_file(directory: &dyn Directory, number: u64, chain: Option<u32>) -> Result<Scan> {
    let name = file_name(number);
    let path = directory.path().join(&name);
    let bytes = directory.read(&name)?;
    let header = FileHeader::decode(&bytes).map_err(|error| match error {
        HeaderError::Damaged(reason) => StoreError::damaged(&path, 0, reason),
        HeaderError::Version(found) => newer_version(&path, found),
    })?;
    if header.number != number {
        let reason = format!("the header says file {}, the name {number}", header.number);
        return Err(StoreError::damaged(&path, 16, reason));
    }
    if chain.is_some_and(|chain| chain != header.chain) {
        return Err(StoreError::damaged(
            &path,
            24,
            "does not follow the log file before it",
        ));
    }
    Ok(Scan {
        path,
        used: used_bytes(&bytes),
        bytes,
        at: FILE_HEADER_BYTES,
        chain: header.chain,
        next_group: header.group,
        is_buffered: header.is_buffered,
        is_lenient: false,
    })
}

fn newer_version(path: &Path, found: u32) -> StoreError {
    StoreError::Version {
        path: path.to_owned(),
        found,
        known: u32::from(VERSION),
    }
}

struct Scan {
    path: PathBuf,
    bytes: Vec<u8>,
    used: usize,
    at: usize,
    chain: u32,
    /// Behind the last whole group.
    next_group: u64,
    is_buffered: bool,
    /// Whether damage is an end, whatever follows it.
    is_lenient: bool,
}

impl Scan {
    fn run(mut self) -> Result<WalFile> {
        let mut frames: Vec<(Frame, std::ops::Range<usize>)> = Vec::new();
        let mut sealed = false;
        let mut torn = None;
        while !sealed && !self.rest_is_zero() {
            match self.frame() {
                Ok((frame, payload)) => {
                    sealed = frame.kind == FrameKind::Seal;
                    self.at += frame.bytes() as usize;
                    if frame.ends_group() {
                        self.next_group = frame.group + 1;
                    }
                    frames.push((frame, payload));
                }
                Err(HeaderError::Damaged(reason)) => {
                    torn = Some(reason);
                    break;
                }
                Err(HeaderError::Version(found)) => return Err(newer_version(&self.path, found)),
            }
        }
        let end = match torn {
            None if sealed && !self.rest_is_zero() && self.is_lenient => {
                self.before_seal(&mut frames)
            }
            None if sealed && !self.rest_is_zero() => {
                return Err(self.damaged("bytes behind the seal"));
            }
            None if sealed => FileEnd::Sealed,
            None => FileEnd::Open,
            Some(reason) => {
                if !self.is_lenient {
                    self.refuse_if_later_group(&reason)?;
                }
                FileEnd::Torn {
                    offset: self.at as u64,
                    end: self.used as u64,
                    reason,
                }
            }
        };
        let end = self.drop_cut_group(&mut frames, end);
        Ok(WalFile {
            end,
            end_offset: self.at as u64,
            chain: self.chain,
            next_group: self.next_group,
            frames,
            bytes: self.bytes,
        })
    }

    /// Goes back before a seal that is not the end, so that it is written again.
    fn before_seal(&mut self, frames: &mut Vec<(Frame, std::ops::Range<usize>)>) -> FileEnd {
        let (seal, payload) = frames.pop().expect("the seal was read");
        self.at = payload.start - FRAME_HEADER_BYTES;
        self.chain = seal.previous_crc32c;
        self.next_group = seal.group;
        FileEnd::Torn {
            offset: self.at as u64,
            end: self.used as u64,
            reason: "bytes behind the seal".to_owned(),
        }
    }

    /// A group is written at once, so its first frames may be whole where its events were torn
    /// off: then none of it counts.
    fn drop_cut_group(
        &mut self,
        frames: &mut Vec<(Frame, std::ops::Range<usize>)>,
        end: FileEnd,
    ) -> FileEnd {
        let whole = frames.iter().rposition(|(frame, _)| frame.ends_group());
        let whole = whole.map_or(0, |last| last + 1);
        let Some((first, payload)) = frames.get(whole) else {
            return end;
        };
        self.at = payload.start - FRAME_HEADER_BYTES;
        self.chain = first.previous_crc32c;
        frames.truncate(whole);
        FileEnd::Torn {
            offset: self.at as u64,
            end: self.used as u64,
            reason: "a commit group without its events".to_owned(),
        }
    }

    /// The frame at the current place, checked and linked; moves the chain on.
    fn frame(&mut self) -> std::result::Result<(Frame, std::ops::Range<usize>), HeaderError> {
        let (frame, crc, payload) = self.frame_at(self.at)?;
        if frame.previous_crc32c != self.chain {
            return Err("the frame does not follow the one before it".into());
        }
        self.chain = crc;
        Ok((frame, payload))
    }

    fn frame_at(
        &self,
        at: usize,
    ) -> std::result::Result<(Frame, u32, std::ops::Range<usize>), HeaderError> {
        frame_at(&self.bytes, at)
    }

    /// A later group is written only after this one was synced: if one follows, the bytes here
    /// were whole once, and this is damage. Not so where groups were buffered.
    fn refuse_if_later_group(&self, reason: &str) -> Result<()> {
        if self.is_buffered {
            return Ok(());
        }
        let mut at = (self.at + 1).next_multiple_of(8);
        while at < self.used {
            if self.bytes[at..].starts_with(b"VFRM")
                && self
                    .frame_at(at)
                    .is_ok_and(|(frame, ..)| frame.group > self.next_group)
            {
                return Err(self.damaged(&format!("{reason}; whole commit groups follow")));
            }
            at += 8;
        }
        Ok(())
    }

    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::damaged(&self.path, self.at as u64, reason)
    }

    fn rest_is_zero(&self) -> bool {
        self.used <= self.at
    }
}

/// The frame at byte `at`, its header's checksum, and the place of its payload; both checked.
fn frame_at(
    bytes: &[u8],
    at: usize,
) -> std::result::Result<(Frame, u32, std::ops::Range<usize>), HeaderError> {
    let header = bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk::<FRAME_HEADER_BYTES>);
    let (frame, crc) = Frame::decode(header.ok_or("the file ends inside a frame header")?)?;
    let start = at + FRAME_HEADER_BYTES;
    let range = start..start + frame.payload_bytes as usize;
    let payload = bytes
        .get(range.clone())
        .ok_or("the file ends inside a payload")?;
    let padded = bytes.get(range.end..at + frame.bytes() as usize);
    let found = crc32c(payload);
    if found != frame.payload_crc32c || padded.is_none_or(|pad| pad.iter().any(|&b| b != 0)) {
        let expected = frame.payload_crc32c;
        let reason = format!("payload has CRC32C {found:#010x}, expected {expected:#010x}");
        return Err(reason.into());
    }
    Ok((frame, crc, range))
}

//! Writing the log: one open file, frames appended and synced, files changed when full.
//!
//! Room is taken before anything is written, so a full disk rejects a group whole. A failed write
//! or sync poisons the writer: whether the group is durable cannot be known any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vitalog_disk::{Directory, DiskErrorKind, WriteFile, crc32c};

use super::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, Frame, header_crc32c};
use super::{FOLDER, FrameKind, file_name};
use crate::config::{Durability, StoreConfig};
use crate::error::{Result, StoreError};
use crate::room::{Room, Writability};

/// One frame to be written: header fields and payload.
#[derive(Debug)]
pub(crate) struct FrameDraft {
    pub kind: FrameKind,
    pub events: u32,
    pub seq_first: i64,
    pub payload: Vec<u8>,
}

impl FrameDraft {
    fn bytes(&self) -> u64 {
        (FRAME_HEADER_BYTES + self.payload.len().next_multiple_of(8)) as u64
    }
}

/// What was committed since the store was opened; read by anyone.
#[derive(Debug, Default)]
pub(crate) struct WalCounters {
    pub groups: AtomicU64,
    pub bytes: AtomicU64,
}

/// The end of the log.
#[derive(Debug)]
pub(crate) struct WalWriter {
    directory: Arc<dyn Directory>,
    durability: Durability,
    file_bytes: u64,
    open: Option<OpenFile>,
    next_number: u64,
    next_group: u64,
    chain: u32,
    poisoned: Option<String>,
    room: Room,
    counters: Arc<WalCounters>,
}

#[derive(Debug)]
struct OpenFile {
    file: Box<dyn WriteFile>,
    capacity: u64,
    written: u64,
}

impl WalWriter {
    /// A writer that will begin file `next_number` with group `next_group`.
    pub fn new(
        directory: Arc<dyn Directory>,
        config: &StoreConfig,
        next_number: u64,
        next_group: u64,
        chain: u32,
    ) -> Self {
        Self {
            directory,
            durability: config.durability,
            file_bytes: config.wal_file_bytes,
            open: None,
            next_number,
            next_group,
            chain,
            poisoned: None,
            room: Room::new(config.reserved_bytes),
            counters: Arc::default(),
        }
    }

    /// What was committed so far.
    pub fn counters(&self) -> &Arc<WalCounters> {
        &self.counters
    }

    /// Whether it can be written, for anyone.
    pub fn writability(&self) -> &Arc<Writability> {
        self.room.writability()
    }

    /// Why nothing can be written any more, if so.
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// The number that the next begun file will have.
    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Writes the frames of one commit group and makes them durable.
    ///
    /// # Errors
    /// `Full` where no room could be taken: nothing was written. Any other error poisons.
    pub fn commit(&mut self, drafts: Vec<FrameDraft>, received_at_us: i64) -> Result<()> {
        if let Some(reason) = &self.poisoned {
            return Err(StoreError::Poisoned(reason.clone()));
        }
        // Before the group is encoded: a new file moves the chain and the number on.
        self.take_room(drafts.iter().map(FrameDraft::bytes).sum())?;
        let mut chain = self.chain;
        let bytes = encode_group(drafts, self.next_group, received_at_us, &mut chain);
        self.write(&bytes).map_err(|error| self.poison(&error))?;
        self.chain = chain;
        self.next_group += 1;
        self.counters.groups.fetch_add(1, Ordering::Relaxed);
        self.counters
            .bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Closes the open file with a seal; the next commit begins a new one.
    ///
    /// # Errors
    /// A failed write or sync poisons.
    pub fn seal(&mut self) -> Result<()> {
        if let Some(reason) = &self.poisoned {
            return Err(StoreError::Poisoned(reason.clone()));
        }
        if self.open.is_none() {
            return Ok(());
        }
        let draft = FrameDraft {
            kind: FrameKind::Seal,
            events: 0,
            seq_first: 0,
            payload: Vec::new(),
        };
        let mut chain = self.chain;
        let bytes = encode_group(vec![draft], self.next_group, 0, &mut chain);
        // Room for the seal is part of every file's capacity.
        self.write(&bytes)
            .and_then(|()| {
                self.open
                    .as_mut()
                    .map_or(Ok(()), |open| open.file.sync_data())
            })
            .map_err(|error| self.poison(&error))?;
        self.chain = chain;
        self.next_group += 1;
        self.open = None;
        Ok(())
    }

    fn poison(&mut self, error: &vitalog_disk::DiskError) -> StoreError {
        self.poisoned = Some(error.to_string());
        self.room.writability().poison(&error.to_string());
        StoreError::Poisoned(error.to_string())
    }

    fn write(&mut self, bytes: &[u8]) -> vitalog_disk::Result<()> {
        let open = self.open.as_mut().expect("room was taken");
        open.file.write_at(open.written, bytes)?;
        if self.durability == Durability::Synced {
            open.file.sync_data()?;
        }
        open.written += bytes.len() as u64;
        Ok(())
    }

    /// Makes sure that the open file has room for `bytes` and a seal; begins a new file if not.
    fn take_room(&mut self, bytes: u64) -> Result<()> {
        let needed = bytes + FRAME_HEADER_BYTES as u64;
        let directory = self.directory.as_ref();
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.written + needed <= open.capacity)
        {
            return self.room.take(directory, bytes);
        }
        let capacity = self.file_bytes.max(needed + FILE_HEADER_BYTES as u64);
        self.room.take(directory, capacity)?;
        self.seal()?;
        let number = self.next_number;
        match self.begin_file(number, capacity) {
            Ok(file) => {
                let written = FILE_HEADER_BYTES as u64;
                self.open = Some(OpenFile {
                    file,
                    capacity,
                    written,
                });
                self.next_number += 1;
                Ok(())
            }
            Err(error) => {
                // The file holds no frame: removing it loses nothing, and a failure to remove it
                // leaves an empty file that the next open skips.
                let _ = self.directory.remove(&file_name(number));
                match error.kind() {
                    DiskErrorKind::Full => Err(StoreError::Full(error.to_string())),
                    // A sync that failed here may "succeed" later without having happened.
                    _ => Err(self.poison(&error)),
                }
            }
        }
    }

    fn begin_file(&self, number: u64, capacity: u64) -> vitalog_disk::Result<Box<dyn WriteFile>> {
        let name = file_name(number);
        if self.directory.exists(&name)? {
            self.directory.remove(&name)?;
        }
        let mut file = self.directory.create(&name)?;
        file.preallocate(capacity)?;
        let header = FileHeader {
            number,
            chain: self.chain,
            group: self.next_group,
            is_buffered: self.durability == Durability::Buffered,
        };
        file.write_at(0, &header.encode())?;
        file.sync_all()?;
        self.directory.sync_folder(FOLDER)?;
        Ok(file)
    }

    /// Removes the files before `number`, whose events lie in segments.
    pub fn trim_before(&self, number: u64) -> Result<()> {
        let mut names = self.directory.list(FOLDER)?;
        names.retain(|name| super::file_number(name).is_some_and(|found| found < number));
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            self.directory.remove(&format!("{FOLDER}/{name}"))?;
        }
        Ok(self.directory.sync_folder(FOLDER)?)
    }
}

/// The bytes of a group, each frame linked to the one before; `chain` moves to the last.
fn encode_group(
    drafts: Vec<FrameDraft>,
    group: u64,
    received_at_us: i64,
    chain: &mut u32,
) -> Vec<u8> {
    let bytes: u64 = drafts.iter().map(FrameDraft::bytes).sum();
    let mut out = Vec::with_capacity(bytes as usize);
    for draft in drafts {
        let header = Frame {
            kind: draft.kind,
            payload_bytes: draft.payload.len() as u32,
            events: draft.events,
            group,
            seq_first: draft.seq_first,
            received_at_us,
            previous_crc32c: *chain,
            payload_crc32c: crc32c(&draft.payload),
        }
        .encode();
        *chain = header_crc32c(&header);
        out.extend_from_slice(&header);
        out.extend_from_slice(&draft.payload);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out
}

//! Copying the files of a manifest from one directory to another, each byte checked.
//!
//! Owns what makes a copy whole: the source's bytes have the manifest's checksum, the copy is
//! synced before it gets its name, and it reads back the same. It never writes a manifest.

use std::sync::Arc;

use vitalog_disk::{Directory, crc32c_append};

use crate::cold::check_sidecar;
use crate::error::{Result, StoreError};
use crate::ledger::COLD_FOLDER;
use crate::manifest::Part;
use crate::segment::file_checksum;
use crate::symbols::read_file;

/// Bytes copied at a time.
const PIECE_BYTES: usize = 1 << 20;

/// How far a copy has come.
#[derive(Clone, Copy, Debug)]
pub struct CopyProgress<'a> {
    /// The file being copied.
    pub file: &'a str,
    /// Bytes that are there by now, those that were there before included.
    pub bytes_done: u64,
    /// Bytes of all files together.
    pub bytes_total: u64,
}

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCount {
    /// How many.
    pub files: u64,
    /// Their lengths together.
    pub bytes: u64,
}

impl FileCount {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// A copy under way.
pub(crate) struct Copier<'a> {
    source: &'a dyn Directory,
    target: &'a dyn Directory,
    progress: &'a mut dyn FnMut(CopyProgress<'_>),
    bytes_done: u64,
    bytes_total: u64,
    /// Files copied now.
    pub copied: FileCount,
    /// Files that were there before.
    pub kept: FileCount,
}

impl<'a> Copier<'a> {
    pub fn new(
        source: &'a Arc<dyn Directory>,
        target: &'a Arc<dyn Directory>,
        parts: &[Part],
        progress: &'a mut dyn FnMut(CopyProgress<'_>),
    ) -> Self {
        Self {
            source: source.as_ref(),
            target: target.as_ref(),
            progress,
            bytes_done: 0,
            bytes_total: parts.iter().map(|part| part.bytes).sum(),
            copied: FileCount::default(),
            kept: FileCount::default(),
        }
    }

    /// Makes sure that the target has `part`. One that `known` names was checked when it was
    /// copied, so its length is enough; any other file of the name is read.
    ///
    /// # Errors
    /// Damage of the source, which is named; a full or failing disk.
    pub fn take(&mut self, part: &Part, known: &[Part]) -> Result<()> {
        self.tell(&part.name, 0);
        if self.has(part, known)? {
            self.tell(&part.name, part.bytes);
            self.kept.add(part.bytes);
            return Ok(());
        }
        self.copy(part)?;
        self.copied.add(part.bytes);
        Ok(())
    }

    fn tell(&mut self, file: &str, bytes: u64) {
        self.bytes_done += bytes;
        (self.progress)(CopyProgress {
            file,
            bytes_done: self.bytes_done,
            bytes_total: self.bytes_total,
        });
    }

    fn has(&self, part: &Part, known: &[Part]) -> Result<bool> {
        let name = &part.name;
        if !self.target.exists(name)? || self.target.len(name)? != part.bytes {
            return Ok(false);
        }
        if known.contains(part) {
            return Ok(true);
        }
        let found = file_checksum(self.target.open_read(name)?.as_ref())?;
        let expected = match part.crc32c {
            Some(crc32c) => crc32c,
            None => file_checksum(self.source.open_read(name)?.as_ref())?.1,
        };
        Ok(found == (part.bytes, expected))
    }

    /// Copies one file: temporary name, checksum, sync, rename, and read back.
    fn copy(&mut self, part: &Part) -> Result<()> {
        if part.crc32c.is_none() {
            self.check_itself(part)?;
        }
        let temporary = format!("{}.tmp", part.name);
        if self.target.exists(&temporary)? {
            self.target.remove(&temporary)?;
        }
        let crc32c = self.copy_bytes(part, &temporary).inspect_err(|_| {
            // The first error is the one worth telling; the next attempt replaces a left-over.
            let _ = self.target.remove(&temporary);
        });
        let crc32c = crc32c?;
        self.target.rename(&temporary, &part.name)?;
        let found = file_checksum(self.target.open_read(&part.name)?.as_ref())?;
        if found != (part.bytes, crc32c) {
            let path = self.target.path().join(&part.name);
            return Err(StoreError::damaged(
                path,
                0,
                "the copy reads back otherwise",
            ));
        }
        Ok(())
    }

    /// Checks a file that carries its own checksums.
    fn check_itself(&self, part: &Part) -> Result<()> {
        if part.name.starts_with(COLD_FOLDER) {
            return check_sidecar(self.source.open_read(&part.name)?.as_ref());
        }
        read_file(self.source, &part.name).map(drop)
    }

    fn copy_bytes(&mut self, part: &Part, temporary: &str) -> Result<u32> {
        let path = self.source.path().join(&part.name);
        let reader = self.source.open_read(&part.name)?;
        let length = reader.len()?;
        if length != part.bytes {
            let reason = format!("{length} bytes long, expected {}", part.bytes);
            return Err(StoreError::damaged(path, 0, reason));
        }
        let mut file = self.target.create(temporary)?;
        let mut piece = vec![0; PIECE_BYTES];
        let (mut at, mut crc) = (0, 0);
        while at < length {
            let left = usize::try_from(length - at).unwrap_or(PIECE_BYTES);
            let piece = &mut piece[..left.min(PIECE_BYTES)];
            reader.read_at(at, piece)?;
            crc = crc32c_append(crc, piece);
            file.write_at(at, piece)?;
            at += piece.len() as u64;
            self.tell(&part.name, piece.len() as u64);
        }
        if let Some(expected) = part.crc32c.filter(|&expected| expected != crc) {
            let reason = format!("CRC32C {crc:#010x}, the manifest says {expected:#010x}");
            return Err(StoreError::damaged(path, 0, reason));
        }
        file.sync_all()?;
        Ok(crc)
    }
}

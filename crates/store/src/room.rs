//! The room kept free on the disk: appends are refused before it is full, so that flushes,
//! compactions and removals, which end in more room, still have some.
//!
//! Owns when the disk is asked and what readiness is told; it writes nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use vitalog_disk::Directory;

use crate::error::{Result, StoreError};

/// Bytes written before the disk is asked again, at most: others write to it too.
const UNASKED_BYTES_MAX: u64 = 8 << 20;

/// What anyone may ask about the end of the log.
#[derive(Debug, Default)]
pub(crate) struct Writability {
    poisoned: OnceLock<String>,
    /// Bytes that must be free before an append is taken.
    wanted_bytes: AtomicU64,
}

impl Writability {
    /// Notes that nothing is written any more until a restart.
    pub fn poison(&self, reason: &str) {
        // The first reason is the one worth telling.
        let _ = self.poisoned.set(reason.to_owned());
    }

    /// Why an append would be refused now, if so. Cost: one question to the file system.
    pub fn check(&self, directory: &dyn Directory) -> std::result::Result<(), String> {
        if let Some(reason) = self.poisoned.get() {
            return Err(format!("writing the log failed, restart: {reason}"));
        }
        let wanted = self.wanted_bytes.load(Ordering::Relaxed);
        if wanted == 0 {
            return Ok(());
        }
        match directory.free_bytes() {
            Ok(free) if free >= wanted => Ok(()),
            Ok(free) => Err(format!(
                "the disk is full: {free} bytes are free, appends need {wanted}"
            )),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Bytes that must be freed before an append is taken; 0 where it is, and where that is not
    /// known. Cost: one question to the file system.
    pub fn missing_bytes(&self, directory: &dyn Directory) -> u64 {
        match self.wanted_bytes.load(Ordering::Relaxed) {
            0 => 0,
            wanted => wanted.saturating_sub(directory.free_bytes().unwrap_or(u64::MAX)),
        }
    }
}

/// The writer's view of the disk's room.
#[derive(Debug)]
pub(crate) struct Room {
    reserved_bytes: u64,
    /// Bytes that may be written before the disk is asked again.
    unasked_bytes: u64,
    writability: Arc<Writability>,
}

impl Room {
    /// Keeps `reserved_bytes` free; 0 keeps none and never asks.
    pub fn new(reserved_bytes: u64) -> Self {
        let writability = Writability {
            wanted_bytes: AtomicU64::new(reserved_bytes),
            ..Writability::default()
        };
        Self {
            reserved_bytes,
            unasked_bytes: 0,
            writability: Arc::new(writability),
        }
    }

    /// What anyone may ask.
    pub fn writability(&self) -> &Arc<Writability> {
        &self.writability
    }

    /// Makes sure that `bytes` can be taken from the disk with the reserve left. Cost: a question
    /// to the file system for each few megabytes, and for each append while there is no room.
    ///
    /// # Errors
    /// `Full`: nothing was written.
    pub fn take(&mut self, directory: &dyn Directory, bytes: u64) -> Result<()> {
        if self.reserved_bytes == 0 {
            return Ok(());
        }
        if bytes <= self.unasked_bytes {
            self.unasked_bytes -= bytes;
            return Ok(());
        }
        self.unasked_bytes = 0;
        let free = directory.free_bytes()?;
        let wanted = self.reserved_bytes.saturating_add(bytes);
        let told = &self.writability.wanted_bytes;
        let Some(left) = free.checked_sub(wanted) else {
            told.store(wanted, Ordering::Relaxed);
            let reserved = self.reserved_bytes;
            return Err(StoreError::Full(format!(
                "{free} bytes are free in {}, {bytes} are needed and {reserved} stay free for \
                 flushes and removals",
                directory.path().display()
            )));
        };
        told.store(self.reserved_bytes, Ordering::Relaxed);
        self.unasked_bytes = (left / 4).min(UNASKED_BYTES_MAX);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use vitalog_disk::FaultyDirectory;

    use super::*;

    #[test]
    fn what_is_refused_is_taken_again_once_there_is_room() {
        let directory = FaultyDirectory::new();
        let mut room = Room::new(1_000);
        let writability = Arc::clone(room.writability());
        directory.set_capacity(1_050);
        assert!(room.take(&directory, 40).is_ok());
        assert!(writability.check(&directory).is_ok());
        let error = room.take(&directory, 60).expect_err("below the reserve");
        assert!(matches!(error, StoreError::Full(_)), "{error}");
        let reason = writability.check(&directory).expect_err("full");
        assert!(reason.contains("1050 bytes are free"), "{reason}");
        assert_eq!(writability.missing_bytes(&directory), 10);
        directory.set_capacity(1_060);
        assert!(writability.check(&directory).is_ok());
        assert_eq!(writability.missing_bytes(&directory), 0);
        assert!(room.take(&directory, 60).is_ok());
    }

    #[test]
    fn the_disk_is_not_asked_for_every_group() {
        let directory = FaultyDirectory::new();
        directory.set_capacity(5_000);
        let mut room = Room::new(1_000);
        assert!(room.take(&directory, 1_000).is_ok());
        // A quarter of what is left is taken unasked, and no more.
        directory.set_capacity(0);
        assert!(room.take(&directory, 700).is_ok());
        assert!(room.take(&directory, 51).is_err());
    }

    #[test]
    fn without_a_reserve_nothing_is_asked() {
        let directory = FaultyDirectory::new();
        directory.set_capacity(0);
        let mut room = Room::new(0);
        assert!(room.take(&directory, 1 << 40).is_ok());
        assert!(room.writability().check(&directory).is_ok());
        room.writability().poison("a sync failed");
        let reason = room.writability().check(&directory).expect_err("poisoned");
        assert!(reason.contains("a sync failed"), "{reason}");
    }
}

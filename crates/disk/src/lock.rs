//! The lock that keeps a second process out of a store: the file `LOCK`, held with `flock`.
//!
//! The kernel's lock decides; the process id in the file is for the message alone. The file is
//! never removed: removing it would let two processes lock two files of one name.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{DiskError, Result};

/// The name of the lock file in the root of a store; reserved, and not listed.
pub const LOCK_NAME: &str = "LOCK";

/// An exclusive lock on a directory, from [`take`](Self::take) until drop.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    // Closing the file ends the lock, also when the process is killed.
    _file: File,
}

impl DirectoryLock {
    /// Locks the existing directory `root`, without waiting.
    ///
    /// # Errors
    /// `Locked` where someone holds it; `Io`.
    pub(crate) fn take(root: &Path) -> Result<Self> {
        let path = root.join(LOCK_NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| DiskError::io("open the lock file", &path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&file);
                return Err(DiskError::Locked {
                    path: root.to_path_buf(),
                    holder,
                });
            }
            Err(TryLockError::Error(source)) => return Err(DiskError::io("lock", path, source)),
        }
        // A fixed width overwrites in place. Not writing it is no reason to refuse: a store must
        // open on a full disk.
        let _ = file.write_all_at(format!("{:<10}\n", std::process::id()).as_bytes(), 0);
        Ok(Self { _file: file })
    }
}

/// The process id in a lock file that someone else holds.
fn holder(file: &File) -> Option<u32> {
    let mut bytes = [0; 10];
    file.read_exact_at(&mut bytes, 0).ok()?;
    std::str::from_utf8(&bytes).ok()?.trim_end().parse().ok()
}

//! The contract of a directory: what each step promises, and which step makes what durable.
//!
//! It owns the traits and the one step built from them alone, [`write_atomically`]. The contract
//! is tested on both implementations by `tests/contract.rs`.
//!
//! Three durabilities are kept apart, because file systems do:
//! - **bytes** of a file are durable after [`WriteFile::sync_data`] or [`WriteFile::sync_all`];
//! - a **name** (created, linked, renamed, removed) is durable after [`Directory::sync_folder`] of its
//!   folder, or after [`Directory::rename`], which does it;
//! - a **folder** is durable as soon as it was created.

use std::fmt::Debug;
use std::path::Path;

use arrow_buffer::Buffer;

use crate::error::Result;
use crate::name::folder_of;

/// The files of one store.
///
/// Names are relative, '/'-separated and checked: no `..`, not absolute, no empty part, no
/// backslash or control character, at most 255 bytes a part; `LOCK` is reserved. A name that is
/// not allowed gives an error of kind `Io` from every method. Files are reached by many threads
/// at once; there is no position to share.
pub trait Directory: Send + Sync + Debug + 'static {
    /// Where the directory is, for messages.
    fn path(&self) -> &Path;

    /// Creates a new, empty file. Missing folders on the way are created and made durable; **the
    /// file's own name is not**: call [`sync_folder`](Self::sync_folder) or
    /// [`rename`](Self::rename) before relying on it.
    ///
    /// # Errors
    /// `Io` (already exists) where the name is taken; `Full`; `Io`.
    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>>;

    /// Opens an existing file for positioned writes. Never for a published file: those are mapped.
    ///
    /// # Errors
    /// `Missing`; `Io`.
    fn open_write(&self, name: &str) -> Result<Box<dyn WriteFile>>;

    /// Fills `buffer` with the bytes from `offset` on. Opens the file each time; for many reads
    /// of one file see [`open_read`](Self::open_read).
    ///
    /// # Errors
    /// `Missing`; `Damaged` where the file ends before the buffer is full; `Io`.
    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// The whole file.
    ///
    /// # Errors
    /// `Missing`; `Io`.
    fn read(&self, name: &str) -> Result<Vec<u8>>;

    /// Opens a file for positioned reads. The handle outlives a rename and a removal.
    ///
    /// # Errors
    /// `Missing`; `Io`.
    fn open_read(&self, name: &str) -> Result<Box<dyn ReadFile>>;

    /// The length of a file in bytes.
    ///
    /// # Errors
    /// `Missing`; `Io`.
    fn len(&self, name: &str) -> Result<u64>;

    /// Whether a file of that name exists; a folder is no file.
    ///
    /// # Errors
    /// `Io`.
    fn exists(&self, name: &str) -> Result<bool>;

    /// The whole file as read-only memory, aligned to at least 64 bytes; an empty file gives an
    /// empty buffer. The memory lives as long as any clone or slice of the buffer, also after the
    /// file was removed and the directory dropped. Only for published files (see the crate's
    /// write-once contract): changing or truncating a mapped file is undefined behaviour.
    ///
    /// Costs a few system calls; pages are read from the disk when they are first touched, and a
    /// medium that fails then ends the process. Verify checksums before
    /// ([`verify_crc32c`](crate::verify_crc32c)).
    ///
    /// # Errors
    /// `Missing`; `Io`.
    fn map(&self, name: &str) -> Result<Buffer>;

    /// Renames a file, replacing `to` if it exists, then syncs the folders of both names (the
    /// target's first): on return the new name is durable. The change itself is atomic: at any
    /// time, and after any crash, either the old state or the new one is found. Missing folders
    /// of `to` are created. The bytes are not synced: do that before.
    ///
    /// # Errors
    /// `Missing`; `Full`; `Io`. After an error the rename may or may not have happened.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Gives a file a second name (a hard link); missing folders of `to` are created and made
    /// durable. Both names stand for the same bytes from then on, and removing one leaves the
    /// other. **The new name is durable after [`sync_folder`](Self::sync_folder)** of its folder;
    /// the bytes are as durable as they were. Only for published files: a write through either
    /// name shows in both.
    ///
    /// # Errors
    /// `Io` (already exists) where `to` is taken; `Missing` where `from` is; `Full`; `Io`, also
    /// where the file system has no hard links or the file has as many as it can have.
    fn link(&self, from: &str, to: &str) -> Result<()>;

    /// Unlinks a file. Open handles and maps of it stay valid. Durable after
    /// [`sync_folder`](Self::sync_folder); until then a crash may bring the file back.
    ///
    /// # Errors
    /// `Missing`; `Io`.
    fn remove(&self, name: &str) -> Result<()>;

    /// The names of the files directly in `folder`, relative to it, in byte order; "" is the
    /// directory itself. Folders, the lock file and names that are not UTF-8 are left out; a
    /// missing folder has no files.
    ///
    /// # Errors
    /// `Io`.
    fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// The names of the folders directly in `folder`, relative to it, in byte order; "" is the
    /// directory itself. Names that are not UTF-8 are left out; a missing folder has no folders.
    ///
    /// # Errors
    /// `Io`.
    fn folders(&self, folder: &str) -> Result<Vec<String>>;

    /// Removes an empty folder. Durable after [`sync_folder`](Self::sync_folder) of the folder
    /// that it was in; until then a crash may bring it back.
    ///
    /// # Errors
    /// `Missing`; `Io` where it is not empty.
    fn remove_folder(&self, folder: &str) -> Result<()>;

    /// Makes the names created, linked, renamed and removed in `folder` durable; "" is the directory
    /// itself.
    ///
    /// # Errors
    /// `Missing`; `Full`; `Io`.
    fn sync_folder(&self, folder: &str) -> Result<()>;

    /// How many bytes may still be written, as an estimate that other processes share.
    ///
    /// # Errors
    /// `Io`.
    fn free_bytes(&self) -> Result<u64>;
}

/// A file open for positioned writes.
///
/// **After a failed sync nothing is known**: the system may have dropped the un-synced bytes and
/// may report success on the next try. The caller must stop writing this file and start again
/// from what is durable; trying the sync again proves nothing.
pub trait WriteFile: Send + Debug {
    /// Writes all of `bytes` from `offset` on; a gap before it reads as zeroes. Visible to readers
    /// at once, durable after a sync.
    ///
    /// # Errors
    /// `Full`; `Io`. After an error any part of the bytes may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Reserves room so that the first `bytes` bytes of the file can be written without filling
    /// the disk. Extends the file with zeroes to that length; keeps what is there and never
    /// shortens. Where the file system cannot reserve, zeroes are written.
    ///
    /// # Errors
    /// `Full`; `Io`.
    fn preallocate(&mut self, bytes: u64) -> Result<()>;

    /// Makes the bytes and the length durable (`fdatasync`).
    ///
    /// # Errors
    /// `Full`; `Io`; see the trait for what an error means.
    fn sync_data(&mut self) -> Result<()>;

    /// Makes the bytes and all metadata of the file durable (`fsync`); not its name.
    ///
    /// # Errors
    /// `Full`; `Io`; see the trait for what an error means.
    fn sync_all(&mut self) -> Result<()>;

    /// The length of the file in bytes.
    ///
    /// # Errors
    /// `Io`.
    fn len(&self) -> Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// `Io`.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file open for positioned reads, from many threads.
pub trait ReadFile: Send + Sync + Debug {
    /// The path the file was opened by, for messages.
    fn path(&self) -> &Path;

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `Damaged` where the file ends before the buffer is full; `Io`.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// The length of the file in bytes.
    ///
    /// # Errors
    /// `Io`.
    fn len(&self) -> Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// `Io`.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Writes a whole small file so that its name always shows either the old bytes or the new ones:
/// `name.tmp` → fsync → rename → fsync of the folder. A left-over `name.tmp` of an earlier crash
/// is replaced. On return the file is durable. Two writers of one name must not run at once.
///
/// Costs two syncs.
///
/// # Errors
/// `Full`; `Io`. After an error the name shows the old bytes or the new ones, never a mixture;
/// the temporary file is removed where that is possible.
pub fn write_atomically(directory: &dyn Directory, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = format!("{name}.tmp");
    if directory.exists(&temporary)? {
        directory.remove(&temporary)?;
    }
    let outcome = write_and_rename(directory, &temporary, name, bytes);
    if outcome.is_err() {
        // The first error is the one worth telling; a left-over is replaced by the next attempt.
        let _ = directory.remove(&temporary);
    }
    outcome
}

fn write_and_rename(
    directory: &dyn Directory,
    temporary: &str,
    name: &str,
    bytes: &[u8],
) -> Result<()> {
    debug_assert_eq!(
        folder_of(temporary),
        folder_of(name),
        "one folder is synced"
    );
    let mut file = directory.create(temporary)?;
    file.write_at(0, bytes)?;
    file.sync_all()?;
    drop(file);
    directory.rename(temporary, name)
}

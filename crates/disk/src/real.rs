//! The directory on a file system.
//!
//! It owns the order of system calls that makes a step durable; it does not retry a failed sync
//! (see [`WriteFile`]). Invariant: from [`RealDirectory::open`] on, every folder of the directory
//! that can be seen is durable, and no other process has the directory open.

use std::fs::{self, DirEntry, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_buffer::Buffer;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::directory::{Directory, ReadFile, WriteFile};
use crate::error::{DiskError, Result};
use crate::lock::{DirectoryLock, LOCK_NAME};
use crate::mapped::map_file;
use crate::name::{check_file, check_folder, folder_of};

/// How many zeroes are written at a time where a file system cannot reserve room.
const ZERO_PIECE_BYTES: usize = 1 << 20;

/// A directory on a file system, locked for this process.
#[derive(Debug)]
pub struct RealDirectory {
    root: PathBuf,
    lock: Arc<DirectoryLock>,
}

impl RealDirectory {
    /// Opens a directory, creating it where it is missing, and locks it until this value and every
    /// file it opened for writing are dropped. Maps and read handles do not hold the lock.
    ///
    /// Syncs every folder in it once, so that names left un-synced by a killed process are
    /// durable before anyone builds on them. The *bytes* of files are not synced: who goes on
    /// writing a file found here syncs it first.
    ///
    /// # Errors
    /// `Locked` where another process, or this one, has it open; `Io`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let root = std::path::absolute(&path)
            .map_err(|source| DiskError::io("find the directory", path, source))?;
        create_folders(&root)?;
        let lock = Arc::new(DirectoryLock::take(&root)?);
        sync_folders_below(&root)?;
        Ok(Self { root, lock })
    }

    /// The path of a file, after checking its name.
    fn resolve(&self, operation: &'static str, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        match check_file(name) {
            Ok(()) => Ok(path),
            Err(source) => Err(DiskError::io(operation, path, source)),
        }
    }

    /// The path of a folder, after checking its name.
    fn resolve_folder(&self, operation: &'static str, folder: &str) -> Result<PathBuf> {
        if let Err(source) = check_folder(folder) {
            return Err(DiskError::io(operation, self.root.join(folder), source));
        }
        // Joining the empty name would leave a slash at the end of every message.
        if folder.is_empty() {
            Ok(self.root.clone())
        } else {
            Ok(self.root.join(folder))
        }
    }

    fn reader(&self, operation: &'static str, name: &str) -> Result<RealReadFile> {
        let path = self.resolve(operation, name)?;
        match File::open(&path) {
            Ok(file) => Ok(RealReadFile { file, path }),
            Err(source) => Err(DiskError::io(operation, path, source)),
        }
    }

    /// The folders in a folder, or everything else in it, in byte order; none where it is missing.
    fn names_in(&self, folder: &str, folders: bool) -> Result<Vec<String>> {
        let path = self.resolve_folder("list", folder)?;
        let found = match entries(&path) {
            Ok(found) => found,
            Err(source) if is_missing(&source) => return Ok(Vec::new()),
            Err(source) => return Err(DiskError::io("list", path, source)),
        };
        let mut names: Vec<String> = found
            .into_iter()
            .filter(|(_, is_folder)| *is_folder == folders)
            .filter_map(|(entry, _)| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn writer(&self, file: File, path: PathBuf) -> Box<dyn WriteFile> {
        Box::new(RealWriteFile {
            file,
            path,
            _lock: Arc::clone(&self.lock),
        })
    }
}

impl Directory for RealDirectory {
    fn path(&self) -> &Path {
        &self.root
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        let path = self.resolve("create", name)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // Folders are missing once in a store's life, so they are looked for after a failure only.
        let opened = match options.open(&path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                create_folders(&self.resolve_folder("create", folder_of(name))?)?;
                options.open(&path)
            }
            opened => opened,
        };
        match opened {
            Ok(file) => Ok(self.writer(file, path)),
            Err(source) => Err(DiskError::io("create", path, source)),
        }
    }

    fn open_write(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        let path = self.resolve("open", name)?;
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) => Ok(self.writer(file, path)),
            Err(source) => Err(DiskError::io("open", path, source)),
        }
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.reader("read", name)?.read_at(offset, buffer)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.resolve("read", name)?;
        fs::read(&path).map_err(|source| DiskError::io("read", path, source))
    }

    fn open_read(&self, name: &str) -> Result<Box<dyn ReadFile>> {
        Ok(Box::new(self.reader("open", name)?))
    }

    fn len(&self, name: &str) -> Result<u64> {
        let path = self.resolve("measure", name)?;
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(source) => Err(DiskError::io("measure", path, source)),
        }
    }

    fn exists(&self, name: &str) -> Result<bool> {
        let path = self.resolve("look for", name)?;
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file()),
            Err(source) if is_missing(&source) => Ok(false),
            Err(source) => Err(DiskError::io("look for", path, source)),
        }
    }

    fn map(&self, name: &str) -> Result<Buffer> {
        let RealReadFile { file, path } = self.reader("map", name)?;
        map_file(&file).map_err(|source| DiskError::io("map", path, source))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let source_path = self.resolve("rename", from)?;
        let target_path = self.resolve("rename to", to)?;
        let source_folder = self.resolve_folder("rename", folder_of(from))?;
        let target_folder = self.resolve_folder("rename to", folder_of(to))?;
        if source_folder != target_folder {
            create_folders(&target_folder)?;
        }
        fs::rename(&source_path, &target_path)
            .map_err(|source| DiskError::io("rename", source_path, source))?;
        sync_folder(&target_folder)?;
        if source_folder != target_folder {
            sync_folder(&source_folder)?;
        }
        Ok(())
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        let source_path = self.resolve("link", from)?;
        let target_path = self.resolve("link to", to)?;
        let linked = match fs::hard_link(&source_path, &target_path) {
            // The file itself may be what is missing; then no folder is made for it.
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                if let Err(source) = fs::metadata(&source_path) {
                    return Err(DiskError::io("link", source_path, source));
                }
                create_folders(&self.resolve_folder("link to", folder_of(to))?)?;
                fs::hard_link(&source_path, &target_path)
            }
            linked => linked,
        };
        match linked {
            Ok(()) => Ok(()),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                Err(DiskError::io("link to", target_path, source))
            }
            Err(source) => Err(DiskError::io("link", source_path, source)),
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.resolve("remove", name)?;
        fs::remove_file(&path).map_err(|source| DiskError::io("remove", path, source))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let mut names = self.names_in(folder, false)?;
        names.retain(|name| !(folder.is_empty() && name == LOCK_NAME));
        Ok(names)
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>> {
        self.names_in(folder, true)
    }

    fn remove_folder(&self, folder: &str) -> Result<()> {
        // The checked name is a file's: the directory itself is not removed.
        let path = self.resolve("remove folder", folder)?;
        fs::remove_dir(&path).map_err(|source| DiskError::io("remove folder", path, source))
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        sync_folder(&self.resolve_folder("sync folder", folder)?)
    }

    fn free_bytes(&self) -> Result<u64> {
        match rustix::fs::statvfs(&self.root) {
            Ok(status) => Ok(status.f_bavail.saturating_mul(status.f_frsize)),
            Err(error) => Err(DiskError::io(
                "ask for free room in",
                &self.root,
                error.into(),
            )),
        }
    }
}

#[derive(Debug)]
struct RealReadFile {
    file: File,
    path: PathBuf,
}

impl ReadFile for RealReadFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        match self.file.read_exact_at(buffer, offset) {
            Ok(()) => Ok(()),
            Err(source) if source.kind() == io::ErrorKind::UnexpectedEof => Err(DiskError::Short {
                path: self.path.clone(),
                offset,
                wanted: buffer.len() as u64,
                length: self.len()?,
            }),
            Err(source) => Err(DiskError::io_at("read", &self.path, offset, source)),
        }
    }

    fn len(&self) -> Result<u64> {
        length_of(&self.file, &self.path)
    }
}

#[derive(Debug)]
struct RealWriteFile {
    file: File,
    path: PathBuf,
    // Whoever can still write keeps the next process out.
    _lock: Arc<DirectoryLock>,
}

impl RealWriteFile {
    /// Extends the file to `bytes` by writing zeroes behind its end, which takes the room.
    fn write_zeroes(&mut self, bytes: u64) -> Result<()> {
        let zeroes = vec![0; ZERO_PIECE_BYTES];
        let mut position = self.len()?;
        while position < bytes {
            let left = usize::try_from(bytes - position).unwrap_or(usize::MAX);
            let piece = &zeroes[..left.min(ZERO_PIECE_BYTES)];
            self.write_at(position, piece)?;
            position += piece.len() as u64;
        }
        Ok(())
    }
}

impl WriteFile for RealWriteFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|source| DiskError::io_at("write", &self.path, offset, source))
    }

    fn preallocate(&mut self, bytes: u64) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        loop {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return self.write_zeroes(bytes),
                Err(error) => {
                    return Err(DiskError::io("reserve room for", &self.path, error.into()));
                }
            }
        }
        // Some systems reserve the room without extending the file.
        if self.len()? < bytes {
            self.file
                .set_len(bytes)
                .map_err(|source| DiskError::io("extend", &self.path, source))?;
        }
        Ok(())
    }

    fn sync_data(&mut self) -> Result<()> {
        self.file
            .sync_data()
            .map_err(|source| DiskError::io("sync", &self.path, source))
    }

    fn sync_all(&mut self) -> Result<()> {
        self.file
            .sync_all()
            .map_err(|source| DiskError::io("sync", &self.path, source))
    }

    fn len(&self) -> Result<u64> {
        length_of(&self.file, &self.path)
    }
}

fn length_of(file: &File, path: &Path) -> Result<u64> {
    match file.metadata() {
        Ok(metadata) => Ok(metadata.len()),
        Err(source) => Err(DiskError::io("measure", path, source)),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Creates `folder` and the missing ones above it, each durable before the next one.
fn create_folders(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(folder);
    if parent != folder {
        create_folders(parent)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => sync_folder(parent),
        // Someone else was faster, or a file is in the way.
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(source) => Err(DiskError::io("create folder", folder, source)),
    }
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|source| DiskError::io("sync folder", folder, source))
}

/// Syncs `folder` and every folder in it.
fn sync_folders_below(folder: &Path) -> Result<()> {
    let found = entries(folder).map_err(|source| DiskError::io("list", folder, source))?;
    for (entry, is_folder) in found {
        if !is_folder {
            continue;
        }
        match sync_folders_below(&entry.path()) {
            // A folder that may not be read holds no file of ours: `lost+found` of a mount.
            Err(DiskError::Io { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied => {}
            outcome => outcome?,
        }
    }
    sync_folder(folder)
}

/// The entries of a folder, each with whether it is a folder itself.
fn entries(folder: &Path) -> io::Result<Vec<(DirEntry, bool)>> {
    fs::read_dir(folder)?
        .map(|entry| {
            let entry = entry?;
            let is_folder = entry.file_type()?.is_dir();
            Ok((entry, is_folder))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_room_cannot_be_reserved_zeroes_are_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let directory = RealDirectory::open(folder.path()).expect("open");
        let path = folder.path().join("a");
        fs::write(&path, b"kept").expect("written");
        let file = OpenOptions::new().write(true).open(&path).expect("open");
        let lock = Arc::clone(&directory.lock);
        let mut file = RealWriteFile {
            file,
            path,
            _lock: lock,
        };
        let length = ZERO_PIECE_BYTES as u64 + 100;
        file.write_zeroes(length).expect("extended");
        file.write_zeroes(10).expect("nothing to do");
        let bytes = directory.read("a").expect("read");
        assert_eq!(bytes.len() as u64, length);
        assert_eq!(&bytes[..4], b"kept");
        assert!(bytes[4..].iter().all(|byte| *byte == 0));
    }
}

//! What can go wrong with a file: one error that names operation, path and offset, and a small
//! kind for callers that must decide.
//!
//! It does not say what a damaged file means for the store; that is the reader's business.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of an operation on a directory or a file.
pub type Result<T> = std::result::Result<T, DiskError>;

/// What the caller can do about a [`DiskError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskErrorKind {
    /// The file or folder does not exist.
    Missing,
    /// The disk or the quota is full: free some room and try again.
    Full,
    /// The bytes are not the ones that were written: a file that ends early, a wrong checksum.
    Damaged,
    /// Another process uses the directory.
    Locked,
    /// Anything else the operating system reports, and names that are not allowed.
    Io,
}

/// An operation on a directory or a file that failed.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The operating system refused, or the name is not allowed.
    #[error("cannot {operation} {}{}: {source}", path.display(), At(*offset))]
    Io {
        /// What was tried, as a verb: "create", "write", "sync".
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The first byte of the range, where the operation has one.
        offset: Option<u64>,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file ends before the bytes that were asked for.
    #[error(
        "{} ends early: {wanted} bytes wanted at offset {offset}, but its length is {length}",
        path.display()
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// The first byte asked for.
        offset: u64,
        /// How many bytes were asked for.
        wanted: u64,
        /// How long the file is.
        length: u64,
    },
    /// A region of the file does not have the checksum that was recorded for it.
    #[error(
        "{} is damaged: the {length} bytes at offset {offset} have checksum {found:#010x}, \
         expected {expected:#010x}",
        path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The first byte of the region.
        offset: u64,
        /// The length of the region in bytes.
        length: u64,
        /// The CRC32C that was recorded.
        expected: u32,
        /// The CRC32C of the bytes found.
        found: u32,
    },
    /// Another process, or another part of this one, has the directory open.
    #[error("the store {} is in use by {}; {}", path.display(), Holder(*holder), Advice(*holder))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process id written in the lock file, where it could be read.
        holder: Option<u32>,
    },
}

impl DiskError {
    /// What the caller can do about it.
    pub fn kind(&self) -> DiskErrorKind {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => DiskErrorKind::Missing,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskErrorKind::Full,
                io::ErrorKind::UnexpectedEof => DiskErrorKind::Damaged,
                _ => DiskErrorKind::Io,
            },
            Self::Short { .. } | Self::Checksum { .. } => DiskErrorKind::Damaged,
            Self::Locked { .. } => DiskErrorKind::Locked,
        }
    }

    /// The file or folder concerned, as the path it was opened by.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Short { path, .. }
            | Self::Checksum { path, .. }
            | Self::Locked { path, .. } => path,
        }
    }

    /// The first byte of the range concerned, where the operation has one.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Io { offset, .. } => *offset,
            Self::Short { offset, .. } | Self::Checksum { offset, .. } => Some(*offset),
            Self::Locked { .. } => None,
        }
    }

    /// The operating system's own kind, for the few callers that need a finer answer than
    /// [`kind`](Self::kind) ("already exists").
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            Self::Short { .. } => Some(io::ErrorKind::UnexpectedEof),
            Self::Checksum { .. } | Self::Locked { .. } => None,
        }
    }

    /// An operation without an offset that failed; for `map_err`.
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            operation,
            path: path.into(),
            offset: None,
            source,
        }
    }

    /// An operation on a range that failed; for `map_err`.
    pub(crate) fn io_at(
        operation: &'static str,
        path: impl Into<PathBuf>,
        offset: u64,
        source: io::Error,
    ) -> Self {
        Self::Io {
            operation,
            path: path.into(),
            offset: Some(offset),
            source,
        }
    }
}

/// " at offset 12", or nothing.
struct At(Option<u64>);

impl fmt::Display for At {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(offset) => write!(formatter, " at offset {offset}"),
            None => Ok(()),
        }
    }
}

/// Who holds the lock, in words.
struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(process) if process == std::process::id() => {
                write!(formatter, "this process ({process})")
            }
            Some(process) => write!(formatter, "another process ({process})"),
            None => formatter.write_str("another process"),
        }
    }
}

/// What to do about a held lock, in words.
struct Advice(Option<u32>);

impl fmt::Display for Advice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Some(std::process::id()) {
            return formatter.write_str("close it there before opening it again");
        }
        formatter.write_str(
            "stop that process, or send the request to it with --url if it is a server; \
             the lock ends with the process, so there is nothing to delete",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_operation_path_offset_and_cause() {
        let error = DiskError::io_at("write", "wal/1", 7, io::ErrorKind::StorageFull.into());
        assert_eq!(
            error.to_string(),
            "cannot write wal/1 at offset 7: no storage space"
        );
        assert_eq!(error.kind(), DiskErrorKind::Full);
        assert_eq!(error.offset(), Some(7));
        let error = DiskError::io("remove", "a", io::ErrorKind::NotFound.into());
        assert_eq!(error.to_string(), "cannot remove a: entity not found");
        assert_eq!(error.kind(), DiskErrorKind::Missing);
        assert_eq!(error.path(), Path::new("a"));
    }

    #[test]
    fn a_held_lock_says_what_to_do() {
        let theirs = DiskError::Locked {
            path: "s".into(),
            holder: Some(u32::MAX),
        }
        .to_string();
        assert!(theirs.contains("another process (4294967295)"), "{theirs}");
        assert!(theirs.contains("stop that process"), "{theirs}");
        let holder = Some(std::process::id());
        let ours = DiskError::Locked {
            path: "s".into(),
            holder,
        }
        .to_string();
        assert!(ours.contains("this process"), "{ours}");
    }
}

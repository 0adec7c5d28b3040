//! What can go wrong in the store, with file, offset, expected and found, and a small public kind.

use std::path::{Path, PathBuf};

use arrow_schema::ArrowError;
use thiserror::Error;
use vitalog_disk::{DiskError, DiskErrorKind};

/// The result of every operation of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// The request is wrong: fix it.
    Invalid,
    /// A limit or a full disk: send less, slow down, make room.
    Limit,
    /// The outcome is unknown or the store is busy: retry with the same ids.
    Unavailable,
    /// The store is closed.
    Closed,
    /// Bytes on disk are damaged: restore or investigate.
    Data,
    /// A bug.
    Internal,
}

/// An error of the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Bytes that do not hold what they should.
    #[error(
        "{path}: damaged at byte {offset}: {reason}. Nothing was changed; restore the file from a \
         copy, or set it aside with `vitalog repair`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What was expected and what was found.
        reason: String,
    },
    /// A file of a version that this program does not read.
    #[error("{path}: format version {found}; this program reads up to version {known}")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The request makes no sense: fix it.
    #[error("{0}")]
    Invalid(String),
    /// A limit of the store was reached.
    #[error("{what}: {found}, at most {limit}")]
    Limit {
        /// What is limited, with its unit.
        what: &'static str,
        /// What was asked.
        found: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The disk is full: nothing of the append was written, reads go on.
    #[error("the disk is full, the append was rejected and nothing of it was written: {0}")]
    Full(String),
    /// Writing or syncing failed: whether the group is durable cannot be known.
    #[error(
        "writing the log failed, the outcome of this append is unknown; retry it with the same \
         ids after a restart: {0}"
    )]
    Poisoned(String),
    /// The batch of this number of a writer was durable before: nothing was appended again.
    #[error("batch {number} of this writer is durable already; the last one is {last_number}")]
    NumberDurable {
        /// The number of the batch.
        number: u64,
        /// The last durable number of the writer.
        last_number: u64,
    },
    /// A batch before this one of the writer is not durable: nothing was appended.
    #[error(
        "batch {number} of this writer does not follow batch {last_number}, its last durable one"
    )]
    NumberGap {
        /// The number of the batch.
        number: u64,
        /// The last durable number of the writer; 0 where there is none.
        last_number: u64,
    },
    /// The store keeps the states of as many writers as it may: nothing was appended.
    #[error(
        "the store knows {limit} writers, all of which wrote within 30 days, and takes no new one; \
         use fewer writer ids"
    )]
    WritersFull {
        /// How many it may know.
        limit: u64,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Another operation failed, and this one with it.
    #[error("{message}")]
    Failed {
        /// What a caller can do about it.
        kind: StoreErrorKind,
        /// What went wrong.
        message: String,
    },
    /// Columns could not be built or decoded.
    #[error("columns of {path}: {source}")]
    Arrow {
        /// The file, or what was being built.
        path: PathBuf,
        /// The cause.
        source: ArrowError,
    },
}

impl StoreError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Disk(error) => match error.kind() {
                DiskErrorKind::Full => StoreErrorKind::Limit,
                DiskErrorKind::Damaged => StoreErrorKind::Data,
                DiskErrorKind::Locked => StoreErrorKind::Unavailable,
                DiskErrorKind::Missing | DiskErrorKind::Io => StoreErrorKind::Data,
            },
            Self::Damaged { .. } | Self::Version { .. } | Self::Arrow { .. } => {
                StoreErrorKind::Data
            }
            Self::Invalid(_) | Self::NumberDurable { .. } | Self::NumberGap { .. } => {
                StoreErrorKind::Invalid
            }
            Self::Limit { .. } | Self::Full(_) | Self::WritersFull { .. } => StoreErrorKind::Limit,
            Self::Poisoned(_) => StoreErrorKind::Unavailable,
            Self::Closed => StoreErrorKind::Closed,
            Self::Failed { kind, .. } => *kind,
        }
    }

    /// Whether a file does not hold what it should, or is not there: what repair can work around.
    /// A disk that fails, and a newer version, are neither.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Arrow { .. } => true,
            Self::Disk(error) => matches!(
                error.kind(),
                DiskErrorKind::Damaged | DiskErrorKind::Missing
            ),
            _ => false,
        }
    }

    /// Whether a file was not there: a compaction may have replaced it since it was looked up.
    #[must_use]
    pub fn is_missing_file(&self) -> bool {
        matches!(self, Self::Disk(error) if error.kind() == DiskErrorKind::Missing)
    }

    /// The file concerned, where the error knows one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Disk(error) => Some(error.path()),
            Self::Damaged { path, .. } | Self::Version { path, .. } | Self::Arrow { path, .. } => {
                Some(path)
            }
            _ => None,
        }
    }

    pub(crate) fn damaged(
        path: impl Into<PathBuf>,
        offset: u64,
        reason: impl Into<String>,
    ) -> Self {
        Self::Damaged {
            path: path.into(),
            offset,
            reason: reason.into(),
        }
    }

    pub(crate) fn arrow(path: impl Into<PathBuf>) -> impl FnOnce(ArrowError) -> Self {
        let path = path.into();
        move |source| Self::Arrow { path, source }
    }
}

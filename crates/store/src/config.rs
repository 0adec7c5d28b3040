//! The settings of a store, and the clock it is given.

use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cold::ColdCache;

/// When an append is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After `fdatasync`: an acknowledged event survives a power loss.
    #[default]
    Synced,
    /// After the write: an acknowledged event survives the end of the process, and may be lost
    /// with the last seconds before a crash of the machine.
    Buffered,
}

/// Sizes and limits of a store; every one has a default.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// When an append is acknowledged.
    pub durability: Durability,
    /// Bytes of one file of the write-ahead log, preallocated.
    pub wal_file_bytes: u64,
    /// Batches that may wait for the writer; more block or are refused.
    pub queue_batches: usize,
    /// Events after which a commit group is closed.
    pub group_events_max: usize,
    /// Bytes after which a commit group is closed.
    pub group_bytes_max: usize,
    /// Events in memory at which a flush begins.
    pub memtable_events_max: usize,
    /// Bytes in memory at which a flush begins.
    pub memtable_bytes_max: usize,
    /// Manifests kept, the current one included.
    pub manifests_kept: usize,
    /// Bytes of hot files beyond which the oldest become cold.
    pub hot_bytes_max: u64,
    /// Cold files of one day; late rows are merged with them where there are more.
    pub cold_files_per_day_max: usize,
    /// Bytes of decoded columns of cold files that are kept for the next reader.
    pub cold_cache_bytes_max: u64,
    /// Bytes of the disk that appends leave free, so that flushes, compactions and removals still
    /// have room; 0 keeps none.
    pub reserved_bytes: u64,
    /// Published snapshots kept at once; one more is refused.
    pub snapshots_max: usize,
    /// Whole UTC days before today whose events are kept; older ones are dropped when the store
    /// is opened and after a flush. `None` keeps all.
    pub retention_days: Option<u32>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Synced,
            wal_file_bytes: 64 << 20,
            queue_batches: 64,
            group_events_max: 128 << 10,
            group_bytes_max: 32 << 20,
            memtable_events_max: 1 << 20,
            memtable_bytes_max: 256 << 20,
            manifests_kept: 3,
            hot_bytes_max: 2 << 30,
            cold_files_per_day_max: 4,
            cold_cache_bytes_max: ColdCache::BYTES_DEFAULT,
            reserved_bytes: 64 << 20,
            snapshots_max: 1_000,
            retention_days: None,
        }
    }
}

/// Where the store takes the time from, so that a test can hold it.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Microseconds since 1970 UTC.
    fn now_us(&self) -> i64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

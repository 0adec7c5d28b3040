//! The settings of a store, and the clock it is given.

use std::fmt::Debug;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

const WAL_FILE_BYTES: u64 = 64 << 20;
const MEMTABLE_BYTES_MAX: usize = 256 << 20;
/// Of the reserve, beyond what a flush takes.
const RESERVE_MARGIN_BYTES: u64 = 64 << 20;

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
    /// Bytes of hot files that are merged into one, at most.
    pub hot_merged_bytes_max: u64,
    /// Bytes of hot files that become cold in one job: what is written before any of them goes.
    pub cooled_bytes_max: u64,
    /// Cold files of one day; late rows are merged with them where there are more.
    pub cold_files_per_day_max: usize,
    /// Bytes of event ids, and of properties, of one cold file: a reader may hold either as one
    /// column. A day with more has several files. At most 2 GiB; less is made of more.
    pub cold_text_bytes_max: u64,
    /// Bytes of decoded columns of cold files that are kept for the next reader.
    pub cold_cache_bytes_max: u64,
    /// Bytes of the disk that appends leave free, so that flushes, compactions and removals still
    /// have room; 0 keeps none. Less than [`reserve_for`](Self::reserve_for) is less than a flush
    /// may need.
    pub reserved_bytes: u64,
    /// Published snapshots kept at once; one more is refused.
    pub snapshots_max: usize,
    /// Whole UTC days before today whose events are kept; older ones are dropped when the store
    /// is opened, after a flush, and while nothing happens. `None` keeps all.
    pub retention_days: Option<u32>,
    /// How long the upkeep waits for something to do before it looks by itself.
    pub upkeep_interval: Duration,
}

impl StoreConfig {
    /// The reserve that a flush of a memtable of `memtable_bytes_max` bytes asks for where a file
    /// of the log has `wal_file_bytes`, and 64 MiB beyond, for a compaction to begin with.
    #[must_use]
    pub fn reserve_for(memtable_bytes_max: usize, wal_file_bytes: u64) -> u64 {
        let flush = (memtable_bytes_max as u64).saturating_add(wal_file_bytes);
        flush.saturating_add(RESERVE_MARGIN_BYTES)
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Synced,
            wal_file_bytes: WAL_FILE_BYTES,
            queue_batches: 64,
            group_events_max: 128 << 10,
            group_bytes_max: 32 << 20,
            memtable_events_max: 1 << 20,
            memtable_bytes_max: MEMTABLE_BYTES_MAX,
            manifests_kept: 3,
            hot_bytes_max: 2 << 30,
            hot_merged_bytes_max: 1 << 30,
            cooled_bytes_max: 4 << 30,
            cold_files_per_day_max: 4,
            cold_text_bytes_max: 1 << 30,
            cold_cache_bytes_max: ColdCache::BYTES_DEFAULT,
            reserved_bytes: Self::reserve_for(MEMTABLE_BYTES_MAX, WAL_FILE_BYTES),
            snapshots_max: 1_000,
            retention_days: None,
            upkeep_interval: Duration::from_secs(60),
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

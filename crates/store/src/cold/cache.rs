//! What is derived from cold files and may be needed again: one cache a store, bounded by bytes.
//!
//! Entries are shared: one that is dropped lives on as long as a reader holds it, so a reader never
//! meets a change. Files are named by their number, which is never used twice, so nothing is ever
//! out of date.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::schema::Column;
use crate::error::Result;

/// What of a file an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Metadata and block checksums.
    Opened,
    /// The footer of the promoted columns; `None` where there are none.
    Promoted,
    /// The bloom filters of a column, one a row group.
    Bloom(Column),
    /// Names, symbols and counts of the events.
    Events,
    /// Accounts, users, members and where their runs lie.
    Identities,
    /// The run index with times.
    Runs,
    /// The activity of the runs.
    Activity,
    /// A decoded column.
    Column(Column),
    /// Hashes of the event ids in order, and their rows.
    IdIndex,
}

type Key = (u64, Part);

#[derive(Clone, Debug)]
struct Held {
    value: Arc<dyn Any + Send + Sync>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<Key, Held> for ByBytes {
    fn weight(&self, _: &Key, held: &Held) -> u64 {
        // An entry costs its place in the table too.
        held.bytes as u64 + 128
    }
}

type Entries = Cache<Key, Held, ByBytes, std::hash::RandomState, DefaultLifecycle<Key, Held>>;

/// How much was read from cold files since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct ReadCounters {
    bytes: AtomicU64,
    calls: AtomicU64,
}

impl ReadCounters {
    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes, sidecars included.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Positioned reads.
    #[cfg(test)]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// The cache of a store, and the counters of what had to be read.
#[derive(Debug)]
pub(crate) struct ColdCache {
    entries: Entries,
    reads: Arc<ReadCounters>,
}

/// An estimate of the entries of a full cache; more or fewer work too.
const ENTRIES_ESTIMATED: usize = 1 << 10;

impl ColdCache {
    /// Bytes held where nothing else is asked for.
    pub const BYTES_DEFAULT: u64 = 256 << 20;

    /// A cache that holds at most about `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        // One shard: entries are large and asked for once a section, and a shard's part of the
        // budget must hold the column of a large day.
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(ENTRIES_ESTIMATED)
            .weight_capacity(bytes_max.max(1))
            .build()
            .expect("all that is needed is set");
        let lifecycle = DefaultLifecycle::default();
        let entries = Cache::with_options(options, ByBytes, Default::default(), lifecycle);
        let reads = Arc::default();
        Arc::new(Self { entries, reads })
    }

    /// What was read from cold files.
    pub fn reads(&self) -> &Arc<ReadCounters> {
        &self.reads
    }

    /// Bytes held now.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    /// Whether an entry is there; does not count as use of it.
    pub(super) fn holds(&self, file: u64, part: Part) -> bool {
        self.entries.contains_key(&(file, part))
    }

    /// The entry, made now where there is none: by one thread, the others wait for it. `make`
    /// returns it with its size in bytes.
    pub(super) fn get_or_make<T: Any + Send + Sync>(
        &self,
        file: u64,
        part: Part,
        make: impl FnOnce() -> Result<(T, usize)>,
    ) -> Result<Arc<T>> {
        let held = self.entries.get_or_insert_with(&(file, part), || {
            let (value, bytes) = make()?;
            let value = Arc::new(value);
            Ok::<_, crate::StoreError>(Held { value, bytes })
        })?;
        let value = held.value.downcast();
        Ok(value.expect("each part of a file has one type"))
    }
}

//! What a store holds, per tier.

use std::sync::atomic::Ordering;

use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::symbols::Domain;
use crate::wal;

/// Sizes of a store at one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatistics {
    /// The last durable `seq`.
    pub seq: i64,
    /// Segment files.
    pub segments: usize,
    /// Sections of segment files.
    pub segment_sections: usize,
    /// Rows in segment files.
    pub segment_rows: u64,
    /// Bytes of segment files.
    pub segment_bytes: u64,
    /// Sections in memory.
    pub memory_sections: usize,
    /// Rows in memory.
    pub memory_rows: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Bytes of the log, unused room included.
    pub wal_bytes: u64,
    /// Commit groups since the store was opened.
    pub wal_groups: u64,
    /// Bytes of those groups.
    pub wal_written_bytes: u64,
    /// Days that have rows.
    pub days: usize,
    /// Earliest `event_time`, microseconds.
    pub time_min_us: Option<i64>,
    /// Latest `event_time`, microseconds.
    pub time_max_us: Option<i64>,
    /// Distinct accounts.
    pub accounts: usize,
    /// Distinct users.
    pub users: usize,
    /// Distinct (account, user) pairs, null parts included.
    pub members: usize,
    /// Distinct event names.
    pub events: usize,
}

impl Store {
    /// Counts what the store holds now. Cost: statistics only, and a listing of the log.
    ///
    /// # Errors
    /// A failing disk.
    pub fn statistics(&self) -> Result<StoreStatistics> {
        let snapshot = self.snapshot();
        let mut statistics = of_snapshot(&snapshot);
        statistics.wal_groups = self.wal_counters().groups.load(Ordering::Relaxed);
        statistics.wal_written_bytes = self.wal_counters().bytes.load(Ordering::Relaxed);
        let directory = self.directory().as_ref();
        for name in directory.list(wal::FOLDER)? {
            // A file may be trimmed between the listing and here.
            statistics.wal_bytes += directory
                .len(&format!("{}/{name}", wal::FOLDER))
                .unwrap_or(0);
        }
        Ok(statistics)
    }
}

fn of_snapshot(snapshot: &Snapshot) -> StoreStatistics {
    let symbols = snapshot.symbols();
    let mut statistics = StoreStatistics {
        seq: snapshot.seq(),
        segments: snapshot.segments().segments.len(),
        days: snapshot.slices().len(),
        time_min_us: snapshot
            .statistics()
            .map(|section| section.time_min_us)
            .min(),
        time_max_us: snapshot
            .statistics()
            .map(|section| section.time_max_us)
            .max(),
        accounts: symbols.bound(Domain::Account) - 1,
        users: symbols.bound(Domain::User) - 1,
        events: symbols.bound(Domain::Event) - 1,
        members: symbols.member_bound() - 1,
        ..StoreStatistics::default()
    };
    for segment in &snapshot.segments().segments {
        let entry = segment.entry();
        statistics.segment_sections += entry.sections.len();
        statistics.segment_rows += entry.rows() as u64;
        statistics.segment_bytes += entry.bytes;
    }
    for chunk in snapshot.chunks() {
        statistics.memory_sections += chunk.sections.len();
        statistics.memory_rows += chunk.rows as u64;
        statistics.memory_bytes += chunk.bytes as u64;
    }
    statistics
}

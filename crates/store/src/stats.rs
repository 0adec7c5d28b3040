//! What a store holds, per tier.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use crate::copy::FileCount;
use crate::definitions;
use crate::error::Result;
use crate::ledger::{COLD_FOLDER, SEGMENT_FOLDER, SYMBOL_FOLDER};
use crate::manifest;
use crate::published;
use crate::quarantine;
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::symbols::Domain;
use crate::upkeep::DamagedFile;
use crate::wal;
use crate::writer_states;

/// A part of a store: where rows lie, or what stands beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// Rows in memory that no file but the log has.
    Memory,
    /// Segment files, those that only older manifests need included.
    Hot,
    /// Parquet files of a day and their sidecars, those that only older manifests need included.
    Cold,
    /// The log, unused room included.
    Log,
    /// Symbol files.
    Symbols,
    /// Definition files.
    Definitions,
    /// Files of writer states.
    Writers,
    /// Manifests.
    Manifests,
    /// What was set aside.
    Quarantine,
    /// Published snapshots, without the files that are cold ones too. Files of one content count
    /// once, whichever snapshots they are of.
    Snapshots,
}

impl Tier {
    /// Every tier, in the order in which people are shown them.
    pub const ALL: [Self; 10] = [
        Self::Memory,
        Self::Hot,
        Self::Cold,
        Self::Log,
        Self::Symbols,
        Self::Definitions,
        Self::Writers,
        Self::Manifests,
        Self::Quarantine,
        Self::Snapshots,
    ];

    /// The folder of a tier on disk.
    fn folder(self) -> Option<&'static str> {
        match self {
            Self::Memory => None,
            Self::Hot => Some(SEGMENT_FOLDER),
            Self::Cold => Some(COLD_FOLDER),
            Self::Log => Some(wal::FOLDER),
            Self::Symbols => Some(SYMBOL_FOLDER),
            Self::Definitions => Some(definitions::FOLDER),
            Self::Writers => Some(writer_states::FOLDER),
            Self::Manifests => Some(manifest::FOLDER),
            Self::Quarantine => Some(quarantine::FOLDER),
            Self::Snapshots => Some(published::FOLDER),
        }
    }

    /// Its name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Hot => "hot",
            Self::Cold => "cold",
            Self::Log => "log",
            Self::Symbols => "symbols",
            Self::Definitions => "definitions",
            Self::Writers => "writers",
            Self::Manifests => "manifests",
            Self::Quarantine => "quarantine",
            Self::Snapshots => "snapshots",
        }
    }
}

/// What one tier holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierStatistics {
    /// Which.
    pub tier: Tier,
    /// Files on disk.
    pub files: u64,
    /// Sections that a reader sees there.
    pub sections: u64,
    /// Rows that a reader sees there.
    pub rows: u64,
    /// Bytes of the files, or in memory.
    pub bytes: u64,
}

impl TierStatistics {
    fn empty(tier: Tier) -> Self {
        Self {
            tier,
            files: 0,
            sections: 0,
            rows: 0,
            bytes: 0,
        }
    }
}

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
    /// Published snapshots.
    pub published: usize,
    /// Bytes that flushes wrote to files of events since the store was opened.
    pub flushed_bytes: u64,
    /// Bytes that merges and compactions wrote to files of events since the store was opened,
    /// sidecars included.
    pub compacted_bytes: u64,
    /// Bytes read of cold files since the store was opened, sidecars included.
    pub cold_read_bytes: u64,
    /// Files that the upkeep found damaged since the store was opened, and works around.
    pub damaged_files: Vec<DamagedFile>,
    /// Each tier once.
    pub tiers: Vec<TierStatistics>,
}

impl StoreStatistics {
    /// What `tier` holds.
    #[must_use]
    pub fn tier(&self, tier: Tier) -> TierStatistics {
        let mut tiers = self.tiers.iter();
        let known = tiers.find(|known| known.tier == tier).copied();
        known.unwrap_or(TierStatistics::empty(tier))
    }

    /// Events of all tiers.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tiers.iter().map(|known| known.rows).sum()
    }

    /// Bytes of all files of the directory.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let mut tiers: Vec<&TierStatistics> = self.tiers.iter().collect();
        tiers.retain(|known| known.tier.folder().is_some());
        tiers.iter().map(|known| known.bytes).sum()
    }

    /// Bytes written to files of events since the store was opened, for each byte flushed: 1 where
    /// nothing was compacted, `None` where nothing was flushed.
    #[must_use]
    pub fn write_amplification(&self) -> Option<f64> {
        let flushed = self.flushed_bytes as f64;
        (self.flushed_bytes > 0).then(|| (flushed + self.compacted_bytes as f64) / flushed)
    }
}

impl Store {
    /// Counts what the store holds now. Cost: statistics only, and a listing of every folder.
    ///
    /// # Errors
    /// A failing disk.
    pub fn statistics(&self) -> Result<StoreStatistics> {
        let snapshot = self.snapshot();
        let mut statistics = of_snapshot(&snapshot);
        statistics.wal_groups = self.wal_counters().groups.load(Ordering::Relaxed);
        statistics.wal_written_bytes = self.wal_counters().bytes.load(Ordering::Relaxed);
        statistics.flushed_bytes = self.written().flushed.load(Ordering::Relaxed);
        statistics.compacted_bytes = self.written().compacted.load(Ordering::Relaxed);
        statistics.cold_read_bytes = self.cache().reads().bytes();
        statistics.published = self.published().list().len();
        statistics.damaged_files = self.damaged_files();
        for known in &mut statistics.tiers {
            let on_disk = match (known.tier, known.tier.folder()) {
                (_, None) => continue,
                (Tier::Snapshots, Some(folder)) => self.published_on_disk(folder)?,
                (_, Some(folder)) => self.on_disk(folder)?,
            };
            (known.files, known.bytes) = (on_disk.files, on_disk.bytes);
        }
        statistics.wal_bytes = statistics.tier(Tier::Log).bytes;
        Ok(statistics)
    }

    fn on_disk(&self, folder: &str) -> Result<FileCount> {
        let mut count = FileCount::default();
        for name in self.directory().list(folder)? {
            self.count_file(&format!("{folder}/{name}"), &mut count);
        }
        Ok(count)
    }

    /// What snapshots add to the files of the cold tier. Files of one name have one content.
    fn published_on_disk(&self, folder: &str) -> Result<FileCount> {
        let manifest = self.ledger().manifest();
        let cold = manifest.cold.iter();
        let mut known: BTreeSet<String> = cold
            .map(|entry| published::file_name(&entry.sha256))
            .collect();
        let mut count = FileCount::default();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let below = self.directory().folders(&folder)?;
            folders.extend(below.iter().map(|name| format!("{folder}/{name}")));
            for name in self.directory().list(&folder)? {
                let path = format!("{folder}/{name}");
                if !published::is_file_name(&name) || known.insert(name) {
                    self.count_file(&path, &mut count);
                }
            }
        }
        Ok(count)
    }

    fn count_file(&self, path: &str, count: &mut FileCount) {
        // A file may be removed between the listing and here.
        if let Ok(bytes) = self.directory().len(path) {
            count.add(bytes);
        }
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
        accounts: symbols.bound(Domain::Account) - 1 - symbols.erased(Domain::Account),
        users: symbols.bound(Domain::User) - 1 - symbols.erased(Domain::User),
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
    statistics.tiers = Tier::ALL.map(TierStatistics::empty).to_vec();
    for known in &mut statistics.tiers {
        match known.tier {
            Tier::Memory => {
                known.sections = statistics.memory_sections as u64;
                known.rows = statistics.memory_rows;
                known.bytes = statistics.memory_bytes;
            }
            Tier::Hot => {
                known.sections = statistics.segment_sections as u64;
                known.rows = statistics.segment_rows;
            }
            Tier::Cold => {
                let files = &snapshot.segments().cold;
                let rows = files.iter().map(|file| file.entry().statistics.rows as u64);
                known.sections = files.len() as u64;
                known.rows = rows.sum();
            }
            _ => {}
        }
    }
    statistics
}

//! Counts of a store, from a directory or a server alike.

use vitalog_store::{StoreStatistics, Tier, TierStatistics};
use vitalog_wire::vitalog::v1 as wire;

use crate::command::instant::microseconds;

/// What a store holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counts {
    pub seq: u64,
    pub time_min_us: Option<i64>,
    pub time_max_us: Option<i64>,
    pub days: u64,
    pub accounts: u64,
    pub users: u64,
    pub members: u64,
    /// Names of events.
    pub events: u64,
    pub snapshots: u64,
    pub flushed_bytes: u64,
    pub compacted_bytes: u64,
    pub write_amplification: Option<f64>,
    pub tiers: Vec<TierCounts>,
}

/// What one tier holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TierCounts {
    pub name: &'static str,
    pub files: u64,
    pub sections: u64,
    pub rows: u64,
    pub bytes: u64,
}

impl TierCounts {
    /// Whether events that readers see lie there, rather than what stands beside them.
    pub fn holds_events(&self) -> bool {
        let tiers = [Tier::Memory, Tier::Hot, Tier::Cold];
        tiers.iter().any(|tier| tier.name() == self.name)
    }
}

impl From<&StoreStatistics> for Counts {
    fn from(known: &StoreStatistics) -> Self {
        Self {
            seq: known.seq.unsigned_abs(),
            time_min_us: known.time_min_us,
            time_max_us: known.time_max_us,
            days: known.days as u64,
            accounts: known.accounts as u64,
            users: known.users as u64,
            members: known.members as u64,
            events: known.events as u64,
            snapshots: known.published as u64,
            flushed_bytes: known.flushed_bytes,
            compacted_bytes: known.compacted_bytes,
            write_amplification: known.write_amplification(),
            tiers: known.tiers.iter().map(TierCounts::from).collect(),
        }
    }
}

impl From<&TierStatistics> for TierCounts {
    fn from(known: &TierStatistics) -> Self {
        Self {
            name: known.tier.name(),
            files: known.files,
            sections: known.sections,
            rows: known.rows,
            bytes: known.bytes,
        }
    }
}

impl From<wire::UpkeepServiceGetStatsResponse> for Counts {
    fn from(known: wire::UpkeepServiceGetStatsResponse) -> Self {
        Self {
            seq: known.seq,
            time_min_us: known
                .event_time_min
                .map(|time| microseconds(time.seconds, time.nanos)),
            time_max_us: known
                .event_time_max
                .map(|time| microseconds(time.seconds, time.nanos)),
            days: known.days,
            accounts: known.accounts,
            users: known.users,
            members: known.members,
            events: known.event_names,
            snapshots: known.snapshots,
            flushed_bytes: known.bytes_flushed,
            compacted_bytes: known.bytes_compacted,
            write_amplification: known.write_amplification,
            tiers: known.tiers.iter().map(TierCounts::from).collect(),
        }
    }
}

impl From<&wire::TierStats> for TierCounts {
    fn from(known: &wire::TierStats) -> Self {
        let tier = match known.tier() {
            wire::Tier::Memory => Some(Tier::Memory),
            wire::Tier::Hot => Some(Tier::Hot),
            wire::Tier::Cold => Some(Tier::Cold),
            wire::Tier::Log => Some(Tier::Log),
            wire::Tier::Symbols => Some(Tier::Symbols),
            wire::Tier::Definitions => Some(Tier::Definitions),
            wire::Tier::Writers => Some(Tier::Writers),
            wire::Tier::Manifests => Some(Tier::Manifests),
            wire::Tier::Quarantine => Some(Tier::Quarantine),
            wire::Tier::Snapshots => Some(Tier::Snapshots),
            wire::Tier::Unspecified => None,
        };
        Self {
            // One of a server that is newer than this program.
            name: tier.map_or("other", Tier::name),
            files: known.files,
            sections: known.sections,
            rows: known.rows,
            bytes: known.bytes,
        }
    }
}

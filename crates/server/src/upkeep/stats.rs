//! Counts of a store as messages.

use vitalog_store::{StoreStatistics, Tier, TierStatistics};
use vitalog_wire::vitalog::v1;

use crate::instant::timestamp;

/// What a store holds.
pub(super) fn stats_of(known: &StoreStatistics) -> v1::UpkeepServiceGetStatsResponse {
    v1::UpkeepServiceGetStatsResponse {
        seq: known.seq.unsigned_abs(),
        event_time_min: known.time_min_us.map(timestamp),
        event_time_max: known.time_max_us.map(timestamp),
        days: known.days as u64,
        accounts: known.accounts as u64,
        users: known.users as u64,
        event_names: known.events as u64,
        members: known.members as u64,
        tiers: known.tiers.iter().filter_map(tier_of).collect(),
        snapshots: known.published as u64,
        bytes_flushed: known.flushed_bytes,
        bytes_compacted: known.compacted_bytes,
        write_amplification: known.write_amplification(),
    }
}

/// One tier; `None` for one that the contract does not name.
fn tier_of(known: &TierStatistics) -> Option<v1::TierStats> {
    let tier = match known.tier {
        Tier::Memory => v1::Tier::Memory,
        Tier::Hot => v1::Tier::Hot,
        Tier::Cold => v1::Tier::Cold,
        Tier::Log => v1::Tier::Log,
        Tier::Symbols => v1::Tier::Symbols,
        Tier::Definitions => v1::Tier::Definitions,
        Tier::Writers => v1::Tier::Writers,
        Tier::Manifests => v1::Tier::Manifests,
        Tier::Quarantine => v1::Tier::Quarantine,
        Tier::Snapshots => v1::Tier::Snapshots,
        _ => return None,
    };
    Some(v1::TierStats {
        tier: tier.into(),
        files: known.files,
        sections: known.sections,
        rows: known.rows,
        bytes: known.bytes,
    })
}

//! Active days: on how many UTC days each entity has an event.
//!
//! A slice is a UTC day, so where a section passes the filter whole, its run index alone answers:
//! no row is touched.

use vitalog_measure::ActiveDayCounter;
use vitalog_store::{Result, RowFilter, Slice, Snapshot};

use super::visit::for_each_piece;
use super::{Entity, EntityCounts, by_days};

/// Distinct UTC days of the events of each entity that pass `filter`. Nulls are one group.
///
/// The same as `SELECT user_id, count(DISTINCT date_trunc('day', event_time)) … GROUP BY user_id`.
///
/// # Errors
/// Damage of a segment, found on first touch.
pub fn active_days(
    snapshot: &Snapshot,
    entity: Entity,
    filter: &RowFilter,
    threads: usize,
) -> Result<EntityCounts> {
    let bound = entity.bound(snapshot);
    let parts = by_days(snapshot.slices(), threads, |slices| {
        count_days(slices, entity, filter, bound)
    })?;
    // Each day belongs to one part, so the counts of the parts add up.
    let sums = (0..bound).map(|at| parts.iter().map(|part| u64::from(part[at].days())).sum());
    Ok(EntityCounts::collect(sums))
}

fn count_days(
    slices: &[Slice],
    entity: Entity,
    filter: &RowFilter,
    bound: usize,
) -> Result<Vec<ActiveDayCounter>> {
    let mut counters = vec![ActiveDayCounter::default(); bound];
    for slice in slices {
        for section in &slice.sections {
            for_each_piece(&section.open(), filter, |run, _| {
                counters[entity.of(run) as usize].push(slice.day);
            })?;
        }
    }
    Ok(counters)
}

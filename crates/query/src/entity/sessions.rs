//! Sessions: stretches of an entity's events with no gap longer than a limit.

use vitalog_measure::SessionCounter;
use vitalog_store::{Result, RowFilter, Slice, Snapshot};

use super::visit::Visitor;
use super::{Entity, EntityCounts, by_days};

/// The sessions of each entity over the events that pass `filter`: a session begins at the first
/// event, and at one that follows the previous by strictly more than `gap_us` microseconds.
/// Nulls are one group.
///
/// The same as counting the rows with no `lag(event_time)` or one further back than the gap, over
/// `PARTITION BY user_id ORDER BY event_time`.
///
/// # Errors
/// Damage of a segment, found on first touch.
pub fn sessions(
    snapshot: &Snapshot,
    entity: Entity,
    filter: &RowFilter,
    gap_us: i64,
    threads: usize,
) -> Result<EntityCounts> {
    let several_runs = entity.with_several_runs(snapshot);
    let parts = by_days(snapshot.slices(), threads, |slices| {
        count_sessions(slices, entity, filter, gap_us, &several_runs)
    })?;
    let sums = (0..several_runs.len()).map(|at| {
        let parts = parts.iter().map(|part| part[at]);
        u64::from(
            parts
                .reduce(|left, right| left.join(right, gap_us))
                .unwrap_or_default()
                .count,
        )
    });
    Ok(EntityCounts::collect(sums))
}

/// The sessions of one entity in a range of days: what must be known to join it with the next.
#[derive(Clone, Copy, Debug, Default)]
struct SessionSpan {
    first_us: i64,
    last_us: i64,
    count: u32,
}

impl SessionSpan {
    /// The spans of two ranges of days that follow each other: where the gap between them is
    /// within the limit, the last session of one is the first of the other.
    fn join(self, next: Self, gap_us: i64) -> Self {
        if self.count == 0 {
            return next;
        }
        if next.count == 0 {
            return self;
        }
        let is_one = next.first_us.saturating_sub(self.last_us) <= gap_us;
        let count = self.count + next.count - u32::from(is_one);
        Self {
            first_us: self.first_us,
            last_us: next.last_us,
            count,
        }
    }
}

fn count_sessions(
    slices: &[Slice],
    entity: Entity,
    filter: &RowFilter,
    gap_us: i64,
    several_runs: &[bool],
) -> Result<Vec<SessionSpan>> {
    let mut firsts = vec![0i64; several_runs.len()];
    let mut counters = vec![SessionCounter::default(); several_runs.len()];
    let mut visitor = Visitor::new(entity, filter, several_runs);
    for slice in slices {
        visitor.slice(slice, |entity, times| {
            let counter = &mut counters[entity as usize];
            if counter.sessions() == 0 {
                firsts[entity as usize] = times[0];
            }
            for &time in times {
                counter.push(time, gap_us);
            }
        })?;
    }
    let span = |(first_us, counter): (i64, SessionCounter)| SessionSpan {
        first_us,
        last_us: counter.last().unwrap_or_default(),
        count: counter.sessions(),
    };
    Ok(firsts.into_iter().zip(counters).map(span).collect())
}

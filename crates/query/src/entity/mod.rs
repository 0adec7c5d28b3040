//! Questions about entities over time, answered on the code face: one pass over the slices in
//! time order, a small state an entity in an array indexed by its symbol.
//!
//! No hash table, no sort of rows, no merge of streams: the run index says which rows of a day
//! belong to which member, and identity is remapped once a run. Where an entity has several runs
//! in a day (late data in another section, chunks in memory, a user of several accounts, null),
//! only those runs are merged by time. Threads take ranges of days; their states are joined in
//! day order.
//!
//! This folder owns the visiting order and the kernels over it; what the rows are, `store` knows,
//! and what is counted, `measure`.

mod active_days;
mod sessions;
mod visit;

pub use active_days::active_days;
pub use sessions::sessions;

use std::ops::Range;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use std::sync::Arc;
use vitalog_store::{Domain, Member, NULL_SYMBOL, Run, Slice, Snapshot};

/// By what rows are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// Accounts; rows without one are one group.
    Account,
    /// Users over all their accounts; rows without one are one group.
    User,
    /// (account, user) pairs.
    Member,
}

impl Entity {
    /// The number of its symbols, the reserved 0 counted: the length of a state array.
    #[must_use]
    pub fn bound(self, snapshot: &Snapshot) -> usize {
        match self {
            Self::Account => snapshot.symbols().bound(Domain::Account),
            Self::User => snapshot.symbols().bound(Domain::User),
            Self::Member => snapshot.symbols().member_bound(),
        }
    }

    /// The symbol by which `run` is grouped.
    #[inline]
    fn of(self, run: &Run) -> u32 {
        match self {
            Self::Account => run.account,
            Self::User => run.user,
            Self::Member => run.member,
        }
    }

    /// Which symbols may have several runs in one section: those of several members. Null always
    /// may.
    fn with_several_runs(self, snapshot: &Snapshot) -> Vec<bool> {
        let mut several = vec![false; self.bound(snapshot)];
        let mut seen = vec![false; several.len()];
        let members: Vec<Member> = snapshot.symbols().members();
        for (symbol, member) in members.iter().enumerate().skip(1) {
            let entity = match self {
                Self::Account => member.account as usize,
                Self::User => member.user as usize,
                Self::Member => symbol,
            };
            // Members given since the snapshot was taken have no rows in it.
            if entity < seen.len() {
                several[entity] |= seen[entity] || entity == NULL_SYMBOL as usize;
                seen[entity] = true;
            }
        }
        several
    }
}

/// A count for each entity that has rows, ordered by symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityCounts {
    /// Symbols; [`NULL_SYMBOL`] is the group without an entity.
    pub entities: Vec<u32>,
    /// Their counts, at least 1.
    pub counts: Vec<u64>,
}

impl EntityCounts {
    fn collect(counts: impl Iterator<Item = u64>) -> Self {
        let (entities, counts) = (0u32..).zip(counts).filter(|&(_, count)| count > 0).unzip();
        Self { entities, counts }
    }

    /// The counts beside the strings of `domain`, columns `entity` (nullable) and `count`.
    #[must_use]
    pub fn to_batch(&self, snapshot: &Snapshot, domain: Domain) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("entity", DataType::Utf8, true),
            Field::new("count", DataType::Int64, false),
        ]);
        let entities: ArrayRef = Arc::new(snapshot.symbols().resolve_all(domain, &self.entities));
        let counts = self.counts.iter().map(|&count| count as i64);
        let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(counts));
        RecordBatch::try_new(Arc::new(schema), vec![entities, counts])
            .expect("two columns of one length")
    }
}

/// Cuts `slices` into at most `parts` ranges of about the same number of rows, in day order.
fn cut_by_rows(slices: &[Slice], parts: usize) -> Vec<Range<usize>> {
    let rows = |slice: &Slice| {
        slice
            .sections
            .iter()
            .map(|section| section.rows())
            .sum::<usize>()
    };
    let total: usize = slices.iter().map(rows).sum();
    let share = total.div_ceil(parts.max(1)).max(1);
    let (mut ranges, mut start, mut held) = (Vec::new(), 0, 0);
    for (at, slice) in slices.iter().enumerate() {
        held += rows(slice);
        if held >= share {
            ranges.push(start..at + 1);
            (start, held) = (at + 1, 0);
        }
    }
    if start < slices.len() {
        ranges.push(start..slices.len());
    }
    ranges
}

/// Runs `kernel` over each range of slices on a thread of its own; results in day order.
fn by_days<T: Send>(
    slices: &[Slice],
    threads: usize,
    kernel: impl Fn(&[Slice]) -> vitalog_store::Result<T> + Sync,
) -> vitalog_store::Result<Vec<T>> {
    let ranges = cut_by_rows(slices, threads);
    if let [_] | [] = ranges.as_slice() {
        return Ok(vec![kernel(slices)?]);
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = ranges
            .into_iter()
            .map(|range| scope.spawn(|| kernel(&slices[range])))
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

//! Removals: the one mechanism behind erasing a user or an account, taking an import back, and
//! dropping days past the retention.
//!
//! A removal says which rows go. It is *pending* from the moment the writer has made it durable
//! (`begin`), the upkeep rewrites every file that has such rows (`thin`) and sees to all else that
//! may hold them (`finish`), and when nothing of them is left on disk a receipt takes its place. Which rows go is told in `rows`; the proof that
//! nothing is left, a search of every byte, in `search`.
//!
//! Invariants: a crash leaves a removal pending, and then it is finished before the store serves
//! again, or done; every step may be done twice; rows that do not go are not changed.

mod begin;
mod finish;
mod receipts;
mod rows;
mod search;
mod search_parquet;
mod store;
mod thin;

use serde::{Deserialize, Serialize};

pub use receipts::{RemovalKind, RemovalReceipt, RemovedRows};
pub use search::{Found, FoundAs, IdKind, SearchReport, search_files};
pub use store::EraseRequest;

pub(crate) use begin::{Begun, RemovalRequest};
pub(crate) use rows::rows_going;
pub(crate) use store::first_day_kept;

use crate::symbols::Domain;

/// Ranges of seqs of one removal, at most.
const RANGES_MAX: usize = 100_000;

/// Which rows go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Removal {
    /// Those with this account symbol, whose string goes too.
    Account(u32),
    /// Those with this user symbol, whose string goes too.
    User(u32),
    /// Those with a seq in one of these ranges, first and last inclusive, ascending, disjoint.
    Seqs(Vec<(i64, i64)>),
    /// Those of days before this one that are activity; `$group` and `$identify` stay.
    Before(i32),
}

impl Removal {
    /// The symbol whose string goes.
    pub fn symbol(&self) -> Option<(Domain, u32)> {
        match *self {
            Self::Account(symbol) => Some((Domain::Account, symbol)),
            Self::User(symbol) => Some((Domain::User, symbol)),
            Self::Seqs(_) | Self::Before(_) => None,
        }
    }

    pub fn kind(&self) -> RemovalKind {
        match self {
            Self::Account(_) => RemovalKind::Account,
            Self::User(_) => RemovalKind::User,
            Self::Seqs(_) => RemovalKind::Import,
            Self::Before(_) => RemovalKind::Retention,
        }
    }

    /// Whether a row goes for its seq or its identity: what is appended again is no duplicate of
    /// it. Days need no look: what lies before the floor is refused.
    pub fn takes(&self, seq: i64, account: u32, user: u32) -> bool {
        match self {
            Self::Account(symbol) => account == *symbol,
            Self::User(symbol) => user == *symbol,
            Self::Seqs(ranges) => is_in_ranges(ranges, seq),
            Self::Before(_) => false,
        }
    }
}

/// Whether `seq` lies in one of `ranges`. Cost: a binary search.
pub(crate) fn is_in_ranges(ranges: &[(i64, i64)], seq: i64) -> bool {
    let after = ranges.partition_point(|&(first, _)| first <= seq);
    after > 0 && ranges[after - 1].1 >= seq
}

/// A removal that has begun, as the manifest holds it. Of an erased id only the symbol stands
/// here: its string is found through the symbols while they still have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingRemoval {
    pub what: Removal,
    /// The last seq when it began: rows with a later one are new data.
    pub seq_max: i64,
    /// Set once neither the rows nor the string are in anything that is in force: only what was
    /// kept for manifests before this number is left to be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_below: Option<u64>,
    /// The receipt so far.
    pub receipt: RemovalReceipt,
}

impl PendingRemoval {
    /// Removal `number` of `what`, of which nothing is done yet.
    pub fn begun(number: u64, what: Removal, seq_max: i64, begun_at_us: i64) -> Self {
        let receipt = RemovalReceipt {
            number,
            kind: what.kind(),
            id_sha256: None,
            before_day: match what {
                Removal::Before(day) => Some(day),
                _ => None,
            },
            rows: RemovedRows::default(),
            files_rewritten: 0,
            files_removed: 0,
            bytes_before: 0,
            bytes_after: 0,
            seq_max,
            begun_at_us,
            finished_at_us: 0,
            snapshots_revoked: Vec::new(),
            quarantined: Vec::new(),
            repeated: false,
        };
        Self {
            what,
            seq_max,
            purge_below: None,
            receipt,
        }
    }
}

/// What a removal is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalProgress {
    /// Files looked at so far.
    pub files_done: usize,
    /// Files to look at.
    pub files_total: usize,
    /// The step, for a person.
    pub step: &'static str,
}

/// Told what a removal is doing, on the thread of the upkeep; must be quick.
pub type Progress = Box<dyn FnMut(RemovalProgress) + Send>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_ends() {
        let ranges = [(2, 4), (7, 7), (9, 12)];
        let inside: Vec<i64> = (0..14).filter(|&seq| is_in_ranges(&ranges, seq)).collect();
        assert_eq!(inside, [2, 3, 4, 7, 9, 10, 11, 12]);
        assert!(!is_in_ranges(&[], 1));
    }
}

//! The run index: which rows belong to which member, and a summary of each run.

use std::ops::Range;

use arrow_buffer::ScalarBuffer;

use super::Identities;

/// The rows of one member in one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The member's symbol.
    pub member: u32,
    /// The account's symbol, or [`NULL_SYMBOL`](crate::NULL_SYMBOL).
    pub account: u32,
    /// The user's symbol, or [`NULL_SYMBOL`](crate::NULL_SYMBOL).
    pub user: u32,
    /// The rows; never empty.
    pub rows: Range<usize>,
}

/// Runs in row order. Members are codes of the file or chunk, ascending, one run each.
#[derive(Clone, Debug)]
pub struct RunIndex {
    pub(crate) members: ScalarBuffer<u32>,
    /// One more than runs; the last is the number of rows.
    pub(crate) starts: ScalarBuffer<u32>,
    pub(crate) first_us: ScalarBuffer<i64>,
    pub(crate) last_us: ScalarBuffer<i64>,
}

impl RunIndex {
    /// Number of runs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none; never so for a section.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The rows of run `run`.
    #[inline]
    #[must_use]
    pub fn rows(&self, run: usize) -> Range<usize> {
        self.starts[run] as usize..self.starts[run + 1] as usize
    }

    /// Earliest `event_time` of each run, microseconds.
    #[must_use]
    pub fn first_us(&self) -> &[i64] {
        &self.first_us
    }

    /// Latest `event_time` of each run, microseconds.
    #[must_use]
    pub fn last_us(&self) -> &[i64] {
        &self.last_us
    }

    /// The run that holds `row`.
    pub(crate) fn run_of_row(&self, row: usize) -> usize {
        self.starts.partition_point(|&start| start as usize <= row) - 1
    }

    pub(crate) fn resolve<'a>(
        &'a self,
        identities: &'a Identities,
    ) -> impl ExactSizeIterator<Item = Run> + 'a {
        (0..self.len()).map(move |run| {
            let code = self.members[run] as usize;
            Run {
                member: identities.member_symbols[code],
                account: identities.account_symbol(code),
                user: identities.user_symbol(code),
                rows: self.rows(run),
            }
        })
    }

    /// Builds the index from runs in row order and the rows' times.
    pub(crate) fn build(members: Vec<u32>, mut starts: Vec<u32>, times: &[i64]) -> Self {
        starts.push(times.len() as u32);
        let (first_us, last_us): (Vec<i64>, Vec<i64>) = starts
            .windows(2)
            .map(|run| (times[run[0] as usize], times[run[1] as usize - 1]))
            .unzip();
        Self {
            members: members.into(),
            starts: starts.into(),
            first_us: first_us.into(),
            last_us: last_us.into(),
        }
    }
}

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

/// What one member did in one section. `$group` and `$identify` events make a member known and
/// are no activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberSummary {
    /// The member's symbol.
    pub member: u32,
    /// `event_time` of its earliest activity, microseconds; `i64::MAX` where it has none.
    pub first_us: i64,
    /// `event_time` of its latest activity, microseconds; `i64::MIN` where it has none.
    pub last_us: i64,
    /// Rows that are activity.
    pub events: u64,
}

/// The activity of each run, where some rows of the section are none; equal lengths.
#[derive(Clone, Debug)]
pub(crate) struct RunActivity {
    /// See [`MemberSummary::first_us`].
    pub first_us: ScalarBuffer<i64>,
    /// See [`MemberSummary::last_us`].
    pub last_us: ScalarBuffer<i64>,
    pub events: ScalarBuffer<u32>,
}

impl RunActivity {
    /// Of runs whose rows are in time order; `is_activity` is asked of each row.
    pub fn build(runs: &RunIndex, times: &[i64], is_activity: impl Fn(usize) -> bool) -> Self {
        let (mut first_us, mut last_us, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..runs.len() {
            let mut rows = runs.rows(run).filter(|&row| is_activity(row));
            let first = rows.next();
            let (mut last, mut count) = (first, u32::from(first.is_some()));
            for row in rows {
                last = Some(row);
                count += 1;
            }
            first_us.push(first.map_or(i64::MAX, |row| times[row]));
            last_us.push(last.map_or(i64::MIN, |row| times[row]));
            events.push(count);
        }
        Self {
            first_us: first_us.into(),
            last_us: last_us.into(),
            events: events.into(),
        }
    }
}

/// Where the runs lie, in row order. Members are codes of the file or chunk, ascending, one run
/// each.
#[derive(Clone, Debug)]
pub(crate) struct RunBounds {
    pub members: ScalarBuffer<u32>,
    /// One more than runs; the last is the number of rows.
    pub starts: ScalarBuffer<u32>,
}

impl RunBounds {
    /// Number of runs.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The rows of run `run`.
    #[inline]
    pub fn rows(&self, run: usize) -> Range<usize> {
        self.starts[run] as usize..self.starts[run + 1] as usize
    }

    /// The run that holds `row`.
    pub fn run_of_row(&self, row: usize) -> usize {
        self.starts.partition_point(|&start| start as usize <= row) - 1
    }
}

/// Runs in row order, with the earliest and the latest time of each.
#[derive(Clone, Debug)]
pub struct RunIndex {
    pub(crate) bounds: RunBounds,
    pub(crate) first_us: ScalarBuffer<i64>,
    pub(crate) last_us: ScalarBuffer<i64>,
}

impl RunIndex {
    /// Number of runs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bounds.len()
    }

    /// Whether there is none; never so for a section.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of run `run`.
    #[inline]
    #[must_use]
    pub fn rows(&self, run: usize) -> Range<usize> {
        self.bounds.rows(run)
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

    pub(crate) fn resolve<'a>(
        &'a self,
        identities: &'a Identities,
    ) -> impl ExactSizeIterator<Item = Run> + 'a {
        (0..self.len()).map(move |run| {
            let code = self.bounds.members[run] as usize;
            Run {
                member: identities.member_symbols[code],
                account: identities.account_symbol(code),
                user: identities.user_symbol(code),
                rows: self.rows(run),
            }
        })
    }

    /// The summary of each run, in row order; `activity` is `None` where every row is activity.
    pub(crate) fn summaries<'a>(
        &'a self,
        identities: &'a Identities,
        activity: Option<&'a RunActivity>,
    ) -> impl ExactSizeIterator<Item = MemberSummary> + 'a {
        (0..self.len()).map(move |run| {
            let (first_us, last_us, events) = match activity {
                Some(known) => (
                    known.first_us[run],
                    known.last_us[run],
                    known.events[run] as usize,
                ),
                None => (self.first_us[run], self.last_us[run], self.rows(run).len()),
            };
            MemberSummary {
                member: identities.member_symbols[self.bounds.members[run] as usize],
                first_us,
                last_us,
                events: events as u64,
            }
        })
    }

    /// Builds the index from runs in row order and the rows' times.
    pub(crate) fn build(members: Vec<u32>, mut starts: Vec<u32>, times: &[i64]) -> Self {
        starts.push(times.len() as u32);
        let bounds = RunBounds {
            members: members.into(),
            starts: starts.into(),
        };
        Self::of_bounds(bounds, times)
    }

    /// Builds the index from where the runs lie and the rows' times.
    pub(crate) fn of_bounds(bounds: RunBounds, times: &[i64]) -> Self {
        let (first_us, last_us): (Vec<i64>, Vec<i64>) = (bounds.starts.windows(2))
            .map(|run| (times[run[0] as usize], times[run[1] as usize - 1]))
            .unzip();
        Self {
            bounds,
            first_us: first_us.into(),
            last_us: last_us.into(),
        }
    }
}

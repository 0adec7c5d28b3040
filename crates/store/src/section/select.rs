//! Which rows of a section a filter keeps, exactly, as ranges.

use std::ops::Range;

use super::{Identities, Section, SectionStatistics, Source};
use crate::error::Result;
use crate::filter::{RowFilter, SymbolSet};

/// Rows of one section that pass a filter: ascending, disjoint, not empty, not adjacent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    ranges: Vec<Range<usize>>,
    rows: usize,
}

impl Selection {
    /// All of `rows` rows.
    #[must_use]
    pub fn all(rows: usize) -> Self {
        let mut selection = Self::default();
        selection.push(0..rows);
        selection
    }

    /// The ranges.
    #[must_use]
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.ranges
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether no row passed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The ranges cut into groups of at most `rows_max` rows, in order.
    #[must_use]
    pub fn batches(&self, rows_max: usize) -> Vec<Vec<Range<usize>>> {
        let mut batches = Vec::new();
        let (mut batch, mut room) = (Vec::new(), rows_max.max(1));
        for range in &self.ranges {
            let mut range = range.clone();
            while !range.is_empty() {
                let taken = range.len().min(room);
                batch.push(range.start..range.start + taken);
                range.start += taken;
                room -= taken;
                if room == 0 {
                    batches.push(std::mem::take(&mut batch));
                    room = rows_max.max(1);
                }
            }
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
        batches
    }

    fn push(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.rows += range.len();
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }
}

/// Which codes of a file or chunk pass the identity part of a filter.
struct IdentityMask {
    accounts: Option<Vec<bool>>,
    users: Option<Vec<bool>>,
}

impl IdentityMask {
    fn new(identities: &Identities, filter: &RowFilter) -> Self {
        let mask = |set: &Option<SymbolSet>, symbols: &[u32]| {
            set.as_ref()
                .map(|set| symbols.iter().map(|&symbol| set.contains(symbol)).collect())
        };
        Self {
            accounts: mask(&filter.accounts, &identities.account_symbols),
            users: mask(&filter.users, &identities.user_symbols),
        }
    }

    fn is_empty(&self) -> bool {
        let none =
            |mask: &Option<Vec<bool>>| mask.as_ref().is_some_and(|mask| !mask.contains(&true));
        none(&self.accounts) || none(&self.users)
    }

    fn keeps(&self, identities: &Identities, member: usize) -> bool {
        let passes = |mask: &Option<Vec<bool>>, code: u32| {
            mask.as_ref().is_none_or(|mask| mask[code as usize])
        };
        passes(&self.accounts, identities.member_accounts[member])
            && passes(&self.users, identities.member_users[member])
    }
}

impl SectionStatistics {
    /// Whether they alone show that no row can pass.
    #[must_use]
    pub fn is_pruned_by(&self, filter: &RowFilter) -> bool {
        self.time_max_us < filter.time_us.start
            || self.time_min_us >= filter.time_us.end
            || self.seq_min > filter.seq_max
            || self.seq_max < filter.seq_min
    }

    /// Whether they alone show that every row passes.
    #[must_use]
    pub fn is_kept_whole_by(&self, filter: &RowFilter) -> bool {
        filter.accounts.is_none()
            && filter.users.is_none()
            && filter.events.is_none()
            && self.is_within_time(filter)
            && self.is_within_seqs(filter)
    }

    fn is_within_time(&self, filter: &RowFilter) -> bool {
        filter.time_us.start <= self.time_min_us && self.time_max_us < filter.time_us.end
    }

    fn is_within_seqs(&self, filter: &RowFilter) -> bool {
        filter.seq_min <= self.seq_min && self.seq_max <= filter.seq_max
    }
}

impl Section {
    /// Whether statistics alone show that no row can pass. Touches nothing.
    #[must_use]
    pub fn is_pruned_by(&self, filter: &RowFilter) -> bool {
        self.statistics().is_pruned_by(filter)
    }

    /// Whether statistics alone show that every row passes. Touches nothing.
    #[must_use]
    pub fn is_kept_whole_by(&self, filter: &RowFilter) -> bool {
        self.statistics().is_kept_whole_by(filter)
    }

    /// The rows that pass `filter`, exactly. Reads where the runs lie, and of the columns only those
    /// that the filter needs here: times where the section straddles a bound, seqs likewise,
    /// events where names are filtered. A cold section asks the bloom filters of accounts and
    /// users before it reads either.
    ///
    /// # Errors
    /// Damage of the file, found on first touch.
    pub fn select(&self, filter: &RowFilter) -> Result<Selection> {
        if self.is_pruned_by(filter) {
            return Ok(Selection::default());
        }
        let by_identity = self.select_runs(filter)?;
        let by_seq = self.keep_seqs(by_identity, filter)?;
        self.keep_events(by_seq, filter)
    }

    fn select_runs(&self, filter: &RowFilter) -> Result<Selection> {
        let within_time = self.statistics().is_within_time(filter);
        if within_time && filter.accounts.is_none() && filter.users.is_none() {
            return Ok(Selection::all(self.rows()));
        }
        if let Source::Cold(section) = &self.source
            && !section.may_hold(filter)?
        {
            return Ok(Selection::default());
        }
        let identities = self.identities()?;
        let mask = IdentityMask::new(identities, filter);
        let mut selection = Selection::default();
        if mask.is_empty() {
            return Ok(selection);
        }
        let runs = self.run_bounds()?;
        let times = if within_time { &[] } else { self.times()? };
        for run in 0..runs.len() {
            if !mask.keeps(identities, runs.members[run] as usize) {
                continue;
            }
            let rows = runs.rows(run);
            if within_time {
                selection.push(rows);
                continue;
            }
            let run_times = &times[rows.clone()];
            let from = run_times.partition_point(|&time| time < filter.time_us.start);
            let to = run_times.partition_point(|&time| time < filter.time_us.end);
            selection.push(rows.start + from..rows.start + to.max(from));
        }
        Ok(selection)
    }

    fn keep_seqs(&self, selection: Selection, filter: &RowFilter) -> Result<Selection> {
        if self.statistics().is_within_seqs(filter) {
            return Ok(selection);
        }
        let seqs = self.seqs()?;
        let kept = filter.seq_min..=filter.seq_max;
        Ok(keep_rows(&selection, |row| kept.contains(&seqs[row])))
    }

    fn keep_events(&self, selection: Selection, filter: &RowFilter) -> Result<Selection> {
        let Some(events) = &filter.events else {
            return Ok(selection);
        };
        let table = self.event_table(|symbol| events.contains(symbol))?;
        if table.iter().all(|&kept| kept) {
            return Ok(selection);
        }
        if !table.contains(&true) {
            return Ok(Selection::default());
        }
        let codes = self.event_codes()?;
        Ok(keep_rows(&selection, |row| table[codes.index(row)]))
    }
}

fn keep_rows(selection: &Selection, keep: impl Fn(usize) -> bool) -> Selection {
    let mut kept = Selection::default();
    for range in &selection.ranges {
        let mut row = range.start;
        while row < range.end {
            let start = row;
            while row < range.end && keep(row) {
                row += 1;
            }
            kept.push(start..row);
            row += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cut_ranges_without_loss() {
        let mut selection = Selection::default();
        for range in [0..3, 3..5, 7..8, 10..20] {
            selection.push(range);
        }
        assert_eq!(selection.ranges(), [0..5, 7..8, 10..20]);
        assert_eq!(selection.rows(), 16);
        let rows: Vec<Vec<usize>> = selection
            .batches(6)
            .into_iter()
            .map(|ranges| ranges.into_iter().flatten().collect())
            .collect();
        let expected = [
            vec![0, 1, 2, 3, 4, 7],
            (10..16).collect(),
            (16..20).collect(),
        ];
        assert_eq!(rows, expected);
        assert!(Selection::default().batches(4).is_empty());
    }

    #[test]
    fn rows_are_kept_one_by_one() {
        let kept = keep_rows(&Selection::all(10), |row| row % 3 != 0);
        assert_eq!(kept.ranges(), [1..3, 4..6, 7..9]);
        assert!(keep_rows(&kept, |_| false).is_empty());
    }
}

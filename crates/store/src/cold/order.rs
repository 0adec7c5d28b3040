//! The rows of a day in the order of a cold file, whose they are, and where they are cut into
//! several files and into the pieces that are encoded at once.
//!
//! Invariant: no file has more text in one column than its bound, however the rows' text lies,
//! unless it has one row.

use std::ops::Range;

use super::gather::SourceColumns;
use super::schema::{IdEncoding, RowsToWrite};
use super::write::Keep;
use crate::error::Result;
use crate::section::{Section, merge_order};
use crate::segment::FileCodes;

/// Rows that are gathered and encoded at once.
const PIECE_ROWS: usize = 1 << 16;
/// Bytes of ids, or of properties, of rows that are gathered and encoded at once.
const PIECE_TEXT_BYTES: u64 = 64 << 20;

/// Rows in the order of a cold file, and whose they are.
pub(super) struct OrderedRows {
    pub day: i32,
    /// (source, row).
    pub rows: Vec<(usize, usize)>,
    /// The account and user code of each run.
    pub runs: Vec<(u32, u32)>,
    /// First row of each run, and the number of rows.
    pub starts: Vec<usize>,
}

impl OrderedRows {
    /// The rows of `sources` that are kept.
    ///
    /// # Errors
    /// Damage of a source.
    pub fn new(sources: &[&Section], codes: &FileCodes, keep: Option<Keep<'_>>) -> Result<Self> {
        let order = merge_order(sources, |member| codes.member_code(member))?;
        let mut ordered = Self {
            day: sources
                .first()
                .map_or(0, |section| section.statistics().day),
            rows: Vec::with_capacity(order.rows.len()),
            runs: Vec::with_capacity(order.members.len()),
            starts: Vec::with_capacity(order.members.len() + 1),
        };
        let ends = order.starts[order.starts.len().min(1)..].iter();
        let ends = ends.map(|&start| start as usize).chain([order.rows.len()]);
        for ((&member, &start), end) in order.members.iter().zip(&order.starts).zip(ends) {
            let first = ordered.rows.len();
            let rows = order.rows[start as usize..end].iter().copied();
            match keep {
                None => ordered.rows.extend(rows),
                Some(keep) => ordered
                    .rows
                    .extend(rows.filter(|&(source, row)| keep(source, row))),
            }
            if ordered.rows.len() > first {
                let code = codes.member_code(member) as usize;
                ordered
                    .runs
                    .push((codes.member_accounts[code], codes.member_users[code]));
                ordered.starts.push(first);
            }
        }
        ordered.starts.push(ordered.rows.len());
        Ok(ordered)
    }

    /// Takes the rows from `row` on, which is within, out of these.
    fn split_off(&mut self, row: usize) -> Self {
        let rows = self.rows.split_off(row);
        // The run that `row` stands in; a run may stand in both.
        let run = self.run_of(row);
        let mut starts: Vec<usize> = self.starts[run..]
            .iter()
            .map(|&start| start.max(row) - row)
            .collect();
        starts.truncate(self.runs.len() - run);
        starts.push(rows.len());
        let runs = self.runs[run..].to_vec();
        let kept_runs = run + usize::from(self.starts[run] < row);
        self.runs.truncate(kept_runs);
        self.starts.truncate(kept_runs);
        self.starts.push(row);
        Self {
            day: self.day,
            rows,
            runs,
            starts,
        }
    }

    /// Cut into files of at most `text_bytes_max` bytes of ids and of properties each; none where
    /// there are no rows.
    pub fn cut(mut self, sources: &[SourceColumns<'_>], text_bytes_max: u64) -> Vec<Self> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let ends = pieces(sources, &self.rows, usize::MAX, text_bytes_max);
        let mut files: Vec<Self> = ends[1..]
            .iter()
            .rev()
            .map(|piece| self.split_off(piece.start))
            .collect();
        files.push(self);
        files.reverse();
        files
    }

    /// The pieces that are gathered and encoded at once.
    pub fn pieces(&self, sources: &[SourceColumns<'_>]) -> Vec<Range<usize>> {
        pieces(sources, &self.rows, PIECE_ROWS, PIECE_TEXT_BYTES)
    }

    /// The place of the run that holds `row`.
    pub fn run_of(&self, row: usize) -> usize {
        self.starts.partition_point(|&start| start <= row) - 1
    }

    pub fn to_write(&self, ids: IdEncoding) -> RowsToWrite {
        let distinct = |part: fn(&(u32, u32)) -> u32| {
            let mut codes: Vec<u32> = self.runs.iter().map(part).collect();
            codes.sort_unstable();
            codes.dedup();
            codes.len()
        };
        RowsToWrite {
            rows: self.rows.len(),
            accounts: distinct(|run| run.0),
            users: distinct(|run| run.1),
            ids,
        }
    }
}

/// `rows` in pieces of at most `rows_max` rows and `text_bytes_max` bytes of ids and of properties;
/// a row with more is a piece of its own.
fn pieces(
    sources: &[SourceColumns<'_>],
    rows: &[(usize, usize)],
    rows_max: usize,
    text_bytes_max: u64,
) -> Vec<Range<usize>> {
    let (mut pieces, mut start, mut taken) = (Vec::new(), 0, [0, 0]);
    for (at, &(source, row)) in rows.iter().enumerate() {
        let more = sources[source].text_bytes(row);
        let joined = [taken[0] + more[0], taken[1] + more[1]];
        let is_full = at - start >= rows_max || joined.iter().any(|&text| text > text_bytes_max);
        if is_full && at > start {
            pieces.push(start..at);
            (start, taken) = (at, more);
        } else {
            taken = joined;
        }
    }
    if start < rows.len() {
        pieces.push(start..rows.len());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_split_within_runs_and_between_them() {
        let ordered = || OrderedRows {
            day: 1,
            rows: (0..6).map(|row| (0, row)).collect(),
            runs: vec![(1, 1), (2, 2), (3, 3)],
            starts: vec![0, 2, 5, 6],
        };
        for (at, left, right) in [
            (1, (&[0, 1][..], 1), (&[0, 1, 4, 5][..], 3)),
            (2, (&[0, 2][..], 1), (&[0, 3, 4][..], 2)),
            (4, (&[0, 2, 4][..], 2), (&[0, 1, 2][..], 2)),
            (5, (&[0, 2, 5][..], 2), (&[0, 1][..], 1)),
        ] {
            let mut first = ordered();
            let second = first.split_off(at);
            assert_eq!((&first.starts[..], first.runs.len()), left, "at {at}");
            assert_eq!((&second.starts[..], second.runs.len()), right, "at {at}");
            assert_eq!((first.rows.len(), second.rows.len()), (at, 6 - at));
            assert_eq!(second.run_of(0), 0);
        }
    }
}

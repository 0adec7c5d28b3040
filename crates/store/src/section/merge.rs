//! The order in which several sections of one day become one: runs of the same member are merged
//! by time and seq, all other runs are moved as they are.

use super::Section;
use crate::error::Result;

/// Rows of the sources in the order of the target, and its runs.
#[derive(Debug, Default)]
pub(crate) struct MergedOrder {
    /// (source, row), ready for `interleave`.
    pub rows: Vec<(usize, usize)>,
    /// Member symbol of each run.
    pub members: Vec<u32>,
    /// First row of each run.
    pub starts: Vec<u32>,
}

struct SourceRun {
    rank: u32,
    member: u32,
    source: usize,
    rows: std::ops::Range<usize>,
}

/// Orders the rows of `sections` by `rank` of their member symbol, then time, then seq.
///
/// Cost: a sort of the runs, not of the rows; rows are compared only where a member has runs in
/// several sections.
pub(crate) fn merge_order(sections: &[&Section], rank: impl Fn(u32) -> u32) -> Result<MergedOrder> {
    let mut runs = Vec::new();
    for (source, section) in sections.iter().enumerate() {
        runs.extend(section.runs_of_members()?.map(|run| SourceRun {
            rank: rank(run.member),
            member: run.member,
            source,
            rows: run.rows,
        }));
    }
    runs.sort_by_key(|run| run.rank);
    let mut order = MergedOrder::default();
    order
        .rows
        .reserve(sections.iter().map(|section| section.rows()).sum());
    for group in runs.chunk_by(|left, right| left.rank == right.rank) {
        order.members.push(group[0].member);
        order.starts.push(order.rows.len() as u32);
        append_member(sections, group, &mut order.rows)?;
    }
    Ok(order)
}

fn append_member(
    sections: &[&Section],
    group: &[SourceRun],
    rows: &mut Vec<(usize, usize)>,
) -> Result<()> {
    let first = rows.len();
    for run in group {
        rows.extend(run.rows.clone().map(|row| (run.source, row)));
    }
    if group.len() > 1 {
        let mut keyed = Vec::with_capacity(rows.len() - first);
        for &(source, row) in &rows[first..] {
            let section = sections[source];
            keyed.push((section.times()?[row], section.seqs()?[row], source, row));
        }
        keyed.sort_unstable();
        for (slot, (_, _, source, row)) in rows[first..].iter_mut().zip(keyed) {
            *slot = (source, row);
        }
    }
    Ok(())
}

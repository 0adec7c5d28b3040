//! Which of the files found count: those whose rows were taken over by others do not.
//!
//! A job that merged or filtered files wrote one or several new ones, each of which says which
//! numbers the job replaces and which part it is. Where all parts are there the old files do not
//! count; where one is missing the job never ended, or a part of it is lost.

use std::collections::{BTreeMap, BTreeSet};

use crate::segment::Origin;

/// A file that was found whole.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub number: u64,
    pub rows: u64,
    /// Lowest and highest.
    pub seqs: (i64, i64),
    pub origin: Origin,
}

/// What becomes of the candidates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Numbers whose rows stand in other files that count.
    pub replaced: BTreeSet<u64>,
    /// Numbers whose rows are partly in others and partly not: the side of a broken job with
    /// fewer rows, with the reason.
    pub broken: BTreeMap<u64, String>,
}

/// Decides for all files of a store, of whatever tier.
pub(super) fn choose(candidates: &[Candidate]) -> Choice {
    let by_number: BTreeMap<u64, &Candidate> =
        candidates.iter().map(|one| (one.number, one)).collect();
    let mut choice = Choice::default();
    replace_flush_attempts(candidates, &mut choice);
    for ((sources, parts), files) in jobs(candidates) {
        let there: Vec<u64> = sources
            .iter()
            .copied()
            .filter(|number| by_number.contains_key(number))
            .collect();
        let numbers: Vec<u64> = files.values().copied().collect();
        if files.len() as u32 == parts {
            choice.replaced.extend(there);
        } else if there.len() == sources.len() {
            // The job never ended.
            choice.replaced.extend(numbers);
        } else {
            let rows = |numbers: &[u64]| -> u64 {
                numbers.iter().map(|number| by_number[number].rows).sum()
            };
            let fewer = if rows(&there) > rows(&numbers) {
                numbers
            } else {
                there
            };
            let reason = format!(
                "{} of {parts} files of a job are there, and not all that it replaced",
                files.len()
            );
            let broken = fewer.into_iter().map(|number| (number, reason.clone()));
            choice.broken.extend(broken);
        }
    }
    choice
        .broken
        .retain(|number, _| !choice.replaced.contains(number));
    choice
}

/// The files of each job by part: of a part that was written twice, the later one.
fn jobs(candidates: &[Candidate]) -> BTreeMap<(Vec<u64>, u32), BTreeMap<u32, u64>> {
    let mut jobs: BTreeMap<_, BTreeMap<u32, u64>> = BTreeMap::new();
    for one in candidates
        .iter()
        .filter(|one| !one.origin.replaces.is_empty())
    {
        let mut sources = one.origin.replaces.clone();
        sources.sort_unstable();
        let files = jobs.entry((sources, one.origin.parts)).or_default();
        let newest = files.entry(one.origin.part).or_default();
        *newest = one.number.max(*newest);
    }
    jobs
}

/// A flush that failed may have left its segment, and the next one took its rows too.
fn replace_flush_attempts(candidates: &[Candidate], choice: &mut Choice) {
    let flushed = || {
        candidates
            .iter()
            .filter(|one| one.origin.replaces.is_empty())
    };
    for one in flushed() {
        let is_within = |other: &&Candidate| {
            other.number > one.number && other.seqs.0 <= one.seqs.0 && one.seqs.1 <= other.seqs.1
        };
        if flushed().any(|other| is_within(&other)) {
            choice.replaced.insert(one.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: u64, rows: u64, seqs: (i64, i64), origin: (&[u64], u32, u32)) -> Candidate {
        let (replaces, part, parts) = origin;
        Candidate {
            number,
            rows,
            seqs,
            origin: Origin {
                replaces: replaces.to_vec(),
                part,
                parts,
            },
        }
    }

    const FLUSH: (&[u64], u32, u32) = (&[], 1, 1);

    fn check(candidates: &[Candidate], replaced: &[u64], broken: &[u64]) {
        let choice = choose(candidates);
        assert_eq!(choice.replaced, replaced.iter().copied().collect());
        let found: Vec<u64> = choice.broken.keys().copied().collect();
        assert_eq!(found, broken);
    }

    #[test]
    fn whole_jobs_replace_their_sources_and_unfinished_ones_nothing() {
        let (one, two) = (file(1, 5, (1, 5), FLUSH), file(2, 5, (6, 10), FLUSH));
        let merged = |part| file(2 + u64::from(part), 5, (1, 10), (&[1, 2], part, 2));
        check(&[one.clone(), two.clone()], &[], &[]);
        let all = [one.clone(), two.clone(), merged(1), merged(2)];
        check(&all, &[1, 2], &[]);
        check(&all[..3], &[3], &[]);
        // The sources are collected: the merged ones are all there is.
        check(&all[2..], &[], &[]);
        // A chain: what replaced is replaced itself.
        let last = file(9, 10, (1, 10), (&[3, 4], 1, 1));
        let chain = [one, two, merged(1), merged(2), last];
        check(&chain, &[1, 2, 3, 4], &[]);
    }

    #[test]
    fn of_a_broken_job_the_side_with_more_rows_counts() {
        let source = file(1, 5, (1, 5), FLUSH);
        let part = |rows| file(3, rows, (1, 10), (&[1, 2], 1, 2));
        check(&[source.clone(), part(8)], &[], &[1]);
        check(&[source, part(2)], &[], &[3]);
    }

    #[test]
    fn a_flush_that_was_tried_again_counts_once() {
        let files = [
            file(1, 5, (1, 5), FLUSH),
            file(4, 3, (6, 8), FLUSH),
            file(6, 5, (6, 10), FLUSH),
        ];
        check(&files, &[4], &[]);
    }
}

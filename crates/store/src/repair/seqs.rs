//! A set of seqs: which ones the files hold, one bit each.

use std::collections::BTreeMap;

/// Seqs of one block.
const BLOCK: i64 = 4096;

/// A set of seqs. Cost: a bit for each between the lowest and the highest of a block that has one.
#[derive(Debug, Default)]
pub(super) struct SeqSet {
    blocks: BTreeMap<i64, [u64; (BLOCK / 64) as usize]>,
}

impl SeqSet {
    /// Adds all of `seqs`, unless one of them is there: then none is added. False in that case.
    pub fn add_all(&mut self, seqs: &[&[i64]]) -> bool {
        if seqs.iter().copied().flatten().any(|&seq| self.holds(seq)) {
            return false;
        }
        for &seq in seqs.iter().copied().flatten() {
            let block = self.blocks.entry(seq.div_euclid(BLOCK)).or_insert([0; 64]);
            let at = seq.rem_euclid(BLOCK);
            block[(at / 64) as usize] |= 1 << (at % 64);
        }
        true
    }

    fn holds(&self, seq: i64) -> bool {
        let at = seq.rem_euclid(BLOCK);
        let block = self.blocks.get(&seq.div_euclid(BLOCK));
        block.is_some_and(|block| block[(at / 64) as usize] >> (at % 64) & 1 == 1)
    }

    /// The ranges of seqs from 1 to `last` that are not in the set, bounds inclusive.
    pub fn holes(&self, last: i64) -> Vec<(i64, i64)> {
        let mut holes: Vec<(i64, i64)> = Vec::new();
        let mut push = |from: i64, to: i64| match holes.last_mut() {
            Some(hole) if hole.1 + 1 == from => hole.1 = to,
            _ => holes.push((from, to)),
        };
        for block in 0..=last.max(0) / BLOCK {
            let (first, end) = (
                (block * BLOCK).max(1),
                (block * BLOCK + BLOCK - 1).min(last),
            );
            if self.blocks.contains_key(&block) {
                for seq in (first..=end).filter(|&seq| !self.holds(seq)) {
                    push(seq, seq);
                }
            } else if first <= end {
                push(first, end);
            }
        }
        holes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_what_was_never_added() {
        let mut seqs = SeqSet::default();
        assert_eq!(seqs.holes(0), []);
        assert_eq!(seqs.holes(10_000), [(1, 10_000)]);
        assert!(seqs.add_all(&[&[1, 2, 3], &[9_000]]));
        assert!(!seqs.add_all(&[&[4, 3]]), "3 is there");
        assert_eq!(seqs.holes(3), []);
        assert_eq!(seqs.holes(10_000), [(4, 8_999), (9_001, 10_000)]);
        assert!(seqs.add_all(&[&[4]]), "nothing of a refused set was added");
    }
}

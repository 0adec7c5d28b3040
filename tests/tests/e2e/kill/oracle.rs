//! What is known outside the process: which events were sent, and which were acknowledged.

use std::ops::Range;

use rand::Rng;

/// What is known outside about every event, by its number.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Numbers below were sent at least once, and no others.
    pub next: u64,
    pub acked: Vec<Range<u64>>,
    /// Sent, and the process was killed before it answered.
    pub unknown: Vec<Range<u64>>,
}

impl Oracle {
    /// New events, which count as sent from here on.
    pub fn begin(&mut self, count: u64) -> Range<u64> {
        let first = self.next;
        self.next += count;
        first..self.next
    }

    pub fn acked_before(&self, random: &mut impl Rng) -> Option<Range<u64>> {
        let at = random.random_range(0..self.acked.len().max(1));
        self.acked.get(at).cloned()
    }

    pub fn is_acked(&self) -> Vec<bool> {
        let mut is_acked = vec![false; self.next as usize];
        for range in &self.acked {
            is_acked[range.start as usize..range.end as usize].fill(true);
        }
        is_acked
    }
}

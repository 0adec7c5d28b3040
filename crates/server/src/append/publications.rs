//! When events could first be seen.
//!
//! The log tells each publication on its own thread, a moment before it answers those whose
//! events are in it. Invariant: as many of the newest are remembered as answers can be late.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Publications that are remembered. One is made of up to hundreds of batches, and an answer is
/// late by few.
const REMEMBERED: usize = 256;

/// The newest publications. Clones are of the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Publications(Arc<Mutex<VecDeque<(i64, Instant)>>>);

impl Publications {
    /// Everything up to `seq` is visible from now on.
    pub fn note(&self, seq: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.back().is_some_and(|(newest, _)| *newest >= seq) {
            return;
        }
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back((seq, Instant::now()));
    }

    /// From when on `seq`, which is visible, was; now where that is forgotten.
    pub fn of(&self, seq: i64) -> Instant {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = known.partition_point(|(published, _)| *published < seq);
        // Before the oldest that is remembered there may have been one that had it.
        match known.get(first) {
            Some((_, at)) if first > 0 || known.len() < REMEMBERED => *at,
            _ => Instant::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_publication_that_has_it_counts() {
        let publications = Publications::default();
        for seq in [3, 7, 7, 9] {
            publications.note(seq);
        }
        assert_eq!(publications.0.lock().expect("one thread").len(), 3);
        assert_eq!(publications.of(4), publications.of(7));
        assert!(publications.of(3) <= publications.of(4));
        assert!(publications.of(7) <= publications.of(8));
        let before = Instant::now();
        assert!(publications.of(10) >= before, "nobody has seen it");
    }

    #[test]
    fn few_are_remembered() {
        let publications = Publications::default();
        for seq in 0..1_000 {
            publications.note(seq);
        }
        let known = publications.0.lock().expect("one thread");
        assert_eq!((known.len(), known[0].0), (REMEMBERED, 744));
    }
}

//! Words that would drown the log if they were said each time.
//!
//! Invariant: what is counted and not said is named with the next word.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From one word to the next.
const PAUSE: Duration = Duration::from_secs(10);

/// Something to be said now and then.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    said_at: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Says it, with how often it went unsaid since the last time; or only counts it.
    pub fn say(&self, word: impl FnOnce(u64)) {
        if let Some(unsaid) = self.turn(Instant::now()) {
            word(unsaid);
        }
    }

    fn turn(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_early = state
            .said_at
            .is_some_and(|at| now.duration_since(at) < PAUSE);
        if is_early {
            state.unsaid += 1;
            return None;
        }
        state.said_at = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_said_is_counted() {
        let seldom = Seldom::default();
        let start = Instant::now();
        assert_eq!(seldom.turn(start), Some(0));
        for _ in 0..3 {
            assert_eq!(seldom.turn(start + PAUSE / 2), None);
        }
        assert_eq!(seldom.turn(start + PAUSE), Some(3));
        assert_eq!(seldom.turn(start + PAUSE * 2), Some(0));
    }
}

//! When work that failed is tried again by itself: after a pause that doubles each time.

use std::time::{Duration, Instant};

/// The longest pause, in shortest ones.
const PAUSES_MAX: u32 = 16;

/// How often a kind of work failed in a row, and until when it rests.
#[derive(Debug, Default)]
pub(super) struct Retry {
    failures: u32,
    rests_until: Option<Instant>,
}

impl Retry {
    /// Whether it may be tried at `now`.
    pub fn is_due(&self, now: Instant) -> bool {
        self.rests_until.is_none_or(|until| until <= now)
    }

    /// Notes how it went at `now`; `pause` is the shortest.
    pub fn note(&mut self, is_done: bool, now: Instant, pause: Duration) {
        if is_done {
            *self = Self::default();
            return;
        }
        let pauses = 1_u32.checked_shl(self.failures).unwrap_or(PAUSES_MAX);
        self.rests_until = now.checked_add(pause.saturating_mul(pauses.min(PAUSES_MAX)));
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_end_with_success() {
        let (start, pause) = (Instant::now(), Duration::from_secs(60));
        let mut retry = Retry::default();
        assert!(retry.is_due(start));
        for minutes in [1, 2, 4, 8, 16, 16, 16] {
            retry.note(false, start, pause);
            let until = start + pause * minutes;
            assert!(!retry.is_due(until - Duration::from_secs(1)), "{minutes}");
            assert!(retry.is_due(until), "{minutes}");
        }
        retry.failures = u32::MAX;
        retry.note(false, start, pause);
        assert!(retry.is_due(start + pause * 16));
        retry.note(true, start, pause);
        assert!(retry.is_due(start));
    }
}

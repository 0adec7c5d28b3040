//! Sessions: stretches of events with no gap longer than a limit.
//!
//! Owns where sessions begin among events in any order. Invariant: which times begin a session
//! depends on the bag of times only; of equal times the first in the given order begins it.

use crate::SessionCounter;

/// For each event whether it begins a session, `None` for one without a time.
///
/// The earliest does, and one that follows the event before it, in time, by strictly more than
/// `gap_us`. Cost: one pass where the times ascend, else a sort.
pub fn session_starts(times_us: &[Option<i64>], gap_us: i64) -> Vec<Option<bool>> {
    let mut order: Vec<(i64, usize)> = times_us
        .iter()
        .enumerate()
        .filter_map(|(row, time_us)| Some(((*time_us)?, row)))
        .collect();
    if !order.is_sorted() {
        order.sort_unstable();
    }
    let mut starts = vec![None; times_us.len()];
    let mut sessions = SessionCounter::default();
    for (time_us, row) in order {
        starts[row] = Some(sessions.push(time_us, gap_us));
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(times: &[Option<i64>], expected: &[Option<bool>]) {
        assert_eq!(session_starts(times, 30), expected, "{times:?}");
    }

    #[test]
    fn the_gap_is_strictly_exceeded() {
        check(
            &[Some(0), Some(30), Some(61), Some(61)],
            &[Some(true), Some(false), Some(true), Some(false)],
        );
        check(&[None, Some(5), None], &[None, Some(true), None]);
        check(&[], &[]);
    }

    #[test]
    fn any_order_of_rows() {
        check(
            &[Some(61), Some(30), Some(0)],
            &[Some(true), Some(false), Some(true)],
        );
    }
}

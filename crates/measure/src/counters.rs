//! Running counts over rows that arrive in time order, small enough for an array by symbol.
//!
//! Both counters are `Copy`, at most 16 bytes, and all zeros when new, so an array of them for
//! every entity of a store is one zeroed allocation. They do not know which entity they count
//! for. Invariant: time never goes back between two pushes; what does go back is counted as if it
//! happened at the latest time seen.

/// Counts the distinct days of one entity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActiveDayCounter {
    last_day: i32,
    days: u32,
}

impl ActiveDayCounter {
    /// Adds an event on that day. Days must not decrease. Cost: one comparison.
    #[inline]
    pub fn push(&mut self, day: i32) {
        if self.days == 0 || day > self.last_day {
            self.last_day = day;
            self.days += 1;
        }
    }

    /// Distinct days so far.
    pub fn days(&self) -> u32 {
        self.days
    }

    /// The latest day, or `None` before the first push.
    pub fn last_day(&self) -> Option<i32> {
        (self.days > 0).then_some(self.last_day)
    }
}

/// Counts the sessions of one entity: stretches of events with no gap longer than a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionCounter {
    last: i64,
    sessions: u32,
}

impl SessionCounter {
    /// Adds an event and says whether it begins a session.
    ///
    /// The first event does, and one that follows the previous event by strictly more than `gap`;
    /// at exactly `gap` the session goes on. Any unit will do, as long as it is always the same.
    #[inline]
    pub fn push(&mut self, time: i64, gap: i64) -> bool {
        let begins = self.sessions == 0 || time.saturating_sub(self.last) > gap;
        self.last = if self.sessions == 0 {
            time
        } else {
            self.last.max(time)
        };
        self.sessions += u32::from(begins);
        begins
    }

    /// Sessions so far.
    pub fn sessions(&self) -> u32 {
        self.sessions
    }

    /// Time of the latest event, or `None` before the first push.
    pub fn last(&self) -> Option<i64> {
        (self.sessions > 0).then_some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert!(size_of::<ActiveDayCounter>() <= 16);
        assert!(size_of::<SessionCounter>() <= 16);
    }

    #[test]
    fn distinct_days() {
        let mut counter = ActiveDayCounter::default();
        assert_eq!((counter.days(), counter.last_day()), (0, None));
        for day in [-3, -3, 0, 0, 0, 5] {
            counter.push(day);
        }
        assert_eq!((counter.days(), counter.last_day()), (3, Some(5)));
    }

    #[test]
    fn the_gap_is_strictly_exceeded() {
        let mut counter = SessionCounter::default();
        let begins: Vec<bool> = [0, 30, 61, 61, 91, 122]
            .iter()
            .map(|&minute| counter.push(minute, 30))
            .collect();
        assert_eq!(begins, [true, false, true, false, false, true]);
        assert_eq!((counter.sessions(), counter.last()), (3, Some(122)));
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let mut counter = SessionCounter::default();
        counter.push(i64::MIN, 10);
        assert!(counter.push(i64::MAX, 10));
    }
}

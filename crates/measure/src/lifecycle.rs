//! Lifecycle: what became of an entity from one period to the next.
//!
//! Source: PostHog's lifecycle. Invariant: whoever is active in a period is exactly one of new,
//! returning and resurrecting in it; whoever is not, but was in the period before, is dormant.

use crate::{Activity, Period};

/// What an entity is in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// Active for the first time, and created in this period.
    New,
    /// Active, as in the period before.
    Returning,
    /// Active, not so in the period before, and not new.
    Resurrecting,
    /// Not active, but in the period before.
    Dormant,
}

impl Lifecycle {
    /// The name in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Lifecycle::New => "new",
            Lifecycle::Returning => "returning",
            Lifecycle::Resurrecting => "resurrecting",
            Lifecycle::Dormant => "dormant",
        }
    }

    /// What the entity of an activity is in `period`; `before` is the period before it, both in
    /// days of the activity's zone. `None` when it was active in neither.
    ///
    /// `created_us` is when the entity was created, by default its first event. Whoever was created
    /// before the period and is active first in it is resurrecting, as at PostHog. A day that a
    /// period cuts counts as in [`Activity::active_days`].
    pub fn of(
        activity: &Activity,
        period: &Period,
        before: &Period,
        created_us: Option<i64>,
    ) -> Option<Self> {
        let was_active = activity.active_days(before) > 0;
        if activity.active_days(period) == 0 {
            return was_active.then_some(Lifecycle::Dormant);
        }
        let created_us = created_us.unwrap_or(activity.first_us());
        let is_first = activity.first_us() >= period.since_us;
        Some(if is_first && period.contains(created_us) {
            Lifecycle::New
        } else if was_active {
            Lifecycle::Returning
        } else {
            Lifecycle::Resurrecting
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{DAY_US, utc_day};

    fn week(number: i64) -> Period {
        let (first, last) = (7 * number, 7 * number + 6);
        Period {
            since_us: first * DAY_US,
            until_us: (last + 1) * DAY_US,
            first_day: first as i32,
            last_day: last as i32,
        }
    }

    fn check(days: &[i64], created_day: Option<i64>, expected: [Option<Lifecycle>; 5]) {
        let instants: Vec<i64> = days.iter().map(|day| day * DAY_US + 5).collect();
        let set = instants.iter().map(|&i| utc_day(i) as i32).collect();
        let (first, last) = (instants[0], instants[instants.len() - 1]);
        let activity = Activity::new("", first, last, set).expect("whole");
        let created_us = created_day.map(|day| day * DAY_US);
        for (number, expected) in (1..).zip(expected) {
            let found = Lifecycle::of(&activity, &week(number), &week(number - 1), created_us);
            assert_eq!(found, expected, "week {number} of {days:?}");
        }
    }

    #[test]
    fn weeks_of_a_life() {
        use Lifecycle::{Dormant, New, Resurrecting, Returning};
        let expected = [
            Some(New),
            Some(Returning),
            Some(Dormant),
            None,
            Some(Resurrecting),
        ];
        check(&[8, 9, 20, 36], None, expected);
        check(&[8, 9, 20, 36], Some(7), expected);
        let older = [
            Some(Resurrecting),
            Some(Returning),
            Some(Dormant),
            None,
            Some(Resurrecting),
        ];
        check(&[8, 9, 20, 36], Some(3), older);
        // Created after it was active: never new.
        check(
            &[8, 15],
            Some(14),
            [
                Some(Resurrecting),
                Some(Returning),
                Some(Dormant),
                None,
                None,
            ],
        );
    }
}

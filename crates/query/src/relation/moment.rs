//! An instant in a time zone, and the calendar days and periods that end with it.
//!
//! The instant is exclusive: "today" is the day of the microsecond before. A day is a calendar day
//! of the zone, so it may have 23 or 25 hours.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::interval::Interval;

/// Days from 0001-01-01 to 1970-01-01, plus one: chrono counts from 1.
const EPOCH_DAY_OF_COMMON_ERA: i32 = 719_163;

/// An `as_of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Microseconds since 1970, UTC; exclusive.
    pub instant_us: i64,
    pub zone: Tz,
}

impl Moment {
    pub fn new(instant_us: i64, zone: Tz) -> Self {
        Self { instant_us, zone }
    }

    /// The end of a local day, given in days since 1970; `None` outside the calendar.
    pub fn end_of_day(day: i32, zone: Tz) -> Option<Self> {
        let date = NaiveDate::from_num_days_from_ce_opt(day.checked_add(EPOCH_DAY_OF_COMMON_ERA)?)?;
        let next = date.checked_add_days(Days::new(1))?;
        Some(Self::new(start_of(next, zone)?, zone))
    }

    /// The last day that it knows.
    fn today(&self) -> Option<NaiveDate> {
        let last_us = self.instant_us.checked_sub(1)?;
        let last = DateTime::from_timestamp_micros(last_us)?;
        in_years(last.with_timezone(&self.zone).date_naive())
    }

    /// Today in days since 1970; `None` outside the calendar.
    pub fn today_number(&self) -> Option<i32> {
        Some(self.today()?.num_days_from_ce() - EPOCH_DAY_OF_COMMON_ERA)
    }

    /// The first instant of the period of `days` local days that ends with today.
    pub fn since_us(&self, days: u32) -> Option<i64> {
        let back = Days::new(u64::from(days.checked_sub(1)?));
        start_of(in_years(self.today()?.checked_sub_days(back)?)?, self.zone)
    }

    /// The same local time `days` days earlier.
    pub fn days_before(&self, days: u32) -> Option<Self> {
        let back = |local: NaiveDateTime| local.checked_sub_days(Days::new(u64::from(days)));
        self.shifted(back)
    }

    /// The same local time `count` intervals later (earlier where negative).
    pub fn plus(&self, interval: Interval, count: i32) -> Option<Self> {
        let months = interval.months.checked_mul(count)?;
        let days = i64::from(interval.days) * i64::from(count);
        let us = interval.us.checked_mul(i64::from(count))?;
        let shifted = self.shifted(|local| {
            let by_months = match u32::try_from(months) {
                Ok(later) => local.checked_add_months(Months::new(later)),
                Err(_) => local.checked_sub_months(Months::new(months.unsigned_abs())),
            };
            by_months?.checked_add_signed(TimeDelta::try_days(days)?)
        })?;
        let instant_us = shifted.instant_us.checked_add(us)?;
        Some(Self::new(instant_us, self.zone))
    }

    /// The instant whose local time is `shift` of this one's. A local time that a change of clocks
    /// skips moves on by the change; one that it repeats is the first.
    fn shifted(&self, shift: impl FnOnce(NaiveDateTime) -> Option<NaiveDateTime>) -> Option<Self> {
        let instant = DateTime::from_timestamp_micros(self.instant_us)?;
        let local = instant.with_timezone(&self.zone).naive_local();
        let moved = shift(local)?;
        // An untouched local time keeps its offset, in the repeated hour too.
        let instant_us = if moved == local {
            self.instant_us
        } else {
            instant_of_moved(moved, self.zone)?
        };
        Some(Self::new(instant_us, self.zone))
    }
}

/// A date of the years that the functions of days take.
fn in_years(date: NaiveDate) -> Option<NaiveDate> {
    (1..=9999).contains(&date.year()).then_some(date)
}

/// The local day of an instant, in days since 1970; `None` outside the calendar.
pub(super) fn local_day(instant_us: i64, zone: Tz) -> Option<i32> {
    if zone == Tz::UTC {
        return i32::try_from(instant_us.div_euclid(86_400_000_000)).ok();
    }
    let date = DateTime::from_timestamp_micros(instant_us)?
        .with_timezone(&zone)
        .date_naive();
    Some(date.num_days_from_ce() - EPOCH_DAY_OF_COMMON_ERA)
}

/// The instant of a local time; of one that a change of clocks skips as if they had not changed yet.
fn instant_of_moved(local: NaiveDateTime, zone: Tz) -> Option<i64> {
    if let Some(instant) = zone.from_local_datetime(&local).earliest() {
        return Some(instant.timestamp_micros());
    }
    let day_before = local.checked_sub_days(Days::new(1))?;
    let before = zone.from_local_datetime(&day_before).latest()?;
    let instant = before.checked_add_signed(TimeDelta::days(1))?;
    Some(instant.timestamp_micros())
}

fn start_of(date: NaiveDate, zone: Tz) -> Option<i64> {
    instant_of(date.and_hms_opt(0, 0, 0)?, zone)
}

fn instant_of(local: NaiveDateTime, zone: Tz) -> Option<i64> {
    // No zone skips more than a day at once.
    const STEP_MINUTES: i64 = 15;
    const STEPS_MAX: i64 = 24 * 60 / STEP_MINUTES;
    (0..=STEPS_MAX).find_map(|step| {
        let local = local.checked_add_signed(TimeDelta::try_minutes(step * STEP_MINUTES)?)?;
        let instant = zone.from_local_datetime(&local).earliest()?;
        Some(instant.timestamp_micros())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: Tz = Tz::Europe__Berlin;

    fn at(text: &str) -> i64 {
        let parsed = DateTime::parse_from_rfc3339(text).expect("a time");
        parsed.timestamp_micros()
    }

    #[test]
    fn a_period_across_a_change_of_clocks_has_whole_local_days() {
        // Clocks went forward on 30 March 2025.
        let moment = Moment::new(at("2025-04-02T00:00:00+02:00"), BERLIN);
        assert_eq!(moment.since_us(7), Some(at("2025-03-26T00:00:00+01:00")));
        let before = moment.days_before(7).expect("in the calendar");
        assert_eq!(before.instant_us, at("2025-03-26T00:00:00+01:00"));
        assert_eq!(before.since_us(7), Some(at("2025-03-19T00:00:00+01:00")));
    }

    #[test]
    fn a_local_time_that_the_clocks_skip_moves_on_by_the_change() {
        for minute in [0, 7, 40, 59] {
            let moment = Moment::new(at(&format!("2025-04-06T02:{minute:02}:00+02:00")), BERLIN);
            let before = moment.days_before(7).expect("in the calendar");
            let skipped = at(&format!("2025-03-30T03:{minute:02}:00+02:00"));
            assert_eq!(before.instant_us, skipped, "02:{minute:02}");
        }
    }

    #[test]
    fn an_instant_at_noon_cuts_today() {
        let moment = Moment::new(at("2025-08-13T12:00:00Z"), Tz::UTC);
        assert_eq!(moment.today_number(), Some(20_313));
        assert_eq!(moment.since_us(1), Some(at("2025-08-13T00:00:00Z")));
        let before = moment.days_before(30).expect("in the calendar");
        assert_eq!(before.instant_us, at("2025-07-14T12:00:00Z"));
    }

    #[test]
    fn midnight_belongs_to_the_day_before() {
        let moment = Moment::end_of_day(20_313, Tz::UTC).expect("in the calendar");
        assert_eq!(moment.instant_us, at("2025-08-14T00:00:00Z"));
        assert_eq!(moment.today_number(), Some(20_313));
    }

    #[test]
    fn a_skipped_midnight_begins_its_day_after_the_gap() {
        // In Santiago the clocks went forward at midnight of 8 September 2024.
        let zone = Tz::America__Santiago;
        let moment = Moment::new(at("2024-09-08T12:00:00-03:00"), zone);
        assert_eq!(moment.since_us(1), Some(at("2024-09-08T01:00:00-03:00")));
    }

    #[test]
    fn months_keep_the_day_where_there_is_one() {
        let month = Interval {
            months: 1,
            days: 0,
            us: 0,
        };
        let moment = Moment::new(at("2025-01-31T00:00:00Z"), Tz::UTC);
        let later = |count| {
            moment
                .plus(month, count)
                .expect("in the calendar")
                .instant_us
        };
        assert_eq!(later(1), at("2025-02-28T00:00:00Z"));
        assert_eq!(later(2), at("2025-03-31T00:00:00Z"));
        assert_eq!(later(-2), at("2024-11-30T00:00:00Z"));
    }

    #[test]
    fn the_ends_of_the_calendar_give_none() {
        let moment = Moment::new(i64::MIN, Tz::UTC);
        assert_eq!(moment.today_number(), None);
        assert_eq!(Moment::new(i64::MAX, Tz::UTC).today_number(), None);
        assert_eq!(Moment::end_of_day(i32::MAX, Tz::UTC), None);
    }
}

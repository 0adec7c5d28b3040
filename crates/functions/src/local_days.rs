//! Calendar days of a time zone.
//!
//! Owns the way from an instant to the number of the local calendar day and back. Invariant: the
//! day of an instant is the date that a calendar on the wall shows then, daylight-saving changes
//! and days that a zone left out included.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeZone};
use chrono_tz::{GapInfo, TZ_VARIANTS, Tz};
use vitalog_measure::AsOf;
use vitalog_measure::Error;
use vitalog_measure::calendar::{DAY_US, Period, check_day, utc_day};

const SECOND_US: i64 = 1_000_000;
/// Offsets remembered, one a UTC day: nearly three years without a collision.
const OFFSETS: i64 = 1024;

/// A time zone of the IANA database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// UTC: a day is 24 hours.
    Utc,
    /// Any other.
    Named(Tz),
}

impl From<Tz> for Zone {
    fn from(zone: Tz) -> Self {
        match zone {
            Tz::UTC => Self::Utc,
            other => Self::Named(other),
        }
    }
}

impl Zone {
    /// The name, empty for UTC: what states store.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Zone::Utc => "",
            Zone::Named(zone) => zone.name(),
        }
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if matches!(name, "" | "UTC" | "Etc/UTC" | "Z") {
            return Ok(Zone::Utc);
        }
        Tz::from_str(name).map(Zone::Named).map_err(|_| {
            let wanted = name.to_lowercase();
            let near = TZ_VARIANTS
                .iter()
                .find(|zone| zone.name().to_lowercase().contains(&wanted));
            let hint = near.map(|zone| format!("; did you mean '{}'?", zone.name()));
            format!(
                "must be a time zone of the IANA database, got '{name}'{}",
                hint.unwrap_or_default()
            )
        })
    }
}

/// Turns instants into local days. Remembers the last day and recent offsets, so rows clustered in
/// time cost two comparisons each.
#[derive(Clone)]
pub struct LocalDays {
    zone: Zone,
    /// All instants in `from_us..to_us` are on `day`.
    from_us: i64,
    to_us: i64,
    day: i32,
    /// By UTC day modulo [`OFFSETS`]: the day and its offset in µs, `None` when it changes on it.
    offsets: Vec<(i64, Option<i64>)>,
}

impl fmt::Debug for LocalDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalDays").field(&self.zone).finish()
    }
}

impl LocalDays {
    /// Remembers nothing yet.
    pub fn new(zone: Zone) -> Self {
        Self {
            zone,
            from_us: 0,
            to_us: 0,
            day: 0,
            offsets: Vec::new(),
        }
    }

    pub(crate) fn zone(&self) -> Zone {
        self.zone
    }

    /// The local day of an instant.
    ///
    /// # Errors
    /// [`Error::Day`] outside the years 1 to 9999.
    #[inline]
    pub fn day(&mut self, instant_us: i64) -> Result<i32, Error> {
        if !self.is_same_day(instant_us) {
            self.move_to(instant_us)?;
        }
        Ok(self.day)
    }

    /// Whether an instant is known to be on the day asked for last.
    #[inline]
    pub(crate) fn is_same_day(&self, instant_us: i64) -> bool {
        self.from_us <= instant_us && instant_us < self.to_us
    }

    /// The first instant at which the local calendar shows this day or, where a zone left the day
    /// out, a later one.
    ///
    /// # Errors
    /// [`Error::Day`] outside the years 1 to 9999.
    pub fn start_of(&self, day: i64) -> Result<i64, Error> {
        let day = check_day(day)?;
        let midnight_us = i64::from(day) * DAY_US;
        match self.zone {
            Zone::Utc => Ok(midnight_us),
            Zone::Named(zone) => {
                let midnight = midnight(day).ok_or(Error::Day(i64::from(day)))?;
                first_instant(zone, midnight).ok_or(Error::Day(i64::from(day)))
            }
        }
    }

    /// The question's instant and its "today".
    ///
    /// # Errors
    /// [`Error::Day`] outside the years 1 to 9999.
    pub(crate) fn as_of(&mut self, instant_us: i64) -> Result<AsOf, Error> {
        Ok(AsOf {
            instant_us,
            today: self.day(instant_us.saturating_sub(1))?,
        })
    }

    /// The period `[since, until)`.
    ///
    /// # Errors
    /// [`Error::Day`] outside the years 1 to 9999.
    pub(crate) fn period(&mut self, since_us: i64, until_us: i64) -> Result<Period, Error> {
        let last_day = self.day(until_us.saturating_sub(1))?;
        Ok(Period {
            since_us,
            until_us,
            first_day: self.day(since_us)?,
            last_day,
        })
    }

    /// Makes the day of an instant the one that is remembered.
    #[cold]
    fn move_to(&mut self, instant_us: i64) -> Result<(), Error> {
        let utc_day = utc_day(instant_us);
        check_day(utc_day)?;
        let utc_from = utc_day * DAY_US;
        let (offset_us, from_us, to_us) = match self.offset_of_day(utc_day)? {
            Some(offset_us) => (offset_us, utc_from, utc_from + DAY_US),
            // The offset changes on this UTC day: this one instant is all that is known.
            None => (self.offset_at(instant_us)?, instant_us, instant_us + 1),
        };
        let day = (instant_us + offset_us).div_euclid(DAY_US);
        let local_from = day * DAY_US - offset_us;
        self.day = check_day(day)?;
        self.from_us = from_us.max(local_from);
        self.to_us = to_us.min(local_from + DAY_US);
        Ok(())
    }

    /// The offset of a UTC day in µs, `None` when it changes on that day.
    ///
    /// Equal offsets at both ends mean one offset all day: no zone of the database changes twice
    /// within a day and back.
    fn offset_of_day(&mut self, utc_day: i64) -> Result<Option<i64>, Error> {
        if self.zone == Zone::Utc {
            return Ok(Some(0));
        }
        if self.offsets.is_empty() {
            self.offsets = vec![(i64::MIN, None); OFFSETS as usize];
        }
        let slot = utc_day.rem_euclid(OFFSETS) as usize;
        if self.offsets[slot].0 != utc_day {
            let start = self.offset_at(utc_day * DAY_US)?;
            let end = self.offset_at((utc_day + 1) * DAY_US)?;
            self.offsets[slot] = (utc_day, (start == end).then_some(start));
        }
        Ok(self.offsets[slot].1)
    }

    /// The offset from UTC at an instant, in µs.
    fn offset_at(&self, instant_us: i64) -> Result<i64, Error> {
        let Zone::Named(zone) = self.zone else {
            return Ok(0);
        };
        let instant = DateTime::from_timestamp(instant_us.div_euclid(SECOND_US), 0)
            .ok_or(Error::Day(utc_day(instant_us)))?;
        let offset = zone.offset_from_utc_datetime(&instant.naive_utc());
        Ok(i64::from(offset.fix().local_minus_utc()) * SECOND_US)
    }
}

/// The UTC day of an instant.
///
/// # Errors
/// [`Error::Day`] outside the years 1 to 9999.
#[inline]
pub(crate) fn utc_day_checked(instant_us: i64) -> Result<i32, Error> {
    check_day(utc_day(instant_us))
}

fn midnight(day: i32) -> Option<NaiveDateTime> {
    let epoch = NaiveDate::default();
    let distance = Days::new(u64::from(day.unsigned_abs()));
    let date = if day < 0 {
        epoch.checked_sub_days(distance)
    } else {
        epoch.checked_add_days(distance)
    };
    date?.and_hms_opt(0, 0, 0)
}

/// The instant at which a local time is shown first, or the end of the gap that left it out.
fn first_instant(zone: Tz, local: NaiveDateTime) -> Option<i64> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => {
            Some(instant.timestamp_micros())
        }
        MappedLocalTime::None => GapInfo::new(&local, &zone)?
            .end
            .map(|instant| instant.timestamp_micros()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(zone: &str) -> LocalDays {
        LocalDays::new(zone.parse().expect("a zone"))
    }

    /// Instant and day number of texts.
    fn at(instant: &str) -> i64 {
        instant
            .parse::<DateTime<chrono::Utc>>()
            .expect("an instant")
            .timestamp_micros()
    }

    fn date(day: &str) -> i32 {
        let day = day.parse::<NaiveDate>().expect("a date");
        i32::try_from((day - NaiveDate::default()).num_days()).expect("in range")
    }

    fn check(zone: &str, instant: &str, expected: &str) {
        assert_eq!(
            days(zone).day(at(instant)),
            Ok(date(expected)),
            "{instant} in {zone}"
        );
    }

    #[test]
    fn local_dates() {
        check("UTC", "1969-12-31T23:59:59.999999Z", "1969-12-31");
        check("Europe/Berlin", "2025-01-01T22:59:59Z", "2025-01-01");
        check("Europe/Berlin", "2025-01-01T23:00:00Z", "2025-01-02");
        check("Europe/Berlin", "2025-07-01T22:00:00Z", "2025-07-02");
        check("America/Los_Angeles", "2025-01-01T07:59:59Z", "2024-12-31");
        // Spring forward on 2025-03-30 at 01:00 UTC, back on 2025-10-26 at 01:00 UTC.
        check("Europe/Berlin", "2025-03-29T22:59:59Z", "2025-03-29");
        check("Europe/Berlin", "2025-03-29T23:00:00Z", "2025-03-30");
        check("Europe/Berlin", "2025-03-30T21:59:59Z", "2025-03-30");
        check("Europe/Berlin", "2025-03-30T22:00:00Z", "2025-03-31");
        check("Europe/Berlin", "2025-10-26T22:59:59Z", "2025-10-26");
        check("Europe/Berlin", "2025-10-26T23:00:00Z", "2025-10-27");
        // Samoa left out 2011-12-30.
        check("Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29");
        check("Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31");
    }

    #[test]
    fn starts_of_days() {
        let check = |zone: &str, day: &str, expected: &str| {
            let start = days(zone).start_of(i64::from(date(day)));
            assert_eq!(start, Ok(at(expected)), "{day} in {zone}");
        };
        check("UTC", "2025-03-30", "2025-03-30T00:00:00Z");
        check("Europe/Berlin", "2025-03-30", "2025-03-29T23:00:00Z");
        check("Europe/Berlin", "2025-03-31", "2025-03-30T22:00:00Z");
        // Midnight does not exist where clocks went forward at midnight.
        check("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z");
        check("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z");
        check("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z");
    }

    /// The remembered stretches against asking the database for every instant.
    #[test]
    fn memory_does_not_show() {
        for zone in [
            "Europe/Berlin",
            "America/St_Johns",
            "Pacific/Apia",
            "Asia/Kathmandu",
            "America/Sao_Paulo",
            "Africa/Casablanca",
        ] {
            let tz = Tz::from_str(zone).expect("a zone");
            let mut days = days(zone);
            let mut instant_us = at("1986-01-01T00:00:00Z");
            while instant_us < at("1989-01-01T00:00:00Z") {
                let local = tz
                    .timestamp_micros(instant_us)
                    .single()
                    .expect("one")
                    .date_naive();
                let expected = i32::try_from((local - NaiveDate::default()).num_days());
                assert_eq!(
                    days.day(instant_us),
                    Ok(expected.expect("in range")),
                    "{zone} {instant_us}"
                );
                instant_us += 1_234_567_891;
            }
        }
    }

    #[test]
    fn far_instants_are_refused() {
        for zone in ["UTC", "Europe/Berlin"] {
            for instant_us in [i64::MIN, i64::MAX, at("9999-12-31T23:00:00Z") + 3 * DAY_US] {
                assert!(
                    days(zone).day(instant_us).is_err(),
                    "{instant_us} in {zone}"
                );
            }
            assert!(days(zone).day(at("9999-12-31T23:00:00Z")).is_ok());
            assert!(days(zone).start_of(i64::from(i32::MAX)).is_err());
        }
    }

    #[test]
    fn unknown_zones_are_named_with_a_near_one() {
        let reason = Zone::from_str("berlin").expect_err("unknown");
        assert!(
            reason.contains("got 'berlin'; did you mean 'Europe/Berlin'?"),
            "{reason}"
        );
        assert_eq!(Zone::from_str("UTC"), Ok(Zone::Utc));
    }
}

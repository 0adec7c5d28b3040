//! Activity: first, last and the set of active days of an entity, as a state that can be stored.
//!
//! The state answers questions about whole days without the events. It remembers which time zone
//! its days belong to, because a day is a day of somewhere, and refuses to merge with days of
//! another. Invariant: equal activities have equal bytes, and the set holds the days of first and
//! last.
//!
//! Bytes (version 1): `version u8 = 1`; length of the zone's name `u8` and the name, empty for
//! UTC; `first` as zigzag varint of µs since 1970; `last − first` as varint; the chunks of the days
//! as in `day_set_bytes.rs`.

use crate::calendar::{AsOf, Period, utc_day};
use crate::code::{Reader, put_varint, unzigzag, zigzag};
use crate::{DaySet, Error};

const VERSION: u8 = 1;
const WHAT: &str = "activity";
/// Zones are at most this many hours from UTC, so a local day is at most one from the UTC day.
const ZONE_DAYS_MAX: i64 = 1;

/// What an entity's events say about when it was active. There is at least one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    zone: String,
    first_us: i64,
    last_us: i64,
    days: DaySet,
}

impl Activity {
    /// Longest name of a zone, in bytes.
    pub const ZONE_BYTES_MAX: usize = 64;

    /// An activity of its parts: the zone's name (empty for UTC), the first and last instant and
    /// the local days.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the parts do not belong together: no days, `first` after `last`,
    /// the first or last day not that of the instant in any zone, a name longer than
    /// [`Activity::ZONE_BYTES_MAX`].
    pub fn new(zone: &str, first_us: i64, last_us: i64, days: DaySet) -> Result<Self, Error> {
        let corrupt = Error::Corrupt {
            what: WHAT,
            offset: 0,
        };
        let (Some(first), Some(last)) = (days.first(), days.last()) else {
            return Err(corrupt);
        };
        let near = |instant, day: i32| (utc_day(instant) - i64::from(day)).abs() <= ZONE_DAYS_MAX;
        let whole = first_us <= last_us
            && near(first_us, first)
            && near(last_us, last)
            && zone.len() <= Self::ZONE_BYTES_MAX;
        if whole {
            Ok(Self {
                zone: zone.to_owned(),
                first_us,
                last_us,
                days,
            })
        } else {
            Err(corrupt)
        }
    }

    /// Name of the zone whose days these are; empty for UTC.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The first instant, µs since 1970.
    pub fn first_us(&self) -> i64 {
        self.first_us
    }

    /// The last instant, µs since 1970.
    pub fn last_us(&self) -> i64 {
        self.last_us
    }

    /// The active days.
    pub fn days(&self) -> &DaySet {
        &self.days
    }

    /// Active days in a period whose days are of this activity's zone.
    ///
    /// A day that the period cuts counts as a whole, because the state does not know the hour,
    /// unless `first` or `last` prove that nothing happened in the part that lies inside. So the
    /// answer is exact when `since` and `until` are midnights, and whenever they cut no day.
    pub fn active_days(&self, period: &Period) -> u32 {
        if period.days() == 0 || self.last_us < period.since_us || self.first_us >= period.until_us
        {
            return 0;
        }
        self.days.count_between(period.first_day, period.last_day)
    }

    /// The latest active day before `as_of`, or `None` when there is none. The day that `as_of`
    /// cuts counts as in [`Activity::active_days`].
    pub fn last_day(&self, as_of: &AsOf) -> Option<i32> {
        if self.first_us >= as_of.instant_us {
            return None;
        }
        self.days.last_until(as_of.today)
    }

    /// How many consecutive active days end with "today"; 0 when today is not active.
    pub fn streak(&self, as_of: &AsOf) -> u32 {
        if self.first_us >= as_of.instant_us {
            return 0;
        }
        self.days.streak(as_of.today)
    }

    /// Adds another activity of the same entity. Commutative and associative.
    ///
    /// # Errors
    /// [`Error::Zones`] when the days are of another zone.
    pub fn merge(&mut self, other: &Activity) -> Result<(), Error> {
        if self.zone != other.zone {
            return Err(Error::Zones {
                left: self.zone.clone(),
                right: other.zone.clone(),
            });
        }
        self.first_us = self.first_us.min(other.first_us);
        self.last_us = self.last_us.max(other.last_us);
        self.days.merge(&other.days);
        Ok(())
    }

    /// The activity as bytes (layout: head of this file).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write(
            &mut out,
            &self.zone,
            self.first_us,
            self.last_us,
            &self.days,
        );
        out
    }

    /// Reads what [`Activity::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Version`] or [`Error::Corrupt`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(WHAT, bytes);
        reader.version(VERSION)?;
        let length = usize::from(reader.byte()?);
        let zone = std::str::from_utf8(reader.take(length)?).map_err(|_| reader.corrupt())?;
        let first_us = unzigzag(reader.varint()?);
        let length_us = reader.varint()?;
        let last_us = first_us
            .checked_add_unsigned(length_us)
            .ok_or_else(|| reader.corrupt())?;
        let days = DaySet::read_chunks(&mut reader)?;
        reader.finish()?;
        Self::new(zone, first_us, last_us, days)
    }
}

/// Appends the bytes of an activity of these parts, without making one. The caller keeps the
/// invariant that [`Activity::new`] checks.
pub fn write(out: &mut Vec<u8>, zone: &str, first_us: i64, last_us: i64, days: &DaySet) {
    out.push(VERSION);
    out.push(u8::try_from(zone.len()).expect("a zone's name was checked to be short"));
    out.extend_from_slice(zone.as_bytes());
    put_varint(out, zigzag(first_us));
    put_varint(out, last_us.wrapping_sub(first_us) as u64);
    days.write_chunks(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::DAY_US;

    fn activity(zone: &str, instants: &[i64]) -> Activity {
        let days = instants
            .iter()
            .map(|&instant| utc_day(instant) as i32)
            .collect();
        let first = *instants.iter().min().expect("some");
        let last = *instants.iter().max().expect("some");
        Activity::new(zone, first, last, days).expect("whole")
    }

    fn period(since_us: i64, until_us: i64) -> Period {
        Period {
            since_us,
            until_us,
            first_day: utc_day(since_us) as i32,
            last_day: utc_day(until_us - 1) as i32,
        }
    }

    fn as_of(instant_us: i64) -> AsOf {
        AsOf {
            instant_us,
            today: utc_day(instant_us - 1) as i32,
        }
    }

    #[test]
    fn bytes_come_back_and_are_stable() {
        let one = activity("", &[DAY_US, 3 * DAY_US + 5]);
        assert_eq!(Activity::from_bytes(&one.to_bytes()), Ok(one.clone()));
        let expected: Vec<u8> = [
            &[1, 0][..],
            // 86,400,000,000 · 2, then the 172,800,000,005 µs to the last one.
            &[
                0x80, 0x80, 0xbb, 0xdd, 0x83, 0x05, 0x85, 0x80, 0xbb, 0xdd, 0x83, 0x05,
            ],
            &[1, 0, 0x01, 0b1010],
        ]
        .concat();
        assert_eq!(one.to_bytes(), expected);
        let berlin = activity("Europe/Berlin", &[-5]);
        assert_eq!(Activity::from_bytes(&berlin.to_bytes()), Ok(berlin));
    }

    #[test]
    fn zones_do_not_mix() {
        let mut one = activity("", &[0]);
        assert!(matches!(
            one.merge(&activity("Asia/Tokyo", &[0])),
            Err(Error::Zones { .. })
        ));
        one.merge(&activity("", &[9 * DAY_US])).expect("same zone");
        assert_eq!(one, activity("", &[9 * DAY_US, 0]));
    }

    #[test]
    fn cut_days() {
        let noon = DAY_US / 2;
        let one = activity("", &[noon + 10, 3 * DAY_US, 5 * DAY_US + noon]);
        assert_eq!(one.active_days(&period(0, 6 * DAY_US)), 3);
        assert_eq!(one.active_days(&period(0, 5 * DAY_US)), 2);
        assert_eq!(one.active_days(&period(0, noon)), 0, "first proves it");
        assert_eq!(
            one.active_days(&period(5 * DAY_US + noon + 1, 9 * DAY_US)),
            0,
            "last proves it"
        );
        assert_eq!(one.active_days(&period(7, 7)), 0);
        assert_eq!(one.last_day(&as_of(noon)), None);
        assert_eq!(one.last_day(&as_of(5 * DAY_US)), Some(3));
        assert_eq!(one.streak(&as_of(noon)), 0);
        assert_eq!(one.streak(&as_of(DAY_US)), 1);
        assert_eq!(one.streak(&as_of(2 * DAY_US)), 0);
    }

    #[test]
    fn parts_that_do_not_belong_together() {
        let days = |days: &[i32]| days.iter().copied().collect::<DaySet>();
        assert!(Activity::new("", 0, 0, days(&[])).is_err());
        assert!(Activity::new("", 5, 4, days(&[0])).is_err());
        assert!(Activity::new("", 0, 0, days(&[2])).is_err());
        assert!(Activity::new("", 0, 0, days(&[0, 2])).is_err());
        assert!(Activity::new(&"x".repeat(65), 0, 0, days(&[0])).is_err());
        assert!(Activity::new("", 0, 0, days(&[-1])).is_ok());
    }
}

//! Reading columns of activity states, with the local days of the zone that each state knows.

use std::str::FromStr;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use datafusion_common::{Result, exec_datafusion_err};
use vitalog_measure::{Activity, AsOf, Period};

use crate::local_days::{LocalDays, Zone};
use crate::moments::{Edge, Moments};
use crate::parameters::refused_row;

/// A column of states, read one after another.
pub(crate) struct States<'a> {
    function: &'static str,
    states: &'a BinaryArray,
    /// Local days of the zone of the state read last: states of one column mostly share it.
    days: LocalDays,
    label: String,
}

impl<'a> States<'a> {
    pub(crate) fn of(function: &'static str, column: &'a ArrayRef) -> Self {
        let days = LocalDays::new(Zone::Utc);
        Self {
            function,
            states: column.as_binary::<i32>(),
            days,
            label: String::new(),
        }
    }

    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    /// The state of a row, `None` for NULL, an error for bytes that are none.
    pub(crate) fn at(&mut self, row: usize) -> Result<Option<Activity>> {
        if self.states.is_null(row) {
            return Ok(None);
        }
        let activity = Activity::from_bytes(self.states.value(row))
            .map_err(refused_row(self.function, "a:"))?;
        if activity.zone() != self.label {
            let zone = Zone::from_str(activity.zone()).map_err(|reason| {
                exec_datafusion_err!("{}: the time zone of a state {reason}", self.function)
            })?;
            self.days = LocalDays::new(zone);
            self.label = activity.zone().to_owned();
        }
        Ok(Some(activity))
    }

    /// The period of a row in the days of the state read last; `None` when a bound is NULL.
    pub(crate) fn period(
        &mut self,
        row: usize,
        since: &Moments,
        until: &Moments,
    ) -> Result<Option<Period>> {
        let refused = |argument| refused_row(self.function, argument);
        let Some(since) = since.at(row, Edge::Start, &self.days) else {
            return Ok(None);
        };
        let Some(until) = until.at(row, Edge::Start, &self.days) else {
            return Ok(None);
        };
        let (since, until) = (
            since.map_err(refused("since"))?,
            until.map_err(refused("until"))?,
        );
        self.days
            .period(since, until)
            .map(Some)
            .map_err(refused("since or until"))
    }

    /// The instant and today of a row in the days of the state read last; `None` for NULL.
    pub(crate) fn as_of(&mut self, row: usize, as_of: &Moments) -> Result<Option<AsOf>> {
        let refused = refused_row(self.function, "as_of");
        let Some(as_of) = as_of.at(row, Edge::End, &self.days) else {
            return Ok(None);
        };
        let as_of = as_of.map_err(&refused)?;
        self.days.as_of(as_of).map(Some).map_err(&refused)
    }
    /// The instant of a row, a date as the start of that day in the days of the state read last;
    /// `None` for NULL.
    pub(crate) fn instant(
        &self,
        row: usize,
        moments: &Moments,
        argument: &'static str,
    ) -> Result<Option<i64>> {
        let instant = moments.at(row, Edge::Start, &self.days).transpose();
        instant.map_err(refused_row(self.function, argument))
    }

    /// The period of `length` days that ends with today, cut at `as_of`, and the same so many days
    /// earlier; `None` when `as_of` is NULL.
    pub(crate) fn periods(
        &mut self,
        row: usize,
        as_of: &Moments,
        length: i32,
    ) -> Result<Option<(Period, Period)>> {
        let Some(as_of) = self.as_of(row, as_of)? else {
            return Ok(None);
        };
        let refused = refused_row(self.function, "period");
        let start = |day: i64| self.days.start_of(day).map_err(&refused);
        let (today, length_days) = (i64::from(as_of.today), i64::from(length));
        let since_us = start(today - length_days + 1)?;
        // The same time of the last day, or its end where today is whole.
        let is_whole = self.days.start_of(today + 1) == Ok(as_of.instant_us);
        let part_us = as_of.instant_us - start(today)?;
        let same_time_us = start(today - length_days)? + part_us;
        let period = Period {
            since_us,
            until_us: as_of.instant_us,
            first_day: as_of.today - length + 1,
            last_day: as_of.today,
        };
        let before = Period {
            since_us: start(today - 2 * length_days + 1)?,
            until_us: if is_whole {
                since_us
            } else {
                since_us.min(same_time_us)
            },
            first_day: period.first_day - length,
            last_day: period.last_day - length,
        };
        Ok(Some((period, before)))
    }
}

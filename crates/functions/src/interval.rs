//! Intervals, read as lengths of time.
//!
//! Owns the way from an INTERVAL to a number of microseconds or of days. Invariant: only lengths
//! that are the same everywhere pass: a month is refused, a day has 24 hours where time is measured
//! and is a calendar day where days are counted.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion_common::{Result, ScalarValue, exec_datafusion_err, plan_datafusion_err, plan_err};
use vitalog_measure::Error;
use vitalog_measure::calendar::DAY_US;

use crate::constant::Known;
use crate::parameters::refused;

const NANOSECONDS_OF_DAY: i64 = DAY_US * 1000;
/// Days of ten thousand years: no period is longer.
const DAYS_MAX: f64 = 3_652_425.0;

/// A known length of time at `index` in µs, rounded down; `None` when it is unknown or NULL.
///
/// # Errors
/// When it has months, is negative or too long.
pub(crate) fn length_us(
    known: &Known,
    index: usize,
    function: &'static str,
    argument: &'static str,
) -> Result<Option<i64>> {
    let Some(Some(value)) = known.get(index) else {
        return Ok(None);
    };
    let wanted = DataType::Interval(IntervalUnit::MonthDayNano);
    let ScalarValue::IntervalMonthDayNano(Some(interval)) = value.cast_to(&wanted)? else {
        return Ok(None);
    };
    if interval.months != 0 {
        return plan_err!(
            "{function}: {argument} must be in days or less, because months differ in length"
        );
    }
    let length_us = i64::from(interval.days)
        .checked_mul(DAY_US)
        .and_then(|days_us| days_us.checked_add(interval.nanoseconds.div_euclid(1000)))
        .ok_or_else(|| plan_datafusion_err!("{function}: {argument} is too long"))?;
    if length_us < 0 {
        return Err(refused(function, argument)(Error::Negative(length_us)));
    }
    Ok(Some(length_us))
}

/// A column of whole days, as numbers or as intervals.
pub(crate) struct WholeDays<'a> {
    function: &'static str,
    argument: &'static str,
    column: &'a ArrayRef,
}

impl<'a> WholeDays<'a> {
    pub(crate) fn of(function: &'static str, argument: &'static str, column: &'a ArrayRef) -> Self {
        Self {
            function,
            argument,
            column,
        }
    }

    /// The days of a row, at least one; `None` for NULL.
    pub(crate) fn at(&self, row: usize) -> Result<Option<i32>> {
        if self.column.is_null(row) {
            return Ok(None);
        }
        let found = match self.column.data_type() {
            DataType::Float64 => of_number(self.column.as_primitive::<Float64Type>().value(row)),
            _ => of_interval(
                self.column
                    .as_primitive::<IntervalMonthDayNanoType>()
                    .value(row),
            ),
        };
        found.map(Some).map_err(|reason| {
            let (function, argument) = (self.function, self.argument);
            exec_datafusion_err!("{function}: {argument} {reason}")
        })
    }
}

/// Checks days that are known at `index`.
pub(crate) fn check_days(
    known: &Known,
    index: usize,
    function: &'static str,
    argument: &'static str,
) -> Result<()> {
    let Some(Some(value)) = known.get(index) else {
        return Ok(());
    };
    let found = match value {
        value if value.is_null() => return Ok(()),
        ScalarValue::IntervalMonthDayNano(Some(interval)) => of_interval(*interval),
        value => match value.cast_to(&DataType::Float64) {
            Ok(ScalarValue::Float64(Some(number))) => of_number(number),
            // An interval of another form is checked when it was cast.
            _ => return Ok(()),
        },
    };
    match found {
        Ok(_) => Ok(()),
        Err(reason) => plan_err!("{function}: {argument} {reason}"),
    }
}

fn of_number(number: f64) -> Result<i32, String> {
    if number.fract() == 0.0 && (1.0..=DAYS_MAX).contains(&number) {
        Ok(number as i32)
    } else {
        Err(format!(
            "must be a whole number of days of at least 1, got {number}"
        ))
    }
}

fn of_interval(interval: IntervalMonthDayNano) -> Result<i32, String> {
    if interval.months != 0 {
        return Err("must be in days, because months differ in length".to_owned());
    }
    let whole = interval.nanoseconds / NANOSECONDS_OF_DAY;
    let part = (interval.nanoseconds % NANOSECONDS_OF_DAY) as f64 / NANOSECONDS_OF_DAY as f64;
    of_number(f64::from(interval.days) + whole as f64 + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(months: i32, days: i32, nanoseconds: i64) -> IntervalMonthDayNano {
        IntervalMonthDayNano::new(months, days, nanoseconds)
    }

    #[test]
    fn lengths() {
        let length = |value| {
            let known = [Some(ScalarValue::IntervalMonthDayNano(value))];
            length_us(&known, 0, "f", "gap")
        };
        assert_eq!(length(None).expect("NULL"), None);
        assert_eq!(
            length(Some(interval(0, 2, 1_999))).expect("short"),
            Some(2 * DAY_US + 1)
        );
        assert_eq!(
            length(Some(interval(0, 1, -NANOSECONDS_OF_DAY))).expect("nothing"),
            Some(0)
        );
        for (value, reason) in [
            (interval(1, 0, 0), "f: gap must be in days or less"),
            (interval(0, -1, 0), "f: gap must not be negative"),
        ] {
            let found = length(Some(value)).expect_err("refused").to_string();
            assert!(found.contains(reason), "{found}");
        }
    }

    #[test]
    fn whole_days() {
        assert_eq!(of_number(7.0), Ok(7));
        assert_eq!(of_interval(interval(0, 7, 0)), Ok(7));
        assert_eq!(of_interval(interval(0, 6, NANOSECONDS_OF_DAY)), Ok(7));
        for number in [0.0, -1.0, 1.5, f64::NAN, f64::INFINITY, 4e6] {
            assert!(of_number(number).is_err(), "{number}");
        }
        for refused in [
            interval(1, 0, 0),
            interval(0, 0, 5),
            interval(0, 1, 1),
            interval(0, -3, 0),
        ] {
            assert!(of_interval(refused).is_err(), "{refused:?}");
        }
    }
}

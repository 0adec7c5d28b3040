//! Columns of timestamps and dates, read as instants.
//!
//! Owns the meaning of the types: a timestamp is an instant, its zone is only how it is shown, and
//! one without a zone is read as UTC; a date is a day of the zone that the function counts in.
//! Invariant: every instant is a number of µs since 1970, rounded down.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion_common::{Result, ScalarValue, exec_err};
use vitalog_measure::Error;

use crate::local_days::LocalDays;

const MILLISECONDS_OF_DAY: i64 = 86_400_000;

/// Which end of a day a date stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// Its first instant.
    Start,
    /// The first instant after it.
    End,
}

/// A column of instants or of days.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    values: Values,
    nulls: Option<NullBuffer>,
}

#[derive(Debug, Clone)]
enum Values {
    InstantsUs(ScalarBuffer<i64>),
    Days(Vec<i64>),
}

impl Moments {
    /// Reads a column. Costs nothing for timestamps in µs, one pass for others.
    pub(crate) fn of(array: &ArrayRef) -> Result<Self> {
        let nulls = array.nulls().cloned();
        let values = match array.data_type() {
            DataType::Timestamp(unit, _) => Values::InstantsUs(instants(array, *unit)),
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>().values();
                Values::Days(days.iter().map(|&day| i64::from(day)).collect())
            }
            DataType::Date64 => {
                let days = array.as_primitive::<Date64Type>().values();
                Values::Days(
                    days.iter()
                        .map(|&ms| ms.div_euclid(MILLISECONDS_OF_DAY))
                        .collect(),
                )
            }
            other => return exec_err!("expected a timestamp or a date, got {other}"),
        };
        Ok(Self { values, nulls })
    }

    /// The instant of one value.
    pub(crate) fn of_scalar(
        value: &ScalarValue,
        edge: Edge,
        days: &LocalDays,
    ) -> Result<Option<Result<i64, Error>>> {
        Ok(Self::of(&value.to_array()?)?.at(0, edge, days))
    }

    /// The instant of a row, `None` for NULL, an error for a day that no calendar has.
    pub(crate) fn at(
        &self,
        row: usize,
        edge: Edge,
        days: &LocalDays,
    ) -> Option<Result<i64, Error>> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        Some(match &self.values {
            Values::InstantsUs(instants) => Ok(instants[row]),
            Values::Days(of) => days.start_of(of[row].saturating_add(i64::from(edge == Edge::End))),
        })
    }

    /// All as instants (a date as its start) and which of them are NULL; the value of a NULL means
    /// nothing.
    pub(crate) fn into_instants(
        self,
        days: &LocalDays,
    ) -> Result<(ScalarBuffer<i64>, Option<NullBuffer>), Error> {
        let values = match &self.values {
            Values::InstantsUs(instants) => instants.clone(),
            Values::Days(of) => (0..of.len())
                .map(|row| self.at(row, Edge::Start, days).unwrap_or(Ok(0)))
                .collect::<Result<Vec<_>, _>>()?
                .into(),
        };
        Ok((values, self.nulls))
    }
}

/// The values of a timestamp column in µs. What does not fit is the nearest that does, and is
/// refused where its day is asked for.
fn instants(array: &ArrayRef, unit: TimeUnit) -> ScalarBuffer<i64> {
    let times = |values: &ScalarBuffer<i64>, factor: i64| {
        values
            .iter()
            .map(|value| value.saturating_mul(factor))
            .collect::<Vec<_>>()
            .into()
    };
    match unit {
        TimeUnit::Microsecond => array
            .as_primitive::<TimestampMicrosecondType>()
            .values()
            .clone(),
        TimeUnit::Second => times(
            array.as_primitive::<TimestampSecondType>().values(),
            1_000_000,
        ),
        TimeUnit::Millisecond => times(
            array.as_primitive::<TimestampMillisecondType>().values(),
            1_000,
        ),
        TimeUnit::Nanosecond => {
            let values = array.as_primitive::<TimestampNanosecondType>().values();
            values
                .iter()
                .map(|value| value.div_euclid(1_000))
                .collect::<Vec<_>>()
                .into()
        }
    }
}

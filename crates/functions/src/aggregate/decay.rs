//! How values fade: what `decayed_sum` adds for a row.
//!
//! Owns the cut at `as_of` and the weight of age. Invariant: a row's weight depends on the row
//! alone, and is the same on every machine (`vitalog_measure::decay`).

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::Float64Type;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::function::AccumulatorArgs;
use vitalog_measure::decay::decayed;

use crate::aggregate::rows;
use crate::constant::{self, Known};
use crate::local_days::{LocalDays, Zone};
use crate::moments::{Edge, Moments};
use crate::parameters::{refused, refused_row};

const AS_OF: usize = 2;
const HALF_LIFE: usize = 3;

/// The constants of a `decayed_sum`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decay {
    /// `None` where it is NULL, so that nothing is added.
    half_life_us: Option<f64>,
    as_of: AsOf,
}

#[derive(Debug, Clone, Copy)]
enum AsOf {
    /// The same for all rows; `None` where it is NULL.
    Constant(Option<i64>),
    /// From each row.
    Column,
}

impl Decay {
    pub(crate) const FUNCTION: &'static str = "decayed_sum";

    /// Checks what is known of the arguments and keeps it.
    pub(crate) fn of_known(known: &Known) -> Result<Self> {
        let half_life_us = constant::length_us(known, HALF_LIFE, Self::FUNCTION, "half_life")?;
        let as_of = match known.get(AS_OF) {
            Some(Some(value)) => AsOf::Constant(instant(value)?),
            _ => AsOf::Column,
        };
        Ok(Self {
            half_life_us,
            as_of,
        })
    }

    /// The constants of an aggregation.
    pub(crate) fn of(args: &AccumulatorArgs) -> Result<Self> {
        let known = constant::of_aggregate(args);
        constant::required(&known, HALF_LIFE, Self::FUNCTION, "half_life")?;
        Self::of_known(&known)
    }

    /// Calls `add` with each row that counts and what it adds.
    pub(crate) fn for_each(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
        mut add: impl FnMut(usize, f64),
    ) -> Result<()> {
        let Some(half_life_us) = self.half_life_us else {
            return Ok(());
        };
        let days = LocalDays::new(Zone::Utc);
        let column = values[0].as_primitive::<Float64Type>();
        let refused = refused_row(Self::FUNCTION, "ts");
        let (instants, nulls) = Moments::of(&values[1])?
            .into_instants(&days)
            .map_err(&refused)?;
        let counted = rows::counted(filter, column.nulls());
        let counted = match &counted {
            Some(counted) => rows::counted(
                Some(&BooleanArray::new(counted.clone(), None)),
                nulls.as_ref(),
            ),
            None => rows::counted(None, nulls.as_ref()),
        };
        let column = column.values();
        let mut row_of = |row: usize, as_of_us: i64| {
            if instants[row] < as_of_us {
                // Both lie in the range of an i64, their distance may not.
                let age_us = as_of_us.wrapping_sub(instants[row]) as u64;
                add(row, decayed(column[row], age_us, half_life_us));
            }
        };
        match self.as_of {
            AsOf::Constant(None) => Ok(()),
            AsOf::Constant(Some(as_of_us)) => {
                rows::for_each(column.len(), counted.as_ref(), |row| {
                    row_of(row, as_of_us);
                    Ok(())
                })
            }
            AsOf::Column => {
                let as_of = Moments::of(&values[AS_OF])?;
                rows::for_each(column.len(), counted.as_ref(), |row| {
                    if let Some(as_of_us) = as_of.at(row, Edge::End, &days) {
                        row_of(row, as_of_us.map_err(refused_row(Self::FUNCTION, "as_of"))?);
                    }
                    Ok(())
                })
            }
        }
    }
}

/// The instant of a constant.
fn instant(value: &ScalarValue) -> Result<Option<i64>> {
    Moments::of_scalar(value, Edge::End, &LocalDays::new(Zone::Utc))?
        .transpose()
        .map_err(refused(Decay::FUNCTION, "as_of"))
}

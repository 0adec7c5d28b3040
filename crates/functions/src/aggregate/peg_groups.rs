//! The state of `health_peg`.
//!
//! Owns the raw scores that count, of all groups in one list, and finds each group's quantile when
//! it is asked. Invariant: every value is kept, so the answer is exact to the bit in any order.
//!
//! State column: `raw`, the list of a group's values; empty for a group without.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::datatypes::{Field, FieldRef, Float64Type};
use datafusion_common::Result;
use datafusion_expr::function::StateFieldsArgs;
use datafusion_expr::utils::format_state_name;
use vitalog_measure::peg::{counts, quantile, quantile_sorted};

use crate::aggregate::grouped::GroupedState;
use crate::aggregate::rows;
use crate::aggregate::value_lists::ValueLists;
use crate::parameters::refused;

/// The populations of many groups. Twelve bytes a counted value.
#[derive(Debug)]
pub(crate) struct PegGroups {
    p: f64,
    distinct: bool,
    len: usize,
    raw: ValueLists,
}

impl PegGroups {
    /// For percentile `p`, which was checked; `distinct` takes each value of a group once.
    pub(crate) fn new(p: f64, distinct: bool) -> Self {
        Self {
            p,
            distinct,
            len: 0,
            raw: ValueLists::new("health_peg"),
        }
    }

    pub(crate) fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
        let name = format_state_name(args.name, "raw");
        vec![Arc::new(Field::new(name, ValueLists::list_type(), true))]
    }

    fn peg(&self, values: &mut [f64]) -> Result<Option<f64>> {
        let found = if self.distinct {
            values.sort_unstable_by(f64::total_cmp);
            let mut once = values.to_vec();
            once.dedup();
            quantile_sorted(&once, self.p)
        } else {
            quantile(values, self.p)
        };
        found.map_err(refused("health_peg", "p"))
    }
}

impl GroupedState for PegGroups {
    fn fresh(&self) -> Self {
        Self::new(self.p, self.distinct)
    }

    fn len(&self) -> usize {
        self.len
    }

    fn grow(&mut self, groups: usize) {
        self.len = self.len.max(groups);
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let raw = values[0].as_primitive::<Float64Type>();
        let counted = rows::counted(filter, raw.nulls());
        let raw = raw.values();
        rows::for_each(groups.len(), counted.as_ref(), |row| {
            if counts(raw[row]) {
                self.raw.push(groups[row], raw[row])?;
            }
            Ok(())
        })
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.raw.push_lists(&states[0], groups)
    }

    fn results(&mut self, count: usize) -> Result<ArrayRef> {
        let (mut values, ends) = self.raw.by_group(count);
        let mut start = 0;
        let pegs = ends.iter().map(|&end| {
            let peg = self.peg(&mut values[start..end]);
            start = end;
            peg
        });
        Ok(Arc::new(pegs.collect::<Result<Float64Array>>()?))
    }

    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.raw.to_lists(count)?])
    }

    fn remove_first(&mut self, count: usize) {
        self.raw.remove_first(count);
        self.len -= count;
    }

    fn heap_bytes(&self) -> usize {
        self.raw.heap_bytes()
    }
}

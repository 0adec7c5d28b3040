//! The state of `health_peg`.
//!
//! Owns the raw scores that count, of all groups in one list, and finds each group's quantile when
//! it is asked. Invariant: every value is kept, so the answer is exact to the bit in any order.
//!
//! State column: `raw`, the list of a group's values; empty for a group without.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion_common::{Result, resources_err};
use datafusion_expr::function::StateFieldsArgs;
use datafusion_expr::utils::format_state_name;
use vitalog_measure::peg::{counts, quantile, quantile_sorted};

use crate::aggregate::grouped::GroupedState;
use crate::aggregate::rows;
use crate::parameters::refused;

/// The populations of many groups. Twelve bytes a counted value.
#[derive(Debug)]
pub(crate) struct PegGroups {
    p: f64,
    distinct: bool,
    len: usize,
    raw: Vec<f64>,
    /// `groups[i]` is the group of `raw[i]`.
    groups: Vec<u32>,
}

impl PegGroups {
    /// For percentile `p`, which was checked; `distinct` takes each value of a group once.
    pub(crate) fn new(p: f64, distinct: bool) -> Self {
        Self {
            p,
            distinct,
            len: 0,
            raw: Vec::new(),
            groups: Vec::new(),
        }
    }

    pub(crate) fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
        let name = format_state_name(args.name, "raw");
        vec![Arc::new(Field::new(name, DataType::List(item()), true))]
    }

    fn push(&mut self, group: usize, raw: f64) -> Result<()> {
        if counts(raw) {
            let Ok(group) = u32::try_from(group) else {
                return resources_err!("health_peg: more than 4,294,967,296 groups");
            };
            self.raw.push(raw);
            self.groups.push(group);
        }
        Ok(())
    }

    /// The values of the first `count` groups, group after group, and where each group ends.
    fn by_group(&self, count: usize) -> (Vec<f64>, Vec<usize>) {
        let mut next = vec![0usize; count + 1];
        for &group in &self.groups {
            if let Some(length) = next.get_mut(group as usize + 1) {
                *length += 1;
            }
        }
        for group in 0..count {
            next[group + 1] += next[group];
        }
        let mut sorted = vec![0.0; next[count]];
        for (&group, &raw) in self.groups.iter().zip(&self.raw) {
            if (group as usize) < count {
                let place = &mut next[group as usize];
                sorted[*place] = raw;
                *place += 1;
            }
        }
        // Each place has moved to its group's end.
        next.truncate(count);
        (sorted, next)
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

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Float64, true))
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
            self.push(groups[row], raw[row])
        })
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let lists = states[0].as_list::<i32>();
        for (row, &group) in groups.iter().enumerate() {
            if lists.is_valid(row) {
                for &raw in lists.value(row).as_primitive::<Float64Type>().values() {
                    self.push(group, raw)?;
                }
            }
        }
        Ok(())
    }

    fn results(&mut self, count: usize) -> Result<ArrayRef> {
        let (mut values, ends) = self.by_group(count);
        let mut start = 0;
        let pegs = ends.iter().map(|&end| {
            let peg = self.peg(&mut values[start..end]);
            start = end;
            peg
        });
        Ok(Arc::new(pegs.collect::<Result<Float64Array>>()?))
    }

    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        let (values, ends) = self.by_group(count);
        if values.len() > i32::MAX as usize {
            return resources_err!("health_peg: more than 2,147,483,647 raw scores in one state");
        }
        let mut start = 0;
        let lengths = ends
            .iter()
            .map(|&end| end - std::mem::replace(&mut start, end));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let values = Arc::new(Float64Array::from(values));
        Ok(vec![Arc::new(ListArray::try_new(
            item(),
            offsets,
            values,
            None,
        )?)])
    }

    fn remove_first(&mut self, count: usize) {
        let mut kept = 0;
        for at in 0..self.raw.len() {
            if let Some(group) = (self.groups[at] as usize).checked_sub(count) {
                self.raw[kept] = self.raw[at];
                self.groups[kept] = group as u32;
                kept += 1;
            }
        }
        self.raw.truncate(kept);
        self.groups.truncate(kept);
        self.len -= count;
    }

    fn heap_bytes(&self) -> usize {
        self.raw.capacity() * size_of::<f64>() + self.groups.capacity() * size_of::<u32>()
    }
}

//! Every value of many groups, in one list.
//!
//! Owns the values and which group each belongs to; what they mean is the business of the states
//! that keep them. Invariant: nothing is dropped or merged, so an answer taken from all values of a
//! group is exact in any order.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion_common::{Result, resources_err};

/// The values of many groups, twelve bytes each.
#[derive(Debug)]
pub(crate) struct ValueLists {
    function: &'static str,
    values: Vec<f64>,
    /// `groups[i]` is the group of `values[i]`.
    groups: Vec<u32>,
}

impl ValueLists {
    /// No values; errors name the function.
    pub(crate) fn new(function: &'static str) -> Self {
        Self {
            function,
            values: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// The type of the column that [`ValueLists::to_lists`] makes.
    pub(crate) fn list_type() -> DataType {
        DataType::List(item())
    }

    pub(crate) fn push(&mut self, group: usize, value: f64) -> Result<()> {
        let Ok(group) = u32::try_from(group) else {
            return resources_err!("{}: more than 4,294,967,296 groups", self.function);
        };
        self.values.push(value);
        self.groups.push(group);
        Ok(())
    }

    /// The values of the first `count` groups, group after group, and where each group ends.
    pub(crate) fn by_group(&self, count: usize) -> (Vec<f64>, Vec<usize>) {
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
        for (&group, &value) in self.groups.iter().zip(&self.values) {
            if (group as usize) < count {
                let place = &mut next[group as usize];
                sorted[*place] = value;
                *place += 1;
            }
        }
        // Each place has moved to its group's end.
        next.truncate(count);
        (sorted, next)
    }

    /// The values of the first `count` groups as a column of lists; empty for a group without.
    pub(crate) fn to_lists(&self, count: usize) -> Result<ArrayRef> {
        let (values, ends) = self.by_group(count);
        if values.len() > i32::MAX as usize {
            let function = self.function;
            return resources_err!("{function}: more than 2,147,483,647 values in one state");
        }
        let mut start = 0;
        let lengths = ends
            .iter()
            .map(|&end| end - std::mem::replace(&mut start, end));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let values = Arc::new(Float64Array::from(values));
        Ok(Arc::new(ListArray::try_new(item(), offsets, values, None)?))
    }

    /// Adds a column of lists: `lists[row]` belongs to `groups[row]`.
    pub(crate) fn push_lists(&mut self, lists: &ArrayRef, groups: &[usize]) -> Result<()> {
        let lists = lists.as_list::<i32>();
        for (row, &group) in groups.iter().enumerate() {
            if lists.is_valid(row) {
                for &value in lists.value(row).as_primitive::<Float64Type>().values() {
                    self.push(group, value)?;
                }
            }
        }
        Ok(())
    }

    /// Removes the first `count` groups; the others move down.
    pub(crate) fn remove_first(&mut self, count: usize) {
        let mut kept = 0;
        for at in 0..self.values.len() {
            if let Some(group) = (self.groups[at] as usize).checked_sub(count) {
                self.values[kept] = self.values[at];
                self.groups[kept] = group as u32;
                kept += 1;
            }
        }
        self.values.truncate(kept);
        self.groups.truncate(kept);
    }

    /// Bytes of heap memory.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>() + self.groups.capacity() * size_of::<u32>()
    }
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Float64, true))
}

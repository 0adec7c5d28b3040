//! The state of `retention`.
//!
//! Owns which conditions any row of a group met, one bit each, and how many there are. Invariant: a
//! group's state is a function of the set of its rows, which all have as many conditions.
//!
//! State columns: `met` (bit i for condition i) and `conditions` (how many; NULL where no row had
//! any list).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Builder, ListBuilder, UInt8Array, UInt32Array,
};
use arrow::datatypes::{DataType, Field, FieldRef, UInt8Type, UInt32Type};
use datafusion_common::{Result, exec_err};
use datafusion_expr::function::StateFieldsArgs;
use datafusion_expr::utils::format_state_name;
use vitalog_measure::retention::{CONDITIONS_MAX, retained};

use crate::aggregate::conditions::ConditionList;
use crate::aggregate::grouped::GroupedState;
use crate::aggregate::rows;

pub(crate) const CONDITIONS: ConditionList = ConditionList {
    function: "retention",
    argument: "conditions",
    index: 0,
};

/// The conditions met by many groups. Eight bytes a group.
#[derive(Debug, Default)]
pub(crate) struct RetentionGroups {
    of: Vec<Met>,
}

/// What the rows of a group met, and how many conditions they have.
#[derive(Debug, Clone, Copy, Default)]
struct Met {
    met: u32,
    conditions: Option<u8>,
}

impl Met {
    fn add(&mut self, met: u32, conditions: usize) -> Result<()> {
        let found = u8::try_from(conditions).unwrap_or(u8::MAX);
        if self.conditions.is_some_and(|known| known != found) {
            return exec_err!(
                "retention: conditions must be as many in all rows of a group, got {conditions} and {}",
                self.conditions.unwrap_or(0)
            );
        }
        self.conditions = Some(found);
        self.met |= met;
        Ok(())
    }
}

impl RetentionGroups {
    pub(crate) fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
        let field = |name: &str, data_type| {
            Arc::new(Field::new(
                format_state_name(args.name, name),
                data_type,
                true,
            ))
        };
        vec![
            field("met", DataType::UInt32),
            field("conditions", DataType::UInt8),
        ]
    }
}

impl GroupedState for RetentionGroups {
    fn fresh(&self) -> Self {
        Self::default()
    }

    fn len(&self) -> usize {
        self.of.len()
    }

    fn grow(&mut self, groups: usize) {
        let groups = groups.max(self.of.len());
        self.of.resize(groups, Met::default());
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let conditions = CONDITIONS.read(&values[CONDITIONS.index]);
        let counted = rows::counted(filter, None);
        rows::for_each(groups.len(), counted.as_ref(), |row| {
            match conditions.at(row)? {
                Some((met, count)) => self.of[groups[row]].add(met, count),
                None => Ok(()),
            }
        })
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let met = states[0].as_primitive::<UInt32Type>();
        let conditions = states[1].as_primitive::<UInt8Type>();
        for (row, &group) in groups.iter().enumerate() {
            if conditions.is_null(row) || met.is_null(row) {
                continue;
            }
            let count = usize::from(conditions.value(row));
            if count > CONDITIONS_MAX {
                return exec_err!("retention: state: {count} conditions are too many");
            }
            self.of[group].add(met.value(row), count)?;
        }
        Ok(())
    }

    fn results(&mut self, count: usize) -> Result<ArrayRef> {
        let mut lists = ListBuilder::new(Int64Builder::new());
        for group in &self.of[..count] {
            let retained = retained(group.met);
            let bit = |index: u8| Some(i64::from(retained >> index & 1));
            lists.append_option(group.conditions.map(|count| (0..count).map(bit)));
        }
        Ok(Arc::new(lists.finish()))
    }

    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        let of = &self.of[..count];
        let met: UInt32Array = of.iter().map(|group| Some(group.met)).collect();
        let conditions: UInt8Array = of.iter().map(|group| group.conditions).collect();
        Ok(vec![Arc::new(met), Arc::new(conditions)])
    }

    fn remove_first(&mut self, count: usize) {
        self.of.drain(..count);
    }

    fn heap_bytes(&self) -> usize {
        self.of.capacity() * size_of::<Met>()
    }
}

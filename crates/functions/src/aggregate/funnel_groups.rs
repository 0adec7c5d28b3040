//! The state of `window_funnel`.
//!
//! Owns the events that can change a depth, of all groups in one list: the time and the steps that
//! each meets. Invariant: every such event is kept, so the answer is the same in any order.
//!
//! State columns: `times` and `steps`, two lists of equal length, of a group's events; empty for a
//! group without.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, UInt32Type};
use datafusion_common::{Result, exec_err, resources_err};
use datafusion_expr::function::StateFieldsArgs;
use datafusion_expr::utils::format_state_name;
use vitalog_measure::{Funnel, FunnelEvent};

use crate::aggregate::conditions::ConditionList;
use crate::aggregate::grouped::GroupedState;
use crate::aggregate::rows;
use crate::local_days::{LocalDays, Zone};
use crate::moments::Moments;
use crate::parameters::refused_row;

pub(crate) const STEPS: ConditionList = ConditionList {
    function: "window_funnel",
    argument: "steps",
    index: 2,
};

/// The events of many groups. Twenty bytes a counted event.
#[derive(Debug)]
pub(crate) struct FunnelGroups {
    /// `None` where the window is NULL.
    funnel: Option<Funnel>,
    distinct: bool,
    len: usize,
    events: Vec<FunnelEvent>,
    /// `groups[i]` is the group of `events[i]`.
    groups: Vec<u32>,
}

impl FunnelGroups {
    /// No groups yet; `distinct` takes events of a group that are alike once.
    pub(crate) fn new(funnel: Option<Funnel>, distinct: bool) -> Self {
        Self {
            funnel,
            distinct,
            len: 0,
            events: Vec::new(),
            groups: Vec::new(),
        }
    }

    pub(crate) fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
        let field = |name: &str, item| {
            let name = format_state_name(args.name, name);
            Arc::new(Field::new(name, DataType::List(list_item(item)), true))
        };
        vec![
            field("times", DataType::Int64),
            field("steps", DataType::UInt32),
        ]
    }

    fn push(&mut self, group: usize, event: FunnelEvent) -> Result<()> {
        let Ok(group) = u32::try_from(group) else {
            return resources_err!("window_funnel: more than 4,294,967,296 groups");
        };
        self.events.push(event);
        self.groups.push(group);
        Ok(())
    }

    /// The events of the first `count` groups, group after group, and where each group ends.
    fn by_group(&self, count: usize) -> (Vec<FunnelEvent>, Vec<usize>) {
        let mut next = vec![0usize; count + 1];
        for &group in &self.groups {
            if let Some(length) = next.get_mut(group as usize + 1) {
                *length += 1;
            }
        }
        for group in 0..count {
            next[group + 1] += next[group];
        }
        let nothing = FunnelEvent {
            time_us: 0,
            steps: 0,
        };
        let mut sorted = vec![nothing; next[count]];
        for (&group, &event) in self.groups.iter().zip(&self.events) {
            if (group as usize) < count {
                let place = &mut next[group as usize];
                sorted[*place] = event;
                *place += 1;
            }
        }
        // Each place has moved to its group's end.
        next.truncate(count);
        (sorted, next)
    }

    fn depth(&self, funnel: &Funnel, events: &mut [FunnelEvent]) -> i64 {
        if !self.distinct {
            return i64::from(funnel.depth(events));
        }
        events.sort_unstable();
        let mut once = events.to_vec();
        once.dedup();
        i64::from(funnel.depth(&mut once))
    }
}

fn list_item(item: DataType) -> FieldRef {
    Arc::new(Field::new_list_field(item, true))
}

impl GroupedState for FunnelGroups {
    fn fresh(&self) -> Self {
        Self::new(self.funnel, self.distinct)
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
        let Some(funnel) = self.funnel else {
            return Ok(());
        };
        let (times, nulls) = Moments::of(&values[1])?
            .into_instants(&LocalDays::new(Zone::Utc))
            .map_err(refused_row(STEPS.function, "ts"))?;
        let steps = STEPS.read(&values[STEPS.index]);
        let counted = rows::counted(filter, nulls.as_ref());
        rows::for_each(groups.len(), counted.as_ref(), |row| {
            match steps.at(row)? {
                Some((steps, _)) if funnel.needs(steps) => {
                    let time_us = times[row];
                    self.push(groups[row], FunnelEvent { time_us, steps })
                }
                _ => Ok(()),
            }
        })
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (times, steps) = (states[0].as_list::<i32>(), states[1].as_list::<i32>());
        for (row, &group) in groups.iter().enumerate() {
            if times.is_null(row) || steps.is_null(row) {
                continue;
            }
            let (times, steps) = (times.value(row), steps.value(row));
            if times.len() != steps.len() {
                return exec_err!("window_funnel: state: as many steps as times are needed");
            }
            let times = times.as_primitive::<Int64Type>().values();
            let steps = steps.as_primitive::<UInt32Type>().values();
            for (&time_us, &steps) in times.iter().zip(steps) {
                self.push(group, FunnelEvent { time_us, steps })?;
            }
        }
        Ok(())
    }

    fn results(&mut self, count: usize) -> Result<ArrayRef> {
        let (mut events, ends) = self.by_group(count);
        let mut start = 0;
        let depths = ends.iter().map(|&end| {
            let events = &mut events[std::mem::replace(&mut start, end)..end];
            self.funnel.map(|funnel| self.depth(&funnel, events))
        });
        Ok(Arc::new(depths.collect::<Int64Array>()))
    }

    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        let (events, ends) = self.by_group(count);
        if events.len() > i32::MAX as usize {
            return resources_err!("window_funnel: more than 2,147,483,647 events in one state");
        }
        let mut start = 0;
        let lengths = ends
            .iter()
            .map(|&end| end - std::mem::replace(&mut start, end));
        let offsets: OffsetBuffer<i32> = OffsetBuffer::from_lengths(lengths);
        let list = |item, values: ArrayRef| {
            ListArray::try_new(list_item(item), offsets.clone(), values, None)
        };
        let times: Int64Array = events.iter().map(|event| Some(event.time_us)).collect();
        let steps: UInt32Array = events.iter().map(|event| Some(event.steps)).collect();
        Ok(vec![
            Arc::new(list(DataType::Int64, Arc::new(times))?),
            Arc::new(list(DataType::UInt32, Arc::new(steps))?),
        ])
    }

    fn remove_first(&mut self, count: usize) {
        let mut kept = 0;
        for at in 0..self.events.len() {
            if let Some(group) = (self.groups[at] as usize).checked_sub(count) {
                self.events[kept] = self.events[at];
                self.groups[kept] = group as u32;
                kept += 1;
            }
        }
        self.events.truncate(kept);
        self.groups.truncate(kept);
        self.len -= count;
    }

    fn heap_bytes(&self) -> usize {
        self.events.capacity() * size_of::<FunnelEvent>()
            + self.groups.capacity() * size_of::<u32>()
    }
}

//! The state of `activity` and `activity_merge`.
//!
//! Owns what is kept of a group: first and last instant, the set of active local days and the zone
//! these belong to. Invariant: the state column is the answer itself, the bytes of an
//! `Activity`, NULL for a group without rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, resources_err};
use datafusion_expr::function::StateFieldsArgs;
use datafusion_expr::utils::format_state_name;
use vitalog_measure::{Activity, DaySet, DaySets, Error};

use crate::aggregate::grouped::GroupedState;
use crate::aggregate::rows;
use crate::local_days::{LocalDays, Zone};
use crate::moments::Moments;
use crate::parameters::refused_row;

/// Bytes that a column of answers can hold, because its offsets are 32 bits wide.
const BYTES_MAX: usize = i32::MAX as usize;

/// What the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Instants of a column `ts`.
    Times,
    /// States that `activity` made.
    States,
}

/// The activities of many groups.
#[derive(Debug)]
pub(crate) struct ActivityGroups {
    source: Source,
    days: LocalDays,
    /// Names of the zones that groups are in.
    zones: Vec<String>,
    /// By group: index into `zones`, first and last instant; of no meaning while it has no days.
    spans: Vec<GroupSpan>,
    sets: DaySets,
}

#[derive(Debug, Clone, Copy)]
struct GroupSpan {
    zone: u32,
    first_us: i64,
    last_us: i64,
}

const NO_SPAN: GroupSpan = GroupSpan {
    zone: 0,
    first_us: i64::MAX,
    last_us: i64::MIN,
};

impl ActivityGroups {
    pub(crate) fn new(source: Source, zone: Zone) -> Self {
        Self {
            source,
            days: LocalDays::new(zone),
            zones: vec![zone.label().to_owned()],
            spans: Vec::new(),
            sets: DaySets::new(),
        }
    }

    pub(crate) fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
        let name = format_state_name(args.name, "activity");
        vec![Arc::new(Field::new(name, DataType::Binary, true))]
    }

    fn function(&self) -> &'static str {
        match self.source {
            Source::Times => "activity",
            Source::States => "activity_merge",
        }
    }

    fn update_times(
        &mut self,
        ts: &ArrayRef,
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let refused = refused_row(self.function(), "ts");
        let (instants, nulls) = Moments::of(ts)?
            .into_instants(&self.days)
            .map_err(&refused)?;
        let counted = rows::counted(filter, nulls.as_ref());
        let (days, sets, spans) = (&mut self.days, &mut self.sets, &mut self.spans);
        let mut last_group = usize::MAX;
        rows::for_each(groups.len(), counted.as_ref(), |row| {
            let (instant, group) = (instants[row], groups[row]);
            if group != last_group || !days.is_same_day(instant) {
                sets.insert(group, days.day(instant).map_err(&refused)?);
                last_group = group;
            }
            let span = &mut spans[group];
            span.first_us = span.first_us.min(instant);
            span.last_us = span.last_us.max(instant);
            Ok(())
        })
    }

    fn merge_states(
        &mut self,
        states: &ArrayRef,
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let refused = refused_row(self.function(), "state:");
        let counted = rows::counted(filter, states.nulls());
        let states = states.as_binary::<i32>();
        rows::for_each(groups.len(), counted.as_ref(), |row| {
            let other = Activity::from_bytes(states.value(row)).map_err(&refused)?;
            self.merge_one(groups[row], &other).map_err(&refused)
        })
    }

    fn merge_one(&mut self, group: usize, other: &Activity) -> Result<(), Error> {
        let zone = self.zone_of(other.zone());
        let span = &mut self.spans[group];
        if self.sets.is_empty_of(group) {
            span.zone = zone;
        } else if span.zone != zone {
            let left = self.zones[span.zone as usize].clone();
            return Err(Error::Zones {
                left,
                right: other.zone().to_owned(),
            });
        }
        span.first_us = span.first_us.min(other.first_us());
        span.last_us = span.last_us.max(other.last_us());
        self.sets.merge(group, other.days());
        Ok(())
    }

    /// Index of a zone's name. There are few, so they are searched in order.
    fn zone_of(&mut self, name: &str) -> u32 {
        let known = self
            .zones
            .iter()
            .position(|zone| zone == name)
            .unwrap_or_else(|| {
                self.zones.push(name.to_owned());
                self.zones.len() - 1
            });
        u32::try_from(known).expect("fewer zones than rows of a batch")
    }
}

impl GroupedState for ActivityGroups {
    fn fresh(&self) -> Self {
        Self::new(self.source, self.days.zone())
    }

    fn len(&self) -> usize {
        self.sets.len()
    }

    fn grow(&mut self, groups: usize) {
        self.sets.grow(groups);
        self.spans.resize(groups.max(self.spans.len()), NO_SPAN);
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        match self.source {
            Source::Times => self.update_times(&values[0], groups, filter),
            Source::States => self.merge_states(&values[0], groups, filter),
        }
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.merge_states(&states[0], groups, None)
    }

    fn results(&mut self, count: usize) -> Result<ArrayRef> {
        let mut states = BinaryBuilder::with_capacity(count, 32 * count);
        let (mut set, mut bytes, mut total) = (DaySet::new(), Vec::new(), 0usize);
        for (group, span) in self.spans.iter().enumerate().take(count) {
            if self.sets.is_empty_of(group) {
                states.append_null();
                continue;
            }
            self.sets.copy_to(group, &mut set);
            bytes.clear();
            let zone = &self.zones[span.zone as usize];
            vitalog_measure::activity::write(&mut bytes, zone, span.first_us, span.last_us, &set);
            total += bytes.len();
            if total > BYTES_MAX {
                let function = self.function();
                return resources_err!("{function}: the states of {count} groups exceed 2 GiB");
            }
            states.append_value(&bytes);
        }
        Ok(Arc::new(states.finish()))
    }

    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.results(count)?])
    }

    fn remove_first(&mut self, count: usize) {
        self.sets.remove_first(count);
        self.spans.drain(..count);
    }

    fn heap_bytes(&self) -> usize {
        self.sets.heap_bytes() + self.spans.capacity() * size_of::<GroupSpan>()
    }
}

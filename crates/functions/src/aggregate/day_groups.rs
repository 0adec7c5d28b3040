//! The state of the five questions about active days.
//!
//! Owns what is kept of a group: its set of active local days, after the cut by `since` and `until`
//! or by `as_of`, and, where these come from columns, the frame they gave. Invariant: a group's
//! state is a function of the set of its rows.
//!
//! State columns: `days` (the bytes of a `DaySet`, NULL when empty), `today` and `days_of_period`
//! (NULL when no row gave a period).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Builder, Int64Array,
    LargeBinaryBuilder, UInt32Builder,
};
use arrow::datatypes::{Int32Type, UInt32Type};
use datafusion_common::{Result, exec_err};
use vitalog_measure::share::ratio;
use vitalog_measure::{DaySet, DaySets};

use crate::aggregate::day_question::{
    Cut, Frame, Question, Span, edge_of, span_between, span_until,
};
use crate::aggregate::grouped::GroupedState;
use crate::aggregate::rows;
use crate::local_days::{LocalDays, Zone, utc_day_checked};
use crate::moments::{Edge, Moments};
use crate::parameters::refused_row;

/// The active days of many groups.
#[derive(Debug)]
pub(crate) struct DayGroups {
    question: Question,
    days: LocalDays,
    cut: Cut,
    sets: DaySets,
    /// By group, as far as rows gave one; empty while none did.
    frames: Vec<Option<Frame>>,
}

impl DayGroups {
    /// No groups yet; the cut was made with these local days.
    pub(crate) fn new(question: Question, days: LocalDays, cut: Cut) -> Self {
        Self {
            question,
            days,
            cut,
            sets: DaySets::new(),
            frames: Vec::new(),
        }
    }

    /// Rows whose span is the same for all: the fast way.
    fn update_constant(
        &mut self,
        ts: &ArrayRef,
        groups: &[usize],
        filter: Option<&BooleanArray>,
        span: Span,
    ) -> Result<()> {
        let refused = refused_row(self.question.function(), "ts");
        let (instants, nulls) = Moments::of(ts)?
            .into_instants(&self.days)
            .map_err(&refused)?;
        let counted = rows::counted(filter, nulls.as_ref());
        let (days, sets) = (&mut self.days, &mut self.sets);
        if days.zone() == Zone::Utc {
            // One division a row, and no branch that rows in another order than time's would miss.
            return rows::for_each(groups.len(), counted.as_ref(), |row| {
                let instant = instants[row];
                if span.from_us <= instant && instant < span.to_us {
                    sets.insert(groups[row], utc_day_checked(instant).map_err(&refused)?);
                }
                Ok(())
            });
        }
        let mut last_group = usize::MAX;
        rows::for_each(groups.len(), counted.as_ref(), |row| {
            let (instant, group) = (instants[row], groups[row]);
            if instant < span.from_us || instant >= span.to_us {
                return Ok(());
            }
            // Clustered rows mostly repeat the group and the day of the row before.
            if group != last_group || !days.is_same_day(instant) {
                sets.insert(group, days.day(instant).map_err(&refused)?);
                last_group = group;
            }
            Ok(())
        })
    }

    /// Rows that bring their own bounds.
    fn update_columns(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let function = self.question.function();
        let ts = Moments::of(&values[0])?;
        let bounds: Vec<(&'static str, Moments)> = self
            .question
            .bounds()
            .iter()
            .zip(&values[1..])
            .map(|(&argument, array)| Ok((argument, Moments::of(array)?)))
            .collect::<Result<_>>()?;
        let counted = rows::counted(filter, None);
        let mut known: Option<([i64; 2], Span)> = None;
        rows::for_each(groups.len(), counted.as_ref(), |row| {
            let mut instants = [0; 2];
            for (instant, (argument, moments)) in instants.iter_mut().zip(&bounds) {
                let Some(found) = moments.at(row, edge_of(argument), &self.days) else {
                    return Ok(());
                };
                *instant = found.map_err(refused_row(function, argument))?;
            }
            let span = match known {
                Some((of, span)) if of == instants => span,
                _ => self.span(instants, bounds.len())?,
            };
            known = Some((instants, span));
            if let Some(frame) = span.frame {
                self.set_frame(groups[row], frame)?;
            }
            let Some(instant) = ts.at(row, Edge::Start, &self.days) else {
                return Ok(());
            };
            let instant = instant.map_err(refused_row(function, "ts"))?;
            if span.from_us <= instant && instant < span.to_us {
                let day = self
                    .days
                    .day(instant)
                    .map_err(refused_row(function, "ts"))?;
                self.sets.insert(groups[row], day);
            }
            Ok(())
        })
    }

    fn span(&mut self, instants: [i64; 2], bounds: usize) -> Result<Span> {
        let function = self.question.function();
        if bounds == 1 {
            span_until(instants[0], &mut self.days).map_err(refused_row(function, "as_of"))
        } else {
            span_between(instants[0], instants[1], &mut self.days)
                .map_err(refused_row(function, "since or until"))
        }
    }

    /// Notes the frame of a group; all its rows must agree.
    fn set_frame(&mut self, group: usize, frame: Frame) -> Result<()> {
        if !self.question.needs_frame() {
            return Ok(());
        }
        if self.frames.len() < self.sets.len() {
            self.frames.resize(self.sets.len(), None);
        }
        match self.frames[group].replace(frame) {
            Some(before) if before != frame => {
                let function = self.question.function();
                let bounds = self.question.bounds().join(" and ");
                exec_err!("{function}: {bounds} must fall on the same day in all rows of a group")
            }
            _ => Ok(()),
        }
    }

    fn frame(&self, group: usize) -> Option<Frame> {
        match self.cut {
            Cut::Constant(span) => span.frame,
            Cut::Columns => self.frames.get(group).copied().flatten(),
        }
    }

    /// The answer of a group in days, and the days to divide it by.
    fn count(&self, group: usize, scratch: &mut DaySet) -> Option<i64> {
        match self.question {
            Question::ActiveDays | Question::UsageFrequency => {
                Some(i64::from(self.sets.days(group)))
            }
            Question::DaysInactive => {
                let today = self.frame(group)?.today;
                Some(i64::from(today) - i64::from(self.sets.last(group)?))
            }
            Question::LongestGap => {
                self.sets.copy_to(group, scratch);
                scratch.longest_gap().map(i64::from)
            }
            Question::Streak => {
                let Some(frame) = self.frame(group) else {
                    return self.of_no_frame();
                };
                self.sets.copy_to(group, scratch);
                Some(i64::from(scratch.streak(frame.today)))
            }
        }
    }

    /// Days where no frame is known: 0 when no row brought one, NULL when it is a NULL constant.
    fn of_no_frame(&self) -> Option<i64> {
        matches!(self.cut, Cut::Columns).then_some(0)
    }

    /// What of a group's days the answer needs.
    fn copy_needed(&self, group: usize, scratch: &mut DaySet) {
        if self.question == Question::DaysInactive {
            scratch.clear();
            scratch.extend(self.sets.last(group));
        } else {
            self.sets.copy_to(group, scratch);
        }
    }
}

impl GroupedState for DayGroups {
    fn fresh(&self) -> Self {
        Self::new(self.question, LocalDays::new(self.days.zone()), self.cut)
    }

    fn len(&self) -> usize {
        self.sets.len()
    }

    fn grow(&mut self, groups: usize) {
        self.sets.grow(groups);
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        match self.cut {
            Cut::Constant(span) => self.update_constant(&values[0], groups, filter, span),
            Cut::Columns => self.update_columns(values, groups, filter),
        }
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let days = states[0].as_binary::<i64>();
        let today = states[1].as_primitive::<Int32Type>();
        let days_of_period = states[2].as_primitive::<UInt32Type>();
        for (row, &group) in groups.iter().enumerate() {
            if days.is_valid(row) {
                let set = DaySet::from_bytes(days.value(row))
                    .map_err(refused_row(self.question.function(), "state:"))?;
                self.sets.merge(group, &set);
            }
            if matches!(self.cut, Cut::Columns) && today.is_valid(row) {
                let frame = Frame {
                    today: today.value(row),
                    days: days_of_period.value(row),
                };
                self.set_frame(group, frame)?;
            }
        }
        Ok(())
    }

    fn results(&mut self, count: usize) -> Result<ArrayRef> {
        let mut scratch = DaySet::new();
        let counts = (0..count).map(|group| self.count(group, &mut scratch));
        if self.question != Question::UsageFrequency {
            return Ok(Arc::new(counts.collect::<Int64Array>()));
        }
        let shares = counts
            .enumerate()
            .map(|(group, active)| match self.frame(group) {
                Some(frame) => ratio(active? as f64, f64::from(frame.days)),
                None => self.of_no_frame().map(|days| days as f64),
            });
        Ok(Arc::new(shares.collect::<Float64Array>()))
    }

    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        let mut days = LargeBinaryBuilder::with_capacity(count, 16 * count);
        let mut today = Int32Builder::with_capacity(count);
        let mut days_of_period = UInt32Builder::with_capacity(count);
        let (mut scratch, mut bytes) = (DaySet::new(), Vec::new());
        for group in 0..count {
            if self.sets.is_empty_of(group) {
                days.append_null();
            } else {
                self.copy_needed(group, &mut scratch);
                bytes.clear();
                scratch.write(&mut bytes);
                days.append_value(&bytes);
            }
            let frame = self.frame(group);
            today.append_option(frame.map(|frame| frame.today));
            days_of_period.append_option(frame.map(|frame| frame.days));
        }
        Ok(vec![
            Arc::new(days.finish()),
            Arc::new(today.finish()),
            Arc::new(days_of_period.finish()),
        ])
    }

    fn remove_first(&mut self, count: usize) {
        self.sets.remove_first(count);
        self.frames.drain(..count.min(self.frames.len()));
    }

    fn heap_bytes(&self) -> usize {
        self.sets.heap_bytes() + self.frames.capacity() * size_of::<Option<Frame>>()
    }
}

//! The visiting order: each entity's rows of a slice in time order, slice after slice.

use std::ops::Range;

use vitalog_store::{Result, RowFilter, Run, Section, Selection, Slice};

use super::Entity;

/// Visits slices and keeps what it needs between them.
pub(super) struct Visitor<'a> {
    entity: Entity,
    filter: &'a RowFilter,
    several_runs: &'a [bool],
    /// Slice number at which an entity was last seen, from 1; only where a slice has several
    /// sections.
    seen: Vec<u32>,
    slice: u32,
    /// Times of one entity whose runs are merged.
    merged: Vec<i64>,
}

/// A run that waits to be merged with others of its entity.
struct Waiting<'a> {
    entity: u32,
    times: &'a [i64],
}

impl<'a> Visitor<'a> {
    pub fn new(entity: Entity, filter: &'a RowFilter, several_runs: &'a [bool]) -> Self {
        let seen = vec![0; several_runs.len()];
        Self {
            entity,
            filter,
            several_runs,
            seen,
            slice: 0,
            merged: Vec::new(),
        }
    }

    /// Calls `visit` with each entity of the slice and its times, ascending; an entity may be
    /// visited in several calls, which follow each other in time.
    ///
    /// Cost: one call a run where an entity has one run; a copy and a sort of the times of
    /// entities that have several.
    pub fn slice(&mut self, slice: &Slice, mut visit: impl FnMut(u32, &[i64])) -> Result<()> {
        self.slice += 1;
        let opened: Vec<_> = slice
            .sections
            .iter()
            .map(|section| section.open())
            .collect();
        let sections: Vec<&Section> = opened.iter().map(AsRef::as_ref).collect();
        let in_several = self.mark_entities_of_several_sections(&sections)?;
        let mut waiting = Vec::new();
        for section in sections {
            let times = section.times()?;
            for_each_piece(section, self.filter, |run, rows| {
                let entity = self.entity.of(run);
                let at = entity as usize;
                let times = &times[rows];
                if self.several_runs[at] || (in_several && self.seen[at] == self.slice) {
                    waiting.push(Waiting { entity, times });
                } else {
                    visit(entity, times);
                }
            })?;
        }
        self.merge(waiting, visit);
        Ok(())
    }

    /// Leaves `seen` at this slice's number for exactly the entities that have runs in more than
    /// one of its sections. False where there is only one section.
    fn mark_entities_of_several_sections(&mut self, sections: &[&Section]) -> Result<bool> {
        if sections.len() < 2 {
            return Ok(false);
        }
        // Numbers go up by two a slice, so that the even one can say "in one section so far".
        self.slice += 1;
        let (once, several) = (self.slice - 1, self.slice);
        for section in sections {
            for run in section.runs_of_members()? {
                let seen = &mut self.seen[self.entity.of(&run) as usize];
                *seen = if *seen == once || *seen == several {
                    several
                } else {
                    once
                };
            }
        }
        Ok(true)
    }

    fn merge(&mut self, mut waiting: Vec<Waiting<'_>>, mut visit: impl FnMut(u32, &[i64])) {
        waiting.sort_by_key(|run| run.entity);
        for runs in waiting.chunk_by(|left, right| left.entity == right.entity) {
            if let [only] = runs {
                visit(only.entity, only.times);
                continue;
            }
            self.merged.clear();
            for run in runs {
                self.merged.extend_from_slice(run.times);
            }
            self.merged.sort_unstable();
            visit(runs[0].entity, &self.merged);
        }
    }
}

/// Calls `visit` with each run and those of its rows that pass `filter`, cut where rows between
/// them do not.
pub(super) fn for_each_piece(
    section: &Section,
    filter: &RowFilter,
    mut visit: impl FnMut(&Run, Range<usize>),
) -> Result<()> {
    if section.is_kept_whole_by(filter) {
        for run in section.runs_of_members()? {
            visit(&run, run.rows.clone());
        }
        return Ok(());
    }
    let selection: Selection = section.select(filter)?;
    let mut ranges = selection.ranges().iter().cloned().peekable();
    for run in section.runs_of_members()? {
        while let Some(range) = ranges.peek_mut() {
            let end = range.end.min(run.rows.end);
            if range.start >= end {
                break;
            }
            visit(&run, range.start..end);
            range.start = end;
            if range.start == range.end {
                ranges.next();
            }
        }
    }
    Ok(())
}

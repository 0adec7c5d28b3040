//! Funnels where an event serves one step of a chain only.
//!
//! All chains count here, not only the last to reach a step, because an event that one chain has
//! used may be free for another. Their number grows without bound, but only two things about them
//! matter: how many steps a chain has, and when it began, of which the latest is the best. Events
//! of different times are different, so a chain cannot meet an event twice but among those of one
//! time. There it takes consecutive steps with as many events: a matching. Invariant: the depth is
//! that of following every chain, and the memory is that of one number a step.

use crate::funnel::{Funnel, FunnelEvent, STEPS_MAX, Verdict, steps_of};

/// Chains by their number of steps.
#[derive(Debug, Clone, Copy, Default)]
struct Chains {
    /// When the chain that began latest, among those with at least the step of this index, began.
    starts_us: [i64; STEPS_MAX],
    /// Steps of the longest.
    depth: usize,
}

impl Chains {
    fn set(&mut self, step: usize, start_us: i64) {
        let known = step < self.depth;
        if !known || self.starts_us[step] < start_us {
            self.starts_us[step] = start_us;
        }
        self.depth = self.depth.max(step + 1);
    }

    /// When the best chain of `steps` steps that may go on at `time_us` began.
    fn open(&self, funnel: &Funnel, steps: usize, time_us: i64) -> Option<i64> {
        let start_us = self.starts_us[..self.depth].get(steps.checked_sub(1)?)?;
        funnel.is_open(*start_us, time_us).then_some(*start_us)
    }
}

/// The deepest step reached by sorted events.
pub(crate) fn depth(funnel: &Funnel, events: &[FunnelEvent]) -> u32 {
    let mut chains = Chains::default();
    let mut run = Run::default();
    for events in events.chunk_by(|event, next| event.time_us == next.time_us) {
        // An event without a step sorts before all others of its time.
        if funnel.modes().strict_order && events[0].steps == 0 && chains.depth > 0 {
            break;
        }
        run.read(events);
        if !run.visit(funnel, &mut chains) {
            break;
        }
    }
    chains.depth as u32
}

/// The events of one time.
#[derive(Debug, Default)]
struct Run {
    time_us: i64,
    /// The steps that each meets, sorted; no more alike than a chain has steps.
    rows: Vec<u32>,
    /// The steps that any meets.
    any: u32,
    /// While a matching is made: the step that each serves.
    serves: Vec<Option<usize>>,
}

impl Run {
    fn read(&mut self, events: &[FunnelEvent]) {
        self.time_us = events[0].time_us;
        self.any = 0;
        self.rows.clear();
        for alike in events.chunk_by(|event, next| event.steps == next.steps) {
            self.any |= alike[0].steps;
            let needed = alike.len().min(STEPS_MAX);
            self.rows.extend(alike[..needed].iter().map(|e| e.steps));
        }
    }

    /// Adds the events, step by step; false where one ends the funnel.
    fn visit(&mut self, funnel: &Funnel, chains: &mut Chains) -> bool {
        let before = *chains;
        for step in steps_of(self.any) {
            if step == 0 {
                chains.set(0, self.time_us);
                continue;
            }
            for fixed in self.candidates(funnel, step) {
                match funnel.verdict(step, chains.depth) {
                    Verdict::Ends => return false,
                    Verdict::Passes => break,
                    Verdict::Follows => {}
                }
                if let Some(start_us) = self.reach(funnel, &before, step, fixed) {
                    chains.set(step, start_us);
                }
            }
        }
        true
    }

    /// The events of a step, one by one where the next one ends the funnel, so that it matters
    /// which of them took the step; else any of them.
    fn candidates(&self, funnel: &Funnel, step: usize) -> Vec<Option<usize>> {
        if !funnel.modes().strict_deduplication {
            return vec![None];
        }
        let meets = |&row: &usize| self.rows[row] >> step & 1 == 1;
        (0..self.rows.len()).filter(meets).map(Some).collect()
    }

    /// When the best chain began that takes `step` at this time, with the event `fixed` where
    /// there is one, coming from the chains `before` or from the first step at this time.
    fn reach(
        &mut self,
        funnel: &Funnel,
        before: &Chains,
        step: usize,
        fixed: Option<usize>,
    ) -> Option<i64> {
        if funnel.modes().strict_increase || self.rows.len() == 1 {
            return before.open(funnel, step, self.time_us);
        }
        self.serves.clear();
        self.serves.resize(self.rows.len(), None);
        match fixed {
            Some(row) => self.serves[row] = Some(step),
            None => {
                self.serve(step, fixed, &mut vec![false; self.rows.len()]);
            }
        }
        // The more steps are taken now, the later the chain may have begun.
        let mut first = step;
        while first > 0 && self.serve(first - 1, fixed, &mut vec![false; self.rows.len()]) {
            first -= 1;
        }
        match first {
            0 => Some(self.time_us),
            steps => before.open(funnel, steps, self.time_us),
        }
    }

    /// Finds an event for a step, moving others to other events where needed; false where there is
    /// none. This is the augmenting path of a bipartite matching.
    fn serve(&mut self, step: usize, fixed: Option<usize>, seen: &mut [bool]) -> bool {
        for row in 0..self.rows.len() {
            if self.rows[row] >> step & 1 == 0 || seen[row] || fixed == Some(row) {
                continue;
            }
            seen[row] = true;
            let is_free = match self.serves[row] {
                None => true,
                Some(other) => self.serve(other, fixed, seen),
            };
            if is_free {
                self.serves[row] = Some(step);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::funnel::FunnelModes;

    fn check(window_us: i64, modes: FunnelModes, events: &[(i64, u32)], expected: u32) {
        let modes = FunnelModes {
            strict_once: true,
            ..modes
        };
        let funnel = Funnel::new(window_us, modes).expect("a funnel");
        let mut events: Vec<FunnelEvent> = events
            .iter()
            .map(|&(time_us, steps)| FunnelEvent { time_us, steps })
            .collect();
        assert_eq!(funnel.depth(&mut events), expected, "{events:?}");
    }

    #[test]
    fn events_of_one_time_are_given_out_once() {
        let modes = FunnelModes::default();
        check(9, modes, &[(1, 0b111)], 1);
        check(9, modes, &[(1, 0b111), (1, 0b111)], 2);
        // The first must serve the second step for the other two to have one each.
        check(9, modes, &[(1, 0b010), (1, 0b111), (1, 0b101)], 3);
        check(
            9,
            modes,
            &[(1, 0b001), (1, 0b110), (1, 0b110), (1, 0b100)],
            3,
        );
        check(9, modes, &[(1, 0b001), (1, 0b010), (2, 0b110)], 3);
    }

    #[test]
    fn a_later_start_keeps_the_window_open() {
        let modes = FunnelModes::default();
        check(5, modes, &[(0, 1), (3, 1), (4, 2), (8, 4)], 3);
        check(5, modes, &[(0, 1), (4, 2), (5, 1), (8, 4)], 2);
    }

    /// As many chains as 20 over 10, followed one by one, would take hours.
    #[test]
    fn many_chains_cost_nothing() {
        let events: Vec<(i64, u32)> = (0..4000).map(|time| (time, u32::MAX)).collect();
        check(10_000, FunnelModes::default(), &events, 32);
        let at_once: Vec<(i64, u32)> = (0..4000).map(|_| (7, u32::MAX)).collect();
        check(10_000, FunnelModes::default(), &at_once, 32);
    }
}

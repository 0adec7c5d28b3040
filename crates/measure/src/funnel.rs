//! Funnels: how deep into a sequence of steps the events of one entity went within a window.
//!
//! The semantics are those of ClickHouse's `windowFunnel` (26.9), on microseconds: an event that
//! meets several steps stands once for each of them, events are visited in the order of time and
//! then of step, and each step keeps the chain that reached it last. With `strict_once` all chains
//! are kept, see `funnel_once.rs`. Invariant: events of one time are sorted by the steps that they
//! meet, so the answer depends on the bag of events alone, where ClickHouse's may depend on the
//! order of rows.

use crate::{Error, funnel_once};

/// Most steps of a funnel.
pub const STEPS_MAX: usize = 32;

/// An event as a funnel sees it. Ordered by time, then by steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunnelEvent {
    /// When it happened, µs since 1970.
    pub time_us: i64,
    /// Which steps it meets: bit 0 is the first step.
    pub steps: u32,
}

/// What makes a funnel stricter. By default nothing does: other events may come between two steps,
/// steps may repeat, and events of one time follow each other in the order of the steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FunnelModes {
    /// Once the first step is reached, an event that meets no step, or a step whose predecessor
    /// was not reached, ends the funnel.
    pub strict_order: bool,
    /// An event of a step that was reached, other than the first, ends the funnel.
    pub strict_deduplication: bool,
    /// Each step must be strictly later than the one before.
    pub strict_increase: bool,
    /// An event serves one step of a chain only.
    pub strict_once: bool,
    /// With `strict_order`: a step whose predecessor was not reached is passed over instead.
    pub allow_reentry: bool,
}

/// A funnel: its window and its modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Funnel {
    window_us: i64,
    modes: FunnelModes,
}

impl Funnel {
    /// A funnel whose last step comes at most `window_us` after its first.
    ///
    /// # Errors
    /// [`Error::Negative`] for a negative window, [`Error::Reentry`] for `allow_reentry` without
    /// `strict_order`.
    pub fn new(window_us: i64, modes: FunnelModes) -> Result<Self, Error> {
        if window_us < 0 {
            return Err(Error::Negative(window_us));
        }
        if modes.allow_reentry && !modes.strict_order {
            return Err(Error::Reentry);
        }
        Ok(Self { window_us, modes })
    }

    /// Whether an event that meets these steps can change an answer: one that meets none can with
    /// `strict_order` only.
    pub fn needs(&self, steps: u32) -> bool {
        steps != 0 || self.modes.strict_order
    }

    /// The deepest step reached, 0 for none. Sorts the events.
    ///
    /// Cost: O(n log n) for n events. With `strict_once` events of one time add the search for a
    /// matching of steps to events; the number of chains does not matter.
    pub fn depth(&self, events: &mut [FunnelEvent]) -> u32 {
        events.sort_unstable();
        if self.modes.strict_once {
            funnel_once::depth(self, events)
        } else {
            self.depth_of_last_chains(events)
        }
    }

    pub(crate) fn modes(&self) -> FunnelModes {
        self.modes
    }

    /// Whether a chain that began at `start_us` may still take a step.
    pub(crate) fn is_open(&self, start_us: i64, time_us: i64) -> bool {
        time_us <= start_us.saturating_add(self.window_us)
    }

    /// The depth where each step keeps the last chain that reached it.
    fn depth_of_last_chains(&self, events: &[FunnelEvent]) -> u32 {
        let mut chains = LastChains::default();
        for run in events.chunk_by(|event, next| event.time_us == next.time_us) {
            // An event without a step sorts before all others of its time.
            if self.modes.strict_order && run[0].steps == 0 && chains.depth > 0 {
                break;
            }
            let (once, twice) = run.iter().fold((0, 0), |(once, twice), event| {
                (once | event.steps, twice | (once & event.steps))
            });
            for step in steps_of(once) {
                // What happens once more at the same time changes nothing but with
                // strict_deduplication, and a third time not even then.
                for _ in 0..=(twice >> step & 1) {
                    if !self.visit(&mut chains, step, run[0].time_us) {
                        return chains.depth as u32;
                    }
                }
            }
        }
        chains.depth as u32
    }

    /// Adds an event of a step; false where it ends the funnel.
    fn visit(&self, chains: &mut LastChains, step: usize, time_us: i64) -> bool {
        if step == 0 {
            chains.set(0, time_us, time_us);
            return true;
        }
        match self.verdict(step, chains.depth) {
            Verdict::Ends => return false,
            Verdict::Passes => return true,
            Verdict::Follows => {}
        }
        let (start_us, last_us) = chains.of[step - 1];
        let is_later = !self.modes.strict_increase || last_us < time_us;
        if is_later && self.is_open(start_us, time_us) {
            chains.set(step, start_us, time_us);
        }
        true
    }

    /// What an event of a step other than the first does where `depth` steps were reached.
    pub(crate) fn verdict(&self, step: usize, depth: usize) -> Verdict {
        let modes = self.modes;
        if modes.strict_deduplication && step < depth {
            Verdict::Ends
        } else if step <= depth {
            Verdict::Follows
        } else if modes.strict_order && depth > 0 && !modes.allow_reentry {
            Verdict::Ends
        } else {
            Verdict::Passes
        }
    }
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It ends the funnel.
    Ends,
    /// It changes nothing.
    Passes,
    /// It may lengthen a chain that reached the step before.
    Follows,
}

/// For each step reached, the chain that reached it last: when it began, and that step's time.
#[derive(Debug, Default)]
struct LastChains {
    of: [(i64, i64); STEPS_MAX],
    /// Steps reached; they have no gap.
    depth: usize,
}

impl LastChains {
    fn set(&mut self, step: usize, start_us: i64, last_us: i64) {
        self.of[step] = (start_us, last_us);
        self.depth = self.depth.max(step + 1);
    }
}

/// The steps whose bits are set, in order.
pub(crate) fn steps_of(steps: u32) -> impl Iterator<Item = usize> {
    (0..STEPS_MAX).filter(move |step| steps >> step & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused() {
        let reentry = FunnelModes {
            allow_reentry: true,
            ..FunnelModes::default()
        };
        assert_eq!(Funnel::new(1, reentry), Err(Error::Reentry));
        assert_eq!(
            Funnel::new(-1, FunnelModes::default()),
            Err(Error::Negative(-1))
        );
    }

    #[test]
    fn all_32_steps() {
        let once = FunnelModes {
            strict_once: true,
            ..FunnelModes::default()
        };
        for modes in [FunnelModes::default(), once] {
            let funnel = Funnel::new(31, modes).expect("a funnel");
            let mut events: Vec<FunnelEvent> = (0..32)
                .map(|step| FunnelEvent {
                    time_us: step,
                    steps: 1 << step,
                })
                .collect();
            assert_eq!(funnel.depth(&mut events), 32);
            assert_eq!(funnel.depth(&mut events[..31]), 31);
            assert_eq!(funnel.depth(&mut []), 0);
        }
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let funnel = Funnel::new(i64::MAX, FunnelModes::default()).expect("a funnel");
        let event = |time_us, steps| FunnelEvent { time_us, steps };
        assert_eq!(
            funnel.depth(&mut [event(i64::MAX, 2), event(i64::MAX - 1, 1)]),
            2
        );
        assert_eq!(funnel.depth(&mut [event(1, 2), event(i64::MIN, 1)]), 1);
    }
}

//! How the accounts of the demonstration fare: busy, drifting, leaving, new, or in trouble.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::demo::DEMO_DAYS;

const CHURNING: usize = 11;
/// Of those, how many have said that they leave; the others are silent only.
const LEFT: usize = 6;
const DRIFTING: usize = 13;
const NEW: usize = 3;

/// Days from the first sign to silence of the account that leaves last: long enough for its own
/// trend, over two periods of 28 days, to tell weeks before.
const LAST_DECLINE_DAYS: u32 = 56;
/// The first day on which it may be silent; all others are by then.
const LAST_SILENT_MIN: u32 = DEMO_DAYS - 14;

/// How an account fares over the days of the demonstration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    /// As busy as ever, or busier: `growth` is what is added until the last day, a share.
    Healthy {
        growth: f64,
        trouble: Option<Trouble>,
    },
    /// Slowly less from `onset` on, to a quarter on the last day.
    Drifting { onset: u32 },
    /// Ever less from `onset` on, and silent from `silent` on; gone with notice where `left`.
    Churning { onset: u32, silent: u32, left: bool },
    /// A customer since the day `since`.
    New { since: u32 },
}

/// What is wrong with an account that uses the product as ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// An invoice is overdue.
    UnpaidInvoice,
    /// Tickets came in this week and none was solved.
    TicketSpike,
}

impl Fate {
    /// The fates of `count` accounts, shuffled. One account, always the same by kind, leaves last,
    /// a week or two before the last day.
    pub(super) fn draw_all(rng: &mut ChaCha8Rng, count: usize) -> Vec<Self> {
        let mut fates: Vec<Self> = (0..count).map(|index| Self::draw(rng, index)).collect();
        fates.shuffle(rng);
        fates
    }

    fn draw(rng: &mut ChaCha8Rng, index: usize) -> Self {
        if index == 0 {
            let silent = rng.random_range(LAST_SILENT_MIN..DEMO_DAYS - 7);
            let onset = silent - LAST_DECLINE_DAYS;
            let left = true;
            return Self::Churning {
                onset,
                silent,
                left,
            };
        }
        if index < CHURNING {
            let silent = rng.random_range(75..100);
            return Self::Churning {
                onset: rng.random_range(15..45),
                silent,
                left: index < LEFT,
            };
        }
        if index < CHURNING + DRIFTING {
            let onset = rng.random_range(30..80);
            return Self::Drifting { onset };
        }
        if index < CHURNING + DRIFTING + NEW {
            let since = rng.random_range(DEMO_DAYS - 35..DEMO_DAYS - 12);
            return Self::New { since };
        }
        let trouble = match index - (CHURNING + DRIFTING + NEW) {
            0 => Some(Trouble::UnpaidInvoice),
            1 => Some(Trouble::TicketSpike),
            _ => None,
        };
        let growth = rng.random_range(-0.05..0.35);
        Self::Healthy { growth, trouble }
    }

    /// Activity on a day of the demonstration (from 0), 1 being the usual.
    pub(super) fn activity(self, day: u32) -> f64 {
        let progress = |from: u32, until: u32| {
            f64::from(day.saturating_sub(from)) / f64::from(until - from).max(1.0)
        };
        match self {
            Self::Healthy { growth, .. } => 1.0 + growth * progress(0, DEMO_DAYS),
            Self::Drifting { onset } => 1.0 - 0.75 * progress(onset, DEMO_DAYS),
            Self::Churning { silent, .. } if day >= silent => 0.0,
            Self::Churning { onset, silent, .. } => 1.0 - 0.9 * progress(onset, silent),
            Self::New { since } if day < since => 0.0,
            Self::New { .. } => 1.0,
        }
    }

    /// The days of the demonstration on which it is a customer that answers: from, until.
    pub(super) fn days(self) -> (u32, u32) {
        match self {
            Self::Churning { silent, .. } => (0, silent),
            Self::New { since } => (since, DEMO_DAYS),
            Self::Healthy { .. } | Self::Drifting { .. } => (0, DEMO_DAYS),
        }
    }

    /// The day from which on things go wrong; past the last day where they do not.
    pub(super) fn onset(self) -> u32 {
        match self {
            Self::Drifting { onset } | Self::Churning { onset, .. } => onset,
            Self::Healthy { .. } | Self::New { .. } => DEMO_DAYS,
        }
    }

    /// How many of the 20 features the account ever took up.
    pub(super) fn features(self, rng: &mut ChaCha8Rng) -> usize {
        match self {
            Self::Healthy { .. } => rng.random_range(13..=20),
            Self::New { .. } => rng.random_range(9..=14),
            Self::Drifting { .. } => rng.random_range(8..=13),
            Self::Churning { .. } => rng.random_range(4..=9),
        }
    }

    /// How many of `steps` of its onboarding the account ever did.
    pub(super) fn steps(self, rng: &mut ChaCha8Rng, steps: usize) -> usize {
        let left_out = match self {
            Self::Healthy { .. } => rng.random_range(0..=1),
            Self::Drifting { .. } | Self::New { .. } => rng.random_range(1..=2),
            Self::Churning { .. } => rng.random_range(2..=4),
        };
        steps - left_out.min(steps)
    }

    /// The share of seats in use.
    pub(super) fn seat_use(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Healthy { .. } | Self::New { .. } => rng.random_range(0.75..1.0),
            Self::Drifting { .. } => rng.random_range(0.55..0.85),
            Self::Churning { .. } => rng.random_range(0.4..0.7),
        }
    }

    /// Whether it is the account that leaves last.
    pub(super) fn leaves_last(self) -> bool {
        matches!(self, Self::Churning { silent, .. } if silent >= LAST_SILENT_MIN)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn fates_run_their_course() {
        let last = DEMO_DAYS - 1;
        let healthy = Fate::Healthy {
            growth: 0.2,
            trouble: None,
        };
        assert!(healthy.activity(last) > 1.1);
        let drifting = Fate::Drifting { onset: 30 };
        assert_eq!(drifting.activity(30), 1.0);
        assert!((0.2..0.3).contains(&drifting.activity(last)));
        let churning = Fate::Churning {
            onset: 20,
            silent: 70,
            left: true,
        };
        assert!(churning.activity(69) > 0.0);
        assert_eq!(churning.activity(70), 0.0);
        let new = Fate::New { since: 100 };
        assert_eq!((new.activity(99), new.activity(100)), (0.0, 1.0));
    }

    #[test]
    fn one_account_leaves_last() {
        for seed in 0..20 {
            let fates = Fate::draw_all(&mut ChaCha8Rng::seed_from_u64(seed), 60);
            let last: Vec<_> = fates.iter().filter(|fate| fate.leaves_last()).collect();
            assert_eq!(last.len(), 1, "seed {seed}");
            let silence = |fate: &Fate| match *fate {
                Fate::Churning {
                    silent, left: true, ..
                } => silent,
                _ => 0,
            };
            assert_eq!(fates.iter().map(silence).max(), Some(silence(last[0])));
        }
    }
}

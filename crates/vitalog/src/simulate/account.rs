//! How an account's activity moves over the days: steady, decaying or growing.

use rand::Rng;

/// The course of an account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Trend {
    /// The same on every day.
    Steady,
    /// From `onset` on 4 % less each day, and silent once a fiftieth is left.
    Decaying { onset: u32 },
    /// A quarter until `onset`, then linearly up to double on the last day.
    Growing { onset: u32 },
}

impl Trend {
    /// 20 % decay, 15 % grow; a course turns in the first six tenths of the days.
    pub(super) fn draw(rng: &mut impl Rng, days: u32) -> Self {
        let onset = rng.random_range(0..=days * 6 / 10);
        match rng.random_range(0..100) {
            0..20 => Self::Decaying { onset },
            20..35 => Self::Growing { onset },
            _ => Self::Steady,
        }
    }

    /// Activity on `day` of `days`, 1 being the usual; `before` is the activity of the day before
    /// (1 on the first).
    pub(super) fn activity(self, day: u32, days: u32, before: f64) -> f64 {
        match self {
            Self::Steady => 1.0,
            Self::Decaying { onset } if day < onset => 1.0,
            Self::Decaying { .. } => {
                let activity = before * 0.96;
                if activity < 0.02 { 0.0 } else { activity }
            }
            Self::Growing { onset } if day < onset => 0.25,
            Self::Growing { onset } => {
                let span = f64::from(days.saturating_sub(onset).max(1));
                0.25 + 1.75 * f64::from(day - onset) / span
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(trend: Trend, days: u32) -> Vec<f64> {
        let mut activity = 1.0;
        (0..days)
            .map(|day| {
                activity = trend.activity(day, days, activity);
                activity
            })
            .collect()
    }

    #[test]
    fn courses_go_where_their_names_say() {
        assert!(
            course(Trend::Steady, 30)
                .iter()
                .all(|activity| *activity == 1.0)
        );
        let decaying = course(Trend::Decaying { onset: 10 }, 180);
        assert!(decaying[..10].iter().all(|activity| *activity == 1.0));
        assert!(decaying.is_sorted_by(|left, right| left >= right));
        assert_eq!(decaying[179], 0.0);
        let growing = course(Trend::Growing { onset: 10 }, 180);
        assert!(growing.is_sorted());
        assert!(growing[0] == 0.25 && growing[179] > 1.9);
    }
}

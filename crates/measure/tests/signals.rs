//! Properties of risk, rollup, trend, sessions and lifecycle against plain models.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use vitalog_measure::calendar::DAY_US;
use vitalog_measure::risk::{churn_risk, severity};
use vitalog_measure::rollup::rollup;
use vitalog_measure::session::session_starts;
use vitalog_measure::{Activity, Lifecycle, Period, Trend};

type Pairs = Vec<(Option<f64>, Option<f64>)>;

fn fraction() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![1 => Just(None), 1 => Just(Some(0.0)), 1 => Just(Some(1.0)), 6 => (0.0..=1.0f64).prop_map(Some)]
}

/// Pairs, and the same in another order.
fn pairs(left: impl Strategy<Value = Option<f64>>) -> impl Strategy<Value = (Pairs, Pairs)> {
    prop::collection::vec((left, fraction()), 0..12)
        .prop_flat_map(|pairs| (Just(pairs.clone()), Just(pairs).prop_shuffle()))
}

fn bits(answer: Option<f64>) -> Option<u64> {
    answer.map(f64::to_bits)
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * expected.abs().max(1.0)
}

proptest! {
    #[test]
    fn risk_is_bounded_and_any_order_gives_the_same_bits((signals, shuffled) in pairs(fraction())) {
        let risk = churn_risk(signals.iter().copied()).unwrap();
        prop_assert_eq!(bits(risk), bits(churn_risk(shuffled).unwrap()));
        let known: Vec<f64> = signals.iter().filter_map(|(s, w)| Some((*s)? * (*w)?)).collect();
        prop_assert_eq!(risk.is_none(), known.is_empty());
        if let Some(risk) = risk {
            prop_assert!((0.0..=100.0).contains(&risk));
            let safe: f64 = known.iter().map(|known| 1.0 - known).product();
            prop_assert!(near(risk, 100.0 * (1.0 - safe)));
            // One more signal never means less risk.
            let more = signals.iter().copied().chain([(Some(0.5), Some(0.5))]);
            prop_assert!(churn_risk(more).unwrap().unwrap() >= risk);
        }
    }

    #[test]
    fn rollup_lies_between_the_scores_in_any_order(
        (scores, shuffled) in pairs(prop::option::weighted(0.8, 1.0..100.0f64)),
    ) {
        let mean = rollup(scores.iter().copied()).unwrap();
        prop_assert_eq!(bits(mean), bits(rollup(shuffled).unwrap()));
        let known = || scores.iter().filter_map(|(s, w)| Some(((*s)?, (*w)?))).filter(|p| p.1 > 0.0);
        let weights: f64 = known().map(|pair| pair.1).sum();
        match mean {
            None => prop_assert_eq!(known().count(), 0),
            Some(mean) => {
                let expected = known().map(|pair| pair.0 * pair.1).sum::<f64>() / weights;
                prop_assert!(near(mean, expected), "{} {}", mean, expected);
            }
        }
    }

    #[test]
    fn severity_falls_as_the_value_gets_better(
        red in -100.0..100.0f64,
        green in -100.0..100.0f64,
        a in -150.0..150.0f64,
        b in -150.0..150.0f64,
    ) {
        let (worse, better) = if (a < b) == (red <= green) { (a, b) } else { (b, a) };
        let [worse, better] = [worse, better].map(|value| severity(value, red, green).unwrap());
        prop_assert!(0.0 <= better && better <= worse && worse <= 1.0);
        prop_assert_eq!(severity(green, red, green), Some(0.0));
        if red != green {
            prop_assert_eq!(severity(red, red, green), Some(1.0));
        }
    }

    #[test]
    fn a_trend_turned_round_is_the_opposite(
        now in 0..200i32, before in 0..200i32, threshold in 0..60i32,
    ) {
        // Halves are exact, so that ties with the threshold are, too.
        let half = |number: i32| f64::from(number) / 2.0;
        let trend = |now, before| {
            Trend::of(half(now), half(before), half(threshold)).unwrap().unwrap()
        };
        let expected = match now - before {
            0 => Trend::Flat,
            change if change >= threshold => Trend::Up,
            change if -change >= threshold => Trend::Down,
            _ => Trend::Flat,
        };
        prop_assert_eq!(trend(now, before), expected);
        let turned = match expected {
            Trend::Up => Trend::Down,
            Trend::Flat => Trend::Flat,
            Trend::Down => Trend::Up,
        };
        prop_assert_eq!(trend(before, now), turned);
    }

    #[test]
    fn sessions_equal_looking_at_all_times(
        times in prop::collection::vec(prop::option::weighted(0.9, 0..300i64), 0..60),
        gap in 0..20i64,
    ) {
        let starts = session_starts(&times, gap);
        for (row, (time, start)) in times.iter().zip(&starts).enumerate() {
            let Some(time) = time else {
                prop_assert_eq!(*start, None);
                continue;
            };
            // Nothing happened in the gap before it, nor, of equal times, in a row before.
            let begins = !times.iter().enumerate().any(|(other_row, other)| {
                other.is_some_and(|other| {
                    (time - gap..*time).contains(&other) || (other == *time && other_row < row)
                })
            });
            prop_assert_eq!(*start, Some(begins), "row {}", row);
        }
    }

    #[test]
    fn lifecycle_equals_looking_at_all_days(
        days in prop::collection::btree_set(0..40i32, 1..8),
        length in 1..15i32,
        today in 0..45i32,
        created in prop::option::of(0..40i32),
    ) {
        let instant = |day: i32| i64::from(day) * DAY_US;
        let period = |last: i32| Period {
            since_us: instant(last - length + 1),
            until_us: instant(last + 1),
            first_day: last - length + 1,
            last_day: last,
        };
        let (first, last) = (*days.first().unwrap(), *days.last().unwrap());
        let set = days.iter().copied().collect();
        let activity = Activity::new("", instant(first), instant(last), set).unwrap();
        let (now, before) = (period(today), period(today - length));
        let within = |period: &Period, day: i32| period.first_day <= day && day <= period.last_day;
        let is_active = days.iter().any(|&day| within(&now, day));
        let was_active = days.iter().any(|&day| within(&before, day));
        let is_new = within(&now, created.unwrap_or(first)) && first >= now.first_day;
        let expected = match (is_active, was_active) {
            (true, _) if is_new => Some(Lifecycle::New),
            (true, true) => Some(Lifecycle::Returning),
            (true, false) => Some(Lifecycle::Resurrecting),
            (false, true) => Some(Lifecycle::Dormant),
            (false, false) => None,
        };
        prop_assert_eq!(Lifecycle::of(&activity, &now, &before, created.map(instant)), expected);
    }
}

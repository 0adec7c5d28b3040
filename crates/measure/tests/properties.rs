//! Properties of the mathematics against plain `Vec` models: bounds, monotony, and that neither
//! order nor partitions show in the answer.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use vitalog_measure::calendar::{DAY_MAX, DAY_MIN, DAY_US, utc_day};
use vitalog_measure::normalize::normalize;
use vitalog_measure::{
    ActiveDayCounter, Activity, AsOf, Curve, DaySet, DaySets, Method, PegPopulation, Period,
    SessionCounter,
};

fn raw_score() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => 1e-3..1e6f64,
        2 => (1u32..50).prop_map(f64::from),
        1 => Just(0.0),
        1 => -100.0..0.0f64,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX]),
    ]
}

fn day() -> impl Strategy<Value = i32> {
    prop_oneof![8 => 19_900..20_300i32, 2 => -300..300i32, 1 => DAY_MIN..=DAY_MAX]
}

/// Type 7 as its definition says, on a sorted copy.
fn naive_peg(raw: &[f64], p: f64) -> Option<f64> {
    let mut kept: Vec<f64> = raw
        .iter()
        .copied()
        .filter(|r| *r > 0.0 && r.is_finite())
        .collect();
    kept.sort_by(f64::total_cmp);
    let last = kept.len().checked_sub(1)?;
    let h = last as f64 * p;
    let low = h.floor() as usize;
    let high = (low + 1).min(last);
    Some(kept[low] + (h - low as f64) * (kept[high] - kept[low]))
}

fn naive_gap(days: &BTreeSet<i32>) -> Option<u32> {
    days.iter()
        .zip(days.iter().skip(1))
        .map(|(day, next)| next.abs_diff(*day))
        .max()
}

fn naive_streak(days: &BTreeSet<i32>, today: i32) -> u32 {
    (0..)
        .take_while(|back| days.contains(&(today - *back)))
        .count() as u32
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #[test]
    fn scores_are_bounded_and_monotone(
        mut raw in prop::collection::vec(raw_score(), 1..200),
        p in 0.01..0.99f64,
        k in prop::option::of(0.0..50.0f64),
        winsor in prop::bool::ANY,
        rank in prop::bool::ANY,
    ) {
        raw.sort_by(f64::total_cmp);
        let method = match (winsor, rank) {
            (true, _) => Method::Winsor { p },
            (_, true) => Method::Rank,
            _ => Method::Curve { p, curve: Curve::new(p, k).unwrap() },
        };
        let scores = normalize(&raw, method).unwrap();
        let mut previous = 1.0;
        for (raw, score) in raw.iter().zip(&scores) {
            prop_assert_eq!(raw.is_nan(), score.is_nan());
            if !score.is_nan() {
                prop_assert!((1.0..=100.0).contains(score));
                prop_assert!(*score >= previous, "{} after {}", score, previous);
                previous = *score;
            }
        }
    }

    #[test]
    fn neighbouring_raw_scores_keep_their_order(raw in 1e-3..300.0f64, p in 0.5..0.99f64) {
        let curve = Curve::of_percentile(p).unwrap();
        let mut value = raw;
        for _ in 0..200 {
            let next = value.next_up();
            prop_assert!(
                curve.score(value, Some(208.2)).unwrap() <= curve.score(next, Some(208.2)).unwrap()
            );
            value = next;
        }
    }

    #[test]
    fn order_of_a_population_does_not_show(
        (raw, shuffled) in prop::collection::vec(raw_score(), 0..200)
            .prop_flat_map(|raw| (Just(raw.clone()), Just(raw).prop_shuffle())),
        p in 0.01..0.99f64,
    ) {
        let peg = |raw: &[f64]| raw.iter().copied().collect::<PegPopulation>().peg(p).unwrap();
        prop_assert_eq!(peg(&raw).map(f64::to_bits), peg(&shuffled).map(f64::to_bits));
    }

    #[test]
    fn partitions_of_a_population_do_not_show(
        raw in prop::collection::vec(raw_score(), 0..200),
        cut in any::<prop::sample::Index>(),
        p in 0.01..0.99f64,
    ) {
        let (left, right) = raw.split_at(cut.index(raw.len() + 1));
        let mut whole: PegPopulation = raw.iter().copied().collect();
        let mut merged: PegPopulation = right.iter().copied().collect();
        merged.merge(&left.iter().copied().collect());
        prop_assert_eq!(merged.len(), whole.len());
        let whole = whole.peg(p).unwrap();
        prop_assert_eq!(merged.peg(p).unwrap().map(f64::to_bits), whole.map(f64::to_bits));
        match (whole, naive_peg(&raw, p)) {
            (Some(peg), Some(naive)) => prop_assert!((peg - naive).abs() <= 1e-12 * naive.abs()),
            (peg, naive) => prop_assert_eq!(peg, naive),
        }
    }

    #[test]
    fn normalize_gives_each_row_the_score_of_the_peg(
        raw in prop::collection::vec(raw_score(), 0..100),
        p in 0.01..0.99f64,
    ) {
        let curve = Curve::of_percentile(p).unwrap();
        let peg = raw.iter().copied().collect::<PegPopulation>().peg(p).unwrap();
        let expected: Vec<f64> =
            raw.iter().map(|&raw| curve.score(raw, peg).unwrap().unwrap_or(f64::NAN)).collect();
        let got = normalize(&raw, Method::Curve { p, curve }).unwrap();
        prop_assert_eq!(bits(&got), bits(&expected));
    }

    #[test]
    fn day_sets_equal_their_model(
        days in prop::collection::vec(day(), 0..120),
        cut in any::<prop::sample::Index>(),
        today in day(),
        range in (day(), day()),
    ) {
        let model: BTreeSet<i32> = days.iter().copied().collect();
        let whole: DaySet = days.iter().copied().collect();
        prop_assert_eq!(whole.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(whole.len() as usize, model.len());
        prop_assert_eq!((whole.first(), whole.last()), (model.first().copied(), model.last().copied()));
        prop_assert_eq!(whole.last_until(today), model.range(..=today).next_back().copied());
        prop_assert_eq!(whole.contains(today), model.contains(&today));
        prop_assert_eq!(whole.longest_gap(), naive_gap(&model));
        for today in model.iter().copied().chain([today]) {
            prop_assert_eq!(whole.streak(today), naive_streak(&model, today));
        }
        let (first, last) = (range.0.min(range.1), range.0.max(range.1));
        prop_assert_eq!(whole.count_between(first, last) as usize, model.range(first..=last).count());

        let (left, right) = days.split_at(cut.index(days.len() + 1));
        let (left, right): (DaySet, DaySet) =
            (left.iter().copied().collect(), right.iter().copied().collect());
        let (mut forth, mut back) = (left.clone(), right.clone());
        forth.merge(&right);
        back.merge(&left);
        prop_assert_eq!(&forth, &whole);
        prop_assert_eq!(back.to_bytes(), whole.to_bytes());
        prop_assert_eq!(DaySet::from_bytes(&whole.to_bytes()).unwrap(), whole);
    }

    #[test]
    fn many_day_sets_equal_one_each(
        rows in prop::collection::vec((0..5usize, day()), 0..200),
        removed in 0..=5usize,
        later in prop::collection::vec((0..5usize, day()), 0..50),
    ) {
        let mut sets = DaySets::new();
        sets.grow(5);
        let mut model = vec![DaySet::new(); 5];
        for &(entity, day) in &rows {
            sets.insert(entity, day);
            model[entity].insert(day);
        }
        sets.remove_first(removed);
        model.drain(..removed);
        sets.grow(5);
        model.resize(5, DaySet::new());
        for &(entity, day) in &later {
            sets.merge(entity, &[day, day / 2].into_iter().collect());
            model[entity].insert(day);
            model[entity].insert(day / 2);
        }
        let mut set = DaySet::new();
        for (entity, expected) in model.iter().enumerate() {
            sets.copy_to(entity, &mut set);
            prop_assert_eq!(&set, expected);
            prop_assert_eq!((sets.days(entity), sets.last(entity)), (expected.len(), expected.last()));
            prop_assert_eq!(sets.is_empty_of(entity), expected.is_empty());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(set) = DaySet::from_bytes(&bytes) {
            prop_assert_eq!(set.to_bytes(), &bytes[..]);
        }
        if let Ok(activity) = Activity::from_bytes(&bytes) {
            prop_assert_eq!(activity.to_bytes(), &bytes[..]);
        }
    }

    #[test]
    fn damaged_bytes_are_read_or_refused(
        days in prop::collection::btree_set(19_900..20_300i32, 1..60),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let instant = |day: i32| i64::from(day) * DAY_US + 17;
        let (first, last) = (*days.first().unwrap(), *days.last().unwrap());
        let days: DaySet = days.into_iter().collect();
        let activity = Activity::new("Europe/Berlin", instant(first), instant(last), days).unwrap();
        let mut bytes = activity.to_bytes();
        prop_assert_eq!(Activity::from_bytes(&bytes).unwrap(), activity);
        let cut = at.index(bytes.len());
        prop_assert!(Activity::from_bytes(&bytes[..cut]).is_err());
        bytes[cut] = byte;
        if let Ok(read) = Activity::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn activity_at_midnights_equals_the_events(
        instants in prop::collection::vec(0..400 * DAY_US, 1..60),
        since in 0..400i64,
        length in 0..100i64,
    ) {
        let days = instants.iter().map(|&instant| utc_day(instant) as i32).collect();
        let (first, last) = (*instants.iter().min().unwrap(), *instants.iter().max().unwrap());
        let activity = Activity::new("", first, last, days).unwrap();
        let (since_us, until_us) = (since * DAY_US, (since + length) * DAY_US);
        let inside: BTreeSet<i64> = instants
            .iter()
            .filter(|&&instant| since_us <= instant && instant < until_us)
            .map(|&instant| utc_day(instant))
            .collect();
        let (first_day, last_day) = (since as i32, utc_day(until_us - 1) as i32);
        let period = Period { since_us, until_us, first_day, last_day };
        prop_assert_eq!(activity.active_days(&period) as usize, inside.len());
        let as_of = AsOf { instant_us: until_us, today: last_day };
        let latest =
            instants.iter().filter(|&&i| i < until_us).max().map(|&i| utc_day(i) as i32);
        prop_assert_eq!(activity.last_day(&as_of), latest);
    }

    #[test]
    fn counters_equal_their_models(
        mut times in prop::collection::vec(-10_000i64..10_000, 0..100),
        gap in 0..500i64,
    ) {
        times.sort_unstable();
        let mut sessions = SessionCounter::default();
        let mut days = ActiveDayCounter::default();
        for &time in &times {
            sessions.push(time, gap);
            days.push(time.div_euclid(100) as i32);
        }
        let gaps = times.windows(2).filter(|pair| pair[1] - pair[0] > gap).count();
        prop_assert_eq!(sessions.sessions() as usize, gaps + usize::from(!times.is_empty()));
        let distinct: BTreeSet<i64> = times.iter().map(|time| time.div_euclid(100)).collect();
        prop_assert_eq!(days.days() as usize, distinct.len());
        prop_assert_eq!(days.last_day().map(i64::from), distinct.last().copied());
    }
}

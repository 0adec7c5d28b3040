//! Funnels against a model that keeps every chain, and that neither the order of events nor how
//! they are split into parts shows in the answer.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use vitalog_measure::{Funnel, FunnelEvent, FunnelModes};

fn modes() -> impl Strategy<Value = FunnelModes> {
    any::<[bool; 5]>().prop_map(
        |[order, deduplication, increase, once, reentry]| FunnelModes {
            strict_order: order,
            strict_deduplication: deduplication,
            strict_increase: increase,
            strict_once: once,
            allow_reentry: order && reentry,
        },
    )
}

/// Few times and steps, so that ties and repeated steps are common.
fn events() -> impl Strategy<Value = Vec<FunnelEvent>> {
    let steps = prop_oneof![
        6 => (0..4u32).prop_map(|step| 1 << step),
        3 => 0..16u32,
        1 => Just(0),
    ];
    let event = (0..9i64, steps).prop_map(|(time_us, steps)| FunnelEvent { time_us, steps });
    prop::collection::vec(event, 0..13)
}

/// The events of a chain: time and number.
type Chain = Vec<(i64, usize)>;

/// Visits each event once a step that it meets, in order of time, step and event, and keeps all
/// chains of each length; without `strict_once` only the last one to reach a step.
fn naive(window: i64, modes: FunnelModes, events: &[FunnelEvent]) -> u32 {
    let mut events = events.to_vec();
    events.sort();
    let mut visits = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let steps = (1..=32usize).filter(|step| event.steps >> (step - 1) & 1 == 1);
        visits.extend(steps.map(|step| (event.time_us, step, number)));
        if event.steps == 0 && modes.strict_order {
            visits.push((event.time_us, 0, number));
        }
    }
    visits.sort_unstable();
    let mut chains: Vec<Vec<Chain>> = vec![Vec::new(); 33];
    for (time, step, number) in visits {
        let has_begun = !chains[1].is_empty();
        let longer: Vec<Chain> = match step {
            0 if has_begun => break,
            0 => continue,
            1 => vec![vec![(time, number)]],
            step if modes.strict_deduplication && !chains[step].is_empty() => break,
            step if chains[step - 1].is_empty() => {
                if modes.strict_order && has_begun && !modes.allow_reentry {
                    break;
                }
                continue;
            }
            step => {
                let follows = |chain: &&Chain| {
                    let (start, last) = (chain[0].0, chain[chain.len() - 1].0);
                    time <= start + window
                        && (!modes.strict_increase || last < time)
                        && !(modes.strict_once && chain.iter().any(|link| link.1 == number))
                };
                let shorter = chains[step - 1].iter().filter(follows);
                shorter
                    .map(|chain| chain.iter().copied().chain([(time, number)]).collect())
                    .collect()
            }
        };
        if modes.strict_once {
            chains[step].extend(longer);
        } else if let Some(last) = longer.last() {
            chains[step] = vec![last.clone()];
        }
    }
    (0..=32)
        .rev()
        .find(|&step| step == 0 || !chains[step].is_empty())
        .unwrap() as u32
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn depth_equals_following_every_chain(
        events in events(),
        modes in modes(),
        window in prop_oneof![0..10i64, Just(100)],
    ) {
        let funnel = Funnel::new(window, modes).unwrap();
        let found = funnel.depth(&mut events.clone());
        prop_assert_eq!(found, naive(window, modes, &events));
        let mut needed: Vec<FunnelEvent> =
            events.iter().copied().filter(|event| funnel.needs(event.steps)).collect();
        prop_assert_eq!(funnel.depth(&mut needed), found);
    }

    #[test]
    fn order_and_parts_do_not_show(
        (events, mut shuffled) in events().prop_flat_map(|events| {
            (Just(events.clone()), Just(events).prop_shuffle())
        }),
        modes in modes(),
        window in 0..10i64,
    ) {
        let funnel = Funnel::new(window, modes).unwrap();
        prop_assert_eq!(funnel.depth(&mut shuffled), funnel.depth(&mut events.clone()));
    }

    #[test]
    fn a_wider_window_never_loses_a_step_that_nothing_forbids(
        events in events(),
        once in any::<bool>(),
        window in 0..10i64,
    ) {
        let modes = FunnelModes { strict_once: once, ..FunnelModes::default() };
        let depth = |window| Funnel::new(window, modes).unwrap().depth(&mut events.clone());
        prop_assert!(depth(window) <= depth(window + 1));
    }
}

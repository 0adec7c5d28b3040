//! What the simulated product of the demo promises: reproducible, valid, and with a fate an account.

use std::collections::{HashMap, HashSet};

use vitalog_event::DAY_US;

use super::*;

/// 2025-03-03, a Monday, a quarter past three in the afternoon.
const NOW_US: i64 = 1_741_014_900_000_000;

fn demo() -> Demo {
    Demo::new(DemoConfig {
        seed: 1,
        now_us: NOW_US,
    })
}

fn traits(properties: Option<&str>) -> serde_json::Value {
    serde_json::from_str(properties.expect("traits")).expect("JSON")
}

#[test]
fn the_same_seed_gives_the_same_events_and_all_are_valid() {
    let other = Demo::new(DemoConfig {
        seed: 2,
        now_us: NOW_US,
    })
    .next();
    assert_ne!(
        other.expect("a day").batch(),
        demo().next().expect("a day").batch()
    );
    for (chunk, again) in demo().take(10).zip(demo()) {
        assert_eq!(chunk.batch(), again.batch());
        let (batch, rejections) = chunk.to_event_batch(NOW_US);
        assert_eq!((batch.len(), rejections), (chunk.len(), Vec::new()));
    }
}

#[test]
fn every_account_introduces_itself_when_it_begins() {
    let mut introduced = HashMap::new();
    let mut identified = 0;
    for chunk in demo() {
        for draft in chunk.drafts() {
            let Some(account) = draft.account_id.map(str::to_owned) else {
                identified += usize::from(draft.event == Some(IDENTIFY_EVENT));
                continue;
            };
            if draft.event != Some(GROUP_EVENT) {
                assert!(introduced.contains_key(&account), "{draft:?}");
                continue;
            }
            let traits = traits(draft.properties);
            for key in ["name", "plan", "seats", "mrr", "created_at", "renewal_at"] {
                assert!(!traits[key].is_null(), "{key} of {account}");
            }
            *introduced.entry(account).or_insert(0) += 1;
        }
    }
    assert_eq!(introduced.len(), DEMO_ACCOUNTS);
    assert!(introduced.values().all(|events| *events >= 3));
    assert_eq!(identified, demo().users.len());
}

/// What the last act of the demonstration tells: the account that leaves last has been doing
/// less for weeks, by its own numbers, whatever the seed and the day of the week.
#[test]
fn the_account_that_leaves_last_does_ever_less() {
    for (seed, days) in [(1, 0), (2, 3), (7, 5)] {
        let now_us = NOW_US + days * DAY_US;
        let demo = Demo::new(DemoConfig { seed, now_us });
        let (last, left_day) = demo
            .accounts
            .iter()
            .filter(|drawn| drawn.fate.leaves_last())
            .map(|drawn| {
                (
                    drawn.id.clone(),
                    drawn.fate.days().1 as i32 + demo.first_day,
                )
            })
            .next()
            .expect("an account that leaves last");
        let mut by_week = [0_u32; 12];
        for chunk in demo {
            for draft in chunk.drafts().filter(|one| one.account_id == Some(&last)) {
                let day = day_of_timestamp_us(draft.event_time_us.expect("a time"));
                let week = (left_day - 1 - day) / 7;
                if (0..12).contains(&week) && day < left_day {
                    by_week[week as usize] += 1;
                }
            }
        }
        let period = |from: usize| f64::from(by_week[from..from + 4].iter().sum::<u32>());
        for weeks_before in 1..=3 {
            let (now, before) = (period(weeks_before), period(weeks_before + 4));
            assert!(
                now < 0.75 * before,
                "seed {seed}, {weeks_before}: {by_week:?}"
            );
        }
    }
}

#[test]
fn time_runs_until_now_and_those_who_leave_are_silent_afterwards() {
    let (mut rows, mut ids, mut latest_us) = (0, HashSet::new(), 0);
    let mut left: HashMap<String, i64> = HashMap::new();
    let mut last_active: HashMap<String, i64> = HashMap::new();
    for chunk in demo() {
        for draft in chunk.drafts() {
            let time_us = draft.event_time_us.expect("a time");
            assert!(time_us >= latest_us && time_us <= NOW_US);
            latest_us = time_us;
            rows += 1;
            ids.insert(draft.event_id.expect("an id").to_owned());
            let Some(account) = draft.account_id.map(str::to_owned) else {
                continue;
            };
            if draft.event != Some(GROUP_EVENT) {
                last_active.insert(account, time_us);
            } else if traits(draft.properties)["churned_at"].is_string() {
                left.insert(account, time_us);
            }
        }
    }
    assert_eq!(ids.len(), rows);
    assert!((120_000..230_000).contains(&rows), "{rows} events");
    assert!(
        NOW_US - latest_us < DAY_US / 4,
        "silence for {} µs",
        NOW_US - latest_us
    );
    assert_eq!(left.len(), 6);
    for (account, left_us) in left {
        assert!(
            last_active[&account] < left_us,
            "{account} acts after it left"
        );
    }
    let silent = last_active
        .values()
        .filter(|last_us| NOW_US - **last_us > 7 * DAY_US);
    assert!((9..=13).contains(&silent.count()));
}

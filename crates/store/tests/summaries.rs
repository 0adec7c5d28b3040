//! The summary of each member, from the run index, is what its rows say: in memory, merged, in a
//! segment and after a restart.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use support::{Event, open};
use vitalog_disk::FaultyDirectory;
use vitalog_event::{EventBatch, EventBatchBuilder};
use vitalog_store::{Domain, Section, Snapshot};

use crate::support::START_US;

/// Numbered events, every third of which sets traits instead.
fn batch(numbers: std::ops::Range<u64>) -> EventBatch {
    let mut builder = EventBatchBuilder::new(START_US + 365 * vitalog_event::DAY_US);
    for n in numbers {
        let mut event = Event::numbered(n);
        match n % 6 {
            2 if event.account.is_some() => event.name = "$group".to_owned(),
            5 if event.user.is_some() => event.name = "$identify".to_owned(),
            _ => {}
        }
        assert!(builder.push(&event.draft()), "{event:?} is valid");
    }
    builder.finish().0
}

/// (first, last, count) of the rows of each member that are no trait events.
fn by_rows(snapshot: &Snapshot, section: &Section) -> BTreeMap<u32, (i64, i64, u64)> {
    let names = ["$group", "$identify"];
    let traits = names.map(|name| snapshot.symbols().lookup(Domain::Event, name));
    let is_trait = section
        .event_table(|event| traits.contains(&Some(event)))
        .unwrap();
    let (codes, times) = (section.event_codes().unwrap(), section.times().unwrap());
    section
        .runs_of_members()
        .unwrap()
        .map(|run| {
            let mut summary = (i64::MAX, i64::MIN, 0);
            for row in run.rows.filter(|&row| !is_trait[codes.index(row)]) {
                summary.0 = summary.0.min(times[row]);
                summary.1 = summary.1.max(times[row]);
                summary.2 += 1;
            }
            (run.member, summary)
        })
        .collect()
}

/// Checks every section; returns how many of them hold trait events, and how many members have
/// nothing but those.
fn check(snapshot: &Snapshot) -> (usize, usize) {
    let (mut with_traits, mut silent) = (0, 0);
    for section in snapshot.slices().iter().flat_map(|slice| &slice.sections) {
        let section = section.open();
        let summaries = section.summaries().unwrap();
        assert_eq!(summaries.len(), section.runs().unwrap().len());
        let found: BTreeMap<u32, (i64, i64, u64)> = summaries
            .map(|one| (one.member, (one.first_us, one.last_us, one.events)))
            .collect();
        assert_eq!(found, by_rows(snapshot, &section));
        with_traits += usize::from(section.statistics().has_trait_events);
        silent += found.values().filter(|summary| summary.2 == 0).count();
    }
    (with_traits, silent)
}

#[test]
fn summaries_count_activity_alone_wherever_the_rows_lie() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    for group in 0..20 {
        store.append(batch(group * 10..group * 10 + 10)).unwrap();
        check(&store.snapshot());
    }
    let (with_traits, silent) = check(&store.snapshot());
    assert!(with_traits > 0 && silent > 0, "in memory");
    store.flush().unwrap();
    let flushed = check(&store.snapshot());
    assert_eq!(flushed.0, 5, "a section a day");
    assert!(flushed.1 > 0, "in a segment");
    store.close().unwrap();
    assert_eq!(check(&open(&directory).unwrap().snapshot()), flushed);
}

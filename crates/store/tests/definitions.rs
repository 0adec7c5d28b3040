//! Definitions and the two time axes: versions survive whatever events survive, a reader at an
//! earlier `seq` or `received_at` sees what was known then.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use support::{batch, clock, numbered, open, small};
use vitalog_disk::{FaultPlan, FaultyDirectory};
use vitalog_store::{
    CompactionGoal, Definition, DefinitionKind, RowFilter, Snapshot, Store, StoreErrorKind,
};

const MODEL: DefinitionKind = DefinitionKind::Model;
const VIEW: DefinitionKind = DefinitionKind::View;

fn view(store: &Store, name: &str, text: Option<&str>) -> Arc<Definition> {
    store.define(VIEW, name, text).unwrap().definition
}

fn definitions(store: &Store) -> Vec<Definition> {
    let snapshot = store.snapshot();
    let all = snapshot.definitions().iter();
    all.map(|definition| definition.as_ref().clone()).collect()
}

#[test]
fn a_definition_is_versioned_and_the_same_text_is_not_stored_again() {
    let store = open(&FaultyDirectory::new()).unwrap();
    let first = store.define(MODEL, "default", Some("a = 1")).unwrap();
    assert!(first.is_new);
    assert_eq!(first.definition.version, 1);
    assert_eq!(first.definition.text.as_deref(), Some("a = 1"));
    assert_eq!(first.definition.content_hash.len(), 32);
    let again = store.define(MODEL, "default", Some("a = 1")).unwrap();
    assert_eq!(
        (again.is_new, &again.definition),
        (false, &first.definition)
    );
    let groups = store.statistics().unwrap().wal_groups;
    assert_eq!(groups, 1, "what changes nothing is not logged");
    let view = store.define(VIEW, "default", Some("a = 1")).unwrap();
    assert_eq!((view.is_new, view.definition.version), (true, 1));
    let second = store.define(MODEL, "default", Some("a = 2")).unwrap();
    assert_eq!((second.is_new, second.definition.version), (true, 2));
    let back = store.define(MODEL, "default", Some("a = 1")).unwrap();
    assert_eq!((back.is_new, back.definition.version), (true, 3));
    assert_eq!(
        back.definition.content_hash, first.definition.content_hash,
        "the hash is of the text alone"
    );
    assert_eq!(definitions(&store).len(), 4);
}

#[test]
fn a_view_can_be_dropped_and_defined_again() {
    let store = open(&FaultyDirectory::new()).unwrap();
    let error = store.define(VIEW, "red", None).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    view(&store, "red", Some("SELECT 1"));
    let dropped = view(&store, "red", None);
    assert_eq!((dropped.version, &dropped.text), (2, &None));
    assert!(!store.define(VIEW, "red", None).unwrap().is_new);
    assert_eq!(view(&store, "red", Some("SELECT 1")).version, 3);
    let error = store.define(MODEL, "red", None).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
}

#[test]
fn definitions_survive_kills_flushes_and_restarts_with_and_without_events() {
    let mut directory = FaultyDirectory::new();
    let mut expected = Vec::new();
    for round in 0..24u64 {
        let store = open(&directory).unwrap();
        assert_eq!(definitions(&store), expected, "round {round}");
        if round % 3 == 1 {
            store
                .append(batch(&numbered(round * 5..round * 5 + 5)))
                .unwrap();
        }
        // Larger and smaller ones, so that files are joined and left apart.
        let text = format!("{round} {}", "x".repeat((round as usize * 7 % 5) * 300));
        view(&store, &format!("view {}", round % 4), Some(&text));
        expected = definitions(&store);
        assert_eq!(expected.len() as u64, round + 1);
        match round % 4 {
            0 => store.flush().unwrap(),
            1 => directory = directory.kill_image(),
            2 => {
                store.flush().unwrap();
                // Nothing is new, and nothing is being merged: no further manifest.
                store.compact(CompactionGoal::Due).unwrap();
                let files = directory.files().len();
                store.flush().unwrap();
                assert_eq!(directory.files().len(), files);
                directory = directory.crash_image(round);
            }
            _ => {
                store.close().unwrap();
                let report = Store::open(Arc::new(directory.clone()), small(), clock());
                let (store, report) = report.unwrap();
                assert_eq!(
                    (report.replayed_events, report.replayed_definitions),
                    (0, 0)
                );
                assert_eq!(definitions(&store), expected, "closed in round {round}");
            }
        }
    }
    let names: Vec<String> = directory.files().into_iter().map(|file| file.0).collect();
    let files = names.iter().filter(|name| name.starts_with("definitions/"));
    assert!(
        files.count() < 12,
        "files are joined and collected: {names:?}"
    );
}

#[test]
fn a_definition_that_could_not_be_made_durable_is_not_seen() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    view(&store, "a", Some("1"));
    directory.set_plan(FaultPlan::new().fail_syncs_from(directory.operations()));
    let error = store.define(VIEW, "a", Some("2")).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert_eq!(definitions(&store).len(), 1);
    // What is in force is known still; a change is not taken any more.
    assert!(!store.define(VIEW, "a", Some("1")).unwrap().is_new);
    let error = store.define(VIEW, "a", Some("2")).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
}

#[test]
fn a_full_disk_rejects_a_definition_whole() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    view(&store, "a", Some("1"));
    directory.set_capacity(100 << 10);
    let large = "x".repeat(200 << 10);
    let error = store.define(VIEW, "a", Some(&large)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Limit, "{error}");
    assert_eq!(definitions(&store).len(), 1);
    directory.set_capacity(64 << 20);
    assert_eq!(view(&store, "a", Some(&large)).version, 2);
}

#[test]
fn the_log_keeps_what_a_failed_flush_could_not_write() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    view(&store, "a", Some("1"));
    directory.set_capacity(66 << 10);
    let large = "x".repeat(40 << 10);
    // Fits into the log file that is there, but not a second time into a definition file.
    view(&store, "b", Some(&large));
    let error = store.flush().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Limit, "{error}");
    let expected = definitions(&store);
    let killed = directory.kill_image();
    killed.set_capacity(64 << 20);
    assert_eq!(definitions(&open(&killed).unwrap()), expected);
    directory.set_capacity(64 << 20);
    store.flush().unwrap();
    assert_eq!(definitions(&store), expected);
    assert_eq!(
        definitions(&open(&directory.kill_image()).unwrap()),
        expected
    );
}

/// `received_at` of each seq, as rows show it.
fn received_of_rows(snapshot: &Snapshot) -> BTreeMap<i64, i64> {
    let filter = RowFilter::up_to(snapshot.seq());
    let mut received = BTreeMap::new();
    for section in snapshot.sections(&filter) {
        let section = section.open();
        let all = section.select(&filter).unwrap();
        let rows = section.batch(all.ranges(), &[3, 2]).unwrap();
        let seqs = rows.column(0).as_primitive::<Int64Type>().values();
        let times = rows.column(1).as_primitive::<TimestampMicrosecondType>();
        received.extend(seqs.iter().copied().zip(times.values().iter().copied()));
    }
    received
}

fn check_time_axis(snapshot: &Snapshot) {
    let received = received_of_rows(snapshot);
    let of_definitions = snapshot.definitions().iter().map(|d| d.received_at_us);
    let latest = received.values().copied().chain(of_definitions).max();
    assert_eq!(snapshot.received_at_us(), latest.unwrap_or(0));
    let known_at = |at: i64| {
        let known = received.iter().filter(|(_, received)| **received <= at);
        known.map(|(seq, _)| *seq).max().unwrap_or(0)
    };
    let times = received
        .values()
        .flat_map(|&time| [time - 1, time, time + 1]);
    for at in times.chain([i64::MIN, 0, i64::MAX]) {
        assert_eq!(snapshot.seq_known_at(at).unwrap(), known_at(at), "{at}");
    }
    for definition in snapshot.definitions() {
        let at = definition.received_at_us;
        assert!(
            definition.seq <= known_at(at),
            "what it was stored after was received no later"
        );
        let next = received.get(&(definition.seq + 1));
        assert!(next.is_none_or(|next| *next >= at));
    }
}

#[test]
fn seq_known_at_is_exact_in_memory_and_in_segments() {
    let directory = FaultyDirectory::new();
    let time = clock();
    let open = |directory: &FaultyDirectory| {
        let clock = Arc::clone(&time);
        Store::open(Arc::new(directory.clone()), small(), clock)
            .unwrap()
            .0
    };
    let mut store = open(&directory);
    check_time_axis(&store.snapshot());
    let mut old = Vec::new();
    for group in 0..60u64 {
        store
            .append(batch(&numbered(group * 4..group * 4 + 4)))
            .unwrap();
        match group % 5 {
            // A clock that stands, or was set back: groups share a time.
            0 => time.0.fetch_sub(3, Ordering::Relaxed),
            3 => time.0.fetch_add(1_000, Ordering::Relaxed),
            _ => 0,
        };
        if group % 7 == 2 {
            view(&store, "a", Some(&group.to_string()));
        }
        if group % 16 == 9 {
            old.push(store.snapshot());
            store.flush().unwrap();
        }
        if group == 30 {
            store.close().unwrap();
            store = open(&directory);
        }
        if group == 45 {
            let killed = directory.kill_image();
            check_time_axis(&open(&killed).snapshot());
        }
        check_time_axis(&store.snapshot());
    }
    for snapshot in old {
        check_time_axis(&snapshot);
    }
}

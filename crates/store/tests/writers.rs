//! Numbers of writers: taken once and in order, durable with their events or not at all, and known
//! after kills, crashes, flushes, backups and repairs. Batches carry ids that are new each time
//! they are sent, so only the number can tell that one came before.
#![allow(clippy::unwrap_used)]

#[path = "writers/files.rs"]
mod files;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use support::{Event, START_US, batch, clock, content, numbered, open, small};
use vitalog_disk::{Directory, Fault, FaultPlan, FaultyDirectory};
use vitalog_event::EventBatch;
use vitalog_store::{
    AppendReceipt, Result, Store, StoreConfig, StoreError, StoreErrorKind, WriterMark,
};

/// Makes every sending of a batch one of its own.
static SENDINGS: AtomicU64 = AtomicU64::new(0);

/// Batch `number` of `writer`, with `number % 4` events of ids that no other sending has.
fn numbered_batch(writer: &str, number: u64) -> EventBatch {
    let events: Vec<Event> = (0..number % 4)
        .map(|at| Event {
            id: format!("sending {} {at}", SENDINGS.fetch_add(1, Ordering::Relaxed)),
            time_us: START_US + number as i64 * 1_000_000,
            name: "sent".to_owned(),
            account: Some(format!("of {writer}")),
            user: Some(writer.to_owned()),
            value: Some(number as f64),
            properties: None,
        })
        .collect();
    batch(&events)
}

fn send(store: &Store, writer: &str, number: u64) -> Result<AppendReceipt> {
    let mark = WriterMark::new(writer, number)?;
    store.append_as(mark, numbered_batch(writer, number))
}

fn last_number(store: &Store, writer: &str) -> u64 {
    let state = store.writer_state(writer);
    state.map_or(0, |state| state.last_number)
}

/// How often each number of each writer stands in the store.
fn events_by_number(store: &Store) -> BTreeMap<(String, u64), u64> {
    let mut counts = BTreeMap::new();
    for event in content(&store.snapshot()).unwrap().into_values() {
        if let (Some(writer), Some(number)) = (event.user, event.value)
            && event.name == "sent"
        {
            *counts.entry((writer, number as u64)).or_insert(0) += 1;
        }
    }
    counts
}

/// The store has batches 1 to its last number of each writer, each once and whole, and no other.
fn check_exactly_once(store: &Store, writers: &[&str], what: &str) {
    let mut found = events_by_number(store);
    for writer in writers {
        for number in 1..=last_number(store, writer) {
            let count = found.remove(&((*writer).to_owned(), number));
            assert_eq!(count.unwrap_or(0), number % 4, "{what}: {writer} {number}");
        }
    }
    assert!(
        found.is_empty(),
        "{what}: not of a durable number: {found:?}"
    );
}

#[test]
fn a_number_is_taken_once_and_in_order() {
    let store = open(&FaultyDirectory::new()).unwrap();
    assert_eq!(store.writer_state("a"), None);
    let gap = send(&store, "a", 2).unwrap_err();
    assert!(
        matches!(
            gap,
            StoreError::NumberGap {
                number: 2,
                last_number: 0
            }
        ),
        "{gap}"
    );
    assert_eq!(gap.kind(), StoreErrorKind::Invalid);
    for number in 1..=6 {
        let receipt = send(&store, "a", number).unwrap();
        assert_eq!(receipt.accepted as u64, number % 4);
        let state = store.writer_state("a").unwrap();
        assert_eq!(
            (state.last_number, state.last_seq),
            (number, receipt.last_seq)
        );
        assert!(state.last_time_us > START_US);
    }
    for number in [1, 5, 6] {
        let again = send(&store, "a", number).unwrap_err();
        let is_known = matches!(again, StoreError::NumberDurable { last_number: 6, .. });
        assert!(is_known, "{again}");
    }
    assert!(matches!(
        send(&store, "a", 8).unwrap_err(),
        StoreError::NumberGap { last_number: 6, .. }
    ));
    assert_eq!(last_number(&store, "b"), 0);
    send(&store, "b", 1).unwrap();
    check_exactly_once(&store, &["a", "b"], "two writers");
}

#[test]
fn a_batch_of_which_nothing_is_stored_takes_its_number() {
    let mut directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    let events = numbered(0..5);
    store.append(batch(&events)).unwrap();
    let append = |store: &Store, number, events: &[Event]| {
        store.append_as(WriterMark::new("w", number).unwrap(), batch(events))
    };
    let duplicates = append(&store, 1, &events).unwrap();
    assert_eq!((duplicates.accepted, duplicates.duplicates), (0, 5));
    let mut other = events.clone();
    other[0].name = "other content".to_owned();
    let conflict = append(&store, 2, &other[..1]).unwrap();
    assert_eq!((conflict.accepted, conflict.rejected.len()), (0, 1));
    let empty = append(&store, 3, &[]).unwrap();
    assert_eq!((empty.accepted, empty.last_seq), (0, 5));
    let state = store.writer_state("w").unwrap();
    assert_eq!((state.last_number, state.last_seq), (3, 5));
    // No event came with them, and still they survive whatever comes.
    directory = directory.crash_image(3);
    let store = open(&directory).unwrap();
    assert_eq!(store.writer_state("w"), Some(state));
    store.close().unwrap();
    directory = directory.kill_image();
    let store = open(&directory).unwrap();
    assert_eq!(store.writer_state("w"), Some(state));
    assert_eq!(store.snapshot().seq(), 5);
}

#[test]
fn batches_without_events_do_not_grow_the_log_for_ever() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    for number in 1..=4_000 {
        let mark = WriterMark::new("w", number).unwrap();
        store.append_as(mark, batch(&[])).unwrap();
    }
    store.flush().unwrap();
    let names: Vec<String> = directory.files().into_iter().map(|file| file.0).collect();
    let logs = names.iter().filter(|name| name.starts_with("wal/"));
    let writers = names.iter().filter(|name| name.starts_with("writers/"));
    assert!(logs.count() <= 2, "{names:?}");
    assert!((1..=3).contains(&writers.count()), "{names:?}");
    assert!(
        names
            .iter()
            .any(|name| name.starts_with("manifest/")
                && name > &"manifest/0000000000000005".to_owned()),
        "they were flushed on the way: {names:?}"
    );
}

#[test]
fn of_many_that_send_one_number_one_wins() {
    let store = Arc::new(open(&FaultyDirectory::new()).unwrap());
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                let mut won = 0;
                for number in 1..=60 {
                    // Another thread may be ahead, none behind what was durable before.
                    match send(&store, "shared", number) {
                        Ok(_) => won += 1,
                        Err(StoreError::NumberDurable { last_number, .. }) => {
                            assert!(last_number >= number);
                        }
                        Err(error) => panic!("{number}: {error}"),
                    }
                }
                won
            })
        })
        .collect();
    let won: u64 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    assert_eq!((won, last_number(&store, "shared")), (60, 60));
    check_exactly_once(&store, &["shared"], "six threads");
}

#[test]
fn what_is_handed_over_without_waiting_is_decided_in_order() {
    let store = open(&FaultyDirectory::new()).unwrap();
    let (sender, outcomes) = std::sync::mpsc::channel();
    let numbers = [1, 2, 2, 4, 3, 4, 1];
    for number in numbers {
        let sender = sender.clone();
        let mark = WriterMark::new("w", number).unwrap();
        let reply = Box::new(move |outcome: Result<AppendReceipt>| {
            let said = match outcome {
                Ok(_) => "taken",
                Err(StoreError::NumberDurable { .. }) => "durable",
                Err(StoreError::NumberGap { .. }) => "gap",
                Err(error) => panic!("{error}"),
            };
            sender.send(said).unwrap();
        });
        store
            .submit_as(mark, numbered_batch("w", number), reply)
            .unwrap();
    }
    let said: Vec<_> = outcomes.iter().take(numbers.len()).collect();
    assert_eq!(
        said,
        [
            "taken", "taken", "durable", "gap", "taken", "taken", "durable"
        ]
    );
    check_exactly_once(&store, &["w"], "handed over");
}

const WRITERS: [&str; 3] = ["one", "two", "drei größer"];

/// Writes, flushes and reopens until the disk stops; `acked` is what every writer was told.
fn work(directory: &FaultyDirectory, acked: &mut BTreeMap<String, u64>) -> Result<()> {
    let config = StoreConfig {
        wal_file_bytes: 4 << 10,
        memtable_events_max: 40,
        manifests_kept: 2,
        ..StoreConfig::default()
    };
    for session in 0..3u64 {
        let (store, _) = Store::open(Arc::new(directory.clone()), config.clone(), clock())?;
        for round in 0..8u64 {
            for (at, writer) in WRITERS.into_iter().enumerate() {
                if round % (at as u64 + 1) == 0 {
                    let number = last_number(&store, writer) + 1;
                    send(&store, writer, number)?;
                    acked.insert(writer.to_owned(), number);
                }
            }
            if round == session + 2 {
                store.flush()?;
            }
            if round == 6 {
                let first = (session * 8 + round) * 10;
                store.append(batch(&numbered(first..first + 10)))?;
            }
        }
        if session != 1 {
            store.close()?;
        }
    }
    Ok(())
}

fn check_after(image: &FaultyDirectory, acked: &BTreeMap<String, u64>, what: &str) {
    let store = open(image).unwrap_or_else(|error| panic!("{what}: {error}"));
    for (writer, number) in acked {
        let found = last_number(&store, writer);
        // One more was under way where the disk stopped.
        assert!(
            (*number..=number + 1).contains(&found),
            "{what}: {writer} {number} {found}"
        );
    }
    check_exactly_once(&store, &WRITERS, what);
    // Each goes on where the state says, whatever it knew itself.
    let mut expected = BTreeMap::new();
    for writer in WRITERS {
        let next = last_number(&store, writer) + 1;
        if next > 1 {
            let again = send(&store, writer, next - 1).unwrap_err();
            assert!(
                matches!(again, StoreError::NumberDurable { .. }),
                "{what}: {again}"
            );
        }
        for number in next..next + 3 {
            send(&store, writer, number).unwrap();
        }
        expected.insert(writer, store.writer_state(writer));
    }
    check_exactly_once(&store, &WRITERS, what);
    let killed = image.kill_image();
    store.close().unwrap();
    for (image, how) in [(&killed, "killed"), (image, "closed")] {
        let store = open(image).unwrap_or_else(|error| panic!("{what}, {how}: {error}"));
        for writer in WRITERS {
            assert_eq!(
                store.writer_state(writer),
                expected[writer],
                "{what}, {how}"
            );
        }
        check_exactly_once(&store, &WRITERS, what);
    }
}

#[test]
fn a_crash_at_any_operation_leaves_numbers_and_events_together() {
    let clean = FaultyDirectory::new();
    work(&clean, &mut BTreeMap::new()).unwrap();
    let operations = clean.operations();
    assert!(operations > 100, "{operations}");
    for at in 0..operations + 5 {
        let directory = FaultyDirectory::new();
        directory.set_plan(FaultPlan::new().crash_at(at));
        let mut acked = BTreeMap::new();
        let _ = work(&directory, &mut acked);
        for seed in 0..2 {
            let image = directory.crash_image(at * 31 + seed);
            check_after(&image, &acked, &format!("crash at {at}, seed {seed}"));
        }
        check_after(&directory.kill_image(), &acked, &format!("killed at {at}"));
    }
}

#[test]
fn a_failed_operation_loses_no_number_and_doubles_none() {
    let clean = FaultyDirectory::new();
    work(&clean, &mut BTreeMap::new()).unwrap();
    for fault in [Fault::Io, Fault::Full] {
        for at in 0..clean.operations() {
            let directory = FaultyDirectory::new();
            directory.set_plan(FaultPlan::new().fail_operation(at, fault));
            let mut acked = BTreeMap::new();
            let _ = work(&directory, &mut acked);
            let image = directory.crash_image(at);
            check_after(&image, &acked, &format!("{fault:?} at {at}"));
        }
    }
}

#[test]
fn a_log_cut_at_every_byte_keeps_numbers_and_events_together() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    for number in 1..=4 {
        send(&store, "one", number).unwrap();
        send(&store, "two", number).unwrap();
    }
    let whole = directory.kill_image();
    drop(store);
    let (name, _) = whole
        .files()
        .into_iter()
        .find(|(name, _)| name.starts_with("wal/"))
        .unwrap();
    let bytes = whole.read(&name).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    let mut seen = std::collections::BTreeSet::new();
    for cut in 0..used {
        let image = whole.kill_image();
        image.truncate(&name, cut as u64).unwrap();
        let store = open(&image).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        check_exactly_once(&store, &["one", "two"], &format!("cut at {cut}"));
        seen.insert((last_number(&store, "one"), last_number(&store, "two")));
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn a_full_disk_refuses_a_number_and_leaves_it_free() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    directory.set_capacity(200 << 10);
    let mut next = 1;
    let error = loop {
        match send(&store, "w", next) {
            Ok(_) => next += 1,
            Err(error) => break error,
        }
        assert!(next < 100_000, "the disk never fills");
    };
    assert_eq!(error.kind(), StoreErrorKind::Limit, "{error}");
    assert_eq!(last_number(&store, "w"), next - 1);
    directory.set_capacity(64 << 20);
    send(&store, "w", next).unwrap();
    check_exactly_once(&store, &["w"], "after the disk was full");
}

#[derive(Clone, Debug)]
enum Step {
    /// The writer sends the number this far from its next one.
    Send(usize, i64),
    Plain,
    Flush,
    Reopen,
    Kill,
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..WRITERS.len()).prop_map(|writer| Step::Send(writer, 0)),
        4 => (0..WRITERS.len(), -3..3i64).prop_map(|(writer, off)| Step::Send(writer, off)),
        2 => Just(Step::Plain),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn writers_are_their_model(steps in proptest::collection::vec(step(), 1..60)) {
        let mut directory = FaultyDirectory::new();
        let mut store = open(&directory).unwrap();
        let mut model = [0_u64; WRITERS.len()];
        let mut plain = 0;
        for step in steps {
            match step {
                Step::Send(writer, off) => {
                    let last = model[writer];
                    let Some(number) = (last + 1).checked_add_signed(off) else { continue };
                    match send(&store, WRITERS[writer], number) {
                        Ok(_) => {
                            prop_assert_eq!(number, last + 1);
                            model[writer] = number;
                        }
                        Err(StoreError::NumberDurable { last_number, .. }) => {
                            prop_assert!(number <= last && number > 0);
                            prop_assert_eq!(last_number, last);
                        }
                        Err(StoreError::NumberGap { last_number, .. }) => {
                            prop_assert!(number > last + 1);
                            prop_assert_eq!(last_number, last);
                        }
                        Err(StoreError::Invalid(_)) => prop_assert_eq!(number, 0),
                        Err(error) => panic!("{error}"),
                    }
                }
                Step::Plain => {
                    store.append(batch(&numbered(plain..plain + 30))).unwrap();
                    plain += 30;
                }
                Step::Flush => store.flush().unwrap(),
                Step::Reopen => {
                    store.close().unwrap();
                    store = Store::open(Arc::new(directory.clone()), small(), clock()).unwrap().0;
                }
                Step::Kill => {
                    directory = directory.kill_image();
                    store = open(&directory).unwrap();
                }
                Step::Crash(seed) => {
                    directory = directory.crash_image(seed);
                    store = open(&directory).unwrap();
                }
            }
            let found = WRITERS.map(|writer| last_number(&store, writer));
            prop_assert_eq!(found, model);
        }
        check_exactly_once(&store, &WRITERS, "the end");
    }
}

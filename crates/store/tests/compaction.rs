//! Hot files merge and become cold: nothing is lost, nothing changes, readers read on, and files
//! stay few.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use support::{Event, batch, clock, content, numbered, open, small};
use vitalog_disk::{Directory, FaultPlan, FaultyDirectory};
use vitalog_store::{CompactionGoal, Store, StoreConfig, Tier};

/// Everything cold beyond a few kilobytes, so that a few flushes are enough.
fn tight() -> StoreConfig {
    StoreConfig {
        hot_bytes_max: 64 << 10,
        cold_files_per_day_max: 2,
        ..small()
    }
}

fn open_tight(directory: &FaultyDirectory) -> Store {
    let opened = Store::open(Arc::new(directory.clone()), tight(), clock());
    opened.unwrap().0
}

fn names(directory: &FaultyDirectory, folder: &str) -> Vec<String> {
    directory.list(folder).unwrap()
}

#[test]
fn cold_rows_answer_as_hot_ones_did_and_survive_a_restart() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    store.append(batch(&numbered(0..2_000))).unwrap();
    store.flush().unwrap();
    let hot = store.snapshot();
    let before = content(&hot).unwrap();
    let report = store.compact(CompactionGoal::AllCold).unwrap();
    assert_eq!(report.rows_cooled, 2_000);
    assert_eq!(report.cold_written, 5, "one a day");
    assert!(names(&directory, "segments").is_empty(), "unlinked");
    let cold = store.snapshot();
    assert!(
        cold.slices()
            .iter()
            .flat_map(|day| &day.sections)
            .all(|section| section.is_cold())
    );
    assert_eq!(content(&cold).unwrap(), before);
    assert_eq!(content(&hot).unwrap(), before, "an older snapshot reads on");
    // Nothing is left to do.
    let again = store.compact(CompactionGoal::AllCold).unwrap();
    assert_eq!((again.rows_cooled, again.cold_written), (0, 0));
    store.close().unwrap();
    let store = open(&directory).unwrap();
    assert_eq!(content(&store.snapshot()).unwrap(), before);
}

#[test]
fn a_snapshot_that_touched_nothing_still_reads_files_that_are_gone() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    store.append(batch(&numbered(0..600))).unwrap();
    store.flush().unwrap();
    store.compact(CompactionGoal::AllCold).unwrap();
    let expected = content(&store.snapshot()).unwrap();
    drop(store);
    // Nothing of this store's files was read when the snapshot is taken.
    let store = open(&directory).unwrap();
    let untouched = store.snapshot();
    let gone = names(&directory, "cold");
    store.append(batch(&numbered(600..2_000))).unwrap();
    store.flush().unwrap();
    store.compact(CompactionGoal::AllCold).unwrap();
    let kept = names(&directory, "cold");
    assert!(
        gone.iter().all(|name| !kept.contains(name)),
        "merged with the late rows"
    );
    assert_eq!(content(&untouched).unwrap(), expected);
}

#[test]
fn late_rows_find_their_day_and_files_stay_few() {
    let directory = FaultyDirectory::new();
    let store = open_tight(&directory);
    for round in 0..40 {
        store
            .append(batch(&numbered(round * 250..(round + 1) * 250)))
            .unwrap();
        store.flush().unwrap();
    }
    store.compact(CompactionGoal::Due).unwrap();
    let snapshot = store.snapshot();
    let found: Vec<Event> = content(&snapshot).unwrap().into_values().collect();
    assert_eq!(found, numbered(0..10_000));
    for slice in snapshot.slices() {
        let cold = slice
            .sections
            .iter()
            .filter(|section| section.is_cold())
            .count();
        assert!(cold <= 3, "{cold} cold files of day {}", slice.day);
    }
    let known = store.statistics().unwrap();
    let hot = known.segment_bytes;
    assert!(hot <= tight().hot_bytes_max, "{hot} bytes are hot");
    assert!(known.segments < 8, "{} segments", known.segments);
    // Every row is in one tier, and what was written again is counted.
    let cold = known.tier(Tier::Cold);
    assert_eq!(known.rows(), 10_000);
    assert!(cold.rows > 0 && cold.bytes > 0, "{cold:?}");
    // Older manifests keep some files for a while.
    assert!(cold.files >= 2 * cold.sections && known.tier(Tier::Hot).bytes >= hot);
    let amplification = known.write_amplification().unwrap();
    assert!(amplification > 1.0, "{amplification}");
    // A retry of what is cold by now is a duplicate; other content under its id a conflict.
    let receipt = store.append(batch(&numbered(0..300))).unwrap();
    assert_eq!((receipt.accepted, receipt.duplicates), (0, 300));
    let other = Event {
        value: Some(-77.0),
        ..Event::numbered(5)
    };
    let receipt = store.append(batch(&[other])).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected.len()), (0, 1));
}

#[test]
fn what_is_written_again_grows_with_the_logarithm() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    let mut rows_written = 0;
    for round in 0..64 {
        store
            .append(batch(&numbered(round * 100..(round + 1) * 100)))
            .unwrap();
        store.flush().unwrap();
        let before = rows_of_cold_files(&store);
        store.compact(CompactionGoal::AllCold).unwrap();
        let after = rows_of_cold_files(&store);
        rows_written += after
            .iter()
            .filter(|(seqs, _)| !before.contains_key(*seqs))
            .map(|(_, rows)| rows)
            .sum::<usize>();
    }
    // Each of 6,400 rows is written once, and again when its file doubles.
    assert!(rows_written < 6_400 * 9, "{rows_written} rows written");
    assert_eq!(content(&store.snapshot()).unwrap().len(), 6_400);
}

/// Rows of each cold file, which its day and bounds of seq tell apart.
fn rows_of_cold_files(store: &Store) -> BTreeMap<(i32, i64, i64), usize> {
    let snapshot = store.snapshot();
    let sections = snapshot.slices().iter().flat_map(|slice| &slice.sections);
    sections
        .filter(|section| section.is_cold())
        .map(|section| {
            let known = section.statistics();
            ((known.day, known.seq_min, known.seq_max), known.rows)
        })
        .collect()
}

#[test]
fn a_crash_at_any_operation_of_a_compaction_loses_nothing() {
    let prepared = FaultyDirectory::new();
    let store = open(&prepared).unwrap();
    store.append(batch(&numbered(0..700))).unwrap();
    store.flush().unwrap();
    store.compact(CompactionGoal::AllCold).unwrap();
    store.append(batch(&numbered(700..1_000))).unwrap();
    store.close().unwrap();
    let expected: Vec<Event> = numbered(0..1_000);
    let mut step = 0;
    loop {
        let directory = prepared.crash_image(1);
        let store = open(&directory).unwrap();
        let before = directory.operations();
        directory.set_plan(FaultPlan::new().crash_at(before + step));
        let compacted = store.compact(CompactionGoal::AllCold);
        drop(store);
        for seed in 0..2 {
            let image = directory.crash_image(step * 7 + seed);
            let store = open(&image).unwrap();
            let found: Vec<Event> = content(&store.snapshot()).unwrap().into_values().collect();
            assert_eq!(found, expected, "crash at step {step}");
            store.compact(CompactionGoal::AllCold).unwrap();
            let found: Vec<Event> = content(&store.snapshot()).unwrap().into_values().collect();
            assert_eq!(found, expected, "compacted after a crash at step {step}");
        }
        if compacted.is_ok() {
            break;
        }
        step += 1;
    }
    assert!(step > 20, "{step} steps");
}

#[test]
fn appends_and_readers_go_on_beside_a_compaction() {
    let directory = FaultyDirectory::new();
    let store = Arc::new(open_tight(&directory));
    let is_done = Arc::new(AtomicBool::new(false));
    let (begun, reading) = mpsc::channel();
    let reader = {
        let (store, is_done) = (Arc::clone(&store), Arc::clone(&is_done));
        std::thread::spawn(move || {
            let mut reads = 0;
            while !is_done.load(Ordering::Relaxed) {
                let snapshot = store.snapshot();
                let found = content(&snapshot).unwrap();
                assert_eq!(found.len() as i64, snapshot.seq(), "every seq once");
                for (seq, event) in found {
                    assert_eq!(event, Event::numbered(seq as u64 - 1));
                }
                reads += 1;
                if reads == 1 {
                    begun.send(()).unwrap();
                }
            }
            reads
        })
    };
    reading.recv().unwrap();
    for round in 0..60 {
        store
            .append(batch(&numbered(round * 100..(round + 1) * 100)))
            .unwrap();
        if round % 3 == 0 {
            store.flush().unwrap();
        }
        if round % 10 == 9 {
            store.compact(CompactionGoal::AllCold).unwrap();
        }
    }
    is_done.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 0);
}

#[test]
fn what_was_known_at_a_time_is_the_same_in_every_tier() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    let mut known = Vec::new();
    for round in 0..30 {
        store
            .append(batch(&numbered(round * 20..(round + 1) * 20)))
            .unwrap();
        let snapshot = store.snapshot();
        known.push((snapshot.received_at_us(), snapshot.seq()));
        if round % 5 == 4 {
            store.flush().unwrap();
        }
        if round % 12 == 11 {
            store.compact(CompactionGoal::AllCold).unwrap();
        }
    }
    let check = |what: &str| {
        let snapshot = store.snapshot();
        for &(received_us, seq) in &known {
            assert_eq!(snapshot.seq_known_at(received_us).unwrap(), seq, "{what}");
            assert_eq!(
                snapshot.seq_known_at(received_us - 1).unwrap(),
                seq - 20,
                "{what}"
            );
        }
    };
    check("mixed");
    store.flush().unwrap();
    store.compact(CompactionGoal::Due).unwrap();
    check("merged");
    store.compact(CompactionGoal::AllCold).unwrap();
    check("cold");
}

#[test]
fn small_files_of_many_short_runs_are_merged() {
    let directory = FaultyDirectory::new();
    for round in 0..20 {
        let store = open(&directory).unwrap();
        store
            .append(batch(&numbered(round * 10..(round + 1) * 10)))
            .unwrap();
        store.close().unwrap();
    }
    let store = open(&directory).unwrap();
    store.compact(CompactionGoal::Due).unwrap();
    let files = names(&directory, "segments").len();
    assert!(files < 8, "{files} segments");
    let found: Vec<Event> = content(&store.snapshot()).unwrap().into_values().collect();
    assert_eq!(found, numbered(0..200));
}

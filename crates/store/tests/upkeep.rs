//! The upkeep by itself: damage of one file stops nothing else, work that is due is found, a clock
//! that jumped is not believed, a full disk recovers, and text of any length becomes cold.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use support::{Event, START_US, TestClock, batch, clock, content, numbered, small};
use vitalog_disk::{Directory, FaultyDirectory};
use vitalog_event::{DAY_US, day_of_timestamp_us};
use vitalog_store::{
    CompactionGoal, EraseRequest, Store, StoreConfig, StoreError, StoreErrorKind, Tier,
    verify_directory,
};

/// How long an event may take that the upkeep brings about by itself.
const PATIENCE: Duration = Duration::from_secs(120);

fn open_with(directory: &FaultyDirectory, config: StoreConfig) -> Store {
    let shared: Arc<dyn Directory> = Arc::new(directory.clone());
    Store::open(shared, config, clock()).unwrap().0
}

/// Whether `is_so` within [`PATIENCE`].
fn comes_about(is_so: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

fn names(directory: &FaultyDirectory, folder: &str, end: &str) -> Vec<String> {
    let mut names = directory.list(folder).unwrap();
    names.retain(|name| name.ends_with(end));
    names
        .iter()
        .map(|name| format!("{folder}/{name}"))
        .collect()
}

/// Damages a place of `file` that has a checksum.
fn damage(directory: &FaultyDirectory, file: &str) {
    let bytes = directory.len(file).unwrap();
    let damaged = (1..bytes / 64).any(|part| {
        let at = bytes / 2 + part * 7;
        directory.flip_bit(file, at, 3).unwrap();
        let shared: Arc<dyn Directory> = Arc::new(directory.kill_image());
        let is_found = !verify_directory(&shared, |_| {})
            .unwrap()
            .damages
            .is_empty();
        if !is_found {
            directory.flip_bit(file, at, 3).unwrap();
        }
        is_found
    });
    assert!(damaged, "{file} has checksums");
}

/// A store of `files` flushes of 200 events each, closed.
fn flushed(directory: &FaultyDirectory, config: &StoreConfig, files: u64) {
    let store = open_with(directory, config.clone());
    for file in 0..files {
        let events = numbered(file * 200..(file + 1) * 200);
        store.append(batch(&events)).unwrap();
        store.flush().unwrap();
    }
    store.close().unwrap();
}

#[test]
fn a_damaged_hot_file_is_left_out_and_all_others_become_cold() {
    let directory = FaultyDirectory::new();
    flushed(&directory, &small(), 3);
    let file = names(&directory, "segments", ".arrow").remove(0);
    damage(&directory, &file);
    let store = open_with(&directory, small());
    for _ in 0..2 {
        store.compact(CompactionGoal::AllCold).unwrap();
        assert_eq!(store.statistics().unwrap().tier(Tier::Cold).rows, 400);
        let damaged = store.damaged_files();
        assert_eq!(damaged.len(), 1);
        assert_eq!(damaged[0].name, file);
        assert!(damaged[0].reason.contains(&file), "{damaged:?}");
    }
    let report = store.compact(CompactionGoal::AllCold).unwrap();
    assert_eq!((report.damaged, report.hot_cooled), (1, 0));
    let known = store.statistics().unwrap().damaged_files;
    assert_eq!(known, store.damaged_files());
}

#[test]
fn late_rows_do_without_a_damaged_cold_file_of_their_day() {
    let directory = FaultyDirectory::new();
    flushed(&directory, &small(), 1);
    let store = open_with(&directory, small());
    store.compact(CompactionGoal::AllCold).unwrap();
    store.append(batch(&numbered(200..800))).unwrap();
    store.close().unwrap();
    for extension in [".parquet", ".side"] {
        let image = directory.kill_image();
        let file = names(&image, "cold", extension).remove(0);
        match extension {
            ".side" => image.truncate(&file, 40).unwrap(),
            _ => damage(&image, &file),
        }
        let store = open_with(&image, small());
        let report = store.compact(CompactionGoal::AllCold).unwrap();
        assert_eq!(report.rows_cooled, 600, "{extension}");
        assert!(names(&image, "segments", ".arrow").is_empty());
        let damaged = store.damaged_files();
        assert_eq!(damaged.len(), 1, "{extension}");
        assert_eq!(damaged[0].name, file.strip_suffix(extension).unwrap());
    }
}

#[test]
fn hot_files_merge_beside_a_damaged_one() {
    let directory = FaultyDirectory::new();
    for run in 0..5_u64 {
        let config = StoreConfig {
            // Not before the fifth: four files of a level are merged.
            hot_merged_bytes_max: 0,
            ..small()
        };
        let store = open_with(&directory, config);
        store
            .append(batch(&numbered(run * 10..(run + 1) * 10)))
            .unwrap();
        store.close().unwrap();
    }
    let files = names(&directory, "segments", ".arrow");
    assert_eq!(files.len(), 5, "too large to be merged");
    directory.truncate(&files[0], 100).unwrap();
    let store = open_with(&directory, small());
    store.compact(CompactionGoal::Due).unwrap();
    assert_eq!(store.statistics().unwrap().segments, 2);
    assert_eq!(store.damaged_files()[0].name, files[0]);
}

#[test]
fn an_erasure_goes_on_beside_a_damaged_file_and_a_start_does_not_fail() {
    let directory = FaultyDirectory::new();
    flushed(&directory, &small(), 3);
    let file = names(&directory, "segments", ".arrow").remove(0);
    damage(&directory, &file);
    let store = open_with(&directory, small());
    let erase = |store: &Store| store.erase(EraseRequest::User("user 5"), Box::new(|_| {}));
    let error = erase(&store).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Data);
    assert!(error.to_string().contains(&file), "{error}");
    let written = names(&directory, "segments", ".arrow");
    assert!(written.contains(&file) && store.receipts().is_empty());
    store.close().unwrap();
    let store = open_with(&directory, small());
    assert!(store.receipts().is_empty(), "pending");
    assert!(erase(&store).is_err());
    store.append(batch(&numbered(600..700))).unwrap();
}

#[test]
fn the_configured_retention_runs_on_a_quiet_store() {
    let directory = FaultyDirectory::new();
    let time = clock();
    let config = StoreConfig {
        retention_days: Some(28),
        upkeep_interval: Duration::from_millis(2),
        ..small()
    };
    let shared: Arc<dyn Directory> = Arc::new(directory.clone());
    let (store, _) = Store::open(shared, config, Arc::clone(&time) as _).unwrap();
    store.append(batch(&numbered(0..200))).unwrap();
    store.flush().unwrap();
    let today = day_of_timestamp_us(START_US) + 30;
    assert!(comes_about(|| floor(&store) == Some(today - 28)));
    time.0.fetch_add(DAY_US, Ordering::Relaxed);
    assert!(comes_about(
        || store.snapshot().retained_from_day() == Some(today - 27)
    ));
    assert!(comes_about(|| store.receipts().len() == 2));
}

fn floor(store: &Store) -> Option<i32> {
    store.snapshot().retained_from_day()
}

#[test]
fn a_clock_that_jumped_drops_nothing_by_itself() {
    let directory = FaultyDirectory::new();
    let config = StoreConfig {
        retention_days: Some(90),
        upkeep_interval: Duration::from_millis(2),
        ..small()
    };
    flushed(&directory, &small(), 2);
    let time = Arc::new(TestClock((START_US + 400 * DAY_US).into()));
    let shared: Arc<dyn Directory> = Arc::new(directory.clone());
    let (store, _) = Store::open(shared, config, Arc::clone(&time) as _).unwrap();
    // What is received by this clock makes it no truer.
    store.append(batch(&numbered(400..500))).unwrap();
    store.flush().unwrap();
    store.compact(CompactionGoal::Due).unwrap();
    store.compact(CompactionGoal::Due).unwrap();
    assert_eq!(floor(&store), None);
    assert_eq!(content(&store.snapshot()).unwrap().len(), 500);
    // Somebody says that it is right: then it is believed from now on.
    let receipt = store.retain_days(380, Box::new(|_| {})).unwrap();
    assert!(!receipt.repeated);
    let day = day_of_timestamp_us(START_US) + 400 - 90;
    assert!(comes_about(|| floor(&store) == Some(day)));
}

/// Events of one day with some text each.
fn wordy(range: std::ops::Range<u64>) -> Vec<Event> {
    let words = |n: u64| format!("{{\"text\":\"{}\"}}", format!("{n:x} ").repeat(150));
    let one = |n: u64| Event {
        time_us: START_US + n as i64 * 1_000,
        properties: Some(words(n)),
        ..Event::numbered(n)
    };
    range.map(one).collect()
}

/// Rows and seqs of each cold file.
fn cold_files(store: &Store) -> BTreeMap<(i64, i64, i64), usize> {
    let snapshot = store.snapshot();
    let sections = snapshot.slices().iter().flat_map(|slice| &slice.sections);
    let cold = sections.filter(|section| section.is_cold());
    let files = cold.map(|section| {
        let known = section.statistics();
        (
            (known.seq_min, known.seq_max, known.time_min_us),
            known.rows,
        )
    });
    files.collect()
}

#[test]
fn a_day_with_more_text_than_a_file_can_have_becomes_several_files() {
    let directory = FaultyDirectory::new();
    let config = StoreConfig {
        cold_text_bytes_max: 64 << 10,
        cold_files_per_day_max: 2,
        memtable_events_max: 1 << 20,
        ..small()
    };
    let store = open_with(&directory, config.clone());
    let events = wordy(0..1_000);
    let text: usize = events
        .iter()
        .filter_map(|event| event.properties.as_ref())
        .map(String::len)
        .sum();
    store.append(batch(&events)).unwrap();
    store.flush().unwrap();
    let before = content(&store.snapshot()).unwrap();
    let report = store.compact(CompactionGoal::AllCold).unwrap();
    let files = cold_files(&store);
    assert_eq!(report.cold_written, files.len());
    assert!(files.len() >= text / (64 << 10), "{} files", files.len());
    assert!(
        files.len() <= text / (64 << 10) * 2,
        "{} files",
        files.len()
    );
    assert_eq!(content(&store.snapshot()).unwrap(), before);
    assert_eq!(report.rows_cooled, 1_000);
    // Late rows leave full files as they are, and do not pile up beside them.
    for round in 0..12 {
        let late = wordy(1_000 + round * 5..1_005 + round * 5);
        store.append(batch(&late)).unwrap();
        store.flush().unwrap();
        store.compact(CompactionGoal::AllCold).unwrap();
    }
    let later = cold_files(&store);
    let kept = files
        .keys()
        .filter(|file| later.contains_key(*file))
        .count();
    assert!(
        kept + 1 >= files.len(),
        "{kept} of {} files are as they were",
        files.len()
    );
    assert!(later.len() <= files.len() + 3, "{} files", later.len());
    let expected: BTreeMap<i64, Event> = (1..).zip(wordy(0..1_060)).collect();
    assert_eq!(content(&store.snapshot()).unwrap(), expected);
    store.close().unwrap();
    let shared: Arc<dyn Directory> = Arc::new(directory.clone());
    assert!(
        verify_directory(&shared, |_| {})
            .unwrap()
            .damages
            .is_empty()
    );
    let store = open_with(&directory, config);
    assert_eq!(content(&store.snapshot()).unwrap(), expected);
}

#[test]
fn jobs_and_merges_are_bounded_by_bytes() {
    let directory = FaultyDirectory::new();
    let config = StoreConfig {
        cooled_bytes_max: 1,
        hot_merged_bytes_max: 256 << 10,
        ..small()
    };
    let store = open_with(&directory, config);
    for round in 0..24_u64 {
        store
            .append(batch(&wordy(round * 30..(round + 1) * 30)))
            .unwrap();
        store.flush().unwrap();
    }
    store.compact(CompactionGoal::Due).unwrap();
    let largest = directory
        .files()
        .into_iter()
        .filter(|(name, _)| name.starts_with("segments/"));
    let largest = largest.map(|(_, bytes)| bytes).max().unwrap();
    assert!(largest <= 256 << 10, "{largest} bytes");
    let hot = store.statistics().unwrap().segments;
    assert!(hot > 3, "not all are one");
    let report = store.compact(CompactionGoal::AllCold).unwrap();
    // One file a job, and of each what it has of the one day.
    assert_eq!((report.hot_cooled, report.cold_written), (hot, hot));
    let expected: BTreeMap<i64, Event> = (1..).zip(wordy(0..720)).collect();
    assert_eq!(content(&store.snapshot()).unwrap(), expected);
}

#[test]
fn the_reserve_has_room_for_a_flush() {
    let config = StoreConfig::default();
    let flush = config.memtable_bytes_max as u64 + config.wal_file_bytes;
    assert!(config.reserved_bytes > flush);
}

/// A store on a small disk, filled until an append was refused. Gives the events stored.
fn filled_up(directory: &FaultyDirectory, config: &StoreConfig) -> (Store, u64) {
    directory.set_capacity(8 << 20);
    let store = open_with(directory, config.clone());
    let mut stored = 0;
    loop {
        match store.append(batch(&wordy(stored..stored + 100))) {
            Ok(_) => stored += 100,
            Err(StoreError::Full(_)) => return (store, stored),
            Err(error) => panic!("{error}"),
        }
        assert!(stored < 1_000_000, "the disk is small");
    }
}

fn reserving() -> StoreConfig {
    StoreConfig {
        reserved_bytes: 2 << 20,
        memtable_bytes_max: 1 << 20,
        memtable_events_max: 1 << 20,
        cooled_bytes_max: 2 << 20,
        hot_merged_bytes_max: 0,
        upkeep_interval: Duration::from_millis(20),
        ..small()
    }
}

#[test]
fn a_full_disk_recovers_by_itself_where_rows_can_be_made_smaller() {
    let directory = FaultyDirectory::new();
    let (store, mut stored) = filled_up(&directory, &reserving());
    // A flush gives the log's room back, at first that is enough. In the end only rows that became
    // cold make room, which the budget of the hot tier alone would never ask for.
    let cold_rows = || store.statistics().unwrap().tier(Tier::Cold).rows;
    while cold_rows() == 0 {
        let next = batch(&wordy(stored..stored + 100));
        let is_taken = comes_about(|| store.append(next.clone()).is_ok());
        assert!(is_taken, "{stored} events stored, {} cold", cold_rows());
        stored += 100;
        assert!(stored < 1_000_000, "the disk is small");
    }
    // And it goes on from there.
    let next = batch(&wordy(stored..stored + 100));
    assert!(comes_about(|| store.append(next.clone()).is_ok()));
    let found = content(&store.snapshot()).unwrap();
    assert!(found.into_values().eq(wordy(0..stored + 100)));
}

#[test]
fn retention_and_erasure_make_room_on_a_full_disk() {
    let directory = FaultyDirectory::new();
    let (store, stored) = filled_up(&directory, &reserving());
    // Nothing but the reserve is left.
    let used = (8 << 20) - directory.free_bytes().unwrap();
    directory.set_capacity(used + (2 << 20));
    let user = "user 5";
    let receipt = store
        .erase(EraseRequest::User(user), Box::new(|_| {}))
        .unwrap();
    assert!(receipt.rows.hot + receipt.rows.cold > 0);
    let left: BTreeSet<Option<String>> = content(&store.snapshot())
        .unwrap()
        .into_values()
        .map(|event| event.user)
        .collect();
    assert!(!left.contains(&Some(user.to_owned())) && left.len() > 5);
    let today = day_of_timestamp_us(START_US) + 30;
    store.retain_from(today, Box::new(|_| {})).unwrap();
    assert!(content(&store.snapshot()).unwrap().is_empty());
    assert_eq!(store.check_writable(), Ok(()));
    let kept = Event {
        time_us: START_US + 30 * DAY_US,
        ..Event::numbered(stored)
    };
    assert_eq!(store.append(batch(&[kept])).unwrap().accepted, 1);
}

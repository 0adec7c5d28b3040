//! Erasing rows of cold files, in a store that has hot files, cold files and memory: what is left is
//! searched byte by byte and in decoded Parquet, and a crash is tried at every operation.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use support::bytes::{assert_undamaged, files_with, search};
use support::{Event, batch, clock, content, fault_at, numbered, open, small};
use vitalog_disk::{Directory, FaultPlan, FaultyDirectory};
use vitalog_store::{
    CompactionGoal, EraseRequest, FoundAs, IdKind, Progress, RemovalReceipt, Store, StoreErrorKind,
    Tier,
};
use xxhash_rust::xxh3::xxh3_64;

const USER: &str = "user 5";
const ACCOUNT: &str = "account 2";

fn quiet() -> Progress {
    Box::new(|_| {})
}

fn erase_user(store: &Store) -> vitalog_store::Result<RemovalReceipt> {
    store.erase(EraseRequest::User(USER), quiet())
}

fn is_user(event: &Event) -> bool {
    event.user.as_deref() == Some(USER)
}

fn is_account(event: &Event) -> bool {
    event.account.as_deref() == Some(ACCOUNT)
}

type Rows = BTreeMap<i64, Event>;

fn without(rows: &Rows, goes: impl Fn(&Event) -> bool) -> Rows {
    let kept = rows.iter().filter(|(_, event)| !goes(event));
    kept.map(|(&seq, event)| (seq, event.clone())).collect()
}

fn rows(store: &Store) -> Rows {
    content(&store.snapshot()).unwrap()
}

/// `0..900`: the first 500 cold, the next 300 in a hot file, the rest in memory and in the log.
fn filled(directory: &FaultyDirectory) -> Store {
    filled_with(directory, &numbered(0..900))
}

fn filled_with(directory: &FaultyDirectory, events: &[Event]) -> Store {
    let store = open(directory).unwrap();
    store.append(batch(&events[..500])).unwrap();
    store.flush().unwrap();
    store.compact(CompactionGoal::AllCold).unwrap();
    store.append(batch(&events[500..800])).unwrap();
    store.flush().unwrap();
    store.append(batch(&events[800..])).unwrap();
    store
}

fn cold_files(directory: &FaultyDirectory) -> Vec<String> {
    let names = directory.files().into_iter().map(|(name, _)| name);
    names.filter(|name| name.starts_with("cold/")).collect()
}

/// How many rows of `0..500`, which are cold, go.
fn of_cold(goes: impl Fn(&Event) -> bool) -> u64 {
    numbered(0..500).iter().filter(|event| goes(event)).count() as u64
}

#[test]
fn an_erased_id_is_nowhere_and_other_rows_of_cold_files_are_as_before() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    let before = rows(&store);
    let accounts = before.values().filter(|event| is_user(event));
    let accounts: BTreeSet<_> = accounts.map(|event| &event.account).collect();
    assert!(accounts.len() > 3, "the user acts in several accounts");
    let mut in_log = numbered(800..900).into_iter();
    assert_eq!(store.statistics().unwrap().tier(Tier::Memory).rows, 100);
    assert!(in_log.any(|event| is_user(&event)), "rows in the log");
    // The log has rows by symbol, and the strings of symbols that are new in it.
    let holding = files_with(&directory, USER);
    for folder in ["cold/", "segments/", "symbols/"] {
        assert!(
            holding.iter().any(|name| name.starts_with(folder)),
            "{folder} in {holding:?}"
        );
    }
    assert!(cold_files(&directory).len() >= 10, "files and sidecars");
    let old = store.snapshot();

    let receipt = erase_user(&store).unwrap();
    let expected = without(&before, is_user);
    assert_eq!(rows(&store), expected);
    let gone = (before.len() - expected.len()) as u64;
    let cold = of_cold(is_user);
    assert_eq!((receipt.rows.cold, receipt.rows.hot), (cold, gone - cold));
    assert!(receipt.files_rewritten >= 6 && receipt.bytes_after < receipt.bytes_before);
    assert_eq!(files_with(&directory, USER), [""; 0]);
    assert_eq!(old.seq(), 900);

    let receipt = store
        .erase(EraseRequest::Account(ACCOUNT), quiet())
        .unwrap();
    let cold = of_cold(|event| is_account(event) && !is_user(event));
    assert_eq!(receipt.rows.cold, cold);
    let expected = without(&expected, is_account);
    assert_eq!(rows(&store), expected);
    assert_eq!(files_with(&directory, ACCOUNT), [""; 0]);
    store.close().unwrap();
    assert_undamaged(&directory);
    for (id, kind) in [(USER, IdKind::User), (ACCOUNT, IdKind::Account)] {
        let report = search(&directory, id, kind);
        assert!(
            report.is_clean() && report.receipts.len() == 1,
            "{report:?}"
        );
    }
    let store = open(&directory).unwrap();
    assert_eq!(rows(&store), expected);
    // What is left can be compacted again, and once more nothing is there.
    store.compact(CompactionGoal::AllCold).unwrap();
    assert_eq!(rows(&store), expected);
    assert_eq!(files_with(&directory, USER), [""; 0]);
    assert_eq!(store.statistics().unwrap().tier(Tier::Hot).rows, 0);
}

#[test]
fn a_cold_file_of_which_nothing_is_left_is_dropped() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    let alone: Vec<Event> = numbered(0..20).into_iter().filter(is_user).collect();
    store.append(batch(&alone)).unwrap();
    store.flush().unwrap();
    store.compact(CompactionGoal::AllCold).unwrap();
    assert!(!cold_files(&directory).is_empty());
    let receipt = erase_user(&store).unwrap();
    assert_eq!(receipt.rows.cold, alone.len() as u64);
    assert_eq!(receipt.files_rewritten, 0);
    assert!(receipt.files_removed > 0);
    assert_eq!(cold_files(&directory), [""; 0]);
    assert_eq!(files_with(&directory, USER), [""; 0]);
    assert!(rows(&store).is_empty());
}

#[test]
fn later_events_of_an_id_that_was_cold_are_new_data_and_become_cold_again() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    let mine: Vec<Event> = numbered(0..900).into_iter().filter(is_user).collect();
    erase_user(&store).unwrap();
    let before = rows(&store);
    let receipt = store.append(batch(&mine)).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected.len()), (mine.len(), 0));
    let expected: Vec<&Event> = before.values().chain(&mine).collect();
    let check = |store: &Store, what: &str| {
        let rows = rows(store);
        assert_eq!(rows.values().collect::<Vec<_>>(), expected, "{what}");
        let again = store.append(batch(&mine)).unwrap();
        assert_eq!(again.duplicates, mine.len(), "{what}");
    };
    check(&store, "in memory");
    store.flush().unwrap();
    check(&store, "hot");
    store.compact(CompactionGoal::AllCold).unwrap();
    check(&store, "cold");
    store.close().unwrap();
    assert_undamaged(&directory);
    let store = open(&directory).unwrap();
    check(&store, "opened again");
    let receipt = erase_user(&store).unwrap();
    assert_eq!((receipt.number, receipt.rows.cold), (2, mine.len() as u64));
    assert_eq!(rows(&store), before);
    assert_eq!(files_with(&directory, USER), [""; 0]);
}

/// With properties that are long and hardly compressed.
fn wordy(event: Event) -> Event {
    let hash = |n: u64| xxh3_64(format!("{} {n}", event.id).as_bytes());
    let text: String = (0..100).map(|n| format!("{:016x}", hash(n))).collect();
    Event {
        properties: Some(format!("{{\"text\":\"{text}\"}}")),
        ..event
    }
}

/// A place among the properties of a cold file, far from everything else: ids, identities and what
/// finds them can be read where it is damaged.
fn amid_properties(directory: &FaultyDirectory, name: &str) -> u64 {
    let bytes = Bytes::from(directory.read(name).unwrap());
    let reader = SerializedFileReader::new(bytes).unwrap();
    let mut columns = reader.metadata().row_group(0).columns().iter();
    let properties = columns.find(|column| column.column_path().string() == "properties");
    let (start, bytes) = properties.unwrap().byte_range();
    assert!(bytes > 64 << 10, "{bytes} bytes of properties");
    start + bytes / 3
}

/// A cold Parquet file that holds `id`.
fn cold_with(directory: &FaultyDirectory, id: &str) -> String {
    let mut holding = files_with(directory, id).into_iter();
    let is_cold = |name: &String| name.starts_with("cold/") && name.ends_with(".parquet");
    holding.find(is_cold).unwrap()
}

#[test]
fn what_is_appended_while_an_erasure_is_pending_survives_it() {
    for (request, goes) in [
        (EraseRequest::User(USER), is_user as fn(&Event) -> bool),
        (
            EraseRequest::Account(ACCOUNT),
            is_account as fn(&Event) -> bool,
        ),
    ] {
        let directory = FaultyDirectory::new();
        let events: Vec<Event> = numbered(0..900).into_iter().map(wordy).collect();
        let store = filled_with(&directory, &events);
        let id = match request {
            EraseRequest::User(id) | EraseRequest::Account(id) => id,
        };
        let mine: Vec<Event> = events.into_iter().filter(goes).collect();
        let expected = without(&rows(&store), goes);
        let expected: Vec<&Event> = expected.values().chain(&mine).collect();
        let damaged = cold_with(&directory, id);
        let place = amid_properties(&directory, &damaged);
        store.close().unwrap();
        directory.flip_bit(&damaged, place, 2).unwrap();
        let store = open(&directory).unwrap();
        // A file is in the way: the erasure stays pending.
        let error = store.erase(request, quiet()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Data, "{error}");
        assert!(error.to_string().contains(&damaged), "{error}");
        assert_eq!(store.append(batch(&mine)).unwrap().accepted, mine.len());
        store.flush().unwrap();
        // Nothing becomes cold meanwhile: there the new rows could not be told from the old ones.
        let error = store.compact(CompactionGoal::AllCold).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Data, "{error}");
        directory.flip_bit(&damaged, place, 2).unwrap();
        store.compact(CompactionGoal::AllCold).unwrap();
        assert_eq!(rows(&store).values().collect::<Vec<_>>(), expected, "{id}");
        let receipts = store.receipts();
        assert_eq!(receipts.len(), 1);
        let gone = receipts[0].rows;
        assert_eq!(gone.hot + gone.cold, mine.len() as u64, "{id}");
        assert_eq!(store.statistics().unwrap().tier(Tier::Hot).rows, 0);
        store.close().unwrap();
        assert_undamaged(&directory);
        let store = open(&directory).unwrap();
        assert_eq!(rows(&store).values().collect::<Vec<_>>(), expected, "{id}");
        // Those, too, can be erased.
        let receipt = store.erase(request, quiet()).unwrap();
        assert_eq!(receipt.rows.cold, mine.len() as u64);
        assert_eq!(files_with(&directory, id), [""; 0]);
    }
}

#[test]
fn a_crash_at_every_operation_leaves_an_erasure_of_cold_rows_pending_or_done() {
    let base = FaultyDirectory::new();
    let before = {
        let store = filled(&base);
        let before = rows(&store);
        store.close().unwrap();
        before
    };
    let in_memory = numbered(900..1_000);
    let later = (901..).zip(in_memory.clone());
    let before: Rows = before.into_iter().chain(later).collect();
    assert!(cold_files(&base).len() >= 10);
    let expected = without(&before, is_user);
    let gone = (before.len() - expected.len()) as u64;
    let (mut undone, mut pending) = (0, 0);
    for step in 0.. {
        let directory = base.kill_image();
        let store = open(&directory).unwrap();
        // Behind the job that looks what is due.
        store.compact(CompactionGoal::Due).unwrap();
        // In memory and in the log: what an erasure writes first is a flush.
        store.append(batch(&in_memory)).unwrap();
        directory.set_plan(FaultPlan::new().crash_at(directory.operations() + step));
        let erased = erase_user(&store);
        drop(store);
        for seed in 0..2 {
            let image = directory.crash_image(seed);
            let at: Arc<dyn Directory> = Arc::new(image.clone());
            let (store, report) = Store::open(at, small(), clock()).unwrap();
            if rows(&store) == before {
                assert!(erased.is_err(), "step {step}");
                undone += 1;
                erase_user(&store).unwrap();
            }
            assert_eq!(rows(&store), expected, "step {step}, seed {seed}");
            let receipts = store.receipts();
            assert_eq!(receipts.len(), 1, "step {step}, seed {seed}");
            let counted = receipts[0].rows;
            assert_eq!(counted.cold, of_cold(is_user), "step {step}, seed {seed}");
            assert_eq!(counted.cold + counted.hot, gone, "step {step}, seed {seed}");
            drop(store);
            pending += report.finished_removals;
            let left = files_with(&image, USER);
            assert_eq!(left, [""; 0], "step {step}, seed {seed}");
            assert_undamaged(&image);
        }
        if !directory.has_crashed() {
            assert!(erased.is_ok());
            break;
        }
    }
    assert!(
        undone > 10 && pending > 30,
        "{undone} undone, {pending} pending"
    );
}

#[test]
fn a_failing_disk_leaves_an_erasure_of_cold_rows_to_be_done_again() {
    let base = FaultyDirectory::new();
    filled(&base).close().unwrap();
    let later = numbered(900..950);
    let all = (1..).zip(numbered(0..950)).collect();
    let all = without(&all, is_user);
    let mut refused = 0;
    for step in 0.. {
        let directory = base.kill_image();
        let store = open(&directory).unwrap();
        store.compact(CompactionGoal::Due).unwrap();
        let at = directory.operations() + step;
        directory.set_plan(fault_at(at, step));
        let erased = erase_user(&store);
        let has_failed = directory.operations() > at;
        directory.set_plan(FaultPlan::new());
        refused += usize::from(erased.is_err());
        let appended = store.append(batch(&later));
        let image = directory.kill_image();
        drop(store);
        let store = open(&image).unwrap();
        if appended.is_err() {
            store.append(batch(&later)).unwrap();
        }
        let found = rows(&store);
        let kept = found.values().filter(|event| later.contains(event)).count();
        assert_eq!(kept, later.len(), "step {step}: acknowledged events stay");
        let others = without(&found, is_user);
        assert!(others.values().eq(all.values()), "step {step}");
        erase_user(&store).unwrap();
        assert!(rows(&store).values().eq(all.values()), "step {step}");
        assert_eq!(files_with(&image, USER), [""; 0], "step {step}");
        drop(store);
        assert_undamaged(&image);
        if !has_failed {
            break;
        }
    }
    assert!(refused > 30, "{refused} refused");
}

#[test]
fn a_search_finds_identities_in_cold_files() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    store.flush().unwrap();
    store.compact(CompactionGoal::AllCold).unwrap();
    store.close().unwrap();
    let report = search(&directory, USER, IdKind::User);
    let in_cold = report
        .found
        .iter()
        .filter(|found| found.file.starts_with("cold/") && found.found_as == FoundAs::Identity);
    let counted: u64 = in_cold.map(|found| found.count).sum();
    let mine = numbered(0..900).into_iter().filter(is_user).count();
    assert!(counted >= mine as u64, "{:?}", report.found);
}

#[test]
fn an_erasure_needs_room_for_a_few_files_only() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    store.append(batch(&numbered(0..4_000))).unwrap();
    store.flush().unwrap();
    store.compact(CompactionGoal::AllCold).unwrap();
    let before = rows(&store);
    let sizes = directory.files();
    let cold = sizes.iter().filter(|(name, _)| name.starts_with("cold/"));
    let cold: Vec<usize> = cold.map(|&(_, bytes)| bytes).collect();
    let largest = cold.iter().max().unwrap();
    // For one file, its sidecar and manifests.
    let free = largest + (24 << 10);
    assert!(
        cold.iter().sum::<usize>() > 2 * free,
        "{cold:?}, {free} free"
    );
    let used: usize = sizes.iter().map(|(_, bytes)| bytes).sum();
    directory.set_capacity((used + free) as u64);
    let receipt = erase_user(&store).unwrap();
    assert_eq!(receipt.files_rewritten, 5);
    assert_eq!(rows(&store), without(&before, is_user));
    assert_eq!(files_with(&directory, USER), [""; 0]);
}

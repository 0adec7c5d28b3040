//! Removals: erasing accounts and users, taking imports back, dropping old days; what is left on
//! disk is searched byte by byte, and a crash is tried at every operation.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use support::bytes::{assert_undamaged, files_with, search};
use support::{Event, START_US, batch, clock, content, fault_at, numbered, open, small};
use vitalog_disk::{Directory, FaultPlan, FaultyDirectory, write_atomically};
use vitalog_event::{DAY_US, RejectionCode, day_of_timestamp_us};
use vitalog_store::{
    CompactionGoal, EraseRequest, FoundAs, IdKind, ImportBatch, Progress, RemovalKind,
    RemovalReceipt, RowFilter, Snapshot, Store, StoreConfig, StoreErrorKind,
};

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

/// The rows that stay after `goes` went.
fn without(rows: &BTreeMap<i64, Event>, goes: impl Fn(&Event) -> bool) -> BTreeMap<i64, Event> {
    let kept = rows.iter().filter(|(_, event)| !goes(event));
    kept.map(|(&seq, event)| (seq, event.clone())).collect()
}

fn rows(store: &Store) -> BTreeMap<i64, Event> {
    content(&store.snapshot()).unwrap()
}

/// `received_at` of each seq.
fn received(snapshot: &Snapshot) -> BTreeMap<i64, i64> {
    let filter = RowFilter::up_to(snapshot.seq());
    let mut times = BTreeMap::new();
    for section in snapshot.sections(&filter) {
        let section = section.open();
        for ranges in section.select(&filter).unwrap().batches(1_000) {
            let batch = section.batch(&ranges, &[2, 3]).unwrap();
            let received = batch.column(0).as_primitive::<TimestampMicrosecondType>();
            let seqs = batch.column(1).as_primitive::<Int64Type>();
            times.extend(
                seqs.values()
                    .iter()
                    .copied()
                    .zip(received.values().iter().copied()),
            );
        }
    }
    times
}

/// A store of `0..900`: some segments, something in memory and in the log.
fn filled(directory: &FaultyDirectory) -> Store {
    let store = open(directory).unwrap();
    for first in (0..900).step_by(100) {
        store.append(batch(&numbered(first..first + 100))).unwrap();
        if first % 300 == 0 {
            store.flush().unwrap();
        }
    }
    store
}

#[test]
fn an_erased_id_is_nowhere_and_other_rows_are_as_before() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    let (before, times) = (rows(&store), received(&store.snapshot()));
    let accounts: std::collections::BTreeSet<_> = before
        .values()
        .filter(|event| is_user(event))
        .map(|event| &event.account)
        .collect();
    assert!(accounts.len() > 3, "the user acts in several accounts");
    assert!(!files_with(&directory, USER).is_empty());
    let statistics = store.statistics().unwrap();

    let receipt = erase_user(&store).unwrap();
    let expected = without(&before, is_user);
    assert_eq!(rows(&store), expected);
    assert_eq!(receipt.rows.hot, (before.len() - expected.len()) as u64);
    assert_eq!((receipt.number, receipt.kind), (1, RemovalKind::User));
    assert!(receipt.is_of(USER) && !receipt.is_of("user 4") && !receipt.repeated);
    assert!(receipt.finished_at_us > receipt.begun_at_us && receipt.files_rewritten > 0);
    assert!(receipt.bytes_after < receipt.bytes_before);
    assert_eq!(store.statistics().unwrap().users, statistics.users - 1);
    assert_eq!(files_with(&directory, USER), [""; 0]);

    let is_account = |event: &Event| event.account.as_deref() == Some(ACCOUNT);
    store
        .erase(EraseRequest::Account(ACCOUNT), quiet())
        .unwrap();
    let expected = without(&expected, is_account);
    assert_eq!(rows(&store), expected);
    assert_eq!(files_with(&directory, ACCOUNT), [""; 0]);
    let kept: BTreeMap<i64, i64> = times
        .into_iter()
        .filter(|(seq, _)| expected.contains_key(seq))
        .collect();
    assert_eq!(received(&store.snapshot()), kept);

    store.close().unwrap();
    assert_undamaged(&directory);
    let store = open(&directory).unwrap();
    assert_eq!((rows(&store), store.receipts().len()), (expected, 2));
    assert_eq!(files_with(&directory, USER), [""; 0]);
    assert_eq!(store.snapshot().seq(), 900, "no seq is given twice");
}

#[test]
fn an_id_that_nobody_has_is_told_from_one_that_was_erased() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    let error = store
        .erase(EraseRequest::User("nobody"), quiet())
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    assert!(error.to_string().contains("\"nobody\""), "{error}");
    let first = erase_user(&store).unwrap();
    let again = erase_user(&store).unwrap();
    assert!(again.repeated);
    assert_eq!(
        RemovalReceipt {
            repeated: false,
            ..again
        },
        first
    );
    let error = store
        .erase(EraseRequest::Account(USER), quiet())
        .unwrap_err();
    assert_eq!(
        error.kind(),
        StoreErrorKind::Invalid,
        "no account was of that id"
    );
    assert_eq!(store.receipts(), [first]);
}

#[test]
fn later_events_of_an_erased_id_are_new_data() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    let mine: Vec<Event> = numbered(0..900).into_iter().filter(is_user).collect();
    erase_user(&store).unwrap();
    let before = rows(&store);
    // The same ids as before: nothing of them is known any more.
    let receipt = store.append(batch(&mine)).unwrap();
    assert_eq!((receipt.accepted, receipt.rejected.len()), (mine.len(), 0));
    assert_eq!(receipt.seqs, Some((901, 900 + mine.len() as i64)));
    let expected: Vec<&Event> = before.values().chain(&mine).collect();
    let check = |store: &Store| {
        let rows = rows(store);
        assert_eq!(rows.values().collect::<Vec<_>>(), expected);
        assert_eq!(store.append(batch(&mine)).unwrap().duplicates, mine.len());
    };
    check(&store);
    // From the log, from a file, and erased once more.
    check(&open(&directory.kill_image()).unwrap());
    store.close().unwrap();
    let store = open(&directory).unwrap();
    check(&store);
    assert_eq!(
        search(&directory, USER, IdKind::User).count(FoundAs::Mention),
        0
    );
    let receipt = erase_user(&store).unwrap();
    assert_eq!((receipt.number, receipt.rows.hot), (2, mine.len() as u64));
    assert_eq!(rows(&store), before);
    assert_eq!(files_with(&directory, USER), [""; 0]);
    let matching = store
        .receipts()
        .iter()
        .filter(|receipt| receipt.is_of(USER))
        .count();
    assert_eq!(matching, 2);
}

#[test]
fn an_id_that_was_looked_up_only_is_erased_too() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    // A conflict: its user is looked up, and given a symbol, and nothing is stored.
    let conflict = Event {
        user: Some("only looked up".to_owned()),
        ..Event::numbered(1)
    };
    assert_eq!(store.append(batch(&[conflict])).unwrap().rejected.len(), 1);
    let error = store.erase(EraseRequest::User("only looked up"), quiet());
    assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Invalid);
    store.append(batch(&numbered(900..1_000))).unwrap();
    store.flush().unwrap();
    assert_eq!(files_with(&directory, "only looked up"), [""; 0]);
    let store = {
        store.close().unwrap();
        open(&directory).unwrap()
    };
    assert_eq!(rows(&store).len(), 1_000);
}

#[test]
fn a_crash_at_every_operation_leaves_an_erasure_pending_or_done() {
    let base = FaultyDirectory::new();
    let before = {
        let store = filled(&base);
        store.compact(CompactionGoal::Due).unwrap();
        let before = rows(&store);
        store.close().unwrap();
        before
    };
    let expected = without(&before, is_user);
    let (mut undone, mut pending) = (0, 0);
    for step in 0.. {
        let directory = base.kill_image();
        let store = open(&directory).unwrap();
        store.compact(CompactionGoal::Due).unwrap();
        directory.set_plan(FaultPlan::new().crash_at(directory.operations() + step));
        let erased = erase_user(&store);
        drop(store);
        for seed in 0..3 {
            let image = directory.crash_image(seed);
            let report = {
                let at: Arc<dyn Directory> = Arc::new(image.clone());
                let (store, report) = Store::open(at, small(), clock()).unwrap();
                let rows = rows(&store);
                if rows == before {
                    assert!(
                        erased.is_err() && store.receipts().is_empty(),
                        "step {step}"
                    );
                    undone += 1;
                    erase_user(&store).unwrap();
                } else {
                    assert_eq!(rows, expected, "step {step}, seed {seed}");
                    assert_eq!(store.receipts().len(), 1, "step {step}, seed {seed}");
                }
                report
            };
            pending += report.finished_removals;
            assert_eq!(
                files_with(&image, USER),
                [""; 0],
                "step {step}, seed {seed}"
            );
            assert_undamaged(&image);
        }
        if !directory.has_crashed() {
            assert!(erased.is_ok());
            break;
        }
    }
    assert!(
        undone > 10 && pending > 10,
        "{undone} undone, {pending} pending"
    );
}

#[test]
fn a_failing_disk_leaves_an_erasure_to_be_done_again_and_loses_nothing_else() {
    let base = FaultyDirectory::new();
    filled(&base).close().unwrap();
    let later: Vec<Event> = numbered(900..1_000);
    let all = without(&(0..).zip(numbered(0..1_000)).collect(), is_user);
    let (mut refused, mut called_off) = (0, 0);
    for step in 0.. {
        let directory = base.kill_image();
        let store = open(&directory).unwrap();
        store.compact(CompactionGoal::Due).unwrap();
        let at = directory.operations() + step;
        directory.set_plan(fault_at(at, step));
        let erased = erase_user(&store);
        directory.set_plan(FaultPlan::new());
        refused += usize::from(erased.is_err());
        let appended = store.append(batch(&later));
        let image = directory.kill_image();
        drop(store);
        let store = open(&image).unwrap();
        let found = rows(&store);
        if erased.is_ok() {
            assert!(store.receipts().len() == 1, "step {step}");
        }
        if appended.is_ok() {
            let kept = found.values().filter(|event| later.contains(event)).count();
            assert_eq!(kept, later.len(), "step {step}: acknowledged events stay");
        } else {
            store.append(batch(&later)).unwrap();
        }
        called_off += usize::from(store.receipts().is_empty());
        let others = without(&rows(&store), is_user);
        assert!(others.values().eq(all.values()), "step {step}");
        let _ = erase_user(&store).unwrap();
        assert!(rows(&store).values().eq(all.values()), "step {step}");
        assert_eq!(files_with(&image, USER), [""; 0], "step {step}");
        if erased.is_ok() && step > 60 {
            break;
        }
    }
    assert!(
        refused > 20 && called_off > 3,
        "{refused} refused, {called_off} called off"
    );
}

#[test]
fn appends_and_flushes_go_on_while_ids_are_erased() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    std::thread::scope(|scope| {
        // Some 200 appends beside each erasure and no more, however long it takes: the next one
        // has to look through them all.
        let (sender, appended) = mpsc::sync_channel(200);
        let store = &store;
        let appender = scope.spawn(move || {
            let mut next = 900;
            let mut is_wanted = true;
            while is_wanted || next < 2_000 {
                let receipt = store.append(batch(&numbered(next..next + 25))).unwrap();
                assert_eq!(receipt.accepted, 25);
                if next.is_multiple_of(100) {
                    store.flush().unwrap();
                }
                next += 25;
                is_wanted = sender.send(receipt.last_seq).is_ok();
            }
            next
        });
        let mut last = 0;
        for _ in 0..4 {
            // At least one that the erasure before did not see.
            appended.iter().find(|seq| *seq > last).unwrap();
            while appended.try_recv().is_ok() {}
            let receipt = erase_user(store).unwrap();
            last = receipt.seq_max;
            let rows = rows(store);
            let early = rows
                .range(..=receipt.seq_max)
                .filter(|(_, event)| is_user(event));
            assert_eq!(early.count(), 0);
        }
        drop(appended);
        let end = appender.join().unwrap();
        let expected: BTreeMap<i64, Event> = (1..).zip(numbered(0..end)).collect();
        let gone = |(seq, event): &(i64, Event)| *seq <= last && is_user(event);
        let expected: BTreeMap<i64, Event> =
            expected.into_iter().filter(|row| !gone(row)).collect();
        assert_eq!(rows(store), expected);
        store.close().unwrap();
        assert_eq!(rows(&open(&directory).unwrap()), expected);
    });
}

#[test]
fn a_reader_of_an_older_snapshot_finishes() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    store.flush().unwrap();
    let old = store.snapshot();
    let before = content(&store.snapshot()).unwrap();
    let untouched = store.snapshot();
    erase_user(&store).unwrap();
    store.append(batch(&numbered(900..1_000))).unwrap();
    store.flush().unwrap();
    assert_eq!(content(&old).unwrap(), before);
    assert_eq!(untouched.seq(), old.seq());
    assert_eq!(content(&store.snapshot()).unwrap().len(), {
        let later = numbered(900..1_000).len();
        without(&before, is_user).len() + later
    });
}

#[test]
fn a_reader_that_comes_to_erased_rows_of_a_cold_file_is_told_so() {
    let directory = FaultyDirectory::new();
    // Nothing stays in memory between two uses of a cold file.
    let config = StoreConfig {
        cold_cache_bytes_max: 1,
        ..small()
    };
    let shared: Arc<dyn Directory> = Arc::new(directory.clone());
    let (store, _) = Store::open(shared, config, clock()).unwrap();
    store.append(batch(&numbered(0..900))).unwrap();
    store.flush().unwrap();
    store.compact(CompactionGoal::AllCold).unwrap();
    let (untouched, begun) = (store.snapshot(), store.snapshot());
    let before = content(&begun).unwrap();
    let filter = RowFilter::up_to(begun.seq());
    let sections: Vec<_> = begun
        .sections(&filter)
        .iter()
        .map(|one| one.open())
        .collect();
    for section in &sections {
        section.runs().unwrap();
    }
    // Files that were compacted before the erasure are older still.
    store.append(batch(&numbered(900..1_000))).unwrap();
    store.flush().unwrap();
    store.compact(CompactionGoal::AllCold).unwrap();
    erase_user(&store).unwrap();

    let error = content(&untouched).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    let told = error.to_string();
    assert!(told.contains("ask again") && !told.contains(USER), "{told}");
    // What was opened before is read to its end, as it was.
    let mut rows_read = 0;
    for section in &sections {
        for ranges in section.select(&filter).unwrap().batches(97) {
            rows_read += section.batch(&ranges, &[3, 5, 6]).unwrap().num_rows();
        }
    }
    assert_eq!(rows_read, before.len());
    let all = numbered(0..1_000);
    let kept = all.iter().filter(|event| !is_user(event)).count();
    assert_eq!(rows(&store).len(), kept);
    assert!(rows(&store).values().all(|event| !is_user(event)));
    assert_undamaged(&directory);
}

#[test]
fn a_search_tells_identity_from_mentions_other_ids_and_strange_places() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    let event = |n: u64, user: &str, properties: Option<&str>| Event {
        user: Some(user.to_owned()),
        properties: properties.map(str::to_owned),
        ..Event::numbered(n)
    };
    let id = "ann@example.org";
    let mention = r#"{"invited":"ann@example.org"}"#;
    let events = [
        event(1, id, None),
        event(2, "bob", Some(mention)),
        event(3, "joann@example.org", None),
    ];
    store.append(batch(&events)).unwrap();
    let in_log = search(&directory.kill_image(), id, IdKind::Any);
    assert!(!in_log.is_clean());
    assert_eq!(
        (
            in_log.count(FoundAs::Identity),
            in_log.count(FoundAs::Mention)
        ),
        (1, 1)
    );
    store.flush().unwrap();
    let in_files = search(&directory.kill_image(), id, IdKind::User);
    assert_eq!(in_files.count(FoundAs::Identity), 2, "symbols and segment");
    assert_eq!(in_files.count(FoundAs::OtherId), 2);
    assert_eq!(
        in_files.count(FoundAs::Elsewhere),
        0,
        "{:?}",
        in_files.found
    );
    let as_account = search(&directory.kill_image(), id, IdKind::Account);
    assert!(as_account.is_clean(), "it is a user");

    let receipt = store.erase(EraseRequest::User(id), quiet()).unwrap();
    store.close().unwrap();
    let clean = search(&directory, id, IdKind::Any);
    assert!(clean.is_clean(), "{:?}", clean.found);
    assert_eq!(
        (clean.count(FoundAs::Mention), clean.count(FoundAs::OtherId)),
        (1, 2)
    );
    assert_eq!(clean.receipts, [receipt]);
    assert_eq!(clean.files, directory.files().len());
    let bytes: usize = directory.files().iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(clean.bytes, bytes as u64);

    for name in ["quarantine/9-0.wal", "segments/odd.arrow", "what/ever"] {
        let image = directory.kill_image();
        write_atomically(&image, name, b"..ann@example.org..").unwrap();
        let report = search(&image, id, IdKind::Any);
        assert_eq!(report.count(FoundAs::Elsewhere), 1, "{name}");
        assert!(!report.is_clean(), "{name}");
    }
}

#[test]
fn bytes_set_aside_after_damage_are_named_in_the_receipt() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    write_atomically(&directory, "quarantine/7-64.wal", b"torn: user 5").unwrap();
    write_atomically(&directory, "quarantine/8-64.wal", b"torn: user 4").unwrap();
    let receipt = erase_user(&store).unwrap();
    assert_eq!(receipt.quarantined, ["quarantine/7-64.wal"]);
    assert_eq!(files_with(&directory, USER), ["quarantine/7-64.wal"]);
}

/// The day of `START_US` and those after it.
fn day(after: i32) -> i32 {
    day_of_timestamp_us(START_US) + after
}

fn day_of(event: &Event) -> i32 {
    day_of_timestamp_us(event.time_us)
}

fn group_event(n: u64, after: i32) -> Event {
    Event {
        id: format!("group {n}"),
        name: "$group".to_owned(),
        time_us: START_US + i64::from(after) * DAY_US + n as i64,
        account: Some("account 1".to_owned()),
        properties: Some(format!("{{\"seats\":{n}}}")),
        ..Event::numbered(n)
    }
}

#[test]
fn days_past_the_retention_go_and_traits_stay() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    let traits = [group_event(1, 0), group_event(2, 1), group_event(3, 3)];
    store.append(batch(&traits)).unwrap();
    let before = rows(&store);
    assert_eq!(store.snapshot().retained_from_day(), None);
    let receipt = store.retain_from(day(2), quiet()).unwrap();
    let goes = |event: &Event| day_of(event) < day(2) && event.name != "$group";
    let expected = without(&before, goes);
    assert_eq!(rows(&store), expected);
    assert_eq!(receipt.rows.hot, (before.len() - expected.len()) as u64);
    assert_eq!(
        (receipt.kind, receipt.before_day),
        (RemovalKind::Retention, Some(day(2)))
    );
    let summaries: u64 = store.snapshot().slices()[0]
        .sections
        .iter()
        .flat_map(|section| {
            section
                .open()
                .summaries()
                .unwrap()
                .map(|one| one.events)
                .collect::<Vec<_>>()
        })
        .sum();
    assert_eq!(summaries, 0, "what is left of a dropped day is no activity");

    // What is sent again is not resurrected.
    let again = store.append(batch(&numbered(0..900))).unwrap();
    let old: Vec<usize> = (0..900)
        .filter(|&n| day_of(&Event::numbered(n as u64)) < day(2))
        .collect();
    assert_eq!((again.accepted, again.duplicates), (0, 900 - old.len()));
    let indexes: Vec<usize> = again
        .rejected
        .iter()
        .map(|rejection| rejection.index)
        .collect();
    assert_eq!(indexes, old);
    let rejection = &again.rejected[0];
    assert_eq!(
        (rejection.code, rejection.field),
        (RejectionCode::PastRetention, "event_time")
    );
    assert!(
        rejection.message.contains("2025-03-03, the first day"),
        "{}",
        rejection.message
    );

    store.close().unwrap();
    let store = open(&directory).unwrap();
    assert_eq!(store.snapshot().retained_from_day(), Some(day(2)));
    assert_eq!(store.snapshot().history_from_day(), Some(day(2)));
    assert_eq!(
        store
            .append(batch(&[Event::numbered(old[0] as u64)]))
            .unwrap()
            .rejected
            .len(),
        1
    );
    assert_eq!(rows(&store), expected);
    // The floor never goes back.
    let repeated = store.retain_from(day(1), quiet()).unwrap();
    assert!(repeated.repeated && repeated.before_day == Some(day(2)));
    let error = store.retain_from(day(400), quiet()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    let receipt = store.retain_from(day(9), quiet()).unwrap();
    assert!(receipt.files_removed + receipt.files_rewritten > 0);
    assert!(rows(&store).values().eq(&traits));
    assert_eq!(store.snapshot().history_from_day(), Some(day(9)));
    // A floor below which nothing was left takes no history away.
    store.retain_from(day(12), quiet()).unwrap();
    let snapshot = store.snapshot();
    assert_eq!(
        (snapshot.retained_from_day(), snapshot.history_from_day()),
        (Some(day(12)), Some(day(9)))
    );
}

#[test]
fn a_configured_retention_is_applied_by_itself() {
    let directory = FaultyDirectory::new();
    let before = {
        let store = filled(&directory);
        let before = rows(&store);
        store.close().unwrap();
        before
    };
    // The clock stands 30 days after the first day.
    let config = StoreConfig {
        retention_days: Some(27),
        ..small()
    };
    let store = Store::open(Arc::new(directory.clone()), config, clock())
        .unwrap()
        .0;
    // Behind the job that looked what is due.
    store.compact(CompactionGoal::Due).unwrap();
    assert_eq!(store.snapshot().retained_from_day(), Some(day(3)));
    assert_eq!(
        rows(&store),
        without(&before, |event| day_of(event) < day(3))
    );
    let receipts = store.receipts();
    assert_eq!(receipts.len(), 1);
    store.flush().unwrap();
    store.compact(CompactionGoal::Due).unwrap();
    assert_eq!(store.receipts(), receipts, "once a day");
}

#[test]
fn an_import_that_was_taken_back_was_never_there() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    let mut import = ImportBatch {
        name: "import-1".to_owned(),
        files: vec!["a.csv".to_owned()],
        ..ImportBatch::default()
    };
    // Another producer comes between; what it adds, and duplicates, are no part of the import.
    for (mine, other) in [(850..950, 2_000..2_050), (950..1_100, 2_050..2_100)] {
        let receipt = store.append(batch(&numbered(mine))).unwrap();
        import.add(receipt.seqs.unwrap());
        store.append(batch(&numbered(other))).unwrap();
    }
    store.record_import(&import).unwrap();
    assert_eq!(import.ranges, [(901, 950), (1_001, 1_150)]);
    assert_eq!(store.imports(), [import.clone()]);

    let receipt = store.undo_import("import-1", quiet()).unwrap();
    assert_eq!((receipt.kind, receipt.rows.hot), (RemovalKind::Import, 200));
    let expected: Vec<Event> = numbered(0..900)
        .into_iter()
        .chain(numbered(2_000..2_100))
        .collect();
    assert!(rows(&store).values().eq(&expected));
    assert_eq!(
        store.imports()[0].undone_at_us,
        Some(receipt.finished_at_us)
    );
    for (name, words) in [
        ("import-1", "was taken back before"),
        ("import-2", "no import"),
    ] {
        let error = store.undo_import(name, quiet()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        assert!(error.to_string().contains(words), "{error}");
    }
    // The names and ids that only the import had are free again.
    let again = store.append(batch(&numbered(850..1_100))).unwrap();
    assert_eq!((again.accepted, again.duplicates), (200, 50));
    store.close().unwrap();
    let store = open(&directory).unwrap();
    assert_eq!(rows(&store).len(), 1_200);
    assert!(store.imports()[0].undone_at_us.is_some());
}

#[test]
fn ranges_that_are_none_are_refused() {
    let store = filled(&FaultyDirectory::new());
    for ranges in [vec![], vec![(0, 4)], vec![(5, 4)], vec![(880, 901)]] {
        let error = store.remove_seqs(ranges, quiet()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
    }
    assert!(store.receipts().is_empty());
    // Rows of memory too, a whole file, and a middle.
    store
        .remove_seqs(vec![(1, 100), (150, 160), (890, 900)], quiet())
        .unwrap();
    let expected: Vec<i64> = (101..150).chain(161..890).collect();
    assert!(rows(&store).keys().eq(&expected));
}

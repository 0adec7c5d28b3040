//! Backup and restore: consistent while appends go on, incremental, whole after a crash at any
//! operation, and never of another store or of damaged bytes.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, mpsc};

use support::{batch, content, numbered, open};
use vitalog_disk::{Directory, FaultPlan, FaultyDirectory};
use vitalog_store::{
    BackupReport, CompactionGoal, DefinitionKind, Result, Store, StoreErrorKind, restore_directory,
    verify_directory,
};

fn shared(directory: &FaultyDirectory) -> Arc<dyn Directory> {
    Arc::new(directory.clone())
}

fn backup(store: &Store, target: &FaultyDirectory) -> Result<BackupReport> {
    store.backup(&shared(target), |_| {})
}

fn restore(source: &FaultyDirectory) -> Result<FaultyDirectory> {
    let target = FaultyDirectory::new();
    restore_directory(&shared(source), &shared(&target), |_| {}).map(|_| target)
}

fn damages(directory: &FaultyDirectory) -> usize {
    let report = verify_directory(&shared(directory), |_| {}).unwrap();
    report.damages.len()
}

/// A store of `parts` segments of 50 events and a definition each.
fn filled(parts: u64) -> (FaultyDirectory, Store) {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    for part in 0..parts {
        fill(&store, part);
    }
    (directory, store)
}

fn fill(store: &Store, part: u64) {
    store
        .append(batch(&numbered(part * 50..part * 50 + 50)))
        .unwrap();
    let text = format!("SELECT {part}");
    store
        .define(DefinitionKind::View, "view", Some(&text))
        .unwrap();
    store.flush().unwrap();
}

fn names(directory: &FaultyDirectory) -> Vec<String> {
    directory
        .files()
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn a_restored_backup_verifies_and_answers_the_same() {
    let (_, store) = filled(3);
    // Not flushed, only acknowledged.
    store.append(batch(&numbered(150..160))).unwrap();
    let target = FaultyDirectory::new();
    let mut last = 0;
    let report = store
        .backup(&shared(&target), |progress| {
            assert!(progress.bytes_done >= last && progress.bytes_done <= progress.bytes_total);
            last = progress.bytes_done;
        })
        .unwrap();
    assert_eq!(
        (report.seq, report.kept.files, report.removed_files),
        (160, 0, 0)
    );
    assert_eq!(last, report.copied.bytes);
    assert_eq!(damages(&target), 0);
    let restored = restore(&target).unwrap();
    assert_eq!(damages(&restored), 0);
    let again = open(&restored).unwrap();
    let (expected, found) = (store.snapshot(), again.snapshot());
    assert_eq!(content(&found).unwrap(), content(&expected).unwrap());
    assert_eq!(found.definitions(), expected.definitions());
    // It goes on as a store: nothing is stored twice.
    let receipt = again.append(batch(&numbered(100..200))).unwrap();
    assert_eq!((receipt.accepted, receipt.duplicates), (40, 60));
}

#[test]
fn the_next_backup_copies_what_is_new_and_drops_what_is_gone() {
    let (_, store) = filled(4);
    let target = FaultyDirectory::new();
    backup(&store, &target).unwrap();
    let first = names(&target);
    fill(&store, 4);
    let report = backup(&store, &target).unwrap();
    let second = names(&target);
    let new = second.iter().filter(|name| !first.contains(name)).count() as u64;
    let gone = first.iter().filter(|name| !second.contains(name)).count() as u64;
    // The manifest is written, not copied.
    assert_eq!(report.copied.files, new - 1);
    assert_eq!(report.removed_files, gone);
    assert!(report.kept.files >= 4 && gone >= 1, "{report:?}");
    assert_eq!(damages(&target), 0);
    // Nothing is new: nothing is written.
    let operations = target.operations();
    let report = backup(&store, &target).unwrap();
    assert_eq!((report.copied.files, report.removed_files), (0, 0));
    assert_eq!(target.operations(), operations);
    // A file that was cut or lost is copied again.
    let (name, _) = target
        .files()
        .into_iter()
        .find(|(name, _)| name.starts_with("seg"))
        .unwrap();
    target.truncate(&name, 10).unwrap();
    assert_eq!(backup(&store, &target).unwrap().copied.files, 1);
    assert_eq!(damages(&target), 0);
}

#[test]
fn a_backup_beside_appends_is_a_prefix_with_all_that_was_acknowledged() {
    let (_, store) = filled(1);
    let store = Arc::new(store);
    // Some 200 appends beside each backup and no more, however long it takes: the next one has to
    // copy them all.
    let (sender, appended) = mpsc::sync_channel(200);
    let appender = {
        let store = Arc::clone(&store);
        std::thread::spawn(move || {
            let mut next = 50;
            let mut is_wanted = true;
            while is_wanted {
                let receipt = store.append(batch(&numbered(next..next + 37))).unwrap();
                next += 37;
                is_wanted = sender.send(receipt.last_seq).is_ok();
            }
        })
    };
    let target = FaultyDirectory::new();
    let mut last = 0;
    for _ in 0..5 {
        // At least one that the backup before does not have.
        appended.iter().find(|seq| *seq > last).unwrap();
        while appended.try_recv().is_ok() {}
        let before = store.snapshot().seq();
        let report = backup(&store, &target).unwrap();
        assert!(report.seq >= before);
        let restored = open(&restore(&target).unwrap()).unwrap();
        let rows = content(&restored.snapshot()).unwrap();
        assert!(rows.keys().copied().eq(1..=report.seq));
        assert!(rows.into_values().eq(numbered(0..report.seq as u64)));
        last = report.seq;
    }
    drop(appended);
    appender.join().unwrap();
}

#[test]
fn a_crash_at_any_operation_leaves_a_whole_backup() {
    let (_, store) = filled(2);
    let before = FaultyDirectory::new();
    backup(&store, &before).unwrap();
    fill(&store, 2);
    let old = numbered(0..100);
    let all = numbered(0..150);
    let mut crashed = true;
    let mut at = 0;
    while crashed {
        let target = before.crash_image(0);
        target.set_plan(FaultPlan::new().crash_at(target.operations() + at));
        crashed = backup(&store, &target).is_err();
        for seed in 0..3 {
            let image = target.crash_image(seed);
            assert_eq!(damages(&image), 0, "operation {at}");
            let restored = open(&restore(&image).unwrap()).unwrap();
            let rows: Vec<_> = content(&restored.snapshot())
                .unwrap()
                .into_values()
                .collect();
            assert!(
                rows == old || rows == all,
                "operation {at}: {} rows",
                rows.len()
            );
            assert!(crashed || rows == all);
            // The next one completes it.
            backup(&store, &image).unwrap();
            let restored = open(&restore(&image).unwrap()).unwrap();
            assert!(
                content(&restored.snapshot())
                    .unwrap()
                    .into_values()
                    .eq(all.clone())
            );
        }
        at += 1;
    }
    assert!(at > 10, "{at}");
    assert!(content(&store.snapshot()).unwrap().into_values().eq(all));
}

#[test]
fn another_store_and_another_history_are_refused() {
    let refused = |outcome: Result<BackupReport>, part: &str| {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid);
        assert!(error.to_string().contains(part), "{error}");
    };
    let (_, store) = filled(2);
    let target = FaultyDirectory::new();
    backup(&store, &target).unwrap();
    let other = open(&FaultyDirectory::new()).unwrap();
    other.append(batch(&numbered(7..9))).unwrap();
    refused(backup(&other, &target), "another store");
    // A store restored from an older backup goes on by itself.
    let restored = open(&restore(&target).unwrap()).unwrap();
    restored.append(batch(&numbered(500..510))).unwrap();
    fill(&store, 2);
    fill(&store, 3);
    backup(&store, &target).unwrap();
    refused(backup(&restored, &target), "later state");
    assert_eq!(damages(&target), 0);
    // A store is no backup, and no target.
    let (directory, store) = filled(1);
    store.append(batch(&numbered(900..910))).unwrap();
    refused(backup(&restored, &directory.kill_image()), "not a backup");
    let error = restore(&directory.kill_image()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    let error = restore(&FaultyDirectory::new()).unwrap_err();
    assert!(error.to_string().contains("no backup"), "{error}");
}

#[test]
fn a_damaged_source_stops_the_backup_and_keeps_the_one_before() {
    let (directory, store) = filled(2);
    let target = FaultyDirectory::new();
    backup(&store, &target).unwrap();
    fill(&store, 2);
    let newest = names(&directory)
        .into_iter()
        .rfind(|name| name.starts_with("seg"))
        .unwrap();
    directory.flip_bit(&newest, 500, 2).unwrap();
    let error = backup(&store, &target).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Data);
    assert!(error.to_string().contains(&newest), "{error}");
    let restored = open(&restore(&target).unwrap()).unwrap();
    assert_eq!(restored.snapshot().seq(), 100);
}

#[test]
fn a_damaged_backup_is_named_and_leaves_no_manifest() {
    let (_, store) = filled(2);
    let clean = FaultyDirectory::new();
    backup(&store, &clean).unwrap();
    for (name, length) in clean.files() {
        for at in [0, length / 3, length - 1] {
            let source = clean.crash_image(0);
            source.flip_bit(&name, at as u64, 3).unwrap();
            let target = FaultyDirectory::new();
            let error = restore_directory(&shared(&source), &shared(&target), |_| {}).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Data, "{error}");
            assert!(error.to_string().contains(&name), "{name}: {error}");
            assert!(target.list("manifest").unwrap().is_empty());
        }
        let source = clean.crash_image(0);
        source.remove(&name).unwrap();
        assert!(restore(&source).unwrap_err().to_string().contains(&name) || name.contains("mani"));
    }
}

#[test]
fn a_restore_wants_an_empty_target_and_can_be_run_again() {
    let (directory, store) = filled(2);
    let source = FaultyDirectory::new();
    backup(&store, &source).unwrap();
    store.close().unwrap();
    let into =
        |target: &FaultyDirectory| restore_directory(&shared(&source), &shared(target), |_| {});
    let error = into(&directory).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    let mut crashed = true;
    let mut at = 0;
    while crashed {
        let target = FaultyDirectory::new();
        target.set_plan(FaultPlan::new().crash_at(at));
        crashed = into(&target).is_err();
        let image = target.crash_image(at);
        if image
            .list("manifest")
            .unwrap()
            .iter()
            .all(|name| name.ends_with(".tmp"))
        {
            into(&image).unwrap();
        }
        assert_eq!(damages(&image), 0, "operation {at}");
        assert_eq!(open(&image).unwrap().snapshot().seq(), 100);
        at += 1;
    }
    assert!(at > 10, "{at}");
}

#[test]
fn an_empty_store_has_a_backup_too() {
    let store = open(&FaultyDirectory::new()).unwrap();
    let target = FaultyDirectory::new();
    assert_eq!(backup(&store, &target).unwrap().seq, 0);
    let restored = open(&restore(&target).unwrap()).unwrap();
    assert_eq!(restored.snapshot().seq(), 0);
    fill(&store, 0);
    assert_eq!(backup(&store, &target).unwrap().seq, 50);
}

#[test]
fn a_restore_counts_hot_and_cold_rows() {
    let (_, store) = filled(2);
    store.compact(CompactionGoal::AllCold).unwrap();
    fill(&store, 2);
    let target = FaultyDirectory::new();
    backup(&store, &target).unwrap();
    let restored = FaultyDirectory::new();
    let report = restore_directory(&shared(&target), &shared(&restored), |_| {}).unwrap();
    assert_eq!((report.seq, report.rows), (150, 150));
}

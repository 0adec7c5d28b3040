//! What survives: cuts of the log at every byte, a crash at every operation of the disk, killed
//! processes, failing syncs, a full disk. The oracle knows events and definitions, not counts.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use support::{Event, batch, clock, content, numbered, open, small};
use vitalog_disk::{Directory, Fault, FaultPlan, FaultyDirectory};
use vitalog_store::{DefinitionKind, Durability, Store, StoreConfig, StoreError, StoreErrorKind};

/// The events of a store, in the order of their seqs, which must be dense from 1.
fn events(store: &Store) -> Vec<Event> {
    let rows = content(&store.snapshot()).unwrap();
    assert!(
        rows.keys().copied().eq(1..=rows.len() as i64),
        "seqs are dense"
    );
    rows.into_values().collect()
}

/// A version of a definition as it was asked for.
type Asked = (DefinitionKind, String, Option<String>);

/// Definition `n` of a fixed, varied world: a model that changes, a view that comes and goes.
fn asked(n: u64) -> Asked {
    let text = Some(format!("text {n}"));
    match n % 3 {
        0 => (DefinitionKind::Model, "default".to_owned(), text),
        1 => (DefinitionKind::View, "red".to_owned(), text),
        _ => (DefinitionKind::View, "red".to_owned(), None),
    }
}

fn define(store: &Store, (kind, name, text): &Asked) -> Result<(), StoreError> {
    store.define(*kind, name, text.as_deref()).map(drop)
}

/// The definitions of a store in the order of storing, whose versions must be dense and whose
/// times and seqs must never go down.
fn definitions(store: &Store) -> Vec<Asked> {
    let snapshot = store.snapshot();
    let all = snapshot.definitions();
    let mut versions = std::collections::HashMap::new();
    for definition in all {
        let version = versions
            .entry((definition.kind, &definition.name))
            .or_insert(0);
        *version += 1;
        assert_eq!(definition.version, *version);
    }
    let at = |at: usize| (all[at].seq, all[at].received_at_us);
    assert!((1..all.len()).all(|later| at(later - 1) <= at(later)));
    assert!(all.last().is_none_or(|last| last.seq <= snapshot.seq()));
    all.iter()
        .map(|one| {
            let text = one.text.as_ref().map(ToString::to_string);
            (one.kind, one.name.clone(), text)
        })
        .collect()
}

fn only_wal(directory: &FaultyDirectory) -> (String, usize) {
    let mut files = directory.files();
    files.retain(|(name, _)| name.starts_with("wal/"));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// A log of `groups` groups of three events and a definition after each, left by a killed process.
fn killed_log(groups: u64) -> FaultyDirectory {
    let directory = FaultyDirectory::new();
    let config = StoreConfig {
        wal_file_bytes: 16 << 10,
        ..small()
    };
    let store = Store::open(Arc::new(directory.clone()), config, clock())
        .unwrap()
        .0;
    for group in 0..groups {
        store
            .append(batch(&numbered(group * 3..group * 3 + 3)))
            .unwrap();
        define(&store, &asked(group)).unwrap();
    }
    let image = directory.kill_image();
    store.close().unwrap();
    image
}

/// How many commit groups of [`killed_log`] a store has, of which it must have a prefix.
fn groups_of_killed_log(store: &Store) -> usize {
    let (events, found) = (events(store), definitions(store));
    assert_eq!(events, numbered(0..12)[..events.len()]);
    let expected: Vec<Asked> = (0..4).map(asked).collect();
    assert_eq!(found, expected[..found.len()]);
    let groups = events.len() / 3;
    assert!(events.len().is_multiple_of(3));
    assert!(found.len() == groups || found.len() + 1 == groups);
    groups + found.len()
}

#[test]
fn a_log_cut_at_every_byte_gives_a_prefix_of_whole_groups() {
    let whole = killed_log(4);
    let (name, length) = only_wal(&whole);
    let all = numbered(0..12);
    let mut last = usize::MAX;
    let used = whole
        .read(&name)
        .unwrap()
        .iter()
        .rposition(|&byte| byte != 0)
        .unwrap()
        + 1;
    // Every byte that was written, and some of the zeroes behind it.
    for cut in (used..=length).rev().step_by(512).chain((0..used).rev()) {
        let image = whole.kill_image();
        image.truncate(&name, cut as u64).unwrap();
        let store = open(&image).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let found = groups_of_killed_log(&store);
        assert!(found <= last, "cut at {cut}");
        last = found;
        if cut % 16 == 0 {
            // What was read goes on as a store: what was lost can be stored again.
            store.append(batch(&all)).unwrap();
            let known = definitions(&store).len() as u64;
            for lost in known..4 {
                define(&store, &asked(lost)).unwrap();
            }
            store.close().unwrap();
            let store = open(&image).unwrap();
            assert_eq!(groups_of_killed_log(&store), 8, "cut at {cut}");
        }
    }
    assert_eq!(last, 0);
}

#[test]
fn a_flipped_bit_in_an_open_log_gives_a_prefix_or_a_named_error() {
    let whole = killed_log(4);
    let (name, _) = only_wal(&whole);
    let used = whole
        .read(&name)
        .unwrap()
        .iter()
        .rposition(|&byte| byte != 0)
        .unwrap()
        + 1;
    let (mut prefixes, mut errors) = (0, 0);
    for at in 0..used {
        let image = whole.kill_image();
        image.flip_bit(&name, at as u64, (at % 8) as u8).unwrap();
        match Store::open(Arc::new(image.clone()), small(), clock()) {
            Ok((store, report)) => {
                // Only the last group cannot be told from a torn write.
                let found = groups_of_killed_log(&store);
                assert!(found >= 7, "byte {at}: {found} groups");
                let quarantined = report.quarantined.expect("bytes are set aside, not cut");
                assert!(image.exists(&quarantined.kept_in).unwrap());
                assert_eq!(image.len(&quarantined.kept_in).unwrap(), quarantined.bytes);
                prefixes += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Data, "byte {at}: {error}");
                let text = error.to_string();
                assert!(text.contains(&name) && text.contains("byte"), "{text}");
                assert!(text.contains("vitalog repair"), "{text}");
                errors += 1;
            }
        }
    }
    assert!(
        prefixes > 0 && errors > prefixes,
        "{prefixes} prefixes, {errors} errors"
    );
}

#[test]
fn a_flipped_bit_in_a_sealed_log_is_always_named() {
    let directory = killed_log(4);
    // Opened and killed again before the flush is done: the first file is sealed now.
    let (name, length) = only_wal(&directory);
    let bytes = {
        let image = directory.kill_image();
        let before = image.operations();
        image.set_plan(FaultPlan::new().crash_at(before + 3));
        let _ = open(&image);
        image.kill_image().read(&name).unwrap()
    };
    let sealed = FaultyDirectory::new();
    let mut file = sealed.create(&name).unwrap();
    file.write_at(0, &bytes).unwrap();
    file.sync_all().unwrap();
    drop(file);
    sealed.sync_folder("wal").unwrap();
    assert_eq!(
        groups_of_killed_log(&open(&sealed.kill_image()).unwrap()),
        8
    );
    let seal = bytes.windows(4).rposition(|four| four == b"VFRM").unwrap() as u64;
    for at in 0..length {
        let image = sealed.kill_image();
        image.flip_bit(&name, at as u64, (at % 8) as u8).unwrap();
        match Store::open(Arc::new(image), small(), clock()) {
            Err(error) => assert!(error.to_string().contains(&name), "{error}"),
            // The seal itself: every group is whole, and what stood behind them is set aside.
            Ok((store, report)) => {
                assert_eq!(groups_of_killed_log(&store), 8, "byte {at}");
                assert_eq!(
                    report.quarantined.expect("reported").file,
                    name,
                    "byte {at}"
                );
                assert!((at as u64) >= seal, "byte {at} lies before the seal");
            }
        }
    }
}

#[test]
fn a_missing_log_file_is_named() {
    let directory = FaultyDirectory::new();
    let config = StoreConfig {
        wal_file_bytes: 4 << 10,
        ..small()
    };
    let store = Store::open(Arc::new(directory.clone()), config, clock())
        .unwrap()
        .0;
    for group in 0..30 {
        store
            .append(batch(&numbered(group * 10..group * 10 + 10)))
            .unwrap();
    }
    let image = directory.kill_image();
    let logs: Vec<String> = image
        .files()
        .into_iter()
        .map(|file| file.0)
        .filter(|n| n.starts_with("wal/"))
        .collect();
    assert!(logs.len() > 3, "{logs:?}");
    for missing in &logs[..logs.len() - 1] {
        let image = image.kill_image();
        image.remove(missing).unwrap();
        let error = open(&image).expect_err(missing);
        assert_eq!(error.kind(), StoreErrorKind::Data, "{error}");
    }
}

/// What a client knows after a crash.
#[derive(Debug, Default)]
struct Oracle {
    acked: Vec<Event>,
    unknown: Vec<Event>,
    defined: Vec<Asked>,
    /// The definition whose outcome is unknown; nothing was asked after it.
    maybe_defined: Option<Asked>,
}

/// Appends, defines, flushes and reopens until the disk stops.
fn work(directory: &FaultyDirectory, oracle: &mut Oracle) -> Result<(), StoreError> {
    let config = StoreConfig {
        wal_file_bytes: 8 << 10,
        memtable_events_max: 60,
        manifests_kept: 2,
        ..StoreConfig::default()
    };
    for session in 0..3u64 {
        let (store, _) = Store::open(Arc::new(directory.clone()), config.clone(), clock())?;
        for group in 0..6u64 {
            let first = (session * 6 + group) * 20;
            let events = numbered(first..first + 20);
            match store.append(batch(&events)) {
                Ok(_) => oracle.acked.extend(events),
                Err(error) => {
                    oracle.unknown.extend(events);
                    return Err(error);
                }
            }
            if group == 2 {
                store.flush()?;
            }
            if group % 2 == 1 {
                ask(&store, oracle)?;
            }
        }
        store.close()?;
        // A session of definitions alone.
        let (store, _) = Store::open(Arc::new(directory.clone()), config.clone(), clock())?;
        ask(&store, oracle)?;
        store.flush()?;
        ask(&store, oracle)?;
        store.close()?;
    }
    Ok(())
}

/// Asks for the next definition, which always changes something.
fn ask(store: &Store, oracle: &mut Oracle) -> Result<(), StoreError> {
    let next = asked(oracle.defined.len() as u64 + 1);
    let outcome = define(store, &next);
    match outcome {
        Ok(()) => oracle.defined.push(next),
        Err(_) => oracle.maybe_defined = Some(next),
    }
    outcome
}

fn check_definitions(store: &Store, oracle: &Oracle, what: &str) -> Vec<Asked> {
    let found = definitions(store);
    let known = oracle.defined.len();
    assert_eq!(found[..known.min(found.len())], oracle.defined, "{what}");
    assert!(found.len() <= known + 1, "{what}");
    if let Some(further) = found.get(known) {
        assert_eq!(Some(further), oracle.maybe_defined.as_ref(), "{what}");
    }
    if let Some(unknown) = &oracle.maybe_defined {
        // Asked again it is there once.
        define(store, unknown).unwrap();
        assert_eq!(definitions(store).len(), known + 1, "{what}");
    }
    definitions(store)
}

fn check_after(image: &FaultyDirectory, oracle: &Oracle, what: &str) {
    let store = open(image).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = events(&store);
    for event in &oracle.acked {
        let times = found.iter().filter(|row| *row == event).count();
        assert_eq!(times, 1, "{what}: {} is there {times} times", event.id);
    }
    for row in &found {
        let known = oracle.acked.contains(row) || oracle.unknown.contains(row);
        assert!(known, "{what}: {} was invented", row.id);
    }
    let defined = check_definitions(&store, oracle, what);
    // A retry of what is unknown ends with each event there once.
    store.append(batch(&oracle.unknown)).unwrap();
    let after = events(&store);
    assert_eq!(
        after.len(),
        oracle.acked.len() + oracle.unknown.len(),
        "{what}"
    );
    // And so it stays when the process is killed before anything is flushed again.
    store.append(batch(&numbered(9_000..9_003))).unwrap();
    let killed = image.kill_image();
    let again = open(&killed).unwrap_or_else(|error| panic!("{what}, then killed: {error}"));
    assert_eq!(events(&again).len(), after.len() + 3, "{what}, then killed");
    assert_eq!(definitions(&again), defined, "{what}, then killed");
    again.close().unwrap();
    store.close().unwrap();
}

#[test]
fn a_crash_at_any_operation_loses_nothing_acked_and_invents_nothing() {
    let clean = FaultyDirectory::new();
    work(&clean, &mut Oracle::default()).unwrap();
    let operations = clean.operations();
    assert!(operations > 100, "{operations}");
    for at in 0..operations + 10 {
        let directory = FaultyDirectory::new();
        directory.set_plan(FaultPlan::new().crash_at(at));
        let mut oracle = Oracle::default();
        let _ = work(&directory, &mut oracle);
        for seed in 0..4 {
            let image = directory.crash_image(at * 31 + seed);
            check_after(&image, &oracle, &format!("crash at {at}, seed {seed}"));
        }
        check_after(&directory.kill_image(), &oracle, &format!("killed at {at}"));
        let twice = directory.kill_image();
        drop(open(&twice));
        check_after(
            &twice.crash_image(at),
            &oracle,
            &format!("killed, then crashed at {at}"),
        );
    }
}

#[test]
fn a_failed_operation_is_reported_and_loses_nothing() {
    let clean = FaultyDirectory::new();
    work(&clean, &mut Oracle::default()).unwrap();
    for fault in [Fault::Io, Fault::Full] {
        for at in 0..clean.operations() {
            let directory = FaultyDirectory::new();
            directory.set_plan(FaultPlan::new().fail_operation(at, fault));
            let mut oracle = Oracle::default();
            let _ = work(&directory, &mut oracle);
            check_after(
                &directory.crash_image(at),
                &oracle,
                &format!("{fault:?} at {at}"),
            );
        }
    }
}

#[test]
fn a_buffered_log_opens_after_power_loss_with_a_prefix() {
    let config = StoreConfig {
        durability: Durability::Buffered,
        ..small()
    };
    let open = |directory: &FaultyDirectory| {
        Store::open(Arc::new(directory.clone()), config.clone(), clock())
    };
    for seed in 0..200 {
        let directory = FaultyDirectory::new();
        let store = open(&directory).unwrap().0;
        for group in 0..6u64 {
            store
                .append(batch(&numbered(group * 3..group * 3 + 3)))
                .unwrap();
        }
        let image = directory.crash_image(seed);
        let found = events(
            &open(&image)
                .unwrap_or_else(|error| panic!("{seed}: {error}"))
                .0,
        );
        assert_eq!(found, numbered(0..18)[..found.len()], "seed {seed}");
        // The end of the process alone loses nothing.
        assert_eq!(events(&open(&directory.kill_image()).unwrap().0).len(), 18);
    }
}

#[test]
fn a_failed_sync_poisons_until_a_restart() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    store.append(batch(&numbered(0..5))).unwrap();
    directory.set_plan(FaultPlan::new().fail_syncs_from(directory.operations()));
    let error = store.append(batch(&numbered(5..10))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("same ids"), "{error}");
    directory.set_plan(FaultPlan::new());
    // Syncing again proves nothing, so nothing is written any more; reads go on.
    let error = store.append(batch(&numbered(10..15))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_eq!(events(&store), numbered(0..5));
    let image = directory.crash_image(7);
    drop(store);
    let store = open(&image).unwrap();
    store.append(batch(&numbered(0..15))).unwrap();
    assert_eq!(events(&store).len(), 15);
}

#[test]
fn a_sync_that_fails_while_a_log_file_is_created_poisons() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    directory.set_plan(FaultPlan::new().fail_syncs_from(directory.operations()));
    let error = store.append(batch(&numbered(0..5))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    directory.set_plan(FaultPlan::new());
    let error = store.append(batch(&numbered(0..5))).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    drop(store);
    let store = open(&directory.kill_image()).unwrap();
    store.append(batch(&numbered(0..5))).unwrap();
    assert_eq!(events(&store), numbered(0..5));
}

#[test]
fn power_lost_while_a_torn_log_is_being_closed_leaves_a_store_that_opens() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    store.append(batch(&numbered(0..9))).unwrap();
    store.append(batch(&numbered(9..209))).unwrap();
    let torn = directory.kill_image();
    drop(store);
    let (name, _) = only_wal(&torn);
    let bytes = torn.read(&name).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    // Within the last group, with several pages of it behind.
    torn.flip_bit(&name, used as u64 - 12_000, 3).unwrap();
    for step in 0..16 {
        for seed in 0..8 {
            let image = torn.kill_image();
            image.set_plan(FaultPlan::new().crash_at(image.operations() + step));
            drop(open(&image));
            let after = image.crash_image(step * 8 + seed);
            let store = open(&after).unwrap_or_else(|error| panic!("{step}, {seed}: {error}"));
            assert_eq!(events(&store), numbered(0..9), "step {step}, seed {seed}");
            store.append(batch(&numbered(0..209))).unwrap();
            assert_eq!(events(&store).len(), 209);
        }
    }
}

#[test]
fn a_full_disk_rejects_appends_keeps_reads_and_recovers_when_room_is_made() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    let mut stored = Vec::new();
    directory.set_capacity(400 << 10);
    let mut next = 0;
    let error = loop {
        let events = numbered(next..next + 100);
        match store.append(batch(&events)) {
            Ok(_) => stored.extend(events),
            Err(error) => break error,
        }
        next += 100;
        assert!(next < 1_000_000, "the disk never fills");
    };
    assert_eq!(error.kind(), StoreErrorKind::Limit, "{error}");
    assert_eq!(events(&store), stored);
    directory.set_capacity(64 << 20);
    store.append(batch(&numbered(next..next + 100))).unwrap();
    stored.extend(numbered(next..next + 100));
    assert_eq!(events(&store), stored);
    store.close().unwrap();
    assert_eq!(events(&open(&directory).unwrap()), stored);
}

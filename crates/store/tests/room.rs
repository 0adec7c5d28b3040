//! The reserve: appends stop before the disk is full, flushes go on, and room made is used.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use support::{batch, clock, content, numbered, small};
use vitalog_disk::{Directory, FaultyDirectory};
use vitalog_store::{DefinitionKind, Store, StoreConfig, StoreError, Tier, WriterMark};

const RESERVED: u64 = 1 << 20;

fn reserving(directory: &FaultyDirectory) -> Store {
    let config = StoreConfig {
        reserved_bytes: RESERVED,
        memtable_events_max: 1 << 20,
        ..small()
    };
    let shared: Arc<dyn Directory> = Arc::new(directory.clone());
    Store::open(shared, config, clock()).unwrap().0
}

#[test]
fn appends_stop_at_the_reserve_and_go_on_when_room_is_made() {
    let directory = FaultyDirectory::new();
    directory.set_capacity(3 << 20);
    let store = reserving(&directory);
    assert_eq!(store.check_writable(), Ok(()));
    let mut stored = 0;
    let error = loop {
        match store.append(batch(&numbered(stored..stored + 100))) {
            Ok(_) => stored += 100,
            Err(error) => break error,
        }
        assert!(stored < 100_000, "a disk of three megabytes holds no more");
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert!(error.to_string().contains("stay free"), "{error}");
    // Nothing that the store does by itself makes room now.
    directory.set_capacity(0);
    let reason = store.check_writable().unwrap_err();
    assert!(reason.contains("the disk is full"), "{reason}");
    // Definitions are appends too; reads go on.
    let defined = store.define(DefinitionKind::View, "a", Some("b"));
    assert!(matches!(defined, Err(StoreError::Full(_))), "{defined:?}");
    let rows = content(&store.snapshot()).unwrap();
    assert!(rows.into_values().eq(numbered(0..stored)));
    // Room is made: appends go on by themselves.
    directory.set_capacity(4 << 20);
    assert_eq!(store.check_writable(), Ok(()));
    let receipt = store
        .append(batch(&numbered(stored - 10..stored + 50)))
        .unwrap();
    assert_eq!((receipt.accepted, receipt.duplicates), (50, 10));
    let rows = content(&store.snapshot()).unwrap();
    assert!(rows.into_values().eq(numbered(0..stored + 50)));
    store.close().unwrap();
    assert!(store.check_writable().unwrap_err().contains("closed"));
}

#[test]
fn a_flush_uses_the_reserve() {
    let directory = FaultyDirectory::new();
    directory.set_capacity(3 << 20);
    let store = reserving(&directory);
    store.append(batch(&numbered(0..200))).unwrap();
    let used = (3 << 20) - directory.free_bytes().unwrap();
    directory.set_capacity(used + RESERVED / 2);
    assert!(store.check_writable().is_err());
    store.flush().unwrap();
    assert_eq!(content(&store.snapshot()).unwrap().len(), 200);
}

#[test]
fn every_byte_of_the_directory_belongs_to_a_tier() {
    let directory = FaultyDirectory::new();
    let store = reserving(&directory);
    store.append(batch(&numbered(0..700))).unwrap();
    store.flush().unwrap();
    store.append(batch(&numbered(700..750))).unwrap();
    let text = Some("SELECT 1");
    store.define(DefinitionKind::View, "a", text).unwrap();
    let mark = WriterMark::new("w", 1).unwrap();
    store.append_as(mark, batch(&[])).unwrap();
    store.flush().unwrap();
    store.append(batch(&numbered(750..760))).unwrap();
    let statistics = store.statistics().unwrap();
    let of = |tier: Tier| statistics.tier(tier);
    assert_eq!((of(Tier::Hot).rows, of(Tier::Memory).rows), (750, 10));
    assert_eq!((of(Tier::Hot).files, of(Tier::Memory).files), (2, 0));
    assert_eq!(
        (of(Tier::Definitions).files, of(Tier::Writers).files),
        (1, 1)
    );
    assert!(of(Tier::Symbols).bytes > 0 && of(Tier::Manifests).files >= 2);
    let on_disk: u64 = statistics.disk_bytes();
    let listed: usize = directory.files().iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(on_disk, listed as u64);
}

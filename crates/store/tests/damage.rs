//! A damaged byte anywhere in segment, manifest, symbols, definitions or writer states is found at
//! open, at the first read or by `verify`, and named; no read returns a wrong row, nothing panics.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use support::{Event, batch, content, numbered, open};
use vitalog_disk::{Directory, FaultyDirectory};
use vitalog_store::{DefinitionKind, StoreErrorKind, WriterMark, verify_directory};

/// A closed store of one segment, with symbols, definitions, a writer and several sections.
fn closed_store() -> (FaultyDirectory, BTreeMap<i64, Event>) {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    store.append(batch(&numbered(0..60))).unwrap();
    for (name, text) in [("a", Some("SELECT 1")), ("b", Some("")), ("a", None)] {
        store.define(DefinitionKind::View, name, text).unwrap();
    }
    let mark = WriterMark::new("writer", 1).unwrap();
    store.append_as(mark, batch(&[])).unwrap();
    store.close().unwrap();
    let rows = content(&open(&directory).unwrap().snapshot()).unwrap();
    assert_eq!(rows.len(), 60);
    (directory.kill_image(), rows)
}

fn damages_of(image: &FaultyDirectory) -> Vec<String> {
    let directory: Arc<dyn Directory> = Arc::new(image.clone());
    let report = verify_directory(&directory, |_| {}).unwrap();
    report
        .damages
        .iter()
        .map(|damage| damage.error.to_string())
        .collect()
}

fn files(directory: &FaultyDirectory, folder: &str) -> Vec<(String, usize)> {
    directory
        .files()
        .into_iter()
        .filter(|(name, _)| name.starts_with(folder))
        .collect()
}

#[test]
fn a_healthy_store_verifies() {
    let (directory, _) = closed_store();
    assert_eq!(damages_of(&directory), [""; 0]);
}

#[test]
fn a_damaged_byte_is_found_and_named_and_no_wrong_row_is_read() {
    let (clean, rows) = closed_store();
    let mut checked = 0;
    for folder in [
        "segments/",
        "manifest/",
        "symbols/",
        "definitions/",
        "writers/",
    ] {
        for (name, length) in files(&clean, folder) {
            // Every byte of the smaller files, every third of a segment.
            let step = if folder == "segments/" { 3 } else { 1 };
            for at in (0..length).step_by(step) {
                let image = clean.kill_image();
                image.flip_bit(&name, at as u64, (at % 8) as u8).unwrap();
                let damages = damages_of(&image);
                assert!(
                    !damages.is_empty(),
                    "{name} byte {at}: verify found nothing"
                );
                let short = name.rsplit('/').next().unwrap();
                assert!(
                    damages.iter().any(|text| text.contains(short)),
                    "{name}: {damages:?}"
                );
                let read = open(&image).and_then(|store| content(&store.snapshot()));
                match read {
                    Ok(found) => assert_eq!(found, rows, "{name} byte {at}: a wrong row"),
                    Err(error) => {
                        assert_eq!(
                            error.kind(),
                            StoreErrorKind::Data,
                            "{name} byte {at}: {error}"
                        );
                    }
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 5_000, "{checked}");
}

#[test]
fn a_cut_or_missing_file_is_named() {
    let (clean, _) = closed_store();
    for folder in ["segments/", "symbols/", "definitions/", "writers/"] {
        for (name, length) in files(&clean, folder) {
            for cut in [0, 1, length / 2, length - 1] {
                let image = clean.kill_image();
                image.truncate(&name, cut as u64).unwrap();
                assert!(!damages_of(&image).is_empty(), "{name} cut at {cut}");
                let read = open(&image).and_then(|store| content(&store.snapshot()));
                let error = read.expect_err("a cut file cannot be read");
                assert!(error.to_string().contains(&name), "{error}");
            }
            let image = clean.kill_image();
            image.remove(&name).unwrap();
            assert!(!damages_of(&image).is_empty(), "{name} missing");
            let error = open(&image)
                .and_then(|store| content(&store.snapshot()))
                .expect_err("a missing file cannot be read");
            assert!(error.to_string().contains(&name), "{error}");
        }
    }
}

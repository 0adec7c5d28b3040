//! Backup, restore and repair from outside: what comes back is what was there, and what is damaged
//! is named, kept, and the rest still answers.

use std::fs;
use std::path::{Path, PathBuf};

use vitalog_tests::{Vitalog, copy_directory};

use crate::{Place, assert_failed, text, vitalog};

/// Everything, a row a line, in the order of commit.
const EVERYTHING: [&str; 5] = [
    "sql",
    "--format",
    "jsonl",
    "-c",
    "SELECT * FROM events ORDER BY seq",
];

fn small(data: &Path) -> Vitalog {
    vitalog(data).with_setting("VITALOG_STORE__WAL_FILE_BYTES", "262144")
}

/// A store of two segments and a view.
fn filled(place: &Place) -> Vitalog {
    let store = small(&place.path("data"));
    for part in 0..2 {
        let file = place.write_events("part.jsonl", part * 200..part * 200 + 200);
        store.stdout_of(&["import", &file]);
    }
    let view = place.write(
        "names.sql",
        "SELECT event, count(*) AS n FROM events GROUP BY event",
    );
    store.stdout_of(&["view", "apply", &view]);
    store
}

fn files_of(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_restored_store_answers_the_same() {
    let place = Place::new();
    let store = filled(&place);
    let target = text(&place.path("backup"));
    let first = store.stdout_of(&["backup", "--to", &target]);
    assert!(first.contains("backed up to seq 400"), "{first}");
    // The next one copies only what is new.
    let file = place.write_events("more.jsonl", 400..450);
    store.stdout_of(&["import", &file]);
    let second = store.stdout_of(&["backup", "--to", &target]);
    assert!(
        second.contains("seq 450") && !second.contains(" 0 files"),
        "{second}"
    );
    let third = store.stdout_of(&["backup", "--to", &target]);
    assert!(third.contains("copied 0 files"), "{third}");

    let restored = small(&place.path("restored"));
    let said = restored.stdout_of(&["restore", "--from", &target]);
    assert!(said.contains("restored 450 events up to seq 450"), "{said}");
    assert_eq!(restored.run(&["verify"]).code, 0);
    assert_eq!(
        restored.stdout_of(&EVERYTHING),
        store.stdout_of(&EVERYTHING)
    );
    let names = [
        "sql",
        "--format",
        "csv",
        "-c",
        "SELECT * FROM names ORDER BY event",
    ];
    assert_eq!(restored.stdout_of(&names), store.stdout_of(&names));
    // Not over a store, and not from nothing.
    let again = restored.run(&["restore", "--from", &target]);
    assert_failed(&again, 1, &["not empty"]);
    let nothing = small(&place.path("other")).run(&["restore", "--from", &text(&place.path("no"))]);
    assert_failed(&nothing, 1, &["no backup"]);
    // Another store is kept out of this one's backup.
    let other = small(&place.path("third"));
    let file = place.write_events("other.jsonl", 900..910);
    other.stdout_of(&["import", &file]);
    assert_failed(
        &other.run(&["backup", "--to", &target]),
        1,
        &["another store"],
    );
    let inside = text(&place.path("data").join("backup"));
    assert_failed(
        &store.run(&["backup", "--to", &inside]),
        1,
        &["inside the store"],
    );
}

#[test]
fn a_damaged_backup_is_refused() {
    let place = Place::new();
    let store = filled(&place);
    let target = place.path("backup");
    store.stdout_of(&["backup", "--to", &text(&target)]);
    for folder in ["segments", "symbols", "manifest", "definitions"] {
        let file = files_of(target.join(folder)).remove(0);
        let clean = fs::read(&file).unwrap();
        flip(&file, clean.len() / 2);
        let data = place.path(&format!("from {folder}"));
        let refused = small(&data).run(&["restore", "--from", &text(&target)]);
        let name = file.file_name().unwrap().to_str().unwrap();
        assert_failed(&refused, 1, &[name]);
        assert!(!data.join("manifest").exists() || files_of(data.join("manifest")).is_empty());
        fs::write(&file, clean).unwrap();
        // The same target is good for the repaired backup.
        small(&data).stdout_of(&["restore", "--from", &text(&target)]);
    }
}

#[test]
fn after_repair_the_store_opens_and_says_what_is_lost() {
    let place = Place::new();
    let store = filled(&place);
    let whole = store.stdout_of(&EVERYTHING);
    let healthy = store.stdout_of(&["repair"]);
    assert!(healthy.contains("nothing is damaged"), "{healthy}");
    for folder in ["segments", "symbols", "manifest", "definitions"] {
        for is_deleted in [false, true] {
            let what = format!("{folder}, deleted: {is_deleted}");
            let data = place.path("damaged");
            if data.exists() {
                fs::remove_dir_all(&data).unwrap();
            }
            copy_directory(store.data(), &data).unwrap();
            let file = files_of(data.join(folder)).pop().unwrap();
            let bytes = fs::read(&file).unwrap();
            if is_deleted {
                fs::remove_file(&file).unwrap();
            } else {
                flip(&file, bytes.len() / 2);
            }
            let damaged = small(&data);
            let repaired = damaged.run(&["repair"]);
            assert_eq!(repaired.code, 0, "{what}: {repaired:?}");
            assert!(
                repaired.stdout.contains("the store opens"),
                "{what}: {repaired:?}"
            );
            assert_eq!(damaged.run(&["verify"]).code, 0, "{what}");
            let rows = damaged.stdout_of(&EVERYTHING);
            if folder == "segments" {
                assert_eq!(rows.lines().count(), 200, "{what}");
                assert!(whole.starts_with(&rows), "{what}");
                let lost = "200 events, seq 201 to 400";
                assert!(repaired.stdout.contains(lost), "{what}: {repaired:?}");
            } else {
                assert_eq!(rows, whole, "{what}");
            }
            if !is_deleted {
                let kept = files_of(data.join("quarantine"));
                assert_eq!(kept.len(), 1, "{what}");
                assert_eq!(fs::read(&kept[0]).unwrap().len(), bytes.len(), "{what}");
            }
        }
    }
}

//! One wrong byte in a file of a store: `verify` names the file, no command shows a wrong row, and
//! nothing panics.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use vitalog_tests::{Client, Event, Vitalog, copy_directory};

use crate::{Place, vitalog};

/// Everything, a row a line, in any order.
const EVERYTHING: [&str; 5] = ["sql", "--format", "jsonl", "-c", "SELECT * FROM events"];

/// Small log files, so that copies are quick.
fn small(data: &Path) -> Vitalog {
    vitalog(data).with_setting("VITALOG_STORE__WAL_FILE_BYTES", "262144")
}

fn lines(stdout: &str) -> BTreeSet<String> {
    stdout.lines().map(str::to_owned).collect()
}

/// The files of a folder of the store.
fn files_of(data: &Path, folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(data.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no file in {folder}");
    files
}

/// A copy of the store `data` in which byte `at` of `file` is another.
fn damaged_copy(place: &Place, data: &Path, file: &Path, at: usize) -> Vitalog {
    let copy = place.path("damaged");
    if copy.exists() {
        fs::remove_dir_all(&copy).unwrap();
    }
    copy_directory(data, &copy).unwrap();
    let file = copy.join(file.strip_prefix(data).unwrap());
    let mut bytes = fs::read(&file).unwrap();
    bytes[at] ^= 1 << (at % 8);
    fs::write(&file, bytes).unwrap();
    small(&copy)
}

fn assert_verify_names(vitalog: &Vitalog, name: &str, what: &str) {
    let verified = vitalog.run(&["verify"]);
    assert_eq!(verified.code, 1, "{what}: {verified:?}");
    let named = verified
        .stdout
        .lines()
        .any(|line| line.starts_with("damaged:") && line.contains(name));
    assert!(named, "{what}: {verified:?}");
}

fn name_of(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

#[test]
fn a_wrong_byte_in_a_closed_store_is_named_and_no_wrong_row_is_shown() {
    let place = Place::new();
    let store = small(&place.path("data"));
    for part in 0..2 {
        let file = place.write_events("part.jsonl", part * 300..part * 300 + 300);
        store.stdout_of(&["import", &file]);
    }
    let whole = lines(&store.stdout_of(&EVERYTHING));
    assert_eq!(whole.len(), 600);
    assert_eq!(store.run(&["verify"]).code, 0);
    let (mut answered, mut refused) = (0, 0);
    for folder in ["segments", "manifest", "symbols"] {
        for file in files_of(store.data(), folder) {
            let length = fs::metadata(&file).unwrap().len() as usize;
            for at in [0, length / 3, length / 2, length - 1] {
                let what = format!("{folder}/{} byte {at}", name_of(&file));
                let damaged = damaged_copy(&place, store.data(), &file, at);
                assert_verify_names(&damaged, name_of(&file), &what);
                let outcome = damaged.run(&EVERYTHING);
                if outcome.code == 0 {
                    // The byte was not needed: an older manifest, padding.
                    assert_eq!(lines(&outcome.stdout), whole, "{what}");
                    answered += 1;
                } else {
                    assert_eq!(outcome.code, 1, "{what}: {outcome:?}");
                    assert!(
                        outcome.stderr.contains(name_of(&file)),
                        "{what}: {outcome:?}"
                    );
                    assert!(
                        lines(&outcome.stdout).is_subset(&whole),
                        "{what}: a wrong row"
                    );
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 10, "{refused} refused, {answered} answered");
}

#[test]
fn a_wrong_byte_in_the_log_of_a_killed_process_is_named_and_no_wrong_row_is_shown() {
    let place = Place::new();
    let store = small(&place.path("data"));
    let mut serving = store.serve();
    let client = Client::connect(serving.address()).unwrap();
    for part in 0..6 {
        let events = (part * 50..part * 50 + 50).map(|number| Event::numbered(number).to_wire());
        assert_eq!(client.append(events.collect()).unwrap().accepted, 50);
    }
    serving.kill();
    let log = files_of(store.data(), "wal").pop().unwrap();
    let bytes = fs::read(&log).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    let whole = {
        // Asking recovers, so a copy is asked.
        let copy = place.path("copy");
        copy_directory(store.data(), &copy).unwrap();
        let copy = small(&copy);
        assert_eq!(copy.run(&["verify"]).code, 0, "an open log is no damage");
        lines(&copy.stdout_of(&EVERYTHING))
    };
    assert_eq!(whole.len(), 300);
    let (mut prefixes, mut refused) = (0, 0);
    for at in [
        0,
        used / 8,
        used / 4,
        used / 2,
        used * 3 / 4,
        used - 40,
        used - 1,
    ] {
        let what = format!("log byte {at} of {used}");
        let damaged = damaged_copy(&place, store.data(), &log, at);
        assert_verify_names(&damaged, name_of(&log), &what);
        let outcome = damaged.run(&EVERYTHING);
        assert!(
            outcome.stderr.contains(name_of(&log)),
            "{what}: {outcome:?}"
        );
        if outcome.code == 0 {
            // The last group of an open log cannot be told from a torn write: its bytes are set
            // aside, with a word, and the groups before it are there.
            let shown = lines(&outcome.stdout);
            assert!(
                shown.len() >= 250 && shown.is_subset(&whole),
                "{what}: {outcome:?}"
            );
            assert!(
                outcome.stderr.contains("are kept in"),
                "{what}: {outcome:?}"
            );
            assert!(damaged.data().join("quarantine").is_dir(), "{what}");
            prefixes += 1;
        } else {
            assert_eq!(
                (outcome.code, outcome.stdout.as_str()),
                (1, ""),
                "{what}: {outcome:?}"
            );
            assert!(
                outcome.stderr.contains("vitalog repair"),
                "{what}: {outcome:?}"
            );
            refused += 1;
        }
    }
    assert!(
        prefixes > 0 && refused > 2,
        "{prefixes} prefixes, {refused} refused"
    );
}

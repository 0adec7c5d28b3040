//! The bytes of numbers: those of older stores, which have none, damaged ones, and what backup,
//! repair, compaction and erasure make of them.

use std::ops::Range;
use std::sync::Arc;

use vitalog_disk::{Directory, FaultyDirectory, crc32c};
use vitalog_store::{
    CompactionGoal, EraseRequest, FoundAs, IdKind, Store, StoreErrorKind, WriterMark, WriterState,
    repair_directory, restore_directory, verify_directory,
};

use crate::support::bytes::search;
use crate::support::{batch, numbered, open};
use crate::{WRITERS, check_exactly_once, events_by_number, last_number, send};

/// Bytes of the header of a log file, and of a frame.
const HEADERS: (usize, usize) = (64, 72);

/// A store with a flushed and a logged part of each writer's batches.
fn mixed() -> (FaultyDirectory, Vec<Option<WriterState>>) {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    for number in 1..=9 {
        for writer in WRITERS {
            send(&store, writer, number).unwrap();
        }
        if number % 3 == 0 && number < 9 {
            store.flush().unwrap();
        }
    }
    let states = WRITERS.map(|writer| store.writer_state(writer)).to_vec();
    let image = directory.kill_image();
    drop(store);
    (image, states)
}

fn states(directory: &FaultyDirectory) -> Vec<Option<WriterState>> {
    let store = open(directory).unwrap();
    check_exactly_once(&store, &WRITERS, "states");
    WRITERS.map(|writer| store.writer_state(writer)).to_vec()
}

fn shared(directory: &FaultyDirectory) -> Arc<dyn Directory> {
    Arc::new(directory.clone())
}

#[test]
fn a_backup_carries_the_numbers() {
    let (directory, expected) = mixed();
    let store = open(&directory).unwrap();
    let (backup, restored) = (FaultyDirectory::new(), FaultyDirectory::new());
    store.backup(&shared(&backup), |_| {}).unwrap();
    let files = backup.files();
    assert!(
        files.iter().any(|(name, _)| name.starts_with("writers/")),
        "{files:?}"
    );
    restore_directory(&shared(&backup), &shared(&restored), |_| {}).unwrap();
    assert_eq!(states(&restored), expected);
}

#[test]
fn a_lost_manifest_is_rebuilt_with_the_numbers() {
    let (directory, expected) = mixed();
    for (name, _) in directory.files() {
        if name.starts_with("manifest/") {
            directory.remove(&name).unwrap();
        }
    }
    repair_directory(&shared(&directory), |_| {}).unwrap();
    let verified = verify_directory(&shared(&directory), |_| {}).unwrap();
    assert!(verified.damages.is_empty(), "{:?}", verified.damages);
    assert_eq!(states(&directory), expected);
}

#[test]
fn a_damaged_file_of_numbers_is_found_named_and_set_aside() {
    let (directory, _) = mixed();
    let mut files = directory.files();
    files.retain(|(name, _)| name.starts_with("writers/"));
    let (name, _) = files.last().unwrap();
    directory.flip_bit(name, 20, 3).unwrap();
    let error = open(&directory).unwrap_err().to_string();
    assert!(
        error.contains(name) && error.contains("vitalog repair"),
        "{error}"
    );
    let verified = verify_directory(&shared(&directory), |_| {}).unwrap();
    assert_eq!(verified.damages.len(), 1);
    let report = repair_directory(&shared(&directory), |_| {}).unwrap();
    let finding = report
        .findings
        .iter()
        .find(|one| one.file == *name)
        .unwrap();
    assert!(finding.problem.contains("3 writers"), "{}", finding.problem);
    assert!(finding.kept_in.is_some());
    // The events are all there; the numbers are those of the log behind the lost file.
    let store = open(&directory).unwrap();
    let events = events_by_number(&store).values().sum::<u64>();
    assert_eq!(events, 3 * (1..=9).map(|number| number % 4).sum::<u64>());
    assert_eq!(last_number(&store, "one"), 9);
}

/// The bytes of the log, of which there is one file, with its name.
fn log_of(directory: &FaultyDirectory) -> (String, Vec<u8>) {
    let mut names = directory.files().into_iter().map(|(name, _)| name);
    let name = names.find(|name| name.starts_with("wal/")).unwrap();
    let bytes = directory.read(&name).unwrap();
    (name, bytes)
}

/// Where the frames of writer states stand in the bytes of a log.
fn frames_of_numbers(log: &[u8]) -> Vec<Range<usize>> {
    let starts = (HEADERS.0..log.len() - HEADERS.1).step_by(8);
    let starts = starts.filter(|&at| log[at..].starts_with(b"VFRM") && log[at + 6] == 7);
    let frames = starts.map(|at| {
        let payload = u32::from_le_bytes(log[at + 8..at + 12].try_into().unwrap());
        at..at + HEADERS.1 + (payload as usize).next_multiple_of(8)
    });
    frames.collect()
}

#[test]
fn a_store_of_a_version_without_numbers_opens_and_takes_some() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    store.append(batch(&numbered(0..20))).unwrap();
    store.flush().unwrap();
    store.append(batch(&numbered(20..30))).unwrap();
    let image = directory.kill_image();
    drop(store);
    // As before there were numbers: no file, no field, no frame.
    for (name, _) in image.files() {
        assert!(!name.starts_with("writers/"), "{name}");
        if name.starts_with("manifest/") {
            let text = String::from_utf8(image.read(&name).unwrap()).unwrap();
            assert!(!text.contains("writers"), "{text}");
        }
    }
    assert_eq!(frames_of_numbers(&log_of(&image).1), []);
    let store = open(&image).unwrap();
    assert_eq!(store.snapshot().seq(), 30);
    assert_eq!(store.writer_state("one"), None);
    send(&store, "one", 1).unwrap();
    let image = image.kill_image();
    let store = open(&image).unwrap();
    assert_eq!(
        (last_number(&store, "one"), store.snapshot().seq()),
        (1, 31)
    );
    check_exactly_once(&store, &["one"], "after an older version");
}

#[test]
fn a_flipped_bit_in_the_numbers_of_a_log_is_named_or_costs_the_last_group_whole() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    for (writer, number) in [("one", 1), ("two", 1), ("one", 2)] {
        send(&store, writer, number).unwrap();
    }
    let whole = directory.kill_image();
    drop(store);
    let (name, bytes) = log_of(&whole);
    let frames = frames_of_numbers(&bytes);
    assert_eq!(frames.len(), 3);
    for (group, frame) in frames.into_iter().enumerate() {
        for at in frame {
            let image = whole.kill_image();
            image.flip_bit(&name, at as u64, (at % 8) as u8).unwrap();
            match open(&image) {
                Ok(store) => {
                    assert_eq!(group, 2, "byte {at}: whole groups follow it");
                    let last = (last_number(&store, "one"), last_number(&store, "two"));
                    assert_eq!(last, (1, 1), "byte {at}");
                    check_exactly_once(&store, &["one", "two"], &format!("byte {at}"));
                }
                Err(error) => {
                    assert!(group < 2, "byte {at}: {error}");
                    assert_eq!(error.kind(), StoreErrorKind::Data, "byte {at}: {error}");
                    assert!(error.to_string().contains(&name), "{error}");
                }
            }
        }
    }
}

/// The only frame of `image`'s log after `change` of its header and its payload, with the
/// checksums that belong to it.
fn change_frame(image: &FaultyDirectory, change: impl Fn(&mut [u8], &mut [u8])) -> String {
    let (name, bytes) = log_of(image);
    let frames = frames_of_numbers(&bytes);
    assert_eq!(frames.len(), 1);
    let mut frame = bytes[frames[0].clone()].to_vec();
    let (header, payload) = frame.split_at_mut(HEADERS.1);
    change(header, payload);
    header[60..64].copy_from_slice(&crc32c(payload).to_le_bytes());
    let crc = crc32c(&header[..64]);
    header[64..68].copy_from_slice(&crc.to_le_bytes());
    let mut file = image.open_write(&name).unwrap();
    file.write_at(frames[0].start as u64, &frame).unwrap();
    file.sync_all().unwrap();
    name
}

#[test]
fn a_frame_that_says_what_cannot_be_is_named_and_repaired() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    let mark = WriterMark::new("w", 1).unwrap();
    store.append_as(mark, batch(&[])).unwrap();
    let whole = directory.kill_image();
    drop(store);
    let same = whole.kill_image();
    change_frame(&same, |_, _| {});
    assert_eq!(last_number(&open(&same).unwrap(), "w"), 1);
    // Bytes of the frame's header, and of its payload.
    let changes: [(Option<usize>, Option<usize>, &str); 6] = [
        (Some(24), None, "at seq"),
        (None, Some(16), "not of their group"),
        (None, Some(24), "a length that none has"),
        (None, Some(28), "a length that none has"),
        (None, Some(32), "not UTF-8"),
        (None, Some(33), "does not end as it should"),
    ];
    for (in_header, in_payload, reason) in changes {
        let image = whole.kill_image();
        let name = change_frame(&image, |header, payload| {
            if let Some(at) = in_header {
                header[at] ^= 0xff;
            }
            if let Some(at) = in_payload {
                payload[at] ^= 0xff;
            }
        });
        let error = open(&image).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Data, "{reason}: {error}");
        let text = error.to_string();
        assert!(text.contains(&name) && text.contains(reason), "{text}");
        let report = repair_directory(&shared(&image), |_| {}).unwrap();
        assert!(
            report.findings.iter().any(|one| one.file == name),
            "{reason}"
        );
        let store = open(&image).unwrap();
        assert_eq!(store.writer_state("w"), None, "{reason}");
        send(&store, "w", 1).unwrap();
    }
}

#[test]
fn compaction_and_erasure_leave_the_numbers() {
    let id = "ann@example.org";
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    let states = |store: &Store| [id, "two"].map(|writer| store.writer_state(writer));
    for number in 1..=3 {
        send(&store, id, number).unwrap();
        send(&store, "two", number).unwrap();
    }
    let expected = states(&store);
    store.compact(CompactionGoal::AllCold).unwrap();
    assert_eq!(states(&store), expected);
    // The user whose events the writer of the same name sent.
    let erased = store.erase(EraseRequest::User(id), Box::new(|_| {}));
    erased.unwrap();
    assert_eq!(states(&store), expected);
    send(&store, id, 4).unwrap();
    let image = directory.kill_image();
    // The name of a writer is none of the user, and is said to be there.
    let found = search(&image, id, IdKind::User);
    assert!(found.is_clean(), "{:?}", found.found);
    for folder in ["writers/", "wal/"] {
        let is_there = |one: &vitalog_store::Found| {
            one.file.starts_with(folder) && one.found_as == FoundAs::Mention
        };
        assert!(found.found.iter().any(is_there), "{:?}", found.found);
    }
    for image in [directory.kill_image(), {
        store.close().unwrap();
        directory.kill_image()
    }] {
        let store = open(&image).unwrap();
        assert_eq!(states(&store)[1], expected[1]);
        assert_eq!(last_number(&store, id), 4);
        let left = events_by_number(&store);
        assert!(left.keys().all(|(user, _)| user == "two"), "{left:?}");
    }
}

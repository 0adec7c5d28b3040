//! The contract of a directory, run on every implementation.
//!
//! A case here says what any directory does; what only a disk or only the faulty twin does is in
//! `real.rs` and `faults.rs`.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use vitalog_disk::{
    Directory, DiskErrorKind, FaultyDirectory, LOCK_NAME, ReadFile, RealDirectory, crc32c,
    verify_crc32c, write_atomically,
};

/// Runs each case on a fresh directory of each implementation.
macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod real {
            $(#[test] fn $case() {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let directory = super::RealDirectory::open(folder.path()).expect("a new directory");
                super::$case(&directory);
            })*
        }
        mod faulty {
            $(#[test] fn $case() {
                super::$case(&super::FaultyDirectory::new());
            })*
        }
    };
}

contract! {
    written_bytes_are_read_back,
    a_gap_reads_as_zeroes,
    create_refuses_an_existing_name,
    a_file_cannot_be_a_folder,
    missing_files_are_missing,
    reading_past_the_end_names_the_place,
    names_cannot_leave_the_directory,
    lists_are_sorted_and_of_one_folder,
    rename_replaces_and_creates_folders,
    rename_to_itself_changes_nothing,
    a_link_is_a_second_name_of_one_file,
    a_link_replaces_nothing_and_needs_a_file,
    folders_are_listed_and_removed_when_empty,
    handles_outlive_rename_and_removal,
    a_map_shows_the_whole_file,
    a_map_outlives_removal,
    an_empty_file_maps_to_nothing,
    preallocation_extends_with_zeroes_and_keeps_bytes,
    reopened_files_are_written_in_place,
    atomic_writes_replace_and_leave_nothing_behind,
    checksums_of_regions_are_verified,
    a_region_beyond_the_end_is_damage,
    there_is_room,
    threads_share_a_directory,
}

fn fill(directory: &dyn Directory, name: &str, bytes: &[u8]) {
    let mut file = directory.create(name).expect("a new file");
    file.write_at(0, bytes).expect("written");
    file.sync_all().expect("synced");
}

/// Bytes that differ from place to place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}

fn written_bytes_are_read_back(directory: &dyn Directory) {
    let bytes = pattern(3000);
    let mut file = directory.create("a/b/c").expect("a new file");
    assert!(file.is_empty().expect("a length"));
    file.write_at(0, &bytes[..1000]).expect("written");
    file.write_at(1000, &bytes[1000..]).expect("written");
    file.write_at(500, &[]).expect("nothing written");
    // Visible before any sync.
    assert_eq!(directory.read("a/b/c").expect("read"), bytes);
    file.sync_data().expect("synced");
    file.sync_all().expect("synced");
    directory.sync_folder("a/b").expect("synced");
    assert_eq!(file.len().expect("a length"), 3000);
    assert_eq!(directory.len("a/b/c").expect("a length"), 3000);
    assert!(directory.exists("a/b/c").expect("an answer"));

    let mut middle = [0; 700];
    directory.read_at("a/b/c", 900, &mut middle).expect("read");
    assert_eq!(middle, bytes[900..1600]);
    let reader = directory.open_read("a/b/c").expect("open");
    assert_eq!(reader.len().expect("a length"), 3000);
    assert!(!reader.is_empty().expect("a length"));
    reader
        .read_at(2300, &mut middle)
        .expect("read up to the end");
    assert_eq!(middle, bytes[2300..]);
    assert_eq!(reader.path(), directory.path().join("a/b/c"));
}

fn a_gap_reads_as_zeroes(directory: &dyn Directory) {
    let mut file = directory.create("a").expect("a new file");
    file.write_at(600, b"end").expect("written");
    let bytes = directory.read("a").expect("read");
    assert_eq!(bytes.len(), 603);
    assert!(bytes[..600].iter().all(|byte| *byte == 0));
    assert_eq!(&bytes[600..], b"end");
}

fn create_refuses_an_existing_name(directory: &dyn Directory) {
    fill(directory, "a/b", b"first");
    for taken in ["a/b", "a"] {
        let error = directory.create(taken).expect_err("taken");
        assert_eq!(error.io_kind(), Some(ErrorKind::AlreadyExists), "{error}");
        assert_eq!(error.kind(), DiskErrorKind::Io);
    }
    assert_eq!(directory.read("a/b").expect("read"), b"first");
}

fn a_file_cannot_be_a_folder(directory: &dyn Directory) {
    fill(directory, "a", b"file");
    directory.create("a/b").expect_err("a is a file");
    directory.rename("a", "a/b").expect_err("a is a file");
    assert!(!directory.exists("a/b").expect("an answer"));
    assert!(directory.list("a").map_or(true, |names| names.is_empty()));
    assert_eq!(directory.read("a").expect("read"), b"file");
}

fn missing_files_are_missing(directory: &dyn Directory) {
    let mut buffer = [0; 4];
    let errors = [
        directory.open_write("a/b").expect_err("open_write"),
        directory
            .read_at("a/b", 0, &mut buffer)
            .expect_err("read_at"),
        directory.read("a/b").expect_err("read"),
        directory.open_read("a/b").expect_err("open_read"),
        directory.len("a/b").expect_err("len"),
        directory.map("a/b").expect_err("map"),
        directory.rename("a/b", "c").expect_err("rename"),
        directory.remove("a/b").expect_err("remove"),
        directory.link("a/b", "c").expect_err("link"),
        directory.remove_folder("a/b").expect_err("remove_folder"),
    ];
    for error in errors {
        assert_eq!(error.kind(), DiskErrorKind::Missing, "{error}");
        assert_eq!(error.path(), directory.path().join("a/b"), "{error}");
        assert!(error.to_string().contains("a/b"), "{error}");
    }
    let error = directory.sync_folder("a").expect_err("sync_folder");
    assert_eq!(error.kind(), DiskErrorKind::Missing, "{error}");
    assert!(!directory.exists("a/b").expect("an answer"));
    assert!(directory.list("a").expect("a list").is_empty());
}

fn reading_past_the_end_names_the_place(directory: &dyn Directory) {
    fill(directory, "wal/1", &pattern(100));
    let reader = directory.open_read("wal/1").expect("open");
    let mut buffer = [0; 20];
    for (offset, place) in [
        (90, "offset 90"),
        (100, "offset 100"),
        (5000, "offset 5000"),
    ] {
        let errors = [
            directory
                .read_at("wal/1", offset, &mut buffer)
                .expect_err("too short"),
            reader.read_at(offset, &mut buffer).expect_err("too short"),
        ];
        for error in errors {
            assert_eq!(error.kind(), DiskErrorKind::Damaged);
            assert_eq!(error.io_kind(), Some(ErrorKind::UnexpectedEof));
            assert_eq!(error.offset(), Some(offset));
            let message = error.to_string();
            for part in ["wal/1", place, "20 bytes", "length is 100"] {
                assert!(message.contains(part), "{part} in {message}");
            }
        }
    }
    reader
        .read_at(100, &mut [])
        .expect("nothing is there to read");
}

fn names_cannot_leave_the_directory(directory: &dyn Directory) {
    fill(directory, "good", b"bytes");
    for name in [
        "",
        "/etc/passwd",
        "../a",
        "a/../../b",
        "a//b",
        "a/",
        "./a",
        "a\0b",
        LOCK_NAME,
    ] {
        let mut buffer = [0; 1];
        let errors = [
            directory.create(name).expect_err(name),
            directory.open_write(name).expect_err(name),
            directory.read_at(name, 0, &mut buffer).expect_err(name),
            directory.read(name).expect_err(name),
            directory.open_read(name).expect_err(name),
            directory.len(name).expect_err(name),
            directory.exists(name).expect_err(name),
            directory.map(name).expect_err(name),
            directory.rename(name, "c").expect_err(name),
            directory.rename("good", name).expect_err(name),
            directory.remove(name).expect_err(name),
            directory.link(name, "c").expect_err(name),
            directory.link("good", name).expect_err(name),
            directory.remove_folder(name).expect_err(name),
        ];
        for error in errors {
            assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput), "{error}");
            assert_eq!(error.kind(), DiskErrorKind::Io);
        }
    }
    for folder in ["..", "/", "a/.."] {
        assert!(directory.list(folder).is_err(), "{folder}");
        assert!(directory.folders(folder).is_err(), "{folder}");
        assert!(directory.sync_folder(folder).is_err(), "{folder}");
    }
    assert_eq!(directory.list("").expect("a list"), ["good"]);
}

fn lists_are_sorted_and_of_one_folder(directory: &dyn Directory) {
    for name in ["s/10", "s/2", "s/a-", "s/a", "s/deep/x", "s-other/y", "top"] {
        fill(directory, name, b"");
    }
    assert_eq!(directory.list("s").expect("a list"), ["10", "2", "a", "a-"]);
    assert_eq!(directory.list("s/deep").expect("a list"), ["x"]);
    assert_eq!(directory.list("").expect("a list"), ["top"]);
    directory.remove("s/2").expect("removed");
    assert_eq!(directory.list("s").expect("a list"), ["10", "a", "a-"]);
}

fn rename_replaces_and_creates_folders(directory: &dyn Directory) {
    fill(directory, "a", b"new");
    fill(directory, "b", b"old");
    directory.rename("a", "b").expect("renamed");
    assert_eq!(directory.read("b").expect("read"), b"new");
    assert!(!directory.exists("a").expect("an answer"));
    directory.rename("b", "lost/and/found").expect("renamed");
    assert_eq!(directory.read("lost/and/found").expect("read"), b"new");
    assert!(directory.list("").expect("a list").is_empty());
}

fn rename_to_itself_changes_nothing(directory: &dyn Directory) {
    fill(directory, "a", b"bytes");
    directory.rename("a", "a").expect("renamed");
    assert_eq!(directory.read("a").expect("read"), b"bytes");
}

fn a_link_is_a_second_name_of_one_file(directory: &dyn Directory) {
    let bytes = pattern(700);
    fill(directory, "cold/1", &bytes);
    let free = directory.free_bytes().expect("an answer");
    directory
        .link("cold/1", "snapshots/day/part")
        .expect("linked");
    directory.sync_folder("snapshots/day").expect("synced");
    assert_eq!(directory.read("snapshots/day/part").expect("read"), bytes);
    if directory.path().is_dir() {
        // Others use the room of a disk, too; one file is one however many names it has.
        let file = |name| fs::metadata(directory.path().join(name)).expect("a file");
        let (first, second) = (file("cold/1"), file("snapshots/day/part"));
        assert_eq!((first.dev(), first.ino()), (second.dev(), second.ino()));
        assert_eq!(second.nlink(), 2);
    } else {
        let left = directory.free_bytes().expect("an answer");
        assert_eq!(left, free, "a link takes no room");
    }
    let mut writer = directory.open_write("cold/1").expect("open");
    writer.write_at(0, b"both").expect("written");
    let linked = directory.read("snapshots/day/part").expect("read");
    assert_eq!(&linked[..4], b"both");
    directory.remove("cold/1").expect("removed");
    assert!(!directory.exists("cold/1").expect("an answer"));
    assert_eq!(
        directory.len("snapshots/day/part").expect("a length"),
        bytes.len() as u64
    );
}

fn a_link_replaces_nothing_and_needs_a_file(directory: &dyn Directory) {
    fill(directory, "a", b"bytes");
    fill(directory, "f/b", b"other");
    for taken in ["f/b", "f", "a"] {
        let error = directory.link("a", taken).expect_err("taken");
        assert_eq!(error.io_kind(), Some(ErrorKind::AlreadyExists), "{error}");
        assert_eq!(error.path(), directory.path().join(taken), "{error}");
    }
    directory.link("a", "a/b").expect_err("a is a file");
    directory.link("f", "g").expect_err("folders have no links");
    directory.link("missing", "new/g").expect_err("missing");
    assert_eq!(directory.folders("").expect("a list"), ["f"]);
    assert_eq!(directory.read("f/b").expect("read"), b"other");
}

fn folders_are_listed_and_removed_when_empty(directory: &dyn Directory) {
    assert!(directory.folders("").expect("a list").is_empty());
    for name in ["s/10/x", "s/2/x", "s/a", "s/deep/er/x", "s-other/y"] {
        fill(directory, name, b"");
    }
    assert_eq!(directory.folders("").expect("a list"), ["s", "s-other"]);
    assert_eq!(directory.folders("s").expect("a list"), ["10", "2", "deep"]);
    assert!(directory.folders("s/2").expect("a list").is_empty());
    assert!(directory.folders("missing").expect("a list").is_empty());
    for full in ["s/2", "s/deep", "s"] {
        let error = directory.remove_folder(full).expect_err("not empty");
        assert_eq!(error.kind(), DiskErrorKind::Io, "{error}");
    }
    directory.remove("s/2/x").expect("removed");
    directory.remove_folder("s/2").expect("removed");
    directory.sync_folder("s").expect("synced");
    assert_eq!(directory.folders("s").expect("a list"), ["10", "deep"]);
    let error = directory.remove_folder("s/2").expect_err("gone");
    assert_eq!(error.kind(), DiskErrorKind::Missing, "{error}");
    directory.remove_folder("s/a").expect_err("a file");
    fill(directory, "s/2/again", b"");
    assert_eq!(directory.folders("s").expect("a list"), ["10", "2", "deep"]);
}

fn handles_outlive_rename_and_removal(directory: &dyn Directory) {
    let mut writer = directory.create("a").expect("a new file");
    let reader = directory.open_read("a").expect("open");
    directory.rename("a", "b").expect("renamed");
    fill(directory, "a", b"another file");
    writer.write_at(0, b"written").expect("written");
    assert_eq!(directory.read("b").expect("read"), b"written");
    directory.remove("b").expect("removed");
    let mut bytes = [0; 7];
    reader.read_at(0, &mut bytes).expect("read");
    assert_eq!(&bytes, b"written");
    assert!(!directory.exists("b").expect("an answer"));
}

fn a_map_shows_the_whole_file(directory: &dyn Directory) {
    let bytes = pattern(10_000);
    fill(directory, "a", &bytes);
    let map = directory.map("a").expect("mapped");
    assert_eq!(map.as_slice(), bytes);
    assert_eq!(map.as_ptr().align_offset(64), 0);
    let slice = map.slice_with_length(4096, 100);
    assert_eq!(
        slice.as_ptr(),
        map.as_ptr().wrapping_add(4096),
        "a slice is no copy"
    );
    drop(map);
    assert_eq!(slice.as_slice(), &bytes[4096..4196]);
}

fn a_map_outlives_removal(directory: &dyn Directory) {
    let bytes = pattern(5000);
    fill(directory, "a", &bytes);
    let map = directory.map("a").expect("mapped");
    directory.remove("a").expect("removed");
    fill(directory, "a", b"another file of that name");
    assert_eq!(map.as_slice(), bytes);
    let reader = std::thread::spawn(move || map.as_slice() == pattern(5000));
    assert!(reader.join().expect("maps go to other threads"));
}

fn an_empty_file_maps_to_nothing(directory: &dyn Directory) {
    fill(directory, "a", b"");
    assert!(directory.map("a").expect("mapped").is_empty());
    assert!(directory.read("a").expect("read").is_empty());
}

fn preallocation_extends_with_zeroes_and_keeps_bytes(directory: &dyn Directory) {
    let mut file = directory.create("a").expect("a new file");
    file.preallocate(0).expect("nothing to do");
    assert_eq!(file.len().expect("a length"), 0);
    file.write_at(0, b"kept").expect("written");
    file.preallocate(100_000).expect("reserved");
    assert_eq!(file.len().expect("a length"), 100_000);
    file.preallocate(10).expect("nothing to do");
    assert_eq!(file.len().expect("never shorter"), 100_000);
    let bytes = directory.read("a").expect("read");
    assert_eq!(&bytes[..4], b"kept");
    assert!(bytes[4..].iter().all(|byte| *byte == 0));
}

fn reopened_files_are_written_in_place(directory: &dyn Directory) {
    fill(directory, "a", b"0123456789");
    let mut file = directory.open_write("a").expect("open");
    assert_eq!(file.len().expect("a length"), 10);
    file.write_at(4, b"xy").expect("written");
    file.sync_data().expect("synced");
    assert_eq!(directory.read("a").expect("read"), b"0123xy6789");
}

fn atomic_writes_replace_and_leave_nothing_behind(directory: &dyn Directory) {
    write_atomically(directory, "m/manifest", b"first").expect("written");
    assert_eq!(directory.read("m/manifest").expect("read"), b"first");
    // What a crash in the middle of an earlier attempt leaves.
    fill(directory, "m/manifest.tmp", b"half of someth");
    write_atomically(directory, "m/manifest", b"2").expect("written");
    assert_eq!(directory.read("m/manifest").expect("read"), b"2");
    assert_eq!(directory.list("m").expect("a list"), ["manifest"]);
}

fn checksums_of_regions_are_verified(directory: &dyn Directory) {
    // Longer than two pieces, with a piece that ends inside the region.
    let bytes = pattern((2 << 20) + 12_345);
    fill(directory, "segments/1", &bytes);
    let file = directory.open_read("segments/1").expect("open");
    let length = bytes.len() as u64;
    verify_crc32c(&*file, 0, length, crc32c(&bytes)).expect("the whole file");
    verify_crc32c(&*file, 77, length - 80, crc32c(&bytes[77..bytes.len() - 3])).expect("a part");
    verify_crc32c(&*file, length, 0, 0).expect("no bytes");

    let expected = crc32c(&bytes[64..128]) ^ 1;
    let error = verify_crc32c(&*file, 64, 64, expected).expect_err("another checksum");
    assert_eq!(error.kind(), DiskErrorKind::Damaged);
    assert_eq!(error.offset(), Some(64));
    let message = error.to_string();
    let found = format!("{:#010x}", expected ^ 1);
    for part in [
        "segments/1",
        "offset 64",
        &found,
        &format!("{expected:#010x}"),
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

fn a_region_beyond_the_end_is_damage(directory: &dyn Directory) {
    fill(directory, "a", b"12345");
    let file = directory.open_read("a").expect("open");
    for (offset, length) in [(0, 6), (5, 1), (6, 0), (u64::MAX, 1), (1, u64::MAX)] {
        let error = verify_crc32c(&*file, offset, length, 0).expect_err("beyond the end");
        assert_eq!(error.kind(), DiskErrorKind::Damaged, "{error}");
        assert_eq!(error.offset(), Some(offset));
    }
}

fn there_is_room(directory: &dyn Directory) {
    assert!(directory.free_bytes().expect("an answer") > 1 << 20);
}

fn threads_share_a_directory(directory: &dyn Directory) {
    fill(directory, "shared", &pattern(100_000));
    let reader: Arc<dyn ReadFile> = directory.open_read("shared").expect("open").into();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let reader = Arc::clone(&reader);
            scope.spawn(move || {
                fill(directory, &format!("own/{thread}"), &[thread as u8; 100]);
                let mut bytes = [0; 1000];
                for offset in (0..99_000).step_by(1000) {
                    reader.read_at(offset + thread, &mut bytes).expect("read");
                    let start = (offset + thread) as usize;
                    assert_eq!(bytes[..], pattern(100_000)[start..start + 1000]);
                }
            });
        }
    });
    assert_eq!(directory.list("own").expect("a list"), ["0", "1", "2", "3"]);
}

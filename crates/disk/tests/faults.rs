//! What the faulty twin does beyond the contract: faults by number, full disks, power loss.

use std::collections::BTreeSet;

use vitalog_disk::{Directory, DiskErrorKind, Fault, FaultPlan, FaultyDirectory, write_atomically};

const SEEDS: u64 = 100;

fn fill(directory: &FaultyDirectory, name: &str, bytes: &[u8]) {
    let mut file = directory.create(name).expect("a new file");
    file.write_at(0, bytes).expect("written");
    file.sync_all().expect("synced");
}

/// What each seed leaves of a file; `None` where its name is gone.
fn images(directory: &FaultyDirectory, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS)
        .map(|seed| directory.crash_image(seed).read(name).ok())
        .collect()
}

#[test]
fn bytes_and_names_need_their_own_sync() {
    let directory = FaultyDirectory::new();
    let mut file = directory.create("a").expect("a new file");
    file.write_at(0, b"bytes").expect("written");
    file.sync_all().expect("synced");
    let whole = Some(b"bytes".to_vec());
    assert_eq!(
        images(&directory, "a"),
        BTreeSet::from([None, whole.clone()])
    );
    directory.sync_folder("").expect("synced");
    assert_eq!(images(&directory, "a"), BTreeSet::from([whole]));

    directory
        .create("b")
        .expect("a new file")
        .write_at(0, b"bytes")
        .expect("written");
    directory.sync_folder("").expect("synced");
    assert!(
        images(&directory, "b").contains(&Some(Vec::new())),
        "a name without its bytes"
    );
}

#[test]
fn removed_files_come_back_until_the_folder_is_synced() {
    let directory = FaultyDirectory::new();
    write_atomically(&directory, "f/a", b"bytes").expect("written");
    directory.remove("f/a").expect("removed");
    assert_eq!(
        images(&directory, "f/a"),
        BTreeSet::from([None, Some(b"bytes".to_vec())])
    );
    directory.sync_folder("f").expect("synced");
    assert_eq!(images(&directory, "f/a"), BTreeSet::from([None]));
}

#[test]
fn a_linked_name_needs_its_folder_synced_and_its_file_stays_one() {
    let directory = FaultyDirectory::new();
    write_atomically(&directory, "cold/a", b"bytes").expect("written");
    directory.link("cold/a", "day/b").expect("linked");
    let whole = Some(b"bytes".to_vec());
    assert_eq!(
        images(&directory, "day/b"),
        BTreeSet::from([None, whole.clone()])
    );
    directory.sync_folder("day").expect("synced");
    assert_eq!(images(&directory, "day/b"), BTreeSet::from([whole.clone()]));
    // The new name does not need the old one, and removing one of them takes nothing away.
    directory.remove("cold/a").expect("removed");
    assert_eq!(images(&directory, "day/b"), BTreeSet::from([whole]));
    directory.link("day/b", "cold/a").expect("linked");
    directory.sync_folder("cold").expect("synced");
    for seed in 0..SEEDS {
        let image = directory.crash_image(seed);
        let mut file = image.open_write("cold/a").expect("open");
        file.write_at(0, b"B").expect("written");
        assert_eq!(image.read("day/b").expect("read"), b"Bytes", "one file");
    }
}

#[test]
fn two_names_of_one_file_take_its_room_once() {
    let directory = FaultyDirectory::new();
    directory.set_capacity(1000);
    fill(&directory, "a", &[1; 600]);
    directory.link("a", "b").expect("linked");
    assert_eq!(directory.free_bytes().expect("an answer"), 400);
    directory.remove("a").expect("removed");
    assert_eq!(directory.free_bytes().expect("an answer"), 400);
    directory.remove("b").expect("removed");
    assert_eq!(directory.free_bytes().expect("an answer"), 1000);
}

#[test]
fn a_removed_folder_comes_back_until_the_one_above_is_synced() {
    let directory = FaultyDirectory::new();
    write_atomically(&directory, "f/day/a", b"bytes").expect("written");
    directory.remove("f/day/a").expect("removed");
    directory.remove_folder("f/day").expect("removed");
    let mut outcomes = BTreeSet::new();
    for seed in 0..SEEDS {
        let image = directory.crash_image(seed);
        let folder = !image.folders("f").expect("a list").is_empty();
        let file = image.exists("f/day/a").expect("an answer");
        assert!(folder || !file, "seed {seed}: a file without its folder");
        outcomes.insert((folder, file));
    }
    assert_eq!(outcomes.len(), 3, "{outcomes:?}");
    directory.sync_folder("f").expect("synced");
    for seed in 0..SEEDS {
        let image = directory.crash_image(seed);
        assert!(image.folders("f").expect("a list").is_empty());
    }
}

#[test]
fn links_and_folder_removals_fail_by_plan_and_change_nothing() {
    let directory = FaultyDirectory::new();
    fill(&directory, "a", b"bytes");
    fill(&directory, "f/b", b"");
    directory.remove("f/b").expect("removed");
    let number = directory.operations();
    let plan = FaultPlan::new().fail_operation(number, Fault::Full);
    directory.set_plan(plan.fail_operation(number + 1, Fault::Io));
    let error = directory.link("a", "g/b").expect_err("full");
    assert_eq!(error.kind(), DiskErrorKind::Full);
    directory.remove_folder("f").expect_err("failing");
    assert_eq!(directory.folders("").expect("a list"), ["f"]);
    directory.link("a", "g/b").expect("linked");
    directory.remove_folder("f").expect("removed");
    assert_eq!(directory.folders("").expect("a list"), ["g"]);
}

#[test]
fn an_atomic_write_survives_a_crash_at_every_operation() {
    let old = vec![1; 2000];
    let new = vec![2; 3000];
    let clean = FaultyDirectory::new();
    write_atomically(&clean, "m/manifest", &old).expect("written");
    let first = clean.operations();
    write_atomically(&clean, "m/manifest", &new).expect("written");
    let last = clean.operations();
    assert_eq!(last - first, 4, "create, write, sync, rename");

    let mut outcomes = BTreeSet::new();
    for number in first..=last {
        let directory = FaultyDirectory::new();
        directory.set_plan(FaultPlan::new().crash_at(number));
        write_atomically(&directory, "m/manifest", &old).expect("written");
        let outcome = write_atomically(&directory, "m/manifest", &new);
        assert_eq!(outcome.is_err(), number < last, "crash at {number}");
        assert_eq!(directory.has_crashed(), number < last);
        for seed in 0..SEEDS {
            let image = directory.crash_image(seed);
            let found = image.read("m/manifest").expect("one of them is there");
            assert!(
                found == old || found == new,
                "crash at {number}, seed {seed}"
            );
            assert!(
                number < last || found == new,
                "an answered write is durable"
            );
            outcomes.insert((number, found == new));
            // Whatever was left behind, the next attempt succeeds.
            write_atomically(&image, "m/manifest", b"next").expect("written");
        }
    }
    assert!(outcomes.contains(&(last - 1, false)) && outcomes.contains(&(last - 1, true)));
    assert!(
        !outcomes.contains(&(first, true)),
        "nothing is renamed before it is written"
    );
}

#[test]
fn writing_without_a_sync_before_the_rename_is_found_out() {
    let directory = FaultyDirectory::new();
    directory
        .create("a.tmp")
        .expect("a new file")
        .write_at(0, &[1; 2000])
        .expect("written");
    directory.rename("a.tmp", "a").expect("renamed");
    let torn = images(&directory, "a")
        .into_iter()
        .flatten()
        .any(|bytes| bytes != [1; 2000]);
    assert!(torn, "the twin must show the missing sync");
}

#[test]
fn after_a_crash_everything_fails() {
    let directory = FaultyDirectory::new();
    fill(&directory, "a", b"bytes");
    let mut writer = directory.open_write("a").expect("open");
    let reader = directory.open_read("a").expect("open");
    let map = directory.map("a").expect("mapped");
    directory.set_plan(FaultPlan::new().crash_at(directory.operations()));
    writer.write_at(0, b"x").expect_err("the crash");
    let operations = directory.operations();
    let mut buffer = [0; 1];
    let errors = [
        writer.write_at(0, b"x").expect_err("write_at"),
        writer.preallocate(100).expect_err("preallocate"),
        writer.sync_data().expect_err("sync_data"),
        writer.len().expect_err("len"),
        reader.read_at(0, &mut buffer).expect_err("read_at"),
        reader.len().expect_err("len"),
        directory.create("b").expect_err("create"),
        directory.open_write("a").expect_err("open_write"),
        directory.open_read("a").expect_err("open_read"),
        directory.read("a").expect_err("read"),
        directory.len("a").expect_err("len"),
        directory.map("a").expect_err("map"),
        directory.exists("a").expect_err("exists"),
        directory.list("").expect_err("list"),
        directory.rename("a", "b").expect_err("rename"),
        directory.remove("a").expect_err("remove"),
        directory.sync_folder("").expect_err("sync_folder"),
        directory.free_bytes().expect_err("free_bytes"),
    ];
    for error in errors {
        assert!(error.to_string().contains("lost power"), "{error}");
        assert_eq!(error.kind(), DiskErrorKind::Io);
    }
    assert_eq!(directory.operations(), operations);
    assert_eq!(map.as_slice(), b"bytes");
    assert_eq!(directory.files(), [("a".to_string(), 5)]);
}

#[test]
fn the_same_seed_leaves_the_same_bytes() {
    let build = || {
        let directory = FaultyDirectory::new();
        for name in ["a/1", "a/2", "b/1"] {
            let mut file = directory.create(name).expect("a new file");
            file.write_at(0, &[1; 5000]).expect("written");
            file.sync_data().expect("synced");
            file.write_at(3000, &[2; 5000]).expect("written");
        }
        directory
    };
    let contents = |directory: &FaultyDirectory| -> Vec<(String, Vec<u8>)> {
        let names = directory.files().into_iter().map(|(name, _)| name);
        names
            .map(|name| (name.clone(), directory.read(&name).expect("read")))
            .collect()
    };
    let (one, other) = (build(), build());
    let mut different = BTreeSet::new();
    for seed in 0..SEEDS {
        let image = contents(&one.crash_image(seed));
        assert_eq!(
            image,
            contents(&one.crash_image(seed)),
            "asking changes nothing"
        );
        assert_eq!(image, contents(&other.crash_image(seed)));
        different.insert(image);
    }
    assert!(different.len() > 30, "seeds differ: {}", different.len());
}

#[test]
fn an_image_is_independent_and_durable() {
    let directory = FaultyDirectory::new();
    write_atomically(&directory, "a", b"bytes").expect("written");
    let image = directory.crash_image(0);
    image
        .open_write("a")
        .expect("open")
        .write_at(0, b"other")
        .expect("written");
    assert_eq!(directory.read("a").expect("read"), b"bytes");
    assert_eq!(image.operations(), 1);
    let again = FaultyDirectory::clone(&image).crash_image(1);
    assert_eq!(again.len("a").expect("a length"), 5);
}

#[test]
fn a_killed_process_leaves_what_was_written_but_not_synced() {
    let directory = FaultyDirectory::new();
    directory
        .create("a")
        .expect("a new file")
        .write_at(0, b"bytes")
        .expect("written");
    directory.set_plan(FaultPlan::new().crash_at(directory.operations()));
    directory.create("b").expect_err("the crash");
    let next = directory.kill_image();
    assert_eq!(next.read("a").expect("read"), b"bytes");
    assert!(
        next.exists("b").expect("an answer"),
        "the last operation had begun"
    );
    assert!(
        images(&next, "a").contains(&Some(Vec::new())),
        "its bytes are not durable yet"
    );
    assert!(
        !images(&next, "a").contains(&None),
        "its name is, since the directory was opened"
    );
    next.open_write("a")
        .expect("open")
        .sync_data()
        .expect("synced");
    assert_eq!(
        images(&next, "a"),
        BTreeSet::from([Some(b"bytes".to_vec())])
    );
}

#[test]
fn an_operation_fails_once_with_the_error_ordered() {
    let directory = FaultyDirectory::new();
    let plan = FaultPlan::new()
        .fail_operation(0, Fault::Io)
        .fail_operation(2, Fault::Full)
        .fail_operation(4, Fault::Io);
    directory.set_plan(plan);
    let error = directory.create("a").expect_err("operation 0");
    assert_eq!(error.kind(), DiskErrorKind::Io);
    assert!(directory.files().is_empty());
    let mut file = directory.create("a").expect("operation 1");
    let error = file.write_at(10, b"12345678").expect_err("operation 2");
    assert_eq!(error.kind(), DiskErrorKind::Full);
    assert_eq!(error.offset(), Some(10));
    assert_eq!(file.len().expect("a length"), 14, "half of it was written");
    file.write_at(10, b"12345678").expect("operation 3");
    directory.rename("a", "b").expect_err("operation 4");
    assert!(directory.exists("a").expect("an answer"));
    directory.rename("a", "b").expect("operation 5");
    assert_eq!(directory.operations(), 6);
}

#[test]
fn a_failed_sync_is_not_mended_by_the_next_one() {
    let directory = FaultyDirectory::new();
    let mut file = directory.create("a").expect("a new file");
    directory.sync_folder("").expect("synced");
    file.write_at(0, &[1; 512]).expect("written");
    directory.set_plan(FaultPlan::new().fail_operation(directory.operations(), Fault::Io));
    file.sync_data().expect_err("the fault");
    file.sync_data().expect("reports success");
    assert_eq!(
        directory.read("a").expect("read"),
        [1; 512],
        "readers see no difference"
    );
    assert!(
        images(&directory, "a").contains(&Some(vec![0; 512])),
        "the bytes are lost"
    );
}

#[test]
fn all_syncs_fail_from_an_operation_on() {
    let directory = FaultyDirectory::new();
    write_atomically(&directory, "a", b"old").expect("written");
    directory.set_plan(FaultPlan::new().fail_syncs_from(directory.operations()));
    let mut file = directory.create("b").expect("no sync");
    file.write_at(0, b"new").expect("no sync");
    file.sync_data().expect_err("a sync");
    file.sync_all().expect_err("a sync");
    directory.sync_folder("").expect_err("a sync");
    directory.rename("b", "a").expect_err("ends with a sync");
    assert_eq!(
        directory.read("a").expect("read"),
        b"new",
        "renamed, and not durable"
    );
    let images = images(&directory, "a");
    assert!(images.contains(&Some(b"old".to_vec())) && images.contains(&Some(Vec::new())));
}

#[test]
fn a_full_disk_takes_what_fits_and_nothing_more() {
    let directory = FaultyDirectory::new();
    directory.set_capacity(1000);
    let mut log = directory.create("log").expect("a new file");
    log.preallocate(600).expect("reserved");
    assert_eq!(directory.free_bytes().expect("an answer"), 400);
    let mut file = directory.create("a").expect("a new file");
    let error = file.write_at(0, &[1; 500]).expect_err("too much");
    assert_eq!(error.kind(), DiskErrorKind::Full);
    assert_eq!(file.len().expect("a length"), 400);
    log.write_at(0, &[2; 600])
        .expect("reserved room can be written");
    assert_eq!(
        log.write_at(599, &[2; 2]).expect_err("full").kind(),
        DiskErrorKind::Full
    );
    assert_eq!(
        log.preallocate(601).expect_err("full").kind(),
        DiskErrorKind::Full
    );
    assert_eq!(directory.free_bytes().expect("an answer"), 0);
    directory.remove("a").expect("removed");
    log.preallocate(1000).expect("room again");
    directory.set_capacity(10);
    log.write_at(0, &[3; 1000]).expect("it has its room");
    assert_eq!(directory.free_bytes().expect("an answer"), 0);
}

#[test]
fn a_failed_atomic_write_leaves_the_old_bytes_and_no_litter() {
    for number in 0..4 {
        let directory = FaultyDirectory::new();
        write_atomically(&directory, "a", b"old").expect("written");
        let at = directory.operations() + number;
        directory.set_plan(FaultPlan::new().fail_operation(at, Fault::Full));
        let error = write_atomically(&directory, "a", b"new").expect_err("the fault");
        assert_eq!(error.kind(), DiskErrorKind::Full, "operation {number}");
        assert_eq!(
            directory.files(),
            [("a".to_string(), 3)],
            "operation {number}"
        );
        assert_eq!(directory.read("a").expect("read"), b"old");
    }
}

#[test]
fn damage_is_durable_and_does_not_reach_maps() {
    let directory = FaultyDirectory::new();
    write_atomically(&directory, "a", &[0; 100]).expect("written");
    let map = directory.map("a").expect("mapped");
    directory.flip_bit("a", 99, 7).expect("flipped");
    assert_eq!(directory.read("a").expect("read")[99], 0x80);
    assert_eq!(directory.crash_image(0).read("a").expect("read")[99], 0x80);
    assert_eq!(map.as_slice(), [0; 100]);
    let error = directory.flip_bit("a", 100, 0).expect_err("too short");
    assert_eq!(error.kind(), DiskErrorKind::Damaged);
    directory.truncate("a", 60).expect("cut");
    assert_eq!(directory.crash_image(0).len("a").expect("a length"), 60);
    directory.truncate("a", 200).expect("a shorter file stays");
    assert_eq!(directory.len("a").expect("a length"), 60);
    let error = directory.truncate("b", 0).expect_err("missing");
    assert_eq!(error.kind(), DiskErrorKind::Missing);
    assert_eq!(map.len(), 100);
}

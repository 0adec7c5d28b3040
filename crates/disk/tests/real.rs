//! What only a directory on a file system does: the lock, folders left by others, real maps.

use std::fs;
use std::process::Command;

use vitalog_disk::{Directory, DiskErrorKind, LOCK_NAME, RealDirectory};

/// Set for the process that [`another_process_is_kept_out`] starts: the directory to try.
const TRY_VARIABLE: &str = "VITALOG_DISK_TEST_TRY_DIRECTORY";

#[test]
fn open_creates_the_directory_and_shows_only_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("new/store");
    let directory = RealDirectory::open(&path).expect("created");
    assert_eq!(directory.path(), path);
    assert!(path.join(LOCK_NAME).is_file());
    assert!(
        directory.list("").expect("a list").is_empty(),
        "the lock is not listed"
    );
}

#[test]
fn a_file_in_the_way_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    fs::write(&path, b"in the way").expect("written");
    let error = RealDirectory::open(&path).expect_err("a file is no directory");
    assert!(error.to_string().contains("file"), "{error}");
    assert_eq!(fs::read(&path).expect("read"), b"in the way");
}

#[test]
fn a_second_open_is_refused_until_everything_that_writes_is_dropped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = RealDirectory::open(folder.path()).expect("open");
    let error = RealDirectory::open(folder.path()).expect_err("in use");
    assert_eq!(error.kind(), DiskErrorKind::Locked);
    assert_eq!(error.path(), folder.path());
    let own = format!("this process ({})", std::process::id());
    assert!(error.to_string().contains(&own), "{error}");

    let mut file = first.create("a").expect("a new file");
    file.write_at(0, b"bytes").expect("written");
    let map = first.map("a").expect("mapped");
    drop(first);
    let error = RealDirectory::open(folder.path()).expect_err("a file is open for writing");
    assert_eq!(error.kind(), DiskErrorKind::Locked);
    drop(file);
    let second = RealDirectory::open(folder.path()).expect("free again");
    assert_eq!(second.read("a").expect("read"), b"bytes");
    assert_eq!(map.as_slice(), b"bytes", "maps need no lock");
}

#[test]
#[ignore = "runs in the process that `another_process_is_kept_out` starts"]
fn try_the_directory_of_the_environment() {
    let path = std::env::var_os(TRY_VARIABLE).expect("the directory to try");
    let error = RealDirectory::open(path).expect_err("another process has it");
    assert_eq!(error.kind(), DiskErrorKind::Locked);
    println!("refused: {error}");
}

#[test]
fn another_process_is_kept_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let _directory = RealDirectory::open(folder.path()).expect("open");
    let output = Command::new(std::env::current_exe().expect("a path"))
        .args([
            "--ignored",
            "--exact",
            "try_the_directory_of_the_environment",
            "--nocapture",
        ])
        .env(TRY_VARIABLE, folder.path())
        .output()
        .expect("started");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    let message = format!("in use by another process ({})", std::process::id());
    assert!(printed.contains(&message), "{printed}");
    assert!(printed.contains("stop that process"), "{printed}");
}

#[test]
fn a_left_over_lock_file_locks_nobody_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for left in ["", "99999     \n", "not a number at all"] {
        fs::write(folder.path().join(LOCK_NAME), left).expect("written");
        let directory = RealDirectory::open(folder.path()).expect("nobody holds it");
        let error = RealDirectory::open(folder.path()).expect_err("in use");
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(directory);
    }
}

#[test]
fn maps_are_pages_of_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let directory = RealDirectory::open(folder.path()).expect("open");
    directory
        .create("a")
        .expect("a new file")
        .write_at(0, &[7; 9000])
        .expect("written");
    let map = directory.map("a").expect("mapped");
    assert_eq!(map.as_ptr().align_offset(4096), 0);
    let address = format!("{:x}-", map.as_ptr().addr());
    if let Ok(maps) = fs::read_to_string("/proc/self/maps") {
        let line = maps
            .lines()
            .find(|line| line.starts_with(&address))
            .expect("a mapping");
        assert!(line.contains("r--s") && line.ends_with("/a"), "{line}");
    }
    // The bytes live as long as any slice, without directory, handle and name.
    let slice = map.slice(8000);
    directory.remove("a").expect("removed");
    drop((map, directory));
    assert_eq!(slice.as_slice(), [7; 1000]);
}

#[test]
fn names_that_are_not_utf_8_are_left_out() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let directory = RealDirectory::open(folder.path()).expect("open");
    let foreign = std::ffi::OsStr::from_bytes(b"\xFF\xFE");
    if fs::write(folder.path().join(foreign), b"").is_ok() {
        directory.create("ours").expect("a new file");
        assert_eq!(directory.list("").expect("a list"), ["ours"]);
    }
}

#[test]
fn messages_name_the_whole_path() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let directory = RealDirectory::open(folder.path()).expect("open");
    let error = directory.read("wal/7").expect_err("missing");
    let path = folder.path().join("wal/7");
    assert!(
        error.to_string().contains(&path.display().to_string()),
        "{error}"
    );
}

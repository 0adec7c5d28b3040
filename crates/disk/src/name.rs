//! Names of files in a store: relative, '/'-separated, and unable to leave the directory.
//!
//! It owns the rules, not the lookup. Both directories check every name here, so a name that
//! works in a test works on a disk.

use std::io;

use crate::lock::LOCK_NAME;

/// The longest name, in bytes, of one component: the limit of the usual file systems.
const COMPONENT_BYTES_MAX: usize = 255;

/// The longest whole name in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// Checks the name of a file.
///
/// # Errors
/// `InvalidInput` with the reason.
pub(crate) fn check_file(name: &str) -> io::Result<()> {
    if name.is_empty() {
        return Err(refuse("the name is empty"));
    }
    if name == LOCK_NAME {
        return Err(refuse("the name is reserved for the lock"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(refuse("the name is longer than 1024 bytes"));
    }
    name.split('/').try_for_each(check_component)
}

/// Checks the name of a folder; the empty name is the directory itself.
///
/// # Errors
/// `InvalidInput` with the reason.
pub(crate) fn check_folder(folder: &str) -> io::Result<()> {
    if folder.is_empty() {
        Ok(())
    } else {
        check_file(folder)
    }
}

/// The folder a name lies in, without the slash; empty for the directory itself.
pub(crate) fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn check_component(component: &str) -> io::Result<()> {
    if component.is_empty() {
        return Err(refuse("the name is absolute or has an empty part"));
    }
    if component == "." || component == ".." {
        return Err(refuse("the name has a part `.` or `..`"));
    }
    if component.len() > COMPONENT_BYTES_MAX {
        return Err(refuse("a part of the name is longer than 255 bytes"));
    }
    if component.contains(|c: char| c == '\\' || c.is_control()) {
        return Err(refuse("the name has a backslash or a control character"));
    }
    Ok(())
}

fn refuse(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_directory() {
        for good in [
            "a",
            "wal/0001.wal",
            "a.b/c-d/e_f",
            "..a",
            "a..",
            "LOCK2",
            "a/LOCK",
        ] {
            assert!(check_file(good).is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        let deep = "x/".repeat(600) + "x";
        let bad = [
            "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/./b", "a\\b", "a\0", "LOCK",
            &long, &deep,
        ];
        for bad in bad {
            let error = check_file(bad).expect_err(bad);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
        assert!(check_folder("").is_ok());
        assert!(check_folder("..").is_err());
    }

    #[test]
    fn a_folder_is_what_stands_before_the_last_slash() {
        assert_eq!(folder_of("a"), "");
        assert_eq!(folder_of("a/b"), "a");
        assert_eq!(folder_of("a/b/c"), "a/b");
    }
}

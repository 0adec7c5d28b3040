//! Folders with all that is in them.

use vitalog_disk::{Directory, DiskError, DiskErrorKind};

use crate::error::Result;

/// Removes `folder` and all below it; one that is missing is as good as removed. Durable after the
/// folder above it is synced: a folder is never gone before what was in it.
///
/// # Errors
/// A failing disk.
pub(super) fn remove_tree(directory: &dyn Directory, folder: &str) -> Result<()> {
    for below in directory.folders(folder)? {
        remove_tree(directory, &format!("{folder}/{below}"))?;
    }
    for name in directory.list(folder)? {
        unless_missing(directory.remove(&format!("{folder}/{name}")))?;
    }
    Ok(unless_missing(directory.remove_folder(folder))?)
}

/// Takes what is missing for removed.
pub(super) fn unless_missing(
    outcome: std::result::Result<(), DiskError>,
) -> std::result::Result<(), DiskError> {
    match outcome {
        Err(error) if error.kind() == DiskErrorKind::Missing => Ok(()),
        outcome => outcome,
    }
}

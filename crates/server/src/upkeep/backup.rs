//! Backups that a call asks for: where they may go, and what they say.

use std::path::{Component, Path, PathBuf};

use vitalog_store::{Store, StoreErrorKind};
use vitalog_wire::vitalog::v1;

use crate::fault::{Fault, Reason};
use crate::instant::timestamp;

/// Longest path of a request.
const PATH_BYTES_MAX: usize = 4_096;

/// The directory that a request names.
pub(super) fn target_of(path: &str) -> Result<PathBuf, Fault> {
    if path.len() > PATH_BYTES_MAX {
        let bytes = path.len();
        return Err(refused(format!(
            "has {bytes} bytes, expected at most {PATH_BYTES_MAX}"
        )));
    }
    let target = Path::new(path);
    let has_parent = target.components().any(|part| part == Component::ParentDir);
    if !target.is_absolute() || has_parent || path.contains('\0') {
        return Err(refused(format!(
            "is {path:?}, expected an absolute path on the server's machine, without `..`"
        )));
    }
    Ok(target.to_owned())
}

/// Copies the store into `target`. Blocks until the copy is durable.
pub(super) fn run(store: &Store, target: &Path) -> Result<v1::UpkeepServiceBackupResponse, Fault> {
    let started_at = timestamp(store.clock().now_us());
    let report = store.backup_to(target, |_| {});
    let report = report.map_err(|error| match error.kind() {
        StoreErrorKind::Invalid => refused(error.to_string()),
        _ => error.into(),
    })?;
    Ok(v1::UpkeepServiceBackupResponse {
        seq: report.seq.unsigned_abs(),
        files: report.copied.files + report.kept.files,
        bytes: report.copied.bytes + report.kept.bytes,
        files_copied: report.copied.files,
        bytes_copied: report.copied.bytes,
        started_at: Some(started_at),
        finished_at: Some(timestamp(store.clock().now_us())),
        files_removed: report.removed_files,
    })
}

fn refused(message: impl Into<String>) -> Fault {
    Fault::of_field(Reason::InvalidRequest, "path", message)
}

//! Backup of an open store into another directory, and restoring a store from it.
//!
//! A backup is a directory with the files of one manifest and that manifest, in the layout of a
//! store without a log. Invariant: at any time, and after any crash, the newest manifest of a
//! backup names files that are all there: new files come before it, old ones go after it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vitalog_disk::{Directory, DiskErrorKind, RealDirectory};

use crate::copy::{Copier, CopyProgress, FileCount};
use crate::error::{Result, StoreError};
use crate::ledger::NAMED_FOLDERS;
use crate::manifest::{self, Manifest, Part};
use crate::quarantine;
use crate::segment::SegmentEntry;
use crate::store::Store;
use crate::verify::{VerifyReport, verify_files};
use crate::wal;

/// What a backup did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Every event up to this `seq` is in the backup.
    pub seq: i64,
    /// Files copied now.
    pub copied: FileCount,
    /// Files that an earlier backup had copied.
    pub kept: FileCount,
    /// Files of the earlier backup that this one does not need; they are gone.
    pub removed_files: u64,
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// The last `seq` of the restored store.
    pub seq: i64,
    /// Its rows, hot and cold.
    pub rows: u64,
    /// Its files, the manifest left out.
    pub restored: FileCount,
}

impl Store {
    /// [`Store::backup`] into the directory `target` of this machine, made where it is missing.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]: `target` lies inside the store, or cannot be had. Another process
    /// has it open. Otherwise as [`Store::backup`].
    pub fn backup_to(
        &self,
        target: &Path,
        progress: impl FnMut(CopyProgress<'_>),
    ) -> Result<BackupReport> {
        let shown = target.display();
        if resolved(target).starts_with(resolved(self.directory().path())) {
            return Err(StoreError::Invalid(format!(
                "{shown}: a backup inside the store is lost with it; name another directory"
            )));
        }
        let target = RealDirectory::open(target).map_err(|error| match error.kind() {
            DiskErrorKind::Full | DiskErrorKind::Locked => error.into(),
            _ => StoreError::Invalid(format!("cannot write a backup to {shown}: {error}")),
        })?;
        let target: Arc<dyn Directory> = Arc::new(target);
        self.backup(&target, progress)
    }

    /// Copies the store into `target`, while appends and reads go on. Everything acknowledged
    /// before the call is in the backup. Files that the backup already there has are not copied
    /// again, so the next backup costs what is new; one backup is kept, and it is whole at any
    /// time: a call that fails or is killed leaves the one before.
    ///
    /// The log is not copied (the memtable is flushed first), nor are published snapshots and
    /// what was set aside. Cost: reads each new file, writes it, and reads it back.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]: `target` is no backup of this store, or one of a later state.
    /// Damage of a file of the store, which is named. A full or failing disk.
    pub fn backup(
        &self,
        target: &Arc<dyn Directory>,
        mut progress: impl FnMut(CopyProgress<'_>),
    ) -> Result<BackupReport> {
        self.flush()?;
        if self.ledger().manifest().store_id.is_none() {
            // Nothing was ever flushed, or an older program did it.
            self.ledger().commit(|_| {})?;
        }
        let pin = self.ledger().pin();
        let manifest = pin.manifest.as_ref();
        let before = previous(target.as_ref(), manifest)?;
        let known = before.as_ref().map(Manifest::parts).unwrap_or_default();
        let parts = manifest.parts();
        let mut copier = Copier::new(self.directory(), target, &parts, &mut progress);
        for part in &parts {
            copier.take(part, &known)?;
        }
        let (copied, kept) = (copier.copied, copier.kept);
        if before.as_ref() != Some(manifest) {
            manifest.write(target.as_ref())?;
        }
        Ok(BackupReport {
            seq: manifest.seq,
            copied,
            kept,
            removed_files: remove_others(target.as_ref(), manifest)?,
        })
    }
}

/// `path` from the root, without symbolic links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in path.ancestors() {
        if let Ok(real) = above.canonicalize() {
            let rest = path.strip_prefix(above).unwrap_or(Path::new(""));
            return real.join(rest);
        }
    }
    path
}

fn refused<T>(target: &dyn Directory, reason: &str) -> Result<T> {
    let path = target.path().display();
    Err(StoreError::Invalid(format!("{path}: {reason}")))
}

/// The backup that is in `target`, which must be an earlier one of the same store, or none.
fn previous(target: &dyn Directory, manifest: &Manifest) -> Result<Option<Manifest>> {
    if !target.list(wal::FOLDER)?.is_empty() {
        return refused(target, "this is a store with a log, not a backup");
    }
    if !target.list("")?.is_empty() {
        return refused(target, "there are files here that belong to no backup");
    }
    let before = match Manifest::latest(target)? {
        none if none.number == 0 => return Ok(None),
        before => before,
    };
    if before.store_id != manifest.store_id {
        return refused(target, "this is the backup of another store");
    }
    let others = "this is a backup of a later state of this store; name an empty directory";
    if before.number > manifest.number || (before.number == manifest.number && before != *manifest)
    {
        return refused(target, others);
    }
    // Two copies of a store that went on apart give the same names to different files.
    let parts = manifest.parts();
    let differs = |known: &Part| {
        let same_name = parts.iter().find(|part| part.name == known.name);
        same_name.is_some_and(|part| part != known)
    };
    if before.parts().iter().any(differs) {
        return refused(target, others);
    }
    Ok(Some(before))
}

/// Removes what `manifest` does not need: the backup before, and what a killed one left.
fn remove_others(target: &dyn Directory, manifest: &Manifest) -> Result<u64> {
    let mut needed = manifest.files();
    needed.insert(Manifest::file_name(manifest.number));
    let mut removed = 0;
    // Manifests first: none may name a file that is gone.
    for folder in [manifest::FOLDER].into_iter().chain(NAMED_FOLDERS) {
        let before = removed;
        for name in target.list(folder)? {
            let name = format!("{folder}/{name}");
            if !needed.contains(&name) {
                target.remove(&name)?;
                removed += 1;
            }
        }
        if removed > before {
            target.sync_folder(folder)?;
        }
    }
    Ok(removed)
}

/// Makes a store in `target` from the backup in `source`, and reads every byte of it before it
/// counts as one. A restore that was killed can be run again.
///
/// # Errors
/// [`StoreError::Invalid`]: `source` is no backup, or `target` is not empty. Damage of the
/// backup, which is named: then `target` has no manifest. A full or failing disk.
pub fn restore_directory(
    source: &Arc<dyn Directory>,
    target: &Arc<dyn Directory>,
    mut progress: impl FnMut(CopyProgress<'_>),
) -> Result<RestoreReport> {
    let manifest = Manifest::latest(source.as_ref())?;
    if manifest.number == 0 {
        return refused(source.as_ref(), "there is no backup here: no manifest");
    }
    if !source.list(wal::FOLDER)?.is_empty() {
        let reason = "this is a store with a log, not a backup; `vitalog backup` makes one of it";
        return refused(source.as_ref(), reason);
    }
    refuse_unless_empty(target.as_ref(), &manifest)?;
    let parts = manifest.parts();
    let mut copier = Copier::new(source, target, &parts, &mut progress);
    for part in &parts {
        copier.take(part, &[])?;
    }
    let mut restored = copier.copied;
    restored.files += copier.kept.files;
    restored.bytes += copier.kept.bytes;
    let mut verified = VerifyReport::default();
    verify_files(target, &manifest, &mut verified, &mut |_| {});
    if let Some(damage) = verified.damages.into_iter().next() {
        return Err(damage.error);
    }
    manifest.write(target.as_ref())?;
    Ok(RestoreReport {
        seq: manifest.seq,
        rows: rows_of(&manifest),
        restored,
    })
}

fn rows_of(manifest: &Manifest) -> u64 {
    let hot = manifest.segments.iter().map(SegmentEntry::rows);
    let cold = manifest.cold.iter().map(|file| file.statistics.rows);
    hot.chain(cold).map(|rows| rows as u64).sum()
}

/// A target is empty, or holds what an earlier restore of the same backup left before it had a
/// manifest.
fn refuse_unless_empty(target: &dyn Directory, manifest: &Manifest) -> Result<()> {
    let needed: BTreeSet<String> = manifest.files();
    for folder in ["", manifest::FOLDER, wal::FOLDER, quarantine::FOLDER] {
        if target
            .list(folder)?
            .iter()
            .any(|name| !name.ends_with(".tmp"))
        {
            return refused(
                target,
                "not empty; a store is restored into an empty directory",
            );
        }
    }
    for folder in NAMED_FOLDERS {
        for name in target.list(folder)? {
            let name = format!("{folder}/{name}");
            if !needed.contains(&name) && !name.ends_with(".tmp") {
                return refused(
                    target,
                    "not empty; a store is restored into an empty directory",
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{StoreConfig, SystemClock};

    #[cfg(unix)]
    #[test]
    fn a_backup_inside_the_store_is_refused_through_links_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let directory = Arc::new(RealDirectory::open(&data).expect("made"));
        let (store, _) = Store::open(directory, StoreConfig::default(), Arc::new(SystemClock))
            .expect("an empty store");
        let link = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&data, &link).expect("linked");
        let backup = |target: &Path| store.backup_to(target, |_| {}).map(|report| report.seq);
        for inside in [data.clone(), data.join("a/backup"), link.join("backup")] {
            let error = backup(&inside).expect_err("refused").to_string();
            assert!(error.contains("inside the store"), "{error}");
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "text").expect("written");
        let error = backup(&file).expect_err("a file is no directory");
        assert!(matches!(&error, StoreError::Invalid(_)), "{error}");
        let beside = folder.path().join("data-backup");
        assert_eq!(backup(&beside).expect("beside the store"), 0);
    }
}

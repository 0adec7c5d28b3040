//! Published snapshots: tables at one `seq` as Parquet files that other programs pull.
//!
//! It owns their layout, their catalog, leases, deletion and revocation, and the Delta log over
//! the same files; it does not make the rows (that takes SQL) and does not serve them. A snapshot
//! exists from the moment its catalog file is durable until a word under `revoked/` says that it
//! is gone: whole or not at all, after any crash. Files never change; what neither a catalog file
//! nor a draft of this process needs is an orphan.
//!
//! Not to be confused with [`Snapshot`](crate::Snapshot), the picture in memory that a statement
//! holds.

mod catalog;
mod checkpoint;
mod delta;
mod draft;
mod inner;
mod layout;
mod parquet_file;
mod search;
mod tree;
mod verify;

use std::sync::Arc;

use vitalog_disk::Directory;

pub use catalog::{
    FileBounds, LeftOutModel, PublishedColumn, PublishedFile, PublishedSnapshot, PublishedTable,
    Revocation, RevocationReason, TableManifest,
};
pub use draft::{DraftFile, LinkedFile, SnapshotDraft, SnapshotTerms};
pub use layout::SnapshotId;
pub(crate) use layout::{FOLDER, file_name, is_file_name};
pub(crate) use verify::verify_published;

use self::inner::Inner;
use self::search::Wanted;
use crate::error::{Result, StoreError};
use crate::symbols::Domain;

/// The published snapshots of a store. Clones share everything; any thread may use it.
#[derive(Clone, Debug)]
pub struct Published {
    pub(self) inner: Arc<Inner>,
}

/// What a path below `snapshots/` leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum PublishedPath {
    /// The manifest of a table.
    Manifest {
        /// Its name below the directory.
        name: String,
        /// Its length.
        bytes: u64,
        /// Its SHA-256, hex.
        sha256: String,
    },
    /// A file of a table.
    File {
        /// Its name below the directory.
        name: String,
        /// Its length.
        bytes: u64,
        /// Its SHA-256, hex.
        sha256: String,
    },
    /// It was there once.
    Gone(Revocation),
    /// Nothing that ever was, as far as is known.
    Missing,
}

impl Published {
    /// Reads the catalog, finishes what a crash cut short, and removes orphans. At most
    /// `snapshots_max` snapshots are kept.
    ///
    /// Cost: one small file a snapshot.
    ///
    /// # Errors
    /// A failing disk. A damaged catalog file is no error: its snapshot is not shown, its files
    /// are kept, and it can be deleted.
    pub(crate) fn open(directory: Arc<dyn Directory>, snapshots_max: usize) -> Result<Self> {
        let inner = Arc::new(Inner::open(directory, snapshots_max)?);
        Ok(Self { inner })
    }

    /// Changes whenever something is erased. Whoever publishes asks before taking the picture that
    /// is written down; see [`SnapshotTerms::epoch`].
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.inner.state().epoch
    }

    /// Begins a snapshot.
    ///
    /// # Errors
    /// [`StoreError::Limit`]: as many snapshots as are allowed. As [`SnapshotDraft::commit`] where
    /// something was erased since the epoch was asked.
    pub fn begin(&self, terms: SnapshotTerms) -> Result<SnapshotDraft> {
        let id = self.inner.begin(&terms)?;
        Ok(SnapshotDraft::new(self.clone(), id, terms))
    }

    /// All snapshots, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<PublishedSnapshot>> {
        self.inner.state().snapshots.values().cloned().collect()
    }

    /// The snapshot of that id.
    #[must_use]
    pub fn get(&self, id: &SnapshotId) -> Option<Arc<PublishedSnapshot>> {
        self.inner.state().snapshots.get(id).cloned()
    }

    /// The newest snapshot that has `table`.
    #[must_use]
    pub fn latest(&self, table: &str) -> Option<Arc<PublishedSnapshot>> {
        let state = self.inner.state();
        let mut newest_first = state.snapshots.values().rev();
        newest_first
            .find(|snapshot| snapshot.table(table).is_some())
            .cloned()
    }

    /// The manifest of a table of a snapshot; `None` where there is no such snapshot or table.
    /// A few are kept in memory.
    ///
    /// # Errors
    /// Damage of the file; a failing disk.
    pub fn manifest(&self, table: &str, id: &SnapshotId) -> Result<Option<Arc<TableManifest>>> {
        self.inner.manifest(table, id)
    }

    /// What is known of a snapshot that is gone.
    ///
    /// # Errors
    /// Damage of the file; a failing disk.
    pub fn revocation(&self, id: &SnapshotId) -> Result<Option<Revocation>> {
        self.inner.revocation(id)
    }

    /// What `<table>/<id>/<rest>` leads to: `rest` is `manifest.json` or the path of a file as a
    /// manifest has it. The parts are taken as they come from a request; nothing but a name that
    /// stands in a manifest comes out.
    ///
    /// # Errors
    /// Damage of the manifest; a failing disk.
    pub fn path_of(&self, table: &str, id: &str, rest: &str) -> Result<PublishedPath> {
        let Some(id) = SnapshotId::parse(id) else {
            return Ok(PublishedPath::Missing);
        };
        if let Some(gone) = self.revocation(&id)? {
            return Ok(PublishedPath::Gone(gone));
        }
        let Some(snapshot) = self.get(&id) else {
            return Ok(PublishedPath::Missing);
        };
        let Some(known) = snapshot.table(table) else {
            return Ok(PublishedPath::Missing);
        };
        if rest == layout::MANIFEST {
            return Ok(PublishedPath::Manifest {
                name: layout::manifest_name(table, &id),
                bytes: known.manifest_bytes,
                sha256: known.manifest_sha256.clone(),
            });
        }
        let Some(manifest) = self.manifest(table, &id)? else {
            return Ok(PublishedPath::Missing);
        };
        Ok(manifest.file(rest).map_or(PublishedPath::Missing, |file| {
            let folder = layout::snapshot_folder(table, &id);
            PublishedPath::File {
                name: format!("{folder}/{}", file.path),
                bytes: file.bytes,
                sha256: file.sha256.clone(),
            }
        }))
    }

    /// Moves the end of a lease to `expires_at_us` (microseconds), where that is later. The
    /// manifests of its tables keep saying the first one.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]: no such snapshot. A full or failing disk.
    pub fn extend(&self, id: &SnapshotId, expires_at_us: i64) -> Result<Arc<PublishedSnapshot>> {
        self.inner.extend(id, expires_at_us)
    }

    /// Removes a snapshot, at `now_us` (microseconds).
    ///
    /// # Errors
    /// [`StoreError::Invalid`]: no such snapshot, or its lease is running and `is_forced` is
    /// false. A full or failing disk: where it failed after the snapshot was gone, the next
    /// [`Published::collect`] removes the rest.
    pub fn delete(&self, id: &SnapshotId, now_us: i64, is_forced: bool) -> Result<()> {
        self.inner.delete(id, now_us, is_forced)
    }

    /// Removes the snapshots whose lease ended at `now_us` (microseconds) or before, but keeps the
    /// newest `kept` whatever their leases say. Returns what was removed.
    ///
    /// # Errors
    /// As [`Published::delete`].
    pub fn expire(&self, now_us: i64, kept: usize) -> Result<Vec<SnapshotId>> {
        let snapshots = self.list();
        let (old, _) = snapshots.split_at(snapshots.len().saturating_sub(kept));
        let mut expired = Vec::new();
        for snapshot in old.iter().filter(|old| old.expires_at_us <= now_us) {
            self.inner
                .retire(&snapshot.id, RevocationReason::Expired, now_us)?;
            expired.push(snapshot.id.clone());
        }
        Ok(expired)
    }

    /// Takes a snapshot back, whatever its lease says: from here on it answers that it is gone,
    /// then its files are removed. Damaged ones, too.
    ///
    /// # Errors
    /// As [`Published::delete`].
    pub fn revoke(&self, id: &SnapshotId, reason: RevocationReason, at_us: i64) -> Result<()> {
        self.inner.retire(id, reason, at_us)
    }

    /// Ends every draft that took its picture before now: their files are removed here, they can
    /// write nothing more, and their commit fails. The first step of an erasure.
    ///
    /// # Errors
    /// A failing disk.
    pub fn abandon_drafts(&self) -> Result<()> {
        self.inner.abandon_drafts()
    }

    /// Which snapshots hold the account or user `text` in a column `account_id` or `user_id`;
    /// those that cannot be read are among them, and those that failed to be made and may come to
    /// light at the next open. Other domains are in none.
    ///
    /// Cost: reads the manifests of all snapshots and, of each distinct file that its bounds do
    /// not rule out, footer and bloom filters, then that one column.
    #[must_use]
    pub fn holding(&self, domain: Domain, text: &str) -> Vec<SnapshotId> {
        Wanted::of(domain, text).map_or_else(Vec::new, |wanted| self.inner.holding(wanted))
    }

    /// Removes what neither a snapshot nor a draft needs.
    ///
    /// # Errors
    /// A failing disk; whatever is left is collected the next time.
    pub fn collect(&self) -> Result<()> {
        self.inner.collect()
    }
}

fn unknown(id: &SnapshotId) -> StoreError {
    StoreError::Invalid(format!("there is no snapshot {id}"))
}

//! The state behind [`Published`](super::Published), and each change of it in a safe order.
//!
//! One change at a time (`changes`); the state's own lock is held for moments only. Invariants: a
//! snapshot in `snapshots` has a durable catalog file and no word under `revoked/`; once that word
//! is durable the snapshot is not shown, whatever else happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sha2::{Digest, Sha256};
use vitalog_disk::{Directory, write_atomically};

use super::catalog::{self, PublishedSnapshot, Revocation, RevocationReason, TableManifest};
use super::draft::{SnapshotTerms, abandoned};
use super::layout::{self, CATALOG_FOLDER, FOLDER, REVOKED_FOLDER, SnapshotId};
use super::parquet_file::hex;
use super::search::Wanted;
use super::tree::{remove_tree, unless_missing};
use super::{delta, unknown};
use crate::error::{Result, StoreError};

/// Manifests that are kept in memory.
const MANIFESTS_CACHED: usize = 8;
/// Words about snapshots that are gone; of more than these the oldest are forgotten.
const REVOCATIONS_MAX: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Inner {
    pub directory: Arc<dyn Directory>,
    snapshots_max: usize,
    state: RwLock<State>,
    changes: Mutex<()>,
    /// The most recently used last.
    manifests: Mutex<VecDeque<Arc<TableManifest>>>,
}

/// What is known without reading.
#[derive(Debug, Default)]
pub(super) struct State {
    pub snapshots: BTreeMap<SnapshotId, Arc<PublishedSnapshot>>,
    /// Catalog files that cannot be read: not shown, but their files are kept.
    unreadable: BTreeSet<SnapshotId>,
    revoked: BTreeSet<SnapshotId>,
    drafts: BTreeSet<SnapshotId>,
    /// Drafts whose catalog file may or may not be durable: not shown, but the next open may find
    /// them.
    unsure: BTreeSet<SnapshotId>,
    pub epoch: u64,
    newest: Option<SnapshotId>,
}

impl State {
    fn needs(&self, id: &SnapshotId) -> bool {
        self.snapshots.contains_key(id)
            || self.unreadable.contains(id)
            || self.drafts.contains(id)
            || self.unsure.contains(id)
    }
}

impl Inner {
    pub fn open(directory: Arc<dyn Directory>, snapshots_max: usize) -> Result<Self> {
        let state = read_state(directory.as_ref())?;
        let inner = Self {
            directory,
            snapshots_max,
            state: RwLock::new(state),
            changes: Mutex::default(),
            manifests: Mutex::default(),
        };
        inner.collect()?;
        let tables = inner.tables()?;
        let newest_us = inner
            .state()
            .snapshots
            .values()
            .map(|s| s.created_at_us)
            .max();
        inner.follow_delta_logs(tables.iter().map(String::as_str), newest_us.unwrap_or(0));
        Ok(inner)
    }

    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by whoever changes names.
    pub fn lock_changes(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails where something was erased since `epoch`.
    pub fn check_epoch(&self, epoch: u64) -> Result<()> {
        if self.state().epoch == epoch {
            Ok(())
        } else {
            Err(abandoned())
        }
    }

    pub fn begin(&self, terms: &SnapshotTerms) -> Result<SnapshotId> {
        let _changing = self.lock_changes();
        self.check_epoch(terms.epoch)?;
        let mut state = self.state_mut();
        let hidden = state.unreadable.len() + state.unsure.len();
        let found = state.snapshots.len() + hidden + state.drafts.len() + 1;
        if found > self.snapshots_max {
            return Err(StoreError::Limit {
                what: "published snapshots",
                found: found as u64,
                limit: self.snapshots_max as u64,
            });
        }
        let id = SnapshotId::after(state.newest.as_ref(), terms.created_at_us, terms.seq);
        state.newest = Some(id.clone());
        state.drafts.insert(id.clone());
        Ok(id)
    }

    /// Writes the catalog file of a draft. The caller holds the changes.
    pub fn commit(&self, snapshot: &Arc<PublishedSnapshot>) -> Result<()> {
        let directory = self.directory.as_ref();
        let name = layout::catalog_name(&snapshot.id);
        let written = write_atomically(directory, &name, &catalog::seal(snapshot.as_ref()));
        if let Err(error) = written {
            let taken_back = unless_missing(directory.remove(&name))
                .and_then(|()| unless_missing(directory.sync_folder(CATALOG_FOLDER)));
            if taken_back.is_err() {
                self.state_mut().unsure.insert(snapshot.id.clone());
            }
            return Err(error.into());
        }
        let mut state = self.state_mut();
        state
            .snapshots
            .insert(snapshot.id.clone(), Arc::clone(snapshot));
        Ok(())
    }

    /// A draft that ended: what it wrote goes, unless it became a snapshot.
    pub fn forget_draft(&self, id: &SnapshotId) {
        let _changing = self.lock_changes();
        self.state_mut().drafts.remove(id);
        if self.state().needs(id) {
            return;
        }
        // Not durable, and need not be: the next open collects what is left.
        let removed = self.tables().and_then(|tables| {
            tables
                .iter()
                .try_for_each(|table| self.remove_files(table, id))
        });
        if let Err(error) = removed {
            tracing::warn!(%id, %error, "files of a snapshot that was not made are left");
        }
    }

    pub fn abandon_drafts(&self) -> Result<()> {
        let _changing = self.lock_changes();
        let drafts: Vec<SnapshotId> = {
            let mut state = self.state_mut();
            state.epoch += 1;
            state.drafts.iter().cloned().collect()
        };
        for table in self.tables()? {
            for id in &drafts {
                self.remove_files(&table, id)?;
            }
            self.directory.sync_folder(&layout::table_folder(&table))?;
        }
        Ok(())
    }

    pub fn extend(&self, id: &SnapshotId, expires_at_us: i64) -> Result<Arc<PublishedSnapshot>> {
        let _changing = self.lock_changes();
        let known = self.state().snapshots.get(id).cloned();
        let known = known.ok_or_else(|| unknown(id))?;
        if known.expires_at_us >= expires_at_us {
            return Ok(known);
        }
        let mut extended = PublishedSnapshot::clone(&known);
        extended.expires_at_us = expires_at_us;
        let extended = Arc::new(extended);
        let bytes = catalog::seal(extended.as_ref());
        write_atomically(self.directory.as_ref(), &layout::catalog_name(id), &bytes)?;
        let mut state = self.state_mut();
        state.snapshots.insert(id.clone(), Arc::clone(&extended));
        Ok(extended)
    }

    pub fn delete(&self, id: &SnapshotId, now_us: i64, is_forced: bool) -> Result<()> {
        let known = {
            let state = self.state();
            if !state.snapshots.contains_key(id) && !state.unreadable.contains(id) {
                return Err(unknown(id));
            }
            state.snapshots.get(id).cloned()
        };
        if let Some(known) = known
            && known.expires_at_us > now_us
            && !is_forced
        {
            let until = vitalog_event::format_timestamp_us(known.expires_at_us);
            let message =
                format!("snapshot {id} is leased until {until}; deleting it now takes force");
            return Err(StoreError::Invalid(message));
        }
        self.retire(id, RevocationReason::Deleted, now_us)
    }

    /// The word first, then the catalog file, the Delta log, the files. Where an earlier call
    /// failed on the way this one goes on.
    pub fn retire(&self, id: &SnapshotId, reason: RevocationReason, at_us: i64) -> Result<()> {
        let _changing = self.lock_changes();
        let directory = self.directory.as_ref();
        let (is_known, is_revoked) = {
            let state = self.state();
            let is_hidden = state.unreadable.contains(id) || state.unsure.contains(id);
            let is_known = state.snapshots.contains_key(id) || is_hidden;
            (is_known, state.revoked.contains(id))
        };
        if is_known {
            let word = Revocation {
                id: id.clone(),
                reason,
                at_us,
            };
            write_atomically(directory, &layout::revoked_name(id), &catalog::seal(&word))?;
            let mut state = self.state_mut();
            state.snapshots.remove(id);
            state.unreadable.remove(id);
            state.unsure.remove(id);
            state.revoked.insert(id.clone());
        } else if !is_revoked {
            return Err(unknown(id));
        }
        self.cached_manifests()
            .retain(|manifest| manifest.id != *id);
        unless_missing(directory.remove(&layout::catalog_name(id)))?;
        directory.sync_folder(CATALOG_FOLDER)?;
        let tables = self.tables()?;
        self.follow_delta_logs(tables.iter().map(String::as_str), at_us);
        for table in &tables {
            self.remove_files(table, id)?;
            directory.sync_folder(&layout::table_folder(table))?;
        }
        self.forget_old_words()
    }

    fn forget_old_words(&self) -> Result<()> {
        let mut state = self.state_mut();
        while state.revoked.len() > REVOCATIONS_MAX {
            if let Some(oldest) = state.revoked.pop_first() {
                unless_missing(self.directory.remove(&layout::revoked_name(&oldest)))?;
            }
        }
        Ok(())
    }

    pub fn revocation(&self, id: &SnapshotId) -> Result<Option<Revocation>> {
        if !self.state().revoked.contains(id) {
            return Ok(None);
        }
        let name = layout::revoked_name(id);
        let path = self.directory.path().join(&name);
        catalog::unseal(&path, &self.directory.read(&name)?).map(Some)
    }

    pub fn manifest(&self, table: &str, id: &SnapshotId) -> Result<Option<Arc<TableManifest>>> {
        let snapshot = self.state().snapshots.get(id).cloned();
        let Some(snapshot) = snapshot else {
            return Ok(None);
        };
        let Some(known) = snapshot.table(table) else {
            return Ok(None);
        };
        let is_it = |manifest: &TableManifest| manifest.table == table && manifest.id == *id;
        let mut cached = self.cached_manifests();
        if let Some(at) = cached.iter().position(|manifest| is_it(manifest)) {
            let found = cached.remove(at);
            cached.extend(found.clone());
            return Ok(found);
        }
        drop(cached);
        let name = layout::manifest_name(table, id);
        let path = self.directory.path().join(&name);
        let bytes = self.directory.read(&name)?;
        let found = hex(&Sha256::digest(&bytes));
        if found != known.manifest_sha256 {
            let expected = &known.manifest_sha256;
            let reason = format!("SHA-256 {found}, the catalog says {expected}");
            return Err(StoreError::damaged(path, 0, reason));
        }
        let manifest: TableManifest = serde_json::from_slice(&bytes).map_err(|error| {
            StoreError::damaged(&path, error.column() as u64, error.to_string())
        })?;
        let manifest = Arc::new(manifest);
        let mut cached = self.cached_manifests();
        cached.push_back(Arc::clone(&manifest));
        if cached.len() > MANIFESTS_CACHED {
            cached.pop_front();
        }
        Ok(Some(manifest))
    }

    fn cached_manifests(&self) -> MutexGuard<'_, VecDeque<Arc<TableManifest>>> {
        self.manifests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn holding(&self, wanted: Wanted<'_>) -> Vec<SnapshotId> {
        let (snapshots, mut holding) = {
            let state = self.state();
            let snapshots: Vec<_> = state.snapshots.values().cloned().collect();
            let hidden = state.unreadable.union(&state.unsure);
            (snapshots, hidden.cloned().collect::<BTreeSet<_>>())
        };
        // Linked files are searched once.
        let mut known: BTreeMap<String, bool> = BTreeMap::new();
        for snapshot in &snapshots {
            for table in &snapshot.tables {
                let is_held = match self.manifest(&table.name, &snapshot.id) {
                    Ok(Some(manifest)) => self.manifest_holds(&manifest, wanted, &mut known),
                    // Revoked since the list was taken.
                    Ok(None) => false,
                    Err(error) => {
                        tracing::warn!(id = %snapshot.id, %error, "a manifest cannot be searched");
                        true
                    }
                };
                if is_held {
                    holding.insert(snapshot.id.clone());
                    break;
                }
            }
        }
        holding.into_iter().collect()
    }

    fn manifest_holds(
        &self,
        manifest: &TableManifest,
        wanted: Wanted<'_>,
        known: &mut BTreeMap<String, bool>,
    ) -> bool {
        let has_column = manifest
            .schema
            .iter()
            .any(|column| column.name == wanted.column);
        let folder = layout::snapshot_folder(&manifest.table, &manifest.id);
        let mut files = manifest
            .files
            .iter()
            .filter(|file| !wanted.is_outside(file));
        has_column
            && files.any(|file| {
                *known.entry(file.sha256.clone()).or_insert_with(|| {
                    let name = format!("{folder}/{}", file.path);
                    wanted.may_be_in(self.directory.as_ref(), &name, &file.sha256)
                })
            })
    }

    pub fn collect(&self) -> Result<()> {
        let _changing = self.lock_changes();
        let directory = self.directory.as_ref();
        for table in self.tables()? {
            let mut is_changed = false;
            for name in directory.folders(&layout::table_folder(&table))? {
                let Some(id) = SnapshotId::parse(&name) else {
                    continue;
                };
                if !self.state().needs(&id) {
                    self.remove_files(&table, &id)?;
                    is_changed = true;
                }
            }
            if is_changed {
                directory.sync_folder(&layout::table_folder(&table))?;
            }
        }
        Ok(())
    }

    fn remove_files(&self, table: &str, id: &SnapshotId) -> Result<()> {
        let folder = layout::snapshot_folder(table, id);
        remove_tree(self.directory.as_ref(), &folder)
    }

    /// The tables that have a folder.
    fn tables(&self) -> Result<Vec<String>> {
        let mut folders = self.directory.folders(FOLDER)?;
        folders.retain(|folder| layout::is_table(folder));
        Ok(folders)
    }

    /// Brings the Delta logs of `tables` to the newest snapshot that they show. A log that cannot
    /// be written now is brought there by the next change, or the next open.
    pub fn follow_delta_logs<'a>(&self, tables: impl Iterator<Item = &'a str>, now_us: i64) {
        for table in tables {
            let newest = {
                let state = self.state();
                let mut newest_first = state.snapshots.values().rev();
                let is_shown = |snapshot: &&Arc<PublishedSnapshot>| {
                    snapshot.is_in_delta_log && snapshot.table(table).is_some()
                };
                newest_first.find(is_shown).map(|found| found.id.clone())
            };
            let followed = newest
                .map(|id| self.manifest(table, &id))
                .transpose()
                .and_then(|newest| {
                    let is_live = |id: &SnapshotId| self.state().snapshots.contains_key(id);
                    let newest = newest.flatten();
                    let directory = self.directory.as_ref();
                    delta::follow(directory, table, newest.as_deref(), now_us, &is_live)
                });
            if let Err(error) = followed {
                tracing::warn!(table, %error, "the Delta log is behind");
            }
        }
    }
}

/// What the directory says, after finishing what a crash cut short.
fn read_state(directory: &dyn Directory) -> Result<State> {
    let mut state = State {
        revoked: ids_in(directory, REVOKED_FOLDER)?.into_iter().collect(),
        ..State::default()
    };
    let mut is_changed = false;
    for id in ids_in(directory, CATALOG_FOLDER)? {
        let name = layout::catalog_name(&id);
        if state.revoked.contains(&id) {
            directory.remove(&name)?;
            is_changed = true;
            continue;
        }
        match read_catalog(directory, &id) {
            Ok(snapshot) => {
                state.snapshots.insert(id, Arc::new(snapshot));
            }
            Err(StoreError::Disk(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%id, %error, "a published snapshot is not shown");
                state.unreadable.insert(id);
            }
        }
    }
    if is_changed {
        directory.sync_folder(CATALOG_FOLDER)?;
    }
    let ids = state.snapshots.keys().chain(&state.unreadable);
    state.newest = ids.chain(&state.revoked).max().cloned();
    Ok(state)
}

pub(super) fn read_catalog(
    directory: &dyn Directory,
    id: &SnapshotId,
) -> Result<PublishedSnapshot> {
    let name = layout::catalog_name(id);
    let path = directory.path().join(&name);
    let snapshot: PublishedSnapshot = catalog::unseal(&path, &directory.read(&name)?)?;
    if snapshot.version != catalog::VERSION {
        return Err(StoreError::Version {
            path,
            found: snapshot.version,
            known: catalog::VERSION,
        });
    }
    if snapshot.id != *id {
        return Err(StoreError::damaged(
            path,
            0,
            "another id than its name says",
        ));
    }
    Ok(snapshot)
}

/// The ids that have a file in `folder`; unfinished files there are removed.
fn ids_in(directory: &dyn Directory, folder: &str) -> Result<Vec<SnapshotId>> {
    let mut ids = Vec::new();
    for name in directory.list(folder)? {
        if name.ends_with(".tmp") {
            directory.remove(&format!("{folder}/{name}"))?;
        }
        ids.extend(name.strip_suffix(".json").and_then(SnapshotId::parse));
    }
    Ok(ids)
}

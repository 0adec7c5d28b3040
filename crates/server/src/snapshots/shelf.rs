//! Where published snapshots are found and their files opened.
//!
//! Everything here may read the disk: callers are on threads that may block. Invariant: what comes
//! from a request is compared with names that the store knows, and never becomes one.

use std::fmt;
use std::sync::Arc;

use vitalog_store::{
    PublishedPath, PublishedSnapshot, SnapshotId, Store, StoreError, StoreErrorKind, TableManifest,
};

use crate::fault::{Fault, Reason};

/// The published snapshots of a store. Clones are of the same one.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    store: Arc<Store>,
    /// Before every path that is handed out; without a slash at its end.
    public_url: Arc<str>,
}

/// A file that is open: it can be read to its end whatever happens to its snapshot. Clones share
/// it.
#[derive(Clone)]
pub(crate) struct OpenFile {
    /// Its length.
    pub bytes: u64,
    /// Of the whole file, 64 hexadecimal digits.
    pub sha256: String,
    read: Arc<dyn Fn(u64, usize) -> Result<Vec<u8>, StoreError> + Send + Sync>,
}

impl OpenFile {
    /// `length` bytes from `offset` on, all of which are there. Blocks.
    pub fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        (self.read)(offset, length)
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OpenFile({} bytes, {})", self.bytes, self.sha256)
    }
}

impl Shelf {
    pub fn new(store: Arc<Store>, public_url: Option<&str>) -> Self {
        let public_url = public_url.unwrap_or_default().into();
        Self { store, public_url }
    }

    /// Seconds since 1970, by the store's clock.
    pub fn now_seconds(&self) -> u64 {
        let seconds = self.store.clock().now_us().div_euclid(1_000_000);
        u64::try_from(seconds).unwrap_or(0)
    }

    /// All snapshots, the newest first.
    pub fn all(&self) -> Vec<Arc<PublishedSnapshot>> {
        let mut all = self.store.published().list();
        all.reverse();
        all
    }

    /// The snapshot of that id.
    pub fn find(&self, id: &str) -> Result<Arc<PublishedSnapshot>, Fault> {
        let Some(id) = SnapshotId::parse(id) else {
            let message = format!(
                "{id:?} is no id of a snapshot; expected one such as 20250301T093000Z-4711"
            );
            return Err(Fault::of_field(Reason::SnapshotNotFound, "id", message));
        };
        let published = self.store.published();
        if let Some(snapshot) = published.get(&id) {
            return Ok(snapshot);
        }
        Err(match published.revocation(&id)? {
            Some(gone) => Fault::of_revocation(&gone),
            None => {
                let message = format!("there is no snapshot {id}");
                Fault::of_field(Reason::SnapshotNotFound, "id", message)
            }
        })
    }

    /// The newest snapshot, or the newest that has `table`.
    pub fn newest(&self, table: Option<&str>) -> Result<Arc<PublishedSnapshot>, Fault> {
        let published = self.store.published();
        let (newest, whose) = match table {
            Some(table) => (published.latest(table), format!(" of the table {table:?}")),
            None => (published.list().pop(), String::new()),
        };
        newest.ok_or_else(|| {
            let message = format!("there is no snapshot{whose}");
            Fault::new(Reason::SnapshotNotFound, message)
        })
    }

    /// What the snapshot says of one of its tables.
    pub fn manifest(
        &self,
        snapshot: &PublishedSnapshot,
        table: &str,
    ) -> Result<Arc<TableManifest>, Fault> {
        if snapshot.table(table).is_none() {
            return Err(no_table(snapshot, table));
        }
        let manifest = self.store.published().manifest(table, &snapshot.id);
        match manifest {
            Ok(Some(manifest)) => Ok(manifest),
            // It went since the snapshot was found, files and all.
            Ok(None) | Err(_) if self.find(snapshot.id.as_str()).is_err() => {
                Err(self.gone(snapshot))
            }
            Ok(None) => Err(no_table(snapshot, table)),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the file `path` of a table of a snapshot, or its manifest.
    pub fn open(&self, id: &str, table: &str, path: &str) -> Result<OpenFile, Fault> {
        let snapshot = self.find(id)?;
        if snapshot.table(table).is_none() {
            return Err(no_table(&snapshot, table));
        }
        let opened = match self.store.published().path_of(table, id, path) {
            Ok(
                PublishedPath::File {
                    name,
                    bytes,
                    sha256,
                }
                | PublishedPath::Manifest {
                    name,
                    bytes,
                    sha256,
                },
            ) => self.open_name(&name, bytes, sha256),
            Ok(PublishedPath::Gone(gone)) => return Err(Fault::of_revocation(&gone)),
            Ok(PublishedPath::Missing) => {
                let message = format!("the snapshot {id} has no file {path:?} of {table}");
                Err(Fault::of_field(Reason::FileNotFound, "path", message))
            }
            Err(error) => Err(error.into()),
        };
        // A snapshot may go between any two steps.
        match opened {
            Err(_) if self.find(id).is_err() => Err(self.gone(&snapshot)),
            opened => opened,
        }
    }

    /// Deletes a snapshot, its lease notwithstanding.
    pub fn delete(&self, snapshot: &PublishedSnapshot) -> Result<(), Fault> {
        let now_us = self.store.clock().now_us();
        let deleted = self.store.published().delete(&snapshot.id, now_us, true);
        match deleted {
            // Somebody else was quicker.
            Err(error) if error.kind() == StoreErrorKind::Invalid => Err(self.gone(snapshot)),
            deleted => Ok(deleted?),
        }
    }

    /// `path` behind the public URL.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    fn open_name(&self, name: &str, bytes: u64, sha256: String) -> Result<OpenFile, Fault> {
        let file = self
            .store
            .directory()
            .open_read(name)
            .map_err(StoreError::from)?;
        let found = file.len().map_err(StoreError::from)?;
        if found != bytes {
            let message = format!("{name} has {found} bytes, its manifest says {bytes}");
            return Err(Fault::new(Reason::DataDamaged, message));
        }
        let read = move |offset, length| {
            let mut piece = vec![0; length];
            file.read_at(offset, &mut piece)?;
            Ok(piece)
        };
        Ok(OpenFile {
            bytes,
            sha256,
            read: Arc::new(read),
        })
    }

    /// Why a snapshot is not there any more that was there a moment ago.
    fn gone(&self, snapshot: &PublishedSnapshot) -> Fault {
        let id = &snapshot.id;
        match self.find(id.as_str()) {
            Err(fault) => fault,
            Ok(_) => Fault::new(
                Reason::SnapshotNotFound,
                format!("there is no snapshot {id}"),
            ),
        }
    }
}

fn no_table(snapshot: &PublishedSnapshot, table: &str) -> Fault {
    let known = snapshot.tables.iter().map(|table| table.name.as_str());
    Fault::not_found(Reason::TableNotFound, ("table", "table", table), known)
        .with_fact("snapshot", &snapshot.id)
}

//! A snapshot that is being made: its files lie under their final names and are orphans until the
//! catalog file stands.
//!
//! The order makes it safe to stop anywhere: files (synced, then named), folders of links,
//! manifests, catalog. A draft that is dropped removes its files; what a crash leaves is collected
//! at the next open.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use arrow_schema::Schema;
use sha2::{Digest, Sha256};
use vitalog_disk::{DiskError, DiskErrorKind, WriteFile, write_atomically};

use super::Published;
use super::catalog::{
    self, LeftOutModel, PublishedColumn, PublishedFile, PublishedSnapshot, PublishedTable,
    TableManifest,
};
use super::layout::{self, SnapshotId};
use super::parquet_file::{FileFacts, ParquetFile, hex};
use crate::error::{Result, StoreError, StoreErrorKind};

/// Most files of one table of a snapshot.
const FILES_MAX: usize = 1 << 17;

/// What a snapshot is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotTerms {
    /// [`Published::epoch`], asked **before** the picture was taken that will be written down.
    pub epoch: u64,
    /// The `seq` that every table shows.
    pub seq: i64,
    /// The instant of its health questions, microseconds.
    pub as_of_us: i64,
    /// Now, microseconds.
    pub created_at_us: i64,
    /// The end of its lease, microseconds.
    pub expires_at_us: i64,
    /// Whether the Delta logs of its tables shall show it.
    pub is_in_delta_log: bool,
}

/// A snapshot that is being made.
#[derive(Debug)]
pub struct SnapshotDraft {
    published: Published,
    id: SnapshotId,
    terms: SnapshotTerms,
    tables: BTreeMap<String, DraftTable>,
    /// Folders in which a linked name may not be durable yet.
    unsynced: BTreeSet<String>,
    /// Files begun so far, for temporary names.
    begun: u64,
}

#[derive(Debug)]
struct DraftTable {
    columns: Vec<PublishedColumn>,
    left_out: Vec<LeftOutModel>,
    /// By path.
    files: BTreeMap<String, PublishedFile>,
}

/// A file of a draft that is being written, front to back.
#[derive(Debug)]
pub struct DraftFile {
    file: Box<dyn WriteFile>,
    position: u64,
    hash: Sha256,
    table: String,
    dt: String,
    temporary: String,
}

impl io::Write for DraftFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(self.position, bytes);
        written.map_err(io_error)?;
        self.hash.update(bytes);
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn io_error(error: DiskError) -> io::Error {
    match error.kind() {
        DiskErrorKind::Full => io::Error::new(io::ErrorKind::StorageFull, error),
        _ => io::Error::other(error),
    }
}

/// A file of the store that is linked into a snapshot as it is.
#[derive(Clone, Debug)]
pub struct LinkedFile {
    /// Its name below the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, hex.
    pub sha256: String,
}

impl SnapshotDraft {
    pub(super) fn new(published: Published, id: SnapshotId, terms: SnapshotTerms) -> Self {
        Self {
            published,
            id,
            terms,
            tables: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            begun: 0,
        }
    }

    /// The id that it will have.
    #[must_use]
    pub fn id(&self) -> &SnapshotId {
        &self.id
    }

    /// Begins a table; every file of it must have these columns.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]: a name that cannot be a folder, a table begun twice, a type that
    /// is not plain.
    pub fn table(&mut self, name: &str, schema: &Schema) -> Result<()> {
        if !layout::is_table(name) {
            let message = format!("{name:?} cannot be a table of a snapshot");
            return Err(StoreError::Invalid(message));
        }
        if self.tables.contains_key(name) {
            let message = format!("table {name} of a snapshot was begun twice");
            return Err(StoreError::Invalid(message));
        }
        let table = DraftTable {
            columns: catalog::columns_of(schema)?,
            left_out: Vec::new(),
            files: BTreeMap::new(),
        };
        self.tables.insert(name.to_owned(), table);
        Ok(())
    }

    /// Says in the manifest of `table` that it has no rows of a health model, and why.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]: a table that was not begun.
    pub fn leave_out(&mut self, table: &str, model: LeftOutModel) -> Result<()> {
        self.drafted(table)?;
        let drafted = self.tables.get_mut(table);
        drafted.expect("asked for above").left_out.push(model);
        Ok(())
    }

    /// Begins a file of `table` whose rows are all of UTC day `day`; it counts once it is given to
    /// [`SnapshotDraft::finish`].
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`] once an erasure abandoned the draft; a table that was not
    /// begun; a full or failing disk.
    pub fn create(&mut self, table: &str, day: i32) -> Result<DraftFile> {
        self.check_room(table)?;
        let dt = layout::day_text(day);
        let folder = layout::snapshot_folder(table, &self.id);
        let temporary = format!("{folder}/dt={dt}/{}.tmp", self.begun);
        let inner = &self.published.inner;
        let _changing = inner.lock_changes();
        inner.check_epoch(self.terms.epoch)?;
        let file = inner.directory.create(&temporary)?;
        self.begun += 1;
        Ok(DraftFile {
            file,
            position: 0,
            hash: Sha256::new(),
            table: table.to_owned(),
            dt,
            temporary,
        })
    }

    /// Syncs a file and gives it its final name.
    ///
    /// # Errors
    /// As [`SnapshotDraft::create`]; [`StoreError::Invalid`] for a file of other columns than its table's,
    /// or equal to another file of its day.
    pub fn finish(&mut self, mut file: DraftFile) -> Result<()> {
        file.file.sync_all()?;
        drop(file.file);
        let sha256 = hex(&file.hash.finalize());
        let written = ParquetFile::open(self.published.inner.directory.as_ref(), &file.temporary)?;
        let entry = self.entry(&file.table, file.dt, &written, sha256)?;
        let name = self.name_of(&file.table, &entry);
        let inner = &self.published.inner;
        let changing = inner.lock_changes();
        inner.check_epoch(self.terms.epoch)?;
        inner.directory.rename(&file.temporary, &name)?;
        drop(changing);
        self.add(&file.table, entry);
        Ok(())
    }

    /// A whole file at once; see [`SnapshotDraft::create`] and [`SnapshotDraft::finish`].
    ///
    /// # Errors
    /// Those of both.
    pub fn write_file(&mut self, table: &str, day: i32, bytes: &[u8]) -> Result<()> {
        let mut file = self.create(table, day)?;
        file.file.write_at(0, bytes)?;
        file.hash.update(bytes);
        self.finish(file)
    }

    /// Takes a file of the store into `table` without a copy, by a hard link; where the file
    /// system has none, by a copy.
    ///
    /// # Errors
    /// As [`SnapshotDraft::finish`]; [`StoreError::Damaged`] for a file of another length or content.
    pub fn link_cold(&mut self, table: &str, day: i32, cold: &LinkedFile) -> Result<()> {
        self.check_room(table)?;
        let directory = self.published.inner.directory.clone();
        let source = ParquetFile::open(directory.as_ref(), &cold.name)?;
        if source.bytes() != cold.bytes {
            let path = directory.path().join(&cold.name);
            let reason = format!("{} bytes long, expected {}", source.bytes(), cold.bytes);
            return Err(StoreError::damaged(path, 0, reason));
        }
        let dt = layout::day_text(day);
        let entry = self.entry(table, dt, &source, cold.sha256.clone())?;
        let name = self.name_of(table, &entry);
        let inner = &self.published.inner;
        let changing = inner.lock_changes();
        inner.check_epoch(self.terms.epoch)?;
        let linked = directory.link(&cold.name, &name);
        drop(changing);
        match linked {
            Ok(()) => {
                let (folder, _) = name.rsplit_once('/').unwrap_or_default();
                self.unsynced.insert(folder.to_owned());
                self.add(table, entry);
                Ok(())
            }
            Err(error) if error.kind() == DiskErrorKind::Io => {
                tracing::debug!(file = %cold.name, %error, "no hard link, the file is copied");
                self.copy(table, day, &source, cold)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn copy(
        &mut self,
        table: &str,
        day: i32,
        source: &ParquetFile,
        cold: &LinkedFile,
    ) -> Result<()> {
        let mut file = self.create(table, day)?;
        let found = source.sha256(|piece| {
            file.file.write_at(file.position, piece)?;
            file.position += piece.len() as u64;
            file.hash.update(piece);
            Ok(())
        })?;
        if found != cold.sha256 {
            let path = self.published.inner.directory.path().join(&cold.name);
            let reason = format!("SHA-256 {found}, expected {}", cold.sha256);
            return Err(StoreError::damaged(path, 0, reason));
        }
        self.finish(file)
    }

    /// Makes the snapshot exist: durable, and visible to all readers, whole.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`] where an erasure began meanwhile: make it again. A full or
    /// failing disk: then there is no snapshot, now or after a restart, unless the very last step
    /// failed, after which the next open shows it whole or not at all.
    pub fn commit(mut self) -> Result<Arc<PublishedSnapshot>> {
        let published = self.published.clone();
        let inner = &published.inner;
        let _changing = inner.lock_changes();
        inner.check_epoch(self.terms.epoch)?;
        for folder in std::mem::take(&mut self.unsynced) {
            inner.directory.sync_folder(&folder)?;
        }
        let mut tables = Vec::new();
        let mut manifests = Vec::new();
        for (name, table) in std::mem::take(&mut self.tables) {
            let manifest = self.manifest(name, table);
            let bytes = manifest.encode();
            let manifest_name = layout::manifest_name(&manifest.table, &self.id);
            write_atomically(inner.directory.as_ref(), &manifest_name, &bytes)?;
            tables.push(PublishedTable {
                name: manifest.table.clone(),
                rows: manifest.rows,
                bytes: manifest.bytes,
                files: manifest.files.len() as u64,
                manifest_bytes: bytes.len() as u64,
                manifest_sha256: hex(&Sha256::digest(&bytes)),
            });
            manifests.push(manifest);
        }
        let snapshot = Arc::new(PublishedSnapshot {
            version: catalog::VERSION,
            id: self.id.clone(),
            seq: self.terms.seq,
            as_of_us: self.terms.as_of_us,
            created_at_us: self.terms.created_at_us,
            expires_at_us: self.terms.expires_at_us,
            is_in_delta_log: self.terms.is_in_delta_log,
            tables,
        });
        inner.commit(&snapshot)?;
        inner.follow_delta_logs(
            manifests.iter().map(|manifest| manifest.table.as_str()),
            self.terms.created_at_us,
        );
        Ok(snapshot)
    }

    fn manifest(&self, table: String, drafted: DraftTable) -> TableManifest {
        let files: Vec<PublishedFile> = drafted.files.into_values().collect();
        TableManifest {
            version: catalog::VERSION,
            table,
            id: self.id.clone(),
            seq: self.terms.seq,
            as_of_us: self.terms.as_of_us,
            created_at_us: self.terms.created_at_us,
            expires_at_us: self.terms.expires_at_us,
            schema: drafted.columns,
            rows: files.iter().map(|file| file.rows).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            left_out: drafted.left_out,
            files,
        }
    }

    fn check_room(&self, table: &str) -> Result<()> {
        let found = self.drafted(table)?.files.len();
        if found < FILES_MAX {
            return Ok(());
        }
        Err(StoreError::Limit {
            what: "files of one table of a snapshot",
            found: found as u64 + 1,
            limit: FILES_MAX as u64,
        })
    }

    fn drafted(&self, table: &str) -> Result<&DraftTable> {
        self.tables.get(table).ok_or_else(|| {
            StoreError::Invalid(format!("table {table} of a snapshot was not begun"))
        })
    }

    /// The manifest's entry of a file, read back from it.
    fn entry(
        &self,
        table: &str,
        dt: String,
        file: &ParquetFile,
        sha256: String,
    ) -> Result<PublishedFile> {
        let facts = FileFacts::of(file)?;
        let drafted = self.drafted(table)?;
        if facts.columns != drafted.columns {
            let (found, expected) = (&facts.columns, &drafted.columns);
            let message =
                format!("a file of table {table} has columns {found:?}, expected {expected:?}");
            return Err(StoreError::Invalid(message));
        }
        let path = format!("dt={dt}/{}", layout::file_name(&sha256));
        if drafted.files.contains_key(&path) {
            let message = format!("table {table} has {path} twice");
            return Err(StoreError::Invalid(message));
        }
        Ok(PublishedFile {
            path,
            bytes: file.bytes(),
            sha256,
            rows: facts.rows,
            dt,
            min: facts.min,
            max: facts.max,
            nulls: facts.nulls,
        })
    }

    fn name_of(&self, table: &str, entry: &PublishedFile) -> String {
        let folder = layout::snapshot_folder(table, &self.id);
        format!("{folder}/{}", entry.path)
    }

    fn add(&mut self, table: &str, entry: PublishedFile) {
        // The table is there, or the entry could not have been made.
        if let Some(drafted) = self.tables.get_mut(table) {
            drafted.files.insert(entry.path.clone(), entry);
        }
    }
}

impl Drop for SnapshotDraft {
    fn drop(&mut self) {
        self.published.inner.forget_draft(&self.id);
    }
}

/// The error of a draft that an erasure overtook.
pub(super) fn abandoned() -> StoreError {
    StoreError::Failed {
        kind: StoreErrorKind::Unavailable,
        message: "something was erased while the snapshot was made; make it again".to_owned(),
    }
}

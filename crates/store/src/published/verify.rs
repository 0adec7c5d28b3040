//! Checking what was published without opening the store: catalog files and words about what is
//! gone against their own checksums, manifests against the catalog, files against the manifests.
//!
//! Changes nothing. What lies below `snapshots/` without a catalog file is nobody's and not read.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use vitalog_disk::Directory;

use super::catalog::{self, PublishedFile, PublishedTable, Revocation, TableManifest};
use super::inner::read_catalog;
use super::layout::{self, CATALOG_FOLDER, REVOKED_FOLDER, SnapshotId};
use super::parquet_file::hex;
use crate::error::{Result, StoreError};
use crate::verify::VerifyReport;

/// Bytes read at a time for a file's hash.
const PIECE_BYTES: u64 = 1 << 20;

/// Reads everything that published snapshots are made of. Cost: each file of each snapshot is read
/// once, also where several snapshots share its bytes.
///
/// # Errors
/// Only where a folder cannot be listed; damage is part of the report.
pub(crate) fn verify_published(
    directory: &dyn Directory,
    report: &mut VerifyReport,
    progress: &mut impl FnMut(&str),
) -> Result<()> {
    let revoked = ids_in(directory, REVOKED_FOLDER)?;
    for id in &revoked {
        let name = layout::revoked_name(id);
        progress(&name);
        let outcome = directory.read(&name).map_err(StoreError::from);
        let path = directory.path().join(&name);
        let outcome = outcome.and_then(|bytes| catalog::unseal::<Revocation>(&path, &bytes));
        report.check(directory, &name, outcome.map(drop));
    }
    // A catalog file beside the word that its snapshot is gone is removed at the next open.
    for id in ids_in(directory, CATALOG_FOLDER)?.difference(&revoked) {
        let name = layout::catalog_name(id);
        progress(&name);
        match read_catalog(directory, id) {
            Err(error) => report.check(directory, &name, Err(error)),
            Ok(snapshot) => {
                report.check(directory, &name, Ok(()));
                for table in &snapshot.tables {
                    verify_table(directory, id, table, report, progress);
                }
            }
        }
    }
    Ok(())
}

fn verify_table(
    directory: &dyn Directory,
    id: &SnapshotId,
    table: &PublishedTable,
    report: &mut VerifyReport,
    progress: &mut impl FnMut(&str),
) {
    let name = layout::manifest_name(&table.name, id);
    progress(&name);
    let manifest = match read_manifest(directory, &name, table) {
        Err(error) => return report.check(directory, &name, Err(error)),
        Ok(manifest) => manifest,
    };
    report.check(directory, &name, Ok(()));
    let folder = layout::snapshot_folder(&table.name, id);
    for file in &manifest.files {
        let name = format!("{folder}/{}", file.path);
        progress(&name);
        let outcome = verify_file(directory, &name, file);
        report.check(directory, &name, outcome);
    }
}

/// The manifest `name`, which the catalog knows as that of `table`.
fn read_manifest(
    directory: &dyn Directory,
    name: &str,
    table: &PublishedTable,
) -> Result<TableManifest> {
    let path = directory.path().join(name);
    let bytes = directory.read(name)?;
    let found = (bytes.len() as u64, hex(&Sha256::digest(&bytes)));
    let expected = (table.manifest_bytes, table.manifest_sha256.clone());
    if found != expected {
        let reason = format!("length and SHA-256 {found:?}, the catalog says {expected:?}");
        return Err(StoreError::damaged(path, 0, reason));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| StoreError::damaged(path, error.column() as u64, error.to_string()))
}

fn verify_file(directory: &dyn Directory, name: &str, file: &PublishedFile) -> Result<()> {
    let reader = directory.open_read(name)?;
    let length = reader.len()?;
    let (mut hash, mut at) = (Sha256::new(), 0);
    while at < length {
        let mut piece = vec![0; PIECE_BYTES.min(length - at) as usize];
        reader.read_at(at, &mut piece)?;
        hash.update(&piece);
        at += piece.len() as u64;
    }
    let (found, expected) = (
        (length, hex(&hash.finalize())),
        (file.bytes, file.sha256.clone()),
    );
    if found != expected {
        let reason = format!("length and SHA-256 {found:?}, the manifest says {expected:?}");
        return Err(StoreError::damaged(directory.path().join(name), 0, reason));
    }
    Ok(())
}

/// The ids that have a file in `folder`.
fn ids_in(directory: &dyn Directory, folder: &str) -> Result<BTreeSet<SnapshotId>> {
    let names = directory.list(folder)?.into_iter();
    let ids = names.filter_map(|name| SnapshotId::parse(name.strip_suffix(".json")?));
    Ok(ids.collect())
}

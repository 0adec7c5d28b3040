//! Downloads: files of a snapshot into a folder, taken up where an earlier try stopped.
//!
//! A file has its name only once it is whole and its SHA-256 is right; until then `.part` is
//! behind it. So a download that was broken off is finished by asking again.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

use super::shelf::{MANIFEST, Shelf, ShelfFile};
use super::shown::ShownSnapshot;
use crate::command::progress::bar;

/// Behind the name of a file that is not whole.
const PART: &str = ".part";
/// How often a file is asked for again that came other than its hash says.
const TRIES: u32 = 2;

/// Brings the files of `snapshot` to `folder`/TABLE/ID.
pub(super) fn download(
    shelf: &Shelf<'_>,
    snapshot: &ShownSnapshot,
    folder: &Path,
) -> anyhow::Result<()> {
    let bar = bar("downloading", Some(snapshot.bytes()), true);
    for table in &snapshot.tables {
        let place = folder
            .join(folder_name(&table.table)?)
            .join(folder_name(&snapshot.id)?);
        for file in shelf.files(&snapshot.id, &table.table)? {
            fetch(shelf, &snapshot.id, &file, &place, &bar)
                .with_context(|| format!("{} of {}", file.path, table.table))?;
        }
        // Last: where it lies, the table is whole.
        let mut manifest = Vec::new();
        let address = (snapshot.id.as_str(), table.table.as_str(), MANIFEST);
        shelf.read(address, 0, |piece| {
            manifest.extend_from_slice(piece);
            Ok(())
        })?;
        std::fs::create_dir_all(&place)
            .with_context(|| format!("cannot make {}", place.display()))?;
        let name = place.join(MANIFEST);
        std::fs::write(&name, manifest)
            .with_context(|| format!("cannot write {}", name.display()))?;
    }
    bar.finish_and_clear();
    Ok(())
}

fn fetch(
    shelf: &Shelf<'_>,
    id: &str,
    file: &ShelfFile,
    place: &Path,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let whole = place.join(relative(&file.path)?);
    let part = {
        let mut name = whole.clone().into_os_string();
        name.push(PART);
        PathBuf::from(name)
    };
    if let Some(parent) = whole.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let is_there = hash_of(&whole)?
        .is_some_and(|(bytes, hash)| bytes == file.bytes && digits(hash) == file.sha256);
    if is_there {
        bar.inc(file.bytes);
        return Ok(());
    }
    let start = bar.position();
    for _ in 0..TRIES {
        bar.set_position(start);
        if take(shelf, id, file, &part, bar)? {
            return std::fs::rename(&part, &whole)
                .with_context(|| format!("cannot name {}", whole.display()));
        }
        // What is there is not the beginning of this file: from the start.
        std::fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    bail!("came with other bytes than its SHA-256 says, {TRIES} times")
}

/// Fetches the rest of `file` behind what `part` has of it; whether it is right then.
fn take(
    shelf: &Shelf<'_>,
    id: &str,
    file: &ShelfFile,
    part: &Path,
    bar: &ProgressBar,
) -> anyhow::Result<bool> {
    let (mut bytes, mut hash) = hash_of(part)?.unwrap_or_default();
    if bytes > file.bytes {
        return Ok(false);
    }
    bar.inc(bytes);
    let mut out = OpenOptions::new()
        .create(true)
        .append(true)
        .open(part)
        .with_context(|| format!("cannot write {}", part.display()))?;
    let address = (id, file.table.as_str(), file.path.as_str());
    shelf.read(address, bytes, |piece| {
        out.write_all(piece)
            .with_context(|| format!("cannot write {}", part.display()))?;
        hash.update(piece);
        bytes += piece.len() as u64;
        bar.inc(piece.len() as u64);
        Ok(())
    })?;
    out.sync_all()
        .with_context(|| format!("cannot write {}", part.display()))?;
    Ok(bytes == file.bytes && digits(hash) == file.sha256)
}

/// The length of a file, and its hash so far; `None` where there is none.
fn hash_of(path: &Path) -> anyhow::Result<Option<(u64, Sha256)>> {
    let failed = || format!("cannot read {}", path.display());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(failed),
    };
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut piece = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut piece).with_context(failed)?;
        if length == 0 {
            return Ok(Some((bytes, hash)));
        }
        hash.update(&piece[..length]);
        bytes += length as u64;
    }
}

fn digits(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A path that a server named, as one below a folder of ours.
fn relative(path: &str) -> anyhow::Result<&Path> {
    let plain = Path::new(path);
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if path.is_empty() || path.contains('\\') || !plain.components().all(is_plain) {
        bail!("{path:?} is no path below the folder of a snapshot");
    }
    Ok(plain)
}

/// A name that a server gave, as one folder below ours.
fn folder_name(name: &str) -> anyhow::Result<&Path> {
    match relative(name) {
        Ok(path) if path.file_name().is_some_and(|only| only == name) => Ok(path),
        _ => bail!("the server names {name:?}, which is no name of a folder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_ids_are_one_folder_each() {
        for name in ["events", "health_scores", "20250301T120000Z-7"] {
            assert_eq!(folder_name(name).expect("a name"), Path::new(name));
        }
        for name in [
            "", ".", "..", "../..", "/etc", "a/b", "a/..", "./a", "a/", "a/.", "a\\b",
        ] {
            let error = folder_name(name).expect_err(name).to_string();
            assert!(error.contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn only_paths_below_a_folder_are_taken() {
        assert!(relative("dt=2025-03-01/part-00.parquet").is_ok());
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a\\..\\x"] {
            assert!(relative(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_file_is_hashed_as_far_as_it_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("part");
        assert!(hash_of(&path).expect("no file").is_none());
        std::fs::write(&path, "abc").expect("written");
        let (bytes, hash) = hash_of(&path).expect("readable").expect("there");
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((bytes, digits(hash).as_str()), (3, known));
    }
}

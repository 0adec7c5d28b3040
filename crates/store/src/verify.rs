//! Checking every checksum of a store without opening it: manifests, symbols, definitions,
//! segments, log, published snapshots.

use std::sync::Arc;

use vitalog_disk::Directory;

use crate::cold::{ColdCache, ColdFile};
use crate::definitions;
use crate::error::{Result, StoreError};
use crate::ledger::NAMED_FOLDERS;
use crate::manifest::Manifest;
use crate::published::verify_published;
use crate::segment::Segment;
use crate::symbols::{Symbols, read_file};
use crate::wal::{self, FileEnd};
use crate::writer_states;

/// One place that does not hold what it should.
#[derive(Debug)]
pub struct Damage {
    /// The file, below the directory.
    pub file: String,
    /// What is wrong, with the offset.
    pub error: StoreError,
}

/// What `verify` read and found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Files read.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong; empty when all is well.
    pub damages: Vec<Damage>,
    /// What is odd and harmless, such as a log that a killed process left open.
    pub notes: Vec<String>,
}

impl VerifyReport {
    pub(crate) fn check(&mut self, directory: &dyn Directory, file: &str, outcome: Result<()>) {
        self.files += 1;
        self.bytes += directory.len(file).unwrap_or(0);
        if let Err(error) = outcome {
            self.damages.push(Damage {
                file: file.to_owned(),
                error,
            });
        }
    }
}

/// Reads everything that has a checksum; `progress` is told each file as it is begun.
///
/// The directory must not be open for writing elsewhere (its lock sees to that). Nothing is
/// changed.
///
/// # Errors
/// Only where the directory itself cannot be listed; damage is part of the report.
pub fn verify_directory(
    directory: &Arc<dyn Directory>,
    mut progress: impl FnMut(&str),
) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let disk = directory.as_ref();
    let mut latest = Manifest::default();
    for number in Manifest::numbers(disk)? {
        let name = Manifest::file_name(number);
        progress(&name);
        let read = Manifest::read(disk, number);
        let outcome = read.map(|manifest| latest = manifest);
        report.check(disk, &name, outcome);
    }
    verify_files(directory, &latest, &mut report, &mut progress);
    verify_log(disk, &latest, &mut report, &mut progress)?;
    verify_published(disk, &mut report, &mut progress)?;
    note_strangers(disk, &latest, &mut report)?;
    Ok(report)
}

/// Reads every file that `manifest` names.
pub(crate) fn verify_files(
    directory: &Arc<dyn Directory>,
    manifest: &Manifest,
    report: &mut VerifyReport,
    progress: &mut impl FnMut(&str),
) {
    let disk = directory.as_ref();
    for file in &manifest.symbols {
        progress(&file.name);
        report.check(disk, &file.name, read_file(disk, &file.name).map(drop));
    }
    for file in &manifest.definitions {
        progress(&file.name);
        let outcome = definitions::read_file(disk, file).map(drop);
        report.check(disk, &file.name, outcome);
    }
    if let Some(file) = &manifest.writers {
        progress(&file.name);
        let outcome = writer_states::read_file(disk, file).map(drop);
        report.check(disk, &file.name, outcome);
    }
    for entry in &manifest.segments {
        progress(&entry.name);
        let damages = Segment::new(Arc::clone(directory), entry.clone()).verify();
        report.check(disk, &entry.name, Ok(()));
        report
            .damages
            .extend(damages.into_iter().map(|error| Damage {
                file: entry.name.clone(),
                error,
            }));
    }
    verify_cold(directory, manifest, report, progress);
}

fn verify_cold(
    directory: &Arc<dyn Directory>,
    manifest: &Manifest,
    report: &mut VerifyReport,
    progress: &mut impl FnMut(&str),
) {
    // Neither symbols nor a cache are needed: nothing is looked up, nothing is read twice.
    let (symbols, cache) = (Arc::new(Symbols::default()), ColdCache::new(0));
    for entry in &manifest.cold {
        progress(&entry.parquet());
        let disk = Arc::clone(directory);
        let file = ColdFile::new(
            disk,
            entry.clone(),
            Arc::clone(&symbols),
            Arc::clone(&cache),
        );
        let damages = file.verify();
        report.check(directory.as_ref(), &entry.sidecar(), Ok(()));
        report.check(directory.as_ref(), &entry.parquet(), Ok(()));
        report
            .damages
            .extend(damages.into_iter().map(|error| Damage {
                file: entry.parquet(),
                error,
            }));
    }
}

fn verify_log(
    directory: &dyn Directory,
    manifest: &Manifest,
    report: &mut VerifyReport,
    progress: &mut impl FnMut(&str),
) -> Result<()> {
    let names = directory.list(wal::FOLDER)?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| wal::file_number(name))
        .collect();
    numbers.retain(|&number| number >= manifest.wal_first);
    let mut chain = None;
    for (at, &number) in numbers.iter().enumerate() {
        let name = wal::file_name(number);
        progress(&name);
        let is_newest = at + 1 == numbers.len();
        let is_unborn = is_newest && matches!(wal::unborn_bytes(directory, number), Ok(Some(_)));
        if is_unborn {
            let note = "a log file that was being created; it holds nothing";
            report.notes.push(format!("{name}: {note}"));
            continue;
        }
        let outcome = wal::read_wal_file(directory, number, chain).and_then(|file| {
            chain = Some(file.chain);
            match file.end {
                FileEnd::Sealed => Ok(()),
                FileEnd::Open if is_newest => {
                    report.notes.push(format!(
                        "{name}: the log was not closed; the next open takes what it holds"
                    ));
                    Ok(())
                }
                FileEnd::Open => {
                    let reason = "the file ends without a seal, and a later one follows";
                    let path = directory.path().join(&name);
                    Err(StoreError::damaged(path, file.end_offset, reason))
                }
                FileEnd::Torn { offset, reason, .. } => Err(StoreError::damaged(
                    directory.path().join(&name),
                    offset,
                    reason,
                )),
            }
        });
        report.check(directory, &name, outcome);
    }
    Ok(())
}

/// Files that no manifest names are left over from a flush that did not finish.
fn note_strangers(
    directory: &dyn Directory,
    latest: &Manifest,
    report: &mut VerifyReport,
) -> Result<()> {
    let needed = latest.files();
    for folder in NAMED_FOLDERS {
        for name in directory.list(folder)? {
            let name = format!("{folder}/{name}");
            if !needed.contains(&name) {
                let note = format!("{name}: named by no newest manifest; not read");
                report.notes.push(note);
            }
        }
    }
    Ok(())
}

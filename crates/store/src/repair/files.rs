//! Checking the files that a whole manifest names, and leaving out those that are damaged.

use std::sync::Arc;

use vitalog_disk::Directory;

use super::{Checked, Damaged, Loss};
use crate::cold::{ColdCache, ColdEntry, ColdFile};
use crate::definitions;
use crate::error::{Result, StoreError};
use crate::manifest::Manifest;
use crate::segment::Segment;
use crate::symbols::{Symbols, read_file};
use crate::writer_states;

/// What of `manifest` is whole.
pub(super) fn check(
    directory: &Arc<dyn Directory>,
    manifest: &Manifest,
    progress: &mut dyn FnMut(&str),
) -> Result<Checked> {
    let disk = directory.as_ref();
    let mut checked = Checked {
        manifest: manifest.clone().without_files(),
        ..Checked::default()
    };
    for file in &manifest.symbols {
        progress(&file.name);
        match damage_of(read_file(disk, &file.name))? {
            None => checked.manifest.symbols.push(file.clone()),
            Some(problem) => {
                checked.lacks_symbols = true;
                checked.set_aside(&file.name, problem, None);
            }
        }
    }
    for file in &manifest.definitions {
        progress(&file.name);
        match damage_of(definitions::read_file(disk, file))? {
            None => checked.manifest.definitions.push(file.clone()),
            Some(problem) => {
                let count = file.count;
                let problem = format!("{problem}; {count} definitions are lost with it");
                checked.set_aside(&file.name, problem, None);
            }
        }
    }
    if let Some(file) = &manifest.writers {
        progress(&file.name);
        match damage_of(writer_states::read_file(disk, file))? {
            None => checked.manifest.writers = Some(file.clone()),
            Some(problem) => {
                let count = file.count;
                let problem = format!("{problem}; the numbers of {count} writers are lost with it");
                checked.set_aside(&file.name, problem, None);
            }
        }
    }
    for entry in &manifest.segments {
        progress(&entry.name);
        let damages = Segment::new(Arc::clone(directory), entry.clone()).verify();
        match damage_of(damages.into_iter().next().map_or(Ok(()), Err))? {
            None => checked.manifest.segments.push(entry.clone()),
            Some(problem) => {
                checked.set_aside(&entry.name, problem, Some(Loss::of_segment(entry)));
            }
        }
    }
    for entry in &manifest.cold {
        progress(&entry.parquet());
        let damages = cold_file(directory, entry).verify();
        match damage_of(damages.into_iter().next().map_or(Ok(()), Err))? {
            None => checked.manifest.cold.push(entry.clone()),
            Some(problem) => checked.set_aside_cold(entry, &problem),
        }
    }
    Ok(checked)
}

/// A cold file whose bytes and rows are read, but not whose they are: that needs symbols.
pub(super) fn cold_file(directory: &Arc<dyn Directory>, entry: &ColdEntry) -> Arc<ColdFile> {
    let symbols = Arc::new(Symbols::default());
    let cache = ColdCache::new(0);
    ColdFile::new(Arc::clone(directory), entry.clone(), symbols, cache)
}

/// What is damaged, if anything is; errors that are no damage stop the repair.
pub(super) fn damage_of<T>(outcome: Result<T>) -> Result<Option<String>> {
    match outcome {
        Ok(_) => Ok(None),
        Err(StoreError::Damaged { offset, reason, .. }) => {
            Ok(Some(format!("damaged at byte {offset}: {reason}")))
        }
        Err(error) if error.is_damage() => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

impl Checked {
    /// Both files of a cold one: neither is of use without the other.
    pub(super) fn set_aside_cold(&mut self, entry: &ColdEntry, problem: &str) {
        let known = &entry.statistics;
        let mut loss = Loss::default();
        loss.add(
            known.rows as u64,
            [known.day],
            (known.seq_min, known.seq_max),
        );
        self.set_aside(&entry.parquet(), problem.to_owned(), Some(loss));
        let problem = format!("belongs to {}", entry.parquet());
        self.set_aside(&entry.sidecar(), problem, None);
    }

    pub(super) fn set_aside(&mut self, file: &str, problem: String, lost: Option<Loss>) {
        self.damaged.push(Damaged {
            file: file.to_owned(),
            problem,
            lost,
        });
    }
}

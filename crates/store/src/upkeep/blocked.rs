//! Files that the upkeep leaves as they are because they could not be read: damage of one file must
//! not stop what is done with all others.
//!
//! It owns which files these are and why, for the life of the process; they stay in the manifest,
//! and readers meet their damage as before. `vitalog repair` sets them aside. Making
//! everything cold tries them again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Upkeep;
use crate::error::{Result, StoreError};
use crate::snapshot::SegmentSet;

/// A file that the upkeep cannot rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedFile {
    /// Its name below the directory; that of a cold file without the extension, for it is two.
    pub name: String,
    /// What was found.
    pub reason: String,
}

/// The files by name, and what was found. There are never more than the store has files.
#[derive(Debug, Default)]
pub(crate) struct Blocked(Mutex<BTreeMap<String, String>>);

impl Blocked {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `name` cannot be read; says so once.
    pub fn note(&self, name: &str, error: &StoreError) {
        let mut files = self.files();
        if files.insert(name.to_owned(), error.to_string()).is_none() {
            tracing::error!(file = name, %error, "the upkeep goes on without a damaged file");
        }
    }

    pub fn holds(&self, name: &str) -> bool {
        self.files().contains_key(name)
    }

    /// Forgets all: they are tried again.
    pub fn clear(&self) {
        self.files().clear();
    }

    /// Those that are still in `segments`; the others are forgotten.
    pub fn list(&self, segments: &SegmentSet) -> Vec<DamagedFile> {
        let mut files = self.files();
        if !files.is_empty() {
            let hot = segments.segments.iter().map(|file| &file.entry().name);
            let cold = segments.cold.iter().map(|file| &file.entry().name);
            let known: BTreeSet<&String> = hot.chain(cold).collect();
            files.retain(|name, _| known.contains(name));
        }
        let listed = files.iter().map(|(name, reason)| DamagedFile {
            name: name.clone(),
            reason: reason.clone(),
        });
        listed.collect()
    }
}

impl Upkeep {
    /// Goes on after `error` of a job that read the files `names`, where one of them is to blame:
    /// it is noted, and the job can be planned again without it.
    ///
    /// # Errors
    /// `error`, where no file can be blamed.
    pub fn blame(&self, names: &BTreeSet<String>, error: StoreError) -> Result<()> {
        let named = names.iter().find(|name| self.is_of_file(&error, name));
        if let Some(name) = named {
            self.blocked.note(name, &error);
            return Ok(());
        }
        if !error.is_damage() {
            return Err(error);
        }
        let damages = self.damages(names);
        if damages.is_empty() {
            return Err(error);
        }
        for (name, damage) in damages {
            self.blocked.note(&name, &damage);
        }
        Ok(())
    }

    /// Notes the damage that `error`, of work on file `name` alone, found in that file.
    pub fn note_damage(&self, name: &str, error: &StoreError) {
        self.blocked.note(name, error);
    }

    /// Whether `error` names the file `name`.
    fn is_of_file(&self, error: &StoreError, name: &str) -> bool {
        let file = self.directory.path().join(name);
        error.path().is_some_and(|path| is_file(&file, path))
    }

    /// What is wrong with the files `names`. Cost: reads them.
    fn damages(&self, names: &BTreeSet<String>) -> Vec<(String, StoreError)> {
        let segments = self.segments();
        let mut found = Vec::new();
        let mut look = |name: &String, verify: &dyn Fn() -> Vec<StoreError>| {
            if names.contains(name) {
                let damage = verify().into_iter().next();
                found.extend(damage.map(|damage| (name.clone(), damage)));
            }
        };
        for file in &segments.segments {
            look(&file.entry().name, &|| file.verify());
        }
        for file in &segments.cold {
            look(&file.entry().name, &|| file.verify());
        }
        found
    }
}

/// Whether `path` is `file`, or, where that is a cold one, one of its two.
fn is_file(file: &Path, path: &Path) -> bool {
    let is_of_pair = || {
        path.extension()
            .is_some_and(|it| it == "parquet" || it == "side")
    };
    path == file || (is_of_pair() && path.with_extension("") == file)
}

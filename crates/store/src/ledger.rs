//! The ledger: the one place that makes manifests durable and gives numbers to files.
//!
//! Flushes, compactions and removals work beside each other; each writes its files under reserved
//! numbers and then commits an edit of the manifest in force. It owns that manifest, the numbers,
//! and which files may be removed; it does not know what the files hold.
//!
//! Invariants: a number is never given twice, also across restarts; a file is removed only when
//! no kept manifest, no pin and no reservation needs it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vitalog_disk::Directory;

use crate::definitions;
use crate::error::Result;
use crate::manifest::{self, Manifest};
use crate::writer_states;

/// The folder of hot segment files.
pub(crate) const SEGMENT_FOLDER: &str = "segments";
/// The folder of cold files and their sidecars.
pub(crate) const COLD_FOLDER: &str = "cold";
/// The folder of symbol files.
pub(crate) const SYMBOL_FOLDER: &str = "symbols";
/// The folders whose files count only where a manifest names them.
pub(crate) const NAMED_FOLDERS: [&str; 5] = [
    SEGMENT_FOLDER,
    COLD_FOLDER,
    SYMBOL_FOLDER,
    definitions::FOLDER,
    writer_states::FOLDER,
];

/// The manifest in force and what keeps files alive.
#[derive(Debug)]
pub(crate) struct Ledger {
    directory: Arc<dyn Directory>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    manifest: Arc<Manifest>,
    /// The highest number given so far.
    highest: u64,
    reserved: BTreeSet<u64>,
    /// Manifests whose files are kept, by a number of the pin.
    pins: BTreeMap<u64, Arc<Manifest>>,
    pins_made: u64,
    /// What the manifests on disk name, as far as it is known, by their numbers.
    named: BTreeMap<u64, BTreeSet<String>>,
}

/// A number for a file that is being written: no file of it is an orphan while this lives.
#[derive(Debug)]
pub(crate) struct Reservation {
    ledger: Arc<Ledger>,
    pub number: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ledger.state().reserved.remove(&self.number);
    }
}

/// A manifest whose files stay while this lives.
#[derive(Debug)]
pub(crate) struct Pin {
    ledger: Arc<Ledger>,
    at: u64,
    pub manifest: Arc<Manifest>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.ledger.state().pins.remove(&self.at);
    }
}

impl Ledger {
    /// Over `manifest`, which is the one in force.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn new(directory: Arc<dyn Directory>, manifest: Manifest) -> Result<Self> {
        let highest = highest_number(directory.as_ref(), manifest.number)?;
        let state = State {
            named: BTreeMap::from([(manifest.number, manifest.files())]),
            manifest: Arc::new(manifest),
            highest,
            reserved: BTreeSet::new(),
            pins: BTreeMap::new(),
            pins_made: 0,
        };
        Ok(Self {
            directory,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The manifest in force.
    pub fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.state().manifest)
    }

    /// A number that no file of the store has.
    pub fn reserve(self: &Arc<Self>) -> Reservation {
        let mut state = self.state();
        state.highest += 1;
        let number = state.highest;
        state.reserved.insert(number);
        drop(state);
        let ledger = Arc::clone(self);
        Reservation { ledger, number }
    }

    /// Applies `edit` to the manifest in force and makes the result durable under a number of its
    /// own. Edits of several threads follow each other.
    ///
    /// # Errors
    /// A full or failing disk: the manifest in force stays, and the number is not used again.
    pub fn commit(&self, edit: impl FnOnce(&mut Manifest)) -> Result<Arc<Manifest>> {
        let mut state = self.state();
        let mut manifest = state.manifest.as_ref().clone();
        edit(&mut manifest);
        manifest.identify(self.directory.path());
        state.highest += 1;
        manifest.number = state.highest;
        manifest.write(self.directory.as_ref())?;
        state.named.insert(manifest.number, manifest.files());
        state.manifest = Arc::new(manifest);
        Ok(Arc::clone(&state.manifest))
    }

    /// Keeps every file of the manifest in force while the pin lives.
    pub fn pin(self: &Arc<Self>) -> Pin {
        let mut state = self.state();
        state.pins_made += 1;
        let (at, manifest) = (state.pins_made, Arc::clone(&state.manifest));
        state.pins.insert(at, Arc::clone(&manifest));
        drop(state);
        Pin {
            ledger: Arc::clone(self),
            at,
            manifest,
        }
    }

    /// Whether someone keeps the files of a manifest older than `number`.
    pub fn is_pinned_before(&self, number: u64) -> bool {
        let state = self.state();
        state.pins.values().any(|manifest| manifest.number < number)
    }

    /// As [`Ledger::collect`]; what cannot be removed now is left to the next time.
    pub fn try_collect(&self, kept: usize) {
        if let Err(error) = self.collect(kept) {
            tracing::warn!(%error, "files that are no longer needed were left");
        }
    }

    /// Removes older manifests beyond `kept`, then every file that neither the kept ones, nor a
    /// pin, nor a reservation needs, and temporary files. Whoever replaced a file has opened it
    /// before, so readers of older snapshots still read it.
    ///
    /// Cost: lists the folders; a kept manifest is read only where an earlier run wrote it, once.
    ///
    /// # Errors
    /// A failing disk; whatever is left is collected the next time.
    pub fn collect(&self, kept: usize) -> Result<()> {
        // Held to the end: a commit meanwhile could name what is about to be removed.
        let mut state = self.state();
        let state = &mut *state;
        let directory = self.directory.as_ref();
        let numbers = Manifest::numbers(directory)?;
        let (gone, kept) = numbers.split_at(numbers.len().saturating_sub(kept.max(1)));
        let mut needed: BTreeSet<String> = BTreeSet::new();
        for manifest in state.pins.values() {
            needed.extend(manifest.files());
        }
        let in_force = state.manifest.number;
        (state.named).retain(|number, _| *number == in_force || kept.contains(number));
        for &number in kept {
            // A damaged older manifest names nothing; what it needed is kept by the newer ones, or
            // was dropped by them.
            if let Entry::Vacant(unknown) = state.named.entry(number)
                && let Ok(manifest) = Manifest::read(directory, number)
            {
                unknown.insert(manifest.files());
            }
        }
        needed.extend(state.named.values().flatten().cloned());
        for &number in gone {
            directory.remove(&Manifest::file_name(number))?;
        }
        for folder in NAMED_FOLDERS.into_iter().chain([manifest::FOLDER]) {
            for name in directory.list(folder)? {
                let is_reserved =
                    file_number(&name).is_some_and(|number| state.reserved.contains(&number));
                let name = format!("{folder}/{name}");
                let is_orphan = name.ends_with(".tmp")
                    || (folder != manifest::FOLDER && !needed.contains(&name));
                if is_orphan && !is_reserved {
                    directory.remove(&name)?;
                }
            }
        }
        Ok(())
    }
}

/// The number at the start of a file's name, with or without its folder and extension.
pub(crate) fn file_number(name: &str) -> Option<u64> {
    let name = name.rsplit('/').next()?;
    name.split('.').next()?.parse().ok()
}

/// The highest number of a manifest or of a file that one may name. A job that failed may have
/// left its files, its manifest even, so their numbers are never taken again.
fn highest_number(directory: &dyn Directory, in_force: u64) -> Result<u64> {
    let mut highest = in_force;
    for folder in NAMED_FOLDERS.into_iter().chain([manifest::FOLDER]) {
        for name in directory.list(folder)? {
            highest = highest.max(file_number(&name).unwrap_or(0));
        }
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use vitalog_disk::{FaultyDirectory, write_atomically};

    use super::*;

    fn ledger() -> (FaultyDirectory, Arc<Ledger>) {
        let directory = FaultyDirectory::new();
        let ledger = Ledger::new(Arc::new(directory.clone()), Manifest::default());
        (directory, Arc::new(ledger.expect("empty")))
    }

    fn put(directory: &FaultyDirectory, number: u64) -> String {
        let name = format!("{SEGMENT_FOLDER}/{number:016}.arrow");
        write_atomically(directory, &name, b"rows").expect("written");
        name
    }

    #[test]
    fn edits_follow_each_other_and_numbers_are_never_used_again() {
        let (directory, ledger) = ledger();
        let first = ledger.commit(|manifest| manifest.seq = 5).expect("written");
        let reserved = ledger.reserve();
        let second = ledger.commit(|manifest| manifest.wal_first = 7);
        let second = second.expect("written");
        assert_eq!((second.seq, second.wal_first), (5, 7));
        assert!(first.number < reserved.number && reserved.number < second.number);
        put(&directory, 90);
        let again = Ledger::new(Arc::new(directory), second.as_ref().clone());
        assert_eq!(Arc::new(again.expect("listed")).reserve().number, 91);
    }

    #[test]
    fn what_is_reserved_or_pinned_stays() {
        let (directory, ledger) = ledger();
        ledger.commit(|_| {}).expect("written");
        let reservation = ledger.reserve();
        let reserved = put(&directory, reservation.number);
        let orphan = put(&directory, 4_000);
        ledger.collect(1).expect("collected");
        assert!(directory.exists(&reserved).expect("asked"));
        assert!(!directory.exists(&orphan).expect("asked"));
        let pin = ledger.pin();
        assert_eq!(pin.manifest.number, ledger.manifest().number);
        let newer = ledger.commit(|_| {}).expect("written");
        assert!(ledger.is_pinned_before(newer.number));
        assert!(!ledger.is_pinned_before(pin.manifest.number));
        drop((pin, reservation));
        ledger.collect(1).expect("collected");
        assert!(!directory.exists(&reserved).expect("asked"));
    }

    #[test]
    fn what_a_kept_manifest_names_is_known_without_reading_it_again() {
        let (directory, ledger) = ledger();
        let old = ledger.commit(|manifest| {
            manifest.symbols.push(crate::manifest::SymbolEntry {
                name: format!("{SYMBOL_FOLDER}/{:016}.symbols", 1),
                bytes: 4,
                from: crate::symbols::Marks::default(),
            });
        });
        let old = old.expect("written");
        let name = old.symbols[0].name.clone();
        write_atomically(&directory, &name, b"text").expect("written");
        ledger
            .commit(|manifest| manifest.symbols.clear())
            .expect("written");
        directory
            .truncate(&Manifest::file_name(old.number), 9)
            .expect("in range");
        ledger.collect(2).expect("collected");
        assert!(directory.exists(&name).expect("asked"));
        ledger.collect(1).expect("collected");
        assert!(!directory.exists(&name).expect("asked"));
    }

    #[test]
    fn a_commit_that_fails_leaves_the_manifest_in_force() {
        let (directory, ledger) = ledger();
        ledger.commit(|manifest| manifest.seq = 1).expect("written");
        for step in 0..4 {
            let plan = vitalog_disk::FaultPlan::new();
            let at = directory.operations() + step;
            directory.set_plan(plan.fail_operation(at, vitalog_disk::Fault::Io));
            if ledger.commit(|manifest| manifest.seq = 2).is_err() {
                assert_eq!(ledger.manifest().seq, 1, "step {step}");
            }
        }
    }
}

//! The names of a simulated directory: those that are seen, those that are durable, and the
//! un-synced changes between them.
//!
//! Invariant: applying `pending` in order to `durable` gives `current`. Changes of one folder
//! become durable in their order; a change is atomic, also one that spans two folders.

use std::collections::{BTreeMap, BTreeSet};

use super::random::Choices;
use crate::name::folder_of;

/// Which node a name stands for; an index into the nodes of the directory.
pub(crate) type NodeId = usize;

/// Names and folders.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    current: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
    pending: Vec<Change>,
    /// Folders that are seen. They are durable when they are created. The root is not in here.
    folders: BTreeSet<String>,
    /// Folders whose removal, if any, is not durable.
    durable_folders: BTreeSet<String>,
}

/// What one atomic step does.
#[derive(Clone, Debug)]
enum Change {
    /// Names set or removed.
    Names(Vec<(String, Option<NodeId>)>),
    /// A folder removed. It is a change of the folder above it and of the folder itself: it
    /// cannot become durable before the files are gone that were in it.
    RemovedFolder(String),
}

impl Change {
    fn folders(&self) -> impl Iterator<Item = &str> {
        let (names, removed): (&[_], _) = match self {
            Self::Names(names) => (names, None),
            Self::RemovedFolder(folder) => (&[], Some([folder_of(folder), folder.as_str()])),
        };
        let names = names.iter().map(|(name, _)| folder_of(name));
        names.chain(removed.into_iter().flatten())
    }

    fn apply(&self, names: &mut BTreeMap<String, NodeId>, folders: &mut BTreeSet<String>) {
        match self {
            Self::Names(changed) => {
                for (name, node) in changed {
                    match node {
                        Some(node) => names.insert(name.clone(), *node),
                        None => names.remove(name),
                    };
                }
            }
            Self::RemovedFolder(folder) => {
                folders.remove(folder);
            }
        }
    }
}

impl Names {
    /// Names that are all durable.
    pub(crate) fn at_rest(names: BTreeMap<String, NodeId>, folders: BTreeSet<String>) -> Self {
        Self {
            current: names.clone(),
            durable: names,
            pending: Vec::new(),
            durable_folders: folders.clone(),
            folders,
        }
    }

    /// The names that are seen, in byte order.
    pub(crate) fn current(&self) -> &BTreeMap<String, NodeId> {
        &self.current
    }

    pub(crate) fn folders(&self) -> &BTreeSet<String> {
        &self.folders
    }

    pub(crate) fn has_folder(&self, folder: &str) -> bool {
        folder.is_empty() || self.folders.contains(folder)
    }

    /// Creates the folder of `name` and those above it; false where a file is in the way.
    pub(crate) fn create_folders_of(&mut self, name: &str) -> bool {
        let ends = name.match_indices('/').map(|(end, _)| end);
        let missing: Vec<&str> = ends
            .map(|end| &name[..end])
            .filter(|folder| !self.folders.contains(*folder))
            .collect();
        if missing
            .iter()
            .any(|folder| self.current.contains_key(*folder))
        {
            return false;
        }
        for folder in missing {
            if self.durable_folders.contains(folder) {
                // It was removed and comes again: creating it syncs the folder above it, and with
                // it the removal.
                self.sync(folder_of(folder));
            }
            self.folders.insert(folder.to_string());
            self.durable_folders.insert(folder.to_string());
        }
        true
    }

    /// Removes a folder; false where something is in it.
    pub(crate) fn remove_folder(&mut self, folder: &str) -> bool {
        let below = format!("{folder}/");
        let first_file = self.current.range(below.clone()..).next();
        let first_folder = self.folders.range(below.clone()..).next();
        if first_file.is_some_and(|(name, _)| name.starts_with(&below))
            || first_folder.is_some_and(|name| name.starts_with(&below))
        {
            return false;
        }
        self.change(Change::RemovedFolder(folder.to_string()));
        true
    }

    /// A new name, or a new meaning of one.
    pub(crate) fn set(&mut self, name: &str, node: NodeId) {
        self.change(Change::Names(vec![(name.to_string(), Some(node))]));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.change(Change::Names(vec![(name.to_string(), None)]));
    }

    /// Moves `node` from one name to another, in one step.
    pub(crate) fn rename(&mut self, from: &str, to: &str, node: NodeId) {
        let names = vec![(from.to_string(), None), (to.to_string(), Some(node))];
        self.change(Change::Names(names));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current, &mut self.folders);
        self.pending.push(change);
    }

    /// Makes the changes of `folder` durable, and with them what they depend on: a change that
    /// spans two folders brings the earlier ones of the other folder.
    pub(crate) fn sync(&mut self, folder: &str) {
        let mut folders = BTreeSet::from([folder.to_string()]);
        let mut synced = vec![false; self.pending.len()];
        for (change, synced) in self.pending.iter().zip(&mut synced).rev() {
            if change.folders().any(|folder| folders.contains(folder)) {
                *synced = true;
                folders.extend(change.folders().map(str::to_string));
            }
        }
        let mut kept = Vec::new();
        for (change, synced) in self.pending.drain(..).zip(synced) {
            if synced {
                change.apply(&mut self.durable, &mut self.durable_folders);
            } else {
                kept.push(change);
            }
        }
        self.pending = kept;
    }

    /// Makes all changes durable.
    pub(crate) fn sync_everything(&mut self) {
        self.pending.clear();
        self.durable = self.current.clone();
        self.durable_folders = self.folders.clone();
    }

    /// What a power loss leaves, names and folders: the durable ones, and of each folder's un-synced changes the
    /// first ones, as many as `choices` says.
    pub(crate) fn after_power_loss(
        &self,
        choices: &mut Choices,
    ) -> (BTreeMap<String, NodeId>, BTreeSet<String>) {
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        for folder in self.pending.iter().flat_map(Change::folders) {
            *left.entry(folder).or_default() += 1;
        }
        for count in left.values_mut() {
            *count = choices.up_to(*count);
        }
        let mut names = self.durable.clone();
        let mut folders = self.durable_folders.clone();
        for change in &self.pending {
            // A change that is lost in one of its folders is lost in all, and so is what follows.
            let survives = change.folders().all(|folder| left[folder] > 0);
            for folder in change.folders() {
                let count = left.entry(folder).or_default();
                *count = if survives { count.saturating_sub(1) } else { 0 };
            }
            if survives {
                change.apply(&mut names, &mut folders);
            }
        }
        (names, folders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(names: &Names) -> BTreeSet<Vec<String>> {
        (0..200)
            .map(|seed| {
                names
                    .after_power_loss(&mut Choices::new(seed))
                    .0
                    .into_keys()
                    .collect()
            })
            .collect()
    }

    fn sets(expected: &[&[&str]]) -> BTreeSet<Vec<String>> {
        expected
            .iter()
            .map(|names| names.iter().map(|n| (*n).to_string()).collect())
            .collect()
    }

    #[test]
    fn a_folder_loses_its_last_changes_first_and_folders_are_independent() {
        let mut names = Names::default();
        names.set("a/1", 0);
        names.set("a/2", 1);
        names.set("b/1", 2);
        assert_eq!(
            images(&names),
            sets(&[
                &[],
                &["a/1"],
                &["a/1", "a/2"],
                &["b/1"],
                &["a/1", "b/1"],
                &["a/1", "a/2", "b/1"]
            ])
        );
        names.sync("a");
        assert_eq!(
            images(&names),
            sets(&[&["a/1", "a/2"], &["a/1", "a/2", "b/1"]])
        );
    }

    #[test]
    fn a_rename_is_found_whole_or_not_at_all() {
        let mut names = Names::default();
        names.set("a/1", 0);
        names.sync("a");
        names.rename("a/1", "b/1", 0);
        assert_eq!(images(&names), sets(&[&["a/1"], &["b/1"]]));
        names.set("a/2", 1);
        assert_eq!(images(&names), sets(&[&["a/1"], &["b/1"], &["a/2", "b/1"]]));
        names.sync("b");
        assert_eq!(images(&names), sets(&[&["b/1"], &["a/2", "b/1"]]));
    }

    #[test]
    fn syncing_a_folder_brings_what_its_changes_depend_on() {
        let mut names = Names::default();
        names.set("a/1", 0);
        names.rename("a/1", "b/1", 0);
        names.set("c/1", 1);
        names.sync("b");
        assert_eq!(images(&names), sets(&[&["b/1"], &["b/1", "c/1"]]));
    }

    #[test]
    fn a_removed_folder_is_never_gone_before_what_was_in_it() {
        let mut names = Names::default();
        assert!(names.create_folders_of("a/b/1"));
        names.set("a/b/1", 0);
        names.sync("a/b");
        assert!(!names.remove_folder("a/b") && !names.remove_folder("a"));
        names.remove("a/b/1");
        assert!(names.remove_folder("a/b") && names.remove_folder("a"));
        let mut found = BTreeSet::new();
        for seed in 0..400 {
            let (files, folders) = names.after_power_loss(&mut Choices::new(seed));
            found.insert((files.len(), folders.into_iter().collect::<Vec<_>>()));
        }
        let folders = |names: &[&str]| names.iter().map(|n| (*n).to_string()).collect::<Vec<_>>();
        assert_eq!(
            found,
            BTreeSet::from([
                (1, folders(&["a", "a/b"])),
                (0, folders(&["a", "a/b"])),
                (0, folders(&["a"])),
                (0, vec![]),
            ])
        );
        // Made again, it is there whatever happens, and what was in it is not.
        assert!(names.create_folders_of("a/b/2"));
        for seed in 0..400 {
            let (files, folders) = names.after_power_loss(&mut Choices::new(seed));
            assert_eq!((files.len(), folders.len()), (0, 2));
        }
    }
}

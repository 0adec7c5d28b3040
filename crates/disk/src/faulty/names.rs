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
    /// Folders are durable when they are created. The root is not in here.
    folders: BTreeSet<String>,
}

/// Names set or removed in one atomic step.
#[derive(Clone, Debug)]
struct Change(Vec<(String, Option<NodeId>)>);

impl Change {
    fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| folder_of(name))
    }

    fn apply(&self, names: &mut BTreeMap<String, NodeId>) {
        for (name, node) in &self.0 {
            match node {
                Some(node) => names.insert(name.clone(), *node),
                None => names.remove(name),
            };
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
        self.folders.extend(missing.into_iter().map(str::to_string));
        true
    }

    /// A new name, or a new meaning of one.
    pub(crate) fn set(&mut self, name: &str, node: NodeId) {
        self.change(vec![(name.to_string(), Some(node))]);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.change(vec![(name.to_string(), None)]);
    }

    /// Moves `node` from one name to another, in one step.
    pub(crate) fn rename(&mut self, from: &str, to: &str, node: NodeId) {
        self.change(vec![(from.to_string(), None), (to.to_string(), Some(node))]);
    }

    fn change(&mut self, names: Vec<(String, Option<NodeId>)>) {
        let change = Change(names);
        change.apply(&mut self.current);
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
                change.apply(&mut self.durable);
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
    }

    /// What a power loss leaves: the durable names, and of each folder's un-synced changes the
    /// first ones, as many as `choices` says.
    pub(crate) fn after_power_loss(&self, choices: &mut Choices) -> BTreeMap<String, NodeId> {
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        for folder in self.pending.iter().flat_map(Change::folders) {
            *left.entry(folder).or_default() += 1;
        }
        for count in left.values_mut() {
            *count = choices.up_to(*count);
        }
        let mut names = self.durable.clone();
        for change in &self.pending {
            // A change that is lost in one of its folders is lost in all, and so is what follows.
            let survives = change.folders().all(|folder| left[folder] > 0);
            for folder in change.folders() {
                let count = left.entry(folder).or_default();
                *count = if survives { count.saturating_sub(1) } else { 0 };
            }
            if survives {
                change.apply(&mut names);
            }
        }
        names
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
}

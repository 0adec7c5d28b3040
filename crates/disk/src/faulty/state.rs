//! The state of a directory in memory, and what each numbered operation does to it.
//!
//! Every operation runs in the same order: names are checked, the plan is asked, what becomes
//! visible is done, and only then what becomes durable, unless the plan interrupts between.

use std::collections::BTreeSet;
use std::io;

use super::full_path;
use super::names::{Names, NodeId};
use super::node::Node;
use super::plan::{Fault, FaultPlan, Verdict, crashed};
use crate::error::{DiskError, Result};
use crate::name::{check_file, check_folder, folder_of};

/// All that a directory in memory is. Handles refer to files by node.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) nodes: Vec<Node>,
    pub(super) names: Names,
    pub(super) plan: FaultPlan,
    pub(super) operations: u64,
    pub(super) capacity: u64,
    pub(super) crashed: bool,
}

impl State {
    /// Gives the next operation its number and says what happens at it.
    fn begin(&mut self, syncs: bool) -> io::Result<Verdict> {
        self.check_power()?;
        let verdict = self.plan.verdict(self.operations, syncs);
        self.operations += 1;
        self.crashed = matches!(verdict, Verdict::Crash);
        Ok(verdict)
    }

    /// Refuses everything after a crash.
    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.crashed { Err(crashed()) } else { Ok(()) }
    }

    /// The file of that name. Does not ask for power: damage is done to machines that are off.
    pub(super) fn find(&self, operation: &'static str, name: &str) -> Result<NodeId> {
        let found = check_file(name).and_then(|()| self.lookup(name));
        found.map_err(|source| DiskError::io(operation, full_path(name), source))
    }

    fn lookup(&self, name: &str) -> io::Result<NodeId> {
        match self.names.current().get(name) {
            Some(node) => Ok(*node),
            None if self.names.has_folder(name) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The file of that name, for reading.
    pub(super) fn find_readable(&self, operation: &'static str, name: &str) -> Result<&Node> {
        self.check_power()
            .map_err(|source| DiskError::io(operation, full_path(name), source))?;
        self.find(operation, name).map(|node| &self.nodes[node])
    }

    /// How many bytes all files have together; a file with two names counts once.
    pub(super) fn used_bytes(&self) -> u64 {
        let named: BTreeSet<NodeId> = self.names.current().values().copied().collect();
        named
            .into_iter()
            .map(|node| self.nodes[node].bytes().len() as u64)
            .sum()
    }

    /// How long a file of `length` bytes may become.
    fn longest(&self, length: usize) -> u64 {
        length as u64 + self.capacity.saturating_sub(self.used_bytes())
    }

    pub(super) fn create(&mut self, name: &str) -> io::Result<NodeId> {
        check_file(name)?;
        let verdict = self.begin(false)?.accept()?;
        if self.names.current().contains_key(name) || self.names.has_folder(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !self.names.create_folders_of(name) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let node = self.nodes.len();
        self.nodes.push(Node::default());
        self.names.set(name, node);
        done(verdict)?;
        Ok(node)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        check_file(from)?;
        check_file(to)?;
        let verdict = self.begin(true)?.accept()?;
        let node = self.lookup(from)?;
        if self.names.has_folder(to) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !self.names.create_folders_of(to) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if from != to {
            self.names.rename(from, to, node);
        }
        done(verdict)?;
        self.names.sync(folder_of(to));
        self.names.sync(folder_of(from));
        Ok(())
    }

    pub(super) fn link(&mut self, from: &str, to: &str) -> io::Result<()> {
        check_file(from)?;
        check_file(to)?;
        let verdict = self.begin(false)?.accept()?;
        let node = self.lookup(from)?;
        if self.names.current().contains_key(to) || self.names.has_folder(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !self.names.create_folders_of(to) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        self.names.set(to, node);
        done(verdict)
    }

    pub(super) fn remove_folder(&mut self, folder: &str) -> io::Result<()> {
        // The checked name is a file's: the directory itself is not removed.
        check_file(folder)?;
        let verdict = self.begin(false)?.accept()?;
        if !self.names.has_folder(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !self.names.remove_folder(folder) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        done(verdict)
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        check_file(name)?;
        let verdict = self.begin(false)?.accept()?;
        self.lookup(name)?;
        self.names.remove(name);
        done(verdict)
    }

    pub(super) fn sync_folder(&mut self, folder: &str) -> io::Result<()> {
        check_folder(folder)?;
        done(self.begin(true)?)?;
        if !self.names.has_folder(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.names.sync(folder);
        Ok(())
    }

    pub(super) fn write(&mut self, node: NodeId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let verdict = self.begin(false)?;
        let planned = if matches!(verdict, Verdict::Refuse(_)) {
            bytes.len() / 2
        } else {
            bytes.len()
        };
        let end = offset
            .checked_add(planned as u64)
            .ok_or(io::ErrorKind::InvalidInput)?;
        // Like a real disk, a full one takes the bytes that still fit.
        let length = self.nodes[node].bytes().len();
        let fits = end.min(self.longest(length)).saturating_sub(offset) as usize;
        if fits > 0 {
            self.nodes[node].write(offset as usize, &bytes[..fits]);
        }
        match verdict {
            Verdict::Refuse(error) | Verdict::FailSync(error) => Err(error),
            Verdict::Crash => Err(crashed()),
            Verdict::Run if fits < planned => Err(Fault::Full.error()),
            Verdict::Run => Ok(()),
        }
    }

    pub(super) fn preallocate(&mut self, node: NodeId, bytes: u64) -> io::Result<()> {
        let verdict = self.begin(false)?.accept()?;
        let length = self.nodes[node].bytes().len();
        if bytes > length as u64 && bytes > self.longest(length) {
            return Err(Fault::Full.error());
        }
        self.nodes[node].extend(bytes as usize);
        done(verdict)
    }

    pub(super) fn sync(&mut self, node: NodeId) -> io::Result<()> {
        let verdict = self.begin(true)?;
        match verdict {
            Verdict::Run => self.nodes[node].sync(),
            Verdict::Refuse(_) | Verdict::FailSync(_) => self.nodes[node].fail_sync(),
            Verdict::Crash => {}
        }
        done(verdict)
    }
}

/// Whether an operation whose visible part is done may go on to its durable part.
fn done(verdict: Verdict) -> io::Result<()> {
    match verdict {
        Verdict::Run => Ok(()),
        Verdict::Refuse(error) | Verdict::FailSync(error) => Err(error),
        Verdict::Crash => Err(crashed()),
    }
}

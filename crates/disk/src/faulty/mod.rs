//! The directory in memory, for tests: it knows which bytes and names are durable, fails by plan,
//! and shows what a power loss or a killed process leaves.
//!
//! It owns the interface and the images of a stopped machine; bytes are in `node`, names in
//! `names`, the plan in `plan`, what operations do in `state`. It is deterministic: the same operations, plan and seed give the
//! same bytes. What it simulates of a medium is written down in `docs/formats/README.md`.
//! Removed files keep their memory until the directory is dropped.

mod file;
mod names;
mod node;
mod plan;
mod random;
mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use arrow_buffer::Buffer;

pub use self::plan::{Fault, FaultPlan};

use self::file::{FaultyReadFile, FaultyWriteFile, read_exactly};
use self::names::{Names, NodeId};
use self::node::Node;
use self::random::Choices;
use self::state::State;
use crate::directory::{Directory, ReadFile, WriteFile};
use crate::error::{DiskError, Result};
use crate::name::{check_file, check_folder, folder_of};

/// The room of a new directory: enough for any test, and a number one may add to.
const CAPACITY_BYTES: u64 = 64 << 30;

/// What messages show as the path of a directory in memory.
const ROOT: &str = "memory:";

/// The alignment of "mapped" bytes, as promised by [`Directory::map`].
const MAP_ALIGNMENT: usize = 64;

/// A directory in memory that fails on demand. Clones share it.
#[derive(Clone)]
pub struct FaultyDirectory {
    state: Arc<Mutex<State>>,
}

impl FaultyDirectory {
    /// An empty directory without faults and with plenty of room.
    pub fn new() -> Self {
        Self::from_state(Vec::new(), Names::default(), CAPACITY_BYTES)
    }

    fn from_state(nodes: Vec<Node>, names: Names, capacity: u64) -> Self {
        let plan = FaultPlan::new();
        let state = State {
            nodes,
            names,
            plan,
            operations: 0,
            capacity,
            crashed: false,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Replaces the plan. Operations keep their numbers; a machine that has crashed stays so.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.state().plan = plan;
    }

    /// Sets how many bytes all files may have together, reserved ones included. Files that are
    /// already larger stay.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// How many operations have started: the number of the next one.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether the plan's crash has happened.
    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// What a machine finds after losing power now: the durable bytes and names, and by `seed`
    /// any subset of the un-synced sectors (each in any of its versions, some torn inside), any
    /// length between the durable one and the last, and of each folder the first of its un-synced
    /// changes. A new directory without faults, independent of this one; everything in it is
    /// durable. Some seeds lose everything un-synced, some nothing.
    pub fn crash_image(&self, seed: u64) -> Self {
        let state = self.state();
        let mut choices = Choices::new(seed);
        let (left, folders) = state.names.after_power_loss(&mut choices);
        let mut names = BTreeMap::new();
        let mut nodes = Vec::new();
        // Linked names still stand for one file.
        let mut numbers = BTreeMap::new();
        for (name, node) in left {
            let number = *numbers.entry(node).or_insert_with(|| {
                let bytes = state.nodes[node].after_power_loss(&mut choices);
                nodes.push(Node::at_rest(bytes));
                nodes.len() - 1
            });
            names.insert(name, number);
        }
        Self::from_state(nodes, Names::at_rest(names, folders), state.capacity)
    }

    /// What the next process finds after this one was killed now and the machine went on: all
    /// writes are seen, and those that were not synced still are not. Names are durable, as after
    /// [`RealDirectory::open`](crate::RealDirectory::open). A new directory without faults,
    /// independent of this one.
    pub fn kill_image(&self) -> Self {
        let state = self.state();
        let mut names = state.names.clone();
        names.sync_everything();
        Self::from_state(state.nodes.clone(), names, state.capacity)
    }

    /// The files that are seen, in byte order, with their lengths. Works after a crash too.
    pub fn files(&self) -> Vec<(String, usize)> {
        let state = self.state();
        let named = state.names.current().iter();
        named
            .map(|(name, node)| (name.clone(), state.nodes[*node].bytes().len()))
            .collect()
    }

    /// Inverts bit `bit` (0 is the lowest) of the byte at `byte_offset`, durably. Buffers that
    /// were mapped before do not change. No operation: it has no number.
    ///
    /// # Errors
    /// `Missing`; `Damaged` where the file is too short.
    ///
    /// # Panics
    /// Where `bit` is above 7.
    pub fn flip_bit(&self, name: &str, byte_offset: u64, bit: u8) -> Result<()> {
        assert!(bit < 8, "a byte has bits 0 to 7");
        let mut state = self.state();
        let node = state.find("damage", name)?;
        let length = state.nodes[node].bytes().len() as u64;
        let offset = usize::try_from(byte_offset).unwrap_or(usize::MAX);
        if state.nodes[node].flip_bit(offset, bit) {
            return Ok(());
        }
        Err(DiskError::Short {
            path: full_path(name),
            offset: byte_offset,
            wanted: 1,
            length,
        })
    }

    /// Cuts a file to `len` bytes, durably; a shorter file stays. No operation: it has no number.
    ///
    /// # Errors
    /// `Missing`.
    pub fn truncate(&self, name: &str, len: u64) -> Result<()> {
        let mut state = self.state();
        let node = state.find("truncate", name)?;
        state.nodes[node].truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code panics while it changes the state")
    }

    /// A handle for writing.
    fn writer(&self, name: &str, node: NodeId) -> Box<dyn WriteFile> {
        Box::new(FaultyWriteFile::new(self.clone(), node, full_path(name)))
    }
}

impl Default for FaultyDirectory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FaultyDirectory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes of all files would make every failing assertion unreadable.
        formatter
            .debug_struct("FaultyDirectory")
            .field("files", &self.files())
            .finish()
    }
}

impl Directory for FaultyDirectory {
    fn path(&self) -> &Path {
        Path::new(ROOT)
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        match self.state().create(name) {
            Ok(node) => Ok(self.writer(name, node)),
            Err(source) => Err(DiskError::io("create", full_path(name), source)),
        }
    }

    fn open_write(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        let state = self.state();
        state.find_readable("open", name)?;
        Ok(self.writer(name, state.find("open", name)?))
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let state = self.state();
        read_exactly(
            state.find_readable("read", name)?.bytes(),
            &full_path(name),
            offset,
            buffer,
        )
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.state().find_readable("read", name)?.bytes().to_vec())
    }

    fn open_read(&self, name: &str) -> Result<Box<dyn ReadFile>> {
        let state = self.state();
        state.find_readable("open", name)?;
        let node = state.find("open", name)?;
        Ok(Box::new(FaultyReadFile::new(
            self.clone(),
            node,
            full_path(name),
        )))
    }

    fn len(&self, name: &str) -> Result<u64> {
        Ok(self.state().find_readable("measure", name)?.bytes().len() as u64)
    }

    fn exists(&self, name: &str) -> Result<bool> {
        let state = self.state();
        match check_file(name).and_then(|()| state.check_power()) {
            Ok(()) => Ok(state.names.current().contains_key(name)),
            Err(source) => Err(DiskError::io("look for", full_path(name), source)),
        }
    }

    fn map(&self, name: &str) -> Result<Buffer> {
        Ok(aligned_copy(
            self.state().find_readable("map", name)?.bytes(),
        ))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let outcome = self.state().rename(from, to);
        outcome.map_err(|source| DiskError::io("rename", full_path(from), source))
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        let outcome = self.state().link(from, to);
        outcome.map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => DiskError::io("link to", full_path(to), source),
            _ => DiskError::io("link", full_path(from), source),
        })
    }

    fn remove(&self, name: &str) -> Result<()> {
        let outcome = self.state().remove(name);
        outcome.map_err(|source| DiskError::io("remove", full_path(name), source))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let state = self.state();
        if let Err(source) = check_folder(folder).and_then(|()| state.check_power()) {
            return Err(DiskError::io("list", full_path(folder), source));
        }
        Ok(names_in(folder, state.names.current().keys()))
    }

    fn folders(&self, folder: &str) -> Result<Vec<String>> {
        let state = self.state();
        if let Err(source) = check_folder(folder).and_then(|()| state.check_power()) {
            return Err(DiskError::io("list", full_path(folder), source));
        }
        Ok(names_in(folder, state.names.folders().iter()))
    }

    fn remove_folder(&self, folder: &str) -> Result<()> {
        let outcome = self.state().remove_folder(folder);
        outcome.map_err(|source| DiskError::io("remove folder", full_path(folder), source))
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        let outcome = self.state().sync_folder(folder);
        outcome.map_err(|source| DiskError::io("sync folder", full_path(folder), source))
    }

    fn free_bytes(&self) -> Result<u64> {
        let state = self.state();
        match state.check_power() {
            Ok(()) => Ok(state.capacity.saturating_sub(state.used_bytes())),
            Err(source) => Err(DiskError::io("ask for free room in", ROOT, source)),
        }
    }
}

/// The last parts of the names that lie directly in `folder`.
fn names_in<'a>(folder: &str, names: impl Iterator<Item = &'a String>) -> Vec<String> {
    // Byte order of whole names is byte order of their last parts within one folder.
    names
        .filter(|name| folder_of(name) == folder)
        .map(|name| name[folder.len()..].trim_start_matches('/').to_string())
        .collect()
}

fn full_path(name: &str) -> PathBuf {
    // Joining the empty name would leave a slash at the end of every message.
    if name.is_empty() {
        PathBuf::from(ROOT)
    } else {
        Path::new(ROOT).join(name)
    }
}

/// A copy of `bytes` at an address that is a multiple of [`MAP_ALIGNMENT`], whatever alignment
/// the allocator gives.
fn aligned_copy(bytes: &[u8]) -> Buffer {
    let mut padded: Vec<u8> = Vec::with_capacity(bytes.len() + MAP_ALIGNMENT);
    let padding = padded.as_ptr().align_offset(MAP_ALIGNMENT);
    padded.resize(padding, 0);
    padded.extend_from_slice(bytes);
    Buffer::from_vec(padded).slice(padding)
}

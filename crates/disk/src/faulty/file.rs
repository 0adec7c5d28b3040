//! Open files of a directory in memory.
//!
//! Handles name a node, not a name: like the real ones they outlive a rename and a removal.

use std::path::{Path, PathBuf};

use super::FaultyDirectory;
use super::names::NodeId;
use super::state::State;
use crate::directory::{ReadFile, WriteFile};
use crate::error::{DiskError, Result};

/// A file open for positioned reads.
#[derive(Debug)]
pub(super) struct FaultyReadFile {
    directory: FaultyDirectory,
    node: NodeId,
    path: PathBuf,
}

impl FaultyReadFile {
    pub(super) fn new(directory: FaultyDirectory, node: NodeId, path: PathBuf) -> Self {
        Self {
            directory,
            node,
            path,
        }
    }
}

impl ReadFile for FaultyReadFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let state = self.directory.state();
        let powered = state.check_power();
        powered.map_err(|source| DiskError::io_at("read", &self.path, offset, source))?;
        read_exactly(state.nodes[self.node].bytes(), &self.path, offset, buffer)
    }

    fn len(&self) -> Result<u64> {
        length_of(&self.directory.state(), self.node, &self.path)
    }
}

/// A file open for positioned writes.
#[derive(Debug)]
pub(super) struct FaultyWriteFile {
    directory: FaultyDirectory,
    node: NodeId,
    path: PathBuf,
}

impl FaultyWriteFile {
    pub(super) fn new(directory: FaultyDirectory, node: NodeId, path: PathBuf) -> Self {
        Self {
            directory,
            node,
            path,
        }
    }

    fn sync(&mut self) -> Result<()> {
        let outcome = self.directory.state().sync(self.node);
        outcome.map_err(|source| DiskError::io("sync", &self.path, source))
    }
}

impl WriteFile for FaultyWriteFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let outcome = self.directory.state().write(self.node, offset, bytes);
        outcome.map_err(|source| DiskError::io_at("write", &self.path, offset, source))
    }

    fn preallocate(&mut self, bytes: u64) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let outcome = self.directory.state().preallocate(self.node, bytes);
        outcome.map_err(|source| DiskError::io("reserve room for", &self.path, source))
    }

    fn sync_data(&mut self) -> Result<()> {
        self.sync()
    }

    fn sync_all(&mut self) -> Result<()> {
        self.sync()
    }

    fn len(&self) -> Result<u64> {
        length_of(&self.directory.state(), self.node, &self.path)
    }
}

/// Fills `buffer` from `bytes`, or says how long the file is.
pub(super) fn read_exactly(
    bytes: &[u8],
    path: &Path,
    offset: u64,
    buffer: &mut [u8],
) -> Result<()> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = start.saturating_add(buffer.len());
    match bytes.get(start..end) {
        Some(found) => {
            buffer.copy_from_slice(found);
            Ok(())
        }
        None if buffer.is_empty() => Ok(()),
        None => Err(DiskError::Short {
            path: path.to_path_buf(),
            offset,
            wanted: buffer.len() as u64,
            length: bytes.len() as u64,
        }),
    }
}

fn length_of(state: &State, node: NodeId, path: &Path) -> Result<u64> {
    match state.check_power() {
        Ok(()) => Ok(state.nodes[node].bytes().len() as u64),
        Err(source) => Err(DiskError::io("measure", path, source)),
    }
}

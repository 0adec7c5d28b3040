//! When a faulty directory fails: operations by number, and what happens at them.
//!
//! It owns the plan and its reading, not what a failure does to bytes and names.

use std::collections::BTreeMap;
use std::io;

use rustix::io::Errno;

/// An error that can be ordered for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The medium fails (`EIO`).
    Io,
    /// The disk is full (`ENOSPC`).
    Full,
}

impl Fault {
    pub(crate) fn error(self) -> io::Error {
        match self {
            Self::Io => Errno::IO.into(),
            Self::Full => Errno::NOSPC.into(),
        }
    }
}

/// Which operations of a [`FaultyDirectory`](crate::FaultyDirectory) fail, and how. Operations
/// that change something (create, write, preallocate, sync, link, rename, remove, remove folder,
/// sync folder) are numbered from 0; operation `n` is the one that starts while
/// [`operations`](crate::FaultyDirectory::operations) is `n`. Reads have no number.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    failures: BTreeMap<u64, Fault>,
    failing_syncs_from: Option<u64>,
    crash_at: Option<u64>,
}

impl FaultPlan {
    /// A plan without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Operation `number` fails once. A failing write leaves the first half of its bytes; a
    /// failing sync of a file drops what it should have made durable (see
    /// [`WriteFile`](crate::WriteFile)); the others change nothing.
    #[must_use]
    pub fn fail_operation(mut self, number: u64, fault: Fault) -> Self {
        self.failures.insert(number, fault);
        self
    }

    /// Every sync of a file or folder from operation `number` on fails with `EIO`. A rename, which
    /// ends with a sync, happens, is not durable, and fails.
    #[must_use]
    pub fn fail_syncs_from(mut self, number: u64) -> Self {
        self.failing_syncs_from = Some(number);
        self
    }

    /// The power goes at operation `number`: it may be torn, it and everything after it fails,
    /// reads too. What is left is [`crash_image`](crate::FaultyDirectory::crash_image).
    #[must_use]
    pub fn crash_at(mut self, number: u64) -> Self {
        self.crash_at = Some(number);
        self
    }

    /// What happens at operation `number`; `syncs` says whether it makes something durable.
    pub(crate) fn verdict(&self, number: u64, syncs: bool) -> Verdict {
        if self.crash_at.is_some_and(|at| number >= at) {
            return Verdict::Crash;
        }
        if let Some(fault) = self.failures.get(&number) {
            return Verdict::Refuse(fault.error());
        }
        if syncs && self.failing_syncs_from.is_some_and(|from| number >= from) {
            return Verdict::FailSync(Fault::Io.error());
        }
        Verdict::Run
    }
}

/// What happens at an operation.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// All of it is done.
    Run,
    /// It fails.
    Refuse(io::Error),
    /// What it makes visible is done, what it makes durable fails.
    FailSync(io::Error),
    /// It has begun when the power goes.
    Crash,
}

impl Verdict {
    /// Ends an operation that changes nothing where it is refused.
    pub(crate) fn accept(self) -> io::Result<Self> {
        match self {
            Self::Refuse(error) => Err(error),
            Self::Run | Self::FailSync(_) | Self::Crash => Ok(self),
        }
    }
}

/// What every operation reports after the power went.
pub(crate) fn crashed() -> io::Error {
    io::Error::other("the simulated machine has lost power")
}

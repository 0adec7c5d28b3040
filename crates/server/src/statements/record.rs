//! What is known of one statement, running or ended.

use std::net::SocketAddr;
use std::time::Duration;

use vitalog_query::StatementUsage;

use super::ask::Surface;
use crate::fault::{Fault, Reason};

/// How far a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Waits for its `min_seq` or its turn.
    Queued,
    /// Is being planned.
    Planning,
    /// Computes, or waits for its reader.
    Running,
    /// Gave its last row.
    Finished,
    /// Ended with an error.
    Failed,
    /// Was ended by a call.
    Cancelled,
    /// Its reader went away.
    Abandoned,
}

impl State {
    /// The word of the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Planning => "planning",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether nothing comes after it.
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::Planning | Self::Running)
    }

    /// How a statement ended that ended with `fault`.
    pub fn of(fault: &Fault) -> Self {
        match fault.reason {
            Reason::Cancelled => Self::Cancelled,
            _ => Self::Failed,
        }
    }
}

/// One statement, at the moment it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunningStatement {
    pub id: String,
    pub surface: Surface,
    /// The name of who sent it.
    pub name: Option<String>,
    pub peer: Option<SocketAddr>,
    /// The first 10 KB of its text.
    pub sql: String,
    pub state: State,
    /// Microseconds since 1970.
    pub started_at_us: i64,
    /// From its arrival to its end, or to now.
    pub elapsed: Duration,
    /// From its arrival to its turn.
    pub queued: Duration,
    /// Rows that its reader took.
    pub rows: u64,
    /// Bytes of the columns of those.
    pub bytes: u64,
    pub usage: StatementUsage,
    /// The seq up to which it sees the store; `None` until it is planned.
    pub seq: Option<u64>,
    /// Why it failed.
    pub reason: Option<Reason>,
}

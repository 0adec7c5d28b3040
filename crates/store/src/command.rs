//! What the writer is asked, and what it answers.

use crossbeam::channel::Sender;
use vitalog_event::{EventBatch, Rejection};

use crate::definitions::{DefinitionDraft, DefinitionReceipt};
use crate::error::Result;
use crate::removal::{Begun, RemovalRequest};
use crate::snapshot::SegmentChange;
use crate::symbols::Domain;
use crate::writer_states::WriterMark;

/// What became of an appended batch. Returned once it is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendReceipt {
    /// A read at this `seq` or later sees every event of the batch, duplicates' originals too.
    pub last_seq: i64,
    /// Events stored now.
    pub accepted: usize,
    /// Events that were stored before with the same content.
    pub duplicates: usize,
    /// Events whose id is taken by other content, which stays, and those of days that are no
    /// longer kept; indexes are those of the input.
    pub rejected: Vec<Rejection>,
    /// First and last `seq` of the events stored now, which follow each other; `None` where none
    /// was.
    pub seqs: Option<(i64, i64)>,
}

/// Called once with the outcome of an append.
pub type Reply = Box<dyn FnOnce(Result<AppendReceipt>) + Send>;

/// What the writer is asked.
pub(crate) enum Command {
    Append(Box<Pending>),
    Control(Control),
}

/// An append that waits for its commit group.
pub(crate) struct Pending {
    pub request: Request,
    pub reply: Reply,
}

/// A batch, and its number where it has one.
pub(crate) struct Request {
    pub batch: EventBatch,
    pub mark: Option<WriterMark>,
}

/// Everything that is no append.
pub(crate) enum Control {
    Define {
        draft: DefinitionDraft,
        reply: Sender<Result<DefinitionReceipt>>,
    },
    Flush {
        reply: Sender<Result<()>>,
    },
    /// Shows readers what the upkeep made durable.
    Install {
        change: SegmentChange,
        reply: Sender<()>,
    },
    BeginRemoval {
        request: RemovalRequest,
        reply: Sender<Result<Begun>>,
    },
    /// Empties the string of a forgotten symbol, on disk and in memory.
    EraseSymbol {
        domain: Domain,
        symbol: u32,
        reply: Sender<Result<()>>,
    },
    TrimLog {
        reply: Sender<Result<()>>,
    },
    EndRemoval {
        number: u64,
        reply: Sender<Result<()>>,
    },
    Close {
        reply: Sender<Result<()>>,
    },
}

//! The answer of a statement on its way to the caller.
//!
//! The work is done on the engine's runtime; batches cross to the caller through a channel that
//! holds few, so a slow reader slows the work. Invariant: the stream ends without an error only
//! after the work said that it is done.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::Stream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use crate::control::{Control, cancelled};
use crate::engine::Inner;
use crate::error::{QueryError, QueryErrorKind};
use crate::gauge::{Gauge, StatementUsage};

/// What crosses from the engine's runtime to the caller.
pub(crate) enum Message {
    Batch(RecordBatch),
    Failed(QueryError),
    Done,
}

/// Stops the work of one statement from elsewhere; its stream then ends with an error. Clones stop
/// the same one.
#[derive(Clone, Debug)]
pub struct Stopper {
    control: Arc<Control>,
    task: AbortHandle,
}

impl Stopper {
    /// Stops the work; once it has ended nothing happens.
    pub fn stop(&self) {
        self.control.cancel();
        self.task.abort();
    }
}

/// Work on the engine's runtime; dropping it stops the work.
pub(crate) struct Running {
    control: Arc<Control>,
    task: AbortHandle,
    is_let_go: bool,
}

impl Running {
    pub fn new(control: Arc<Control>, task: AbortHandle) -> Self {
        Self {
            control,
            task,
            is_let_go: false,
        }
    }

    /// Ends the watch over work that is done, without a word to what follows it.
    pub fn let_go(mut self) {
        self.is_let_go = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_let_go {
            self.control.cancel();
            self.task.abort();
        }
    }
}

/// The batches of an answer, all with [`QueryStream::schema`]. Dropping it cancels the work.
///
/// The deadline of the engine holds over the whole stream, the reader's own time included.
#[must_use = "an answer does nothing unless it is read"]
pub struct QueryStream {
    schema: SchemaRef,
    seq: i64,
    receiver: mpsc::Receiver<Message>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// `None` once the stream has ended.
    running: Option<Running>,
    gauge: Gauge,
    // Keeps the runtime alive while its answer is read.
    _engine: Arc<Inner>,
}

impl QueryStream {
    pub(crate) fn new(
        schema: SchemaRef,
        seq: i64,
        receiver: mpsc::Receiver<Message>,
        deadline: Option<Pin<Box<Sleep>>>,
        running: Running,
        gauge: Gauge,
        engine: Arc<Inner>,
    ) -> Self {
        Self {
            schema,
            seq,
            receiver,
            deadline,
            running: Some(running),
            gauge,
            _engine: engine,
        }
    }

    /// The schema of every batch: plain types only, see the crate's documentation.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The `seq` up to which the statement saw the store.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// What the statement took so far, of memory and rows read.
    #[must_use]
    pub fn usage(&self) -> StatementUsage {
        self.gauge.read()
    }

    /// What tells the same from elsewhere, and after the stream is gone.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }

    /// What stops the work from elsewhere; `None` once the stream has ended.
    #[must_use]
    pub fn stopper(&self) -> Option<Stopper> {
        self.running.as_ref().map(|running| Stopper {
            control: Arc::clone(&running.control),
            task: running.task.clone(),
        })
    }

    fn end_with(&mut self, error: QueryError) -> Poll<Option<Result<RecordBatch, QueryError>>> {
        self.running = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl std::fmt::Debug for QueryStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let has_ended = self.running.is_none();
        formatter
            .debug_struct("QueryStream")
            .field("seq", &self.seq)
            .field("schema", &self.schema)
            .field("has_ended", &has_ended)
            .finish_non_exhaustive()
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(running) = &self.running else {
            return Poll::Ready(None);
        };
        let control = Arc::clone(&running.control);
        let is_late = self
            .deadline
            .as_mut()
            .is_some_and(|sleep| sleep.as_mut().poll(context).is_ready());
        if is_late {
            return self.end_with(control.past_deadline());
        }
        match self.receiver.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Message::Batch(batch))) => Poll::Ready(Some(Ok(batch))),
            Poll::Ready(Some(Message::Failed(error))) => self.end_with(error),
            Poll::Ready(Some(Message::Done)) => {
                self.running = None;
                Poll::Ready(None)
            }
            Poll::Ready(None) if control.is_cancelled() => self.end_with(cancelled()),
            Poll::Ready(None) => {
                let message = "the engine was closed before the answer ended";
                self.end_with(QueryError::new(QueryErrorKind::Closed, message))
            }
        }
    }
}

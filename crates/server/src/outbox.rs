//! Streams on their way out: a task that makes messages, and a channel that holds few.
//!
//! Invariants: the task ends, and with it what it holds, when its reader is gone, its deadline has
//! passed or the server wants it to stop, whatever it awaits; work that blocks, like a look at the
//! log, ends first. A stream ends without an error only where all of it was made.

use std::future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::deadline::Deadline;
use crate::fault::Fault;
use crate::gate::Gate;

/// Messages made ahead of a reader.
const MESSAGES_AHEAD: usize = 2;

/// What a stream sends to its client.
pub(crate) type Outgoing<T> = ReceiverStream<Result<T, Status>>;

/// Where a producing task puts its messages.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    sender: mpsc::Sender<Result<T, Status>>,
}

impl<T: Send + 'static> Outbox<T> {
    /// Sends one message, waiting while the reader is slow. The reader's going ends the task, so
    /// there is nothing to report.
    pub async fn send(&self, message: T) {
        if self.sender.send(Ok(message)).await.is_err() {
            // Nothing more is made for a reader that is gone.
            future::pending::<()>().await;
        }
    }
}

impl<T> Outbox<T> {
    /// Sends one message if the reader has room for it now: for what may be left out.
    pub fn offer(&self, message: T) {
        let _ = self.sender.try_send(Ok(message));
    }
}

/// When a stream ends other than by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct End {
    /// Whether it would go on for ever: such a stream ends when the server drains, others have some
    /// time then.
    pub is_endless: bool,
    /// Time left of what the client allowed.
    pub timeout: Option<Duration>,
}

impl End {
    /// The end of what ends by itself, in `timeout` at the latest.
    pub fn within(timeout: Option<Duration>) -> Self {
        Self {
            timeout,
            ..Self::default()
        }
    }
}

/// Starts a stream whose messages `produce` makes.
pub(crate) fn stream<T, F>(
    gate: &Gate,
    end: End,
    produce: impl FnOnce(Outbox<T>) -> F,
) -> Outgoing<T>
where
    T: Send + 'static,
    F: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(MESSAGES_AHEAD);
    let producing = produce(Outbox {
        sender: sender.clone(),
    });
    let producing = AssertUnwindSafe(producing).catch_unwind();
    let stop = if end.is_endless {
        gate.draining()
    } else {
        gate.expired()
    };
    let stop = stop.clone();
    gate.spawn(async move {
        let fault = tokio::select! {
            biased;
            () = sender.closed() => return,
            produced = producing => match produced {
                Ok(Ok(())) => return,
                Ok(Err(fault)) => fault,
                // Its end without a word would look like the last message.
                Err(_) => Fault::of_panic(),
            },
            () = stop.cancelled() => Fault::shutting_down(),
            () = passing(end.timeout) => Deadline::passed(),
        };
        // Waits for room; a reader that goes away wakes it.
        let _ = sender.send(Err(fault.into())).await;
    });
    ReceiverStream::new(receiver)
}

async fn passing(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::StreamExt;
    use tokio::sync::oneshot;
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_stream() {
        let gate = Gate::default();
        let messages = stream(&gate, End::default(), |outbox| async move {
            outbox.send(1).await;
            panic!("a bug");
        });
        let messages: Vec<_> = messages.collect().await;
        assert!(matches!(&messages[0], Ok(1)));
        assert!(matches!(&messages[1], Err(status) if status.code() == Code::Internal));
        assert_eq!(messages.len(), 2);
    }

    #[tokio::test]
    async fn nothing_is_made_for_a_reader_that_is_gone() {
        let gate = Gate::default();
        let made = Arc::new(AtomicUsize::new(0));
        let (counted, (give, taken)) = (Arc::clone(&made), oneshot::channel());
        let messages = stream(&gate, End::default(), |outbox| async move {
            // The reader goes between two messages of one turn.
            drop(taken.await);
            loop {
                counted.fetch_add(1, Ordering::SeqCst);
                outbox.send(()).await;
            }
        });
        assert!(give.send(messages).is_ok());
        gate.drain();
        gate.emptied().await;
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }
}

//! Streams on their way out: a task that makes messages, and a channel that holds few.
//!
//! Invariants: the task ends, and with it what it holds, when its reader is gone, its deadline has
//! passed or the server wants it to stop, whatever it is waiting for; a stream ends without an error
//! only where all of it was made.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::deadline::Deadline;
use crate::fault::Fault;
use crate::gate::Gate;

/// Messages made ahead of a reader.
const MESSAGES_AHEAD: usize = 2;

/// What a stream sends to its client.
pub(crate) type Outgoing<T> = ReceiverStream<Result<T, Status>>;

/// Where a producing task puts its messages.
#[derive(Clone, Debug)]
pub(crate) struct Outbox<T> {
    sender: mpsc::Sender<Result<T, Status>>,
}

impl<T: Send + 'static> Outbox<T> {
    /// Sends one message, waiting while the reader is slow. The reader's going ends the task, so
    /// there is nothing to report.
    pub async fn send(&self, message: T) {
        let _ = self.sender.send(Ok(message)).await;
    }
}

impl<T> Outbox<T> {
    /// Sends one message if the reader has room for it now: for what may be left out.
    pub fn offer(&self, message: T) {
        let _ = self.sender.try_send(Ok(message));
    }
}

/// When a stream ends other than by itself.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The server's word.
    pub stop: CancellationToken,
    /// Time left of what the client allowed.
    pub timeout: Option<Duration>,
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
            () = end.stop.cancelled() => Fault::shutting_down(),
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
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_stream() {
        let gate = Gate::default();
        let end = End {
            stop: CancellationToken::new(),
            timeout: None,
        };
        let messages = stream(&gate, end, |outbox| async move {
            outbox.send(1).await;
            panic!("a bug");
        });
        let messages: Vec<_> = messages.collect().await;
        assert!(matches!(&messages[0], Ok(1)));
        assert!(matches!(&messages[1], Err(status) if status.code() == Code::Internal));
        assert_eq!(messages.len(), 2);
    }
}

//! Streams on their way out: a task that makes messages, and a channel that holds few.
//!
//! Invariant: the task ends, and with it what it holds, when its reader is gone, its deadline has
//! passed or the server wants it to stop, whatever it is waiting for.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::fault::{Fault, Reason};
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
    gate.spawn(async move {
        let fault = tokio::select! {
            biased;
            () = sender.closed() => return,
            produced = producing => match produced {
                Ok(()) => return,
                Err(fault) => fault,
            },
            () = end.stop.cancelled() => Fault::shutting_down(),
            () = passing(end.timeout) => {
                Fault::new(Reason::DeadlineExceeded, "the deadline of the call has passed")
            }
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

/// The time that a client gives a call, from its `grpc-timeout` header: up to eight digits and a
/// unit. The transport enforces it only until the answer begins; streams go on for long after.
pub(crate) fn timeout_of(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_header_is_read_as_grpc_defines_it() {
        let cases = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("5", None),
            ("+5S", None),
            ("999999999S", None),
        ];
        for (text, expected) in cases {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().expect("ASCII"));
            assert_eq!(timeout_of(&metadata), expected, "{text}");
        }
        assert_eq!(timeout_of(&MetadataMap::new()), None);
    }
}

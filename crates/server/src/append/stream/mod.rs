//! `EventService.AppendStream`: the numbered batches of a writer in, one ack for each out, in order.
//!
//! A stream has two halves that run in one task. One takes messages: it checks a batch, hands it to
//! the log and does not wait for it, so that one sync of the log serves many batches. The other
//! waits for the outcomes in the order of taking and answers. The log decides about numbers.
//! Invariants: every batch that is taken is answered, or the stream ends with a fault that says
//! that outcomes are unknown; none is taken of a caller whose token was taken out; what a stream
//! holds is bounded by its credit, by [`STREAM_BATCHES_MAX`] and by [`STREAM_REMARKS_BYTES`], also
//! where nobody reads its acks.

mod credit;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use prost::Message;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use vitalog_store::{StoreError, WriterMark, check_writer_id};
use vitalog_wire::google::rpc;
use vitalog_wire::vitalog::v1::append_stream_ack::Outcome as AckOutcome;
use vitalog_wire::vitalog::v1::append_stream_response::Part;
use vitalog_wire::vitalog::v1::{
    AppendResponse, AppendStreamAck, AppendStreamOpened, AppendStreamResponse,
};

use self::credit::Credit;
use super::answer::report;
use super::intake::Remarks;
use super::request::StreamView;
use super::{Appender, Outcome, unknown_outcome};
use crate::admission::WriteRight;
use crate::fault::{Fault, Reason};
use crate::gate::Gate;
use crate::limits::{
    STREAM_BATCHES_MAX, STREAM_CREDIT_BYTES, STREAM_EVENTS_MAX, STREAM_REMARKS_BYTES,
};
use crate::metrics::PendingBytes;
use crate::outbox::{self, End, Outbox, Outgoing};

/// Streams of writers, as the server runs them.
#[derive(Clone, Debug)]
pub(crate) struct AppendStreams {
    pub appender: Appender,
    pub gate: Gate,
    /// Slots of open streams.
    pub slots: Arc<Semaphore>,
    /// How long a stream may take to say who writes.
    pub open_wait: Duration,
}

/// A batch that was taken and not yet answered.
struct Taken {
    number: u64,
    /// Credit that its message took.
    bytes: usize,
    /// Room that its remarks took.
    remarks_bytes: usize,
    outcome: Result<Handed, Fault>,
}

/// A batch that the log has.
struct Handed {
    remarks: Remarks,
    outcome: Outcome,
    pending: PendingBytes,
}

/// What a stream may hold for batches under way.
struct Held {
    credit: Credit,
    /// Bytes left for remarks. A batch may take more than are left; the next one waits.
    remarks: Semaphore,
}

impl Held {
    /// Waits until there is room for another batch.
    async fn has_room(&self) -> bool {
        self.remarks.acquire().await.is_ok()
    }
}

impl AppendStreams {
    /// Serves one stream, whose messages are encoded `AppendStreamRequest`s, for as long as its
    /// caller has the `right` to.
    pub fn serve(
        &self,
        requests: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
        right: WriteRight,
        timeout: Option<Duration>,
    ) -> Result<Outgoing<AppendStreamResponse>, Fault> {
        let slot = Arc::clone(&self.slots)
            .try_acquire_owned()
            .map_err(|_| Fault::busy("append streams"))?;
        // A draining server lets a stream answer what it took; see `take_all`.
        let end = End::within(timeout);
        let streams = self.clone();
        Ok(outbox::stream(&self.gate, end, |outbox| async move {
            let _slot = slot;
            streams.run(requests, right, outbox).await
        }))
    }

    async fn run(
        &self,
        requests: impl Stream<Item = Result<Bytes, Status>>,
        mut right: WriteRight,
        outbox: Outbox<AppendStreamResponse>,
    ) -> Result<(), Fault> {
        let mut requests = pin!(requests);
        let opening = tokio::time::timeout(self.open_wait, opened_by(requests.as_mut()));
        let writer = until(self.gate.draining(), opening).await?;
        let writer = writer.map_err(|_| {
            let waited = self.open_wait.as_secs();
            let message = format!("the stream was not opened within {waited} s");
            Fault::new(Reason::DeadlineExceeded, message)
        })??;
        let state = self.appender.store.writer_state(&writer);
        let opened = AppendStreamOpened {
            last_number: state.map_or(0, |state| state.last_number),
            credit_bytes: STREAM_CREDIT_BYTES as u64,
        };
        outbox.send(message(Part::Opened(opened))).await;
        let held = Held {
            credit: Credit::new(STREAM_CREDIT_BYTES),
            remarks: Semaphore::new(STREAM_REMARKS_BYTES),
        };
        let (taken, waiting) = mpsc::channel(STREAM_BATCHES_MAX);
        let may_go_on = || right.check();
        let taking = self.take_all(&writer, requests, may_go_on, taken, &held);
        let (taken, answered) = tokio::join!(taking, answer_all(waiting, &outbox, &held));
        answered.and(taken)
    }

    /// Takes batches until there are no more, the caller may not any longer, the server leaves, or
    /// the other half has ended.
    async fn take_all(
        &self,
        writer: &str,
        mut requests: Pin<&mut impl Stream<Item = Result<Bytes, Status>>>,
        mut may_go_on: impl FnMut() -> Result<(), Fault>,
        taken: mpsc::Sender<Taken>,
        held: &Held,
    ) -> Result<(), Fault> {
        loop {
            // Before the next message is read: what is not read stays with the client.
            let room = until(self.gate.draining(), taken.reserve()).await?;
            let (Ok(room), true) = (room, until(self.gate.draining(), held.has_room()).await?)
            else {
                return Ok(());
            };
            let next = tokio::select! {
                biased;
                () = taken.closed() => return Ok(()),
                next = until(self.gate.draining(), requests.next()) => next?,
            };
            let Some(next) = next else {
                return Ok(());
            };
            let next = next.map_err(|status| unread(&status))?;
            may_go_on()?;
            held.credit.take(next.len())?;
            let (number, append) = batch_of(&next)?;
            let bytes = next.len();
            drop(next);
            let outcome = self.take(writer, number, append).await;
            let remarks_bytes = match &outcome {
                Ok(handed) => held.remarks.forget_permits(handed.remarks.bytes()),
                Err(_) => 0,
            };
            room.send(Taken {
                number,
                bytes,
                remarks_bytes,
                outcome,
            });
        }
    }

    /// Checks a batch and hands it to the log.
    async fn take(&self, writer: &str, number: u64, append: Bytes) -> Result<Handed, Fault> {
        let mark = WriterMark::new(writer, number).map_err(|error| {
            Fault::of_field(Reason::InvalidRequest, "number", error.to_string())
        })?;
        let last = self.appender.store.writer_state(writer);
        let last_number = last.map_or(0, |state| state.last_number);
        if number <= last_number {
            // The log would say so too; what was taken long ago need not be checked again.
            return Err(StoreError::NumberDurable {
                number,
                last_number,
            }
            .into());
        }
        let pending = self.appender.metrics.pending(append.len());
        let mut checked = self.appender.check(&append, STREAM_EVENTS_MAX).await?;
        drop(append);
        // Its number makes a repetition safe, whatever ids were made.
        checked.remarks.is_random = false;
        let outcome = self.appender.submit(&checked, Some(&mark)).await?;
        let remarks = checked.remarks;
        Ok(Handed {
            remarks,
            outcome,
            pending,
        })
    }
}

/// Answers what was taken, in order.
///
/// # Errors
/// Outcomes are unknown from here on.
async fn answer_all(
    mut waiting: mpsc::Receiver<Taken>,
    outbox: &Outbox<AppendStreamResponse>,
    held: &Held,
) -> Result<(), Fault> {
    while let Some(taken) = waiting.recv().await {
        let outcome = match taken.outcome {
            Ok(handed) => outcome_of(handed).await,
            Err(fault) => Err(fault),
        };
        let outcome = match outcome {
            Ok(response) => AckOutcome::Appended(response),
            Err(fault) if ends_stream(fault.reason) => return Err(fault),
            Err(fault) => AckOutcome::Status(status_of(fault)),
        };
        held.remarks.add_permits(taken.remarks_bytes);
        // First: the client may send the moment it has the ack.
        held.credit.give(taken.bytes);
        let ack = AppendStreamAck {
            number: taken.number,
            outcome: Some(outcome),
            credit_bytes: taken.bytes as u64,
        };
        outbox.send(message(Part::Ack(ack))).await;
    }
    Ok(())
}

async fn outcome_of(handed: Handed) -> Result<AppendResponse, Fault> {
    let Handed {
        remarks,
        outcome,
        pending,
    } = handed;
    let outcome = outcome.await;
    drop(pending);
    match outcome {
        Ok(receipt) => Ok(report(remarks, receipt?)),
        Err(_) => Err(unknown_outcome()),
    }
}

/// Whether nothing can be answered any more after a batch failed so.
fn ends_stream(reason: Reason) -> bool {
    matches!(reason, Reason::OutcomeUnknown | Reason::ShuttingDown)
}

fn message(part: Part) -> AppendStreamResponse {
    AppendStreamResponse { part: Some(part) }
}

/// What `future` gives, unless the server leaves before.
async fn until<T>(
    draining: &CancellationToken,
    future: impl Future<Output = T>,
) -> Result<T, Fault> {
    tokio::select! {
        biased;
        () = draining.cancelled() => Err(Fault::shutting_down()),
        output = future => Ok(output),
    }
}

/// The id in the first message of a stream.
async fn opened_by(
    mut requests: Pin<&mut impl Stream<Item = Result<Bytes, Status>>>,
) -> Result<String, Fault> {
    let first = requests.next().await.ok_or_else(|| {
        let message = "the stream ended before it was opened";
        Fault::of_field(Reason::InvalidRequest, "open", message)
    })?;
    writer_of(&first.map_err(|status| unread(&status))?)
}

/// The id in a message that opens a stream.
fn writer_of(message: &Bytes) -> Result<String, Fault> {
    let Some(StreamView::Open(writer_id)) = StreamView::decode(message)? else {
        let message = "the first message of a stream says who writes";
        return Err(Fault::of_field(Reason::InvalidRequest, "open", message));
    };
    let wrong = |message: String| Fault::of_field(Reason::InvalidRequest, "writer_id", message);
    let writer_id = String::from_utf8(writer_id.into())
        .map_err(|_| wrong("the text is not UTF-8".to_owned()))?;
    check_writer_id(&writer_id).map_err(|error| wrong(error.to_string()))?;
    Ok(writer_id)
}

/// Whether `message` opens a stream, or has a batch with a number that `is_taken`.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn is_taken(message: &Bytes, is_taken: impl FnOnce(&Bytes) -> bool) -> bool {
    let is_batch = |(number, append): (u64, Bytes)| {
        WriterMark::new("writer", number).is_ok() && is_taken(&append)
    };
    writer_of(message).is_ok() || batch_of(message).is_ok_and(is_batch)
}

/// The batch of a message that is not the first.
fn batch_of(message: &Bytes) -> Result<(u64, Bytes), Fault> {
    let wrong = |message: &str| Fault::of_field(Reason::InvalidRequest, "part", message);
    match StreamView::decode(message)? {
        Some(StreamView::Batch { number, append }) => Ok((number, append)),
        Some(StreamView::Open(_)) => Err(wrong("the stream is open already")),
        None => Err(wrong("a message has neither open nor batch")),
    }
}

/// Why the next message could not be read.
fn unread(status: &Status) -> Fault {
    let reason = match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => Reason::RequestTooLarge,
        // The connection is gone, and nobody hears this.
        Code::Cancelled | Code::Unavailable | Code::Unknown => Reason::StoreUnavailable,
        _ => Reason::MalformedMessage,
    };
    Fault::new(
        reason,
        format!("a message could not be read: {}", status.message()),
    )
}

/// A fault as acks carry it: with the details of a failed call.
fn status_of(fault: Fault) -> rpc::Status {
    let status = Status::from(fault);
    rpc::Status::decode(status.details()).unwrap_or_else(|_| rpc::Status {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_an_ack_has_code_message_and_details() {
        let fault = Fault::from(StoreError::NumberGap {
            number: 9,
            last_number: 4,
        });
        let status = status_of(fault);
        assert_eq!(status.code, Code::OutOfRange as i32);
        assert!(
            status.message.contains("does not follow batch 4"),
            "{}",
            status.message
        );
        assert_eq!(status.details.len(), 1);
        assert!(status.details[0].type_url.ends_with("google.rpc.ErrorInfo"));
    }

    #[test]
    fn only_unknown_outcomes_and_leaving_end_a_stream() {
        for reason in Reason::ALL {
            let ends = matches!(reason, Reason::OutcomeUnknown | Reason::ShuttingDown);
            assert_eq!(ends_stream(reason), ends, "{reason:?}");
        }
        assert!(ends_stream(unknown_outcome().reason));
        assert!(ends_stream(Fault::from(StoreError::Closed).reason));
        assert!(ends_stream(
            Fault::from(StoreError::Poisoned("io".to_owned())).reason
        ));
    }
}

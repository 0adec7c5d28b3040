//! `EventService.Append`: bytes of a request in, a durable batch and its report out.
//!
//! It owns the order of the steps: read, check, hand to the log, wait, report. Checking a batch of
//! more than a few events leaves the reactor; waiting for the log costs no thread. Invariant: an
//! answer means that the log has answered.

mod arrow;
mod codec;
mod frames;
mod intake;
mod request;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use vitalog_event::{EventBatch, Rejection, RejectionCode, schema};
use vitalog_store::{AppendReceipt, Store, StoreError, StoreErrorKind};
use vitalog_wire::vitalog::v1::{AppendResponse, Rejected};

use self::arrow::ArrowEvents;
pub(crate) use self::codec::AppendCodec;
use self::intake::{Checked, Intake, RawEvent, too_many};
use self::request::{AppendView, BatchView, EventView, events_of};
use crate::fault::{Fault, Reason};
use crate::instant::microseconds;
use crate::limits::{APPEND_BYTES_MAX, REQUEST_ID_BYTES_MAX};

/// Requests up to this many bytes are checked where they arrive: handing them to another thread
/// would take longer.
const INLINE_BYTES_MAX: usize = 8 << 10;

/// First and longest pause before a full queue of the log is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Appends requests to a store.
#[derive(Clone, Debug)]
pub(crate) struct Appender {
    pub store: Arc<Store>,
    /// How long to wait for room in the log's queue.
    pub queue_wait: Duration,
}

impl Appender {
    /// Appends the encoded `AppendRequest` in `message`.
    pub async fn append(&self, message: Bytes) -> Result<AppendResponse, Fault> {
        if message.len() > APPEND_BYTES_MAX {
            let text = format!(
                "the request has {} bytes, at most {APPEND_BYTES_MAX} (10 MiB) are taken; send \
                 several smaller batches",
                message.len()
            );
            return Err(Fault::new(Reason::RequestTooLarge, text));
        }
        let now_us = self.store.clock().now_us();
        let view = AppendView::decode(&message)?;
        let is_small = message.len() <= INLINE_BYTES_MAX
            && matches!(view.batch, None | Some(BatchView::Events(_)));
        let checked = if is_small {
            check(&view, now_us)?
        } else {
            tokio::task::spawn_blocking(move || check(&view, now_us))
                .await
                .map_err(|error| Fault::of_task(&error))??
        };
        let receipt = if checked.batch.is_empty() {
            AppendReceipt {
                last_seq: self.store.snapshot().seq(),
                ..AppendReceipt::default()
            }
        } else {
            self.commit(&checked.batch).await?
        };
        Ok(report(checked, receipt))
    }

    /// Hands a batch to the log and waits until it is durable.
    async fn commit(&self, batch: &EventBatch) -> Result<AppendReceipt, Fault> {
        let deadline = tokio::time::Instant::now() + self.queue_wait;
        let mut pause = BACKOFF.0;
        loop {
            let (sender, outcome) = oneshot::channel();
            let reply = Box::new(move |outcome| {
                // A caller that has gone away needs no answer.
                let _ = sender.send(outcome);
            });
            match self.store.submit(batch.clone(), reply) {
                Ok(()) => {
                    return match outcome.await {
                        Ok(receipt) => receipt.map_err(Fault::from),
                        Err(_) => Err(unknown_outcome()),
                    };
                }
                Err(error) if is_queue_full(&error) => {
                    if tokio::time::Instant::now() + pause > deadline {
                        return Err(error.into());
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(BACKOFF.1);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn is_queue_full(error: &StoreError) -> bool {
    matches!(error, StoreError::Limit { .. }) && error.kind() == StoreErrorKind::Limit
}

fn unknown_outcome() -> Fault {
    let message = "the log ended before it answered: the outcome of this append is unknown; send \
                   the same request again";
    Fault::new(Reason::OutcomeUnknown, message)
}

/// Validates every event of a request.
fn check(view: &AppendView, now_us: i64) -> Result<Checked, Fault> {
    let request_id = check_request_id(&view.request_id)?;
    match &view.batch {
        None => {
            let message = "the request has neither events nor arrow_ipc";
            Err(Fault::of_field(Reason::InvalidRequest, "batch", message))
        }
        Some(BatchView::Events(batches)) => check_messages(batches, request_id, now_us),
        Some(BatchView::Arrow(stream)) => check_arrow(stream, request_id, now_us),
    }
}

fn check_request_id(bytes: &[u8]) -> Result<&str, Fault> {
    let wrong = |message| Fault::of_field(Reason::InvalidRequest, "request_id", message);
    if bytes.len() > REQUEST_ID_BYTES_MAX {
        let length = bytes.len();
        return Err(wrong(format!(
            "{length} bytes, at most {REQUEST_ID_BYTES_MAX} are taken"
        )));
    }
    str::from_utf8(bytes).map_err(|_| wrong("the text is not UTF-8".to_owned()))
}

fn check_messages(batches: &[Bytes], request_id: &str, now_us: i64) -> Result<Checked, Fault> {
    // Counting first costs little and saves growing eight columns.
    let rows = batches.iter().flat_map(|batch| events_of(batch)).count();
    if rows > vitalog_event::limits::BATCH_EVENTS_MAX {
        return Err(too_many(vitalog_event::limits::BATCH_EVENTS_MAX));
    }
    let mut intake = Intake::new(now_us, request_id, rows);
    for message in batches.iter().flat_map(|batch| events_of(batch)) {
        let event = EventView::decode(message?)?;
        match event.event_time.map(microseconds).transpose() {
            Ok(event_time_us) => intake.take(&raw_of(&event, event_time_us))?,
            Err(message) => intake.reject(schema::EVENT_TIME, RejectionCode::WrongType, message),
        }
    }
    Ok(intake.finish())
}

fn raw_of<'a>(event: &EventView<'a>, event_time_us: Option<i64>) -> RawEvent<'a> {
    RawEvent {
        event_id: event.event_id,
        event_time_us,
        // Absent and empty are the same for this field.
        event: (!event.event.is_empty()).then_some(event.event),
        account_id: event.account_id,
        user_id: event.user_id,
        value: event.value,
        properties: event.properties,
    }
}

fn check_arrow(stream: &Bytes, request_id: &str, now_us: i64) -> Result<Checked, Fault> {
    let events = ArrowEvents::decode(stream)?;
    let mut intake = Intake::new(now_us, request_id, events.len());
    for row in 0..events.len() {
        intake.take(&events.row(row))?;
    }
    Ok(intake.finish())
}

/// What the caller is told: everything that was refused, whether here or by the log, in order.
fn report(checked: Checked, receipt: AppendReceipt) -> AppendResponse {
    let Checked {
        mut rejections,
        mut assigned,
        is_random,
        ..
    } = checked;
    if !receipt.rejected.is_empty() {
        let refused: std::collections::HashSet<u64> = receipt
            .rejected
            .iter()
            .map(|rejection| rejection.index as u64)
            .collect();
        assigned.retain(|id| !refused.contains(&id.index));
        rejections.extend(receipt.rejected);
        rejections.sort_by_key(|rejection| rejection.index);
    }
    AppendResponse {
        last_seq: receipt.last_seq as u64,
        accepted: receipt.accepted as u64,
        duplicates: receipt.duplicates as u64,
        rejected: rejections.into_iter().map(rejected).collect(),
        retry_unsafe: is_random && !assigned.is_empty(),
        assigned_ids: assigned,
        first_seq: receipt.seqs.map(|(first, _)| first as u64),
    }
}

fn rejected(rejection: Rejection) -> Rejected {
    Rejected {
        index: rejection.index as u64,
        field: rejection.field.to_owned(),
        code: rejection.code.as_str().to_owned(),
        message: rejection.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_merges_both_kinds_of_refusals_in_order() {
        let mut intake = Intake::new(0, "r", 3);
        for event in ["a", "$b", "c"] {
            let raw = RawEvent {
                event: Some(event.as_bytes()),
                ..RawEvent::default()
            };
            intake.take(&raw).expect("room");
        }
        let conflict = Rejection {
            index: 0,
            field: schema::EVENT_ID,
            code: RejectionCode::Conflict,
            message: "taken".to_owned(),
        };
        let receipt = AppendReceipt {
            last_seq: 7,
            accepted: 1,
            duplicates: 0,
            rejected: vec![conflict],
            seqs: Some((7, 7)),
        };
        let answer = report(intake.finish(), receipt);
        let refused: Vec<_> = answer
            .rejected
            .iter()
            .map(|one| (one.index, one.code.as_str()))
            .collect();
        assert_eq!(refused, [(0, "conflict"), (1, "reserved_name")]);
        assert_eq!(answer.assigned_ids.len(), 1);
        assert_eq!((answer.assigned_ids[0].index, answer.last_seq), (2, 7));
        assert_eq!(answer.first_seq, Some(7));
        assert!(!answer.retry_unsafe);
    }
}

//! `EventService.Append`: bytes of a request in, a durable batch and its report out. `AppendStream`
//! (see `stream`) does the same for the numbered batches of a writer.
//!
//! It owns the order of the steps: read, check, hand to the log, wait, report. Checking a batch of
//! more than a few events leaves the reactor; waiting for the log costs no thread. Invariant: an
//! answer means that the log has answered.

mod account;
mod answer;
mod arrow;
mod codec;
mod frames;
mod ingest;
mod intake;
mod made;
mod publications;
mod request;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;
use vitalog_event::limits::BATCH_EVENTS_MAX;
use vitalog_event::{RejectionCode, schema};
use vitalog_store::{AppendReceipt, Store, StoreError, StoreErrorKind, WriterMark};
use vitalog_wire::vitalog::v1::AppendResponse;

use self::account::Account;
use self::answer::report;
use self::arrow::ArrowEvents;
pub(crate) use self::codec::AppendCodec;
pub(crate) use self::ingest::EventColumns;
use self::intake::{Checked, Intake, RawEvent, too_many};
pub(crate) use self::publications::Publications;
use self::request::{AppendView, BatchView, EventView, events_of};
pub(crate) use self::stream::AppendStreams;
use crate::fault::{Fault, Reason};
use crate::instant::microseconds;
use crate::limits::{APPEND_BYTES_MAX, REQUEST_ID_BYTES_MAX};
use crate::metrics::AppendMetrics;

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
    /// When what was appended could be seen.
    pub publications: Publications,
    pub metrics: AppendMetrics,
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
        let _pending = self.metrics.pending(message.len());
        let checked = self.check(&message, BATCH_EVENTS_MAX).await?;
        let receipt = self.commit(&checked).await?;
        Ok(report(checked.remarks, receipt))
    }

    /// Hands what is valid to the log, where anything is, and waits until it is durable.
    async fn commit(&self, checked: &Checked) -> Result<AppendReceipt, Fault> {
        if checked.batch.is_empty() {
            let receipt = AppendReceipt {
                last_seq: self.store.snapshot().seq(),
                ..AppendReceipt::default()
            };
            self.account(checked).of_receipt(&receipt);
            return Ok(receipt);
        }
        match self.submit(checked, None).await?.await {
            Ok(receipt) => receipt.map_err(Fault::from),
            Err(_) => Err(unknown_outcome()),
        }
    }

    /// What is counted of a batch that has arrived now.
    fn account(&self, checked: &Checked) -> Account {
        Account {
            metrics: self.metrics.clone(),
            publications: self.publications.clone(),
            arrived: Instant::now(),
            has_events: !checked.batch.is_empty(),
            refused: checked.remarks.refused as u64,
        }
    }

    /// Validates the encoded `AppendRequest` in `message`, of at most `events_max` events.
    async fn check(&self, message: &Bytes, events_max: usize) -> Result<Checked, Fault> {
        let now_us = self.store.clock().now_us();
        let view = AppendView::decode(message)?;
        let is_small = message.len() <= INLINE_BYTES_MAX
            && matches!(view.batch, None | Some(BatchView::Events(_)));
        if is_small {
            return check(&view, now_us, events_max);
        }
        tokio::task::spawn_blocking(move || check(&view, now_us, events_max))
            .await
            .map_err(|error| Fault::of_task(&error))?
    }

    /// Hands a batch to the log, with its number where it has one; the outcome comes later, and is
    /// counted whether anybody still waits for it or not.
    async fn submit(&self, checked: &Checked, mark: Option<&WriterMark>) -> Result<Outcome, Fault> {
        let account = Arc::new(self.account(checked));
        let deadline = tokio::time::Instant::now() + self.queue_wait;
        let mut pause = BACKOFF.0;
        loop {
            let (sender, outcome) = oneshot::channel();
            let account = Arc::clone(&account);
            let reply = Box::new(move |outcome: vitalog_store::Result<AppendReceipt>| {
                if let Ok(receipt) = &outcome {
                    account.of_receipt(receipt);
                }
                // A caller that has gone away needs no answer.
                let _ = sender.send(outcome);
            });
            let batch = checked.batch.clone();
            let submitted = match mark {
                Some(mark) => self.store.submit_as(mark.clone(), batch, reply),
                None => self.store.submit(batch, reply),
            };
            match submitted {
                Ok(()) => return Ok(outcome),
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

/// What the log will answer; an error where it ends before it does.
type Outcome = oneshot::Receiver<vitalog_store::Result<AppendReceipt>>;

fn is_queue_full(error: &StoreError) -> bool {
    matches!(error, StoreError::Limit { .. }) && error.kind() == StoreErrorKind::Limit
}

fn unknown_outcome() -> Fault {
    let message = "the log ended before it answered: the outcome of this append is unknown; send \
                   the same request again";
    Fault::new(Reason::OutcomeUnknown, message)
}

/// Whether the bytes of a request would be handed to the log.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_taken(message: &Bytes, now_us: i64) -> bool {
    let view = AppendView::decode(message);
    view.is_ok_and(|view| check(&view, now_us, BATCH_EVENTS_MAX).is_ok())
}

/// Whether the bytes of a message of a writer's stream would open it, or be handed to the log.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_taken_of_stream(message: &Bytes, now_us: i64) -> bool {
    stream::is_taken(message, |append| is_taken(append, now_us))
}

/// Validates every event of a request.
fn check(view: &AppendView, now_us: i64, events_max: usize) -> Result<Checked, Fault> {
    let request_id = check_request_id(&view.request_id)?;
    match &view.batch {
        None => {
            let message = "the request has neither events nor arrow_ipc";
            Err(Fault::of_field(Reason::InvalidRequest, "batch", message))
        }
        Some(BatchView::Events(batches)) => check_messages(batches, request_id, now_us, events_max),
        Some(BatchView::Arrow(stream)) => check_arrow(stream, request_id, now_us, events_max),
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

fn check_messages(
    batches: &[Bytes],
    request_id: &str,
    now_us: i64,
    events_max: usize,
) -> Result<Checked, Fault> {
    // Counting first costs little and saves growing eight columns.
    let rows = batches.iter().flat_map(|batch| events_of(batch)).count();
    if rows > events_max {
        return Err(too_many(events_max, events_max));
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

fn check_arrow(
    stream: &Bytes,
    request_id: &str,
    now_us: i64,
    events_max: usize,
) -> Result<Checked, Fault> {
    let events = ArrowEvents::decode(stream)?;
    if events.len() > events_max {
        return Err(too_many(events_max, events_max));
    }
    let mut intake = Intake::new(now_us, request_id, events.len());
    for row in 0..events.len() {
        intake.take(&events.row(row))?;
    }
    Ok(intake.finish())
}

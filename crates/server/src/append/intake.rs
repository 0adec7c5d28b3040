//! From fields as they came to a batch of valid events: text becomes UTF-8, absent times become
//! the server's, absent ids are made.

use arrow::array::BooleanBufferBuilder;
use uuid::Uuid;
use vitalog_event::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use vitalog_event::{EventBatch, EventBatchBuilder, EventDraft, Rejection, RejectionCode, schema};

use super::made::MadeIds;
use crate::fault::{Fault, Reason};
use crate::limits::REJECTED_BYTES_MAX;

/// One event as either form of a request carries it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RawEvent<'a> {
    pub event_id: Option<&'a [u8]>,
    /// Microseconds since 1970 UTC, saturated.
    pub event_time_us: Option<i64>,
    pub event: Option<&'a [u8]>,
    pub account_id: Option<&'a [u8]>,
    pub user_id: Option<&'a [u8]>,
    pub value: Option<f64>,
    pub properties: Option<&'a [u8]>,
}

/// What became of the events of one request before the log saw them.
#[derive(Debug)]
pub(super) struct Checked {
    pub batch: EventBatch,
    pub remarks: Remarks,
}

/// What there is to say of a request's events beside what the log says. However many events there
/// are, it takes up to some 4 MiB for what was refused, and one bit an event beside the batch.
#[derive(Debug)]
pub(super) struct Remarks {
    /// The first events that were refused here: more than an answer may name, or all.
    pub rejections: Vec<Rejection>,
    /// Events that were refused here, those that `rejections` leaves out included.
    pub refused: usize,
    /// The ids that were made, if any.
    pub made: Option<MadeIds>,
    /// Whether ids that were made are random, so that a retry would make others.
    pub is_random: bool,
}

impl Remarks {
    /// Bytes in memory: of what was refused, and of ids that were made.
    pub fn bytes(&self) -> usize {
        let messages = self.rejections.iter().map(|one| one.message.capacity());
        let made = self.made.as_ref().map_or(0, MadeIds::bytes);
        self.rejections.capacity() * size_of::<Rejection>() + messages.sum::<usize>() + made
    }
}

/// Collects the events of one request.
pub(super) struct Intake<'a> {
    builder: EventBatchBuilder,
    now_us: i64,
    request_id: &'a str,
    /// Of each event taken, whether its id was made.
    made: BooleanBufferBuilder,
    /// Events met so far.
    index: usize,
}

impl<'a> Intake<'a> {
    /// An intake for `rows` events; an empty `request_id` is none.
    pub fn new(now_us: i64, request_id: &'a str, rows: usize) -> Self {
        let rows = rows.min(BATCH_EVENTS_MAX);
        // An answer names no more than these: a rejection is longer there than its text.
        let builder =
            EventBatchBuilder::with_capacity(now_us, rows).with_rejection_bytes(REJECTED_BYTES_MAX);
        Self {
            builder,
            now_us,
            request_id,
            made: BooleanBufferBuilder::new(rows),
            index: 0,
        }
    }

    /// Takes the next event, or notes why not.
    ///
    /// # Errors
    /// The batch holds more events or text than a batch may.
    pub fn take(&mut self, raw: &RawEvent<'_>) -> Result<(), Fault> {
        if self.builder.is_full() {
            return Err(too_many(self.index, BATCH_EVENTS_MAX));
        }
        match draft_of(raw) {
            Ok(draft) => self.push(draft),
            Err((field, bytes)) => {
                let message = format!("{bytes} bytes that are not UTF-8");
                self.builder
                    .reject(field, RejectionCode::InvalidUtf8, message);
            }
        }
        self.index += 1;
        Ok(())
    }

    /// Notes that the next event could not be read.
    pub fn reject(&mut self, field: &'static str, code: RejectionCode, message: String) {
        self.builder.reject(field, code, message);
        self.index += 1;
    }

    pub fn finish(self) -> Checked {
        let refused = self.builder.rejected();
        let (batch, rejections) = self.builder.finish();
        let made = MadeIds::of(&batch, self.made.build());
        let is_random = self.request_id.is_empty();
        let remarks = Remarks {
            rejections,
            refused,
            made,
            is_random,
        };
        Checked { batch, remarks }
    }

    fn push(&mut self, mut draft: EventDraft<'_>) {
        if draft.event_time_us.is_none() {
            draft.event_time_us = Some(self.now_us);
            draft.time_is_stamped = true;
        }
        let made = draft.event_id.is_none().then(|| self.make_id());
        let is_taken = self.builder.push(&EventDraft {
            event_id: made.as_deref().or(draft.event_id),
            ..draft
        });
        if is_taken {
            self.made.append(made.is_some());
        }
    }

    fn make_id(&self) -> String {
        if !self.request_id.is_empty() {
            return vitalog_event::request_id(self.request_id, self.index);
        }
        let mut random = [0; 10];
        random.copy_from_slice(&Uuid::now_v7().as_bytes()[6..]);
        vitalog_event::random_id(self.now_us, random)
    }
}

/// More than a batch may hold, met at event `index`.
pub(super) fn too_many(index: usize, events_max: usize) -> Fault {
    let message = format!(
        "the batch is too large at event {index}: at most {events_max} events and {} MiB of \
         text; send several",
        BATCH_BYTES_MAX >> 20
    );
    Fault::new(Reason::RequestTooLarge, message).with_fact("index", &index)
}

/// The draft of `raw`, or the field that is not UTF-8 and its length.
fn draft_of<'a>(raw: &RawEvent<'a>) -> Result<EventDraft<'a>, (&'static str, usize)> {
    let text = |field, bytes: Option<&'a [u8]>| match bytes.map(str::from_utf8) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err((field, bytes.map_or(0, <[u8]>::len))),
    };
    Ok(EventDraft {
        event_id: text(schema::EVENT_ID, raw.event_id)?,
        event_time_us: raw.event_time_us,
        time_is_stamped: false,
        event: text(schema::EVENT, raw.event)?,
        account_id: text(schema::ACCOUNT_ID, raw.account_id)?,
        user_id: text(schema::USER_ID, raw.user_id)?,
        value: raw.value,
        properties: text(schema::PROPERTIES, raw.properties)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_740_830_400_000_000;

    /// Indexes and ids of what was made.
    fn ids_of(checked: &Checked) -> impl Iterator<Item = (u64, String)> {
        let made = checked.remarks.made.iter().flat_map(MadeIds::iter);
        made.map(|id| (id.index, id.event_id))
    }

    fn named(event: &[u8]) -> RawEvent<'_> {
        RawEvent {
            event: Some(event),
            ..RawEvent::default()
        }
    }

    #[test]
    fn absent_ids_are_made_of_the_request_and_the_index() {
        let mut intake = Intake::new(NOW, "r1", 3);
        for raw in [named(b"a"), named(b"$bad"), named(b"c")] {
            intake.take(&raw).expect("room");
        }
        let checked = intake.finish();
        assert_eq!(
            checked
                .batch
                .event_ids()
                .iter()
                .flatten()
                .collect::<Vec<_>>(),
            ["r1#0", "r1#2"]
        );
        let made: Vec<_> = ids_of(&checked).collect();
        let expected = [(0, "r1#0".to_owned()), (2, "r1#2".to_owned())];
        assert_eq!(made, expected);
        assert_eq!(checked.remarks.refused, 1);
        assert!(!checked.remarks.is_random && checked.batch.time_is_stamped(0));
        assert_eq!(checked.batch.times().value(0), NOW);
    }

    #[test]
    fn random_ids_differ() {
        let mut intake = Intake::new(NOW, "", 1_000);
        for _ in 0..1_000 {
            intake.take(&named(b"a")).expect("room");
        }
        let checked = intake.finish();
        let ids: std::collections::HashSet<_> = ids_of(&checked).map(|(_, id)| id).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(checked.remarks.is_random);
    }

    #[test]
    fn ids_that_were_given_are_not_told() {
        let mut intake = Intake::new(NOW, "r", 2);
        let given = RawEvent {
            event_id: Some(b"mine"),
            ..named(b"a")
        };
        intake.take(&given).expect("room");
        intake.take(&named(b"b")).expect("room");
        let mixed: Vec<_> = ids_of(&intake.finish()).collect();
        assert_eq!(mixed, [(1, "r#1".to_owned())]);
        let mut intake = Intake::new(NOW, "r", 1);
        intake.take(&given).expect("room");
        assert!(intake.finish().remarks.made.is_none());
    }

    /// Kept whole, they would take 90 MiB.
    #[test]
    fn of_many_refused_events_few_are_kept_and_all_are_counted() {
        let mut intake = Intake::new(NOW, "r", BATCH_EVENTS_MAX);
        for _ in 0..BATCH_EVENTS_MAX {
            intake.take(&RawEvent::default()).expect("room");
        }
        let Checked { batch, remarks } = intake.finish();
        assert!(batch.is_empty() && remarks.made.is_none());
        assert_eq!(remarks.refused, BATCH_EVENTS_MAX);
        let bytes = remarks.bytes();
        assert!(!remarks.rejections.is_empty() && bytes < 4 << 20, "{bytes}");
    }

    #[test]
    fn text_that_is_not_utf8_costs_its_event_only() {
        let mut intake = Intake::new(NOW, "r", 2);
        intake
            .take(&RawEvent {
                user_id: Some(b"\xff"),
                ..named(b"a")
            })
            .expect("room");
        intake.take(&named(b"b")).expect("room");
        let checked = intake.finish();
        assert_eq!(checked.batch.len(), 1);
        let rejection = &checked.remarks.rejections[0];
        assert_eq!((rejection.index, rejection.field), (0, "user_id"));
        assert_eq!(rejection.code, RejectionCode::InvalidUtf8);
    }

    #[test]
    fn a_batch_has_an_end() {
        let mut intake = Intake::new(NOW, "r", 0);
        let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(60_000));
        let raw = RawEvent {
            properties: Some(huge.as_bytes()),
            ..named(b"a")
        };
        let fault = (0..2_000)
            .find_map(|_| intake.take(&raw).err())
            .expect("a limit");
        assert_eq!(fault.reason, Reason::RequestTooLarge);
    }
}

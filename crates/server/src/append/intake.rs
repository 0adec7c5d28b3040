//! From fields as they came to a batch of valid events: text becomes UTF-8, absent times become
//! the server's, absent ids are made.

use uuid::Uuid;
use vitalog_event::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use vitalog_event::{EventBatch, EventBatchBuilder, EventDraft, Rejection, RejectionCode, schema};
use vitalog_wire::vitalog::v1::AssignedId;

use crate::fault::{Fault, Reason};

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
    pub rejections: Vec<Rejection>,
    pub assigned: Vec<AssignedId>,
    /// Whether `assigned` are random, so that a retry would make others.
    pub is_random: bool,
}

/// Collects the events of one request.
pub(super) struct Intake<'a> {
    builder: EventBatchBuilder,
    now_us: i64,
    request_id: &'a str,
    assigned: Vec<AssignedId>,
    /// Events met so far.
    index: usize,
}

impl<'a> Intake<'a> {
    /// An intake for `rows` events; an empty `request_id` is none.
    pub fn new(now_us: i64, request_id: &'a str, rows: usize) -> Self {
        let builder = EventBatchBuilder::with_capacity(now_us, rows.min(BATCH_EVENTS_MAX));
        Self {
            builder,
            now_us,
            request_id,
            assigned: Vec::new(),
            index: 0,
        }
    }

    /// Takes the next event, or notes why not.
    ///
    /// # Errors
    /// The batch holds more events or text than a batch may.
    pub fn take(&mut self, raw: &RawEvent<'_>) -> Result<(), Fault> {
        if self.builder.is_full() {
            return Err(too_many(self.index));
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
        let (batch, rejections) = self.builder.finish();
        let is_random = self.request_id.is_empty();
        Checked {
            batch,
            rejections,
            assigned: self.assigned,
            is_random,
        }
    }

    fn push(&mut self, mut draft: EventDraft<'_>) {
        if draft.event_time_us.is_none() {
            draft.event_time_us = Some(self.now_us);
            draft.time_is_stamped = true;
        }
        if draft.event_id.is_some() {
            self.builder.push(&draft);
            return;
        }
        let event_id = self.make_id();
        if self.builder.push(&EventDraft {
            event_id: Some(&event_id),
            ..draft
        }) {
            self.assigned.push(AssignedId {
                index: self.index as u64,
                event_id,
            });
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
pub(super) fn too_many(index: usize) -> Fault {
    let message = format!(
        "the batch is too large at event {index}: at most {BATCH_EVENTS_MAX} events and {} MiB of \
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
        assert_eq!(
            checked
                .assigned
                .iter()
                .map(|id| id.index)
                .collect::<Vec<_>>(),
            [0, 2]
        );
        assert!(!checked.is_random && checked.batch.time_is_stamped(0));
        assert_eq!(checked.batch.times().value(0), NOW);
    }

    #[test]
    fn random_ids_differ() {
        let mut intake = Intake::new(NOW, "", 1_000);
        for _ in 0..1_000 {
            intake.take(&named(b"a")).expect("room");
        }
        let checked = intake.finish();
        let ids: std::collections::HashSet<_> =
            checked.assigned.iter().map(|id| &id.event_id).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(checked.is_random);
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
        let rejection = &checked.rejections[0];
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

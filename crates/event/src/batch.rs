//! A batch of valid events as columns, and the one constructor that makes it.

use arrow_array::builder::{
    Float64Builder, StringBuilder, TimestampMicrosecondBuilder, UInt32Builder,
};
use arrow_array::{Float64Array, StringArray, TimestampMicrosecondArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, ScalarBuffer};

use crate::draft::{EventDraft, Fault};
use crate::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use crate::properties::{PropertiesError, canonical_properties};
use crate::rejection::{Rejection, RejectionCode};
use crate::schema::PROPERTIES;

/// Valid events as columns of equal length, in the order they arrived.
///
/// There is no other way to make one than [`EventBatchBuilder`], so a batch that exists is valid:
/// ids are within their limits, times within range, `properties` canonical.
#[derive(Clone, Debug)]
pub struct EventBatch {
    event_ids: StringArray,
    times: TimestampMicrosecondArray,
    stamped: BooleanBuffer,
    events: StringArray,
    account_ids: StringArray,
    user_ids: StringArray,
    values: Float64Array,
    properties: StringArray,
    input_indexes: ScalarBuffer<u32>,
}

impl EventBatch {
    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.input_indexes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.input_indexes.is_empty()
    }

    /// Idempotency keys; no nulls.
    #[must_use]
    pub fn event_ids(&self) -> &StringArray {
        &self.event_ids
    }

    /// Event times in microseconds, UTC; no nulls.
    #[must_use]
    pub fn times(&self) -> &TimestampMicrosecondArray {
        &self.times
    }

    /// Whether the server supplied the time of `row`.
    #[must_use]
    pub fn time_is_stamped(&self, row: usize) -> bool {
        self.stamped.value(row)
    }

    /// Event names; no nulls.
    #[must_use]
    pub fn events(&self) -> &StringArray {
        &self.events
    }

    /// Accounts; nullable.
    #[must_use]
    pub fn account_ids(&self) -> &StringArray {
        &self.account_ids
    }

    /// Persons; nullable.
    #[must_use]
    pub fn user_ids(&self) -> &StringArray {
        &self.user_ids
    }

    /// Measures; nullable, never NaN.
    #[must_use]
    pub fn values(&self) -> &Float64Array {
        &self.values
    }

    /// Canonical JSON objects; nullable.
    #[must_use]
    pub fn properties(&self) -> &StringArray {
        &self.properties
    }

    /// The position of `row` in the input it came from, rejected rows counted.
    #[must_use]
    pub fn input_index(&self, row: usize) -> usize {
        self.input_indexes[row] as usize
    }

    /// As [`EventBatch::input_index`], for every row; ascending.
    #[must_use]
    pub fn input_indexes(&self) -> &ScalarBuffer<u32> {
        &self.input_indexes
    }

    /// Bytes of text and numbers held, for limits and budgets.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = [
            &self.event_ids,
            &self.events,
            &self.account_ids,
            &self.user_ids,
            &self.properties,
        ];
        texts
            .iter()
            .map(|text| text.value_data().len())
            .sum::<usize>()
            + self.len() * 24
    }
}

/// Validates drafts one by one and collects the valid ones.
///
/// Of the others it keeps the reasons: all of them, unless
/// [`EventBatchBuilder::with_rejection_bytes`] sets a bound.
#[derive(Debug)]
pub struct EventBatchBuilder {
    now_us: i64,
    pushed: usize,
    text_bytes: usize,
    scratch: Vec<u8>,
    /// Rejected events, those that `rejections` leaves out included.
    rejected: usize,
    rejections: Vec<Rejection>,
    /// Bytes of text of `rejections`.
    rejection_bytes: usize,
    rejection_bytes_max: usize,
    event_ids: StringBuilder,
    times: TimestampMicrosecondBuilder,
    stamped: BooleanBufferBuilder,
    events: StringBuilder,
    account_ids: StringBuilder,
    user_ids: StringBuilder,
    values: Float64Builder,
    properties: StringBuilder,
    input_indexes: UInt32Builder,
}

impl EventBatchBuilder {
    /// An empty builder; `now_us` is the clock against which future times are measured.
    #[must_use]
    pub fn new(now_us: i64) -> Self {
        Self::with_capacity(now_us, 0)
    }

    /// As [`EventBatchBuilder::new`], with room for `rows`.
    #[must_use]
    pub fn with_capacity(now_us: i64, rows: usize) -> Self {
        let text = |bytes| StringBuilder::with_capacity(rows, rows * bytes);
        Self {
            now_us,
            pushed: 0,
            text_bytes: 0,
            scratch: Vec::new(),
            rejected: 0,
            rejections: Vec::new(),
            rejection_bytes: 0,
            rejection_bytes_max: usize::MAX,
            event_ids: text(20),
            times: TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC"),
            stamped: BooleanBufferBuilder::new(rows),
            events: text(12),
            account_ids: text(12),
            user_ids: text(12),
            values: Float64Builder::with_capacity(rows),
            properties: text(48),
            input_indexes: UInt32Builder::with_capacity(rows),
        }
    }

    /// Keeps the reasons of the first rejected events only, up to the one whose text (field, code
    /// and message) brings them past `bytes_max` bytes; the others are counted. One that is kept
    /// takes some 90 bytes for 27 or more of text, so that all take up to four times the bound.
    #[must_use]
    pub fn with_rejection_bytes(mut self, bytes_max: usize) -> Self {
        self.rejection_bytes_max = bytes_max;
        self
    }

    /// Events taken so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pushed - self.rejected
    }

    /// Events rejected so far, whether their reasons are kept or not.
    #[must_use]
    pub fn rejected(&self) -> usize {
        self.rejected
    }

    /// Whether none was taken so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the batch has reached its limit of events or bytes and wants to be finished before
    /// the next push.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.pushed >= BATCH_EVENTS_MAX || self.text_bytes >= BATCH_BYTES_MAX
    }

    /// Takes the next event of the input, or notes why not. Returns whether it was taken.
    pub fn push(&mut self, draft: &EventDraft<'_>) -> bool {
        match self.append(draft) {
            Ok(()) => {
                self.pushed += 1;
                true
            }
            Err((field, code, message)) => {
                self.reject(field, code, message);
                false
            }
        }
    }

    /// Notes that the next event of the input could not even be read as a draft.
    pub fn reject(&mut self, field: &'static str, code: RejectionCode, message: String) {
        let index = self.pushed;
        self.pushed += 1;
        self.rejected += 1;
        if self.rejection_bytes > self.rejection_bytes_max {
            return;
        }
        let rejection = Rejection {
            index,
            field,
            code,
            message,
        };
        self.rejection_bytes += rejection.text_bytes();
        self.rejections.push(rejection);
    }

    /// The valid events, and the rejected ones with their reasons, in order of index; all of them,
    /// or the first where there is a bound: [`EventBatchBuilder::rejected`] counts them all.
    #[must_use]
    pub fn finish(mut self) -> (EventBatch, Vec<Rejection>) {
        let batch = EventBatch {
            event_ids: self.event_ids.finish(),
            times: self.times.finish(),
            stamped: self.stamped.finish(),
            events: self.events.finish(),
            account_ids: self.account_ids.finish(),
            user_ids: self.user_ids.finish(),
            values: self.values.finish(),
            properties: self.properties.finish(),
            input_indexes: self.input_indexes.finish().values().clone(),
        };
        (batch, self.rejections)
    }

    fn append(&mut self, draft: &EventDraft<'_>) -> Result<(), Fault> {
        let checked = draft.check(self.now_us)?;
        let properties = self.canonical(draft.properties)?;
        self.event_ids.append_value(checked.event_id);
        self.times.append_value(checked.event_time_us);
        self.stamped.append(draft.time_is_stamped);
        self.events.append_value(checked.event);
        self.account_ids.append_option(draft.account_id);
        self.user_ids.append_option(draft.user_id);
        self.values.append_option(draft.value);
        self.text_bytes += checked.event_id.len() + checked.event.len();
        self.text_bytes += draft.account_id.map_or(0, str::len) + draft.user_id.map_or(0, str::len);
        self.input_indexes.append_value(self.pushed as u32);
        if properties {
            let text = str::from_utf8(&self.scratch).expect("canonical JSON is UTF-8");
            self.properties.append_value(text);
            self.text_bytes += self.scratch.len();
        } else {
            self.properties.append_null();
        }
        Ok(())
    }

    /// Puts the canonical form into `scratch`; false where there are no properties.
    fn canonical(&mut self, properties: Option<&str>) -> Result<bool, Fault> {
        self.scratch.clear();
        let Some(text) = properties else {
            return Ok(false);
        };
        canonical_properties(text, &mut self.scratch).map_err(|error| {
            let code = match error {
                PropertiesError::TooLong(_) => RejectionCode::TooLong,
                _ => RejectionCode::InvalidProperties,
            };
            (PROPERTIES, code, error.to_string())
        })?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;
    use crate::limits::{FUTURE_US_MAX, ID_BYTES_MAX};

    const NOW: i64 = 1_740_830_400_000_000;

    fn valid() -> EventDraft<'static> {
        EventDraft {
            event_id: Some("e1"),
            event_time_us: Some(NOW),
            event: Some("login"),
            ..EventDraft::default()
        }
    }

    fn rejection_of(draft: &EventDraft<'_>) -> (&'static str, RejectionCode) {
        let mut builder = EventBatchBuilder::new(NOW);
        assert!(builder.push(&valid()));
        assert!(!builder.push(draft), "{draft:?} was taken");
        assert!(builder.push(&valid()));
        let (batch, rejections) = builder.finish();
        assert_eq!((batch.len(), rejections.len()), (2, 1));
        assert_eq!(rejections[0].index, 1);
        assert_eq!((batch.input_index(0), batch.input_index(1)), (0, 2));
        (rejections[0].field, rejections[0].code)
    }

    #[test]
    fn each_fault_is_named_and_the_rest_goes_in() {
        use RejectionCode as Code;
        let long = "x".repeat(ID_BYTES_MAX + 1);
        let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
        let cases = [
            (
                EventDraft {
                    event_id: None,
                    ..valid()
                },
                ("event_id", Code::Missing),
            ),
            (
                EventDraft {
                    event_id: Some(""),
                    ..valid()
                },
                ("event_id", Code::Empty),
            ),
            (
                EventDraft {
                    event_id: Some(&long),
                    ..valid()
                },
                ("event_id", Code::TooLong),
            ),
            (
                EventDraft {
                    event: None,
                    ..valid()
                },
                ("event", Code::Missing),
            ),
            (
                EventDraft {
                    event: Some("$set"),
                    ..valid()
                },
                ("event", Code::ReservedName),
            ),
            (
                EventDraft {
                    event: Some("$group"),
                    ..valid()
                },
                ("account_id", Code::Missing),
            ),
            (
                EventDraft {
                    event: Some("$identify"),
                    ..valid()
                },
                ("user_id", Code::Missing),
            ),
            (
                EventDraft {
                    event_time_us: None,
                    ..valid()
                },
                ("event_time", Code::Missing),
            ),
            (
                EventDraft {
                    event_time_us: Some(-1),
                    ..valid()
                },
                ("event_time", Code::BeforeEpoch),
            ),
            (
                EventDraft {
                    event_time_us: Some(NOW + FUTURE_US_MAX + 1),
                    ..valid()
                },
                ("event_time", Code::InFuture),
            ),
            (
                EventDraft {
                    account_id: Some(""),
                    ..valid()
                },
                ("account_id", Code::Empty),
            ),
            (
                EventDraft {
                    user_id: Some(&long),
                    ..valid()
                },
                ("user_id", Code::TooLong),
            ),
            (
                EventDraft {
                    value: Some(f64::NAN),
                    ..valid()
                },
                ("value", Code::NotANumber),
            ),
            (
                EventDraft {
                    properties: Some(&huge),
                    ..valid()
                },
                ("properties", Code::TooLong),
            ),
            (
                EventDraft {
                    properties: Some("{\"a\":1,\"a\":2}"),
                    ..valid()
                },
                ("properties", Code::InvalidProperties),
            ),
        ];
        for (draft, expected) in cases {
            assert_eq!(rejection_of(&draft), expected, "{:?}", draft.event);
        }
    }

    #[test]
    fn the_bounds_themselves_are_taken() {
        let longest = "x".repeat(ID_BYTES_MAX);
        let mut builder = EventBatchBuilder::new(NOW);
        for draft in [
            EventDraft {
                event_time_us: Some(0),
                ..valid()
            },
            EventDraft {
                event_time_us: Some(NOW + FUTURE_US_MAX),
                ..valid()
            },
            EventDraft {
                account_id: Some(&longest),
                user_id: Some(&longest),
                ..valid()
            },
            EventDraft {
                event: Some("$group"),
                account_id: Some("a"),
                ..valid()
            },
        ] {
            assert!(builder.push(&draft), "{draft:?}");
        }
        assert_eq!(builder.finish().0.len(), 4);
    }

    #[test]
    fn rejections_past_the_bound_are_counted_and_not_kept() {
        let bytes_max = 10_000;
        let mut builder = EventBatchBuilder::new(NOW).with_rejection_bytes(bytes_max);
        for index in 0..BATCH_EVENTS_MAX {
            let is_valid = index % 1_024 == 1_023;
            let draft = if is_valid {
                valid()
            } else {
                EventDraft::default()
            };
            assert_eq!(builder.push(&draft), is_valid);
        }
        assert!(builder.is_full());
        let taken = BATCH_EVENTS_MAX / 1_024;
        assert_eq!(builder.len(), taken);
        assert_eq!(builder.rejected(), BATCH_EVENTS_MAX - taken);
        let (batch, rejections) = builder.finish();
        assert_eq!(batch.len(), taken);
        // Up to the one that passes the bound, and no more.
        let bytes = |kept: &[Rejection]| kept.iter().map(Rejection::text_bytes).sum::<usize>();
        let (_, but_last) = rejections.split_last().expect("some are kept");
        assert!(bytes(&rejections) > bytes_max && bytes(but_last) <= bytes_max);
        assert!(rejections.capacity() <= 512, "{}", rejections.capacity());
        let indexes = rejections.iter().map(|rejection| rejection.index);
        assert!(indexes.eq(0..rejections.len()));
        // Events behind the bound know their place as those before it do.
        assert_eq!(batch.input_indexes()[..2], [1_023, 2_047]);
    }

    #[test]
    fn without_a_bound_every_rejection_is_kept() {
        let mut builder = EventBatchBuilder::new(NOW);
        for _ in 0..100_000 {
            builder.push(&EventDraft::default());
        }
        assert_eq!((builder.rejected(), builder.is_empty()), (100_000, true));
        assert_eq!(builder.finish().1.len(), 100_000);
    }

    #[test]
    fn columns_hold_what_was_pushed() {
        let mut builder = EventBatchBuilder::new(NOW);
        builder.push(&EventDraft {
            account_id: Some("acme"),
            value: Some(2.5),
            properties: Some("{ \"b\": 1, \"a\": 2 }"),
            time_is_stamped: true,
            ..valid()
        });
        builder.push(&valid());
        let (batch, rejections) = builder.finish();
        assert!(rejections.is_empty());
        assert_eq!(batch.account_ids().value(0), "acme");
        assert_eq!(batch.properties().value(0), r#"{"a":2,"b":1}"#);
        assert!(batch.time_is_stamped(0) && !batch.time_is_stamped(1));
        assert!(batch.values().is_null(1) && batch.properties().is_null(1));
        assert!(batch.bytes() > 48);
    }
}

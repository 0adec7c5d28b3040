//! Some rows of the log in order of `seq`, looked up and ready to become messages.
//!
//! Ids, times, values and properties are read from the columns where they lie; what a section
//! keeps by code (the time of arrival, the event's name, account and user) is looked up for all
//! rows of a page at once.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::types::TimestampMicrosecondType;
use arrow::array::{Array, AsArray, RecordBatch, StringArray, StringViewArray};
use vitalog_event::schema;
use vitalog_store::{Result, Section};
use vitalog_wire::vitalog::v1::{Event, StoredEvent};

use super::cursor::Place;
use crate::instant::timestamp;

/// Bytes of an encoded event beside its text: at most 15 fields and lengths, two timestamps and
/// a double.
const EVENT_OVERHEAD_BYTES: usize = 128;

/// The columns that are looked up, in the order of `Columns`.
const LOOKED_UP: [&str; 4] = [
    schema::RECEIVED_AT,
    schema::EVENT,
    schema::ACCOUNT_ID,
    schema::USER_ID,
];

/// Rows that were looked up and not yet taken.
#[derive(Debug, Default)]
pub(super) struct Page {
    parts: Vec<Part>,
    rows: Vec<PageRow>,
    taken: usize,
}

/// The rows of a page that lie in one section.
#[derive(Debug)]
struct Part {
    section: Arc<Section>,
    looked_up: RecordBatch,
}

#[derive(Clone, Copy, Debug)]
struct PageRow {
    part: u32,
    /// In the section.
    row: u32,
    /// In the batch of the part.
    at: u32,
}

impl Page {
    /// Looks up `places`, which are in the order of their seqs.
    pub fn new(sections: &[Arc<Section>], places: &[Place]) -> Result<Self> {
        let mut order: Vec<u32> = (0..places.len() as u32).collect();
        order.sort_unstable_by_key(|&at| {
            let place = places[at as usize];
            (place.section, place.row)
        });
        let mut page = Self {
            parts: Vec::new(),
            rows: vec![
                PageRow {
                    part: 0,
                    row: 0,
                    at: 0
                };
                places.len()
            ],
            taken: 0,
        };
        let section_of = |at: &u32| places[*at as usize].section;
        for group in order.chunk_by(|left, right| section_of(left) == section_of(right)) {
            let part = page.parts.len() as u32;
            for (at, &place) in group.iter().enumerate() {
                let row = places[place as usize].row;
                page.rows[place as usize] = PageRow {
                    part,
                    row,
                    at: at as u32,
                };
            }
            let section = Arc::clone(&sections[section_of(&group[0]) as usize]);
            let rows = group.iter().map(|&at| places[at as usize].row as usize);
            let looked_up = section.batch(&ranges_of(rows), &projection())?;
            page.parts.push(Part { section, looked_up });
        }
        page.touch()?;
        Ok(page)
    }

    /// Whether every row was taken.
    pub fn is_empty(&self) -> bool {
        self.taken == self.rows.len()
    }

    /// The next event and an upper bound of its encoded bytes.
    pub fn next(&mut self) -> Option<(StoredEvent, usize)> {
        let row = *self.rows.get(self.taken)?;
        self.taken += 1;
        Some(self.parts[row.part as usize].event(row))
    }

    /// Meets damage here, where it can be reported, rather than at a row.
    fn touch(&self) -> Result<()> {
        self.parts
            .iter()
            .try_for_each(|part| part.columns().map(|_| ()))
    }
}

/// The columns of a section, whose first touch has succeeded.
struct Columns<'a> {
    seqs: &'a [i64],
    times: &'a [i64],
    event_ids: &'a StringArray,
    values: &'a arrow::array::Float64Array,
    properties: &'a StringArray,
}

impl Part {
    fn columns(&self) -> Result<Columns<'_>> {
        Ok(Columns {
            seqs: self.section.seqs()?,
            times: self.section.times()?,
            event_ids: self.section.event_ids()?,
            values: self.section.values()?,
            properties: self.section.properties()?,
        })
    }

    fn event(&self, PageRow { row, at, .. }: PageRow) -> (StoredEvent, usize) {
        let columns = self.columns().expect("columns that were touched stay");
        let (row, at) = (row as usize, at as usize);
        let view = |column: usize| self.looked_up.column(column).as_string_view();
        let received = self
            .looked_up
            .column(0)
            .as_primitive::<TimestampMicrosecondType>();
        let properties = columns.properties;
        let event = Event {
            event_id: Some(columns.event_ids.value(row).to_owned()),
            event_time: Some(timestamp(columns.times[row])),
            event: view(1).value(at).to_owned(),
            account_id: text(view(2), at),
            user_id: text(view(3), at),
            value: columns
                .values
                .is_valid(row)
                .then(|| columns.values.value(row)),
            properties: properties
                .is_valid(row)
                .then(|| properties.value(row).to_owned()),
        };
        let texts = [
            &event.event_id,
            &event.account_id,
            &event.user_id,
            &event.properties,
        ];
        let bytes = texts.into_iter().flatten().map(String::len).sum::<usize>() + event.event.len();
        let stored = StoredEvent {
            seq: columns.seqs[row] as u64,
            received_at: Some(timestamp(received.value(at))),
            event: Some(event),
        };
        (stored, bytes + EVENT_OVERHEAD_BYTES)
    }
}

fn text(column: &StringViewArray, at: usize) -> Option<String> {
    column.is_valid(at).then(|| column.value(at).to_owned())
}

/// Ascending rows as ranges; neighbours share one.
fn ranges_of(rows: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for row in rows {
        match ranges.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => ranges.push(row..row + 1),
        }
    }
    ranges
}

fn projection() -> [usize; 4] {
    let events_schema = schema::events_view_schema();
    LOOKED_UP.map(|name| events_schema.index_of(name).expect("a column of events"))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use vitalog_event::limits::{EVENT_BYTES_MAX, ID_BYTES_MAX, PROPERTIES_BYTES_MAX};

    use super::*;
    use crate::limits::{MESSAGE_BYTES_MAX, READ_MESSAGE_BYTES};

    #[test]
    fn the_overhead_bounds_the_largest_event() {
        let id = Some("x".repeat(ID_BYTES_MAX));
        let event = Event {
            event_id: id.clone(),
            event_time: Some(timestamp(i64::MAX)),
            event: "x".repeat(EVENT_BYTES_MAX),
            account_id: id.clone(),
            user_id: id,
            value: Some(f64::MIN_POSITIVE),
            properties: Some("x".repeat(PROPERTIES_BYTES_MAX)),
        };
        let text = 3 * ID_BYTES_MAX + EVENT_BYTES_MAX + PROPERTIES_BYTES_MAX;
        let stored = StoredEvent {
            seq: u64::MAX,
            received_at: Some(timestamp(i64::MAX)),
            event: Some(event),
        };
        // As an element of a message: its tag and length too.
        let encoded = stored.encoded_len() + 6;
        assert!(encoded <= text + EVENT_OVERHEAD_BYTES, "{encoded}");
        assert!(READ_MESSAGE_BYTES + encoded + 16 <= MESSAGE_BYTES_MAX);
    }

    #[test]
    fn neighbours_share_a_range() {
        assert_eq!(
            ranges_of([1, 2, 3, 7, 9, 10].into_iter()),
            [1..4, 7..8, 9..11]
        );
    }
}

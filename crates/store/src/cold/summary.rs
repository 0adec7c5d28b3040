//! What the entry and the sidecar of a cold file say of its rows, collected while they are written.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use vitalog_event::top_level_keys;

use super::gather::Gathered;
use super::sidecar::NamedEvent;
use crate::section::{PROPERTY_KEYS_MAX, SectionStatistics};
use crate::segment::FileCodes;

/// What is known of one event code of the file.
#[derive(Clone, Debug, Default)]
struct EventSummary {
    count: u64,
    span: (i64, i64),
    /// `None` where no row has properties.
    property_keys: Option<BTreeSet<String>>,
}

/// What is known of the rows written so far.
pub(super) struct Summary {
    rows: usize,
    times: (i64, i64),
    seqs: (i64, i64),
    /// Earliest and latest, microseconds.
    pub received: (i64, i64),
    events: Vec<EventSummary>,
    /// Whether property keys are taken from the rows; else the sources know them.
    reads_properties: bool,
}

const NOTHING: (i64, i64) = (i64::MAX, i64::MIN);

fn widen(bounds: &mut (i64, i64), value: i64) {
    *bounds = (bounds.0.min(value), bounds.1.max(value));
}

impl Summary {
    pub fn new(events: usize, reads_properties: bool) -> Self {
        let event = EventSummary {
            span: NOTHING,
            ..EventSummary::default()
        };
        Self {
            rows: 0,
            times: NOTHING,
            seqs: NOTHING,
            received: NOTHING,
            events: vec![event; events],
            reads_properties,
        }
    }

    pub fn push(&mut self, gathered: &Gathered) {
        self.rows += gathered.times.len();
        for (row, &event) in gathered.events.iter().enumerate() {
            let time = gathered.times[row];
            widen(&mut self.times, time);
            widen(&mut self.seqs, gathered.seqs[row]);
            widen(&mut self.received, gathered.received[row]);
            let event = &mut self.events[event as usize];
            event.count += 1;
            widen(&mut event.span, time);
        }
        if self.reads_properties {
            self.collect_property_keys(gathered);
        }
    }

    fn collect_property_keys(&mut self, gathered: &Gathered) {
        let properties = gathered.properties.as_string::<i32>();
        for (row, &event) in gathered.events.iter().enumerate() {
            if properties.is_null(row) {
                continue;
            }
            let known = &mut self.events[event as usize].property_keys;
            let known = known.get_or_insert_default();
            top_level_keys(properties.value(row), |key| {
                if known.len() < PROPERTY_KEYS_MAX && !known.contains(key) {
                    known.insert(key.to_owned());
                }
            });
        }
    }

    /// Whether an event that passes `test` (asked with its symbol) is among the rows.
    pub fn has_event(&self, codes: &FileCodes, test: impl Fn(u32) -> bool) -> bool {
        (codes.events.symbols.iter().zip(&self.events))
            .any(|(&symbol, known)| known.count > 0 && test(symbol))
    }

    pub fn statistics(&self, day: i32, has_trait_events: bool) -> SectionStatistics {
        SectionStatistics {
            day,
            rows: self.rows,
            time_min_us: self.times.0,
            time_max_us: self.times.1,
            seq_min: self.seqs.0,
            seq_max: self.seqs.1,
            has_trait_events,
        }
    }

    /// What the sidecar says of each event that has rows, in byte order.
    pub fn named_events(
        self,
        codes: &FileCodes,
        mut known_keys: BTreeMap<u32, Vec<String>>,
    ) -> Vec<NamedEvent> {
        let names = codes.events.strings.iter().map(Option::unwrap_or_default);
        let events = self
            .events
            .into_iter()
            .zip(&codes.events.symbols)
            .zip(names);
        events
            .filter(|((event, _), _)| event.count > 0)
            .map(|((event, symbol), name)| NamedEvent {
                name: name.to_owned(),
                count: event.count,
                first_us: event.span.0,
                last_us: event.span.1,
                property_keys: known_keys
                    .remove(symbol)
                    .or_else(|| Some(event.property_keys?.into_iter().collect())),
            })
            .collect()
    }
}

//! What a store and its questions hold, asked for when it is read.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use vitalog_store::{StoreStatistics, Tier};

/// What is true at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// `None` where the disk did not answer: the gauges stay as they were.
    pub store: Option<StoreStatistics>,
    /// Batches that wait for the writer.
    pub queue_batches: usize,
    /// Whether an append would be taken.
    pub is_writable: bool,
    /// Statements that have their turn, of every surface.
    pub running_queries: usize,
    /// Bytes that statements hold, as their operators account for them.
    pub query_memory_bytes: usize,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TierLabel {
    tier: &'static str,
}

type OfTier = Family<TierLabel, Gauge>;

#[derive(Debug)]
pub(super) struct StoreGauges {
    seq: Gauge,
    wal_bytes: Gauge,
    wal_written: Counter,
    wal_groups: Counter,
    mapped_bytes: Gauge,
    snapshots: Gauge,
    queue_batches: Gauge,
    writable: Gauge,
    running_queries: Gauge,
    query_memory_bytes: Gauge,
    sections: OfTier,
    rows: OfTier,
    bytes: OfTier,
    files: OfTier,
}

impl StoreGauges {
    pub fn register(registry: &mut Registry) -> Self {
        let gauges = Self {
            seq: Gauge::default(),
            wal_bytes: Gauge::default(),
            wal_written: Counter::default(),
            wal_groups: Counter::default(),
            mapped_bytes: Gauge::default(),
            snapshots: Gauge::default(),
            queue_batches: Gauge::default(),
            writable: Gauge::default(),
            running_queries: Gauge::default(),
            query_memory_bytes: Gauge::default(),
            sections: OfTier::default(),
            rows: OfTier::default(),
            bytes: OfTier::default(),
            files: OfTier::default(),
        };
        let alone = [
            ("seq", "The last durable event", &gauges.seq),
            (
                "wal_bytes",
                "Files of the log, unused room included",
                &gauges.wal_bytes,
            ),
            (
                "mapped_bytes",
                "Segment files in force, which are mapped",
                &gauges.mapped_bytes,
            ),
            (
                "snapshots",
                "Published snapshots that are kept",
                &gauges.snapshots,
            ),
            (
                "queue_batches",
                "Batches that wait for the writer",
                &gauges.queue_batches,
            ),
            (
                "writable",
                "1 while an append would be taken, 0 on a full disk or after the log failed",
                &gauges.writable,
            ),
            (
                "running_queries",
                "Statements that are planned or run",
                &gauges.running_queries,
            ),
            (
                "query_memory_bytes",
                "Memory that statements hold",
                &gauges.query_memory_bytes,
            ),
        ];
        for (name, help, gauge) in alone {
            registry.register(name, help, gauge.clone());
        }
        let written = gauges.wal_written.clone();
        registry.register("wal_written_bytes", "Written to the log", written);
        let groups = gauges.wal_groups.clone();
        registry.register("wal_groups", "Groups written to the log", groups);
        let of_tier = [
            (
                "tier_sections",
                "Sections that readers see",
                &gauges.sections,
            ),
            ("tier_rows", "Rows that readers see", &gauges.rows),
            ("tier_bytes", "Bytes of files, or in memory", &gauges.bytes),
            ("tier_files", "Files", &gauges.files),
        ];
        for (name, help, family) in of_tier {
            registry.register(name, help, family.clone());
        }
        gauges
    }

    pub fn set(&self, facts: &Facts) {
        self.queue_batches.set(facts.queue_batches as i64);
        self.writable.set(i64::from(facts.is_writable));
        self.running_queries.set(facts.running_queries as i64);
        self.query_memory_bytes.set(facts.query_memory_bytes as i64);
        let Some(store) = &facts.store else {
            return;
        };
        self.seq.set(store.seq);
        self.wal_bytes.set(store.wal_bytes as i64);
        raise(&self.wal_written, store.wal_written_bytes);
        raise(&self.wal_groups, store.wal_groups);
        self.mapped_bytes.set(store.segment_bytes as i64);
        self.snapshots.set(store.published as i64);
        for tier in Tier::ALL {
            let known = store.tier(tier);
            let label = TierLabel { tier: tier.name() };
            let set = |family: &OfTier, count: u64| {
                family.get_or_create(&label).set(count as i64);
            };
            set(&self.sections, known.sections);
            set(&self.rows, known.rows);
            set(&self.bytes, known.bytes);
            set(&self.files, known.files);
        }
    }
}

/// Raises a counter to what was counted elsewhere.
fn raise(counter: &Counter, counted: u64) {
    counter.inc_by(counted.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_shown_as_they_are_now() {
        let mut registry = Registry::default();
        let gauges = StoreGauges::register(&mut registry);
        let mut facts = Facts {
            store: Some(StoreStatistics {
                seq: 7,
                wal_written_bytes: 100,
                ..StoreStatistics::default()
            }),
            is_writable: true,
            ..Facts::default()
        };
        gauges.set(&facts);
        gauges.set(&facts);
        facts.is_writable = false;
        facts.store = None;
        gauges.set(&facts);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        for line in [
            "seq 7\n",
            "wal_written_bytes_total 100\n",
            "writable 0\n",
            "tier_rows{tier=\"hot\"} 0\n",
        ] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
    }
}

//! What a running statement takes: read from its plan's counters and its memory pool, at any time.

use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;

use crate::memory::StatementPool;
use crate::table::{EventsScan, ROWS_CONSIDERED};

/// What one statement took so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatementUsage {
    /// From the call to the plan.
    pub planning: Duration,
    /// The most bytes that its operators held at once, as far as they count what they hold.
    pub memory_peak_bytes: u64,
    /// Rows of the sections that its scans of `events` opened. The health relations and the tables
    /// of accounts, users and memberships read the log in other ways, which are not counted.
    pub rows_scanned: u64,
    /// Bytes that its operators wrote to temporary files.
    pub spilled_bytes: u64,
}

/// Tells what one statement takes. Clones tell the same; a gauge keeps the plan, not the work.
#[derive(Clone)]
pub struct Gauge {
    plan: Arc<dyn ExecutionPlan>,
    memory: Arc<StatementPool>,
    planning: Duration,
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Gauge")
            .field("usage", &self.read())
            .finish_non_exhaustive()
    }
}

impl Gauge {
    pub(crate) fn new(
        plan: &Arc<dyn ExecutionPlan>,
        memory: &Arc<StatementPool>,
        planning: Duration,
    ) -> Self {
        Self {
            plan: Arc::clone(plan),
            memory: Arc::clone(memory),
            planning,
        }
    }

    /// What it took so far. Cost: a walk over the operators of the plan.
    #[must_use]
    pub fn read(&self) -> StatementUsage {
        let mut usage = StatementUsage {
            planning: self.planning,
            memory_peak_bytes: self.memory.peak_bytes() as u64,
            ..StatementUsage::default()
        };
        add_counters(self.plan.as_ref(), &mut usage);
        usage
    }
}

fn add_counters(node: &dyn ExecutionPlan, usage: &mut StatementUsage) {
    if let Some(metrics) = node.metrics() {
        usage.spilled_bytes += metrics.spilled_bytes().unwrap_or(0) as u64;
        if node.is::<EventsScan>() {
            usage.rows_scanned += counted(&metrics, ROWS_CONSIDERED);
        }
    }
    for child in node.children() {
        add_counters(child.as_ref(), usage);
    }
}

fn counted(metrics: &MetricsSet, name: &str) -> u64 {
    let sum = metrics.sum_by_name(name);
    sum.map_or(0, |value| value.as_usize() as u64)
}

//! `events` day by day: a day's file of the store is linked where every row of it is seen, all
//! other rows are sorted and written.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session as PlanSession, TableProvider};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableType, col};
use datafusion::physical_plan::ExecutionPlan;
use vitalog_event::schema::events_view_schema;
use vitalog_store::{LinkedFile, StoredSection};

use crate::snapshot::StatementSnapshot;
use crate::table::EventsScan;

/// What becomes of a section.
pub(super) enum Fate {
    /// Its file is taken as it is.
    Linked(LinkedFile),
    /// Its rows are written.
    Written,
    /// It has nothing that is seen.
    Left,
}

/// What becomes of `section` in a snapshot of `snapshot`. A file may be linked where every row of
/// it is seen: it holds one day, in the published order and schema, and its last `seq` is known.
pub(super) fn fate(section: &StoredSection, snapshot: &StatementSnapshot) -> Fate {
    let statistics = section.statistics();
    if statistics.seq_min > snapshot.seq {
        return Fate::Left;
    }
    match section.linked_file() {
        Some(file) if statistics.seq_max <= snapshot.seq => Fate::Linked(file),
        _ => Fate::Written,
    }
}

/// The rows of `sections` that `snapshot` shows, in the order of files.
pub(super) fn plan(
    snapshot: &Arc<StatementSnapshot>,
    sections: Vec<Arc<StoredSection>>,
) -> Result<LogicalPlan, DataFusionError> {
    let table = Arc::new(DayTable {
        snapshot: Arc::clone(snapshot),
        sections,
    });
    let ascending = |name: &&str| col(*name).sort(true, false);
    let order = super::PublishTable::Events.order();
    LogicalPlanBuilder::scan("events", provider_as_source(table), None)?
        .sort(order.iter().map(ascending))?
        .build()
}

/// Some sections of `events` as a table.
#[derive(Debug)]
struct DayTable {
    snapshot: Arc<StatementSnapshot>,
    sections: Vec<Arc<StoredSection>>,
}

#[async_trait]
impl TableProvider for DayTable {
    fn schema(&self) -> SchemaRef {
        events_view_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn PlanSession,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let projection = projection
            .cloned()
            .unwrap_or_else(|| (0..events_view_schema().fields().len()).collect());
        let partitions = state.config().target_partitions();
        let snapshot = Arc::clone(&self.snapshot);
        let scan = EventsScan::of_sections(snapshot, self.sections.clone(), projection, partitions);
        Ok(Arc::new(scan.with_limit(limit)))
    }
}

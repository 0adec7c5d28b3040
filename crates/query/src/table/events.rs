//! The provider of `events` over one snapshot.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use vitalog_event::schema::events_view_schema;

use super::filter::{Condition, ScanFilter};
use super::scan::EventsScan;
use crate::snapshot::StatementSnapshot;

/// `events` as one statement sees it.
#[derive(Debug)]
pub(crate) struct EventsTable {
    snapshot: Arc<StatementSnapshot>,
}

impl EventsTable {
    pub fn new(snapshot: Arc<StatementSnapshot>) -> Self {
        Self { snapshot }
    }

    fn filter(&self, filters: &[Expr]) -> ScanFilter {
        let symbols = self.snapshot.snapshot.symbols();
        let mut filter = ScanFilter::of(self.snapshot.row_filter());
        for condition in filters.iter().filter_map(Condition::of) {
            filter.add(&condition, symbols);
        }
        filter
    }
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        events_view_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        let support = |filter: &&Expr| match Condition::of(filter) {
            Some(condition) if condition.is_exact => TableProviderFilterPushDown::Exact,
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let projection = projection
            .cloned()
            .unwrap_or_else(|| (0..events_view_schema().fields().len()).collect());
        let partitions = state.config().target_partitions();
        let filter = self.filter(filters);
        let scan = EventsScan::new(Arc::clone(&self.snapshot), filter, projection, partitions);
        Ok(Arc::new(scan.with_limit(limit)))
    }
}

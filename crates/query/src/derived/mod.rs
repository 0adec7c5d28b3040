//! The tables that follow from the log: `accounts`, `users`, `memberships`, `event_catalog`, and
//! those that show the health models, whose rows are made in `model`.
//!
//! They are computed when their first row is asked for, from the statement's snapshot up to its
//! `seq`, and once a statement however often they are named. Counts, first and last times come
//! from the run index of sections that neither the `seq` nor a question's instant cuts, from rows
//! elsewhere.
//!
//! Invariant: they show what a reader of `events` up to the same `seq` would compute.

mod activity;
mod catalog;
mod entities;
mod memberships;
mod runs;
mod traits;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, TryStreamExt, stream};

use self::activity::MemberActivity;
use self::traits::Traits;
pub(crate) use self::traits::{trait_number, trait_text, trait_time};
use crate::model;
use crate::model::ModelBook;
use crate::snapshot::StatementSnapshot;
use crate::tables::TableName;

type Result<T> = std::result::Result<T, DataFusionError>;

/// What the derived tables of a statement share.
#[derive(Debug, Default)]
pub(crate) struct Derived {
    traits: Once<Traits>,
    activity: Once<MemberActivity>,
    models: Once<ModelBook>,
    tables: [Once<RecordBatch>; TableName::ALL.len()],
}

/// Computed by whoever asks first; the others wait.
struct Once<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> fmt::Debug for Once<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Once")
    }
}

impl<T> Once<T> {
    fn get(&self, compute: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        // A panic inside leaves nothing behind: the next one computes again.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref() {
            return Ok(Arc::clone(known));
        }
        let computed = Arc::new(compute()?);
        *known = Some(Arc::clone(&computed));
        Ok(computed)
    }
}

impl StatementSnapshot {
    fn traits(&self) -> Result<Arc<Traits>> {
        self.derived.traits.get(|| Traits::collect(self))
    }

    fn activity(&self) -> Result<Arc<MemberActivity>> {
        let traits = self.traits()?;
        self.derived
            .activity
            .get(|| MemberActivity::collect(self, &traits))
    }

    /// The models that the statement sees, as known now.
    fn models(&self) -> Result<Arc<ModelBook>> {
        self.derived.models.get(|| {
            let book = self.model_book(None);
            book.map_err(DataFusionError::from)
        })
    }

    /// All rows of a derived table.
    fn rows_of(&self, table: TableName) -> Result<Arc<RecordBatch>> {
        self.derived.tables[table as usize].get(|| match table {
            TableName::Accounts => entities::accounts(self),
            TableName::Users => entities::users(self),
            TableName::Memberships => memberships::memberships(self),
            TableName::EventCatalog => catalog::event_catalog(self),
            TableName::HealthFeatures => Ok(model::tables::health_features(&*self.models()?)?),
            TableName::HealthModels => Ok(model::tables::health_models(&*self.models()?)?),
            TableName::HealthStepsCatalogue => {
                Ok(model::tables::health_steps_catalogue(&*self.models()?)?)
            }
            TableName::HealthWeights => Ok(model::tables::health_weights(&*self.models()?)?),
            TableName::Events => unreachable!("events are scanned, not derived"),
        })
    }
}

/// One derived table of one statement.
#[derive(Clone, Debug)]
pub(crate) struct DerivedTable {
    table: TableName,
    schema: SchemaRef,
    snapshot: Arc<StatementSnapshot>,
}

impl DerivedTable {
    pub fn new(table: TableName, snapshot: Arc<StatementSnapshot>) -> Self {
        Self {
            table,
            schema: table.schema(),
            snapshot,
        }
    }
}

#[async_trait]
impl TableProvider for DerivedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partition: Arc<dyn PartitionStream> = Arc::new(self.clone());
        let schema = Arc::clone(&self.schema);
        let plan =
            StreamingTableExec::try_new(schema, vec![partition], projection, [], false, limit)?;
        Ok(Arc::new(plan))
    }
}

impl PartitionStream for DerivedTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (table, snapshot) = (self.table, Arc::clone(&self.snapshot));
        let batches = stream::once(async move {
            let rows = snapshot.rows_of(table)?;
            let memory = MemoryConsumer::new(table.as_str()).register(context.memory_pool());
            memory.try_grow(rows.get_array_memory_size())?;
            let batch_rows = context.session_config().batch_size();
            let starts = (0..rows.num_rows()).step_by(batch_rows);
            Ok::<_, DataFusionError>(stream::iter(starts).map(move |start| {
                // The reservation lives as long as the rows are read.
                let _ = &memory;
                Ok(rows.slice(start, batch_rows.min(rows.num_rows() - start)))
            }))
        });
        let stream = batches.try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            stream,
        ))
    }
}

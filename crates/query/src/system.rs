//! The schema `system`: tables of what the process itself knows, such as the statements it runs.
//!
//! Who makes their rows registers them with the engine ([`SystemTable`]); here they become tables
//! of SQL. Their rows are of no snapshot: they are made when a statement first scans them, and kept
//! for it. Invariant: rows are asked for with the viewer of the statement, never without.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{SchemaProvider, Session as PlanSession, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::error::QueryError;
use crate::tables::TableDescription;

/// The name of the schema.
pub(crate) const SYSTEM: &str = "system";

/// Whose statement it is: decides which rows of system tables it sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    /// The name by which the caller is known; `None` where nobody is asked for one.
    pub name: Option<String>,
    /// Whether everyone's rows are shown.
    pub is_admin: bool,
}

/// A table whose rows the process makes when they are asked for.
pub trait SystemTable: fmt::Debug + Send + Sync {
    /// Its name without the schema, its comment and its columns, all of plain types.
    fn describe(&self) -> TableDescription;

    /// What `viewer` may see of it now, one array a column, in order.
    ///
    /// # Errors
    /// The rows cannot be made.
    fn rows(&self, viewer: &Viewer) -> Result<RecordBatch, QueryError>;
}

/// The schema of a table's batches.
#[must_use]
pub fn schema_of_table(table: &TableDescription) -> SchemaRef {
    let fields = table.columns.iter().map(|column| {
        let (name, data_type) = (column.name.as_str(), column.data_type.clone());
        Field::new(name, data_type, column.is_nullable)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The tables that are registered with an engine.
#[derive(Debug, Default)]
pub(crate) struct SystemTables {
    tables: RwLock<Vec<Arc<dyn SystemTable>>>,
}

impl SystemTables {
    pub fn add(&self, table: Arc<dyn SystemTable>) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.push(table);
    }

    pub fn describe(&self) -> Vec<TableDescription> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.iter().map(|table| table.describe()).collect()
    }

    /// The schema as `viewer` sees it; `None` where nothing is registered.
    pub fn seen_by(&self, viewer: &Viewer) -> Option<Arc<SystemSchema>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        if tables.is_empty() {
            return None;
        }
        let seen = tables.iter().map(|table| {
            let description = table.describe();
            Arc::new(SeenTable {
                schema: schema_of_table(&description),
                name: description.name,
                table: Arc::clone(table),
                viewer: viewer.clone(),
                rows: Mutex::default(),
            })
        });
        let tables = seen.collect();
        Some(Arc::new(SystemSchema { tables }))
    }
}

/// The schema of one statement.
#[derive(Debug)]
pub(crate) struct SystemSchema {
    tables: Vec<Arc<SeenTable>>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name.clone()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let found = self.tables.iter().find(|table| table.name == name);
        Ok(found.map(|table| Arc::clone(table) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table.name == name)
    }
}

/// A table with who looks at it.
#[derive(Debug)]
struct SeenTable {
    name: String,
    schema: SchemaRef,
    table: Arc<dyn SystemTable>,
    viewer: Viewer,
    /// As the statement found them first: it sees one list, however often it names the table.
    rows: Mutex<Option<RecordBatch>>,
}

impl SeenTable {
    fn rows(&self) -> Result<RecordBatch, QueryError> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = &*rows {
            return Ok(rows.clone());
        }
        Ok(rows.insert(self.table.rows(&self.viewer)?).clone())
    }
}

#[async_trait]
impl TableProvider for SeenTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn PlanSession,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let rows = self.rows()?;
        let schema = Arc::clone(&self.schema);
        Ok(MemorySourceConfig::try_new_exec(
            &[vec![rows]],
            schema,
            projection.cloned(),
        )?)
    }
}

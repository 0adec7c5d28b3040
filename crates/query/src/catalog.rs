//! The catalogue of one statement: one schema with the tables over one snapshot, one with those of
//! the process itself where there are any, and `information_schema`.
//!
//! It cannot be changed: registering and dropping are refused by the traits' own defaults.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::error::DataFusionError;

use crate::derived::DerivedTable;
use crate::routines::{RoutineSchema, Routines};
use crate::snapshot::StatementSnapshot;
use crate::system::SYSTEM;
use crate::table::EventsTable;
use crate::tables::TableName;
use crate::views::Views;

/// The name of the only catalogue.
pub(crate) const CATALOG: &str = "vitalog";
/// The name of the schema of everything that the store holds.
pub(crate) const SCHEMA: &str = "public";

/// List, catalogue and schema in one: there is one of each.
#[derive(Clone, Debug)]
pub(crate) struct StatementCatalog {
    snapshot: Arc<StatementSnapshot>,
    routines: Arc<Routines>,
    views: Arc<Views>,
}

impl StatementCatalog {
    pub fn new(snapshot: &Arc<StatementSnapshot>, routines: &Arc<Routines>, views: Views) -> Self {
        Self {
            snapshot: Arc::clone(snapshot),
            routines: Arc::clone(routines),
            views: Arc::new(views),
        }
    }

    /// The same tables, and views that were planned.
    pub fn with_views(&self, views: Views) -> Self {
        Self {
            views: Arc::new(views),
            ..self.clone()
        }
    }

    pub fn snapshot(&self) -> &Arc<StatementSnapshot> {
        &self.snapshot
    }
}

impl CatalogProviderList for StatementCatalog {
    fn register_catalog(
        &self,
        _name: String,
        _catalog: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(self.clone()) as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for StatementCatalog {
    fn schema_names(&self) -> Vec<String> {
        let system = self.snapshot.system.as_ref().map(|_| SYSTEM.to_owned());
        [SCHEMA.to_owned()].into_iter().chain(system).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            SCHEMA => Some(Arc::new(self.clone())),
            SYSTEM => {
                let system = self.snapshot.system.clone()?;
                Some(system)
            }
            // It is no schema among others: DataFusion's listings add it themselves.
            INFORMATION_SCHEMA => {
                let catalogs = Arc::new(self.clone());
                Some(Arc::new(RoutineSchema::new(catalogs, &self.routines)))
            }
            _ => None,
        }
    }
}

#[async_trait]
impl SchemaProvider for StatementCatalog {
    fn table_names(&self) -> Vec<String> {
        let tables = TableName::ALL.iter().map(|table| table.as_str());
        tables
            .chain(self.views.names())
            .map(str::to_owned)
            .collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(table) = TableName::of(name) else {
            return Ok(self.views.table(name));
        };
        let snapshot = Arc::clone(&self.snapshot);
        Ok(Some(match table {
            TableName::Events => Arc::new(EventsTable::new(snapshot)),
            derived => Arc::new(DerivedTable::new(derived, snapshot)),
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        TableName::of(name).is_some() || self.views.is_view(name)
    }
}

//! The catalogue of one statement: one schema with the tables over one snapshot.
//!
//! It cannot be changed: registering and dropping are refused by the traits' own defaults.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::error::DataFusionError;

use crate::derived::DerivedTable;
use crate::snapshot::StatementSnapshot;
use crate::table::EventsTable;
use crate::tables::TableName;

/// The name of the only catalogue.
pub(crate) const CATALOG: &str = "vitalog";
/// The name of the only schema beside `information_schema`.
pub(crate) const SCHEMA: &str = "public";

/// List, catalogue and schema in one: there is one of each.
#[derive(Clone, Debug)]
pub(crate) struct StatementCatalog {
    snapshot: Arc<StatementSnapshot>,
}

impl StatementCatalog {
    pub fn new(snapshot: &Arc<StatementSnapshot>) -> Self {
        Self {
            snapshot: Arc::clone(snapshot),
        }
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
        vec![SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == SCHEMA).then(|| Arc::new(self.clone()) as Arc<dyn SchemaProvider>)
    }
}

#[async_trait]
impl SchemaProvider for StatementCatalog {
    fn table_names(&self) -> Vec<String> {
        TableName::ALL
            .iter()
            .map(|table| table.as_str().to_owned())
            .collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(table) = TableName::of(name) else {
            return Ok(None);
        };
        let snapshot = Arc::clone(&self.snapshot);
        Ok(Some(match table {
            TableName::Events => Arc::new(EventsTable::new(snapshot)),
            derived => Arc::new(DerivedTable::new(derived, snapshot)),
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        TableName::of(name).is_some()
    }
}

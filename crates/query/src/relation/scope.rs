//! What the SQL of a relation sees: `events`, and the derived tables as they were at each instant
//! that it asks about.
//!
//! `accounts_0` are the accounts at the first instant, `accounts_1` at the second, and so on; all
//! are cut at one `seq`.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono_tz::Tz;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::registry::FunctionRegistry;
use vitalog_event::{DAY_US, format_timestamp_us};

use super::natives;
use crate::catalog::{CATALOG, SCHEMA};
use crate::derived::DerivedTable;
use crate::error::{QueryError, QueryErrorKind};
use crate::snapshot::StatementSnapshot;
use crate::table::EventsTable;
use crate::tables::TableName;

/// How deep its SQL may nest: each level of formulas is one SELECT inside another, and the stack
/// of the planner grows as it needs.
const NESTING_MAX: usize = 1_000;

/// The instants of one relation. Clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    snapshot: Arc<StatementSnapshot>,
    /// Cut at an instant each.
    cuts: Arc<Mutex<Vec<Arc<StatementSnapshot>>>>,
    /// The first day from which history is whole, where some was dropped.
    history_from_day: Option<i32>,
}

impl Scope {
    /// A scope that sees `snapshot` up to `seq`.
    pub fn new(snapshot: &StatementSnapshot, seq: i64) -> Self {
        Self {
            snapshot: snapshot.cut(seq, i64::MAX),
            cuts: Arc::default(),
            history_from_day: snapshot.snapshot.history_from_day(),
        }
    }

    /// A scope in which a model is planned to be checked, at an instant that nobody asked about:
    /// no day is missed.
    pub fn of_check(snapshot: &StatementSnapshot) -> Self {
        Self {
            history_from_day: None,
            ..Self::new(snapshot, snapshot.seq)
        }
    }

    /// The name by which SQL sees `table` as it was at `instant_us`.
    pub fn table(&self, table: TableName, instant_us: i64) -> String {
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cuts.iter().position(|cut| cut.time_end_us == instant_us);
        let at = known.unwrap_or_else(|| {
            cuts.push(self.snapshot.cut(i64::MAX, instant_us));
            cuts.len() - 1
        });
        format!("{}_{at}", table.as_str())
    }

    /// Refuses a question that looks back to `since_us`, where days from then on were dropped for
    /// their age.
    pub fn check_history(&self, what: &str, since_us: i64) -> Result<(), DataFusionError> {
        let Some(whole_us) = self.history_from_day.map(|day| i64::from(day) * DAY_US) else {
            return Ok(());
        };
        if since_us >= whole_us {
            return Ok(());
        }
        let day = &format_timestamp_us(whole_us)[..10];
        let message = format!(
            "RETENTION: {what} needs events from before {day}, which the retention dropped; ask \
             without it, or about later days"
        );
        Err(QueryError::new(QueryErrorKind::Retention, message).into())
    }

    /// A session in which SQL of this scope plans.
    pub fn session(&self, outer: &SessionState, zone: Tz) -> Result<SessionState, DataFusionError> {
        let mut state = outer.clone();
        state.register_catalog_list(Arc::new(self.clone()));
        let options = state.config_mut().options_mut();
        options.sql_parser.recursion_limit = ConfigNonZeroUsize::try_new(NESTING_MAX)?;
        for native in natives::all(zone) {
            state.register_udf(Arc::new(native))?;
        }
        Ok(state)
    }

    fn find(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        if name == TableName::Events.as_str() {
            return Some(Arc::new(EventsTable::new(Arc::clone(&self.snapshot))));
        }
        let (table, at) = name.rsplit_once('_')?;
        let table = TableName::of(table)?;
        let cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = Arc::clone(cuts.get(at.parse::<usize>().ok()?)?);
        Some(Arc::new(DerivedTable::new(table, cut)))
    }
}

impl CatalogProviderList for Scope {
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

impl CatalogProvider for Scope {
    fn schema_names(&self) -> Vec<String> {
        vec![SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == SCHEMA).then(|| Arc::new(self.clone()) as Arc<dyn SchemaProvider>)
    }
}

#[async_trait]
impl SchemaProvider for Scope {
    fn table_names(&self) -> Vec<String> {
        vec![TableName::Events.as_str().to_owned()]
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        Ok(self.find(name))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}

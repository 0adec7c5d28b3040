//! Named views: SQL under a name, from the log or built in, planned when a statement names them.
//!
//! A view sees the snapshot of the statement that uses it. It is planned anew each time, so it
//! follows the tables and models of that snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use vitalog_store::{Definition, DefinitionKind};

use crate::catalog::StatementCatalog;
use crate::engine::Access;
use crate::error::QueryError;
use crate::relation::{self, Relation};
use crate::snapshot::StatementSnapshot;
use crate::statement;
use crate::tables::TableName;

type Result<T> = std::result::Result<T, DataFusionError>;

/// Views that are always there.
pub(crate) const BUILT_IN: [(&str, &str); 2] = [
    (
        "account_health",
        "SELECT a.name, a.plan, a.mrr, a.renewal_at, h.* FROM health_scores(entity => 'account') h \
         LEFT JOIN accounts a ON h.account_id = a.account_id",
    ),
    (
        "user_health",
        "SELECT u.name, u.email, u.role, h.* FROM health_scores(entity => 'user') h \
         LEFT JOIN users u ON h.user_id = u.user_id",
    ),
];

/// Most nodes of a view's plan, views inside written out: views of views multiply.
const NODES_MAX: usize = 10_000;
/// Most views inside views.
const NESTING_MAX: usize = 16;

/// The views that a statement may name, and those that were planned for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Views {
    texts: BTreeMap<String, Arc<str>>,
    planned: BTreeMap<String, Arc<ViewTable>>,
    /// Nodes of the planned ones, with those of the views inside.
    nodes: BTreeMap<String, usize>,
}

impl Views {
    /// The views in force at a snapshot, none of them planned.
    pub fn of(snapshot: &StatementSnapshot) -> Self {
        let built_in = BUILT_IN.iter();
        let mut texts: BTreeMap<String, Arc<str>> = built_in
            .map(|(name, sql)| ((*name).to_owned(), Arc::from(*sql)))
            .collect();
        for view in definitions(snapshot) {
            match &view.text {
                Some(text) => texts.insert(view.name.clone(), Arc::clone(text)),
                None => texts.remove(&view.name),
            };
        }
        Self {
            texts,
            planned: BTreeMap::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    pub fn is_view(&self, name: &str) -> bool {
        self.texts.contains_key(name)
    }

    /// A view that was planned.
    pub fn table(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        let view = self.planned.get(name)?;
        Some(Arc::clone(view) as Arc<dyn TableProvider>)
    }

    /// Plans the views that `statement` names, and all of them where it asks for a listing: there
    /// one that cannot be planned any more is left out.
    pub async fn plan_for(
        &mut self,
        statement: &Statement,
        state: &SessionState,
        catalog: &StatementCatalog,
    ) -> Result<()> {
        let references = state.resolve_table_references(statement)?;
        let is_listing = references
            .iter()
            .any(|table| table.schema() == Some(INFORMATION_SCHEMA));
        let named: BTreeSet<String> = references
            .iter()
            .filter(|table| table.schema() != Some(INFORMATION_SCHEMA))
            .map(|table| table.table().to_owned())
            .filter(|name| self.is_view(name))
            .collect();
        for name in &named {
            self.plan(name.clone(), 0, state, catalog).await?;
        }
        if is_listing {
            let names: Vec<String> = self.texts.keys().cloned().collect();
            for name in names {
                if let Err(error) = self.plan(name.clone(), 0, state, catalog).await {
                    tracing::warn!(view = name, %error, "a view cannot be planned");
                }
            }
        }
        Ok(())
    }

    /// The view among `references` by which they lead to `name`, however deep: `name` itself
    /// where they name it. A view that cannot be parsed any more leads nowhere.
    ///
    /// # Errors
    /// Names that cannot be resolved.
    pub fn leading_to(
        &self,
        name: &str,
        references: &[TableReference],
        state: &SessionState,
    ) -> Result<Option<String>> {
        let mut seen = BTreeSet::new();
        for first in references {
            let mut open = vec![first.table().to_owned()];
            while let Some(view) = open.pop() {
                if view == name {
                    return Ok(Some(first.table().to_owned()));
                }
                let Some(sql) = self.texts.get(&view).filter(|_| seen.insert(view.clone())) else {
                    continue;
                };
                if let Ok(statement) = parse(state, sql) {
                    let inner = state.resolve_table_references(&statement)?;
                    open.extend(inner.iter().map(|table| table.table().to_owned()));
                }
            }
        }
        Ok(None)
    }

    /// The nodes of a plan once the views in it are written out.
    fn nodes_of(&self, plan: &LogicalPlan) -> Result<usize> {
        let mut nodes = 0_usize;
        plan.apply_with_subqueries(|node| {
            let inner = match node {
                LogicalPlan::TableScan(scan) => self.nodes.get(scan.table_name.table()),
                _ => None,
            };
            nodes = nodes
                .saturating_add(1)
                .saturating_add(inner.copied().unwrap_or(0));
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(nodes)
    }

    /// Plans one view and those that it names.
    fn plan<'a>(
        &'a mut self,
        name: String,
        depth: usize,
        state: &'a SessionState,
        catalog: &'a StatementCatalog,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        Box::pin(async move {
            let Some(sql) = self.texts.get(&name).map(Arc::clone) else {
                return Ok(());
            };
            if self.planned.contains_key(&name) {
                return Ok(());
            }
            if depth == NESTING_MAX {
                return Err(invalid(format!(
                    "view {name} stands in more than {NESTING_MAX} views, or in itself"
                )));
            }
            let named = |error: DataFusionError| error.context(format!("view {name}"));
            let statement = parse(state, &sql).map_err(named)?;
            for table in state.resolve_table_references(&statement)? {
                let inner = table.table().to_owned();
                self.plan(inner, depth + 1, state, catalog).await?;
            }
            let mut state = state.clone();
            state.register_catalog_list(Arc::new(catalog.with_views(self.clone())));
            let plan = state.statement_to_plan(statement).await.map_err(named)?;
            let plan = relation::bind(plan, &state, catalog.snapshot()).map_err(named)?;
            let nodes = self.nodes_of(&plan)?;
            if nodes > NODES_MAX {
                return Err(invalid(format!(
                    "view {name} comes to {nodes} plan nodes with the views inside, at most \
                     {NODES_MAX} are taken"
                )));
            }
            self.nodes.insert(name.clone(), nodes);
            let view = ViewTable::new(plan, Some(sql.to_string()));
            self.planned.insert(name, Arc::new(view));
            Ok(())
        })
    }
}

/// Stored versions of views that a snapshot sees, in order of storing.
pub(crate) fn definitions(snapshot: &StatementSnapshot) -> impl Iterator<Item = &Arc<Definition>> {
    let stored = snapshot.snapshot.definitions().iter();
    stored.filter(|definition| {
        definition.kind == DefinitionKind::View && definition.seq <= snapshot.seq
    })
}

/// The one query of a view.
///
/// # Errors
/// Anything but one SELECT; files as tables.
pub(crate) fn parse(state: &SessionState, sql: &str) -> Result<Statement> {
    let statement = statement::parse(state, sql)?;
    let is_query = matches!(
        &statement,
        Statement::Statement(statement) if matches!(statement.as_ref(), SqlStatement::Query(_))
    );
    if !is_query {
        return Err(invalid("a view is one SELECT"));
    }
    statement::check_files(state, &statement, Access::ReadOnly)?;
    Ok(statement)
}

/// Refuses names that a view cannot have.
pub(crate) fn check_name(name: &str) -> std::result::Result<(), QueryError> {
    let mut letters = name.bytes();
    let is_plain = letters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
        && letters.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.len() <= 63;
    if !is_plain {
        return Err(QueryError::invalid(format!(
            "'{name}' is no name of a view: a letter, then letters, digits and _, all lower case, \
             at most 63"
        )));
    }
    let is_taken = TableName::of(name).is_some()
        || Relation::of(name).is_some()
        || BUILT_IN.iter().any(|(view, _)| *view == name);
    if is_taken {
        return Err(QueryError::invalid(format!(
            "{name} is a name of Vitalog's own; give the view another"
        )));
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> DataFusionError {
    QueryError::invalid(message).into()
}

//! A bound relation as a table: told which columns are asked for, it plans only what they need.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, ident,
};
use datafusion::physical_plan::ExecutionPlan;

use super::argument::invalid;
use super::columns::Relation;
use super::question::Bound;
use super::scope::Scope;
use super::sql;
use crate::snapshot::StatementSnapshot;
use crate::statement;

/// One relation with its arguments as values.
#[derive(Debug)]
pub(super) struct RelationTable {
    relation: Relation,
    bound: Bound,
    snapshot: Arc<StatementSnapshot>,
}

impl RelationTable {
    pub fn new(relation: Relation, bound: Bound, snapshot: Arc<StatementSnapshot>) -> Self {
        Self {
            relation,
            bound,
            snapshot,
        }
    }

    /// The plan of the columns `wanted`, in their order in the schema.
    async fn plan(
        &self,
        state: &SessionState,
        wanted: &BTreeSet<usize>,
    ) -> Result<(LogicalPlan, SessionState), DataFusionError> {
        let names: Vec<&str> = wanted
            .iter()
            .map(|&at| self.relation.columns()[at].0)
            .collect();
        let scope = Scope::new(&self.snapshot, self.bound.seq());
        let script = sql::of(&self.bound, &names, &scope)?;
        let inner = script.session(&scope, state, self.bound.zone())?;
        let statement = statement::parse(&inner, &script.sql)?;
        let plan = inner.statement_to_plan(statement).await?;
        let plan = with_types(plan, &self.relation.schema(), wanted)?;
        Ok((plan, inner))
    }
}

/// The columns of `plan` with the types that the relation promises.
fn with_types(
    plan: LogicalPlan,
    schema: &SchemaRef,
    wanted: &BTreeSet<usize>,
) -> Result<LogicalPlan, DataFusionError> {
    let found = Arc::clone(plan.schema());
    let columns = wanted
        .iter()
        .enumerate()
        .map(|(position, &at)| {
            let field = schema.field(at);
            let (qualifier, inner) = found.qualified_field(position);
            let column = Expr::from(Column::new(qualifier.cloned(), inner.name()));
            if inner.data_type() == field.data_type() {
                return Ok(column.alias(field.name()));
            }
            let cast = datafusion::logical_expr::cast(column, field.data_type().clone());
            Ok(cast.alias(field.name()))
        })
        .collect::<Result<Vec<_>, DataFusionError>>()?;
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// `filter` over the columns of the relation, without the table's name.
fn unqualified(filter: &Expr) -> Result<Expr, DataFusionError> {
    let bare = |expr: Expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(ident(column.name))),
        other => Ok(Transformed::no(other)),
    };
    Ok(filter.clone().transform(bare)?.data)
}

#[async_trait]
impl TableProvider for RelationTable {
    fn schema(&self) -> SchemaRef {
        self.relation.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    /// Filters are part of the inner plan, where the optimiser moves them as far down as they may
    /// go: never below the population of a peg.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        let support = |filter: &&Expr| {
            if filter.is_volatile() {
                TableProviderFilterPushDown::Unsupported
            } else {
                TableProviderFilterPushDown::Exact
            }
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let state = session
            .as_any()
            .downcast_ref::<SessionState>()
            .ok_or_else(|| invalid("relations of health need a session of Vitalog's own"))?;
        let schema = self.relation.schema();
        let shown: Vec<usize> = match projection {
            Some(columns) => columns.clone(),
            None => (0..schema.fields().len()).collect(),
        };
        let mut wanted: BTreeSet<usize> = shown.iter().copied().collect();
        for column in filters.iter().flat_map(Expr::column_refs) {
            wanted.insert(schema.index_of(column.name())?);
        }
        if wanted.is_empty() {
            // Rows without columns are counted by any column.
            wanted.insert(0);
        }
        let (mut plan, inner) = self.plan(state, &wanted).await?;
        for filter in filters {
            plan = LogicalPlanBuilder::from(plan)
                .filter(unqualified(filter)?)?
                .build()?;
        }
        let columns = shown.iter().map(|&at| ident(schema.field(at).name()));
        let plan = LogicalPlanBuilder::from(plan)
            .project(columns.collect::<Vec<_>>())?
            .limit(0, limit)?
            .build()?;
        inner.create_physical_plan(&plan).await
    }
}

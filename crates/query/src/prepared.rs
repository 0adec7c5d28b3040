//! What a statement would answer, found without running it: the schema of its rows and the types
//! of its placeholders.
//!
//! It plans as a run would, and stops before the first row. Invariant: the schema of a statement
//! whose placeholders have values is the schema of the stream that the same request gives at the
//! same `seq`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::control::Control;
use crate::engine::{QueryEngine, QueryRequest};
use crate::error::QueryError;
use crate::parameter;
use crate::placeholder::UNNUMBERED;
use crate::plain::{PlainTypes, plain_type};
use crate::session::Session;
use crate::statement;

/// A statement as it was planned.
#[derive(Clone, Debug, PartialEq)]
pub struct StatementDescription {
    /// The schema of the rows: plain types only. Where placeholders have no values yet, types may
    /// still change with the values, and this is what is known without them.
    pub schema: SchemaRef,
    /// The plain type of `$1`, `$2`, … where the request had no values for them; text where the
    /// statement does not tell.
    pub parameters: Vec<DataType>,
    /// The `seq` at which it was planned.
    pub seq: i64,
}

impl QueryEngine {
    /// Plans a statement as [`QueryEngine::query`] does, and reads no row. A request without
    /// parameters may have placeholders: their types are told. Cost: that of planning.
    ///
    /// # Errors
    /// Those of [`QueryEngine::query`] before the first row.
    pub async fn describe_statement(
        &self,
        request: QueryRequest,
    ) -> Result<StatementDescription, QueryError> {
        let (session, _) = self.session_now()?;
        self.run(async move { session.describe(&request).await })
            .await
    }
}

impl Session {
    async fn describe(&self, request: &QueryRequest) -> Result<StatementDescription, QueryError> {
        let may_be_open = request.parameters.is_empty() && request.sql.contains(['$', UNNUMBERED]);
        if may_be_open && request.sql.len() <= self.config().sql_bytes_max {
            let described = self.describe_open(request).await;
            let diagnosis = self.diagnosis(&request.sql, request.access);
            if let Some(open) = described.map_err(|error| diagnosis.diagnose(&error))? {
                return Ok(open);
            }
        }
        let control = Arc::new(Control::start(self.config().deadline));
        let planned = self.plan(request, None, &control).await?;
        Ok(StatementDescription {
            schema: PlainTypes::of(&planned.schema()).schema(),
            parameters: Vec::new(),
            seq: planned.seq(),
        })
    }

    /// A statement with placeholders that have no values; `None` where it has none.
    async fn describe_open(
        &self,
        request: &QueryRequest,
    ) -> Result<Option<StatementDescription>, DataFusionError> {
        let statement = statement::parse(self.template(), &request.sql)?;
        statement::check_statement(&statement, request.access)?;
        statement::check_files(self.template(), &statement, request.access)?;
        let control = Arc::new(Control::start(self.config().deadline));
        let snapshot = self.snapshot(&control)?;
        let state = self.state_over(&snapshot);
        let views = self.views_of(&statement, &state, &snapshot).await?;
        let (state, _context) = self.with_views(state, &snapshot, views, request.access);
        let plan = state.statement_to_plan(statement).await?;
        let Some(parameters) = types_of(&plan)? else {
            return Ok(None);
        };
        let plan = statement::check_plan(plan, request.access)?;
        let schema = Arc::clone(coerced(&state, plan).schema().inner());
        Ok(Some(StatementDescription {
            schema: PlainTypes::of(&schema).schema(),
            parameters,
            seq: snapshot.seq,
        }))
    }
}

/// The plan with the types that its expressions are given before it runs, where they can be known
/// without the values.
fn coerced(state: &SessionState, plan: LogicalPlan) -> LogicalPlan {
    let options = state.config_options();
    let analyzed = state
        .analyzer()
        .execute_and_check(plan.clone(), options, |_, _| {});
    analyzed.unwrap_or(plan)
}

/// The types of `$1`, `$2`, …; `None` where there are none.
///
/// # Errors
/// A placeholder with a name instead of a number.
fn types_of(plan: &LogicalPlan) -> Result<Option<Vec<DataType>>, DataFusionError> {
    let names = parameter::placeholders(plan)?;
    if names.is_empty() {
        return Ok(None);
    }
    let mut numbers = Vec::with_capacity(names.len());
    for name in &names {
        numbers.push(parameter::number_of(name)?);
    }
    let known = told_types(plan)?;
    let type_of = |number: usize| {
        let found = known.get(&format!("${number}"));
        let common = found.and_then(|types| type_union_resolution(types));
        common.map_or(DataType::Utf8, |common| plain_type(&common))
    };
    let last = numbers.into_iter().max().unwrap_or(0);
    Ok(Some((1..=last).map(type_of).collect()))
}

/// For each placeholder the types that the expressions around it ask for; none where they tell
/// nothing.
fn told_types(plan: &LogicalPlan) -> Result<HashMap<String, Vec<DataType>>, DataFusionError> {
    let mut told: HashMap<String, Vec<DataType>> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        let counts_rows = matches!(node, LogicalPlan::Limit(_));
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(placeholder) = expr {
                    let field = placeholder.field.as_ref();
                    let found = match field.map(|field| field.data_type()) {
                        None | Some(DataType::Null) => counts_rows.then_some(DataType::Int64),
                        Some(found) => Some(found.clone()),
                    };
                    told.entry(placeholder.id.clone())
                        .or_default()
                        .extend(found);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(told)
}

//! From `health_scores(model => 'default')` in a `FROM` to a call in the logical plan.

use std::sync::Arc;

use datafusion::common::{DFSchema, TableReference};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    TableFactor,
};

use super::argument::invalid;
use super::call::RelationCall;
use super::{Argument, Relation};
use crate::diagnosis::near;
use crate::error::QueryError;

/// Plans calls of relations; everything else in `FROM` is left to others.
#[derive(Debug)]
pub(crate) struct HealthPlanner;

impl RelationPlanner for HealthPlanner {
    fn plan_relation(
        &self,
        factor: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning, DataFusionError> {
        let TableFactor::Table {
            name,
            alias,
            args: Some(arguments),
            ..
        } = &factor
        else {
            return Ok(RelationPlanning::Original(Box::new(factor)));
        };
        let Some(relation) = relation_of(name, context) else {
            let is_named = |argument: &FunctionArg| !matches!(argument, FunctionArg::Unnamed(_));
            if arguments.args.iter().any(is_named) {
                return Err(unknown_relation(name));
            }
            return Ok(RelationPlanning::Original(Box::new(factor)));
        };
        let mut values: Vec<(Argument, Expr)> = Vec::with_capacity(arguments.args.len());
        for written in &arguments.args {
            let (argument, value) = argument_of(relation, written, context)?;
            if values.iter().any(|(known, _)| *known == argument) {
                let (relation, name) = (relation.name(), argument.name());
                return Err(invalid(format!("{relation}: {name} is given twice")));
            }
            values.push((argument, value));
        }
        let table = TableReference::bare(relation.name());
        let schema = DFSchema::try_from_qualified_schema(table, &relation.schema())?;
        let node = Arc::new(RelationCall {
            relation,
            arguments: values,
            schema: Arc::new(schema),
        });
        let plan = LogicalPlan::Extension(Extension { node });
        let planned = PlannedRelation::new(plan, alias.clone());
        Ok(RelationPlanning::Planned(Box::new(planned)))
    }
}

fn relation_of(name: &ObjectName, context: &dyn RelationPlannerContext) -> Option<Relation> {
    let [only] = name.0.as_slice() else {
        return None;
    };
    Relation::of(&context.normalize_ident(only.as_ident()?.clone()))
}

/// Only relations take arguments by name.
fn unknown_relation(name: &ObjectName) -> DataFusionError {
    let last = name.0.last().and_then(|part| part.as_ident());
    let relations = Relation::ALL.map(Relation::name);
    let suggestion = last.and_then(|last| near(&last.value, relations.into_iter()));
    let error = QueryError::invalid(format!("there is no relation {name}"));
    error.with_suggestion(suggestion).into()
}

fn argument_of(
    relation: Relation,
    written: &FunctionArg,
    context: &mut dyn RelationPlannerContext,
) -> Result<(Argument, Expr), DataFusionError> {
    let (name, value) = match written {
        FunctionArg::Named { name, arg, .. } => (name.clone(), arg),
        FunctionArg::ExprNamed {
            name: SqlExpr::Identifier(name),
            arg,
            ..
        } => (name.clone(), arg),
        // `user` is a function without brackets to the parser.
        FunctionArg::ExprNamed {
            name: SqlExpr::Function(function),
            arg,
            ..
        } if is_bare_user(function) => (Ident::new(Argument::User.name()), arg),
        other => {
            let (relation, first) = (relation.name(), relation.arguments()[0].name());
            return Err(invalid(format!(
                "{relation}: arguments are named, as in {relation}({first} => …), and {other} is not"
            )));
        }
    };
    let name = context.normalize_ident(name);
    let argument = Argument::of(&name).filter(|known| relation.arguments().contains(known));
    let argument = argument.ok_or_else(|| unknown_argument(relation, &name))?;
    let FunctionArgExpr::Expr(value) = value else {
        let message = format!("{}: {name}: {value} is no value", relation.name());
        return Err(invalid(message));
    };
    let value = context.sql_to_expr(value.clone(), &DFSchema::empty())?;
    Ok((argument, value))
}

fn is_bare_user(function: &Function) -> bool {
    let is_user = |name: &str| name.eq_ignore_ascii_case(Argument::User.name());
    matches!(function.args, FunctionArguments::None) && is_user(&function.name.to_string())
}

fn unknown_argument(relation: Relation, name: &str) -> DataFusionError {
    let known: Vec<&str> = relation
        .arguments()
        .iter()
        .map(|argument| argument.name())
        .collect();
    invalid(format!(
        "{} has no argument {name}; it has {}",
        relation.name(),
        known.join(", ")
    ))
}

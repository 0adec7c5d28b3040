//! What `information_schema` says of functions and relations.
//!
//! DataFusion lists a function by the types that its signature enumerates, so those that choose
//! their types themselves are missing from `SHOW FUNCTIONS`, and of relations that a planner makes
//! it knows nothing. This owns the rows that it leaves out of `routines` and `parameters`; all
//! other tables of the schema, and all other rows, are DataFusion's. Invariant: every function of
//! the session and every relation stands in `routines`, in `parameters` and in `SHOW FUNCTIONS`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray, UInt8Array, UInt64Array};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::information_schema::InformationSchemaProvider;
use datafusion::catalog::{CatalogProviderList, SchemaProvider, TableFunction, TableProvider};
use datafusion::datasource::{MemTable, ViewTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::prelude::{col, lit, not};

use crate::catalog::{CATALOG, SCHEMA};
use crate::describe::RelationDescription;
use crate::routine::{Parameter, Routine};

const ROUTINES: &str = "routines";
const PARAMETERS: &str = "parameters";

/// The rows of `routines` and `parameters` that are added to DataFusion's, or stand in their place.
pub(crate) struct Routines {
    names: Vec<String>,
    table_functions: HashMap<String, Arc<TableFunction>>,
    routines: Vec<ArrayRef>,
    parameters: Vec<ArrayRef>,
}

impl fmt::Debug for Routines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.names).finish()
    }
}

impl Routines {
    /// Of every function of `state` whose signature enumerates no types, and of every relation.
    pub fn of(state: &SessionState, relations: &[RelationDescription]) -> Self {
        let mut found: Vec<Routine> = Routine::unlisted(state)
            .chain(relations.iter().map(Routine::of_relation))
            .collect();
        found.sort_by(|left, right| (&left.name, left.kind).cmp(&(&right.name, right.kind)));
        Self {
            names: found.iter().map(|routine| routine.name.clone()).collect(),
            table_functions: state.table_functions().clone(),
            routines: routine_columns(&found),
            parameters: parameter_columns(&found),
        }
    }
}

/// `information_schema` of one statement.
#[derive(Debug)]
pub(crate) struct RoutineSchema {
    inner: InformationSchemaProvider,
    routines: Arc<Routines>,
}

impl RoutineSchema {
    pub fn new(catalogs: Arc<dyn CatalogProviderList>, routines: &Arc<Routines>) -> Self {
        Self {
            inner: InformationSchemaProvider::new(catalogs)
                .with_table_functions(routines.table_functions.clone()),
            routines: Arc::clone(routines),
        }
    }

    /// Whether a row of DataFusion's is of a function that we list.
    fn listed(&self) -> Expr {
        let names = self.routines.names.iter().map(lit).collect();
        col("specific_name").in_list(names, false)
    }

    /// DataFusion's table without the rows that are `replaced`, and ours.
    fn completed(
        &self,
        inner: Arc<dyn TableProvider>,
        columns: &[ArrayRef],
        replaced: Expr,
    ) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let schema = inner.schema();
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns.to_vec())?;
        let ours = Arc::new(MemTable::try_new(schema, vec![vec![rows]])?);
        let ours = LogicalPlanBuilder::scan("listed", provider_as_source(ours), None)?.build()?;
        let plan = LogicalPlanBuilder::scan("enumerated", provider_as_source(inner), None)?
            .filter(not(replaced))?
            .union(ours)?
            .build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

#[async_trait]
impl SchemaProvider for RoutineSchema {
    fn table_names(&self) -> Vec<String> {
        self.inner.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(inner) = self.inner.table(name).await? else {
            return Ok(None);
        };
        match name.to_ascii_lowercase().as_str() {
            ROUTINES => {
                // A table function may share its name with a scalar.
                let replaced = self.listed().and(col("function_type").not_eq(lit("TABLE")));
                self.completed(inner, &self.routines.routines, replaced)
                    .map(Some)
            }
            PARAMETERS => self
                .completed(inner, &self.routines.parameters, self.listed())
                .map(Some),
            _ => Ok(Some(inner)),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name)
    }
}

/// The columns of `information_schema.routines`, in its order.
fn routine_columns(found: &[Routine]) -> Vec<ArrayRef> {
    let names = text(found.iter().map(|routine| Some(routine.name.as_str())));
    let (catalogs, schemas) = home(found.len());
    vec![
        Arc::clone(&catalogs),
        Arc::clone(&schemas),
        Arc::clone(&names),
        catalogs,
        schemas,
        names,
        text(found.iter().map(|_| Some("FUNCTION"))),
        Arc::new(BooleanArray::from_iter(
            found.iter().map(|routine| Some(routine.deterministic)),
        )),
        text(found.iter().map(|routine| Some(routine.returns.as_str()))),
        text(found.iter().map(|routine| Some(routine.kind))),
        text(found.iter().map(|routine| routine.description.as_deref())),
        text(found.iter().map(|routine| routine.syntax.as_deref())),
    ]
}

/// The columns of `information_schema.parameters`, in its order.
fn parameter_columns(found: &[Routine]) -> Vec<ArrayRef> {
    let rows: Vec<(&str, u64, &str, &Parameter)> = found
        .iter()
        .flat_map(|routine| {
            let inputs = (1u64..)
                .zip(&routine.inputs)
                .map(|(at, input)| ("IN", at, input));
            let outputs = (1u64..)
                .zip(&routine.outputs)
                .map(|(at, output)| ("OUT", at, output));
            inputs
                .chain(outputs)
                .map(|(mode, at, parameter)| (routine.name.as_str(), at, mode, parameter))
        })
        .collect();
    let (catalogs, schemas) = home(rows.len());
    vec![
        catalogs,
        schemas,
        text(rows.iter().map(|row| Some(row.0))),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.1))),
        text(rows.iter().map(|row| Some(row.2))),
        text(rows.iter().map(|row| row.3.name.as_deref())),
        text(rows.iter().map(|row| Some(row.3.data_type.as_str()))),
        text(rows.iter().map(|row| row.3.default.as_deref())),
        Arc::new(BooleanArray::from(vec![false; rows.len()])),
        Arc::new(UInt8Array::from(vec![0; rows.len()])),
    ]
}

/// Columns with the catalogue and the schema that functions are shown in.
fn home(rows: usize) -> (ArrayRef, ArrayRef) {
    let column = |name| text(std::iter::repeat_n(Some(name), rows));
    (column(CATALOG), column(SCHEMA))
}

fn text<'t>(values: impl Iterator<Item = Option<&'t str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::execution::SessionStateBuilder;

    use super::*;
    use crate::describe::RelationArgument;

    fn scores() -> RelationDescription {
        let argument = |name: &str, data_type, default: &str| RelationArgument {
            name: name.to_owned(),
            data_type,
            default: Some(default.to_owned()),
            description: format!("Which {name}."),
        };
        RelationDescription {
            name: "scores".to_owned(),
            signature: "scores([model, limit])".to_owned(),
            description: "One row an account.".to_owned(),
            example: None,
            arguments: vec![
                argument("model", DataType::Utf8, "'default'"),
                argument("limit", DataType::Int64, "10"),
            ],
            columns: Arc::new(Schema::new(vec![
                Field::new("account_id", DataType::Utf8, true),
                Field::new("score", DataType::Float64, true),
            ])),
            column_comments: vec!["The account.".to_owned(), "1 to 100.".to_owned()],
        }
    }

    /// The rows of one of the two tables for a name, as text.
    fn rows(columns: &[ArrayRef], name: &str) -> Vec<Vec<String>> {
        let text = |column: &ArrayRef, row| {
            arrow::util::display::array_value_to_string(column, row).expect("can be shown")
        };
        (0..columns[0].len())
            .map(|row| columns.iter().map(|column| text(column, row)).collect())
            .filter(|row: &Vec<String>| row[2] == name)
            .collect()
    }

    #[test]
    fn a_relation_is_a_table_function_with_arguments_and_columns() {
        let state = SessionStateBuilder::new_with_default_features().build();
        let routines = Routines::of(&state, &[scores()]);
        let found = rows(&routines.routines, "scores");
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0][6..],
            [
                "FUNCTION",
                "false",
                "TABLE",
                "TABLE",
                "One row an account.",
                "scores([model, limit])"
            ]
        );
        let found: Vec<Vec<String>> = rows(&routines.parameters, "scores")
            .into_iter()
            .map(|row| row[3..8].to_vec())
            .collect();
        assert_eq!(
            found,
            [
                ["1", "IN", "model", "String", "'default'"],
                ["2", "IN", "limit", "Int64", "10"],
                ["1", "OUT", "account_id", "String", ""],
                ["2", "OUT", "score", "Float64", ""],
            ]
        );
    }
}

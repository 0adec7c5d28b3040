//! Which statements are taken, and which are refused by name.
//!
//! A statement is looked at three times: as it is written (before anything is planned), for the
//! files it names, and as a plan, where nothing that changes or writes can hide in a subquery.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion_functions_json::functions::json_union_to_text;

use crate::dialect::QueryDialect;
use crate::engine::Access;
use crate::error::QueryError;
use crate::placeholder;
use crate::plain::{is_json, plain_type};
use crate::tables::TableName;

/// Parses the one statement of `sql`.
pub(crate) fn parse(state: &SessionState, sql: &str) -> Result<Statement, DataFusionError> {
    let depth_max = state.config_options().sql_parser.recursion_limit.get();
    let mut statements = DFParserBuilder::new(sql)
        .with_dialect(&QueryDialect)
        .with_recursion_limit(depth_max)
        .build()?
        .parse_statements()?;
    match (statements.pop_front(), statements.len()) {
        (Some(mut statement), 0) => {
            placeholder::settle(&mut statement)?;
            Ok(statement)
        }
        (None, _) => Err(invalid("the statement is empty")),
        (Some(_), more) => {
            let found = more + 1;
            Err(invalid(format!(
                "{found} statements were sent; one is run at a time"
            )))
        }
    }
}

/// Refuses what is not a question, by the name it is written with.
pub(crate) fn check_statement(
    statement: &Statement,
    access: Access,
) -> Result<(), DataFusionError> {
    match statement {
        Statement::CreateExternalTable(_) => Err(refused("CREATE EXTERNAL TABLE", access)),
        Statement::Reset(_) => Err(refused("RESET", access)),
        Statement::CopyTo(_) if access == Access::ReadOnly => Err(refused("COPY", access)),
        Statement::CopyTo(_) => Ok(()),
        Statement::Explain(explain) => check_statement(&explain.statement, access),
        Statement::Statement(statement) => match statement.as_ref() {
            SqlStatement::Query(_)
            | SqlStatement::ExplainTable { .. }
            | SqlStatement::ShowColumns { .. }
            | SqlStatement::ShowCreate { .. }
            | SqlStatement::ShowFunctions { .. }
            | SqlStatement::ShowTables { .. }
            | SqlStatement::ShowVariable { .. }
            | SqlStatement::ShowVariables { .. } => Ok(()),
            SqlStatement::Explain { statement, .. } => {
                check_statement(&Statement::Statement(statement.clone()), access)
            }
            other => Err(refused(&name_of(other), access)),
        },
    }
}

/// Refuses files as tables where they may not be read.
pub(crate) fn check_files(
    state: &SessionState,
    statement: &Statement,
    access: Access,
) -> Result<(), DataFusionError> {
    if access == Access::Local {
        return Ok(());
    }
    for table in state.resolve_table_references(statement)? {
        let name = table.table();
        if TableName::of(name).is_none() && is_file_name(name) {
            return Err(refused(&format!("reading the file '{name}'"), access));
        }
    }
    Ok(())
}

/// Whether a table's name can only be meant as a file.
pub(crate) fn is_file_name(name: &str) -> bool {
    const ENDINGS: [&str; 9] = [
        ".parquet", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".arrow", ".avro", ".gz",
    ];
    let lower = name.to_ascii_lowercase();
    lower.contains(['/', '\\']) || ENDINGS.iter().any(|ending| lower.ends_with(ending))
}

/// Whether a table function's name can only be meant to read files.
pub(crate) fn is_file_function(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let formats = [
        "parquet", "csv", "json", "ndjson", "arrow", "avro", "orc", "delta", "iceberg",
    ];
    let reads = formats.iter().any(|format| {
        lower == format!("read_{format}")
            || lower == *format
            || lower.starts_with(&format!("{format}_"))
            || lower.starts_with(&format!("read_{format}_"))
    });
    reads || ["glob", "file", "url", "s3", "read_text", "read_blob"].contains(&lower.as_str())
}

/// Refuses plans that change or write anything; makes what `COPY` writes plain.
pub(crate) fn check_plan(
    plan: LogicalPlan,
    access: Access,
) -> Result<LogicalPlan, DataFusionError> {
    let options = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    let refuse = |error: DataFusionError| refused(&refused_name(&error), access);
    match plan {
        LogicalPlan::Copy(mut copy) if access == Access::Local => {
            options.verify_plan(&copy.input).map_err(refuse)?;
            copy.input = Arc::new(with_plain_types(Arc::unwrap_or_clone(copy.input))?);
            Ok(LogicalPlan::Copy(copy))
        }
        plan => {
            options.verify_plan(&plan).map_err(refuse)?;
            Ok(plan)
        }
    }
}

/// The same rows with the types that leave the process.
fn with_plain_types(input: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let schema = Arc::clone(input.schema());
    let columns = schema
        .iter()
        .map(|(qualifier, field)| {
            let column = Expr::from((qualifier, field));
            let plain: DataType = plain_type(field.data_type());
            if &plain == field.data_type() {
                return Ok(column);
            }
            let column = match is_json(field.data_type()) {
                true => json_union_to_text(column),
                false => column,
            };
            Ok(column
                .cast_to(&plain, &schema)?
                .alias_qualified(qualifier.cloned(), field.name()))
        })
        .collect::<Result<Vec<_>, DataFusionError>>()?;
    LogicalPlanBuilder::from(input).project(columns)?.build()
}

/// `DDL not supported: CreateView` and the like, cut down to what was refused.
fn refused_name(error: &DataFusionError) -> String {
    let message = error.message();
    match message.rsplit(": ").next().unwrap_or_default() {
        // No other statement that was taken so far makes a table.
        "CreateMemoryTable" => "SELECT INTO".to_owned(),
        name => name.to_owned(),
    }
}

/// The keywords with which a statement begins.
fn name_of(statement: &SqlStatement) -> String {
    let text = statement.to_string();
    let is_keyword =
        |word: &&str| !word.is_empty() && word.chars().all(|char| char.is_ascii_uppercase());
    let words: Vec<&str> = text
        .split_whitespace()
        .take_while(is_keyword)
        .take(3)
        .collect();
    match words.as_slice() {
        [] => "this statement".to_owned(),
        ["SET", ..] => "SET".to_owned(),
        words => words.join(" "),
    }
}

/// The error that names what is refused and says why.
pub(crate) fn refused(what: &str, access: Access) -> DataFusionError {
    invalid(match access {
        Access::ReadOnly => format!("{what} is refused: SQL over the wire only reads the tables"),
        Access::Local => {
            format!("{what} is refused: SQL only reads; events come in by append and import")
        }
    })
}

fn invalid(message: impl Into<String>) -> DataFusionError {
    QueryError::invalid(message).into()
}

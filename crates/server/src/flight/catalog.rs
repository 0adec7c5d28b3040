//! Lists of what there is: catalogs, schemas, tables with their columns, keys, types, abilities.
//!
//! Every list is a command whose own bytes are its ticket, so it is made when it is fetched.
//! Invariant: the schema that is announced for a list is that of its rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::sql::{Command, CommandGetTables, CommandGetXdbcTypeInfo};
use arrow_flight::{FlightDescriptor, FlightInfo};
use prost::Message;
use vitalog_query::{FunctionDescription, QueryRequest};

use super::Flight;
use super::command::unsupported;
use super::put::name_of;
use super::statement::info_of;
use super::{sql_info, types};
use crate::admission::turn;
use crate::fault::{Fault, Reason};

/// The one catalog, and its schema of tables; `information_schema` and `system` can be asked and are
/// not listed.
const CATALOG: &str = "vitalog";
const SCHEMA: &str = "public";

/// The types of tables, in order.
const TABLE: &str = "TABLE";
const VIEW: &str = "VIEW";

/// Longest pattern of names, in bytes: it is made an expression, which is larger.
const PATTERN_BYTES_MAX: usize = 1 << 10;

impl Flight {
    /// How to fetch the list that `command` asks for.
    pub(super) fn list_info(
        &self,
        command: Command,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Fault> {
        check(&command)?;
        let schema = self.list_schema(&command)?;
        let ticket = command.into_any().encode_to_vec();
        info_of(&schema, ticket, descriptor)
    }

    /// The list that `command` asks for.
    pub(super) async fn list(&self, command: Command) -> Result<RecordBatch, Fault> {
        check(&command)?;
        match command {
            Command::CommandGetTables(command) => self.tables(command).await,
            command => self.short_list(command),
        }
    }

    fn list_schema(&self, command: &Command) -> Result<SchemaRef, Fault> {
        match command {
            Command::CommandGetTables(command) => Ok(command.clone().into_builder().schema()),
            command => Ok(self.short_list(command.clone())?.schema()),
        }
    }

    fn short_list(&self, command: Command) -> Result<RecordBatch, Fault> {
        short_list(command, || self.engine.functions())
    }

    async fn tables(&self, command: CommandGetTables) -> Result<RecordBatch, Fault> {
        let with_schema = command.include_schema;
        let _turn = match with_schema {
            true => Some(turn(&self.turns, self.queue_wait, "statements").await?),
            false => None,
        };
        let mut builder = of_known_types(command).into_builder();
        for (name, table_type) in self.table_names()? {
            let schema = if with_schema {
                self.columns_of(&name).await?
            } else {
                Arc::new(Schema::empty())
            };
            let appended = builder.append(CATALOG, SCHEMA, &name, table_type, &schema);
            appended.map_err(|error| broken(&error))?;
        }
        builder.build().map_err(|error| broken(&error))
    }

    /// The tables and the views in force, with their types.
    fn table_names(&self) -> Result<Vec<(String, &'static str)>, Fault> {
        let tables = self.engine.tables();
        let tables = tables.into_iter().map(|table| (table.name, TABLE));
        let views = self.engine.views()?;
        let views = views
            .into_iter()
            .filter(|view| view.is_current && view.sql.is_some())
            .map(|view| (view.name, VIEW));
        Ok(tables.chain(views).collect())
    }

    /// The columns of a table as a statement would answer them. A view that can no longer be
    /// planned has none: it must not take the list with it.
    async fn columns_of(&self, table: &str) -> Result<SchemaRef, Fault> {
        let quoted = table.replace('"', "\"\"");
        let sql = format!("SELECT * FROM {CATALOG}.{SCHEMA}.\"{quoted}\"");
        let described = self.engine.describe_statement(QueryRequest::new(sql)).await;
        match described.map_err(|error| Fault::of_own_statement(&error)) {
            Ok(described) => Ok(described.schema),
            Err(fault) if fault.reason == Reason::InvalidRequest => {
                self.broken_views.say(|more| {
                    tracing::warn!(view = table, more, "a view cannot be planned any longer");
                });
                Ok(Arc::new(Schema::empty()))
            }
            Err(fault) => Err(fault),
        }
    }
}

/// Whether a command can be answered.
///
/// # Errors
/// A pattern that is too long.
fn check(command: &Command) -> Result<(), Fault> {
    let (schemas, tables) = match command {
        Command::CommandGetDbSchemas(command) => {
            (command.db_schema_filter_pattern.as_deref(), None)
        }
        Command::CommandGetTables(command) => (
            command.db_schema_filter_pattern.as_deref(),
            command.table_name_filter_pattern.as_deref(),
        ),
        _ => return Ok(()),
    };
    for (field, pattern) in [
        ("db_schema_filter_pattern", schemas),
        ("table_name_filter_pattern", tables),
    ] {
        let found = pattern.map_or(0, str::len);
        if found > PATTERN_BYTES_MAX {
            let message = format!("{found} bytes; at most {PATTERN_BYTES_MAX} are taken");
            return Err(Fault::of_field(Reason::InvalidRequest, field, message));
        }
    }
    Ok(())
}

/// The lists that take no planning. `functions` are those that statements may call.
fn short_list(
    command: Command,
    functions: impl FnOnce() -> Vec<FunctionDescription>,
) -> Result<RecordBatch, Fault> {
    let list = match command {
        Command::CommandGetCatalogs(command) => {
            let mut builder = command.into_builder();
            builder.append(CATALOG);
            builder.build()
        }
        Command::CommandGetDbSchemas(command) => {
            let mut builder = command.into_builder();
            builder.append(CATALOG, SCHEMA);
            builder.build()
        }
        Command::CommandGetTableTypes(_) => return table_types(),
        Command::CommandGetSqlInfo(command) => sql_info::rows(command.info, &functions()),
        Command::CommandGetXdbcTypeInfo(CommandGetXdbcTypeInfo { data_type }) => {
            types::data().and_then(|data| data.record_batch(data_type))
        }
        Command::CommandGetPrimaryKeys(_) => return Ok(RecordBatch::new_empty(primary_keys())),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => {
            return Ok(RecordBatch::new_empty(foreign_keys()));
        }
        Command::CommandStatementSubstraitPlan(_) => {
            return Err(unsupported("Substrait", "send SQL"));
        }
        other => {
            let what = format!("{:?} here", name_of(other.type_url()));
            return Err(unsupported(&what, "ask with a command of Flight SQL"));
        }
    };
    list.map_err(|error| broken(&error))
}

/// `command` with the types of tables that there are, however many it names.
fn of_known_types(mut command: CommandGetTables) -> CommandGetTables {
    let names_types = !command.table_types.is_empty();
    command.table_types.sort();
    command.table_types.dedup();
    command
        .table_types
        .retain(|name| [TABLE, VIEW].contains(&name.as_str()));
    if names_types && command.table_types.is_empty() {
        // Of types that are not known there is no table.
        command.table_types.push(String::new());
    }
    command
}

/// Whether `command` asks for a list, of a store with one table.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn is_list(command: Command) -> bool {
    if check(&command).is_err() {
        return false;
    }
    match command {
        Command::CommandGetTables(command) => {
            let mut builder = of_known_types(command).into_builder();
            let appended = builder.append(CATALOG, SCHEMA, "events", TABLE, &Schema::empty());
            appended.is_ok() && builder.build().is_ok()
        }
        command => short_list(command, Vec::new).is_ok(),
    }
}

fn table_types() -> Result<RecordBatch, Fault> {
    let schema = Schema::new(vec![Field::new("table_type", DataType::Utf8, false)]);
    let types: ArrayRef = Arc::new(StringArray::from(vec![TABLE, VIEW]));
    RecordBatch::try_new(Arc::new(schema), vec![types]).map_err(|error| broken(&error.into()))
}

fn primary_keys() -> SchemaRef {
    let text = |name, is_nullable| Field::new(name, DataType::Utf8, is_nullable);
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        text("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

fn foreign_keys() -> SchemaRef {
    let text = |name, is_nullable| Field::new(name, DataType::Utf8, is_nullable);
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

fn broken(error: &FlightError) -> Fault {
    let message = format!("the list could not be made: {error}");
    Fault::new(Reason::Internal, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_short() {
        let tables = |length: usize| {
            Command::CommandGetTables(CommandGetTables {
                table_name_filter_pattern: Some("_".repeat(length)),
                ..CommandGetTables::default()
            })
        };
        assert!(is_list(tables(PATTERN_BYTES_MAX)));
        let fault = check(&tables(PATTERN_BYTES_MAX + 1)).expect_err("too long");
        assert_eq!(fault.reason, Reason::InvalidRequest);
        assert!(
            fault.message().contains("table_name_filter_pattern"),
            "{}",
            fault.message()
        );
    }
}

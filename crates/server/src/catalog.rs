//! `CatalogService`: the tables and functions of SQL, as the engine describes them.

use tonic::{Request, Response, Status};
use vitalog_query::{FunctionDescription, FunctionKind, QueryEngine, TableDescription};
use vitalog_wire::vitalog::v1;
use vitalog_wire::vitalog::v1::catalog_service_server::CatalogService;

use crate::fault::{Fault, Reason};

/// Describes what there is to ask.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub engine: QueryEngine,
}

#[tonic::async_trait]
impl CatalogService for Catalog {
    async fn list_tables(
        &self,
        _request: Request<v1::ListTablesRequest>,
    ) -> Result<Response<v1::ListTablesResponse>, Status> {
        let mut tables: Vec<v1::TableSummary> = self
            .tables()
            .into_iter()
            .map(|table| v1::TableSummary {
                name: table.name,
                comment: table.comment,
            })
            .collect();
        tables.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(Response::new(v1::ListTablesResponse { tables }))
    }

    async fn get_table(
        &self,
        request: Request<v1::GetTableRequest>,
    ) -> Result<Response<v1::GetTableResponse>, Status> {
        let name = request.into_inner().name;
        let tables = self.tables();
        let Some(found) = tables.iter().find(|table| table.name == name) else {
            return Err(table_not_found(&name, &tables).into());
        };
        let table = Some(table_of(found));
        Ok(Response::new(v1::GetTableResponse { table }))
    }

    async fn list_functions(
        &self,
        _request: Request<v1::ListFunctionsRequest>,
    ) -> Result<Response<v1::ListFunctionsResponse>, Status> {
        let mut functions: Vec<v1::Function> = self
            .engine
            .functions()
            .into_iter()
            .map(function_of)
            .collect();
        functions.sort_by(|left, right| (&left.name, left.kind).cmp(&(&right.name, right.kind)));
        Ok(Response::new(v1::ListFunctionsResponse { functions }))
    }
}

impl Catalog {
    /// Every table by the name that SQL calls it by: those of the schema `system` with it.
    fn tables(&self) -> Vec<TableDescription> {
        let system = self.engine.system_tables().into_iter();
        let system = system.map(|table| TableDescription {
            name: format!("system.{}", table.name),
            ..table
        });
        self.engine.tables().into_iter().chain(system).collect()
    }
}

fn table_not_found(name: &str, tables: &[TableDescription]) -> Fault {
    let known = tables.iter().map(|table| table.name.as_str());
    Fault::not_found(Reason::TableNotFound, ("name", "table", name), known)
}

fn table_of(table: &TableDescription) -> v1::Table {
    let columns = table.columns.iter().map(|column| v1::Column {
        name: column.name.clone(),
        data_type: column.data_type.to_string(),
        nullable: column.is_nullable,
        comment: column.comment.clone(),
    });
    v1::Table {
        name: table.name.clone(),
        comment: table.comment.clone(),
        columns: columns.collect(),
    }
}

fn function_of(function: FunctionDescription) -> v1::Function {
    let kind = match function.kind {
        FunctionKind::Scalar => v1::FunctionKind::Scalar,
        FunctionKind::Aggregate => v1::FunctionKind::Aggregate,
        FunctionKind::Window => v1::FunctionKind::Window,
        FunctionKind::Table => v1::FunctionKind::Table,
    };
    v1::Function {
        name: function.name,
        kind: kind.into(),
        signature: function.signature,
        description: function.description,
        example: function.example.unwrap_or_default(),
    }
}

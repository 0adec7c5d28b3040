//! Prepared statements: a handle that carries the statement and, once they are bound, its values.

use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::sql::{ActionCreatePreparedStatementResult, DoPutPreparedStatementResult};
use arrow_flight::{FlightDescriptor, FlightInfo};
use bytes::Bytes;
use uuid::Uuid;

use super::Flight;
use super::encode::{check_message, schema_bytes};
use super::sealed::{self, Handle, Kind, SealedValues, SessionCookie};
use crate::fault::Fault;

impl Flight {
    /// Prepares `sql`: its handle, its schema and the types of its placeholders.
    pub(super) async fn prepare(
        &self,
        sql: String,
        session: SessionCookie,
    ) -> Result<ActionCreatePreparedStatementResult, Fault> {
        let described = self.described(sql.clone(), None, session).await?;
        let handle = Handle {
            sql,
            values: None,
            id: Uuid::now_v7().to_string(),
        };
        let prepared = ActionCreatePreparedStatementResult {
            prepared_statement_handle: sealed::seal(Kind::Handle, &handle).into(),
            dataset_schema: schema_bytes(&described.schema)?,
            parameter_schema: schema_bytes(&parameter_schema(described.parameters))?,
        };
        check_message(&prepared)?;
        Ok(prepared)
    }

    /// Binds `values` to a handle. The answer is a handle that carries them; clients that go on
    /// with the one they have are served as well, for as long as the values are kept.
    pub(super) fn bind(
        &self,
        handle: &Bytes,
        values: Option<SealedValues>,
    ) -> Result<DoPutPreparedStatementResult, Fault> {
        let mut handle = open(handle)?;
        match &values {
            Some(values) => self
                .bindings
                .keep(&handle.id, values.clone(), Instant::now()),
            None => self.bindings.forget(&handle.id),
        }
        handle.values = values;
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(sealed::seal(Kind::Handle, &handle).into()),
        })
    }

    /// How to fetch the rows of a prepared statement with the values that are bound to it.
    pub(super) async fn prepared_info(
        &self,
        handle: &Bytes,
        session: SessionCookie,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Fault> {
        let (sql, values) = self.bound(handle)?;
        self.statement_info(sql, values, session, descriptor).await
    }

    /// The statement of a handle, and the values that are bound to it.
    pub(super) fn bound(&self, handle: &Bytes) -> Result<(String, Option<SealedValues>), Fault> {
        let Handle { sql, values, id } = open(handle)?;
        let values = values.or_else(|| self.bindings.find(&id, Instant::now()));
        Ok((sql, values))
    }

    /// Forgets what is kept for a handle.
    pub(super) fn close(&self, handle: &Bytes) -> Result<(), Fault> {
        self.bindings.forget(&open(handle)?.id);
        Ok(())
    }
}

/// What a handle carries.
///
/// # Errors
/// It was not made here.
pub(super) fn open(handle: &Bytes) -> Result<Handle, Fault> {
    sealed::open(Kind::Handle, "prepared_statement_handle", handle)
}

/// Placeholders as columns: `$1` is column "0".
fn parameter_schema(types: Vec<DataType>) -> Arc<Schema> {
    let numbered = types.into_iter().enumerate();
    let fields = numbered.map(|(index, found)| Field::new(index.to_string(), found, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

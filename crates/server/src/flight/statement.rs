//! A statement, planned: its schema, and the ticket that runs it.

use arrow::datatypes::Schema;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use prost::Message;
use uuid::Uuid;
use vitalog_query::{Access, QueryRequest, StatementDescription};

use super::Flight;
use super::encode::{check_message, schema_bytes};
use super::sealed::{self, Kind, SealedValues, SessionCookie, StatementTicket};
use super::values;
use crate::admission::turn;
use crate::fault::{Fault, Reason};
use crate::limits::SQL_BYTES_MAX;

/// Larger commands are not sent back in infos, which hold a ticket of the same size.
const DESCRIPTOR_BYTES_MAX: usize = 64 << 10;

impl Flight {
    /// Plans `sql` with `values` and says how to fetch its rows: a ticket for the statement at the
    /// seq at which it was planned.
    pub(super) async fn statement_info(
        &self,
        sql: String,
        values: Option<SealedValues>,
        session: SessionCookie,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Fault> {
        let described = self.described(sql.clone(), values.clone(), session).await?;
        if !described.parameters.is_empty() {
            let message = "placeholder $1 has no value; bind one";
            return Err(Fault::of_field(Reason::InvalidSql, "sql", message));
        }
        let ticket = StatementTicket {
            sql,
            values,
            seq: described.seq,
            id: Uuid::now_v7().to_string(),
        };
        let query = TicketStatementQuery {
            statement_handle: sealed::seal(Kind::Ticket, &ticket).into(),
        };
        info_of(
            &described.schema,
            query.as_any().encode_to_vec(),
            descriptor,
        )
    }

    /// Plans `sql`, with `values` where they are bound already.
    pub(super) async fn described(
        &self,
        sql: String,
        values: Option<SealedValues>,
        session: SessionCookie,
    ) -> Result<StatementDescription, Fault> {
        let mut request = request_of(sql, values).await?;
        request.as_of_seq = self.seq_of(session)?;
        let _turn = turn(&self.turns, self.queue_wait, "statements").await?;
        Ok(self.engine.describe_statement(request).await?)
    }

    /// The seq that `session` asks for.
    fn seq_of(&self, session: SessionCookie) -> Result<Option<i64>, Fault> {
        let last_seq = self.store.snapshot().seq();
        match session.as_of_seq {
            Some(seq) if !(0..=last_seq).contains(&seq) => {
                let message = format!("lies past the last durable seq, {last_seq}");
                let fault = Fault::of_field(Reason::SeqPastEnd, "as_of_seq", message);
                Err(fault.with_fact("last_seq", &last_seq))
            }
            seq => Ok(seq),
        }
    }
}

/// A statement that only reads, as everything that comes over the wire.
async fn request_of(sql: String, values: Option<SealedValues>) -> Result<QueryRequest, Fault> {
    if sql.len() > SQL_BYTES_MAX {
        let found = sql.len();
        let message =
            format!("the statement has {found} bytes, at most {SQL_BYTES_MAX} (1 MiB) are taken");
        return Err(Fault::of_field(Reason::RequestTooLarge, "sql", message));
    }
    let parameters = values::parameters_of(values).await?;
    Ok(QueryRequest {
        access: Access::ReadOnly,
        parameters,
        ..QueryRequest::new(sql)
    })
}

/// How to fetch rows of `schema` with `ticket`. How many there are nobody knows before.
pub(super) fn info_of(
    schema: &Schema,
    ticket: Vec<u8>,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Fault> {
    let descriptor = if descriptor.cmd.len() > DESCRIPTOR_BYTES_MAX {
        FlightDescriptor::new_cmd(Vec::new())
    } else {
        descriptor
    };
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info = FlightInfo {
        schema: schema_bytes(schema)?,
        ..FlightInfo::new()
    };
    let info = info
        .with_endpoint(endpoint)
        .with_descriptor(descriptor)
        .with_ordered(true);
    check_message(&info)?;
    Ok(info)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;
    use crate::limits::MESSAGE_BYTES_MAX;

    /// A ticket carries the statement and its values, and stands beside the schema.
    #[test]
    fn an_info_is_a_message_that_clients_take() {
        let names = (0..150).map(|n| format!("{n:010000}"));
        let fields: Vec<Field> = names
            .map(|name| Field::new(name, DataType::Int64, true))
            .collect();
        let schema = Schema::new(fields);
        let command = FlightDescriptor::new_cmd(vec![0; 1 << 20]);
        let info = info_of(&schema, vec![0; 2 << 20], command.clone());
        assert!(info.expect("it fits").encoded_len() < MESSAGE_BYTES_MAX);
        let fault = info_of(&schema, vec![0; 3 << 20], command).expect_err("too large");
        assert_eq!(fault.reason, Reason::RequestTooLarge);
    }
}

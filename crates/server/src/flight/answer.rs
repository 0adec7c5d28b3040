//! The rows of a ticket: a statement that is planned again at the seq of the ticket, or a list of
//! what there is.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow_flight::sql::Command;
use arrow_flight::{FlightData, Ticket};
use futures::StreamExt;

use super::encode::Encoder;
use super::sealed::{self, Kind, StatementTicket};
use super::{Flight, command, values};
use crate::fault::{Fault, Reason};
use crate::outbox::{End, Outbox, Outgoing};
use crate::readers::give_way;
use crate::statements::{Answer, Ask, Caller};

impl Flight {
    /// Starts the stream of `ticket`.
    pub(super) async fn answer(
        &self,
        ticket: &Ticket,
        caller: Caller,
        timeout: Option<Duration>,
    ) -> Result<Outgoing<FlightData>, Fault> {
        match command::of_bytes("ticket", &ticket.ticket)? {
            Command::TicketStatementQuery(query) => {
                let handle = &query.statement_handle;
                let ticket = sealed::open(Kind::Ticket, "ticket", handle)?;
                let answer = self.run(ticket, caller).await?;
                let send = |outbox| send(answer, outbox);
                Ok(self.readers.stream(End::within(timeout), send))
            }
            listed => {
                let rows = self.list(listed).await?;
                let send = |outbox| send_batch(rows, outbox);
                Ok(self.readers.stream(End::within(timeout), send))
            }
        }
    }

    async fn run(&self, ticket: StatementTicket, caller: Caller) -> Result<Answer, Fault> {
        let StatementTicket {
            sql,
            values,
            seq,
            id,
        } = ticket;
        let ask = Ask {
            parameters: values::parameters_of(values).await?,
            as_of_seq: Some(u64::try_from(seq).unwrap_or(u64::MAX)),
            id: Some(id),
            ..Ask::new(sql, caller)
        };
        match self.statements.start(ask.clone()).await {
            // The ticket is used already: this run gets an id of its own.
            Err(fault) if fault.reason == Reason::QueryIdTaken => {
                self.statements.start(Ask { id: None, ..ask }).await
            }
            started => started,
        }
    }
}

/// Sends an answer: its schema, then its rows.
async fn send(mut answer: Answer, outbox: Outbox<FlightData>) -> Result<(), Fault> {
    let sent = send_all(&mut answer, &outbox).await;
    if let Err(fault) = &sent {
        answer.fail(fault);
    }
    sent
}

async fn send_all(answer: &mut Answer, outbox: &Outbox<FlightData>) -> Result<(), Fault> {
    let (mut encoder, schema) = Encoder::new(&answer.schema())?;
    outbox.send(schema).await;
    while let Some(batch) = answer.next().await {
        let messages = encoder.write(&batch?)?;
        // While the reader takes them, the batch is free.
        for message in messages {
            outbox.send(message).await;
        }
        give_way().await;
    }
    Ok(())
}

async fn send_batch(batch: RecordBatch, outbox: Outbox<FlightData>) -> Result<(), Fault> {
    let (mut encoder, schema) = Encoder::new(&batch.schema())?;
    outbox.send(schema).await;
    for message in encoder.write(&batch)? {
        outbox.send(message).await;
    }
    Ok(())
}

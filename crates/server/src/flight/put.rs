//! Uploads: values for a prepared statement, or events.

use arrow_flight::sql::{Command, DoPutUpdateResult};
use arrow_flight::{FlightData, PutResult};
use futures::StreamExt;
use prost::Message;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::Flight;
use super::{command, values};
use crate::admission::{self, WriteRight};
use crate::auth::Denied;
use crate::fault::{Fault, Reason};
use crate::limits::{FLIGHT_PUT_PAUSE_MAX, FLIGHT_VALUES_BYTES_MAX, FLIGHT_VALUES_WAIT_MAX};
use crate::outbox::Outbox;

/// The messages of an upload, each read when the one before is done with.
pub(super) struct Upload {
    messages: Streaming<FlightData>,
}

impl Upload {
    pub fn new(messages: Streaming<FlightData>) -> Self {
        Self { messages }
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// The client broke off, sent nothing for long, or sent what cannot be read.
    pub async fn next(&mut self) -> Result<Option<FlightData>, Fault> {
        match tokio::time::timeout(FLIGHT_PUT_PAUSE_MAX, self.messages.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(message))) => Ok(Some(message)),
            Ok(Some(Err(status))) => Err(unreadable(&status)),
            Err(_) => {
                let waited = FLIGHT_PUT_PAUSE_MAX.as_secs();
                let message = format!("nothing came for {waited} s");
                Err(Fault::new(Reason::DeadlineExceeded, message))
            }
        }
    }
}

fn unreadable(status: &Status) -> Fault {
    let reason = match status.code() {
        tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => Reason::RequestTooLarge,
        tonic::Code::Cancelled | tonic::Code::Unknown => Reason::Cancelled,
        _ => Reason::MalformedMessage,
    };
    let message = format!("the upload could not be read: {}", status.message());
    Fault::new(reason, message)
}

impl Flight {
    /// Takes an upload, which has its `turn`, and sends its result. `may_write` is the caller's
    /// right to append, which may be taken from them meanwhile.
    pub(super) async fn put(
        &self,
        mut upload: Upload,
        turn: OwnedSemaphorePermit,
        may_write: Result<WriteRight, Denied>,
        outbox: Outbox<PutResult>,
    ) -> Result<(), Fault> {
        // Turns are few: whoever sends nothing does not keep one.
        let soon = Instant::now() + FLIGHT_VALUES_WAIT_MAX;
        let Some(first) = by(soon, upload.next()).await? else {
            return Err(no_command());
        };
        let descriptor = first.flight_descriptor.as_ref().ok_or_else(no_command)?;
        let result = match command::of_descriptor(descriptor)? {
            Command::CommandPreparedStatementQuery(query) => {
                let messages = by(soon, small(first, upload)).await?;
                let values = values::from_upload(messages).await?;
                let bound = self.bind(&query.prepared_statement_handle, values)?;
                bound.encode_to_vec()
            }
            Command::CommandStatementIngest(ingest) => {
                let right = may_write?;
                // An ingest may take long: it does not keep the values of statements waiting.
                let _ingesting = admission::turn(&self.ingests, self.queue_wait, "ingests").await?;
                drop(turn);
                let record_count = self.ingest(&ingest, first, upload, right).await?;
                DoPutUpdateResult { record_count }.encode_to_vec()
            }
            Command::CommandStatementUpdate(_) | Command::CommandPreparedStatementUpdate(_) => {
                return Err(Fault::of_field(
                    Reason::InvalidSql,
                    "sql",
                    "an update is refused: SQL over the wire only reads the tables; ask it as a \
                     query, and add events by ingesting them into the table events",
                ));
            }
            other => {
                let what = format!("an upload for {}", name_of(other.type_url()));
                return Err(command::unsupported(&what, "upload values or events"));
            }
        };
        let app_metadata = result.into();
        outbox.send(PutResult { app_metadata }).await;
        Ok(())
    }
}

/// What `reading` gives, if it comes by `end`.
async fn by<T>(end: Instant, reading: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match tokio::time::timeout_at(end, reading).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let waited = FLIGHT_VALUES_WAIT_MAX.as_secs();
            let message = format!("it did not come within {waited} s");
            Err(Fault::new(Reason::DeadlineExceeded, message))
        }
    }
}

/// All messages of an upload of values, of which there is little.
async fn small(first: FlightData, mut upload: Upload) -> Result<Vec<FlightData>, Fault> {
    // A client's own layout may be larger than what is kept of it.
    let limit = 2 * FLIGHT_VALUES_BYTES_MAX;
    let mut bytes = first.encoded_len();
    let mut messages = vec![first];
    while bytes <= limit {
        let Some(message) = upload.next().await? else {
            return Ok(messages);
        };
        // An empty message costs something, too.
        bytes += message.encoded_len() + size_of::<FlightData>();
        messages.push(message);
    }
    let message = format!("more than {limit} bytes of values were sent");
    Err(Fault::of_field(Reason::RequestTooLarge, "values", message))
}

fn no_command() -> Fault {
    let message = "the first message of an upload has a descriptor with a command";
    Fault::of_field(Reason::MalformedMessage, "descriptor", message)
}

/// The last part of a type's URL.
pub(super) fn name_of(type_url: &str) -> &str {
    type_url.rsplit(['.', '/']).next().unwrap_or_default()
}

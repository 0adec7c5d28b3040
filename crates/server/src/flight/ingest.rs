//! Statement ingest: batches of Arrow appended to the table `events`.
//!
//! One batch is in flight at a time: the next is read when the log has the one before, so a client
//! that is faster than the disk waits. Invariant: what was counted is durable; a row that is refused
//! is named, and the others are in.

use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use vitalog_wire::vitalog::v1::{AppendResponse, Rejected};

use super::Flight;
use super::decode::{Decoder, guarded};
use super::put::Upload;
use crate::admission::WriteRight;
use crate::append::EventColumns;
use crate::fault::{Fault, Reason};
use crate::limits::FLIGHT_BATCH_ROWS_MAX;

/// The table that takes events, and where it stands.
const TABLE: &str = "events";
const SCHEMA: &str = "public";
const CATALOG: &str = "vitalog";

/// Most refused rows that a message names.
const REJECTED_NAMED: usize = 3;

/// What became of the rows so far.
#[derive(Debug, Default)]
struct Tally {
    rows: u64,
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    /// The first of them, by their index in the upload.
    named: Vec<Rejected>,
}

impl Flight {
    /// Appends what `upload` holds, for as long as its caller has the `right` to; the number of
    /// events that are new.
    pub(super) async fn ingest(
        &self,
        command: &CommandStatementIngest,
        first: FlightData,
        mut upload: Upload,
        mut right: WriteRight,
    ) -> Result<i64, Fault> {
        check(command)?;
        let mut decoder = Decoder::new(FLIGHT_BATCH_ROWS_MAX);
        let mut tally = Tally::default();
        let mut message = Some(first);
        while let Some(data) = message {
            right.check().map_err(|fault| tally.after(fault))?;
            let _pending = self.appender.metrics.pending(data.data_body.len());
            let reading = guarded(move || {
                let columns = read(&mut decoder, &data)?;
                Ok((decoder, columns))
            });
            let columns;
            (decoder, columns) = reading.await.map_err(|fault| tally.after(fault))?;
            if let Some(columns) = columns {
                self.append(&Arc::new(columns), &mut tally).await?;
            }
            message = upload.next().await.map_err(|fault| tally.after(fault))?;
        }
        tally.outcome()
    }

    async fn append(&self, columns: &Arc<EventColumns>, tally: &mut Tally) -> Result<(), Fault> {
        let mut row = 0;
        while row < columns.len() {
            let appended = self.appender.append_columns(columns, row).await;
            let (answer, end) = appended.map_err(|fault| tally.after(fault))?;
            tally.add(answer, end - row);
            row = end;
        }
        Ok(())
    }
}

/// The events in `data`; `None` where it holds none. Call it in [`guarded`].
pub(super) fn read(
    decoder: &mut Decoder,
    data: &FlightData,
) -> Result<Option<EventColumns>, Fault> {
    let rows = decoder.read(data)?;
    rows.as_ref().map(EventColumns::of).transpose()
}

impl Tally {
    fn add(&mut self, answer: AppendResponse, rows: usize) {
        self.accepted += answer.accepted;
        self.duplicates += answer.duplicates;
        self.rejected += answer.rejected.len() as u64 + answer.rejected_omitted;
        let room = REJECTED_NAMED - self.named.len();
        let first = self.rows;
        let named = answer.rejected.into_iter().take(room);
        self.named.extend(named.map(|rejected| Rejected {
            index: first + rejected.index,
            ..rejected
        }));
        self.rows += rows as u64;
    }

    /// The fault of an upload that ended early: with what is in already.
    fn after(&self, fault: Fault) -> Fault {
        if self.accepted + self.duplicates == 0 {
            return fault;
        }
        let went_in = self.went_in();
        fault.with_context(&format!("{went_in}, then: "))
    }

    fn went_in(&self) -> String {
        let Self {
            accepted,
            duplicates,
            ..
        } = self;
        match duplicates {
            0 => format!("{accepted} rows went in"),
            _ => format!("{accepted} rows went in and {duplicates} were in before"),
        }
    }

    fn outcome(self) -> Result<i64, Fault> {
        if self.rejected == 0 {
            return Ok(i64::try_from(self.accepted).unwrap_or(i64::MAX));
        }
        let named: Vec<String> = self
            .named
            .iter()
            .map(|one| {
                let Rejected {
                    index,
                    field,
                    code,
                    message,
                } = one;
                format!("row {index}: {field} {code}: {message}")
            })
            .collect();
        let more = match self.rejected - self.named.len() as u64 {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let message = format!(
            "{} of {} rows were rejected, {}. {}{more}",
            self.rejected,
            self.rows,
            self.went_in(),
            named.join("; ")
        );
        Err(Fault::new(Reason::RowsRejected, message)
            .with_fact("rejected", &self.rejected)
            .with_fact("accepted", &self.accepted)
            .with_fact("duplicates", &self.duplicates)
            .with_fact("first_index", &self.named[0].index)
            .with_fact("first_code", &self.named[0].code))
    }
}

/// Whether `command` asks for what is done here.
pub(super) fn check(command: &CommandStatementIngest) -> Result<(), Fault> {
    let refused =
        |field: &str, message: &str| Err(Fault::of_field(Reason::InvalidRequest, field, message));
    let is = |found: &Option<String>, name| found.as_deref().is_none_or(|found| found == name);
    if command.table != TABLE {
        let message = format!(
            "there is no table {:?} to ingest into, only events",
            command.table
        );
        return Err(Fault::of_field(Reason::TableNotFound, "table", message));
    }
    if !is(&command.catalog, CATALOG) || !is(&command.schema, SCHEMA) {
        let message = "events stands in the catalog vitalog and the schema public";
        return Err(Fault::of_field(Reason::TableNotFound, "table", message));
    }
    if command.temporary {
        return refused("temporary", "there are no temporary tables");
    }
    if command
        .transaction_id
        .as_ref()
        .is_some_and(|id| !id.is_empty())
    {
        return refused("transaction_id", "there are no transactions");
    }
    let Some(options) = &command.table_definition_options else {
        return Ok(());
    };
    // The table exists, so what is to be done where it does not is of no consequence.
    if TableNotExistOption::try_from(options.if_not_exist).is_err() {
        return refused("if_not_exist", "an unknown option");
    }
    match TableExistsOption::try_from(options.if_exists) {
        Ok(TableExistsOption::Append | TableExistsOption::Unspecified) => Ok(()),
        Ok(TableExistsOption::Fail) => refused(
            "if_exists",
            "the table events exists, so it is not created; ingest with the mode append",
        ),
        Ok(TableExistsOption::Replace) => refused(
            "if_exists",
            "the table events is never replaced; ingest with the mode append",
        ),
        Err(_) => refused("if_exists", "an unknown option"),
    }
}

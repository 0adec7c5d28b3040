//! Publishing: the tables of a snapshot as Parquet files, all at one `seq` and one instant.
//!
//! It owns what the published tables are and how their rows are made; layout, atomicity and leases
//! are the store's ([`vitalog_store::Published`]). The work streams from SQL to the files on a
//! thread of its own and holds a bounded part of a table at a time.
//!
//! Invariant: every table is read through one `StatementSnapshot`, so appends that go on meanwhile
//! are in none of them; and each table has one schema, whatever it holds.

mod events;
mod parquet;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use vitalog_event::day_of_timestamp_us;
use vitalog_store::{PublishedSnapshot, SnapshotDraft, SnapshotTerms, StoredSection};

pub use self::tables::PublishTable;

use self::events::Fate;
use self::parquet::{DayOf, TableWriter};
use self::tables::Statement;
use crate::control::Control;
use crate::engine::{Access, QueryEngine, QueryRequest};
use crate::error::{QueryError, QueryErrorKind};
use crate::plain::PlainTypes;
use crate::session::Session;
use crate::snapshot::StatementSnapshot;

/// What to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRequest {
    /// How long the snapshot lives at least, microseconds; above 0.
    pub lease_us: i64,
    /// The instant of its health questions, microseconds; `None` is now.
    pub as_of_us: Option<i64>,
    /// The tables; none stands for all.
    pub tables: Vec<PublishTable>,
    /// Whether the Delta logs of its tables shall show it.
    pub is_in_delta_log: bool,
    /// The longest time it may take; `None` waits for ever.
    pub deadline: Option<Duration>,
}

impl PublishRequest {
    /// All tables now, in the Delta logs too.
    #[must_use]
    pub fn new(lease_us: i64) -> Self {
        Self {
            lease_us,
            as_of_us: None,
            tables: Vec::new(),
            is_in_delta_log: true,
            deadline: None,
        }
    }
}

impl QueryEngine {
    /// Writes a snapshot of the newest `seq` and makes it exist, whole, for all readers. Dropping
    /// the future stops the work and leaves nothing.
    ///
    /// Cost: one pass over the events that are not in files which can be linked, and the health
    /// questions of every model, those of `health_scores_daily` once a day.
    ///
    /// # Errors
    /// [`QueryErrorKind::Invalid`](crate::QueryErrorKind::Invalid): a lease that is not above 0.
    /// `Limit`: too many snapshots, too little memory or room, the deadline. `Unavailable`:
    /// something was erased meanwhile, try again.
    pub async fn publish(&self, request: PublishRequest) -> Result<PublishedSnapshot, QueryError> {
        if request.lease_us <= 0 {
            let message = format!("a lease of {} µs: it must be above 0", request.lease_us);
            return Err(QueryError::invalid(message));
        }
        let control = Arc::new(Control::start(request.deadline));
        let publishing = Arc::clone(&control);
        self.run_aside(&control, move |session, handle| {
            handle.block_on(publish(&session, &request, &publishing))
        })
        .await
    }
}

async fn publish(
    session: &Arc<Session>,
    request: &PublishRequest,
    control: &Arc<Control>,
) -> Result<PublishedSnapshot, QueryError> {
    let published = session.store().published();
    // Asked before the picture is taken: an erasure in between must show.
    let epoch = published.epoch();
    let snapshot = session.snapshot(control)?;
    let created_at_us = session.store().clock().now_us();
    let as_of_us = request.as_of_us.unwrap_or(created_at_us);
    let draft = published.begin(SnapshotTerms {
        epoch,
        seq: snapshot.seq,
        as_of_us,
        created_at_us,
        expires_at_us: created_at_us.saturating_add(request.lease_us),
        is_in_delta_log: request.is_in_delta_log,
    })?;
    let mut publisher = Publisher {
        session,
        snapshot: &snapshot,
        as_of_us,
        draft,
    };
    let mut tables = request.tables.clone();
    if tables.is_empty() {
        tables.extend(PublishTable::ALL);
    }
    tables.sort_unstable();
    tables.dedup();
    for table in tables {
        publisher.write(table).await?;
    }
    control
        .check()
        .map_err(|error| session.diagnosis("", Access::ReadOnly).diagnose(&error))?;
    let snapshot = publisher.draft.commit()?;
    Ok(Arc::unwrap_or_clone(snapshot))
}

/// Fills a draft.
struct Publisher<'a> {
    session: &'a Arc<Session>,
    snapshot: &'a Arc<StatementSnapshot>,
    as_of_us: i64,
    draft: SnapshotDraft,
}

impl Publisher<'_> {
    async fn write(&mut self, table: PublishTable) -> Result<(), QueryError> {
        let day = day_of_timestamp_us(self.as_of_us);
        let (session, snapshot) = (self.session, self.snapshot);
        let name = table.as_str();
        let mut writer = TableWriter::begin(&mut self.draft, name, &table.schema(), table.order())?;
        if table == PublishTable::Events {
            write_events(session, snapshot, &mut writer).await?;
        } else {
            let models = snapshot.model_book(None)?;
            for statement in table.statements(&models, self.as_of_us) {
                let model = statement.model.clone();
                let day = table.day_of(day);
                let written = write_statement(session, snapshot, statement, day, &mut writer).await;
                match (written, model) {
                    // Found out while planning: it has no rows yet. The others stay of use.
                    (Err(error), Some(model)) if error.kind() == QueryErrorKind::Retention => {
                        tracing::warn!(%error, model, table = name, "left out of a snapshot");
                        writer.leave_out(model, error.to_string())?;
                    }
                    (written, _) => written?,
                }
            }
        }
        writer.close(day)
    }
}

async fn write_statement(
    session: &Session,
    snapshot: &Arc<StatementSnapshot>,
    statement: Statement,
    day: DayOf,
    writer: &mut TableWriter<'_>,
) -> Result<(), QueryError> {
    let mut request = QueryRequest::new(statement.sql);
    request.parameters = statement.parameters;
    // Nobody else's statement: it may have all that there is.
    request.memory_bytes_max = Some(usize::MAX);
    let planned = session.plan_at(&request, snapshot).await?;
    let stream = planned.start()?;
    write_stream(stream, day, writer, |error| planned.diagnose(error)).await
}

async fn write_stream(
    mut stream: SendableRecordBatchStream,
    day: DayOf,
    writer: &mut TableWriter<'_>,
    diagnose: impl Fn(&DataFusionError) -> QueryError,
) -> Result<(), QueryError> {
    let plain = PlainTypes::of(&stream.schema());
    while let Some(batch) = stream.next().await {
        let batch = batch.and_then(|batch| plain.apply(&batch));
        let batch = batch.map_err(|error| diagnose(&error))?;
        if batch.num_rows() > 0 {
            writer.write(&batch, day)?;
        }
    }
    Ok(())
}

async fn write_events(
    session: &Session,
    snapshot: &Arc<StatementSnapshot>,
    writer: &mut TableWriter<'_>,
) -> Result<(), QueryError> {
    let state = session.state_over(snapshot);
    let diagnosis = session.diagnosis("", Access::ReadOnly);
    for slice in snapshot.snapshot.slices() {
        let mut sections: Vec<Arc<StoredSection>> = Vec::new();
        for section in &slice.sections {
            match events::fate(section, snapshot) {
                Fate::Linked(file) => {
                    let table = PublishTable::Events.as_str();
                    match writer.draft().link_cold(table, slice.day, &file) {
                        // Replaced since: the section is still readable, its name is gone.
                        Err(error) if error.is_missing_file() => {
                            sections.push(Arc::clone(section));
                        }
                        linked => linked?,
                    }
                }
                Fate::Written => sections.push(Arc::clone(section)),
                Fate::Left => {}
            }
        }
        if sections.is_empty() {
            continue;
        }
        let stream = sorted_rows(&state, snapshot, sections).await;
        let stream = stream.map_err(|error| diagnosis.diagnose(&error))?;
        let day = DayOf::Day(slice.day);
        write_stream(stream, day, writer, |error| diagnosis.diagnose(error)).await?;
        writer.close_files()?;
    }
    Ok(())
}

async fn sorted_rows(
    state: &SessionState,
    snapshot: &Arc<StatementSnapshot>,
    sections: Vec<Arc<StoredSection>>,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let logical = events::plan(snapshot, sections)?;
    let plan = state.create_physical_plan(&logical).await?;
    execute_stream(plan, state.task_ctx())
}

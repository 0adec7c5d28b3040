//! The query engine: takes a statement, answers with a stream.
//!
//! It owns the runtime on which statements are planned and run. Page faults block a thread, so no
//! row is read on the caller's runtime.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::execution::SendableRecordBatchStream;
use futures::future::{Either, select};
use futures::{FutureExt, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Sleep;
use vitalog_store::{DefinitionKind, DefinitionReceipt, Store};

use crate::background::Background;
use crate::config::QueryConfig;
use crate::control::{Control, cancelled};
use crate::describe::{self, FunctionDescription, RelationDescription};
use crate::error::{QueryError, QueryErrorKind};
use crate::model::Model;
use crate::parameter::Parameter;
use crate::plain::PlainTypes;
use crate::session::{Planned, Session};
use crate::snapshot::StatementSnapshot;
use crate::stream::{Message, QueryStream, Running};
use crate::system::{SystemTable, Viewer};
use crate::tables::{self, TableDescription};
use crate::tasks::{self, OfStatement};

/// Batches that wait for the caller before the work waits, too.
const BATCHES_AHEAD: usize = 2;

/// One statement and the rights of who sent it.
#[derive(Clone, Debug)]
pub struct QueryRequest {
    /// One SQL statement; a semicolon at its end is allowed.
    pub sql: String,
    /// The `seq` up to which the store is seen; `None` sees everything durable.
    pub as_of_seq: Option<i64>,
    /// What the statement may do.
    pub access: Access,
    /// The values of `$1`, `$2`, …
    pub parameters: Vec<Parameter>,
    /// The longest time from the call to the last row, where that is shorter than the engine's own.
    pub deadline: Option<Duration>,
    /// Bytes that the statement may hold, at most those of the engine; `None` takes
    /// [`QueryConfig::statement_memory_bytes`].
    pub memory_bytes_max: Option<usize>,
    /// Whose statement it is, for tables of the process itself.
    pub viewer: Viewer,
}

impl QueryRequest {
    /// A statement that reads everything durable and has no placeholders.
    #[must_use]
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            as_of_seq: None,
            access: Access::ReadOnly,
            parameters: Vec::new(),
            deadline: None,
            memory_bytes_max: None,
            viewer: Viewer::default(),
        }
    }
}

/// What a statement may do. Neither changes the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads the tables: for statements that come over the wire.
    #[default]
    ReadOnly,
    /// Reads local files by their quoted path as well, and writes them with `COPY … TO`: for the
    /// command line of who owns the machine.
    Local,
}

/// Answers SQL over one store. Clones share everything.
#[derive(Clone, Debug)]
pub struct QueryEngine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    session: Arc<Session>,
    /// Plans and runs statements.
    runtime: Background,
    /// Keeps the time: workers that compute do not look at timers.
    clock: Background,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Inner").finish_non_exhaustive()
    }
}

impl QueryEngine {
    /// An engine over `store` with a runtime of its own.
    ///
    /// # Errors
    /// No threads, or a limit of zero.
    pub fn new(store: Arc<Store>, config: QueryConfig) -> Result<Self, QueryError> {
        let runtime = background("vitalog-query", config.scan_threads)?;
        let clock = background("vitalog-clock", 1)?;
        let session = Arc::new(Session::new(store, config)?);
        tasks::follow_statements();
        let inner = Arc::new(Inner {
            session,
            runtime,
            clock,
        });
        Ok(Self { inner })
    }

    /// Plans one statement and starts it. The snapshot is taken here; the rows come with the
    /// stream. May be called on any runtime, or on none.
    ///
    /// # Errors
    /// [`QueryErrorKind::Invalid`] with place and suggestion for a statement that cannot be
    /// planned or is refused; [`QueryErrorKind::Limit`] for one that is too long or takes too
    /// long to plan.
    pub async fn query(&self, request: QueryRequest) -> Result<QueryStream, QueryError> {
        self.query_with(request, None).await
    }

    /// As [`Self::query`], where `candidate` is seen as if it were applied.
    pub(crate) async fn query_with(
        &self,
        request: QueryRequest,
        candidate: Option<Arc<Model>>,
    ) -> Result<QueryStream, QueryError> {
        let session = Arc::clone(&self.inner.session);
        let allowed = [session.config().deadline, request.deadline];
        let allowed = allowed.into_iter().flatten().min();
        let control = Arc::new(Control::start(allowed));
        let planning_control = Arc::clone(&control);
        let planning = self.spawn(&control, async move {
            let planned = session.plan(&request, candidate, &planning_control).await?;
            let stream = planned.start()?;
            let plain = PlainTypes::of(&stream.schema());
            Ok((planned, stream, plain))
        });
        let (planned, stream, plain) = planning.await?;
        let schema = plain.schema();
        let seq = planned.seq();
        let gauge = planned.gauge(control.elapsed());
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let work = drive(planned, stream, plain, sender, Arc::clone(&control));
        let work = OfStatement::new(Arc::clone(&control), work.boxed());
        let task = self.runtime().spawn(work).abort_handle();
        let running = Running::new(Arc::clone(&control), task);
        let deadline = control
            .deadline()
            .map(|deadline| self.sleep_until(deadline));
        Ok(QueryStream::new(
            schema,
            seq,
            receiver,
            deadline,
            running,
            gauge,
            Arc::clone(&self.inner),
        ))
    }

    /// The settings it was made with.
    #[must_use]
    pub fn config(&self) -> &QueryConfig {
        self.inner.session.config()
    }

    /// Bytes that statements hold now, as their operators account for them.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let state = self.inner.session.template();
        state.runtime_env().memory_pool.reserved()
    }

    /// The tables, with comments on each column.
    #[must_use]
    pub fn tables(&self) -> Vec<TableDescription> {
        tables::describe()
    }

    /// Adds a table to the schema `system`, for statements that begin after it.
    pub fn add_system_table(&self, table: Arc<dyn SystemTable>) {
        self.inner.session.system().add(table);
    }

    /// The tables of the schema `system`, by their names in it.
    #[must_use]
    pub fn system_tables(&self) -> Vec<TableDescription> {
        self.inner.session.system().describe()
    }

    /// Every function and relation that SQL can call, with its documentation, ordered by name and
    /// kind.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionDescription> {
        let session = &self.inner.session;
        describe::functions(session.template(), session.relations())
    }

    /// Every relation that stands in `FROM` with named arguments, ordered by name.
    #[must_use]
    pub fn relations(&self) -> &[RelationDescription] {
        self.inner.session.relations()
    }

    /// The session, and the newest snapshot as one statement sees it.
    pub(crate) fn session_now(&self) -> Result<(Arc<Session>, Arc<StatementSnapshot>), QueryError> {
        let session = Arc::clone(&self.inner.session);
        let control = Arc::new(Control::start(session.config().deadline));
        let snapshot = session.snapshot(&control)?;
        Ok((session, snapshot))
    }

    /// Runs `work` on the engine's threads, within the deadline of a statement.
    pub(crate) async fn run<T, Work>(&self, work: Work) -> Result<T, QueryError>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        let deadline = self.inner.session.config().deadline;
        self.spawn(&Arc::new(Control::start(deadline)), work).await
    }

    /// Runs `work`, which may block, on a thread of its own; dropping the returned future stops it
    /// where it looks at `control`. What it waits for there is never an [`OfStatement`]: one that is
    /// never ready would hold the thread for ever.
    pub(crate) async fn run_aside<T, Work>(
        &self,
        control: &Arc<Control>,
        work: Work,
    ) -> Result<T, QueryError>
    where
        T: Send + 'static,
        Work: FnOnce(Arc<Session>, Handle) -> Result<T, QueryError> + Send + 'static,
    {
        let session = Arc::clone(&self.inner.session);
        let handle = self.runtime().clone();
        let task = self.runtime().spawn_blocking(move || work(session, handle));
        let running = Running::new(Arc::clone(control), task.abort_handle());
        let outcome = task.await;
        running.let_go();
        outcome.unwrap_or_else(|error| Err(QueryError::internal(error.to_string())))
    }

    /// Stores a definition: on a thread that may block, because the log is synced.
    pub(crate) async fn define(
        &self,
        kind: DefinitionKind,
        name: String,
        text: Option<String>,
    ) -> Result<DefinitionReceipt, QueryError> {
        let session = Arc::clone(&self.inner.session);
        let stored = self
            .runtime()
            .spawn_blocking(move || session.store().define(kind, &name, text.as_deref()));
        let stored = stored.await;
        let stored = stored.map_err(|error| QueryError::internal(error.to_string()))?;
        Ok(stored?)
    }

    fn runtime(&self) -> &Handle {
        self.inner.runtime.handle()
    }

    /// Runs `work` on the engine's runtime until it ends or is past its deadline; dropping the
    /// returned future stops it.
    fn spawn<T, Work>(
        &self,
        control: &Arc<Control>,
        work: Work,
    ) -> impl Future<Output = Result<T, QueryError>> + use<T, Work>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        let deadline = control
            .deadline()
            .map(|deadline| self.sleep_until(deadline));
        let work = OfStatement::new(Arc::clone(control), work.boxed());
        let task: JoinHandle<Result<T, QueryError>> = self.runtime().spawn(work);
        let running = Running::new(Arc::clone(control), task.abort_handle());
        let control = Arc::clone(control);
        async move {
            let outcome = match deadline {
                None => task.await,
                Some(deadline) => match select(task, deadline).await {
                    Either::Left((outcome, _)) => outcome,
                    Either::Right(_) => return Err(control.past_deadline()),
                },
            };
            running.let_go();
            outcome.unwrap_or_else(|error| Err(QueryError::internal(error.to_string())))
        }
    }

    /// A timer of the engine's clock, which may be polled anywhere.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<Sleep>> {
        let _entered = self.inner.clock.handle().enter();
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

fn background(name: &str, threads: usize) -> Result<Background, QueryError> {
    Background::start(name, threads).map_err(|error| {
        let message = format!("no threads for the query engine: {error}");
        QueryError::new(QueryErrorKind::Limit, message)
    })
}

/// Moves the batches of a plan to the caller until the plan ends or the caller is gone.
async fn drive(
    planned: Planned,
    stream: SendableRecordBatchStream,
    plain: PlainTypes,
    sender: mpsc::Sender<Message>,
    control: Arc<Control>,
) {
    let moving = move_batches(&planned, stream, &plain, &sender, &control);
    let last = match AssertUnwindSafe(moving).catch_unwind().await {
        Ok(Ok(())) => Message::Done,
        Ok(Err(error)) => Message::Failed(error),
        Err(panic) => Message::Failed(QueryError::internal(panic_message(panic.as_ref()))),
    };
    // A caller that has gone away needs no word.
    let _ = sender.send(last).await;
}

async fn move_batches(
    planned: &Planned,
    mut stream: SendableRecordBatchStream,
    plain: &PlainTypes,
    sender: &mpsc::Sender<Message>,
    control: &Control,
) -> Result<(), QueryError> {
    loop {
        let batch = stream.next().await;
        // The tasks of a cancelled statement have let go of their work: what comes of it may look
        // whole and is not.
        if control.is_cancelled() {
            return Err(cancelled());
        }
        let Some(batch) = batch else {
            return Ok(());
        };
        let batch = batch.map_err(|error| planned.diagnose(&error))?;
        if batch.num_rows() == 0 {
            continue;
        }
        let batch = plain
            .apply(&batch)
            .map_err(|error| planned.diagnose(&error))?;
        if sender.send(Message::Batch(batch)).await.is_err() {
            return Ok(());
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    format!("the statement ended in a panic: {text}")
}

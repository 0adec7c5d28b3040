//! The one place that runs SQL for every surface: gRPC, Flight SQL and HTTP hand their statements
//! over here and read batches back.
//!
//! It owns what all of them promise alike: reading one's own writes, points in time, limits, turns,
//! the deadline over the whole stream, the list of what runs, and cancelling. It does not own how a
//! surface spells a request or sends rows.
//!
//! Invariants: a statement is listed from its arrival to its end, whatever ends it; a turn is held
//! only while there is work; an answer that is dropped frees its work.

mod answer;
mod ask;
mod explain;
mod record;
mod register;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use vitalog_query::{Access, QueryEngine, QueryRequest};
use vitalog_store::Store;

pub(crate) use self::answer::{Answer, Statistics, bytes_of, rows_within};
pub(crate) use self::ask::{Ask, Caller, Limits, Surface, positive};
use self::explain::Form;
pub(crate) use self::record::{RunningStatement, State};
use self::register::{Listed, Register};
use self::table::QueriesTable;
use crate::admission::turn;
use crate::fault::{Fault, Reason};
use crate::limits::{PARAMETERS_MAX, SQL_BYTES_MAX};

/// What the server allows a statement at most, whatever a client asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ceilings {
    /// Rows of an answer.
    pub rows: Option<u64>,
    /// Bytes of an answer's columns.
    pub bytes: Option<u64>,
}

/// Runs statements. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Statements {
    store: Arc<Store>,
    engine: QueryEngine,
    /// Turns of running statements, shared with pictures and checks.
    turns: Arc<Semaphore>,
    queue_wait: Duration,
    ceilings: Ceilings,
    /// The last durable seq that readers see.
    published: watch::Receiver<i64>,
    register: Arc<Register>,
}

impl Statements {
    pub fn new(
        (store, engine): (Arc<Store>, QueryEngine),
        turns: Arc<Semaphore>,
        queue_wait: Duration,
        ceilings: Ceilings,
    ) -> Self {
        let published = published_of(&store);
        let register = Arc::default();
        engine.add_system_table(Arc::new(QueriesTable(Arc::clone(&register))));
        Self {
            store,
            engine,
            turns,
            queue_wait,
            ceilings,
            published,
            register,
        }
    }

    /// The engine that runs them.
    pub fn engine(&self) -> &QueryEngine {
        &self.engine
    }

    /// Starts a statement: waits until `min_seq` can be read and for a turn, both within the
    /// server's time for queues, and plans it. Rows come with the answer. Dropping the future, or
    /// the answer, ends the statement.
    ///
    /// # Errors
    /// A request outside its limits, a seq that is not there, no turn in time, the deadline, a
    /// cancellation, and whatever planning finds wrong.
    pub async fn start(&self, ask: Ask) -> Result<Answer, Fault> {
        self.start_as(ask, Form::Rows).await
    }

    async fn start_as(&self, ask: Ask, form: Form) -> Result<Answer, Fault> {
        let received = Instant::now();
        checked(&ask)?;
        let listed = self.register.enter(&ask)?;
        let started = self.started((ask, form), &listed, received).await;
        match started {
            Ok(parts) => Ok(Answer::new(parts, listed)),
            Err(fault) => {
                listed.end(State::of(&fault), Some(&fault));
                Err(fault)
            }
        }
    }

    /// Every statement under way, those that wait included, oldest first.
    #[cfg(test)]
    pub fn running(&self) -> Vec<RunningStatement> {
        self.register.running()
    }

    /// How many statements have their turn, whichever way they came.
    pub fn with_turn(&self) -> usize {
        self.register.with_turn()
    }

    /// What `caller` may see of the statements under way and of the last that ended, oldest first:
    /// its own, and an administrator everyone's.
    pub fn seen_by(&self, caller: &Caller) -> Vec<RunningStatement> {
        self.register.seen_by(&caller.viewer())
    }

    /// Ends the statement `id`; whether it was still under way.
    ///
    /// # Errors
    /// There is none of that id, running or just ended, that `caller` may see.
    pub fn cancel(&self, id: &str, caller: &Caller) -> Result<bool, Fault> {
        self.register.cancel(id, caller)
    }

    async fn started(
        &self,
        (ask, form): (Ask, Form),
        listed: &Listed,
        received: Instant,
    ) -> Result<answer::Parts, Fault> {
        let limits = self.lowered(&ask.limits);
        let planning = self.planned((ask, form), limits, listed, received);
        tokio::select! {
            biased;
            () = listed.cancelled() => Err(Fault::cancelled()),
            planned = planning => planned,
        }
    }

    async fn planned(
        &self,
        (ask, form): (Ask, Form),
        limits: Limits,
        listed: &Listed,
        received: Instant,
    ) -> Result<answer::Parts, Fault> {
        let queueing = self.queued(&ask);
        let turn = match limits.time {
            None => queueing.await?,
            Some(time) => tokio::time::timeout(time, queueing)
                .await
                .map_err(|_| past_time(time))??,
        };
        let queued = received.elapsed();
        let deadline = match limits.time {
            None => None,
            Some(time) => Some(time.checked_sub(queued).ok_or_else(|| past_time(time))?),
        };
        listed.plans(queued);
        let request = QueryRequest {
            sql: form.text(ask.sql),
            as_of_seq: ask.as_of_seq.and_then(|seq| i64::try_from(seq).ok()),
            // Whatever comes over the wire only reads.
            access: Access::ReadOnly,
            parameters: ask.parameters,
            deadline,
            memory_bytes_max: limits.memory_bytes,
            viewer: ask.caller.viewer(),
        };
        let stream = self.engine.query(request).await;
        let stream = stream.map_err(|error| form.moved(error))?;
        listed.runs(&stream);
        Ok(answer::Parts {
            stream,
            turn,
            limits,
            received,
            queued,
        })
    }

    /// Waits until what the statement asks about is there, and for its turn.
    async fn queued(&self, ask: &Ask) -> Result<OwnedSemaphorePermit, Fault> {
        if let Some(seq) = ask.min_seq {
            self.reached(seq).await?;
        }
        self.check_end(ask.as_of_seq)?;
        turn(&self.turns, self.queue_wait, "statements").await
    }

    /// Waits until `min_seq` can be read.
    async fn reached(&self, min_seq: u64) -> Result<(), Fault> {
        let mut published = self.published.clone();
        let reached = |seq: &i64| u64::try_from(*seq).is_ok_and(|seq| seq >= min_seq);
        let reaching = tokio::time::timeout(self.queue_wait, published.wait_for(reached));
        if reaching.await.is_ok_and(|reached| reached.is_ok()) {
            return Ok(());
        }
        let last_seq = *self.published.borrow();
        let waited = self.queue_wait;
        let message = format!(
            "{min_seq} was not reached within {waited:?}: the last durable seq is {last_seq}"
        );
        Err(past_end("min_seq", message, last_seq))
    }

    fn check_end(&self, as_of_seq: Option<u64>) -> Result<(), Fault> {
        let Some(seq) = as_of_seq else {
            return Ok(());
        };
        let last_seq = self.store.snapshot().seq();
        if i64::try_from(seq).is_ok_and(|seq| seq <= last_seq) {
            return Ok(());
        }
        let message = format!("{seq} lies past the last durable seq, {last_seq}");
        Err(past_end("as_of_seq", message, last_seq))
    }

    /// What was asked for, never above what the server allows.
    fn lowered(&self, asked: &Limits) -> Limits {
        let engine = self.engine.config();
        let memory = engine.statement_memory_bytes();
        let least =
            |asked: Option<u64>, ceiling: Option<u64>| [asked, ceiling].into_iter().flatten().min();
        Limits {
            rows: least(asked.rows, self.ceilings.rows),
            bytes: least(asked.bytes, self.ceilings.bytes),
            time: [asked.time, engine.deadline].into_iter().flatten().min(),
            // The engine's own limit has a message of its own.
            memory_bytes: asked.memory_bytes.filter(|bytes| *bytes < memory),
        }
    }
}

/// The last durable seq that readers of `store` see, from now on.
fn published_of(store: &Store) -> watch::Receiver<i64> {
    let (sender, published) = watch::channel(0);
    let sender = Arc::new(sender);
    // Never back: what was seen stays seen.
    let raise = |sender: &watch::Sender<i64>, seq: i64| {
        sender.send_if_modified(|known| {
            let is_newer = seq > *known;
            *known = seq.max(*known);
            is_newer
        });
    };
    let told = Arc::clone(&sender);
    store.on_publish(move |seq| raise(&told, seq));
    // What was published before anybody listened.
    raise(&sender, store.snapshot().seq());
    published
}

/// What can be said before anything is waited for.
fn checked(ask: &Ask) -> Result<(), Fault> {
    if ask.sql.len() > SQL_BYTES_MAX {
        let found = ask.sql.len();
        let message =
            format!("the statement has {found} bytes, at most {SQL_BYTES_MAX} (1 MiB) are taken");
        return Err(Fault::of_field(Reason::RequestTooLarge, "sql", message));
    }
    if ask.parameters.len() > PARAMETERS_MAX {
        let found = ask.parameters.len();
        let message = format!("there are {found}, at most {PARAMETERS_MAX} are taken");
        let reason = Reason::InvalidRequest;
        return Err(Fault::of_field(reason, "parameters", message));
    }
    match (ask.as_of_seq, ask.min_seq) {
        (Some(as_of), Some(min)) if as_of < min => {
            let message = format!("{as_of} lies before min_seq, {min}");
            let reason = Reason::InvalidRequest;
            Err(Fault::of_field(reason, "as_of_seq", message))
        }
        _ => Ok(()),
    }
}

fn past_end(field: &str, message: String, last_seq: i64) -> Fault {
    Fault::of_field(Reason::SeqPastEnd, field, message).with_fact("last_seq", &last_seq)
}

fn past_time(time: Duration) -> Fault {
    let message = format!("the statement took longer than its deadline of {time:?}");
    Fault::new(Reason::QueryLimit, message)
}

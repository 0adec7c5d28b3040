//! The list of statements: those under way, and the last that ended.
//!
//! Invariants: an id stands once among those under way; a statement leaves them exactly when its
//! [`Listed`] ends or is dropped; texts are cut, and both lists are bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use vitalog_query::{Gauge, QueryStream, StatementUsage, Stopper, Viewer};

use super::ask::{Ask, Caller};
use super::record::{RunningStatement, State};
use crate::fault::{Fault, Reason};
use crate::limits::{
    QUERY_ID_BYTES_MAX, STATEMENT_TEXT_BYTES_MAX, STATEMENTS_ENDED_MAX, STATEMENTS_LISTED_MAX,
};

/// Every statement that is known.
#[derive(Debug, Default)]
pub(super) struct Register {
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    running: HashMap<String, Arc<Entry>>,
    /// Oldest first.
    ended: VecDeque<RunningStatement>,
}

/// One statement under way.
#[derive(Debug)]
struct Entry {
    id: String,
    caller: Caller,
    sql: String,
    started_at_us: i64,
    received: Instant,
    rows: AtomicU64,
    bytes: AtomicU64,
    cancelled: CancellationToken,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    state: State,
    queued: Duration,
    seq: Option<u64>,
    gauge: Option<Gauge>,
    stopper: Option<Stopper>,
    reason: Option<Reason>,
}

impl Register {
    /// Lists a statement that has arrived.
    pub fn enter(self: &Arc<Self>, ask: &Ask) -> Result<Listed, Fault> {
        let id = match &ask.id {
            Some(id) => checked_id(id)?,
            None => Uuid::now_v7().to_string(),
        };
        let mut lists = lock(&self.lists);
        if lists.running.contains_key(&id) {
            let message = format!("a statement of the id {id:?} is running");
            let reason = Reason::QueryIdTaken;
            return Err(Fault::of_field(reason, "query_id", message));
        }
        if lists.running.len() >= STATEMENTS_LISTED_MAX {
            return Err(Fault::busy("statements"));
        }
        let entry = Arc::new(Entry::new(id.clone(), ask));
        lists.running.insert(id, Arc::clone(&entry));
        drop(lists);
        Ok(Listed {
            entry,
            register: Arc::clone(self),
            is_over: false,
        })
    }

    #[cfg(test)]
    pub fn running(&self) -> Vec<RunningStatement> {
        let lists = lock(&self.lists);
        let entries: Vec<_> = lists.running.values().cloned().collect();
        drop(lists);
        in_order(entries.iter().map(|entry| entry.record()).collect())
    }

    /// How many statements are planned, compute, or wait for their reader.
    pub fn with_turn(&self) -> usize {
        let lists = lock(&self.lists);
        let entries: Vec<_> = lists.running.values().cloned().collect();
        drop(lists);
        entries.iter().filter(|entry| entry.has_turn()).count()
    }

    pub fn seen_by(&self, viewer: &Viewer) -> Vec<RunningStatement> {
        let lists = lock(&self.lists);
        let is_seen = |name: &Option<String>| sees(viewer, name.as_deref());
        let ended = lists.ended.iter().filter(|ended| is_seen(&ended.name));
        let mut records: Vec<_> = ended.cloned().collect();
        let entries = lists.running.values();
        let entries = entries.filter(|entry| is_seen(&entry.caller.name));
        let entries: Vec<_> = entries.cloned().collect();
        drop(lists);
        records.extend(entries.iter().map(|entry| entry.record()));
        in_order(records)
    }

    pub fn cancel(&self, id: &str, caller: &Caller) -> Result<bool, Fault> {
        let viewer = caller.viewer();
        let lists = lock(&self.lists);
        let running = lists.running.get(id).cloned();
        let running = running.filter(|entry| sees(&viewer, entry.caller.name.as_deref()));
        if let Some(entry) = running {
            drop(lists);
            entry.cancel();
            return Ok(true);
        }
        let is_it =
            |ended: &RunningStatement| ended.id == id && sees(&viewer, ended.name.as_deref());
        if lists.ended.iter().any(is_it) {
            return Ok(false);
        }
        let message = format!("there is no statement {id:?}, running or just ended");
        let reason = Reason::QueryNotFound;
        Err(Fault::of_field(reason, "query_id", message))
    }

    fn leave(&self, entry: &Entry) {
        let record = entry.record();
        let mut lists = lock(&self.lists);
        lists.running.remove(&entry.id);
        if lists.ended.len() >= STATEMENTS_ENDED_MAX {
            lists.ended.pop_front();
        }
        lists.ended.push_back(record);
    }
}

/// A statement's place on the list. Dropping it takes the statement off as one whose reader went
/// away, or, in a panic, as one that failed.
#[derive(Debug)]
pub(super) struct Listed {
    entry: Arc<Entry>,
    register: Arc<Register>,
    is_over: bool,
}

impl Listed {
    pub fn id(&self) -> &str {
        &self.entry.id
    }

    /// Becomes ready when a call ends the statement.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.entry.cancelled.clone().cancelled_owned()
    }

    /// Whether a call ended the statement.
    pub fn is_cancelled(&self) -> bool {
        self.entry.cancelled.is_cancelled()
    }

    /// It has its turn, `queued` after its arrival.
    pub fn plans(&self, queued: Duration) {
        let mut progress = lock(&self.entry.progress);
        (progress.state, progress.queued) = (State::Planning, queued);
    }

    /// It is planned and computes.
    pub fn runs(&self, stream: &QueryStream) {
        let stopper = stream.stopper();
        let mut progress = lock(&self.entry.progress);
        progress.state = State::Running;
        progress.seq = u64::try_from(stream.seq()).ok();
        progress.gauge = Some(stream.gauge());
        progress.stopper.clone_from(&stopper);
        drop(progress);
        // A call that came just before found nothing to stop.
        if self.entry.cancelled.is_cancelled() {
            stopper.iter().for_each(Stopper::stop);
        }
    }

    /// Its reader took a batch.
    pub fn took(&self, rows: u64, bytes: u64) {
        self.entry.rows.fetch_add(rows, Ordering::Relaxed);
        self.entry.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes the statement off the list, as one that ended in `state`.
    pub fn end(mut self, state: State, fault: Option<&Fault>) {
        self.end_with(state, fault.map(|fault| fault.reason));
    }

    fn end_with(&mut self, state: State, reason: Option<Reason>) {
        self.is_over = true;
        let mut progress = lock(&self.entry.progress);
        (progress.state, progress.reason) = (state, reason);
        drop(progress);
        self.register.leave(&self.entry);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if std::thread::panicking() {
            self.end_with(State::Failed, Some(Reason::Internal));
        } else {
            self.end_with(State::Abandoned, None);
        }
    }
}

impl Entry {
    fn new(id: String, ask: &Ask) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let started_at_us = since_1970.map_or(0, |time| time.as_micros() as i64);
        Self {
            id,
            caller: ask.caller.clone(),
            sql: cut(&ask.sql),
            started_at_us,
            received: Instant::now(),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            cancelled: CancellationToken::new(),
            progress: Mutex::new(Progress {
                state: State::Queued,
                queued: Duration::ZERO,
                seq: None,
                gauge: None,
                stopper: None,
                reason: None,
            }),
        }
    }

    fn cancel(&self) {
        self.cancelled.cancel();
        // Work stops at once, even where the reader does not look.
        let stopper = lock(&self.progress).stopper.clone();
        stopper.iter().for_each(Stopper::stop);
    }

    fn has_turn(&self) -> bool {
        let state = lock(&self.progress).state;
        matches!(state, State::Planning | State::Running)
    }

    fn record(&self) -> RunningStatement {
        let progress = lock(&self.progress);
        let elapsed = self.received.elapsed();
        let queued = match progress.state {
            State::Queued => elapsed,
            _ => progress.queued,
        };
        let usage = progress
            .gauge
            .as_ref()
            .map_or_else(StatementUsage::default, Gauge::read);
        RunningStatement {
            id: self.id.clone(),
            surface: self.caller.surface,
            name: self.caller.name.clone(),
            peer: self.caller.peer,
            sql: self.sql.clone(),
            state: progress.state,
            started_at_us: self.started_at_us,
            elapsed,
            queued,
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            usage,
            seq: progress.seq,
            reason: progress.reason,
        }
    }
}

/// Whether `viewer` may see and end what `owner` runs.
fn sees(viewer: &Viewer, owner: Option<&str>) -> bool {
    viewer.is_admin || viewer.name.as_deref() == owner
}

fn in_order(mut records: Vec<RunningStatement>) -> Vec<RunningStatement> {
    records.sort_by(|left, right| {
        (left.started_at_us, &left.id).cmp(&(right.started_at_us, &right.id))
    });
    records
}

/// An id that a client chose.
fn checked_id(id: &str) -> Result<String, Fault> {
    let is_visible = id.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible && (1..=QUERY_ID_BYTES_MAX).contains(&id.len()) {
        return Ok(id.to_owned());
    }
    let message = format!("expected 1 to {QUERY_ID_BYTES_MAX} visible ASCII characters");
    let reason = Reason::InvalidRequest;
    Err(Fault::of_field(reason, "query_id", message))
}

/// The first bytes of a statement.
fn cut(sql: &str) -> String {
    if sql.len() <= STATEMENT_TEXT_BYTES_MAX {
        return sql.to_owned();
    }
    let end = sql.floor_char_boundary(STATEMENT_TEXT_BYTES_MAX);
    format!("{}…", &sql[..end])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

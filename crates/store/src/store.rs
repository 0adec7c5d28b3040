//! The store as its users hold it: append, read, flush, close.

use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use crossbeam::channel::{Sender, TrySendError, bounded};
use vitalog_disk::Directory;
use vitalog_event::EventBatch;

use crate::cold::ColdCache;
use crate::command::{AppendReceipt, Command, Control, Pending, Reply, Request};
use crate::config::{Clock, StoreConfig};
use crate::definitions::{DefinitionDraft, DefinitionKind, DefinitionReceipt};
use crate::error::{Result, StoreError, StoreErrorKind};
use crate::ledger::Ledger;
use crate::open::{self, OpenReport};
use crate::published::Published;
use crate::room::Writability;
use crate::snapshot::Snapshot;
use crate::upkeep::{
    Blocked, CompactionGoal, CompactionReport, DamagedFile, Due, Upkeep, UpkeepThread,
    WrittenBytes, job_queue,
};
use crate::wal::WalCounters;
use crate::writer::OnPublish;
use crate::writer_states::{WriterMark, WriterState, WriterStates};

/// An open store. One process has it; any number of threads share it behind an `Arc`.
///
/// Dropping it closes it as [`Store::close`] does, without a word about errors.
#[derive(Debug)]
pub struct Store {
    commands: Mutex<Option<Sender<Command>>>,
    published: Arc<ArcSwap<Snapshot>>,
    published_files: Arc<Published>,
    on_publish: Listeners,
    wal_counters: Arc<WalCounters>,
    writability: Arc<Writability>,
    writers: Arc<WriterStates>,
    ledger: Arc<Ledger>,
    directory: Arc<dyn Directory>,
    config: StoreConfig,
    clock: Arc<dyn Clock>,
    thread: Mutex<Option<JoinHandle<()>>>,
    upkeep: Mutex<Option<UpkeepThread>>,
    written: Arc<WrittenBytes>,
    cache: Arc<ColdCache>,
    blocked: Arc<Blocked>,
}

struct Listeners(Arc<RwLock<Vec<OnPublish>>>);

impl std::fmt::Debug for Listeners {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Listeners")
    }
}

impl Store {
    /// Opens the store in `directory`, or makes an empty one, and starts its writer.
    ///
    /// Cost: the manifest, the symbols, and the log since the last flush; segments are untouched.
    ///
    /// # Errors
    /// Damage that cannot be a torn write, named with file and offset; a newer format version; a
    /// failing disk. A removal that was under way is finished first; where a damaged file or a full
    /// disk is in its way it stays pending, and the report says so.
    pub fn open(
        directory: Arc<dyn Directory>,
        config: StoreConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, OpenReport)> {
        let (bell, jobs) = job_queue();
        let cache = ColdCache::new(config.cold_cache_bytes_max);
        let (writer, mut report) = open::open(
            Arc::clone(&directory),
            config.clone(),
            Arc::clone(&clock),
            bell.clone(),
            &cache,
        )?;
        let published_files = Arc::new(Published::open(
            Arc::clone(&directory),
            config.snapshots_max,
        )?);
        let (commands, receiver) = bounded(config.queue_batches.max(1));
        let upkeep = Upkeep {
            directory: Arc::clone(&directory),
            ledger: Arc::clone(&writer.ledger),
            symbols: Arc::clone(&writer.symbols),
            config: config.clone(),
            clock: Arc::clone(&clock),
            written: Arc::clone(&writer.written),
            cache: Arc::clone(&cache),
            published_files: Arc::clone(&published_files),
            published: Arc::clone(&writer.published),
            writer: commands.clone(),
            stop: Arc::default(),
            writability: Arc::clone(writer.wal.writability()),
            blocked: Arc::default(),
            due: Due::new(writer.received_us),
        };
        let blocked = Arc::clone(&upkeep.blocked);
        let written = Arc::clone(&writer.written);
        let published = Arc::clone(&writer.published);
        let on_publish = Listeners(Arc::clone(&writer.on_publish));
        let wal_counters = Arc::clone(writer.wal.counters());
        let writability = Arc::clone(writer.wal.writability());
        let writers = Arc::clone(&writer.writers);
        let ledger = Arc::clone(&writer.ledger);
        let thread = std::thread::Builder::new()
            .name("vitalog-writer".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| StoreError::Full(format!("no thread for the writer: {error}")))?;
        let upkeep = UpkeepThread::start(upkeep, &bell, jobs)?;
        let store = Self {
            commands: Mutex::new(Some(commands)),
            published,
            published_files,
            on_publish,
            wal_counters,
            writability,
            writers,
            ledger,
            directory,
            config,
            clock,
            thread: Mutex::new(Some(thread)),
            upkeep: Mutex::new(Some(upkeep)),
            written,
            cache,
            blocked,
        };
        if report.finished_removals > 0 {
            // Before anyone reads: what was being erased must not be seen again.
            report.unfinished_removals = store.finish_removals()?;
            report.finished_removals -= report.unfinished_removals;
        }
        // What else an earlier run left undone.
        bell.ring();
        Ok((store, report))
    }

    /// Appends a batch and waits until it is durable (see
    /// [`Durability`](crate::Durability)) and visible.
    ///
    /// # Errors
    /// [`StoreError::Full`]: nothing was written. [`StoreError::Poisoned`]: the outcome is
    /// unknown, retry with the same ids after a restart. [`StoreError::Closed`].
    pub fn append(&self, batch: EventBatch) -> Result<AppendReceipt> {
        self.append_later(batch)?
            .recv()
            .map_err(|_| StoreError::Closed)?
    }

    /// Hands a batch to the writer, waiting only for room in its queue; the outcome arrives in
    /// the channel. Batches of one thread are taken in their order.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn append_later(&self, batch: EventBatch) -> Result<mpsc::Receiver<Result<AppendReceipt>>> {
        self.send(Request { batch, mark: None })
    }

    /// [`Store::append`] of a batch that a writer has numbered: the number becomes durable with the
    /// events, both or neither, also where no event of the batch is stored (each is rejected or a
    /// duplicate, or there is none).
    ///
    /// # Errors
    /// [`StoreError::NumberDurable`]: the number is the last one of its writer or lies before it;
    /// nothing was appended again. [`StoreError::NumberGap`]: it is not the next one, which is 1 for
    /// a writer that is not known. [`StoreError::WritersFull`]: a new writer, of more than
    /// [`WRITERS_MAX`](crate::WRITERS_MAX); one that was silent for 30 days makes room. Otherwise as
    /// [`Store::append`].
    pub fn append_as(&self, mark: WriterMark, batch: EventBatch) -> Result<AppendReceipt> {
        let mark = Some(mark);
        let outcome = self.send(Request { batch, mark })?;
        outcome.recv().map_err(|_| StoreError::Closed)?
    }

    /// What is durable of a writer; `None` where it is not known. Cost: one look into a map.
    #[must_use]
    pub fn writer_state(&self, id: &str) -> Option<WriterState> {
        self.writers.get(id)
    }

    fn send(&self, request: Request) -> Result<mpsc::Receiver<Result<AppendReceipt>>> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let reply: Reply = Box::new(move |outcome| {
            // A caller that has gone away needs no answer.
            let _ = sender.send(outcome);
        });
        self.sender()?
            .send(Command::Append(Box::new(Pending { request, reply })))
            .map_err(|_| StoreError::Closed)?;
        Ok(receiver)
    }

    /// Hands a batch to the writer without waiting; `reply` is called on the writer's thread and
    /// must be quick.
    ///
    /// # Errors
    /// [`StoreError::Limit`] when the queue is full: nothing was taken, try again.
    /// [`StoreError::Closed`].
    pub fn submit(&self, batch: EventBatch, reply: Reply) -> Result<()> {
        self.try_send(Request { batch, mark: None }, reply)
    }

    /// [`Store::submit`] of a batch that a writer has numbered, answered as
    /// [`Store::append_as`] is. Batches of one thread are decided in their order.
    ///
    /// # Errors
    /// As [`Store::submit`].
    pub fn submit_as(&self, mark: WriterMark, batch: EventBatch, reply: Reply) -> Result<()> {
        let mark = Some(mark);
        self.try_send(Request { batch, mark }, reply)
    }

    fn try_send(&self, request: Request, reply: Reply) -> Result<()> {
        let command = Command::Append(Box::new(Pending { request, reply }));
        self.sender()?
            .try_send(command)
            .map_err(|error| match error {
                TrySendError::Disconnected(_) => StoreError::Closed,
                TrySendError::Full(_) => {
                    let limit = self.config.queue_batches as u64;
                    StoreError::Limit {
                        what: "batches waiting for the writer",
                        found: limit,
                        limit,
                    }
                }
            })
    }

    /// Stores a new version of a model or view, unless the one in force has the same text; `None`
    /// drops a view. Durable and visible on return; its text is not looked at.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]: a name that is empty or past 128 bytes, a text past 1 MiB, a model
    /// without a text, a view dropped that was never stored. [`StoreError::Limit`]: more than
    /// 10,000 definitions or 64 MiB of text in the store, all versions counted. Else as
    /// [`Store::append`].
    pub fn define(
        &self,
        kind: DefinitionKind,
        name: &str,
        text: Option<&str>,
    ) -> Result<DefinitionReceipt> {
        let draft = DefinitionDraft::new(kind, name, text)?;
        self.ask(|reply| Control::Define { draft, reply })
    }

    /// The newest published picture. Cost: one atomic load.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.published.load_full()
    }

    /// Calls `listener` with the durable `seq` after each publication, on the writer's thread; it
    /// must be quick and stays for the life of the store.
    pub fn on_publish(&self, listener: impl Fn(i64) + Send + Sync + 'static) {
        let mut listeners = self
            .on_publish
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.push(Box::new(listener));
    }

    /// Moves everything from memory to segments; returns when the manifest is durable.
    ///
    /// # Errors
    /// A full or failing disk: the rows stay in memory and in the log.
    pub fn flush(&self) -> Result<()> {
        self.ask(|reply| Control::Flush { reply })
    }

    /// Merges hot files and makes cold ones, towards `goal`; returns when it is durable. Flush
    /// before where what is in memory shall take part. Damaged files are left as they are and
    /// counted; [`CompactionGoal::AllCold`] tries those again that were found before.
    ///
    /// # Errors
    /// A full or failing disk: nothing is lost. [`StoreError::Closed`].
    pub fn compact(&self, goal: CompactionGoal) -> Result<CompactionReport> {
        self.run_upkeep(move |upkeep| {
            if goal == CompactionGoal::AllCold {
                upkeep.blocked.clear();
            }
            upkeep.compact(goal)
        })
    }

    /// Takes no more, flushes, seals the log, and ends the writer. Later calls do nothing.
    ///
    /// # Errors
    /// As [`Store::flush`]; what was acknowledged is durable all the same.
    pub fn close(&self) -> Result<()> {
        // First: it may wait for the writer.
        let upkeep = self
            .upkeep
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(upkeep) = upkeep {
            upkeep.stop();
        }
        let closed = match self.ask(|reply| Control::Close { reply }) {
            Err(StoreError::Closed) => Ok(()),
            other => other,
        };
        *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        closed
    }

    /// Finishes what removals are pending; returns how many have to wait, for a damaged file or for
    /// room on the disk. They are tried again by themselves.
    fn finish_removals(&self) -> Result<usize> {
        match self.run_upkeep(Upkeep::finish_removals) {
            Ok(_) => Ok(0),
            Err(error) if error.is_damage() || matches!(error.kind(), StoreErrorKind::Limit) => {
                tracing::error!(%error, "a removal is pending and cannot be finished now");
                Ok(self.ledger.manifest().pending.len())
            }
            Err(error) => Err(error),
        }
    }

    /// Runs `work` on the thread of the upkeep, after the jobs that wait.
    pub(crate) fn run_upkeep<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Upkeep) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let bell = upkeep.as_ref().map(UpkeepThread::bell);
        drop(upkeep);
        UpkeepThread::run(&bell.ok_or(StoreError::Closed)?, work)
    }

    /// Files that the upkeep found damaged since the store was opened, and works around, by name.
    #[must_use]
    pub fn damaged_files(&self) -> Vec<DamagedFile> {
        self.blocked.list(self.snapshot().segments())
    }

    pub(crate) fn cache(&self) -> &ColdCache {
        &self.cache
    }

    pub(crate) fn written(&self) -> &WrittenBytes {
        &self.written
    }

    /// Whether an append would be taken now; a full disk recovers by itself, a poisoned log at a
    /// restart. Cost: one question to the file system.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn check_writable(&self) -> std::result::Result<(), String> {
        self.sender().map_err(|error| error.to_string())?;
        self.writability.check(self.directory.as_ref())
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The snapshots that were written down for other programs.
    #[must_use]
    pub fn published(&self) -> &Published {
        &self.published_files
    }

    pub(crate) fn wal_counters(&self) -> &WalCounters {
        &self.wal_counters
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Arc<dyn Directory> {
        &self.directory
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn ask<T>(&self, control: impl FnOnce(Sender<Result<T>>) -> Control) -> Result<T> {
        let (reply, outcome) = bounded(1);
        self.sender()?
            .send(Command::Control(control(reply)))
            .map_err(|_| StoreError::Closed)?;
        outcome.recv().map_err(|_| StoreError::Closed)?
    }

    /// Batches and orders that wait for the writer; 0 for a store that is closed.
    #[must_use]
    pub fn queue_len(&self) -> usize {
        self.sender().map_or(0, |sender| sender.len())
    }

    fn sender(&self) -> Result<Sender<Command>> {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.clone().ok_or(StoreError::Closed)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

//! The store as its users hold it: append, read, flush, close.

use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use crossbeam::channel::{Sender, TrySendError, bounded};
use vitalog_disk::Directory;
use vitalog_event::EventBatch;

use crate::config::{Clock, StoreConfig};
use crate::definitions::{DefinitionDraft, DefinitionKind, DefinitionReceipt};
use crate::error::{Result, StoreError};
use crate::open::{self, OpenReport};
use crate::snapshot::Snapshot;
use crate::wal::WalCounters;
use crate::writer::{AppendReceipt, Command, Control, OnPublish, Pending, Reply};

/// An open store. One process has it; any number of threads share it behind an `Arc`.
///
/// Dropping it closes it as [`Store::close`] does, without a word about errors.
#[derive(Debug)]
pub struct Store {
    commands: Mutex<Option<Sender<Command>>>,
    published: Arc<ArcSwap<Snapshot>>,
    on_publish: Listeners,
    wal_counters: Arc<WalCounters>,
    directory: Arc<dyn Directory>,
    config: StoreConfig,
    clock: Arc<dyn Clock>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
    /// failing disk.
    pub fn open(
        directory: Arc<dyn Directory>,
        config: StoreConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, OpenReport)> {
        let (writer, report) =
            open::open(Arc::clone(&directory), config.clone(), Arc::clone(&clock))?;
        let (commands, receiver) = bounded(config.queue_batches.max(1));
        let published = Arc::clone(&writer.published);
        let on_publish = Listeners(Arc::clone(&writer.on_publish));
        let wal_counters = Arc::clone(writer.wal.counters());
        let thread = std::thread::Builder::new()
            .name("vitalog-writer".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| StoreError::Full(format!("no thread for the writer: {error}")))?;
        let store = Self {
            commands: Mutex::new(Some(commands)),
            published,
            on_publish,
            wal_counters,
            directory,
            config,
            clock,
            thread: Mutex::new(Some(thread)),
        };
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
        let (sender, receiver) = mpsc::sync_channel(1);
        let reply: Reply = Box::new(move |outcome| {
            // A caller that has gone away needs no answer.
            let _ = sender.send(outcome);
        });
        self.sender()?
            .send(Command::Append(Box::new(Pending { batch, reply })))
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
        let command = Command::Append(Box::new(Pending { batch, reply }));
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

    /// Takes no more, flushes, seals the log, and ends the writer. Later calls do nothing.
    ///
    /// # Errors
    /// As [`Store::flush`]; what was acknowledged is durable all the same.
    pub fn close(&self) -> Result<()> {
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

    fn ask<T>(&self, control: impl FnOnce(Sender<Result<T>>) -> Control) -> Result<T> {
        let (reply, outcome) = bounded(1);
        self.sender()?
            .send(Command::Control(control(reply)))
            .map_err(|_| StoreError::Closed)?;
        outcome.recv().map_err(|_| StoreError::Closed)?
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

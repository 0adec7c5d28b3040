//! The upkeep of a store: one thread beside the writer that rewrites files, one job at a time.
//!
//! It owns the order of its jobs and how their results become durable and visible: files first,
//! then the ledger, then the writer publishes. What a job rewrites and why stands in the modules
//! below; when jobs are done that nobody asked for, in `due`. Flushes go on beside it; readers are
//! never blocked.
//!
//! Invariant: only this thread takes files away from readers, and it has opened each of them
//! before, so that a reader of an older snapshot still reads it.

mod blocked;
mod compaction;
mod due;
mod merge;
mod plan;
mod retry;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use vitalog_disk::Directory;

pub(crate) use blocked::Blocked;
pub use blocked::DamagedFile;
pub use compaction::{CompactionGoal, CompactionReport};
pub(crate) use due::Due;

use crate::cold::{ColdCache, ColdEntry, ColdFile};
use crate::command::{Command, Control};
use crate::config::{Clock, StoreConfig};
use crate::error::{Result, StoreError};
use crate::ledger::{Ledger, Reservation};
use crate::manifest::Manifest;
use crate::published::Published;
use crate::room::Writability;
use crate::segment::{Segment, SegmentEntry};
use crate::snapshot::{SegmentChange, SegmentSet, Snapshot};
use crate::symbols::Symbols;

/// Jobs that may wait; more are told to come back.
const JOBS_WAITING_MAX: usize = 64;

/// Bytes that went to files of segments since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct WrittenBytes {
    /// By flushes.
    pub flushed: AtomicU64,
    /// By merges of hot files and by making cold ones.
    pub compacted: AtomicU64,
}

/// What a job works with.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub directory: Arc<dyn Directory>,
    pub ledger: Arc<Ledger>,
    pub symbols: Arc<Symbols>,
    pub config: StoreConfig,
    pub clock: Arc<dyn Clock>,
    pub written: Arc<WrittenBytes>,
    pub cache: Arc<ColdCache>,
    pub published_files: Arc<Published>,
    pub published: Arc<ArcSwap<Snapshot>>,
    pub writer: Sender<Command>,
    pub stop: Arc<AtomicBool>,
    /// What appends wait for.
    pub writability: Arc<Writability>,
    /// Files that are left as they are.
    pub blocked: Arc<Blocked>,
    pub due: Due,
}

/// A job of the thread.
type Job = Box<dyn FnOnce(&Upkeep) + Send>;

/// The thread as the store holds it.
#[derive(Debug)]
pub(crate) struct UpkeepThread {
    jobs: UpkeepBell,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Asks for a look at what is due, from the writer; nothing waits for it.
#[derive(Clone, Debug)]
pub(crate) struct UpkeepBell {
    jobs: Sender<Job>,
    /// Whether a look that was asked for has not begun.
    is_rung: Arc<AtomicBool>,
}

impl UpkeepBell {
    /// Has the thread do what is due, once for any number of calls before it begins.
    pub fn ring(&self) {
        if self.is_rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let is_rung = Arc::clone(&self.is_rung);
        let look = move |upkeep: &Upkeep| {
            is_rung.store(false, Ordering::Release);
            upkeep.do_what_is_due();
        };
        if self.jobs.try_send(Box::new(look)).is_err() {
            // It is busy, and looks by itself before long.
            self.is_rung.store(false, Ordering::Release);
        }
    }
}

/// The two ends of the queue of jobs: made before the writer, which rings the bell.
pub(crate) fn job_queue() -> (UpkeepBell, Receiver<Job>) {
    let (sender, receiver) = bounded(JOBS_WAITING_MAX);
    let bell = UpkeepBell {
        jobs: sender,
        is_rung: Arc::default(),
    };
    (bell, receiver)
}

impl UpkeepThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(upkeep: Upkeep, bell: &UpkeepBell, jobs: Receiver<Job>) -> Result<Self> {
        let stop = Arc::clone(&upkeep.stop);
        let interval = upkeep.config.upkeep_interval;
        let thread = std::thread::Builder::new()
            .name("vitalog-upkeep".to_owned())
            .spawn(move || {
                while let Some(job) = next_job(&jobs, interval) {
                    if upkeep.is_stopping() {
                        break;
                    }
                    job(&upkeep);
                }
            })
            .map_err(|error| StoreError::Full(format!("no thread for the upkeep: {error}")))?;
        Ok(Self {
            jobs: bell.clone(),
            stop,
            thread,
        })
    }

    /// Runs `work` after the jobs before it, and waits for its outcome.
    ///
    /// # Errors
    /// Those of `work`; [`StoreError::Closed`] where the store is closed meanwhile.
    pub fn run<T: Send + 'static>(
        jobs: &UpkeepBell,
        work: impl FnOnce(&Upkeep) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, outcome) = bounded(1);
        let job: Job = Box::new(move |upkeep| {
            // A caller that has gone away needs no answer.
            let _ = sender.send(work(upkeep));
        });
        jobs.jobs.send(job).map_err(|_| StoreError::Closed)?;
        outcome.recv().map_err(|_| StoreError::Closed)?
    }

    /// The queue, for callers that wait without holding the thread's handle.
    pub fn bell(&self) -> UpkeepBell {
        self.jobs.clone()
    }

    /// Lets the job under way end at its next step, and ends the thread.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes a thread that waits; a full queue wakes it anyway.
        let _ = self.jobs.jobs.try_send(Box::new(|_| {}));
        drop(self.jobs);
        let _ = self.thread.join();
    }
}

/// The next job: one that was asked for, or, where there was none for `interval`, a look at what is
/// due. `None` when nobody can ask any more.
fn next_job(jobs: &Receiver<Job>, interval: Duration) -> Option<Job> {
    match jobs.recv_timeout(interval) {
        Ok(job) => Some(job),
        Err(RecvTimeoutError::Timeout) => Some(Box::new(Upkeep::do_what_is_due)),
        Err(RecvTimeoutError::Disconnected) => None,
    }
}

/// Files that a job made in place of others.
#[derive(Debug, Default)]
pub(crate) struct Replacement {
    /// Names of the files that are no longer needed; each was opened.
    pub removed: BTreeSet<String>,
    pub hot: Vec<SegmentEntry>,
    pub cold: Vec<ColdEntry>,
    /// Of the new files: until a manifest names them, nothing else keeps them from being collected.
    pub reservations: Vec<Reservation>,
}

impl Upkeep {
    /// Whether the store is being closed: a job ends at its next step, what it made is dropped.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// [`StoreError::Closed`] where the store is being closed.
    pub fn check_stop(&self) -> Result<()> {
        if self.is_stopping() {
            return Err(StoreError::Closed);
        }
        Ok(())
    }

    /// The files that readers see now. Flushes may add to them; nobody else takes any away.
    pub fn segments(&self) -> Arc<SegmentSet> {
        Arc::clone(self.published.load().segments())
    }

    /// Makes `replacement` durable together with `edit`, then visible, then removes what is no
    /// longer needed. Durable and visible on return.
    ///
    /// # Errors
    /// A full or failing disk: nothing has changed, the new files are collected as orphans.
    pub fn replace(
        &self,
        replacement: Replacement,
        edit: impl FnOnce(&mut Manifest),
    ) -> Result<Arc<Manifest>> {
        let Replacement {
            removed,
            hot,
            cold,
            reservations,
        } = replacement;
        self.retain(&removed)?;
        let manifest = self.ledger.commit(|manifest| {
            manifest
                .segments
                .retain(|entry| !removed.contains(&entry.name));
            manifest.segments.extend(hot.iter().cloned());
            manifest.segments.sort_by_key(SegmentEntry::seq_min);
            manifest.cold.retain(|entry| !removed.contains(&entry.name));
            manifest.cold.extend(cold.iter().cloned());
            let order = |entry: &ColdEntry| (entry.statistics.day, entry.statistics.seq_min);
            manifest.cold.sort_by_key(order);
            edit(manifest);
        })?;
        drop(reservations);
        let change = SegmentChange {
            removed,
            hot: hot.into_iter().map(|entry| self.hot_file(entry)).collect(),
            cold: cold
                .into_iter()
                .map(|entry| self.cold_file(entry))
                .collect(),
        };
        self.install(change)?;
        self.ledger.try_collect(self.manifests_kept());
        Ok(manifest)
    }

    /// How many manifests are kept: the newest alone while appends wait for room, because the
    /// files of older ones take it.
    fn manifests_kept(&self) -> usize {
        match self.missing_bytes() {
            0 => self.config.manifests_kept,
            _ => 1,
        }
    }

    /// Bytes that must be freed before appends are taken again; 0 where they are taken.
    pub fn missing_bytes(&self) -> u64 {
        self.writability.missing_bytes(self.directory.as_ref())
    }

    /// Opens the files that are about to go, for readers of older snapshots.
    fn retain(&self, removed: &BTreeSet<String>) -> Result<()> {
        let segments = self.segments();
        let mut hot = segments.segments.iter();
        let mut cold = segments.cold.iter();
        hot.try_for_each(|file| match removed.contains(&file.entry().name) {
            true => file.retain(),
            false => Ok(()),
        })?;
        cold.try_for_each(|file| match removed.contains(&file.entry().name) {
            true => file.retain(),
            false => Ok(()),
        })
    }

    fn hot_file(&self, entry: SegmentEntry) -> Arc<Segment> {
        Segment::new(Arc::clone(&self.directory), entry)
    }

    fn cold_file(&self, entry: ColdEntry) -> Arc<ColdFile> {
        let (directory, symbols) = (Arc::clone(&self.directory), Arc::clone(&self.symbols));
        ColdFile::new(directory, entry, symbols, Arc::clone(&self.cache))
    }

    /// Has the writer publish `change`; visible on return.
    fn install(&self, change: SegmentChange) -> Result<()> {
        let (reply, done) = bounded(1);
        self.writer
            .send(Command::Control(Control::Install { change, reply }))
            .map_err(|_| StoreError::Closed)?;
        done.recv().map_err(|_| StoreError::Closed)
    }
}

//! The one writer: takes batches from a bounded channel, makes a commit group of what waits,
//! writes and syncs it once, publishes the new snapshot, then answers everyone in the group.
//!
//! It owns the log, the memtable, the ids of recent events, the definitions, the numbers of writers
//! and the next `seq`.
//! Nothing is visible before it is durable. After a failed write nothing is written until a restart.

use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, bounded};
use crossbeam::select;
use vitalog_disk::Directory;

use crate::command::{AppendReceipt, Command, Control, Pending, Reply, Request};
use crate::config::{Clock, StoreConfig};
use crate::definitions::Definitions;
use crate::error::{Result, StoreError};
use crate::flush::{FlushJob, Flushed};
use crate::group::GroupBuilder;
use crate::idempotency::RecentIds;
use crate::ledger::Ledger;
use crate::memtable::{Chunk, Memtable};
use crate::removal::PendingRemoval;
use crate::snapshot::{SegmentChange, SegmentSet, Snapshot};
use crate::symbols::{Marks, Symbols, encode_delta};
use crate::upkeep::{UpkeepBell, WrittenBytes};
use crate::wal::{FrameDraft, FrameKind, GroupColumns, WalWriter, encode_events};
use crate::writer_states::{Record, WriterStates, encode_records};

/// Called after each publication with the durable `seq`.
pub(crate) type OnPublish = Box<dyn Fn(i64) + Send + Sync>;

pub(crate) struct Writer {
    pub directory: Arc<dyn Directory>,
    pub config: StoreConfig,
    pub clock: Arc<dyn Clock>,
    pub symbols: Arc<Symbols>,
    pub published: Arc<ArcSwap<Snapshot>>,
    pub on_publish: Arc<std::sync::RwLock<Vec<OnPublish>>>,
    pub wal: WalWriter,
    pub ledger: Arc<Ledger>,
    pub segments: Arc<SegmentSet>,
    /// Symbols in files of the manifest.
    pub flushed_marks: Marks,
    /// Symbols that the log or a file holds.
    pub logged_marks: Marks,
    pub memtable: Memtable,
    pub recent: RecentIds,
    pub definitions: Definitions,
    pub writers: Arc<WriterStates>,
    /// Whether a writer has a number that no file of the manifest holds.
    pub has_new_numbers: bool,
    /// Commit groups without events since the last flush: the log keeps them, the memtable does
    /// not.
    pub silent_groups: usize,
    pub seq: i64,
    pub received_us: i64,
    pub flushing: Option<Flushing>,
    /// Halves of a memtable in memory at which a flush begins: more than a full one after a flush
    /// failed.
    pub flush_at_halves: usize,
    /// Told after each flush, and where the disk has no room.
    pub upkeep: UpkeepBell,
    /// Whether the last group found no room on the disk.
    pub is_short: bool,
    pub written: Arc<WrittenBytes>,
    /// Removals that have begun: their rows are no originals of what is appended now.
    pub removing: Vec<PendingRemoval>,
    /// Events of days before this one are refused.
    pub retained_from_day: Option<i32>,
    /// Days before this one had activity that was dropped.
    pub history_from_day: Option<i32>,
}

/// A full memtable, in halves.
pub(crate) const HALVES_FULL: usize = 2;
/// Halves of a memtable in memory at which appends are refused where flushes fail.
const HALVES_UNFLUSHED_MAX: usize = 8;

/// A frozen memtable that a thread is flushing.
pub(crate) struct Flushing {
    chunks: Arc<Vec<Arc<Chunk>>>,
    recent: RecentIds,
    has_numbers: bool,
    done: Receiver<Result<Flushed>>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Serves commands until `Close`, or until every sender is gone.
    pub fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let command = match &self.flushing {
                None => commands.recv().ok(),
                Some(flushing) => select! {
                    recv(commands) -> command => command.ok(),
                    recv(flushing.done) -> flushed => {
                        let installed = self.install(flushed.unwrap_or(Err(StoreError::Closed)));
                        if let Err(error) = installed {
                            // Its rows are back in memory and in the log; the next flush retries.
                            tracing::error!(%error, "a flush failed");
                        }
                        continue;
                    }
                },
            };
            let control = match command {
                Some(Command::Append(first)) => self.commit_group(*first, commands),
                Some(Command::Control(control)) => Some(control),
                None => {
                    let _ = self.close();
                    return;
                }
            };
            if control.is_some_and(|control| self.obey(control)) {
                return;
            }
        }
    }

    /// Does what is asked; true when it was the last.
    fn obey(&mut self, control: Control) -> bool {
        match control {
            Control::Define { draft, reply } => {
                let _ = reply.send(self.define(draft));
                false
            }
            Control::Flush { reply } => {
                let _ = reply.send(self.flush_all());
                false
            }
            Control::Install { change, reply } => {
                self.segments = Arc::new(self.segments.apply(&change));
                self.publish();
                let _ = reply.send(());
                false
            }
            Control::BeginRemoval { request, reply } => {
                let _ = reply.send(self.begin_removal(&request));
                false
            }
            Control::EraseSymbol {
                domain,
                symbol,
                reply,
            } => {
                let _ = reply.send(self.erase_symbol(domain, symbol));
                false
            }
            Control::TrimLog { reply } => {
                let _ = reply.send(self.trim_log());
                false
            }
            Control::EndRemoval { number, reply } => {
                self.end_removal(number);
                let _ = reply.send(Ok(()));
                false
            }
            Control::Close { reply } => {
                let _ = reply.send(self.close());
                true
            }
        }
    }

    /// Commits `first` and what else waits, up to the limits of a group. Returns what was met that
    /// is no append, to be done after.
    fn commit_group(&mut self, first: Pending, commands: &Receiver<Command>) -> Option<Control> {
        let mut events = first.request.batch.len();
        let mut bytes = first.request.batch.bytes();
        let mut group = vec![first];
        let mut control = None;
        while events < self.config.group_events_max && bytes < self.config.group_bytes_max {
            match commands.try_recv() {
                Ok(Command::Append(pending)) => {
                    events += pending.request.batch.len();
                    bytes += pending.request.batch.bytes();
                    group.push(*pending);
                }
                Ok(Command::Control(met)) => {
                    control = Some(met);
                    break;
                }
                Err(_) => break,
            }
        }
        self.commit(group);
        control
    }

    fn commit(&mut self, group: Vec<Pending>) {
        let (requests, replies): (Vec<Request>, Vec<Reply>) = group
            .into_iter()
            .map(|pending| (pending.request, pending.reply))
            .unzip();
        match self.try_commit(&requests) {
            Ok(outcomes) => {
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    reply(outcome);
                }
            }
            Err(error) => {
                for reply in replies {
                    reply(Err(same_for_all(&error)));
                }
            }
        }
    }

    fn try_commit(&mut self, requests: &[Request]) -> Result<Vec<Result<AppendReceipt>>> {
        if let Some(reason) = self.wal.poisoned() {
            return Err(StoreError::Poisoned(reason.to_owned()));
        }
        self.make_room_in_memory()?;
        let mark = self.recent.len();
        let written = self.write_group(requests);
        if written.is_err() {
            self.recent.truncate(mark);
        }
        self.ask_for_room(matches!(written, Err(StoreError::Full(_))));
        written
    }

    /// Where the disk had no room for a group: has the upkeep make some, and the memtable flushed
    /// once, which gives the log's room back and rows that the upkeep can make smaller.
    fn ask_for_room(&mut self, is_full: bool) {
        if is_full {
            if !self.is_short
                && self.flushing.is_none()
                && let Err(error) = self.freeze()
            {
                tracing::error!(%error, "a flush to make room failed");
            }
            self.upkeep.ring();
        }
        self.is_short = is_full;
    }

    /// Decides each request and writes what is taken. One that has another number than is due is
    /// no part of the group.
    fn write_group(&mut self, requests: &[Request]) -> Result<Vec<Result<AppendReceipt>>> {
        let snapshot = self.published.load_full();
        let writers = Arc::clone(&self.writers);
        let clock = Arc::clone(&self.clock);
        let mut numbers = writers.numbers(clock.as_ref());
        let frozen = self.flushing.as_ref().map(|flushing| &flushing.recent);
        let limits = (self.retained_from_day, self.removing.as_slice());
        let recent = &mut self.recent;
        let mut builder = GroupBuilder::new(&self.symbols, &snapshot, frozen, recent, limits);
        let mut outcomes = Vec::with_capacity(requests.len());
        let mut batches = Vec::with_capacity(requests.len());
        for request in requests {
            let mark = request.mark.as_ref();
            if let Some(Err(refused)) = mark.map(|mark| numbers.take(mark, outcomes.len())) {
                outcomes.push(Err(refused));
                continue;
            }
            outcomes.push(Ok(builder.take(&request.batch)?));
            batches.push(&request.batch);
        }
        if batches.is_empty() {
            return Ok(outcomes);
        }
        let group = builder.finish(&batches)?;
        give_seqs(self.seq, outcomes.iter_mut().flatten());
        if group.len() == 0 && numbers.is_empty() {
            return Ok(outcomes);
        }
        let received_us = self.clock.now_us().max(self.received_us);
        let last_seq = |at: usize| {
            let receipt = outcomes[at].as_ref();
            receipt.map_or(0, |receipt| receipt.last_seq)
        };
        let records = numbers.records(received_us, last_seq);
        drop(numbers);
        self.make_durable(group, records, received_us)?;
        Ok(outcomes)
    }

    /// Writes and shows a group: the numbers of writers, and the events where it has any.
    fn make_durable(
        &mut self,
        group: GroupColumns,
        records: Vec<Record>,
        received_us: i64,
    ) -> Result<()> {
        let seq_first = self.seq + 1;
        let events = group.len() as u32;
        let mut frames = Vec::with_capacity(3);
        if !records.is_empty() {
            frames.push(FrameDraft {
                kind: FrameKind::WriterStates,
                events,
                seq_first,
                payload: encode_records(&records),
            });
        }
        let mut chunk = None;
        let marks = self.symbols.read().marks();
        if events > 0 {
            if marks != self.logged_marks {
                let payload = encode_delta(&self.symbols.read(), self.logged_marks, marks);
                frames.push(FrameDraft {
                    kind: FrameKind::Symbols,
                    events: 0,
                    seq_first,
                    payload,
                });
            }
            let mut payload = Vec::new();
            encode_events(&group, &mut payload).map_err(StoreError::arrow("wal"))?;
            frames.push(FrameDraft {
                kind: FrameKind::Events,
                events,
                seq_first,
                payload,
            });
            let (columns, members) = group.into_memory(seq_first);
            chunk = Some(Chunk::of_group(
                &columns,
                &members,
                received_us,
                &self.symbols,
            )?);
        }
        self.wal.commit(frames, received_us)?;
        // Durable from here on: nothing below can fail.
        self.received_us = received_us;
        self.has_new_numbers |= !records.is_empty();
        self.writers.apply(records);
        self.silent_groups += usize::from(chunk.is_none());
        if let Some(chunk) = chunk {
            self.logged_marks = marks;
            self.seq += i64::from(events);
            self.memtable.push(chunk, &self.symbols);
            self.publish();
        }
        Ok(())
    }

    /// Shows readers what is durable.
    pub fn publish(&self) {
        let frozen = self
            .flushing
            .as_ref()
            .map(|flushing| Arc::clone(&flushing.chunks));
        let chunks = [frozen.unwrap_or_default(), self.memtable.chunks()];
        let symbols = Arc::clone(&self.symbols);
        let segments = Arc::clone(&self.segments);
        let definitions = Arc::clone(self.definitions.all());
        let at = (self.seq, self.received_us);
        let snapshot = Snapshot::new(at, definitions, symbols, segments, chunks)
            .retained_from(self.retained_from_day, self.history_from_day);
        self.published.store(Arc::new(snapshot));
        let listeners = self
            .on_publish
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for listener in listeners.iter() {
            listener(self.seq);
        }
    }

    /// Freezes a full memtable; waits where the one before is still being flushed. Where flushes
    /// fail, appends go on while the log has room and the memtable is within bounds.
    fn make_room_in_memory(&mut self) -> Result<()> {
        if self.halves_in_memory() < self.flush_at_halves {
            return Ok(());
        }
        let flushed = self.wait_for_flush().and_then(|()| self.freeze());
        let Err(error) = flushed else {
            return Ok(());
        };
        if self.wal.poisoned().is_some() || self.halves_in_memory() >= HALVES_UNFLUSHED_MAX {
            return Err(error);
        }
        tracing::error!(%error, "a flush failed; the events stay in memory and in the log");
        Ok(())
    }

    /// How many halves of a full memtable are in memory, by rows or by bytes. A group without rows
    /// counts as one, so that the log is flushed and trimmed where nothing else comes.
    fn halves_in_memory(&self) -> usize {
        let rows = self.memtable.rows() + self.silent_groups;
        let by_rows = 2 * rows / self.config.memtable_events_max.max(1);
        let by_bytes = 2 * self.memtable.bytes() / self.config.memtable_bytes_max.max(1);
        by_rows.max(by_bytes)
    }

    pub fn wait_for_flush(&mut self) -> Result<()> {
        match &self.flushing {
            None => Ok(()),
            Some(flushing) => {
                let flushed = flushing.done.recv().unwrap_or(Err(StoreError::Closed));
                self.install(flushed)
            }
        }
    }

    /// Hands the memtable, the definitions and the numbers of writers to a flush thread, where
    /// there are new ones, and begins an empty memtable.
    pub fn freeze(&mut self) -> Result<()> {
        let definitions = Arc::clone(self.definitions.all());
        if self.memtable.rows() == 0
            && definitions.len() == self.ledger.manifest().definition_count()
            && !self.has_new_numbers
        {
            return Ok(());
        }
        self.wal.seal()?;
        let chunks = self.memtable.chunks();
        let job = FlushJob {
            directory: Arc::clone(&self.directory),
            symbols: Arc::clone(&self.symbols),
            chunks: Arc::clone(&chunks),
            seq: self.seq,
            received_us: self.received_us,
            marks: self.logged_marks,
            definitions,
            writers: self.has_new_numbers.then(|| self.writers.all()),
            wal_first: self.wal.next_number(),
            ledger: Arc::clone(&self.ledger),
            flushed_marks: self.flushed_marks,
            manifests_kept: self.config.manifests_kept,
            written: Arc::clone(&self.written),
        };
        let (sender, done) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("vitalog-flush".to_owned())
            .spawn(move || {
                let _ = sender.send(job.run());
            })
            .map_err(|error| StoreError::Full(format!("no thread for the flush: {error}")))?;
        // Only now: where no thread could be had, the rows stay where they are.
        self.memtable = Memtable::default();
        self.silent_groups = 0;
        self.flushing = Some(Flushing {
            chunks,
            recent: std::mem::take(&mut self.recent),
            has_numbers: std::mem::take(&mut self.has_new_numbers),
            done,
            thread,
        });
        Ok(())
    }

    /// Takes over what a flush made. After a failed one its rows go back to the memtable, from
    /// where the next flush takes them again.
    fn install(&mut self, flushed: Result<Flushed>) -> Result<()> {
        let Some(flushing) = self.flushing.take() else {
            return Ok(());
        };
        let _ = flushing.thread.join();
        match flushed {
            Ok(flushed) => {
                let change = SegmentChange {
                    hot: flushed.segment.into_iter().collect(),
                    ..SegmentChange::default()
                };
                self.segments = Arc::new(self.segments.apply(&change));
                self.flushed_marks = flushed.marks;
                if let Some(piece) = flushed.symbols {
                    self.symbols.adopt(piece);
                }
                self.flush_at_halves = HALVES_FULL;
                self.publish();
                if let Err(error) = self.wal.trim_before(flushed.manifest.wal_first) {
                    // Nothing is lost: the next flush and the next open trim again.
                    tracing::warn!(%error, "log files that are no longer needed were left");
                }
                self.upkeep.ring();
                Ok(())
            }
            Err(error) => {
                self.memtable.put_back(&flushing.chunks);
                self.recent.put_back(flushing.recent);
                self.has_new_numbers |= flushing.has_numbers;
                // Not again at once: each try writes a segment and takes a new file of the log.
                self.flush_at_halves = self.halves_in_memory() + 1;
                self.publish();
                Err(error)
            }
        }
    }

    pub fn flush_all(&mut self) -> Result<()> {
        self.wait_for_flush()?;
        self.freeze()?;
        self.wait_for_flush()
    }

    /// Flushes, seals the log and syncs.
    fn close(&mut self) -> Result<()> {
        let flushed = if self.wal.poisoned().is_some() {
            Ok(())
        } else {
            self.flush_all()
        };
        let sealed = if self.wal.poisoned().is_some() {
            Ok(())
        } else {
            self.wal.seal()
        };
        flushed.and(sealed)
    }
}

/// Says in the receipts of a group which seqs its events get, after `seq`.
fn give_seqs<'a>(seq: i64, receipts: impl Iterator<Item = &'a mut AppendReceipt>) {
    let mut end = seq;
    let mut with_duplicates = Vec::new();
    for receipt in receipts {
        let before = end;
        end += receipt.accepted as i64;
        receipt.seqs = (end > before).then_some((before + 1, end));
        receipt.last_seq = end;
        if receipt.duplicates > 0 {
            with_duplicates.push(receipt);
        }
    }
    // A duplicate's original may stand anywhere before the end of the group.
    for receipt in with_duplicates {
        receipt.last_seq = end;
    }
}

/// The error of a group, for each of its members.
fn same_for_all(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full(reason) => StoreError::Full(reason.clone()),
        StoreError::Poisoned(reason) => StoreError::Poisoned(reason.clone()),
        StoreError::Closed => StoreError::Closed,
        StoreError::Damaged {
            path,
            offset,
            reason,
        } => StoreError::Damaged {
            path: path.clone(),
            offset: *offset,
            reason: reason.clone(),
        },
        other => StoreError::Failed {
            kind: other.kind(),
            message: other.to_string(),
        },
    }
}

//! `import`: files into a store or a server, with a summary and the rejected rows.
//!
//! Reading and checking run on a thread of their own, ahead of the writer by a few batches. What an
//! import into a directory added can be taken back, also through a server; see `batch`.

mod batch;
mod report;

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use vitalog_event::{EventBatch, TimeUnit};
use vitalog_store::{AppendReceipt, Clock, Result as StoreResult, Store, SystemClock};

use self::batch::Recorder;
use self::report::ImportReport;
use super::local::{Missing, open_store};
use super::progress::bar;
use super::remote::RemoteEvents;
use super::source::{Source, SourceArgs};
use crate::config::Config;
use crate::import::{
    FieldMapping, ImportOptions, Memberships, SourceBatch, SourceFormat, SourcePath, open_source,
    parse_time_unit,
};

/// Batches read ahead of the writer.
const BATCHES_AHEAD: usize = 2;
/// Batches handed to the writer and not yet durable.
const BATCHES_IN_FLIGHT: usize = 4;

/// Which files, and how they are to be read.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Parquet, CSV or JSON Lines, plain, gzip or zstd; `-` for stdin.
    #[arg(required_unless_present_any = ["undo", "list"], value_name = "FILE")]
    files: Vec<SourcePath>,
    /// A column of the file and the field it fills, such as company=account_id; may be repeated.
    #[arg(long, value_name = "COLUMN=FIELD")]
    map: Vec<FieldMapping>,
    /// What the files hold, where their name and first bytes do not tell: parquet, csv or jsonl.
    #[arg(long)]
    format: Option<SourceFormat>,
    /// The unit of times that are numbers: s, ms, us or ns.
    #[arg(long, value_name = "UNIT", value_parser = parse_time_unit)]
    time_unit: Option<TimeUnit>,
    /// Leave out columns and fields that are neither known nor mapped.
    #[arg(long)]
    ignore_unknown: bool,
    /// Keep each rejected row with its reason, as JSON Lines.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Append to a server, such as grpc://127.0.0.1:50051, instead of the directory; with --undo or
    /// --list, ask it.
    #[arg(long)]
    url: Option<String>,
    /// The name under which this import can be taken back; one that is used again goes on with its
    /// batch. By default made of the time and the files.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["url", "undo", "list"])]
    batch: Option<String>,
    /// Take an import back: remove exactly the events that it added.
    #[arg(long, value_name = "BATCH", conflicts_with_all = ["files", "list"])]
    undo: Option<String>,
    /// List the imports into the directory, which can be taken back.
    #[arg(long, conflicts_with = "files")]
    list: bool,
}

/// Where events go.
pub(super) enum Target {
    Local(Arc<Store>, PathBuf),
    Remote(Box<RemoteEvents>),
}

impl Target {
    pub fn open(url: Option<&str>, data: &Path, config: &Config) -> anyhow::Result<Self> {
        match url {
            Some(url) => Ok(Self::Remote(Box::new(RemoteEvents::connect(url)?))),
            None => {
                let store = open_store(data, config, Missing::Create)?;
                Ok(Self::Local(store, data.to_owned()))
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(_, path) => path.display().fmt(formatter),
            Self::Remote(remote) => remote.fmt(formatter),
        }
    }
}

/// What was appended in all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Appended {
    pub accepted: u64,
    pub duplicates: u64,
}

/// Appends batches with a few in flight; receipts come back in order.
pub(super) struct Uploader {
    target: Target,
    in_flight: VecDeque<mpsc::Receiver<StoreResult<AppendReceipt>>>,
    appended: Appended,
    conflicts: Vec<(u64, vitalog_event::Rejection)>,
    batches_done: u64,
    recorder: Option<Recorder>,
}

impl Uploader {
    pub fn new(target: Target) -> Self {
        Self {
            target,
            in_flight: VecDeque::new(),
            appended: Appended::default(),
            conflicts: Vec::new(),
            batches_done: 0,
            recorder: None,
        }
    }

    /// Records what is appended from now on, where it goes into a directory, as a batch of `name`.
    fn record(&mut self, name: Option<&str>, files: &[SourcePath]) {
        if let Target::Local(store, _) = &self.target {
            self.recorder = Some(Recorder::new(Arc::clone(store), name, files));
        }
    }

    /// Hands a batch over; waits where too many are under way.
    pub fn push(&mut self, batch: EventBatch) -> anyhow::Result<()> {
        match &mut self.target {
            Target::Local(store, _) => {
                let receiver = store.append_later(batch)?;
                self.in_flight.push_back(receiver);
                if self.in_flight.len() >= BATCHES_IN_FLIGHT {
                    self.take_receipt()?;
                }
                Ok(())
            }
            Target::Remote(remote) => {
                let receipt = remote.append(&batch)?;
                self.note(receipt)
            }
        }
    }

    fn take_receipt(&mut self) -> anyhow::Result<()> {
        if let Some(receiver) = self.in_flight.pop_front() {
            let receipt = receiver.recv().context("the store was closed")??;
            self.note(receipt)?;
        }
        Ok(())
    }

    fn note(&mut self, receipt: AppendReceipt) -> anyhow::Result<()> {
        if let (Some(recorder), Some(seqs)) = (&mut self.recorder, receipt.seqs) {
            recorder.add(seqs)?;
        }
        self.appended.accepted += receipt.accepted as u64;
        self.appended.duplicates += receipt.duplicates as u64;
        let batch = self.batches_done;
        self.conflicts.extend(
            receipt
                .rejected
                .into_iter()
                .map(|rejection| (batch, rejection)),
        );
        self.batches_done += 1;
        Ok(())
    }

    /// Conflicts since the last call: the number of their batch, from 0, and what was said.
    fn take_conflicts(&mut self) -> Vec<(u64, vitalog_event::Rejection)> {
        std::mem::take(&mut self.conflicts)
    }

    /// Waits for everything to be durable.
    pub fn wait(&mut self) -> anyhow::Result<Appended> {
        while !self.in_flight.is_empty() {
            self.take_receipt()?;
        }
        Ok(self.appended)
    }

    /// Waits, and closes a local store, so that what was appended lies in segments.
    pub fn finish(mut self) -> anyhow::Result<Appended> {
        let appended = self.wait()?;
        if let Target::Local(store, _) = &self.target {
            store.close()?;
        }
        Ok(appended)
    }
}

pub(super) fn run(args: &ImportArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    if args.list || args.undo.is_some() {
        let source = SourceArgs::of(args.url.as_deref())?;
        let source = Source::open(&source, data, config, Missing::Refuse)?;
        return match &args.undo {
            Some(name) => batch::undo(name, source),
            None => batch::list(source),
        };
    }
    let begun = Instant::now();
    let target = Target::open(args.url.as_deref(), data, config)?;
    let mut report = ImportReport::new(args.rejects.as_deref())?;
    let mut uploader = Uploader::new(target);
    uploader.record(args.batch.as_deref(), &args.files);
    let mut memberships = Memberships::default();
    let mut failed = None;
    for file in &args.files {
        let outcome = import_file(file, args, &mut memberships, &mut uploader, &mut report);
        if let Err(error) = outcome {
            failed = Some(error);
            break;
        }
    }
    report.appended = uploader.wait()?;
    if let Some(recorder) = &mut uploader.recorder {
        report.batch = recorder.finish(failed.is_none())?;
    }
    uploader.finish()?;
    report.finish(begun)?;
    match failed {
        Some(error) => Err(error),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn import_file(
    file: &SourcePath,
    args: &ImportArgs,
    memberships: &mut Memberships,
    uploader: &mut Uploader,
    report: &mut ImportReport,
) -> anyhow::Result<()> {
    let options = ImportOptions {
        format: args.format,
        mappings: args.map.clone(),
        time_unit: args.time_unit,
        ignore_unknown: args.ignore_unknown,
        ..ImportOptions::default()
    };
    let mut source = open_source(file, &options, SystemClock.now_us())?;
    let bar = bar("importing", source.bytes_total(), true);
    let name = file.to_string();
    let first_batch = uploader.batches_done + uploader.in_flight.len() as u64;
    let mut rows = Vec::new();
    let read = std::thread::scope(|scope| {
        let (sender, batches) = mpsc::sync_channel::<(SourceBatch, u64)>(BATCHES_AHEAD);
        let reader = scope.spawn(move || -> Result<(), crate::import::ImportError> {
            while let Some(batch) = source.next_batch(memberships)? {
                if sender.send((batch, source.bytes_read())).is_err() {
                    break;
                }
            }
            Ok(())
        });
        for (batch, read) in batches {
            report.rows(&name, &batch, &bar)?;
            rows.push(batch.row_numbers());
            if !batch.events.is_empty() {
                uploader.push(batch.events)?;
            } else {
                rows.pop();
            }
            bar.set_position(read);
        }
        reader
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        anyhow::Ok(())
    });
    uploader.wait()?;
    bar.finish_and_clear();
    for (batch, conflict) in uploader.take_conflicts() {
        let row = rows[(batch - first_batch) as usize][conflict.index];
        report.conflict(&name, row, conflict)?;
    }
    // Last: what went in before a file broke off is reported all the same.
    read
}

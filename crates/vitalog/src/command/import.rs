//! `import`: files into a store or a server, with a summary and the rejected rows.
//!
//! Reading and checking run on a thread of their own, ahead of the writer by a few batches. What an
//! import into a directory added can be taken back; see `batch`.

mod batch;

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use vitalog_event::{EventBatch, TimeUnit};
use vitalog_store::{AppendReceipt, Clock, Result as StoreResult, Store, SystemClock};

use self::batch::Recorder;
use super::local::{Missing, open_store};
use super::progress::{bar, count};
use super::remote::RemoteEvents;
use super::table::write_facts;
use crate::config::Config;
use crate::import::{
    FieldMapping, ImportOptions, Memberships, RejectedRow, SourceBatch, SourceFormat, SourcePath,
    open_source, parse_time_unit,
};

/// Batches read ahead of the writer.
const BATCHES_AHEAD: usize = 2;
/// Batches handed to the writer and not yet durable.
const BATCHES_IN_FLIGHT: usize = 4;
/// Rejected rows shown on stderr; all of them go to --rejects.
const REJECTS_SHOWN: u64 = 10;
/// Share of rows without an account above which the summary warns.
const WITHOUT_ACCOUNT_WARN: f64 = 0.05;

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
    /// Append to a server, such as grpc://127.0.0.1:50051, instead of the directory.
    #[arg(long)]
    url: Option<String>,
    /// The name under which this import can be taken back; one that is used again goes on with its
    /// batch. By default made of the time and the files.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["url", "undo", "list"])]
    batch: Option<String>,
    /// Take an import back: remove exactly the events that it added.
    #[arg(long, value_name = "BATCH", conflicts_with_all = ["files", "url", "list"])]
    undo: Option<String>,
    /// List the imports that can be taken back.
    #[arg(long, conflicts_with_all = ["files", "url"])]
    list: bool,
}

/// Where events go.
pub(super) enum Target {
    Local(Arc<Store>, PathBuf),
    Remote(RemoteEvents),
}

impl Target {
    pub fn open(url: Option<&str>, data: &Path, config: &Config) -> anyhow::Result<Self> {
        match url {
            Some(url) => Ok(Self::Remote(RemoteEvents::connect(url)?)),
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
    if args.list {
        return batch::list(data, config);
    }
    if let Some(name) = &args.undo {
        return batch::undo(name, data, config);
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

/// What an import tells.
struct ImportReport {
    rejects: Option<BufWriter<File>>,
    rows: u64,
    rejected: u64,
    without_account: u64,
    appended: Appended,
    /// The name under which it can be taken back.
    batch: Option<String>,
}

impl ImportReport {
    fn new(rejects: Option<&Path>) -> anyhow::Result<Self> {
        let create = |path: &Path| {
            File::create(path).with_context(|| format!("cannot write {}", path.display()))
        };
        let rejects = rejects.map(create).transpose()?.map(BufWriter::new);
        let appended = Appended::default();
        Ok(Self {
            rejects,
            rows: 0,
            rejected: 0,
            without_account: 0,
            appended,
            batch: None,
        })
    }

    fn rows(&mut self, file: &str, batch: &SourceBatch, bar: &ProgressBar) -> anyhow::Result<()> {
        self.rows += batch.rows() as u64;
        self.without_account += batch.rows_without_account;
        for rejected in &batch.rejected {
            if self.rejected < REJECTS_SHOWN {
                bar.suspend(|| eprintln!("{file}: {rejected}"));
            }
            self.keep(file, rejected)?;
        }
        Ok(())
    }

    fn conflict(
        &mut self,
        file: &str,
        row: u64,
        conflict: vitalog_event::Rejection,
    ) -> anyhow::Result<()> {
        let rejected = RejectedRow {
            row,
            field: conflict.field.to_owned(),
            code: conflict.code,
            message: conflict.message,
            text: String::new(),
        };
        if self.rejected < REJECTS_SHOWN {
            eprintln!("{file}: {rejected}");
        }
        self.keep(file, &rejected)
    }

    fn keep(&mut self, file: &str, rejected: &RejectedRow) -> anyhow::Result<()> {
        self.rejected += 1;
        if let Some(out) = &mut self.rejects {
            let line = json!({
                "file": file,
                "row": rejected.row,
                "field": rejected.field,
                "code": rejected.code.as_str(),
                "message": rejected.message,
                "text": rejected.text,
            });
            writeln!(out, "{line}").context("cannot write the rejected rows")?;
        }
        Ok(())
    }

    fn finish(mut self, begun: Instant) -> anyhow::Result<()> {
        if let Some(out) = &mut self.rejects {
            out.flush().context("cannot write the rejected rows")?;
        }
        if self.rejected > REJECTS_SHOWN && self.rejects.is_none() {
            let more = count(self.rejected - REJECTS_SHOWN);
            eprintln!("… and {more} more rejected rows; --rejects FILE keeps them all");
        }
        let seconds = begun.elapsed().as_secs_f64();
        let facts = [
            ("rows read", count(self.rows)),
            ("accepted", count(self.appended.accepted)),
            ("duplicates", count(self.appended.duplicates)),
            ("rejected", count(self.rejected)),
            ("without an account", count(self.without_account)),
            ("rows a second", count((self.rows as f64 / seconds) as u64)),
        ];
        write_facts(&mut std::io::stdout().lock(), &facts)?;
        if let Some(batch) = &self.batch {
            println!("batch {batch}; `vitalog import --undo {batch}` takes it back");
        }
        if self.rows > 0 && self.without_account as f64 > self.rows as f64 * WITHOUT_ACCOUNT_WARN {
            let share = 100.0 * self.without_account as f64 / self.rows as f64;
            eprintln!(
                "warning: {share:.0} % of the rows name no account; --map COLUMN=account_id says \
                 which column holds it"
            );
        }
        if self.appended.accepted == 0 && self.appended.duplicates > 0 {
            println!("nothing new: every event was stored before");
        }
        Ok(())
    }
}

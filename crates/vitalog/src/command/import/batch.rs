//! Imports that can be taken back: what an import adds is recorded under a name while it runs.
//!
//! Recorded at its beginning, every few seconds, and at its end: what a killed import added after
//! the last record stays, and importing the same files again counts it as duplicates.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use chrono::DateTime;
use vitalog_event::format_timestamp_us;
use vitalog_store::{Clock, ImportBatch, Store, SystemClock};
use vitalog_wire::vitalog::v1 as wire;
use wire::upkeep_service_client::UpkeepServiceClient;
use xxhash_rust::xxh3::xxh3_64;

use super::super::instant::microseconds;
use super::super::progress::count;
use super::super::receipt::{Receipt, RemovalBar, received, write_receipt};
use super::super::source::Source;
use crate::import::SourcePath;
use crate::sql::{Backend, failure};

/// Time between two records of an import under way.
const RECORD_EVERY: Duration = Duration::from_secs(5);
/// Imports that a server is asked for at once.
const PAGE_SIZE: u32 = 1_000;

/// Records what one import adds.
#[derive(Debug)]
pub(super) struct Recorder {
    store: Arc<Store>,
    batch: ImportBatch,
    /// Events of the batch before this run.
    before: u64,
    next: Instant,
}

impl Recorder {
    /// A recorder for a batch of `name`, or of a name made of the time and the files. A batch that
    /// is there already, and was not taken back, goes on.
    pub fn new(store: Arc<Store>, name: Option<&str>, files: &[SourcePath]) -> Self {
        let files: Vec<String> = files.iter().map(ToString::to_string).collect();
        let now_us = SystemClock.now_us();
        let name = name.map_or_else(|| default_name(now_us, &files), str::to_owned);
        let known = store.imports().into_iter().find(|known| known.name == name);
        let mut batch = known
            .filter(|known| known.undone_at_us.is_none())
            .unwrap_or(ImportBatch {
                name,
                begun_at_us: now_us,
                ..ImportBatch::default()
            });
        for file in files {
            if !batch.files.contains(&file) {
                batch.files.push(file);
            }
        }
        batch.is_finished = false;
        Self {
            store,
            before: batch.events,
            batch,
            // The first events are recorded at once.
            next: Instant::now(),
        }
    }

    /// Adds the seqs of one append, and records what was added so far when it is time.
    pub fn add(&mut self, seqs: (i64, i64)) -> anyhow::Result<()> {
        self.batch.add(seqs);
        if Instant::now() >= self.next {
            self.store.record_import(&self.batch)?;
            self.next = Instant::now() + RECORD_EVERY;
        }
        Ok(())
    }

    /// Records everything. Returns the batch's name, where this run added something.
    pub fn finish(&mut self, is_finished: bool) -> anyhow::Result<Option<String>> {
        if self.batch.events == self.before {
            return Ok(None);
        }
        self.batch.is_finished = is_finished;
        self.store.record_import(&self.batch)?;
        Ok(Some(self.batch.name.clone()))
    }
}

/// import-20250301T120000Z-1a2b3c4d.
fn default_name(now_us: i64, files: &[String]) -> String {
    let time = DateTime::from_timestamp_micros(now_us).unwrap_or_default();
    let hash = xxh3_64(files.join("\0").as_bytes()) as u32;
    format!("import-{}-{hash:08x}", time.format("%Y%m%dT%H%M%SZ"))
}

/// An import on record, of a directory or a server alike.
struct Recorded {
    name: String,
    begun_us: i64,
    events: u64,
    is_finished: bool,
    undone_us: Option<i64>,
    files: Vec<String>,
}

impl From<ImportBatch> for Recorded {
    fn from(batch: ImportBatch) -> Self {
        Self {
            name: batch.name,
            begun_us: batch.begun_at_us,
            events: batch.events,
            is_finished: batch.is_finished,
            undone_us: batch.undone_at_us,
            files: batch.files,
        }
    }
}

impl From<wire::ImportBatch> for Recorded {
    fn from(batch: wire::ImportBatch) -> Self {
        let begun = batch.started_at;
        let undone = batch.undone_at;
        Self {
            name: batch.name,
            begun_us: begun.map_or(0, |time| microseconds(time.seconds, time.nanos)),
            events: batch.events,
            is_finished: batch.is_finished,
            undone_us: undone.map(|time| microseconds(time.seconds, time.nanos)),
            files: batch.files,
        }
    }
}

/// `import --list`.
pub(super) fn list(source: Source) -> anyhow::Result<ExitCode> {
    let imports = imports(&source);
    source.close()?;
    let imports = imports?;
    let mut out = std::io::stdout().lock();
    if imports.is_empty() {
        writeln!(out, "no import was recorded")?;
    }
    for batch in imports {
        let state = match batch.undone_us {
            Some(undone_us) => format!("taken back {}", format_timestamp_us(undone_us)),
            None if batch.is_finished => "finished".to_owned(),
            None => "broken off".to_owned(),
        };
        writeln!(
            out,
            "{}  begun {}  {} events  {state}  {}",
            batch.name,
            format_timestamp_us(batch.begun_us),
            count(batch.events),
            batch.files.join(" ")
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All imports on record, oldest first.
fn imports(source: &Source) -> anyhow::Result<Vec<Recorded>> {
    let Backend::Remote(remote) = source.backend() else {
        let imports = source.opened_store()?.imports().into_iter();
        return Ok(imports.map(Recorded::from).collect());
    };
    let mut client = UpkeepServiceClient::new(remote.line());
    let mut imports = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::UpkeepServiceListImportsRequest {
            page_size: PAGE_SIZE,
            page_token,
        };
        let answer = source.wait(client.list_imports(request));
        let page = answer.map_err(failure)?.into_inner();
        imports.extend(page.imports.into_iter().map(Recorded::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(imports);
        }
    }
}

/// `import --undo`.
pub(super) fn undo(name: &str, source: Source) -> anyhow::Result<ExitCode> {
    let undone = take_back(name, &source);
    source.close()?;
    write_receipt(&mut std::io::stdout().lock(), &undone?)?;
    Ok(ExitCode::SUCCESS)
}

fn take_back(name: &str, source: &Source) -> anyhow::Result<Receipt> {
    if !imports(source)?.iter().any(|batch| batch.name == name) {
        bail!("there is no import {name:?}; `vitalog import --list` lists those there are");
    }
    if let Backend::Remote(remote) = source.backend() {
        let batch = name.to_owned();
        let mut client = UpkeepServiceClient::new(remote.line());
        let request = wire::UpkeepServiceUndoImportRequest { batch };
        let answer = source.wait(client.undo_import(request));
        return received("UndoImport", answer.map_err(failure)?.into_inner().receipt);
    }
    let bar = RemovalBar::new("taking back");
    let undone = source.opened_store()?.undo_import(name, bar.progress());
    bar.finish();
    Ok(undone?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_the_time_and_the_files() {
        let files =
            |names: &[&str]| -> Vec<String> { names.iter().map(|&n| n.to_owned()).collect() };
        let name = default_name(1_740_830_400_000_000, &files(&["a.csv", "b.csv"]));
        assert!(name.starts_with("import-20250301T120000Z-"), "{name}");
        assert_eq!(name.len(), "import-20250301T120000Z-".len() + 8);
        assert_ne!(
            name,
            default_name(1_740_830_400_000_000, &files(&["a.csvb.csv"]))
        );
    }
}

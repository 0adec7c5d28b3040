//! What an import tells: counts, and the rows that were rejected.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use indicatif::ProgressBar;
use serde_json::json;

use super::super::progress::count;
use super::super::table::write_facts;
use super::Appended;
use crate::import::{RejectedRow, SourceBatch};

/// Rejected rows shown on stderr; all of them go to --rejects.
const REJECTS_SHOWN: u64 = 10;
/// Share of rows without an account above which the summary warns.
const WITHOUT_ACCOUNT_WARN: f64 = 0.05;

/// What an import tells.
pub(super) struct ImportReport {
    rejects: Option<BufWriter<File>>,
    rows: u64,
    rejected: u64,
    without_account: u64,
    pub appended: Appended,
    /// The name under which it can be taken back.
    pub batch: Option<String>,
}

impl ImportReport {
    pub fn new(rejects: Option<&Path>) -> anyhow::Result<Self> {
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

    pub fn rows(
        &mut self,
        file: &str,
        batch: &SourceBatch,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
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

    pub fn conflict(
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

    pub fn finish(mut self, begun: Instant) -> anyhow::Result<()> {
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

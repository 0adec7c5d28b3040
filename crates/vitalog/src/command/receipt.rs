//! Receipts of removals as a person reads them, the progress of a removal, and the question before
//! one.

use std::io::{IsTerminal, Write};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use vitalog_event::{DAY_US, format_timestamp_us};
use vitalog_store::{Progress, RemovalKind, RemovalReceipt};
use vitalog_wire::vitalog::v1 as wire;

use super::instant::microseconds;
use super::progress::{bar, bytes, count};
use super::table::write_facts;

/// Kinds of removals, for a person.
const ERASURE: &str = "erasure";
const RETENTION: &str = "retention";
const UNDONE_IMPORT: &str = "import taken back";

/// A bar that goes with a removal.
pub(super) struct RemovalBar(ProgressBar);

impl RemovalBar {
    pub fn new(what: &'static str) -> Self {
        Self(bar(what, Some(0), false))
    }

    /// What the removal tells.
    pub fn progress(&self) -> Progress {
        let bar = self.0.clone();
        Box::new(move |progress| {
            bar.set_length(progress.files_total as u64);
            bar.set_position(progress.files_done as u64);
            bar.set_message(progress.step);
        })
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Asks to type `word` again, on a terminal; elsewhere `--yes` is needed.
pub(super) fn confirm(question: &str, word: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!("this cannot be taken back; give --yes to go on without being asked");
    }
    eprint!("{question}\nThis cannot be taken back. Type {word} to go on: ");
    std::io::stderr().flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim_end_matches(['\r', '\n']) != word {
        bail!("that is not {word}: nothing was changed");
    }
    Ok(())
}

/// A receipt, from a directory or a server alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub number: u64,
    pub kind: &'static str,
    pub is_erasure: bool,
    pub begun_us: i64,
    pub finished_us: i64,
    pub seq: u64,
    pub rows_hot: u64,
    pub rows_cold: u64,
    pub files_rewritten: u64,
    pub files_removed: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// Where days were dropped.
    pub first_day_kept: Option<String>,
    pub snapshots_revoked: u64,
    pub quarantined: Vec<String>,
    /// Whether it is that of an earlier removal.
    pub is_repeated: bool,
}

impl From<RemovalReceipt> for Receipt {
    fn from(receipt: RemovalReceipt) -> Self {
        Self {
            number: receipt.number,
            kind: match receipt.kind {
                RemovalKind::Account | RemovalKind::User => ERASURE,
                RemovalKind::Import => UNDONE_IMPORT,
                RemovalKind::Retention => RETENTION,
            },
            is_erasure: matches!(receipt.kind, RemovalKind::Account | RemovalKind::User),
            begun_us: receipt.begun_at_us,
            finished_us: receipt.finished_at_us,
            seq: receipt.seq_max.unsigned_abs(),
            rows_hot: receipt.rows.hot,
            rows_cold: receipt.rows.cold,
            files_rewritten: receipt.files_rewritten,
            files_removed: receipt.files_removed,
            bytes_before: receipt.bytes_before,
            bytes_after: receipt.bytes_after,
            first_day_kept: receipt.before_day.map(day_text),
            snapshots_revoked: receipt.snapshots_revoked.len() as u64,
            quarantined: receipt.quarantined,
            is_repeated: receipt.repeated,
        }
    }
}

impl From<wire::RemovalReceipt> for Receipt {
    fn from(receipt: wire::RemovalReceipt) -> Self {
        Self {
            number: receipt.number,
            kind: match receipt.kind() {
                wire::RemovalKind::Erasure => ERASURE,
                wire::RemovalKind::UndoImport => UNDONE_IMPORT,
                wire::RemovalKind::Retention => RETENTION,
                // One of a server that is newer than this program.
                wire::RemovalKind::Unspecified => "other",
            },
            is_erasure: receipt.kind() == wire::RemovalKind::Erasure,
            begun_us: receipt
                .started_at
                .map_or(0, |time| microseconds(time.seconds, time.nanos)),
            finished_us: receipt
                .finished_at
                .map_or(0, |time| microseconds(time.seconds, time.nanos)),
            seq: receipt.seq,
            rows_hot: receipt.rows.saturating_sub(receipt.rows_cold),
            rows_cold: receipt.rows_cold,
            files_rewritten: receipt.files_rewritten,
            files_removed: receipt.files_removed,
            bytes_before: receipt.bytes_removed,
            bytes_after: receipt.bytes_written,
            first_day_kept: Some(receipt.first_day_kept).filter(|day| !day.is_empty()),
            snapshots_revoked: receipt.snapshots_revoked.len() as u64,
            quarantined: receipt.quarantined_files,
            is_repeated: receipt.is_repeated,
        }
    }
}

/// The receipt in the server's answer to `call`.
///
/// # Errors
/// There is none.
pub(super) fn received(
    call: &str,
    receipt: Option<wire::RemovalReceipt>,
) -> anyhow::Result<Receipt> {
    let receipt = receipt.with_context(|| format!("the server's answer to {call} is empty"))?;
    Ok(receipt.into())
}

/// Writes a receipt as facts.
pub(super) fn write_receipt(out: &mut impl Write, receipt: &Receipt) -> anyhow::Result<()> {
    if receipt.is_repeated {
        writeln!(out, "nothing was left to remove; the receipt of then:")?;
    }
    let mut facts = vec![
        ("receipt", receipt.number.to_string()),
        ("kind", receipt.kind.to_owned()),
        ("begun", format_timestamp_us(receipt.begun_us)),
        ("finished", format_timestamp_us(receipt.finished_us)),
        ("last seq before", count(receipt.seq)),
        (
            "events removed",
            count(receipt.rows_hot + receipt.rows_cold),
        ),
        ("  of hot files", count(receipt.rows_hot)),
        ("  of cold files", count(receipt.rows_cold)),
        ("files rewritten", count(receipt.files_rewritten)),
        ("files removed", count(receipt.files_removed)),
        ("bytes before", bytes(receipt.bytes_before)),
        ("bytes after", bytes(receipt.bytes_after)),
    ];
    if let Some(day) = &receipt.first_day_kept {
        facts.push(("first day kept", day.clone()));
    }
    if receipt.is_erasure {
        facts.push(("snapshots revoked", count(receipt.snapshots_revoked)));
    }
    write_facts(out, &facts)?;
    for name in &receipt.quarantined {
        writeln!(
            out,
            "warning: {name} was set aside after damage and may hold the id; look at it and remove it"
        )?;
    }
    Ok(())
}

/// A day as YYYY-MM-DD.
pub(super) fn day_text(day: i32) -> String {
    format_timestamp_us(i64::from(day) * DAY_US)[..10].to_owned()
}

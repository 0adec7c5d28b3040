//! Receipts of removals as a person reads them, the progress of a removal, and the question before
//! one.

use std::io::{IsTerminal, Write};

use anyhow::bail;
use indicatif::ProgressBar;
use vitalog_event::{DAY_US, format_timestamp_us};
use vitalog_store::{Progress, RemovalKind, RemovalReceipt};

use super::progress::{bar, bytes, count};
use super::table::write_facts;

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

/// Writes a receipt as facts.
pub(super) fn write_receipt(out: &mut impl Write, receipt: &RemovalReceipt) -> anyhow::Result<()> {
    if receipt.repeated {
        writeln!(out, "nothing was left to remove; the receipt of then:")?;
    }
    let mut facts = vec![
        ("receipt", receipt.number.to_string()),
        ("kind", receipt.kind.as_str().to_owned()),
        ("begun", format_timestamp_us(receipt.begun_at_us)),
        ("finished", format_timestamp_us(receipt.finished_at_us)),
        ("last seq before", count(receipt.seq_max as u64)),
        (
            "events removed",
            count(receipt.rows.hot + receipt.rows.cold),
        ),
        ("  of hot files", count(receipt.rows.hot)),
        ("  of cold files", count(receipt.rows.cold)),
        ("files rewritten", count(receipt.files_rewritten)),
        ("files removed", count(receipt.files_removed)),
        ("bytes before", bytes(receipt.bytes_before)),
        ("bytes after", bytes(receipt.bytes_after)),
    ];
    if let Some(day) = receipt.before_day {
        facts.push(("first day kept", day_text(day)));
    }
    if matches!(receipt.kind, RemovalKind::Account | RemovalKind::User) {
        facts.push((
            "snapshots revoked",
            count(receipt.snapshots_revoked.len() as u64),
        ));
    }
    write_facts(out, &facts)?;
    for name in &receipt.quarantined {
        writeln!(
            out,
            "warning: {name} was set aside after damage and holds the id; look at it and remove it"
        )?;
    }
    Ok(())
}

/// A day as YYYY-MM-DD.
pub(super) fn day_text(day: i32) -> String {
    format_timestamp_us(i64::from(day) * DAY_US)[..10].to_owned()
}

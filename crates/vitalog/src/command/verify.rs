//! `verify`: reads every byte that has a checksum and names what is wrong.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use vitalog_store::verify_directory;

use super::local::{Missing, open_directory};
use super::progress::{bar, bytes, count};

pub(super) fn run(data: &Path) -> anyhow::Result<ExitCode> {
    let directory = open_directory(data, Missing::Refuse)?;
    let bar = bar("verifying", None, true);
    let report = verify_directory(&directory, |file| {
        bar.inc(directory.len(file).unwrap_or(0));
        bar.set_message(file.to_owned());
    })?;
    bar.finish_and_clear();
    let mut out = std::io::stdout().lock();
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    for damage in &report.damages {
        writeln!(out, "damaged: {}", damage.error)?;
    }
    let read = format!(
        "{} files, {}",
        count(report.files as u64),
        bytes(report.bytes)
    );
    if report.damages.is_empty() {
        writeln!(out, "verified {read}: no damage")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "verified {read}: {} places are damaged",
        count(report.damages.len() as u64)
    )?;
    Ok(ExitCode::from(1))
}

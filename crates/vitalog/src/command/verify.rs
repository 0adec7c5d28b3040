//! `verify`: reads every byte that has a checksum and names what is wrong; with `--erased` searches
//! every byte of every file for an id.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use vitalog_disk::LOCK_NAME;
use vitalog_store::{Found, FoundAs, IdKind, SearchReport, search_files, verify_directory};

use super::local::{Missing, open_directory};
use super::progress::{bar, bytes, count};

/// Places shown of each kind; the rest are counted.
const PLACES_SHOWN: usize = 20;

/// What is verified.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Search every byte of every file for this id instead, and fail where an event still has it.
    #[arg(long, value_name = "ID")]
    erased: Option<String>,
    /// Which identity the id is.
    #[arg(long, value_enum, default_value_t = Kind::Any, requires = "erased")]
    kind: Kind,
}

/// The names of [`IdKind`].
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Account,
    User,
    Any,
}

pub(super) fn run(args: &VerifyArgs, data: &Path) -> anyhow::Result<ExitCode> {
    match &args.erased {
        Some(id) => verify_erased(id, args.kind, data),
        None => verify_checksums(data),
    }
}

fn verify_checksums(data: &Path) -> anyhow::Result<ExitCode> {
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

fn verify_erased(id: &str, kind: Kind, data: &Path) -> anyhow::Result<ExitCode> {
    if id.is_empty() {
        anyhow::bail!("--erased: ids are not empty");
    }
    let directory = open_directory(data, Missing::Refuse)?;
    let mut files = Vec::new();
    list_files(data, "", &mut files)?;
    let kind = match kind {
        Kind::Account => IdKind::Account,
        Kind::User => IdKind::User,
        Kind::Any => IdKind::Any,
    };
    let bar = bar("searching", None, true);
    let searched = search_files(&directory, &files, id, kind, |file| {
        bar.inc(directory.len(file).unwrap_or(0));
        bar.set_message(file.to_owned());
    });
    bar.finish_and_clear();
    write_search(&mut std::io::stdout().lock(), &searched?)
}

fn write_search(out: &mut impl Write, report: &SearchReport) -> anyhow::Result<ExitCode> {
    for (found_as, words) in [
        (FoundAs::Identity, "the identity of events"),
        (
            FoundAs::Elsewhere,
            "where it must not be, or where that cannot be told",
        ),
        (FoundAs::Mention, "mentioned by other events or definitions"),
        (
            FoundAs::OtherId,
            "a part of other ids, or an id of the other kind",
        ),
        (FoundAs::Chance, "by chance among numbers and ends of texts"),
    ] {
        let is_it = |found: &&Found| found.found_as == found_as;
        let files: Vec<&Found> = report.found.iter().filter(is_it).collect();
        if files.is_empty() {
            continue;
        }
        writeln!(out, "{words}: {}", count(report.count(found_as)))?;
        for found in files.iter().take(PLACES_SHOWN) {
            writeln!(out, "  {} ({})", found.file, count(found.count))?;
        }
        if files.len() > PLACES_SHOWN {
            writeln!(out, "  … and {} more files", files.len() - PLACES_SHOWN)?;
        }
    }
    for receipt in &report.receipts {
        writeln!(
            out,
            "receipt {}: erased as {} at {}, up to seq {}",
            receipt.number,
            receipt.kind.as_str(),
            vitalog_event::format_timestamp_us(receipt.finished_at_us),
            receipt.seq_max
        )?;
    }
    if report.receipts.is_empty() {
        writeln!(out, "no receipt says that this id was erased")?;
    }
    if report.pending > 0 {
        writeln!(
            out,
            "its erasure has begun and is not done; opening the store finishes it"
        )?;
    }
    let searched = format!(
        "searched every byte of {} files, {}",
        count(report.files as u64),
        bytes(report.bytes)
    );
    if report.is_clean() {
        writeln!(out, "{searched}: no event has this id")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{searched}: the id is still there")?;
    if !report.receipts.is_empty() && report.count(FoundAs::Identity) > 0 {
        writeln!(
            out,
            "events that came after an erasure are new data; erase again"
        )?;
    }
    Ok(ExitCode::from(1))
}

/// Every file below `root` but the lock, by its name below it, in byte order.
fn list_files(root: &Path, folder: &str, files: &mut Vec<String>) -> anyhow::Result<()> {
    let mut entries = std::fs::read_dir(root.join(folder))?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            anyhow::bail!(
                "{}: the name of a file is not UTF-8",
                entry.path().display()
            );
        };
        let name = if folder.is_empty() {
            name.to_owned()
        } else {
            format!("{folder}/{name}")
        };
        if entry.file_type()?.is_dir() {
            list_files(root, &name, files)?;
        } else if name != LOCK_NAME {
            files.push(name);
        }
    }
    Ok(())
}

//! Repair of a closed store: what is damaged is set aside, what can be rebuilt is, and what is
//! gone is said, so that the store opens again.
//!
//! Nothing is deleted: damaged files and bytes go to `quarantine/`. Every step leaves a directory
//! that another repair can go on from; a newer version of the format, or a disk that fails, stops
//! it before anything is moved.

mod codes;
mod files;
mod lineage;
mod log;
mod rebuild;
mod seqs;
mod symbols;

use std::collections::BTreeSet;
use std::sync::Arc;

use vitalog_disk::Directory;

use crate::error::{Result, StoreError};
use crate::ledger::Ledger;
use crate::manifest::Manifest;
use crate::quarantine;
use crate::segment::SegmentEntry;

/// What repair found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// One for each file that was not as it should be; empty when all was well.
    pub findings: Vec<Finding>,
    /// What else was done, and what cannot be known.
    pub notes: Vec<String>,
    /// The last `seq` of the store as it is now.
    pub seq: i64,
}

/// A file that was not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, below the directory.
    pub file: String,
    /// What was wrong.
    pub problem: String,
    /// Where it, or the damaged part of it, is kept now; `None` where it was missing.
    pub kept_in: Option<String>,
    /// What the store does not have any more; `None` where nothing is known to be lost.
    pub lost: Option<Loss>,
}

/// Events that are gone from the store, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// How many events.
    pub rows: u64,
    /// The UTC days of their `event_time`, days since 1970-01-01.
    pub days: BTreeSet<i32>,
    /// Lowest and highest `seq`; others between them may be elsewhere.
    pub seqs: Option<(i64, i64)>,
}

impl Loss {
    fn add(&mut self, rows: u64, days: impl IntoIterator<Item = i32>, seqs: (i64, i64)) {
        self.rows += rows;
        self.days.extend(days);
        let known = self.seqs.unwrap_or(seqs);
        self.seqs = Some((known.0.min(seqs.0), known.1.max(seqs.1)));
    }

    fn of_segment(entry: &SegmentEntry) -> Self {
        let mut loss = Self::default();
        for section in &entry.sections {
            let seqs = (section.seq_min, section.seq_max);
            loss.add(section.rows as u64, [section.day], seqs);
        }
        loss
    }
}

/// The manifests of a directory.
#[derive(Debug, Default)]
struct Manifests {
    /// Ascending.
    readable: Vec<Manifest>,
    damaged: Vec<(u64, StoreError)>,
}

impl Manifests {
    fn read(directory: &dyn Directory) -> Result<Self> {
        let mut manifests = Self::default();
        for number in Manifest::numbers(directory)? {
            match Manifest::read(directory, number) {
                Ok(manifest) => manifests.readable.push(manifest),
                Err(error) if error.is_damage() => manifests.damaged.push((number, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(manifests)
    }

    /// The newest that can be read, or that of an empty store.
    fn base(&self) -> Manifest {
        self.readable.last().cloned().unwrap_or_default()
    }

    fn is_newest_damaged(&self) -> bool {
        let newest = self.readable.last().map_or(0, |manifest| manifest.number);
        self.damaged.iter().any(|(number, _)| *number > newest)
    }

    /// What any manifest says of a segment.
    fn segment(&self, name: &str) -> Option<&SegmentEntry> {
        let mut entries = self.readable.iter().rev().flat_map(|one| &one.segments);
        entries.find(|entry| entry.name == name)
    }
}

/// The files of a store after each was looked at.
#[derive(Debug, Default)]
struct Checked {
    /// Names only what is whole; its symbol files are candidates where some are missing.
    manifest: Manifest,
    damaged: Vec<Damaged>,
    /// Whether symbol files are missing or have to be chosen.
    lacks_symbols: bool,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Damaged {
    file: String,
    problem: String,
    lost: Option<Loss>,
}

/// Repairs the store in `directory`, which nobody has open; `progress` is told each file as it is
/// begun. On return the store opens and verifies. Running it again changes nothing more; one that
/// was killed is completed by the next.
///
/// Cost: reads every file that the store names; every file there is, where the newest manifest is
/// damaged or missing.
///
/// # Errors
/// A newer version of a format; a full or failing disk.
pub fn repair_directory(
    directory: &Arc<dyn Directory>,
    mut progress: impl FnMut(&str),
) -> Result<RepairReport> {
    let disk = directory.as_ref();
    let manifests = Manifests::read(disk)?;
    let base = manifests.base();
    let reach = log::reach(disk, &base)?;
    let is_rebuilt = manifests.is_newest_damaged() || rebuild::is_behind(directory, &base, &reach)?;
    let checked = if is_rebuilt {
        rebuild::rebuild(directory, &manifests, &mut progress)?
    } else {
        files::check(directory, &base, &mut progress)?
    };
    let ledger = Arc::new(Ledger::new(Arc::clone(directory), base.clone())?);
    let mut report = RepairReport::default();
    for damaged in checked.damaged {
        report.findings.push(Finding {
            kept_in: quarantine::move_file(disk, &damaged.file)?,
            file: damaged.file,
            problem: damaged.problem,
            lost: damaged.lost,
        });
    }
    report.notes = checked.notes;
    let mut manifest = checked.manifest;
    let completed = match checked.lacks_symbols {
        true => Some(symbols::complete(directory, &manifest)?),
        false => None,
    };
    // Before the symbols are written: files with codes that were given anew must not be found
    // beside a log that still has the old ones.
    report.seq = log::repair(disk, &manifest, completed.as_ref(), &mut report)?;
    if let Some(completed) = completed {
        completed.write(disk, &ledger, &mut manifest, &mut report)?;
    }
    if is_rebuilt || manifest != base {
        let manifest = ledger.commit(|in_force| {
            let number = in_force.number;
            *in_force = Manifest { number, ..manifest };
        })?;
        let name = Manifest::file_name(manifest.number);
        report.notes.push(format!("{name} is in force now"));
    }
    // Last: until then the damage says that the manifest has to be rebuilt.
    for (number, error) in manifests.damaged {
        let file = Manifest::file_name(number);
        report.findings.push(Finding {
            kept_in: quarantine::move_file(disk, &file)?,
            file,
            problem: error.to_string(),
            lost: None,
        });
    }
    Ok(report)
}

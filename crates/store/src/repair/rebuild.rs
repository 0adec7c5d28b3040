//! A manifest out of the files alone, where the newest one is damaged or gone.
//!
//! Segments say everything a manifest says of them, and whose rows they took over; symbol and
//! definition files say what they cover. An older manifest that can be read lends what no file
//! says: the store's id, and whatever else is no file. What cannot be known is which seqs were
//! removed on purpose: those that no file holds are named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vitalog_disk::{Directory, crc32c};

use super::files::{cold_file, damage_of};
use super::lineage::{Candidate, Choice, choose};
use super::log::{self, Reach};
use super::seqs::SeqSet;
use super::{Checked, Loss, Manifests};
use crate::cold::{ColdEntry, ColdSection};
use crate::definitions::{self, Definition, DefinitionEntry};
use crate::error::{Result, StoreError};
use crate::ledger::{COLD_FOLDER, SEGMENT_FOLDER, SYMBOL_FOLDER};
use crate::manifest::{Manifest, SymbolEntry};
use crate::segment::{FileSection, Inspected, Segment, SegmentEntry, number_in};
use crate::symbols::read_file;
use crate::writer_states;

/// Ranges of missing seqs that are named; more are counted.
const HOLES_NAMED: usize = 8;

/// Whether files hold what neither `base` nor the log behind it knows: then a newer manifest was
/// there and is gone. A flush that was cut short leaves files too, but the log still has their
/// rows.
pub(super) fn is_behind(
    directory: &Arc<dyn Directory>,
    base: &Manifest,
    reach: &Reach,
) -> Result<bool> {
    let disk = directory.as_ref();
    let named = base.files();
    let is_newer = |name: &String| {
        !named.contains(name) && number_in(name).is_some_and(|number| number > base.number)
    };
    for name in files_in(disk, SEGMENT_FOLDER)?
        .iter()
        .filter(|name| is_newer(name))
    {
        let inspected = Segment::inspect(directory, name);
        let seq = inspected.as_ref().map(|one| one.seqs().1);
        let seq = seq.unwrap_or_default();
        damage_of(inspected)?;
        if seq > reach.seq {
            return Ok(true);
        }
    }
    for name in files_in(disk, definitions::FOLDER)?
        .iter()
        .filter(|name| is_newer(name))
    {
        let read = definition_file(disk, name);
        let last = read.as_ref().ok().and_then(|(_, all)| all.last());
        let is_unknown = last.is_some_and(|last| last.received_at_us > reach.received_us);
        damage_of(read)?;
        if is_unknown {
            return Ok(true);
        }
    }
    for name in files_in(disk, writer_states::FOLDER)?
        .iter()
        .filter(|name| is_newer(name))
    {
        let read = writer_states::inspect_file(disk, name);
        let states = read.as_ref().map_or(&[][..], |(_, states)| states);
        let mut times = states.iter().map(|(_, state)| state.last_time_us);
        let is_unknown = times.any(|time_us| time_us > reach.received_us);
        damage_of(read)?;
        if is_unknown {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The manifest that the files of the directory make.
pub(super) fn rebuild(
    directory: &Arc<dyn Directory>,
    manifests: &Manifests,
    progress: &mut dyn FnMut(&str),
) -> Result<Checked> {
    let disk = directory.as_ref();
    let mut checked = Checked {
        manifest: manifests.base().without_files(),
        lacks_symbols: true,
        ..Checked::default()
    };
    checked
        .notes
        .push("the manifest was rebuilt from the files".to_owned());
    for pending in &mut checked.manifest.pending {
        // A file that it was done with may be taken from before.
        pending.purge_below = None;
    }
    let mut found = BTreeMap::new();
    for name in files_in(disk, COLD_FOLDER)? {
        if let Some(parquet) = name.strip_suffix(".side") {
            progress(&format!("{parquet}.parquet"));
            find_cold(directory, &name, &mut found, &mut checked)?;
        }
    }
    for name in files_in(disk, SEGMENT_FOLDER)? {
        progress(&name);
        let known = manifests.segment(&name);
        // Bytes that no reader needs have no checksum but the one of the whole file.
        let inspected = Segment::inspect(directory, &name).and_then(|one| match known {
            Some(known) if *known != one.entry => {
                let path = disk.path().join(&name);
                let reason = "not as an older manifest says";
                Err(StoreError::damaged(path, 0, reason))
            }
            _ => Ok(one),
        });
        match inspected {
            Ok(inspected) => {
                if let Some(number) = number_in(&name) {
                    found.insert(number, Found::Hot(inspected));
                }
            }
            outcome => {
                let problem = damage_of(outcome)?.unwrap_or_default();
                let lost = known.map(Loss::of_segment);
                checked.set_aside(&name, problem, lost);
            }
        }
    }
    let seqs = take_files(found, &mut checked)?;
    take_definitions(disk, manifests, &mut checked, progress)?;
    take_writers(disk, &mut checked, progress)?;
    for name in files_in(disk, SYMBOL_FOLDER)? {
        progress(&name);
        match read_file(disk, &name) {
            Ok(piece) => checked.manifest.symbols.push(SymbolEntry {
                bytes: disk.len(&name)?,
                name,
                from: piece.from(),
            }),
            outcome => {
                let problem = damage_of(outcome)?.unwrap_or_default();
                checked.set_aside(&name, problem, None);
            }
        }
    }
    log::follow(disk, &mut checked.manifest)?;
    note_holes(&seqs, &mut checked);
    Ok(checked)
}

/// A file of events that was found whole.
enum Found {
    Hot(Inspected),
    Cold(ColdEntry, Vec<i64>),
}

impl Found {
    fn candidate(&self, number: u64) -> Candidate {
        match self {
            Self::Hot(one) => Candidate {
                number,
                rows: one.entry.rows() as u64,
                seqs: one.seqs(),
                origin: one.origin.clone(),
            },
            Self::Cold(entry, _) => Candidate {
                number,
                rows: entry.statistics.rows as u64,
                seqs: (entry.statistics.seq_min, entry.statistics.seq_max),
                origin: entry.origin.clone(),
            },
        }
    }

    fn add_to(&self, seqs: &mut SeqSet) -> Result<bool> {
        match self {
            Self::Hot(one) => one.add_to(seqs),
            Self::Cold(_, own) => Ok(seqs.add_all(&[own])),
        }
    }

    /// Sets it aside, with nothing lost: its events stand elsewhere.
    fn set_aside(&self, checked: &mut Checked, problem: String) {
        match self {
            Self::Hot(one) => checked.set_aside(&one.entry.name, problem, None),
            Self::Cold(entry, _) => {
                checked.set_aside(&entry.parquet(), problem.clone(), None);
                checked.set_aside(&entry.sidecar(), problem, None);
            }
        }
    }
}

/// Reads the cold file of sidecar `name`.
fn find_cold(
    directory: &Arc<dyn Directory>,
    name: &str,
    found: &mut BTreeMap<u64, Found>,
    checked: &mut Checked,
) -> Result<()> {
    let read = ColdEntry::inspect(directory.as_ref(), name).and_then(|entry| {
        let file = cold_file(directory, &entry);
        file.verify().into_iter().next().map_or(Ok(()), Err)?;
        let seqs = ColdSection::new(file).seqs()?.values().to_vec();
        Ok((entry, seqs))
    });
    match read {
        Ok((entry, seqs)) => {
            if let Some(number) = entry.number() {
                found.insert(number, Found::Cold(entry, seqs));
            }
        }
        outcome => {
            let problem = damage_of(outcome)?.unwrap_or_default();
            let parquet = name.replace(".side", ".parquet");
            checked.set_aside(&parquet, problem.clone(), None);
            checked.set_aside(name, problem, None);
        }
    }
    Ok(())
}

/// Names the files of events that count, of either tier.
fn take_files(mut found: BTreeMap<u64, Found>, checked: &mut Checked) -> Result<SeqSet> {
    let candidates: Vec<Candidate> = found
        .iter()
        .map(|(&number, one)| one.candidate(number))
        .collect();
    let Choice { replaced, broken } = choose(&candidates);
    found.retain(|number, _| !replaced.contains(number));
    let mut seqs = SeqSet::default();
    // The newest first: where two files hold one seq although neither says that it replaces the
    // other, the newer one counts.
    for (number, one) in found.into_iter().rev() {
        let problem = match broken.get(&number) {
            Some(reason) => Some(reason.clone()),
            None if !one.add_to(&mut seqs)? => {
                Some("newer files hold some of its events".to_owned())
            }
            None => None,
        };
        match (problem, one) {
            (Some(problem), one) => one.set_aside(checked, problem),
            (None, Found::Hot(one)) => checked.manifest.segments.push(one.entry),
            (None, Found::Cold(entry, _)) => checked.manifest.cold.push(entry),
        }
    }
    let manifest = &mut checked.manifest;
    manifest.segments.sort_by_key(SegmentEntry::seq_min);
    let order = |entry: &ColdEntry| (entry.statistics.day, entry.statistics.seq_min);
    manifest.cold.sort_by_key(order);
    let hot = manifest.segments.iter().flat_map(|entry| &entry.sections);
    let sections = hot.chain(manifest.cold.iter().map(|entry| &entry.statistics));
    manifest.seq = sections.map(|section| section.seq_max).max().unwrap_or(0);
    let hot = manifest.segments.iter().map(|entry| entry.received_max_us);
    let received = hot.chain(manifest.cold.iter().map(|entry| entry.received_max_us));
    manifest.received_us = received.max().unwrap_or(0);
    Ok(seqs)
}

impl Inspected {
    /// Lowest and highest seq.
    fn seqs(&self) -> (i64, i64) {
        let last = self.entry.sections.iter().map(|section| section.seq_max);
        (self.entry.seq_min(), last.max().unwrap_or(0))
    }

    /// Adds its seqs, unless the set has one of them.
    fn add_to(&self, seqs: &mut SeqSet) -> Result<bool> {
        let sections: Vec<FileSection> = (0..self.entry.sections.len())
            .map(|section| FileSection::new(Arc::clone(&self.segment), section))
            .collect();
        let columns = sections
            .iter()
            .map(|section| Ok(&section.seqs()?.values()[..]))
            .collect::<Result<Vec<&[i64]>>>()?;
        Ok(seqs.add_all(&columns))
    }
}

/// Names the definition files that count: a newer file may have taken older ones in.
fn take_definitions(
    disk: &dyn Directory,
    manifests: &Manifests,
    checked: &mut Checked,
    progress: &mut dyn FnMut(&str),
) -> Result<()> {
    let mut known: BTreeSet<(String, String, u32)> = BTreeSet::new();
    let named = |name: &String| {
        let mut entries = manifests
            .readable
            .iter()
            .rev()
            .flat_map(|one| &one.definitions);
        entries.find(|entry| entry.name == *name)
    };
    for name in files_in(disk, definitions::FOLDER)?.into_iter().rev() {
        progress(&name);
        // A manifest that names it has its checksum; without one only its form can be checked.
        let read = match named(&name) {
            Some(entry) => definitions::read_file(disk, entry).map(|all| (entry.clone(), all)),
            None => definition_file(disk, &name),
        };
        let (entry, all) = match read {
            Ok(read) => read,
            outcome => {
                let problem = damage_of(outcome)?.unwrap_or_default();
                checked.set_aside(&name, problem, None);
                continue;
            }
        };
        let keys = all.iter().map(|one| {
            let kind = format!("{:?}", one.kind);
            (kind, one.name.clone(), one.version)
        });
        let keys: BTreeSet<_> = keys.collect();
        if keys.is_disjoint(&known) {
            known.extend(keys);
            let manifest = &mut checked.manifest;
            for one in &all {
                manifest.received_us = manifest.received_us.max(one.received_at_us);
                manifest.seq = manifest.seq.max(one.seq);
            }
            manifest.definitions.insert(0, entry);
        }
    }
    Ok(())
}

/// Names the newest whole file of writer states; each holds all of them.
fn take_writers(
    disk: &dyn Directory,
    checked: &mut Checked,
    progress: &mut dyn FnMut(&str),
) -> Result<()> {
    for name in files_in(disk, writer_states::FOLDER)?.into_iter().rev() {
        progress(&name);
        match writer_states::inspect_file(disk, &name) {
            Ok((entry, states)) => {
                let times = states.iter().map(|(_, state)| state.last_time_us);
                let manifest = &mut checked.manifest;
                manifest.received_us = times.fold(manifest.received_us, i64::max);
                manifest.writers = Some(entry);
                return Ok(());
            }
            outcome => {
                let problem = damage_of(outcome)?.unwrap_or_default();
                let problem = format!("{problem}; the numbers of its writers are those before it");
                checked.set_aside(&name, problem, None);
            }
        }
    }
    Ok(())
}

/// A definition file that no manifest names.
fn definition_file(disk: &dyn Directory, name: &str) -> Result<(DefinitionEntry, Vec<Definition>)> {
    let bytes = disk.read(name)?;
    let entry = DefinitionEntry {
        name: name.to_owned(),
        bytes: bytes.len() as u64,
        crc32c: crc32c(&bytes),
        count: definitions::count_in(&bytes),
    };
    let all = definitions::read_file(disk, &entry)?;
    Ok((entry, all))
}

/// The files of a folder, ascending by name, and so by number.
fn files_in(disk: &dyn Directory, folder: &str) -> Result<Vec<String>> {
    let names = disk.list(folder)?.into_iter();
    let whole = names.filter(|name| !name.ends_with(".tmp"));
    Ok(whole.map(|name| format!("{folder}/{name}")).collect())
}

fn note_holes(seqs: &SeqSet, checked: &mut Checked) {
    let holes = seqs.holes(checked.manifest.seq);
    if holes.is_empty() {
        return;
    }
    let named: Vec<String> = holes
        .iter()
        .take(HOLES_NAMED)
        .map(|(from, to)| {
            if from == to {
                from.to_string()
            } else {
                format!("{from} to {to}")
            }
        })
        .collect();
    let rows: i64 = holes.iter().map(|(from, to)| to - from + 1).sum();
    let more = match holes.len().saturating_sub(HOLES_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more ranges"),
    };
    checked.notes.push(format!(
        "{rows} seqs are in no file: {}{more}; they are lost, or were erased or past the \
         retention, which cannot be told apart without the manifest",
        named.join(", ")
    ));
}

#[cfg(test)]
mod tests {
    use vitalog_disk::FaultyDirectory;
    use vitalog_event::{EventBatchBuilder, EventDraft};

    use super::*;
    use crate::{CompactionGoal, DefinitionKind, Store, StoreConfig, SystemClock};

    /// A closed store of several segments, symbol files and definition files; the first `cooled`
    /// rounds of events are in cold files.
    fn closed_store(cooled: i64) -> Arc<dyn Directory> {
        let directory: Arc<dyn Directory> = Arc::new(FaultyDirectory::new());
        let config = StoreConfig {
            wal_file_bytes: 64 << 10,
            reserved_bytes: 0,
            ..StoreConfig::default()
        };
        let clock = Arc::new(SystemClock);
        let (store, _) = Store::open(Arc::clone(&directory), config, clock).expect("opened");
        for round in 0..3_i64 {
            let mut builder = EventBatchBuilder::new(i64::MAX / 2);
            for at in 0..40 {
                let id = format!("{round} {at}");
                let account = format!("account {}", at % (3 + round));
                assert!(builder.push(&EventDraft {
                    event_id: Some(&id),
                    event_time_us: Some(1_740_787_200_000_000 + at * 3_600_000_000),
                    event: Some(if round == 2 { "$identify" } else { "click" }),
                    account_id: Some(&account),
                    user_id: Some("user"),
                    ..EventDraft::default()
                }));
            }
            store.append(builder.finish().0).expect("appended");
            let text = format!("SELECT {round}");
            let defined = store.define(DefinitionKind::View, "a view", Some(&text));
            defined.expect("defined");
            store.flush().expect("flushed");
            if round + 1 == cooled {
                let report = store.compact(CompactionGoal::AllCold).expect("compacted");
                assert_eq!(report.cold_written, 2, "one a day");
            }
        }
        store.close().expect("closed");
        directory
    }

    #[test]
    fn the_files_of_an_undamaged_store_make_the_same_manifest() {
        for (cooled, hot, cold) in [(0, 3, 0), (2, 1, 2), (3, 0, 2)] {
            let directory = closed_store(cooled);
            let expected = Manifests::read(directory.as_ref()).expect("read").base();
            assert_eq!((expected.segments.len(), expected.cold.len()), (hot, cold));
            assert!(!expected.definitions.is_empty());
            check_rebuilt(&directory, &expected);
        }
    }

    fn check_rebuilt(directory: &Arc<dyn Directory>, expected: &Manifest) {
        let rebuilt = rebuild(directory, &Manifests::default(), &mut |_| {}).expect("rebuilt");
        assert!(rebuilt.damaged.is_empty(), "{:?}", rebuilt.damaged);
        assert_eq!(rebuilt.notes.len(), 1, "{:?}", rebuilt.notes);
        // Every symbol file there is a candidate; all but these are not kept by older manifests.
        let symbols = rebuilt.manifest.symbols.iter();
        let needed = symbols.filter(|file| expected.symbols.contains(file));
        assert_eq!(needed.count(), expected.symbols.len());
        // What no file says: the number, the id, and where the (empty) log would go on.
        let rebuilt = Manifest {
            number: expected.number,
            store_id: expected.store_id.clone(),
            wal_first: expected.wal_first,
            symbols: expected.symbols.clone(),
            ..rebuilt.manifest
        };
        assert_eq!(&rebuilt, expected);
    }
}

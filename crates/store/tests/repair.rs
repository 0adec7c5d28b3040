//! Repair: whatever one file is damaged or gone, the store opens and verifies afterwards, has
//! every row of the other files, and nothing was deleted; a killed repair is completed by the next.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use support::{Event, batch, content, numbered, open};
use vitalog_disk::{Directory, FaultPlan, FaultyDirectory};
use vitalog_event::DAY_US;
use vitalog_store::{
    CompactionGoal, DefinitionKind, Loss, RepairReport, Result, StoredSection, repair_directory,
    verify_directory,
};

/// Events of each segment.
const PART: u64 = 60;

fn shared(directory: &FaultyDirectory) -> Arc<dyn Directory> {
    Arc::new(directory.clone())
}

fn repair(directory: &FaultyDirectory) -> Result<RepairReport> {
    repair_directory(&shared(directory), |_| {})
}

/// A store of three segments (a fourth would have them merged), several symbol and definition
/// files, and a log of two groups if it was not closed.
fn store(is_closed: bool) -> (FaultyDirectory, BTreeMap<i64, Event>) {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    for part in 0..3 {
        // Later parts have fewer new strings, so that symbol files are not all joined.
        let mut events = numbered(part * PART..part * PART + PART);
        for (at, event) in events.iter_mut().enumerate() {
            if at < 24 >> part {
                event.account = Some(format!("customer {part} {at}"));
            }
        }
        store.append(batch(&events)).unwrap();
        let text = format!("SELECT {}", "1".repeat(200 >> part));
        store
            .define(DefinitionKind::View, "view", Some(&text))
            .unwrap();
        store.flush().unwrap();
    }
    if is_closed {
        store.close().unwrap();
        let rows = content(&open(&directory).unwrap().snapshot()).unwrap();
        return (directory.kill_image(), rows);
    }
    for group in 0..2_u64 {
        let from = 3 * PART + group * 10;
        store.append(batch(&numbered(from..from + 10))).unwrap();
    }
    let rows = content(&store.snapshot()).unwrap();
    (directory.kill_image(), rows)
}

fn files(directory: &FaultyDirectory, folder: &str) -> Vec<(String, usize)> {
    let mut files = directory.files();
    files.retain(|(name, _)| name.starts_with(folder));
    files
}

/// Repairs, and checks what always holds: it opens, verifies, takes events, and a second repair
/// finds nothing. Returns the report and the rows.
fn repaired(image: &FaultyDirectory, what: &str) -> (RepairReport, BTreeMap<i64, Event>) {
    let report = repair(image).unwrap_or_else(|error| panic!("{what}: {error}"));
    let verified = verify_directory(&shared(image), |_| {}).unwrap();
    assert!(
        verified.damages.is_empty(),
        "{what}: {:?}",
        verified.damages
    );
    let again = repair(image).unwrap();
    assert_eq!(again.findings, [], "{what}");
    assert_eq!(again.seq, report.seq, "{what}");
    let store = open(image).unwrap_or_else(|error| panic!("{what}: {error}"));
    let rows = content(&store.snapshot()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(store.snapshot().seq(), report.seq, "{what}");
    store.append(batch(&numbered(5_000..5_020))).unwrap();
    let text = Some("SELECT 'later'");
    store.define(DefinitionKind::View, "view", text).unwrap();
    store.close().unwrap();
    let store = open(image).unwrap();
    let later = content(&store.snapshot()).unwrap();
    assert_eq!(later.len(), rows.len() + 20, "{what}");
    assert!(
        rows.iter().all(|(seq, event)| later[seq] == *event),
        "{what}"
    );
    assert_eq!(
        store
            .snapshot()
            .definitions()
            .last()
            .unwrap()
            .text
            .as_deref(),
        text
    );
    (report, rows)
}

/// The bytes of every file, quarantined ones under the names they had.
fn all_bytes(directory: &FaultyDirectory) -> Vec<Vec<u8>> {
    let names = directory.files().into_iter();
    names
        .map(|(name, _)| directory.read(&name).unwrap())
        .collect()
}

/// The rows without those of the segment that is the `at`-th.
fn without(rows: &BTreeMap<i64, Event>, at: usize) -> BTreeMap<i64, Event> {
    let first = at as i64 * PART as i64;
    let mut rows = rows.clone();
    rows.retain(|&seq, _| seq <= first || seq > first + PART as i64);
    rows
}

#[test]
fn a_healthy_store_is_left_alone() {
    for is_closed in [true, false] {
        let (clean, rows) = store(is_closed);
        let image = clean.kill_image();
        let report = repair(&image).unwrap();
        assert_eq!((report.findings, report.notes), (vec![], vec![]));
        assert_eq!(report.seq, rows.len() as i64);
        assert_eq!(image.files(), clean.files());
    }
}

#[test]
fn any_one_file_may_be_damaged_or_gone() {
    for is_closed in [true, false] {
        let (clean, rows) = store(is_closed);
        let segments = files(&clean, "segments/");
        assert_eq!(segments.len(), 3);
        assert!(files(&clean, "symbols/").len() >= 2, "{clean:?}");
        for (name, length) in clean
            .files()
            .into_iter()
            .filter(|file| !file.0.starts_with("wal/"))
        {
            let mut images = vec![("removed".to_owned(), clean.kill_image())];
            images[0].1.remove(&name).unwrap();
            // Not in the version of a symbol file: a later version is no damage.
            let early = if name.ends_with(".sym") { 17 } else { 9 };
            for at in [0, early, length / 2, length - 9, length - 1] {
                let image = clean.kill_image();
                image.flip_bit(&name, at as u64, (at % 8) as u8).unwrap();
                images.push((format!("flipped at {at}"), image));
            }
            let image = clean.kill_image();
            image.truncate(&name, length as u64 / 2).unwrap();
            images.push(("cut".to_owned(), image));
            for (how, image) in images {
                let what = format!("{name} {how}, closed: {is_closed}");
                let before = all_bytes(&image);
                let (report, found) = repaired(&image, &what);
                let segment = segments.iter().position(|(segment, _)| *segment == name);
                let expected = segment.map_or(rows.clone(), |at| without(&rows, at));
                assert_eq!(found.len(), expected.len(), "{what}: {report:?}");
                assert_eq!(found, expected, "{what}");
                let finding = report.findings.iter().find(|finding| finding.file == name);
                if how != "removed" {
                    // Kept bit by bit.
                    let kept = finding.expect(&what).kept_in.as_ref().expect(&what);
                    assert!(before.contains(&image.read(kept).unwrap()), "{what}");
                }
                if let Some(at) = segment {
                    let lost = finding.expect(&what).lost.clone().expect(&what);
                    let first = at as i64 * PART as i64 + 1;
                    let of_it = rows.range(first..first + PART as i64);
                    let days: BTreeSet<i64> =
                        of_it.map(|(_, event)| event.time_us / DAY_US).collect();
                    assert_eq!((lost.rows, lost.days.len()), (PART, days.len()), "{what}");
                    assert_eq!(lost.seqs, Some((first, first + PART as i64 - 1)));
                }
            }
        }
    }
}

#[test]
fn without_any_manifest_the_store_is_rebuilt_from_its_files() {
    for is_closed in [true, false] {
        let (clean, rows) = store(is_closed);
        let definitions = open(&clean.kill_image())
            .unwrap()
            .snapshot()
            .definitions()
            .to_vec();
        let image = clean.kill_image();
        for (name, _) in files(&image, "manifest/") {
            image.remove(&name).unwrap();
        }
        let (report, found) = repaired(&image, "no manifest");
        assert_eq!(found, rows);
        assert!(report.notes[0].contains("rebuilt"), "{report:?}");
        let kept = open(&image).unwrap().snapshot().definitions().to_vec();
        assert_eq!(kept[..definitions.len()], definitions);
    }
}

#[test]
fn without_manifests_and_symbols_the_segments_say_it_all() {
    let (clean, rows) = store(true);
    let image = clean.kill_image();
    for (name, _) in files(&image, "manifest/")
        .into_iter()
        .chain(files(&image, "symbols/"))
    {
        image.remove(&name).unwrap();
    }
    let (report, found) = repaired(&image, "no manifest and no symbols");
    assert_eq!(found, rows);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("was made from the segments"))
    );
    assert!(
        !report.notes.iter().any(|note| note.contains("are nowhere")),
        "{report:?}"
    );
}

#[test]
fn with_a_segment_lost_too_the_seqs_that_are_nowhere_are_named() {
    let (clean, rows) = store(true);
    let image = clean.kill_image();
    for (name, _) in files(&image, "manifest/") {
        image.remove(&name).unwrap();
    }
    let (second, _) = files(&image, "segments/")[1].clone();
    image.remove(&second).unwrap();
    let (report, found) = repaired(&image, "no manifest and a segment less");
    assert_eq!(found, without(&rows, 1));
    let note = report.notes.iter().find(|note| note.contains("in no file"));
    assert!(note.unwrap().contains("61 to 120"), "{report:?}");
}

/// A killed store whose log has several files of groups of 20 events, and no segment.
fn logged() -> (FaultyDirectory, Vec<Event>) {
    let directory = FaultyDirectory::new();
    let config = vitalog_store::StoreConfig {
        wal_file_bytes: 6 << 10,
        ..support::small()
    };
    let (store, _) =
        vitalog_store::Store::open(shared(&directory), config, support::clock()).unwrap();
    let all = numbered(0..300);
    for group in all.chunks(20) {
        store.append(batch(group)).unwrap();
    }
    let image = directory.kill_image();
    store.close().unwrap();
    assert!(files(&image, "wal/").len() >= 4, "{image:?}");
    (image, all)
}

#[test]
fn a_log_damaged_in_the_middle_keeps_what_came_before() {
    let (clean, all) = logged();
    let logs = files(&clean, "wal/");
    for (at, (name, length)) in logs.iter().enumerate().take(logs.len() - 1) {
        let mut images = vec![("removed".to_owned(), clean.kill_image())];
        images[0].1.remove(name).unwrap();
        for byte in (0..*length).step_by(257) {
            let image = clean.kill_image();
            image.flip_bit(name, byte as u64, 5).unwrap();
            images.push((format!("byte {byte}"), image));
        }
        for (how, image) in images {
            let what = format!("{name} {how}");
            let before = open(&image.kill_image());
            let (report, found) = repaired(&image, &what);
            let events: Vec<Event> = found.into_values().collect();
            assert_eq!(events, all[..events.len()], "{what}");
            assert!(events.len().is_multiple_of(20));
            if before.is_ok() {
                // Damage of what is not used.
                assert_eq!(events.len(), all.len(), "{what}");
                continue;
            }
            let mut lost = Loss::default();
            for one in report
                .findings
                .iter()
                .filter_map(|finding| finding.lost.as_ref())
            {
                lost.rows += one.rows;
            }
            let gone = (all.len() - events.len()) as u64;
            // The damaged group itself cannot be counted, nor what a missing file held.
            assert!(lost.rows <= gone, "{what}: {report:?}");
            assert!(
                gone == 0 || how == "removed" || gone - lost.rows <= 20,
                "{what}: {report:?}"
            );
            assert!(
                !files(&image, "quarantine/").is_empty() || at + 1 == logs.len(),
                "{what}"
            );
        }
    }
}

#[test]
fn a_damaged_seal_costs_nothing() {
    let (clean, all) = logged();
    let (name, _) = files(&clean, "wal/")[1].clone();
    let bytes = clean.read(&name).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let image = clean.kill_image();
    image.flip_bit(&name, end as u64, 1).unwrap();
    assert!(open(&image.kill_image()).is_err());
    let (_, found) = repaired(&image, "a damaged seal");
    assert!(found.into_values().eq(all));
}

#[test]
fn a_repair_that_is_killed_is_completed_by_the_next() {
    let (clean, rows) = store(false);
    let newest = |folder: &str| files(&clean, folder).pop().unwrap().0;
    let first = |folder: &str| files(&clean, folder)[0].0.clone();
    let (log, segment) = (newest("wal/"), first("segments/"));
    let (manifest, symbols) = (newest("manifest/"), newest("symbols/"));
    for damaged in [
        vec![&manifest],
        vec![&manifest, &symbols, &segment],
        vec![&symbols, &segment],
        vec![&log],
    ] {
        let mut whole = rows.clone();
        if damaged.contains(&&segment) {
            whole = without(&rows, 0);
        }
        let broken = clean.kill_image();
        for name in &damaged {
            broken.flip_bit(name, 100, 1).unwrap();
        }
        let mut crashed = true;
        let mut at = 0;
        while crashed {
            let image = broken.kill_image();
            image.set_plan(FaultPlan::new().crash_at(image.operations() + at));
            crashed = repair(&image).is_err();
            for seed in 0..3 {
                let image = image.crash_image(seed);
                let what = format!("{damaged:?} operation {at} seed {seed}");
                let (_, found) = repaired(&image, &what);
                if damaged == [&log] {
                    assert!(
                        found.iter().all(|(seq, event)| rows[seq] == *event),
                        "{what}"
                    );
                    assert!(found.len() >= 3 * PART as usize, "{what}");
                } else {
                    assert_eq!(found, whole, "{what}");
                }
            }
            at += 1;
        }
        assert!(at > 3, "{damaged:?} {at}");
    }
}

#[test]
fn a_newer_version_stops_the_repair_before_anything_is_moved() {
    let (clean, _) = store(true);
    let image = clean.kill_image();
    let (name, _) = files(&image, "symbols/")[0].clone();
    let (segment, _) = files(&image, "segments/")[0].clone();
    image.flip_bit(&segment, 700, 1).unwrap();
    // The version of a symbol file stands behind its magic.
    image.flip_bit(&name, 9, 0).unwrap();
    let before = image.files();
    let error = repair(&image).unwrap_err();
    assert!(error.to_string().contains("format version"), "{error}");
    assert_eq!(image.files(), before);
}

/// A store whose first events are cold and the next ones hot, with strings that only the one or
/// the other has, and a log of two groups if it was not closed.
fn mixed(is_closed: bool) -> (FaultyDirectory, BTreeMap<i64, Event>) {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    for (part, tier) in ["cold", "hot"].into_iter().enumerate() {
        let from = part as u64 * 3 * PART;
        let mut events = numbered(from..from + 3 * PART);
        for (at, event) in events.iter_mut().enumerate().filter(|(at, _)| at % 4 == 0) {
            event.account = Some(format!("{tier} account {}", at % 20));
            event.user = Some(format!("{tier} user {at}"));
            event.name = format!("{tier} name {}", at % 12);
        }
        store.append(batch(&events)).unwrap();
        store.flush().unwrap();
        if tier == "cold" {
            let report = store.compact(CompactionGoal::AllCold).unwrap();
            assert_eq!(report.rows_cooled, 3 * PART);
        }
    }
    if !is_closed {
        for group in 0..2_u64 {
            let from = 6 * PART + group * 10;
            store.append(batch(&numbered(from..from + 10))).unwrap();
        }
        let rows = content(&store.snapshot()).unwrap();
        return (directory.kill_image(), rows);
    }
    store.close().unwrap();
    let rows = content(&open(&directory).unwrap().snapshot()).unwrap();
    (directory.kill_image(), rows)
}

fn remove_all(image: &FaultyDirectory, folder: &str) {
    for (name, _) in files(image, folder) {
        image.remove(&name).unwrap();
    }
}

/// Rows that are not cold, and rows that are.
fn tiers(image: &FaultyDirectory) -> (usize, usize) {
    let snapshot = open(&image.kill_image()).unwrap().snapshot();
    let slices = snapshot.slices();
    let sections = slices.iter().flat_map(|slice| &slice.sections);
    let (cold, hot): (Vec<_>, Vec<_>) = sections.partition(|section| section.is_cold());
    let rows = |sections: &[&Arc<StoredSection>]| sections.iter().map(|one| one.rows()).sum();
    (rows(&hot), rows(&cold))
}

#[test]
fn symbols_that_only_cold_files_have_are_made_again_from_them() {
    for is_closed in [true, false] {
        let (clean, rows) = mixed(is_closed);
        let symbols = files(&clean, "symbols/");
        let mut images = Vec::new();
        for (name, length) in &symbols {
            let image = clean.kill_image();
            image.remove(name).unwrap();
            images.push((format!("{name} removed"), image));
            let image = clean.kill_image();
            image.flip_bit(name, *length as u64 / 2, 3).unwrap();
            images.push((format!("{name} flipped"), image));
        }
        for folders in [&["symbols/"][..], &["symbols/", "manifest/"]] {
            let image = clean.kill_image();
            folders.iter().for_each(|folder| remove_all(&image, folder));
            images.push((format!("without {folders:?}"), image));
        }
        for (how, image) in images {
            let what = format!("{how}, closed: {is_closed}");
            let (report, found) = repaired(&image, &what);
            assert!(
                found.iter().all(|(seq, event)| rows[seq] == *event),
                "{what}"
            );
            // Events of the log whose codes nothing else explains are lost, and said to be.
            let missing: Vec<i64> = rows
                .keys()
                .copied()
                .filter(|seq| !found.contains_key(seq))
                .collect();
            let told: u64 = report
                .findings
                .iter()
                .filter_map(|finding| finding.lost.as_ref())
                .map(|lost| lost.rows)
                .sum();
            assert_eq!(told, missing.len() as u64, "{what}: {report:?}");
            let in_files = 6 * PART as i64;
            assert!(missing.iter().all(|&seq| seq > in_files), "{what}");
            let made = |note: &String| note.contains("was made from the segments, the cold files");
            assert!(report.notes.iter().any(made), "{what}: {report:?}");
            let is_lost = |note: &String| note.contains("are nowhere");
            assert!(!report.notes.iter().any(is_lost), "{what}: {report:?}");
        }
    }
}

#[test]
fn without_any_manifest_hot_and_cold_files_are_found() {
    for is_closed in [true, false] {
        let (clean, rows) = mixed(is_closed);
        let image = clean.kill_image();
        remove_all(&image, "manifest/");
        let before = tiers(&clean);
        assert!(before.0 > 0 && before.1 > 0, "{before:?}");
        let report = repair(&image).unwrap();
        assert_eq!(report.findings, [], "closed: {is_closed}");
        assert_eq!(tiers(&image), before, "closed: {is_closed}");
        let (_, found) = repaired(&image, "no manifest, two tiers");
        assert_eq!(found, rows);
    }
}

#[test]
fn a_damaged_cold_file_costs_its_day_alone() {
    let (clean, rows) = mixed(true);
    let cold_until = 3 * PART as i64;
    for (name, length) in files(&clean, "cold/") {
        for is_rebuilt in [false, true] {
            let image = clean.kill_image();
            image.flip_bit(&name, length as u64 / 3, 2).unwrap();
            if is_rebuilt {
                remove_all(&image, "manifest/");
            }
            let what = format!("{name}, rebuilt: {is_rebuilt}");
            let (report, found) = repaired(&image, &what);
            let finding = report.findings.iter().find(|finding| finding.file == name);
            assert!(finding.expect(&what).kept_in.is_some(), "{what}");
            let lost: Vec<i64> = rows
                .keys()
                .copied()
                .filter(|seq| !found.contains_key(seq))
                .collect();
            let days: BTreeSet<i64> = lost.iter().map(|seq| rows[seq].time_us / DAY_US).collect();
            assert_eq!(days.len(), 1, "{what}");
            let of_day = rows
                .range(..=cold_until)
                .filter(|(_, event)| days.contains(&(event.time_us / DAY_US)));
            assert!(of_day.map(|(seq, _)| *seq).eq(lost), "{what}");
            assert!(
                found.iter().all(|(seq, event)| rows[seq] == *event),
                "{what}"
            );
        }
    }
}

#[test]
fn a_compaction_cut_short_is_rebuilt_without_a_manifest() {
    let rebuilt = |image: &FaultyDirectory, what: &str, rows: &BTreeMap<i64, Event>| {
        remove_all(image, "manifest/");
        let (_, found) = repaired(image, what);
        assert_eq!(found, *rows, "{what}");
    };
    let (clean, rows) = mixed(true);
    let mut at = 0;
    loop {
        let image = clean.kill_image();
        let store = open(&image).unwrap();
        image.set_plan(FaultPlan::new().crash_at(image.operations() + at));
        let done = store.compact(CompactionGoal::AllCold);
        drop(store);
        for seed in 0..2 {
            let what = format!("operation {at} seed {seed}");
            rebuilt(&image.crash_image(seed), &what, &rows);
        }
        if done.is_ok() {
            break;
        }
        at += 1;
    }
    assert!(at > 5, "{at}");
}

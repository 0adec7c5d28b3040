//! Erasures beside published snapshots and backups: a snapshot that holds the id is taken back and
//! named in the receipt, whatever fails on the way; a copy under way does not stop the upkeep.
#![allow(clippy::unwrap_used)]

mod support;

use std::slice::from_ref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use support::bytes::{files_with, search};
use support::{Event, START_US, batch, numbered, open};
use vitalog_disk::{Directory, Fault, FaultPlan, FaultyDirectory, write_atomically};
use vitalog_event::day_of_timestamp_us;
use vitalog_store::{
    CompactionGoal, EraseRequest, FoundAs, IdKind, Progress, Published, PublishedPath,
    RemovalReceipt, Result, RevocationReason, SnapshotDraft, SnapshotId, SnapshotTerms, Store,
    StoreErrorKind,
};

const ACCOUNT: &str = "account 2";
/// Generous: what is waited for takes moments.
const WAIT: Duration = Duration::from_secs(60);

fn erase(store: &Store) -> Result<RemovalReceipt> {
    store.erase(EraseRequest::Account(ACCOUNT), Box::new(|_| {}))
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("seq", DataType::Int64, false),
        Field::new("account_id", DataType::Utf8, true),
        Field::new("dt", DataType::Date32, false),
    ])
}

/// A compressed Parquet file of one day with these accounts.
fn parquet_of(accounts: &[&str]) -> Vec<u8> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(1..=accounts.len() as i64)),
        Arc::new(StringArray::from_iter_values(accounts)),
        Arc::new(Date32Array::from_value(day(), accounts.len())),
    ];
    written(&RecordBatch::try_new(Arc::new(schema()), columns).unwrap())
}

/// No statistics: their bounds are not compressed.
fn written(batch: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn day() -> i32 {
    day_of_timestamp_us(START_US)
}

/// A draft whose picture is taken now.
fn begin(published: &Published, seq: i64) -> Result<SnapshotDraft> {
    let at_us = START_US + seq * 60_000_000;
    published.begin(SnapshotTerms {
        epoch: published.epoch(),
        seq,
        as_of_us: at_us,
        created_at_us: at_us,
        expires_at_us: at_us + 3_600_000_000,
        is_in_delta_log: true,
    })
}

fn fill(draft: &mut SnapshotDraft, accounts: &[&str]) -> Result<()> {
    draft.table("accounts", &schema())?;
    draft.write_file("accounts", day(), &parquet_of(accounts))
}

fn publish(published: &Published, seq: i64, accounts: &[&str]) -> Result<SnapshotId> {
    let mut draft = begin(published, seq)?;
    fill(&mut draft, accounts)?;
    Ok(draft.commit()?.id.clone())
}

/// `0..400` cold, the rest hot.
fn filled(directory: &FaultyDirectory) -> Store {
    let store = open(directory).unwrap();
    store.append(batch(&numbered(0..400))).unwrap();
    store.flush().unwrap();
    store.compact(CompactionGoal::AllCold).unwrap();
    store.append(batch(&numbered(400..600))).unwrap();
    store.flush().unwrap();
    store
}

fn listed(store: &Store) -> Vec<SnapshotId> {
    let snapshots = store.published().list();
    snapshots.iter().map(|one| one.id.clone()).collect()
}

fn is_erased(store: &Store, id: &SnapshotId) -> bool {
    let path = store
        .published()
        .path_of("accounts", &id.to_string(), "manifest.json");
    matches!(path.unwrap(), PublishedPath::Gone(gone) if gone.reason == RevocationReason::Erased)
}

#[test]
fn snapshots_that_hold_the_id_are_taken_back_and_named() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    let held = publish(store.published(), 1, &["account 1", ACCOUNT]).unwrap();
    let other = publish(store.published(), 2, &["account 1", "account 20"]).unwrap();
    let again = publish(store.published(), 3, &[ACCOUNT]).unwrap();
    let receipt = erase(&store).unwrap();
    let revoked = [held.to_string(), again.to_string()];
    assert_eq!(receipt.snapshots_revoked, revoked);
    assert_eq!(&listed(&store), from_ref(&other));
    assert!(is_erased(&store, &held) && is_erased(&store, &again));
    store.close().unwrap();
    let store = open(&directory).unwrap();
    assert_eq!(store.receipts()[0].snapshots_revoked, revoked);
    assert!(is_erased(&store, &held));
    let left = files_with(&directory, ACCOUNT);
    let of_other = format!("snapshots/accounts/{other}/");
    assert!(
        left.iter().all(|name| name.starts_with(&of_other)),
        "{left:?}"
    );
}

#[test]
fn a_snapshot_that_began_during_an_erasure_does_not_outlive_it() {
    // The upkeep may finish an erasure by itself before the caller's turn comes: then nothing was
    // begun during it.
    let was_shown = (0..100).any(|_| a_draft_that_began_during_an_erasure_is_ended());
    assert!(was_shown);
}

/// Whether a draft was begun while rows of the id were still visible, and ended at the erasure's
/// last steps.
fn a_draft_that_began_during_an_erasure_is_ended() -> bool {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    let published = store.published().clone();
    let draft = Arc::new(Mutex::new(None));
    let ended = Arc::new(Mutex::new(Vec::new()));
    let progress: Progress = {
        let ended = Arc::clone(&ended);
        Box::new(move |progress| {
            let mut draft = draft.lock().unwrap();
            if progress.step == "writing files without the rows" && draft.is_none() {
                let mut begun = begin(&published, 7).unwrap();
                fill(&mut begun, &[ACCOUNT]).unwrap();
                *draft = Some(begun);
            } else if progress.step == "writing the symbols without the id" {
                let begun = draft.take().unwrap();
                ended.lock().unwrap().push(begun.commit().map(drop));
            }
        })
    };
    store
        .erase(EraseRequest::Account(ACCOUNT), progress)
        .unwrap();
    assert_eq!(listed(&store), []);
    assert_eq!(files_with(&directory, ACCOUNT), [""; 0]);
    let ended = ended.lock().unwrap();
    for outcome in ended.iter() {
        let error = outcome.as_ref().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
    ended.len() == 1
}

#[test]
fn a_crash_or_a_failure_at_every_operation_leaves_the_revoked_ones_in_the_receipt() {
    let base = FaultyDirectory::new();
    let (held, other) = {
        let store = filled(&base);
        let held = publish(store.published(), 1, &[ACCOUNT]).unwrap();
        let other = publish(store.published(), 2, &["account 1"]).unwrap();
        store.close().unwrap();
        (held, other)
    };
    let check = |store: &Store, what: &str| {
        let receipts = store.receipts();
        assert_eq!(receipts.len(), 1, "{what}");
        assert_eq!(receipts[0].snapshots_revoked, [held.to_string()], "{what}");
        assert_eq!(&listed(store), from_ref(&other), "{what}");
        assert!(is_erased(store, &held), "{what}");
    };
    for step in 0.. {
        let directory = base.kill_image();
        let store = open(&directory).unwrap();
        store.compact(CompactionGoal::Due).unwrap();
        directory.set_plan(FaultPlan::new().crash_at(directory.operations() + step));
        let erased = erase(&store);
        drop(store);
        let image = directory.crash_image(step);
        let store = open(&image).unwrap();
        if store.receipts().is_empty() {
            assert!(erased.is_err(), "step {step}");
            erase(&store).unwrap();
        }
        check(&store, &format!("crash at {step}"));
        drop(store);
        assert_eq!(files_with(&image, ACCOUNT), [""; 0], "crash at {step}");
        if !directory.has_crashed() {
            break;
        }
    }
    for step in 0.. {
        let directory = base.kill_image();
        let store = open(&directory).unwrap();
        store.compact(CompactionGoal::Due).unwrap();
        let at = directory.operations() + step;
        directory.set_plan(FaultPlan::new().fail_operation(at, Fault::Io));
        let erased = erase(&store);
        let has_failed = directory.operations() > at;
        directory.set_plan(FaultPlan::new());
        // Again in the same process, unless the log is unsure of its end.
        let store = match erased
            .and_then(|_| erase(&store))
            .or_else(|_| erase(&store))
        {
            Ok(_) => store,
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "step {step}");
                drop(store);
                let store = open(&directory).unwrap();
                erase(&store).unwrap();
                store
            }
        };
        check(&store, &format!("failure at {step}"));
        assert_eq!(
            files_with(&directory, ACCOUNT),
            [""; 0],
            "failure at {step}"
        );
        if !has_failed {
            break;
        }
    }
}

#[test]
fn a_snapshot_of_which_it_is_not_sure_that_it_is_none_is_taken_back() {
    let mut unsure = 0;
    for step in 0.. {
        let directory = FaultyDirectory::new();
        let store = filled(&directory);
        let mut draft = begin(store.published(), 1).unwrap();
        fill(&mut draft, &[ACCOUNT]).unwrap();
        // Everything fails from a moment of the commit on, what would take it back included.
        let at = directory.operations() + step;
        let plan = (at + 1..at + 100).fold(FaultPlan::new().fail_syncs_from(at), |plan, at| {
            plan.fail_operation(at, Fault::Io)
        });
        directory.set_plan(plan);
        let committed = draft.commit();
        directory.set_plan(FaultPlan::new());
        if committed.is_ok() {
            break;
        }
        let files = directory.files();
        let mut names = files.iter().map(|(name, _)| name);
        let is_there = names.any(|name| name.starts_with("snapshots/catalog/"));
        unsure += usize::from(is_there);
        let receipt = erase(&store).unwrap();
        if is_there {
            assert_eq!(receipt.snapshots_revoked.len(), 1, "step {step}");
        }
        assert_eq!(files_with(&directory, ACCOUNT), [""; 0], "step {step}");
        store.close().unwrap();
        let store = open(&directory).unwrap();
        assert_eq!(listed(&store), [], "step {step}");
        assert_eq!(files_with(&directory, ACCOUNT), [""; 0], "step {step}");
    }
    assert!(unsure > 0);
}

#[test]
fn parquet_that_was_set_aside_is_decoded_and_named() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    let holding = parquet_of(&["account 1", ACCOUNT]);
    assert!(
        !holding.windows(9).any(|bytes| bytes == ACCOUNT.as_bytes()),
        "compressed"
    );
    let other = parquet_of(&["account 1"]);
    let torn = &other[..other.len() - 20];
    for (name, bytes) in [
        ("quarantine/cold-1.parquet", holding.as_slice()),
        ("quarantine/cold-2.parquet", other.as_slice()),
        ("quarantine/cold-3.parquet", torn),
    ] {
        write_atomically(&directory, name, bytes).unwrap();
    }
    let receipt = erase(&store).unwrap();
    // Of the torn one nobody can say what it holds.
    let named = ["quarantine/cold-1.parquet", "quarantine/cold-3.parquet"];
    assert_eq!(receipt.quarantined, named);
    store.close().unwrap();
    let report = search(&directory, ACCOUNT, IdKind::Account);
    assert!(!report.is_clean());
    let found: Vec<(&str, FoundAs)> = report
        .found
        .iter()
        .map(|found| (found.file.as_str(), found.found_as))
        .collect();
    assert_eq!(
        found,
        [
            ("quarantine/cold-1.parquet", FoundAs::Identity),
            ("quarantine/cold-3.parquet", FoundAs::Elsewhere)
        ]
    );
    directory.remove("quarantine/cold-1.parquet").unwrap();
    assert!(!search(&directory, ACCOUNT, IdKind::Account).is_clean());
    directory.remove("quarantine/cold-3.parquet").unwrap();
    assert!(search(&directory, ACCOUNT, IdKind::Account).is_clean());
}

#[test]
fn a_search_reads_nested_texts_and_what_a_damaged_file_still_gives() {
    let directory = FaultyDirectory::new();
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("somebody"), Some("a \"quoted\" id")]);
    let lists: ArrayRef = Arc::new(lists.finish());
    let nested = RecordBatch::try_from_iter([("signals", lists)]).unwrap();
    let name = "snapshots/health_scores/x/1.parquet";
    write_atomically(&directory, name, &written(&nested)).unwrap();
    let id = "a \"quoted\" id";
    let report = search(&directory, id, IdKind::Any);
    assert_eq!(report.count(FoundAs::Identity), 1, "{:?}", report.found);
    // In properties it stands as JSON writes it.
    let properties: ArrayRef = Arc::new(StringArray::from(vec![r#"{"by":"a \"quoted\" id"}"#]));
    let mention = RecordBatch::try_from_iter([("properties", properties)]).unwrap();
    write_atomically(&directory, name, &written(&mention)).unwrap();
    let report = search(&directory, id, IdKind::Any);
    assert_eq!(report.count(FoundAs::Mention), 1, "{:?}", report.found);

    // Three row groups, the last of which is damaged: what was read before counts.
    let accounts: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..3_000).map(|row| format!("account {}", row % 7)),
    ));
    let batch = RecordBatch::try_from_iter([("account_id", accounts)]).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(1_000))
        .set_dictionary_enabled(false)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let mut damaged = writer.into_inner().unwrap();
    let reader = SerializedFileReader::new(Bytes::from(damaged.clone())).unwrap();
    let last = reader.metadata().row_group(2).column(0).data_page_offset() as usize;
    damaged[last..last + 16].fill(0xff);
    let name = "quarantine/cold-9.parquet";
    write_atomically(&directory, name, &damaged).unwrap();
    let report = search(&directory, ACCOUNT, IdKind::Account);
    let of = |found_as| {
        let mut found = report.found.iter();
        found
            .find(|one| one.file == name && one.found_as == found_as)
            .map_or(0, |one| one.count)
    };
    assert!(of(FoundAs::Identity) >= 143, "{:?}", report.found);
    assert_eq!(of(FoundAs::Elsewhere), 1, "{:?}", report.found);
}

#[test]
fn a_copy_that_hangs_stops_an_erasure_and_nothing_else() {
    let directory = FaultyDirectory::new();
    let store = Arc::new(filled(&directory));
    let target: Arc<dyn Directory> = Arc::new(FaultyDirectory::new());
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let copying = {
        let store = Arc::clone(&store);
        std::thread::spawn(move || {
            let mut is_first = true;
            let copied = store.backup(&target, |_| {
                if std::mem::take(&mut is_first) {
                    begun.send(()).unwrap();
                    let _ = may_go_on.recv();
                }
            });
            copied.map(drop)
        })
    };
    has_begun.recv_timeout(WAIT).unwrap();
    let (waiting, is_waiting) = mpsc::channel();
    let erased = Arc::new(AtomicBool::new(false));
    let erasing = {
        let (store, erased) = (Arc::clone(&store), Arc::clone(&erased));
        std::thread::spawn(move || {
            let progress: Progress = Box::new(move |progress| {
                if progress.step.starts_with("waiting for a copy") {
                    let _ = waiting.send(());
                }
            });
            let receipt = store.erase(EraseRequest::Account(ACCOUNT), progress);
            erased.store(true, Ordering::SeqCst);
            receipt
        })
    };
    is_waiting.recv_timeout(WAIT).unwrap();
    // What else the upkeep has to do goes on, the same id is new data, and a later copy is not
    // waited for.
    let later: Vec<Event> = numbered(600..700);
    store.append(batch(&later)).unwrap();
    store.flush().unwrap();
    let (compacted, outcome) = mpsc::channel();
    {
        let store = Arc::clone(&store);
        std::thread::spawn(move || compacted.send(store.compact(CompactionGoal::AllCold)));
    }
    let report = outcome.recv_timeout(WAIT).unwrap().unwrap();
    assert!(report.rows_cooled > 0);
    let rows = support::content(&store.snapshot()).unwrap();
    let is_mine = |event: &&Event| event.account.as_deref() == Some(ACCOUNT);
    let mine: Vec<&Event> = rows.values().filter(is_mine).collect();
    assert_eq!(mine, later.iter().filter(is_mine).collect::<Vec<_>>());
    assert!(!erased.load(Ordering::SeqCst), "the copy has the old files");
    assert!(store.receipts().is_empty());
    // Killed now, it is finished when the store is opened.
    let image = directory.kill_image();
    let reopened = open(&image).unwrap();
    assert_eq!(reopened.receipts().len(), 1);
    assert_eq!(support::content(&reopened.snapshot()).unwrap(), rows);
    drop(reopened);

    drop(go_on);
    copying.join().unwrap().unwrap();
    let receipt = erasing.join().unwrap().unwrap();
    assert_eq!(store.receipts(), [receipt]);
    assert_eq!(support::content(&store.snapshot()).unwrap(), rows);
    let receipt = erase(&store).unwrap();
    assert_eq!((receipt.number, receipt.rows.cold), (2, mine.len() as u64));
    assert_eq!(files_with(&directory, ACCOUNT), [""; 0]);
}

#[test]
fn thinned_files_are_committed_together() {
    let directory = FaultyDirectory::new();
    let store = filled(&directory);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress: Progress = {
        let (seen, directory) = (Arc::clone(&seen), directory.clone());
        Box::new(move |progress| {
            if progress.step == "writing files without the rows" {
                let newest = directory.list("manifest").unwrap().into_iter().max();
                seen.lock().unwrap().push(newest.unwrap());
            }
        })
    };
    let receipt = store
        .erase(EraseRequest::Account(ACCOUNT), progress)
        .unwrap();
    assert!(receipt.files_rewritten >= 6);
    let mut seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len() as u64, receipt.files_rewritten);
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

//! Published snapshots: whole or absent after a crash at every operation, leases, revocation, the
//! Delta log, and the search for an id.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    Array, ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use sha2::{Digest, Sha256};
use support::{START_US, clock, small};
use vitalog_disk::{Directory, Fault, FaultPlan, FaultyDirectory, write_atomically};
use vitalog_event::day_of_timestamp_us;
use vitalog_store::{
    Domain, LinkedFile, Published, PublishedPath, RevocationReason, SnapshotDraft, SnapshotId,
    SnapshotTerms, Store, StoreConfig, StoreError, StoreErrorKind, verify_directory,
};

const HOUR_US: i64 = 3_600_000_000;

fn open(directory: &FaultyDirectory) -> vitalog_store::Result<Store> {
    let config = StoreConfig {
        snapshots_max: 5,
        ..small()
    };
    Ok(Store::open(Arc::new(directory.clone()), config, clock())?.0)
}

fn schema() -> Schema {
    let time = vitalog_event::schema::timestamp_type();
    Schema::new(vec![
        Field::new("event_time", time, false),
        Field::new("seq", DataType::Int64, false),
        Field::new("account_id", DataType::Utf8, true),
        Field::new("user_id", DataType::Utf8, true),
        Field::new("dt", DataType::Date32, false),
    ])
}

/// A Parquet file of one day: a row an account, whose user is `user of <account>`; empty is NULL.
fn parquet_of(day: i32, accounts: &[&str]) -> Vec<u8> {
    let rows = accounts.len();
    let text = |account: &&str| (!account.is_empty()).then(|| (*account).to_owned());
    let users = accounts
        .iter()
        .map(|account| text(account).map(|account| format!("user of {account}")));
    let times = (0..rows as i64).map(|row| START_US + row * 1_001);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        Arc::new(Int64Array::from_iter_values(1..=rows as i64)),
        Arc::new(accounts.iter().map(text).collect::<StringArray>()),
        Arc::new(users.collect::<StringArray>()),
        Arc::new(Date32Array::from_value(day, rows)),
    ];
    let batch = RecordBatch::try_new(Arc::new(schema()), columns).unwrap();
    let properties = WriterProperties::builder()
        .set_column_bloom_filter_enabled("account_id".into(), true)
        .set_max_row_group_row_count(Some(2))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn day() -> i32 {
    day_of_timestamp_us(START_US)
}

fn terms(published: &Published, seq: i64, at_us: i64) -> SnapshotTerms {
    SnapshotTerms {
        epoch: published.epoch(),
        seq,
        as_of_us: at_us,
        created_at_us: at_us,
        expires_at_us: at_us + HOUR_US,
        is_in_delta_log: true,
    }
}

/// Two tables; `events` has two days, one of them linked from `cold/1`.
fn fill(
    draft: &mut SnapshotDraft,
    directory: &FaultyDirectory,
    account: &str,
) -> vitalog_store::Result<()> {
    draft.table("events", &schema())?;
    let cold = directory.read("linked/1").map_err(StoreError::from)?;
    let sha256 = sha256(&cold);
    let linked = LinkedFile {
        name: "linked/1".to_owned(),
        bytes: cold.len() as u64,
        sha256,
    };
    draft.link_cold("events", day(), &linked)?;
    draft.write_file(
        "events",
        day() + 1,
        &parquet_of(day() + 1, &[account, "zeta", ""]),
    )?;
    draft.table("accounts", &schema())?;
    let mut file = draft.create("accounts", day())?;
    for piece in parquet_of(day(), &[account]).chunks(700) {
        file.write_all(piece).map_err(|error| StoreError::Failed {
            kind: match error.kind() {
                std::io::ErrorKind::StorageFull => StoreErrorKind::Limit,
                _ => StoreErrorKind::Data,
            },
            message: error.to_string(),
        })?;
    }
    draft.finish(file)
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn publish(
    store: &Store,
    directory: &FaultyDirectory,
    seq: i64,
    account: &str,
) -> vitalog_store::Result<SnapshotId> {
    let published = store.published();
    let mut draft = published.begin(terms(published, seq, START_US + seq * 60_000_000))?;
    fill(&mut draft, directory, account)?;
    Ok(draft.commit()?.id.clone())
}

/// A directory with a file that can be linked.
fn directory() -> FaultyDirectory {
    let directory = FaultyDirectory::new();
    let cold = parquet_of(day(), &["alpha", "beta", "gamma"]);
    write_atomically(&directory, "linked/1", &cold).unwrap();
    directory
}

/// Every file below `snapshots/`.
fn names(directory: &FaultyDirectory) -> BTreeSet<String> {
    let files = directory.files().into_iter();
    files
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("snapshots/"))
        .collect()
}

/// Asserts that what is listed is whole, that nothing else is there, and that the Delta logs show
/// the newest.
fn check_whole(published: &Published, directory: &FaultyDirectory) {
    let mut expected = BTreeSet::new();
    for snapshot in published.list() {
        expected.insert(format!("snapshots/catalog/{}.json", snapshot.id));
        for table in &snapshot.tables {
            let manifest = published
                .manifest(&table.name, &snapshot.id)
                .unwrap()
                .unwrap();
            let folder = format!("snapshots/{}/{}", table.name, snapshot.id);
            expected.insert(format!("{folder}/manifest.json"));
            for file in &manifest.files {
                let name = format!("{folder}/{}", file.path);
                let bytes = directory.read(&name).unwrap();
                assert_eq!(bytes.len() as u64, file.bytes);
                assert_eq!(sha256(&bytes), file.sha256);
                expected.insert(name);
            }
        }
    }
    let found: BTreeSet<String> = names(directory)
        .into_iter()
        .filter(|name| !name.contains("/_delta_log/") && !name.contains("/revoked/"))
        .collect();
    assert_eq!(found, expected);
    for table in ["accounts", "events"] {
        let newest = published.latest(table).map(|newest| {
            let manifest = published.manifest(table, &newest.id).unwrap().unwrap();
            let files = manifest.files.iter();
            files
                .map(|file| (format!("{}/{}", newest.id, file.path), file.bytes))
                .collect::<BTreeMap<_, _>>()
        });
        assert_eq!(delta_files(directory, table), newest.unwrap_or_default());
    }
}

/// What a reader of Delta finds: path and size of each file, from the last checkpoint on.
fn delta_files(directory: &FaultyDirectory, table: &str) -> BTreeMap<String, u64> {
    let folder = format!("snapshots/{table}/_delta_log");
    let (checkpoint, mut files) = checkpoint_of(directory, &folder);
    let names = directory.list(&folder).unwrap();
    let versions = names.iter().filter_map(|name| name.strip_suffix(".json"));
    let versions: Vec<u64> = versions.map(|digits| digits.parse().unwrap()).collect();
    assert!(
        versions.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "dense: {versions:?}"
    );
    for version in versions {
        if checkpoint.is_some_and(|checkpoint| version <= checkpoint) {
            continue;
        }
        let name = format!("{folder}/{version:020}.json");
        let text = String::from_utf8(directory.read(&name).unwrap()).unwrap();
        apply_version(version, &text, &mut files);
    }
    files
}

fn apply_version(version: u64, text: &str, files: &mut BTreeMap<String, u64>) {
    let actions: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let has = |kind: &str| actions.iter().any(|action| action[kind].is_object());
    assert_eq!(has("protocol"), version == 0);
    assert_eq!(has("metaData"), version == 0, "one schema for all versions");
    for action in &actions {
        if let Some(path) = action["remove"]["path"].as_str() {
            assert!(files.remove(path).is_some(), "{path} was there");
        }
    }
    for action in &actions {
        if let Some(path) = action["add"]["path"].as_str() {
            let size = action["add"]["size"].as_u64().unwrap();
            assert!(files.insert(path.to_owned(), size).is_none());
            let stats = action["add"]["stats"].as_str().unwrap();
            let stats: serde_json::Value = serde_json::from_str(stats).unwrap();
            assert!(stats["numRecords"].as_u64().unwrap() > 0);
            assert!(stats["minValues"]["event_time"].is_string());
            assert!(
                stats["minValues"]["account_id"].is_null(),
                "no ids in the log"
            );
        }
    }
}

/// The version that `_last_checkpoint` points to, and its files.
fn checkpoint_of(
    directory: &FaultyDirectory,
    folder: &str,
) -> (Option<u64>, BTreeMap<String, u64>) {
    let mut files = BTreeMap::new();
    let Ok(pointer) = directory.read(&format!("{folder}/_last_checkpoint")) else {
        return (None, files);
    };
    let pointer: serde_json::Value = serde_json::from_slice(&pointer).unwrap();
    let version = pointer["version"].as_u64().unwrap();
    let name = format!("{folder}/{version:020}.checkpoint.parquet");
    let bytes = bytes::Bytes::from(directory.read(&name).unwrap());
    let batches = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let mut rows = 0;
    for batch in batches.build().unwrap().map(Result::unwrap) {
        rows += batch.num_rows();
        let adds = batch.column_by_name("add").unwrap().as_struct();
        let paths = adds.column_by_name("path").unwrap().as_string::<i32>();
        let sizes = adds
            .column_by_name("size")
            .unwrap()
            .as_primitive::<Int64Type>();
        for row in (0..adds.len()).filter(|&row| adds.is_valid(row)) {
            files.insert(paths.value(row).to_owned(), sizes.value(row) as u64);
        }
    }
    assert_eq!(pointer["size"].as_u64(), Some(rows as u64));
    assert_eq!(rows, files.len() + 2, "protocol, metaData and the files");
    (Some(version), files)
}

#[test]
fn a_snapshot_is_found_as_it_was_committed() {
    let directory = directory();
    let store = open(&directory).unwrap();
    let id = publish(&store, &directory, 7, "delphi").unwrap();
    let newer = publish(&store, &directory, 8, "delphi").unwrap();
    assert_eq!(id.as_str(), "20250301T000700Z-7");
    check_whole(store.published(), &directory);
    let before = store.published().list();
    store.close().unwrap();
    drop(store);

    let store = open(&directory).unwrap();
    let published = store.published();
    assert_eq!(published.list(), before);
    check_whole(published, &directory);
    assert_eq!(published.latest("events").unwrap().id, newer);
    assert_eq!(published.latest("users"), None);
    let snapshot = published.get(&id).unwrap();
    assert_eq!((snapshot.seq, snapshot.tables.len()), (7, 2));
    let manifest = published.manifest("events", &id).unwrap().unwrap();
    assert_eq!((manifest.rows, manifest.files.len()), (6, 2));
    assert_eq!(manifest.rows, snapshot.table("events").unwrap().rows);
    let second = &manifest.files[1];
    assert!(
        second.path.starts_with("dt=2025-03-02/part-"),
        "{}",
        second.path
    );
    assert_eq!(
        second.path.len(),
        "dt=2025-03-02/part-0123456789abcdef.parquet".len()
    );
    assert_eq!(second.min.account_id.as_deref(), Some("delphi"));
    assert_eq!(second.max.account_id.as_deref(), Some("zeta"));
    assert_eq!(second.max.user_id.as_deref(), Some("user of zeta"));
    assert_eq!(second.min.event_time_us, Some(START_US));
    assert_eq!((second.min.seq, second.max.seq), (Some(1), Some(3)));
    assert_eq!(second.nulls["account_id"], 1);
    // The link is the file of the store, and outlives its first name.
    let linked = format!("snapshots/events/{id}/{}", manifest.files[0].path);
    let cold = directory.read("linked/1").unwrap();
    directory.remove("linked/1").unwrap();
    assert_eq!(directory.read(&linked).unwrap(), cold);
}

#[test]
fn paths_lead_to_what_a_manifest_names_and_nowhere_else() {
    let directory = directory();
    let store = open(&directory).unwrap();
    let id = publish(&store, &directory, 7, "delphi").unwrap();
    let published = store.published();
    let manifest = published.manifest("events", &id).unwrap().unwrap();
    let file = &manifest.files[1];
    let found = published
        .path_of("events", id.as_str(), &file.path)
        .unwrap();
    let PublishedPath::File {
        name,
        bytes,
        sha256: hash,
    } = found
    else {
        panic!("{found:?}");
    };
    assert_eq!(sha256(&directory.read(&name).unwrap()), hash);
    assert_eq!((bytes, hash), (file.bytes, file.sha256.clone()));
    let found = published
        .path_of("events", id.as_str(), "manifest.json")
        .unwrap();
    let PublishedPath::Manifest {
        name, sha256: hash, ..
    } = found
    else {
        panic!("{found:?}");
    };
    assert_eq!(sha256(&directory.read(&name).unwrap()), hash);
    let up = format!("dt=2025-03-01/../../{id}/manifest.json");
    for (table, id, rest) in [
        ("events", id.as_str(), ""),
        ("events", id.as_str(), "dt=2025-03-01"),
        ("events", id.as_str(), "../../../cold/1"),
        ("events", id.as_str(), &up),
        ("events", "..", "manifest.json"),
        ("events", "20250301T000700Z-8", "manifest.json"),
        ("users", id.as_str(), "manifest.json"),
        ("..", id.as_str(), "manifest.json"),
        ("catalog", id.as_str(), "manifest.json"),
    ] {
        let found = published.path_of(table, id, rest).unwrap();
        assert_eq!(found, PublishedPath::Missing, "{table} {id} {rest}");
    }
    published
        .revoke(&id, RevocationReason::Erased, START_US)
        .unwrap();
    let found = published
        .path_of("events", id.as_str(), &file.path)
        .unwrap();
    let PublishedPath::Gone(gone) = found else {
        panic!("{found:?}");
    };
    assert_eq!(
        (gone.reason, gone.at_us),
        (RevocationReason::Erased, START_US)
    );
}

#[test]
fn a_crash_at_every_operation_of_publishing_leaves_it_whole_or_absent() {
    let clean = directory();
    let store = open(&clean).unwrap();
    publish(&store, &clean, 1, "alpha").unwrap();
    let first = clean.operations();
    publish(&store, &clean, 2, "beta").unwrap();
    let last = clean.operations();
    assert!(last - first > 20, "many steps: {}", last - first);
    let mut outcomes = BTreeSet::new();
    for number in first..=last {
        let directory = directory();
        let store = open(&directory).unwrap();
        publish(&store, &directory, 1, "alpha").unwrap();
        directory.set_plan(FaultPlan::new().crash_at(number));
        let outcome = publish(&store, &directory, 2, "beta");
        for seed in 0..12 {
            let image = directory.crash_image(seed);
            let reopened = open(&image).unwrap();
            let published = reopened.published();
            check_whole(published, &image);
            let found = published.list().len();
            assert!(
                found == 2 || outcome.is_err(),
                "crash at {number}, seed {seed}"
            );
            outcomes.insert(found);
            // Whatever was left behind, the next one succeeds and is the newest.
            let id = publish(&reopened, &image, 3, "gamma").unwrap();
            assert_eq!(published.latest("events").unwrap().id, id);
            check_whole(published, &image);
        }
    }
    assert_eq!(outcomes, BTreeSet::from([1, 2]));
}

#[test]
fn a_crash_at_every_operation_of_deleting_leaves_it_whole_or_gone() {
    let clean = directory();
    let store = open(&clean).unwrap();
    publish(&store, &clean, 1, "alpha").unwrap();
    let id = publish(&store, &clean, 2, "beta").unwrap();
    let first = clean.operations();
    store.published().delete(&id, START_US, true).unwrap();
    let last = clean.operations();
    let mut outcomes = BTreeSet::new();
    for number in first..=last {
        let directory = directory();
        let store = open(&directory).unwrap();
        publish(&store, &directory, 1, "alpha").unwrap();
        assert_eq!(publish(&store, &directory, 2, "beta").unwrap(), id);
        directory.set_plan(FaultPlan::new().crash_at(number));
        let outcome = store.published().delete(&id, START_US, true);
        for seed in 0..12 {
            let image = directory.crash_image(seed);
            let reopened = open(&image).unwrap();
            let published = reopened.published();
            check_whole(published, &image);
            let is_gone = published.get(&id).is_none();
            assert!(
                is_gone || outcome.is_err(),
                "crash at {number}, seed {seed}"
            );
            assert_eq!(published.revocation(&id).unwrap().is_some(), is_gone);
            outcomes.insert(is_gone);
        }
    }
    assert_eq!(outcomes, BTreeSet::from([false, true]));
}

#[test]
fn a_failing_operation_of_publishing_leaves_nothing_and_can_be_repeated() {
    let clean = directory();
    let store = open(&clean).unwrap();
    let first = clean.operations();
    publish(&store, &clean, 1, "alpha").unwrap();
    let last = clean.operations();
    for number in first..last {
        let directory = directory();
        let store = open(&directory).unwrap();
        directory.set_plan(FaultPlan::new().fail_operation(number, Fault::Full));
        let outcome = publish(&store, &directory, 1, "alpha");
        let published = store.published();
        assert_eq!(published.list().len(), usize::from(outcome.is_ok()));
        if let Err(error) = &outcome {
            assert_eq!(error.kind(), StoreErrorKind::Limit, "{error}");
        }
        publish(&store, &directory, 2, "alpha").unwrap();
        published.collect().unwrap();
        check_whole(published, &directory);
    }
}

#[test]
fn where_links_are_refused_files_are_copied() {
    let plain = directory();
    let store = open(&plain).unwrap();
    let published = store.published();
    let mut draft = published.begin(terms(published, 1, START_US)).unwrap();
    draft.table("events", &schema()).unwrap();
    let cold = plain.read("linked/1").unwrap();
    let hash = sha256(&cold);
    let linked = LinkedFile {
        name: "linked/1".to_owned(),
        bytes: cold.len() as u64,
        sha256: hash,
    };
    plain.set_plan(FaultPlan::new().fail_operation(plain.operations(), Fault::Io));
    draft.link_cold("events", day(), &linked).unwrap();
    let longer = LinkedFile {
        bytes: 1 + cold.len() as u64,
        ..linked.clone()
    };
    let error = draft.link_cold("events", day() + 1, &longer).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Data, "{error}");
    let id = draft.commit().unwrap().id.clone();
    check_whole(published, &plain);
    let manifest = published.manifest("events", &id).unwrap().unwrap();
    plain.flip_bit("linked/1", 10, 1).unwrap();
    let name = format!("snapshots/events/{id}/{}", manifest.files[0].path);
    assert_eq!(plain.read(&name).unwrap(), cold, "a copy");
}

#[test]
fn leases_hold_until_they_end_or_force_is_used() {
    let directory = directory();
    let store = open(&directory).unwrap();
    let published = store.published();
    let ids: Vec<SnapshotId> = (1..=4)
        .map(|seq| publish(&store, &directory, seq, "alpha").unwrap())
        .collect();
    let error = published.delete(&ids[0], START_US, false).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("leased until 2025-03-01T01:01:00"),
        "{error}"
    );
    published.delete(&ids[3], START_US, true).unwrap();
    let until = START_US + 10 * HOUR_US;
    published.extend(&ids[0], until).unwrap();
    assert_eq!(published.extend(&ids[0], 5).unwrap().expires_at_us, until);
    let late = START_US + 2 * HOUR_US;
    assert_eq!(
        published.expire(late, 2).unwrap(),
        [],
        "the newest two stay, the first is leased"
    );
    assert_eq!(published.expire(late, 1).unwrap(), [ids[1].clone()]);
    assert_eq!(published.expire(late, 0).unwrap(), [ids[2].clone()]);
    let gone = published.revocation(&ids[2]).unwrap().unwrap();
    assert_eq!((gone.reason, gone.at_us), (RevocationReason::Expired, late));
    check_whole(published, &directory);
    drop(store);
    let store = open(&directory).unwrap();
    assert_eq!(store.published().list()[0].expires_at_us, until);
    assert_eq!(store.published().list().len(), 1);
    let error = store.published().delete(&ids[1], until, true).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    store.published().delete(&ids[0], until, false).unwrap();
    check_whole(store.published(), &directory);
}

#[test]
fn the_number_of_snapshots_is_limited_and_ids_never_repeat() {
    let directory = directory();
    let store = open(&directory).unwrap();
    let ids: Vec<SnapshotId> = (0..5)
        .map(|_| publish(&store, &directory, 1, "alpha").unwrap())
        .collect();
    assert!(ids.is_sorted_by(|left, right| left < right));
    let error = publish(&store, &directory, 1, "alpha").unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Limit);
    assert!(error.to_string().contains("at most 5"), "{error}");
    store.published().delete(&ids[4], START_US, true).unwrap();
    drop(store);
    let store = open(&directory).unwrap();
    let next = publish(&store, &directory, 1, "alpha").unwrap();
    assert!(next > ids[4], "{next}");
}

#[test]
fn an_id_is_found_in_the_snapshots_that_hold_it() {
    let directory = directory();
    let store = open(&directory).unwrap();
    let published = store.published();
    let first = publish(&store, &directory, 1, "delphi").unwrap();
    let second = publish(&store, &directory, 2, "m").unwrap();
    let holding = |domain, text: &str| published.holding(domain, text);
    let both = [first.clone(), second.clone()];
    assert_eq!(
        holding(Domain::Account, "beta"),
        both,
        "in the file that both link"
    );
    assert_eq!(holding(Domain::Account, "delphi"), both[..1]);
    assert_eq!(holding(Domain::User, "user of m"), both[1..]);
    assert_eq!(holding(Domain::User, "delphi"), []);
    assert_eq!(
        holding(Domain::Account, "gam"),
        [],
        "a prefix is another id"
    );
    assert_eq!(holding(Domain::Account, ""), []);
    assert_eq!(holding(Domain::Event, "delphi"), []);
    // A file that cannot be searched may hold anything that its bounds allow.
    let manifest = published.manifest("accounts", &second).unwrap().unwrap();
    let name = format!("snapshots/accounts/{second}/{}", manifest.files[0].path);
    directory.truncate(&name, 20).unwrap();
    assert_eq!(holding(Domain::Account, "m"), [second]);
    for id in holding(Domain::Account, "delphi") {
        published
            .revoke(&id, RevocationReason::Erased, START_US)
            .unwrap();
    }
    for (name, _) in directory.files() {
        if name.starts_with("snapshots/") {
            let bytes = directory.read(&name).unwrap();
            let found = bytes.windows(6).any(|window| window == b"delphi");
            assert!(!found, "{name} still holds the id");
        }
    }
}

#[test]
fn an_erasure_ends_the_drafts_that_began_before_it() {
    let directory = directory();
    let store = open(&directory).unwrap();
    let published = store.published();
    let early = terms(published, 1, START_US);
    let mut draft = published.begin(early).unwrap();
    fill(&mut draft, &directory, "delphi").unwrap();
    let open_file = draft.create("events", day() + 5).unwrap();
    published.abandon_drafts().unwrap();
    assert!(names(&directory).is_empty(), "{:?}", names(&directory));
    let errors = [
        draft.finish(open_file).unwrap_err(),
        draft.create("events", day() + 6).unwrap_err(),
        draft.commit().unwrap_err(),
        published.begin(early).unwrap_err(),
    ];
    for error in &errors[1..] {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
    assert!(names(&directory).is_empty());
    publish(&store, &directory, 2, "delphi").unwrap();
    check_whole(published, &directory);
}

#[test]
fn a_draft_that_is_dropped_leaves_nothing() {
    let directory = directory();
    let store = open(&directory).unwrap();
    let published = store.published();
    let mut draft = published.begin(terms(published, 1, START_US)).unwrap();
    fill(&mut draft, &directory, "delphi").unwrap();
    published.collect().unwrap();
    assert!(!names(&directory).is_empty(), "a draft is no orphan");
    drop(draft);
    assert!(names(&directory).is_empty(), "{:?}", names(&directory));
}

#[test]
fn files_must_have_the_columns_of_their_table_and_differ() {
    let directory = directory();
    let store = open(&directory).unwrap();
    let published = store.published();
    let mut draft = published.begin(terms(published, 1, START_US)).unwrap();
    let fewer = schema().project(&[0, 1]).unwrap();
    draft.table("users", &fewer).unwrap();
    draft.table("events", &schema()).unwrap();
    let bytes = parquet_of(day(), &["alpha"]);
    let error = draft.write_file("users", day(), &bytes).unwrap_err();
    assert!(error.to_string().contains("table users"), "{error}");
    draft.write_file("events", day(), &bytes).unwrap();
    let error = draft.write_file("events", day(), &bytes).unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
    let error = draft
        .write_file("events", day(), b"no parquet")
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Data, "{error}");
    for table in ["catalog", "../x", "accounts"] {
        let error = draft.write_file(table, day(), &bytes).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    }
    assert!(draft.table("revoked", &schema()).is_err());
    assert!(draft.table("events", &schema()).is_err());
}

#[test]
fn a_damaged_catalog_file_hides_its_snapshot_and_keeps_its_files() {
    let directory = directory();
    let store = open(&directory).unwrap();
    let id = publish(&store, &directory, 1, "alpha").unwrap();
    let kept = publish(&store, &directory, 2, "alpha").unwrap();
    drop(store);
    let before = names(&directory);
    let name = format!("snapshots/catalog/{id}.json");
    directory.flip_bit(&name, 60, 0).unwrap();
    let store = open(&directory).unwrap();
    let published = store.published();
    assert_eq!(names(&directory), before);
    assert_eq!(published.get(&id), None);
    assert_eq!(
        published.holding(Domain::Account, "nobody"),
        std::slice::from_ref(&id)
    );
    published
        .revoke(&id, RevocationReason::Erased, START_US)
        .unwrap();
    check_whole(published, &directory);
    // A damaged manifest is found out when it is read.
    let name = format!("snapshots/events/{kept}/manifest.json");
    let store = {
        drop(store);
        directory.flip_bit(&name, 100, 0).unwrap();
        open(&directory).unwrap()
    };
    let error = store.published().manifest("events", &kept).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Data);
    assert!(error.to_string().contains(&name), "{error}");
    assert_eq!(store.published().holding(Domain::User, "nobody"), [kept]);
}

#[test]
fn a_long_delta_log_gets_checkpoints_and_forgets_what_no_snapshot_needs() {
    let directory = directory();
    let store = open(&directory).unwrap();
    let published = store.published();
    for seq in 1..=35 {
        publish(&store, &directory, seq, "alpha").unwrap();
        let now_us = START_US + seq * 60_000_000 + HOUR_US;
        published.expire(now_us, 3).unwrap();
        if seq % 7 == 0 {
            check_whole(published, &directory);
        }
    }
    check_whole(published, &directory);
    let names = directory.list("snapshots/events/_delta_log").unwrap();
    let expected: Vec<String> = (20..35)
        .flat_map(|version| {
            let is_checkpoint = version % 10 == 0;
            let checkpoint = is_checkpoint.then(|| format!("{version:020}.checkpoint.parquet"));
            checkpoint
                .into_iter()
                .chain([format!("{version:020}.json")])
        })
        .chain(["_last_checkpoint".to_owned()])
        .collect();
    assert_eq!(names, expected);
    // The newest version is followed after a restart, and numbers go on.
    drop(store);
    let store = open(&directory).unwrap();
    for snapshot in store.published().list() {
        store
            .published()
            .delete(&snapshot.id, START_US, true)
            .unwrap();
    }
    check_whole(store.published(), &directory);
    let names = directory.list("snapshots/events/_delta_log").unwrap();
    // The two before it were not the newest when they were deleted.
    assert!(names.contains(&format!("{:020}.json", 35)), "{names:?}");
    publish(&store, &directory, 36, "alpha").unwrap();
    check_whole(store.published(), &directory);
}

#[test]
fn verify_reads_every_byte_of_published_snapshots() {
    let directory = directory();
    let store = open(&directory).unwrap();
    publish(&store, &directory, 1, "delta").unwrap();
    let gone = publish(&store, &directory, 2, "epsilon").unwrap();
    store
        .published()
        .revoke(&gone, RevocationReason::Deleted, START_US)
        .unwrap();
    store.close().unwrap();
    let damages = |directory: &FaultyDirectory| {
        let shared: Arc<dyn Directory> = Arc::new(directory.clone());
        let report = verify_directory(&shared, |_| {}).unwrap();
        let damages = report.damages.into_iter();
        damages.map(|damage| damage.file).collect::<Vec<_>>()
    };
    assert_eq!(damages(&directory), [""; 0]);
    let checked = |name: &&String| !name.contains("/_delta_log/");
    let names = names(&directory);
    let mut found = 0;
    for name in names.iter().filter(checked) {
        let length = directory.len(name).unwrap();
        for at in [0, length / 2, length - 1] {
            let image = directory.kill_image();
            image.flip_bit(name, at, 5).unwrap();
            // A file that two names stand for is named twice.
            assert!(damages(&image).contains(name), "{name} at {at}");
        }
        let image = directory.kill_image();
        image.remove(name).unwrap();
        let is_entry = name.contains("/catalog/") || name.contains("/revoked/");
        assert_eq!(damages(&image).contains(name), !is_entry, "{name} missing");
        found += 1;
    }
    assert!(found > 5, "{found} files");
}

//! Published snapshots: the same answers as SQL gives at their seq and instant, one seq for all
//! tables whatever goes on meanwhile, one schema for ever, plain Parquet.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Date32Type, Int64Type, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Type};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use support::{
    FixedClock, Layout, Row, append, batches, empty_store, engine_over, history, random_rows,
    request, store_of, texts,
};
use vitalog_event::day_of_timestamp_us;
use vitalog_query::{PublishRequest, PublishTable, QueryEngine, QueryErrorKind};
use vitalog_store::{Clock, DefinitionKind, Domain, PublishedSnapshot, Store};

const HOUR_US: i64 = 3_600_000_000;

/// The default model with a short period, so that there are few days to compute.
const DEFAULT: &str = "
name = \"default\"
period_days = 4
";

/// A second model, about users, with signals.
const PEOPLE: &str = "
name = \"people\"
entity = \"user\"
period_days = 3
features = [\"export\"]
[thresholds]
usage_frequency = { red = \"<= 0\", green = \"> 0\" }
[[dimension]]
name = \"product\"
signal = [{ metric = \"usage_frequency\" }, { metric = \"score\", info = true }]
[[segment]]
name = \"active\"
when = \"score >= 1\"
";

fn rows() -> Vec<Row> {
    let mut rows = history();
    rows.extend(random_rows(5, 120));
    // The end of the period of every model.
    for (at, user) in ["ann", "bob", "user 1"].into_iter().enumerate() {
        rows.push(Row {
            event_id: format!("recent {at}"),
            time_us: FixedClock.now_us() - (1 + at as i64) * 26 * HOUR_US,
            event: "login".to_owned(),
            account_id: Some("acme".to_owned()),
            user_id: Some(user.to_owned()),
            ..Row::default()
        });
    }
    rows
}

fn define_models(store: &Store) {
    for (name, text) in [("default", DEFAULT), ("people", PEOPLE)] {
        store
            .define(DefinitionKind::Model, name, Some(text))
            .unwrap();
    }
}

fn engine(layout: Layout) -> (Arc<Store>, QueryEngine) {
    let store = store_of(&rows(), layout);
    define_models(&store);
    let engine = engine_over(&store);
    (store, engine)
}

/// The files of a table in the order of the manifest, as other programs find them.
fn files(store: &Store, snapshot: &PublishedSnapshot, table: &str) -> Vec<(String, Vec<u8>)> {
    let manifest = store.published().manifest(table, &snapshot.id).unwrap();
    let manifest = manifest.unwrap();
    let read = |path: &str| {
        let name = format!("snapshots/{table}/{}/{path}", snapshot.id);
        store.directory().read(&name).unwrap()
    };
    let files = manifest.files.iter();
    files
        .map(|file| (file.path.clone(), read(&file.path)))
        .collect()
}

/// The rows of a table.
fn read(store: &Store, snapshot: &PublishedSnapshot, table: &str) -> RecordBatch {
    let mut all = Vec::new();
    let mut schema = None;
    for (_, bytes) in files(store, snapshot, table) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        let found = Arc::clone(reader.schema());
        assert_eq!(schema.get_or_insert_with(|| Arc::clone(&found)), &found);
        all.extend(reader.build().unwrap().map(Result::unwrap));
    }
    concat_batches(&schema.unwrap(), &all).unwrap()
}

/// The same without its last column, which must be `dt`.
fn without_day(batch: &RecordBatch) -> RecordBatch {
    let last = batch.num_columns() - 1;
    assert_eq!(batch.schema().field(last).name(), "dt");
    batch.project(&(0..last).collect::<Vec<_>>()).unwrap()
}

/// Rows as sorted text.
fn sorted(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let mut rows = texts(batches);
    rows.sort();
    rows
}

/// The answer to `sql` at the seq of `snapshot`.
async fn at_seq(engine: &QueryEngine, snapshot: &PublishedSnapshot, sql: &str) -> Vec<RecordBatch> {
    let mut request = request(sql);
    request.as_of_seq = Some(snapshot.seq);
    batches(engine, request).await.unwrap()
}

fn as_of(snapshot: &PublishedSnapshot) -> String {
    let text = vitalog_event::format_timestamp_us(snapshot.as_of_us);
    format!("TIMESTAMP '{text}'")
}

#[tokio::test]
async fn every_table_equals_what_sql_says_at_its_seq_and_instant() {
    let (store, engine) = engine(Layout::Mixed);
    let snapshot = engine.publish(PublishRequest::new(HOUR_US)).await.unwrap();
    assert_eq!(snapshot.seq, rows().len() as i64);
    assert_eq!(snapshot.tables.len(), PublishTable::ALL.len());
    // What comes later is no part of it.
    append(&store, &random_rows(6, 40));
    let as_of = as_of(&snapshot);
    let both = |relation: &str| {
        format!(
            "SELECT * FROM {relation}(model => 'default', {{}}) UNION ALL \
             SELECT * FROM {relation}(model => 'people', {{}})"
        )
    };
    let at = format!("as_of => {as_of}");
    let daily = |model: &str, days: i64| {
        format!(
            "SELECT * FROM health_history(model => '{model}', every => INTERVAL '24 hours', \
             since => {as_of} - INTERVAL '{days} days', until => {as_of})"
        )
    };
    let questions = [
        ("events", "SELECT * FROM events".to_owned()),
        ("accounts", "SELECT * FROM accounts".to_owned()),
        ("users", "SELECT * FROM users".to_owned()),
        ("health_scores", both("health_scores").replace("{}", &at)),
        (
            "account_signals",
            both("account_signals").replace("{}", &at),
        ),
        (
            "health_scores_daily",
            format!("{} UNION ALL {}", daily("default", 3), daily("people", 2)),
        ),
    ];
    for (table, sql) in questions {
        let published = read(&store, &snapshot, table);
        let expected = at_seq(&engine, &snapshot, &sql).await;
        let found = without_day(&published);
        assert!(found.num_rows() > 0, "{table}");
        assert_eq!(sorted(&[found]), sorted(&expected), "{table}");
        let manifest = store.published().manifest(table, &snapshot.id).unwrap();
        assert_eq!(manifest.unwrap().rows, published.num_rows() as u64);
    }
}

#[tokio::test]
async fn scores_are_the_relations_to_the_last_bit() {
    let (store, engine) = engine(Layout::Mixed);
    let snapshot = engine.publish(PublishRequest::new(HOUR_US)).await.unwrap();
    let found = without_day(&read(&store, &snapshot, "health_scores"));
    let mut expected = Vec::new();
    for model in ["default", "people"] {
        let sql = format!(
            "SELECT * FROM health_scores(model => '{model}', as_of => {}) \
             ORDER BY account_id NULLS LAST, user_id NULLS LAST",
            as_of(&snapshot)
        );
        expected.extend(at_seq(&engine, &snapshot, &sql).await);
    }
    // Which ids may be null differs from model to model.
    let schema = expected[0].schema();
    let fields = schema.fields().iter();
    let fields: Vec<_> = fields
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let expected: Vec<RecordBatch> = expected
        .iter()
        .map(|batch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()).unwrap())
        .collect();
    let expected = concat_batches(&schema, &expected).unwrap();
    assert_eq!(found.num_rows(), expected.num_rows());
    for (at, field) in expected.schema().fields().iter().enumerate() {
        let (found, expected) = (found.column(at), expected.column(at));
        if let DataType::List(_) = field.data_type() {
            // The name of the element is the file format's own.
            let (found, expected) = (found.as_list::<i32>(), expected.as_list::<i32>());
            assert_eq!(found.values(), expected.values(), "{}", field.name());
            assert_eq!(found.offsets(), expected.offsets(), "{}", field.name());
        } else {
            assert_eq!(found, expected, "{}", field.name());
        }
    }
}

#[tokio::test]
async fn each_entity_has_a_row_a_day_up_to_the_instant() {
    let (store, engine) = engine(Layout::Flushed);
    let snapshot = engine.publish(PublishRequest::new(HOUR_US)).await.unwrap();
    let daily = read(&store, &snapshot, "health_scores_daily");
    let days = daily
        .column_by_name("dt")
        .unwrap()
        .as_primitive::<Date32Type>();
    let models = daily.column_by_name("model").unwrap().as_string::<i32>();
    let today = day_of_timestamp_us(snapshot.as_of_us);
    for (model, length) in [("default", 4), ("people", 3)] {
        let found: BTreeSet<i32> = (0..daily.num_rows())
            .filter(|&row| models.value(row) == model)
            .map(|row| days.value(row))
            .collect();
        assert_eq!(found, (today - length + 1..=today).collect(), "{model}");
    }
    let last: Vec<RecordBatch> = (0..daily.num_rows())
        .filter(|&row| days.value(row) == today)
        .map(|row| daily.slice(row, 1))
        .collect();
    let scores = read(&store, &snapshot, "health_scores");
    assert_eq!(sorted(&last), sorted(&[scores]));
}

#[tokio::test]
async fn every_table_has_one_seq_while_events_come_in() {
    let (store, engine) = engine(Layout::Mixed);
    let (rounds, round) = mpsc::channel();
    let (done, is_done) = mpsc::channel();
    let appending = {
        let store = Arc::clone(&store);
        std::thread::spawn(move || {
            for first in round {
                for seed in first..first + 10 {
                    append(&store, &random_rows(seed, 7));
                }
                done.send(()).unwrap();
            }
        })
    };
    let mut request = PublishRequest::new(HOUR_US);
    request.tables = vec![
        PublishTable::Users,
        PublishTable::Events,
        PublishTable::Accounts,
    ];
    let mut seqs = BTreeSet::new();
    for at in 1..=3 {
        rounds.send(100 * at).unwrap();
        let snapshot = engine.publish(request.clone()).await.unwrap();
        is_done.recv().unwrap();
        let events = read(&store, &snapshot, "events");
        let seq = events
            .column_by_name("seq")
            .unwrap()
            .as_primitive::<Int64Type>();
        let seen: BTreeSet<i64> = seq.values().iter().copied().collect();
        assert_eq!(
            seen,
            (1..=snapshot.seq).collect(),
            "all events up to its seq"
        );
        for (table, id) in [("accounts", "account_id"), ("users", "user_id")] {
            let entities = read(&store, &snapshot, table);
            let counts = entities.column_by_name("events").unwrap();
            let counted: i64 = counts.as_primitive::<Int64Type>().values().iter().sum();
            let ids = events.column_by_name(id).unwrap();
            let names = events.column_by_name("event").unwrap().as_string::<i32>();
            let acted = (0..events.num_rows())
                .filter(|&row| ids.is_valid(row) && !names.value(row).starts_with('$'))
                .count();
            assert_eq!(counted, acted as i64, "{table}");
        }
        seqs.insert(snapshot.seq);
    }
    drop(rounds);
    appending.join().unwrap();
    // The last one saw the first two rounds, the first one at most its own.
    assert!(seqs.len() > 1, "events came in between: {seqs:?}");
}

#[tokio::test]
async fn what_comes_later_changes_no_file() {
    let (store, engine) = engine(Layout::Mixed);
    let before = engine.publish(PublishRequest::new(HOUR_US)).await.unwrap();
    let all = |snapshot: &PublishedSnapshot| {
        let tables = snapshot.tables.iter();
        let read = tables.map(|table| files(&store, snapshot, &table.name));
        read.collect::<Vec<_>>()
    };
    let kept = all(&before);
    // Late: on days that are published already.
    append(&store, &random_rows(9, 50));
    store.flush().unwrap();
    let after = engine.publish(PublishRequest::new(HOUR_US)).await.unwrap();
    assert_eq!(all(&before), kept);
    assert_eq!(after.seq, before.seq + 50);
    assert!(after.id > before.id);
    assert_eq!(store.published().latest("events").unwrap().id, after.id);
    let events = |snapshot| read(&store, snapshot, "events").num_rows();
    assert_eq!(events(&after), events(&before) + 50);
    let schema = |snapshot: &PublishedSnapshot, table: &str| {
        let manifest = store.published().manifest(table, &snapshot.id).unwrap();
        manifest.unwrap().schema.clone()
    };
    for table in PublishTable::ALL {
        let name = table.as_str();
        assert_eq!(schema(&before, name), schema(&after, name), "{name}");
    }
}

#[tokio::test]
async fn an_empty_store_publishes_empty_tables_of_the_same_schema() {
    let store = empty_store();
    define_models(&store);
    let empty = engine_over(&store)
        .publish(PublishRequest::new(HOUR_US))
        .await
        .unwrap();
    let (full_store, engine) = engine(Layout::Flushed);
    let full = engine.publish(PublishRequest::new(HOUR_US)).await.unwrap();
    for table in PublishTable::ALL {
        let name = table.as_str();
        assert_eq!(files(&store, &empty, name).len(), 1, "{name}");
        let found = read(&store, &empty, name);
        assert_eq!(found.num_rows(), 0, "{name}");
        assert_eq!(
            found.schema(),
            read(&full_store, &full, name).schema(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn files_are_plain_parquet_that_can_be_pruned() {
    let (store, engine) = engine(Layout::Mixed);
    let snapshot = engine.publish(PublishRequest::new(HOUR_US)).await.unwrap();
    for table in PublishTable::ALL {
        for (path, bytes) in files(&store, &snapshot, table.as_str()) {
            let footer = footer(bytes);
            let days: BTreeSet<&str> = path.split('/').take(1).collect();
            assert!(days.iter().all(|day| day.starts_with("dt=")), "{path}");
            for column in footer.file_metadata().schema_descr().columns() {
                let (name, kind) = (column.name(), column.physical_type());
                assert_ne!(kind, Type::INT96, "{name}");
                let logical = format!("{:?}", column.logical_type_ref());
                assert!(!logical.contains("is_signed: false"), "{name}: {logical}");
                if name.ends_with("_time") || name.ends_with("_at") {
                    assert_eq!(kind, Type::INT64);
                    assert!(
                        logical.contains("is_adjusted_to_u_t_c: true"),
                        "{name}: {logical}"
                    );
                    assert!(
                        logical.to_uppercase().contains("MICROS"),
                        "{name}: {logical}"
                    );
                }
            }
            assert!(footer.column_index().is_some() && footer.offset_index().is_some());
            assert_eq!(footer.file_metadata().key_value_metadata(), None);
            for group in footer.row_groups() {
                let sorting = group.sorting_columns().unwrap();
                assert!(!sorting.is_empty() && !sorting[0].descending, "{path}");
                for column in group.columns() {
                    assert!(
                        matches!(column.compression(), Compression::ZSTD(_)),
                        "{path}"
                    );
                    let name = column.column_path().string();
                    let is_id = ["account_id", "user_id", "event_id"].contains(&name.as_str());
                    assert_eq!(column.bloom_filter_offset().is_some(), is_id, "{name}");
                }
            }
        }
    }
    let manifest = store
        .published()
        .manifest("events", &snapshot.id)
        .unwrap()
        .unwrap();
    let mut paths = BTreeSet::new();
    for file in &manifest.files {
        let day = file.path.split('/').next().unwrap();
        assert_eq!(day, format!("dt={}", file.dt));
        assert!(paths.insert(&file.path), "each file once");
        let (Some(min), Some(max)) = (file.min.event_time_us, file.max.event_time_us) else {
            panic!("{file:?}");
        };
        assert_eq!(day_of_timestamp_us(min), day_of_timestamp_us(max));
    }
}

fn footer(bytes: Vec<u8>) -> ParquetMetaData {
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(&bytes::Bytes::from(bytes))
        .unwrap()
}

#[tokio::test]
async fn events_of_a_day_stand_in_the_order_of_the_store() {
    for layout in Layout::ALL {
        let (store, engine) = engine(layout);
        let mut request = PublishRequest::new(HOUR_US);
        request.tables = vec![PublishTable::Events];
        let snapshot = engine.publish(request).await.unwrap();
        for (path, bytes) in files(&store, &snapshot, "events") {
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
            let batches: Vec<_> = reader
                .unwrap()
                .build()
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let schema = batches[0].schema();
            let rows = texts(&batches);
            let keys: Vec<_> = rows
                .iter()
                .map(|row| {
                    let part = |name: &str| {
                        let text = row[schema.index_of(name).unwrap()].clone();
                        (text == "NULL", text)
                    };
                    let seq: i64 = part("seq").1.parse().unwrap();
                    (part("account_id"), part("user_id"), part("event_time"), seq)
                })
                .collect();
            assert!(keys.is_sorted(), "{path} ({layout:?})");
        }
    }
}

#[tokio::test]
async fn an_erased_id_is_found_where_it_was_published() {
    let (store, engine) = engine(Layout::Mixed);
    let mut request = PublishRequest::new(HOUR_US);
    let all = engine.publish(request.clone()).await.unwrap().id;
    request.tables = vec![PublishTable::Users];
    let users = engine.publish(request.clone()).await.unwrap().id;
    let holding = |domain, id: &str| store.published().holding(domain, id);
    assert_eq!(holding(Domain::Account, "acme"), std::slice::from_ref(&all));
    assert_eq!(holding(Domain::User, "ann"), [all, users]);
    assert_eq!(holding(Domain::User, "nobody"), []);
}

#[tokio::test]
async fn requests_that_make_no_sense_leave_nothing() {
    let (store, engine) = engine(Layout::Memory);
    let error = engine.publish(PublishRequest::new(0)).await.unwrap_err();
    assert_eq!(error.kind(), QueryErrorKind::Invalid);
    let mut request = PublishRequest::new(HOUR_US);
    request.deadline = Some(std::time::Duration::ZERO);
    let error = engine.publish(request).await.unwrap_err();
    assert_eq!(error.kind(), QueryErrorKind::Limit, "{error}");
    assert_eq!(store.published().list(), []);
    assert!(
        store
            .directory()
            .folders("snapshots")
            .unwrap()
            .iter()
            .all(|table| {
                let folder = format!("snapshots/{table}");
                store.directory().folders(&folder).unwrap().is_empty()
            })
    );
}

/// A model that looks back past the days that are kept is left out by name; all else is there.
#[tokio::test]
async fn a_model_that_asks_for_dropped_days_is_left_out_and_named() {
    let mut rows = rows();
    rows.push(Row {
        event_id: "ancient".to_owned(),
        time_us: FixedClock.now_us() - 130 * 24 * HOUR_US,
        event: "login".to_owned(),
        account_id: Some("acme".to_owned()),
        user_id: Some("ann".to_owned()),
        ..Row::default()
    });
    let store = store_of(&rows, Layout::Mixed);
    define_models(&store);
    let steps = "name = \"steps\"\nperiod_days = 2\nsteps = [\"login\", \"export\"]";
    store
        .define(DefinitionKind::Model, "steps", Some(steps))
        .unwrap();
    let engine = engine_over(&store);
    let whole = engine.publish(PublishRequest::new(HOUR_US)).await.unwrap();
    let models = |table: &str, snapshot: &PublishedSnapshot| -> BTreeSet<String> {
        let rows = read(&store, snapshot, table);
        let names = rows.column_by_name("model").unwrap();
        let names = names.as_string::<i32>().iter().flatten();
        names.map(str::to_owned).collect()
    };
    assert!(models("health_scores", &whole).contains("steps"));
    // Further back than every other model looks.
    let day = day_of_timestamp_us(FixedClock.now_us()) - 100;
    store.retain_from(day, Box::new(|_| {})).unwrap();
    let snapshot = engine.publish(PublishRequest::new(HOUR_US)).await.unwrap();
    for table in ["health_scores", "account_signals", "health_scores_daily"] {
        let manifest = store.published().manifest(table, &snapshot.id).unwrap();
        for left_out in &manifest.unwrap().left_out {
            assert!(left_out.reason.contains("RETENTION"), "{left_out:?}");
            assert!(!models(table, &snapshot).contains(&left_out.model));
        }
    }
    let scores = store.published().manifest("health_scores", &snapshot.id);
    let left_out = scores.unwrap().unwrap().left_out.clone();
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert_eq!(left_out[0].model, "steps");
    assert!(models("health_scores", &snapshot).contains("default"));
    assert!(read(&store, &snapshot, "events").num_rows() > 0);
}

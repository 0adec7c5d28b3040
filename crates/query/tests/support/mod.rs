//! Small stores for the tests of the query engine, in memory, in three layouts of the same rows.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use vitalog_disk::FaultyDirectory;
use vitalog_event::{EventBatchBuilder, EventDraft, parse_timestamp_us};
use vitalog_query::{QueryConfig, QueryEngine, QueryError, QueryRequest};
use vitalog_store::{Clock, CompactionGoal, Store, StoreConfig};

/// One event as a test writes it.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub event_id: String,
    pub time_us: i64,
    pub event: String,
    pub account_id: Option<String>,
    pub user_id: Option<String>,
    pub value: Option<f64>,
    pub properties: Option<String>,
}

/// Where the rows of a store lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All in memory.
    Memory,
    /// All in segments of one flush.
    Flushed,
    /// All in cold files, one a day.
    Cold,
    /// A quarter each in cold files, an older segment, a newer segment and memory.
    Mixed,
}

impl Layout {
    pub const ALL: [Self; 4] = [Self::Memory, Self::Flushed, Self::Cold, Self::Mixed];
}

/// A clock that stands still.
#[derive(Debug)]
pub struct FixedClock;

impl Clock for FixedClock {
    fn now_us(&self) -> i64 {
        parse_timestamp_us("2025-06-01T00:00:00Z").unwrap()
    }
}

/// A clock that is set by hand, microseconds since 1970.
#[derive(Debug)]
pub struct MovingClock(AtomicI64);

impl MovingClock {
    pub fn at(text: &str) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(parse_timestamp_us(text).unwrap())))
    }

    pub fn set(&self, text: &str) {
        self.set_us(parse_timestamp_us(text).unwrap());
    }

    pub fn set_us(&self, now_us: i64) {
        self.0.store(now_us, Ordering::SeqCst);
    }
}

impl Clock for MovingClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// An empty store in memory.
pub fn empty_store() -> Arc<Store> {
    empty_store_with(Arc::new(FixedClock))
}

/// An empty store in memory that reads `clock`.
pub fn empty_store_with(clock: Arc<dyn Clock>) -> Arc<Store> {
    let directory = Arc::new(FaultyDirectory::new());
    let config = StoreConfig {
        wal_file_bytes: 1 << 20,
        ..StoreConfig::default()
    };
    let (store, _) = Store::open(directory, config, clock).unwrap();
    Arc::new(store)
}

/// Appends `rows`, whose seqs follow those that are there.
pub fn append(store: &Store, rows: &[Row]) {
    append_at(store, rows, FixedClock.now_us());
}

/// The same where now is `now_us`.
pub fn append_at(store: &Store, rows: &[Row], now_us: i64) {
    for part in rows.chunks(7) {
        let mut batch = EventBatchBuilder::new(now_us);
        for row in part {
            batch.push(&EventDraft {
                event_id: Some(&row.event_id),
                event_time_us: Some(row.time_us),
                time_is_stamped: false,
                event: Some(&row.event),
                account_id: row.account_id.as_deref(),
                user_id: row.user_id.as_deref(),
                value: row.value,
                properties: row.properties.as_deref(),
            });
        }
        let (batch, rejections) = batch.finish();
        assert!(rejections.is_empty(), "{rejections:?}");
        let receipt = store.append(batch).unwrap();
        assert_eq!(receipt.accepted, part.len());
    }
}

/// A store with `rows`, whose seqs are 1, 2, … in their order.
pub fn store_of(rows: &[Row], layout: Layout) -> Arc<Store> {
    store_with(rows, layout, Arc::new(FixedClock))
}

/// The same for a store that reads `clock`.
pub fn store_with(rows: &[Row], layout: Layout, clock: Arc<dyn Clock>) -> Arc<Store> {
    let now = Arc::clone(&clock);
    let store = empty_store_with(clock);
    let append = |rows: &[Row]| append_at(&store, rows, now.now_us());
    let quarter = rows.len().div_ceil(4).max(1);
    let compact = || store.compact(CompactionGoal::AllCold).unwrap();
    match layout {
        Layout::Memory => append(rows),
        Layout::Flushed => {
            append(rows);
            store.flush().unwrap();
        }
        Layout::Cold => {
            append(rows);
            store.flush().unwrap();
            compact();
        }
        Layout::Mixed => {
            for (at, part) in rows.chunks(quarter).enumerate() {
                append(part);
                if at < 3 {
                    store.flush().unwrap();
                }
                if at == 0 {
                    compact();
                }
            }
        }
    }
    store
}

/// An engine over `store` with two partitions and small batches.
pub fn engine_over(store: &Arc<Store>) -> QueryEngine {
    let config = QueryConfig {
        scan_threads: 2,
        partitions: 2,
        batch_rows: 5,
        ..QueryConfig::default()
    };
    QueryEngine::new(Arc::clone(store), config).unwrap()
}

/// A statement with the rights of the wire.
pub fn request(sql: &str) -> QueryRequest {
    QueryRequest::new(sql)
}

/// All batches of an answer.
pub async fn batches(
    engine: &QueryEngine,
    request: QueryRequest,
) -> Result<Vec<RecordBatch>, QueryError> {
    engine.query(request).await?.try_collect().await
}

/// The error of a statement that must fail.
pub async fn error_of(engine: &QueryEngine, request: QueryRequest) -> QueryError {
    let sql = request.sql.clone();
    match batches(engine, request).await {
        Err(error) => error,
        Ok(batches) => panic!("{sql} gave {} batches", batches.len()),
    }
}

/// Rows of an answer as text, NULL as `NULL`.
pub async fn rows(engine: &QueryEngine, request: QueryRequest) -> Vec<Vec<String>> {
    texts(&batches(engine, request).await.unwrap())
}

/// The answer to `sql` as text.
pub async fn answer(engine: &QueryEngine, sql: &str) -> Vec<Vec<String>> {
    rows(engine, request(sql)).await
}

/// Every value as text.
pub fn texts(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = arrow::util::display::FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| {
                arrow::util::display::ArrayFormatter::try_new(column.as_ref(), &options).unwrap()
            })
            .collect();
        for row in 0..batch.num_rows() {
            rows.push(
                columns
                    .iter()
                    .map(|column| column.value(row).to_string())
                    .collect(),
            );
        }
    }
    rows
}

/// A generator of equally distributed numbers; the seed is the test's.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Random events of a few accounts, users and names over some days, nulls included, in an order
/// of arrival that is not the order of time.
pub fn random_rows(seed: u64, count: usize) -> Vec<Row> {
    let mut random = Random(seed);
    let start = parse_timestamp_us("2025-03-01").unwrap();
    let name = |random: &mut Random, stem: &str, of: u64| {
        (random.below(5) > 0).then(|| format!("{stem} {}", random.below(of)))
    };
    (0..count)
        .map(|at| Row {
            event_id: format!("event-id-{seed}-{at:08}"),
            // Few distinct times, so that bounds and ties are met.
            time_us: start + random.below(8 * 24) as i64 * 3_600_000_000,
            event: format!("event {}", random.below(4)),
            account_id: name(&mut random, "an account with a long id", 3),
            user_id: name(&mut random, "user", 5),
            value: (random.below(3) > 0).then(|| random.below(100) as f64),
            properties: (random.below(3) > 0).then(|| format!("{{\"n\":{}}}", random.below(9))),
        })
        .collect()
}

/// A short history with traits, late events and nulls, which the `.slt` files ask about.
pub fn history() -> Vec<Row> {
    // id, time, event, account, user, value, properties; empty text is NULL.
    const ROWS: &[(&str, &str, &str, &str, &str, f64, &str)] = &[
        (
            "g1",
            "2025-03-01T08:00:00Z",
            "$group",
            "acme",
            "ann",
            f64::NAN,
            r#"{"name":"Acme","plan":"free","seats":5,"created_at":"2025-01-15","mrr":0}"#,
        ),
        (
            "i1",
            "2025-03-01T08:00:00Z",
            "$identify",
            "",
            "ann",
            f64::NAN,
            r#"{"name":"Ann","email":"ann@acme.test","role":"admin","created_at":1736899200000}"#,
        ),
        (
            "e1",
            "2025-03-01T09:00:00Z",
            "login",
            "acme",
            "ann",
            f64::NAN,
            "",
        ),
        (
            "e2",
            "2025-03-01T09:05:00Z",
            "export",
            "acme",
            "ann",
            3.0,
            r#"{"format":"csv"}"#,
        ),
        (
            "e3",
            "2025-03-01T10:00:00Z",
            "login",
            "acme",
            "bob",
            f64::NAN,
            r#"{"ip":"10.0.0.1"}"#,
        ),
        (
            "e4",
            "2025-03-02T09:00:00Z",
            "login",
            "acme",
            "bob",
            f64::NAN,
            "",
        ),
        (
            "e5",
            "2025-03-02T11:00:00Z",
            "login",
            "globex",
            "ann",
            f64::NAN,
            "",
        ),
        (
            "e6",
            "2025-03-02T11:30:00Z",
            "invoice",
            "globex",
            "",
            120.5,
            r#"{"currency":"EUR"}"#,
        ),
        (
            "e7",
            "2025-03-02T12:00:00Z",
            "heartbeat",
            "",
            "",
            f64::NAN,
            "",
        ),
        (
            "e8",
            "2025-03-03T00:00:00Z",
            "login",
            "",
            "cid",
            f64::NAN,
            r#"{"ip":"10.0.0.2"}"#,
        ),
        // Late: the newest plan came in first.
        (
            "g2",
            "2025-03-04T00:00:00Z",
            "$group",
            "acme",
            "",
            f64::NAN,
            r#"{"plan":"pro","mrr":99.5}"#,
        ),
        (
            "g3",
            "2025-03-03T00:00:00Z",
            "$group",
            "acme",
            "",
            f64::NAN,
            r#"{"plan":"team","seats":null}"#,
        ),
        (
            "g4",
            "2025-03-04T00:00:00Z",
            "$group",
            "initech",
            "",
            f64::NAN,
            r#"{"name":"Initech","churned_at":"2025-03-04T00:00:00Z","churn_type":"voluntary","renewal_at":"never"}"#,
        ),
        // Bob leaves acme; cid leaves and comes back.
        (
            "g5",
            "2025-03-05T00:00:00Z",
            "$group",
            "acme",
            "bob",
            f64::NAN,
            r#"{"removed_at":"2025-03-05T00:00:00Z"}"#,
        ),
        (
            "g6",
            "2025-03-05T00:00:00Z",
            "$group",
            "acme",
            "cid",
            f64::NAN,
            r#"{"removed_at":"2025-03-04T12:00:00Z"}"#,
        ),
        (
            "e9",
            "2025-03-06T07:00:00Z",
            "login",
            "acme",
            "cid",
            f64::NAN,
            "",
        ),
        // Very late.
        (
            "e10",
            "2025-03-01T07:00:00Z",
            "login",
            "acme",
            "ann",
            f64::NAN,
            "",
        ),
        (
            "e11",
            "2025-03-02T23:59:59.999999Z",
            "export",
            "globex",
            "ann",
            7.0,
            r#"{"format":"pdf","pages":3}"#,
        ),
    ];
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ROWS.iter()
        .map(
            |&(event_id, time, event, account, user, value, properties)| Row {
                event_id: event_id.to_owned(),
                time_us: parse_timestamp_us(time).unwrap(),
                event: event.to_owned(),
                account_id: text(account),
                user_id: text(user),
                value: (!value.is_nan()).then_some(value),
                properties: text(properties),
            },
        )
        .collect()
}

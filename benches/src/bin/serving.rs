//! What a server's readers cost: how soon a dropped statement's work ends, what many readers take
//! from appends, and how long the smallest questions take, in one run.
//!
//! `cargo run --release -p vitalog-benches --bin serving -- --help`
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use arrow_flight::sql::client::FlightSqlServiceClient;
use clap::Parser;
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use vitalog::simulate::{Simulation, SimulationConfig};
use vitalog_benches::{Times, machine, milliseconds, print_table};
use vitalog_disk::{Directory, RealDirectory};
use vitalog_event::{EventBatchBuilder, day_of_timestamp_us};
use vitalog_query::{QueryConfig, QueryEngine};
use vitalog_server::{Server, ServerConfig, ServerError, Shutdown};
use vitalog_store::{Clock, Store, StoreConfig, SystemClock};
use vitalog_wire::vitalog::v1::append_request::Batch;
use vitalog_wire::vitalog::v1::event_service_client::EventServiceClient;
use vitalog_wire::vitalog::v1::health_service_client::HealthServiceClient;
use vitalog_wire::vitalog::v1::query_response::Part;
use vitalog_wire::vitalog::v1::query_service_client::QueryServiceClient;
use vitalog_wire::vitalog::v1::{
    AppendRequest, Entity, Event, EventBatch, GetScoresRequest, QueryRequest, QueryResponse,
    ReadRequest, ReadResponse,
};

/// Turns of appends alone and of appends beside readers, so that a noisy moment of the machine meets
/// both.
const ROUNDS: usize = 5;

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events of the store.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Statements dropped of each kind.
    #[arg(long, default_value_t = 20)]
    drops: usize,
    /// Appends measured in each setting.
    #[arg(long, default_value_t = 2_000)]
    appends: usize,
    /// Readers that follow the log and get nothing.
    #[arg(long, default_value_t = 200)]
    idle: usize,
    /// Readers that ask one statement after another.
    #[arg(long, default_value_t = 32)]
    busy: usize,
    /// Calls of each small question.
    #[arg(long, default_value_t = 500)]
    calls: usize,
    /// The disk; a folder of its own is made in it.
    #[arg(long, default_value = ".")]
    disk: PathBuf,
}

/// Statements that would run for long, each held up in another operator.
const LONG: [(&str, &str); 9] = [
    (
        "series",
        "SELECT a.value FROM generate_series(1, 10000000000) a(value)",
    ),
    (
        "join without a match",
        "SELECT a.value FROM generate_series(1, 3000000) a(value) \
         JOIN generate_series(1, 3000000) b(value) ON a.value + b.value < 0",
    ),
    (
        "equal join without a match",
        "SELECT a.value FROM generate_series(1, 2000000) a(value) \
         JOIN generate_series(1, 2000000) b(value) \
         ON a.value % 2 = b.value % 2 AND a.value + b.value < 0",
    ),
    (
        "cross join, counted",
        "SELECT count(*) FROM generate_series(1, 100000000) a(value) \
         CROSS JOIN generate_series(1, 100000000) b(value)",
    ),
    (
        "sort",
        "SELECT event_id FROM generate_series(1, 5), events ORDER BY event_id DESC",
    ),
    (
        "many groups",
        "SELECT event_id, copy, count(*) FROM generate_series(1, 5) b(copy), events \
         GROUP BY event_id, copy",
    ),
    (
        "window",
        "SELECT sum(a.value) OVER (PARTITION BY user_id, copy ORDER BY seq DESC) \
         FROM generate_series(1, 5) b(copy), events a",
    ),
    (
        "recursion",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
    ),
    (
        "JSON of every event",
        "SELECT count(DISTINCT properties ->> 'country') FROM events a, generate_series(1, 100)",
    ),
];

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir_in(&arguments.disk)?;
    let store = filled(&folder.path().join("store"), arguments.events)?;
    println!("{}; {} events\n", machine(), arguments.events);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let served = Served::start(Arc::clone(&store), arguments.busy + 8).await?;
        drops(&served, &arguments).await?;
        small(&served, arguments.calls).await?;
        readers(&served, &arguments).await?;
        served.stop().await
    })?;
    store.close()?;
    Ok(())
}

/// A store with simulated events, flushed.
fn filled(place: &std::path::Path, events: u64) -> anyhow::Result<Arc<Store>> {
    let directory: Arc<dyn Directory> = Arc::new(RealDirectory::open(place)?);
    let opened = Store::open(directory, StoreConfig::default(), Arc::new(SystemClock))?;
    let store = Arc::new(opened.0);
    let end_day = day_of_timestamp_us(SystemClock.now_us()) - 1;
    for chunk in Simulation::new(SimulationConfig::scaled(events, 1, end_day))? {
        let mut batch = EventBatchBuilder::new(SystemClock.now_us());
        for draft in chunk.drafts() {
            batch.push(&draft);
        }
        store.append(batch.finish().0)?;
    }
    store.flush()?;
    Ok(store)
}

/// A server of this process.
struct Served {
    endpoint: Endpoint,
    /// Shared by those that read; a writer has a connection of its own.
    channel: Channel,
    http: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<Shutdown, ServerError>>,
}

impl Served {
    async fn start(store: Arc<Store>, queries_max: usize) -> anyhow::Result<Self> {
        let engine = QueryEngine::new(Arc::clone(&store), QueryConfig::default())?;
        let config = ServerConfig {
            grpc: "127.0.0.1:0".parse()?,
            http: "127.0.0.1:0".parse()?,
            queries_max,
            ..ServerConfig::default()
        };
        let server = Server::bind(store, engine, config).await?;
        let (address, http) = (server.local_addr(), server.http_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        Ok(Self {
            channel: endpoint.connect().await?,
            endpoint,
            http,
            stop,
            running,
        })
    }

    fn queries(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.channel.clone())
    }

    async fn stop(self) -> anyhow::Result<()> {
        let _ = self.stop.send(());
        self.running.await??;
        Ok(())
    }
}

fn sql(sql: &str) -> QueryRequest {
    QueryRequest {
        sql: sql.to_owned(),
        ..QueryRequest::default()
    }
}

/// A way to send a statement.
#[derive(Clone, Copy)]
enum Surface {
    Grpc,
    FlightSql,
    Http,
}

impl Surface {
    const ALL: [(Self, &str); 3] = [
        (Self::Grpc, "Query"),
        (Self::FlightSql, "Flight SQL"),
        (Self::Http, "POST /query"),
    ];

    /// Sends a statement and takes its answer as fast as it comes, until it ends.
    async fn ask(self, channel: Channel, http: SocketAddr, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Grpc => {
                let mut client = QueryServiceClient::new(channel);
                let mut stream = client.query(sql(text)).await?.into_inner();
                while stream.message().await?.is_some() {}
            }
            Self::FlightSql => {
                let mut client = FlightSqlServiceClient::new(channel);
                let info = client.execute(text.to_owned(), None).await?;
                let ticket = info.endpoint.into_iter().find_map(|end| end.ticket);
                let mut stream = client.do_get(ticket.context("no ticket")?).await?;
                while stream.try_next().await?.is_some() {}
            }
            Self::Http => {
                let mut stream = TcpStream::connect(http).await?;
                let head = format!(
                    "POST /query HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n\
                     content-type: application/sql\r\n\
                     content-length: {}\r\n\r\n",
                    text.len()
                );
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(text.as_bytes()).await?;
                let mut answer = vec![0; 1 << 16];
                let first = stream.read(&mut answer).await?;
                let is_ok = answer[..first].starts_with(b"HTTP/1.1 200");
                ensure!(is_ok, "{}", String::from_utf8_lossy(&answer[..first]));
                while stream.read(&mut answer).await? > 0 {}
            }
        }
        anyhow::bail!("the answer ended by itself")
    }
}

/// From the drop of an answer to the last moment at which the engine's threads computed.
async fn drops(served: &Served, arguments: &Arguments) -> anyhow::Result<()> {
    for (surface, surface_name) in Surface::ALL {
        let mut rows = Vec::new();
        for (name, text) in LONG {
            let mut times = Vec::with_capacity(arguments.drops);
            for round in 0..arguments.drops {
                let (channel, http) = (served.channel.clone(), served.http);
                let mut asking = tokio::spawn(surface.ask(channel, http, text));
                // At another moment of its work each time.
                let moment = Duration::from_millis(20 + 15 * round as u64);
                if let Ok(ended) = tokio::time::timeout(moment, &mut asking).await {
                    ended?.with_context(|| format!("{surface_name}: {name}"))?;
                }
                let dropped = Instant::now();
                asking.abort();
                times.push(tokio::task::spawn_blocking(move || quiet_since(dropped)).await??);
            }
            rows.push(row_of(name, &Times::of(times), "100"));
        }
        let title = format!("dropped {surface_name}: CPU quiet after, ms");
        print_table(&[&title, "p50", "p99", "goal p99"], &rows);
        println!();
    }
    Ok(())
}

/// How long after `dropped` the engine's threads last computed: looked at until they did nothing
/// for 30 ms.
fn quiet_since(dropped: Instant) -> anyhow::Result<Duration> {
    const LOOK: Duration = Duration::from_millis(1);
    const QUIET: Duration = Duration::from_millis(30);
    const PATIENCE: Duration = Duration::from_secs(60);
    let mut last_work = Duration::ZERO;
    let mut before = engine_nanoseconds()?;
    while dropped.elapsed() < PATIENCE {
        std::thread::sleep(LOOK);
        let now = engine_nanoseconds()?;
        // A twentieth of a millisecond is a thread that wakes and sleeps again; less than before is
        // one that has ended.
        if now.saturating_sub(before) > 50_000 {
            last_work = dropped.elapsed();
        }
        before = now;
        if dropped.elapsed() > last_work + QUIET {
            return Ok(last_work);
        }
    }
    anyhow::bail!("the work went on for {PATIENCE:?}")
}

/// Nanoseconds that the threads of the query engine, and those that encode its answers, have
/// computed.
fn engine_nanoseconds() -> anyhow::Result<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").context("needs Linux")? {
        let path = task?.path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if !["vitalog-query", "vitalog-read"].contains(&name.trim()) {
            continue;
        }
        let times = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        let first = times.split_whitespace().next().unwrap_or("0");
        sum += first.parse::<u64>()?;
    }
    Ok(sum)
}

/// The smallest questions, one after another, `calls` of each call and a fifth of each statement.
async fn small(served: &Served, calls: usize) -> anyhow::Result<()> {
    let mut health = HealthServiceClient::new(served.channel.clone());
    let page = GetScoresRequest {
        entity: Entity::Account.into(),
        page_size: 100,
        ..GetScoresRequest::default()
    };
    let first = health.get_scores(page.clone()).await?.into_inner();
    let ids: Vec<String> = first
        .scores
        .iter()
        .filter_map(|score| score.account_id.clone())
        .collect();
    let account_id = ids.first().context("the store has no accounts")?;
    let last_events = format!(
        "SELECT event_time, event FROM events WHERE account_id = '{account_id}' \
         ORDER BY seq DESC LIMIT 10"
    );
    let mut rows = Vec::new();
    for (name, text) in [
        ("SELECT 1", "SELECT 1"),
        ("last events of an account", last_events.as_str()),
        ("system.queries", "SELECT count(*) FROM system.queries"),
    ] {
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls.div_ceil(5) {
            let begun = Instant::now();
            answer(&mut served.queries(), text).await?;
            times.push(begun.elapsed());
        }
        rows.push(row_of(name, &Times::of(times), "-"));
    }
    let by_id = GetScoresRequest {
        entity: Entity::Account.into(),
        account_ids: ids,
        ..GetScoresRequest::default()
    };
    for (name, request) in [
        ("GetScores, 100 ids", by_id),
        ("GetScores, a page of 100", page),
    ] {
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let begun = Instant::now();
            health.get_scores(request.clone()).await?;
            times.push(begun.elapsed());
        }
        rows.push(row_of(name, &Times::of(times), "5"));
    }
    print_table(&["over loopback, ms", "p50", "p99", "goal p99"], &rows);
    println!();
    Ok(())
}

/// The whole answer of a statement.
async fn answer(client: &mut QueryServiceClient<Channel>, text: &str) -> anyhow::Result<()> {
    let mut stream = client.query(sql(text)).await?.into_inner();
    let mut is_whole = false;
    while let Some(message) = stream.message().await? {
        is_whole |= matches!(message.part, Some(Part::Statistics(_)));
    }
    ensure!(is_whole, "{text}: the answer broke off");
    Ok(())
}

/// Durable appends alone and beside idle, busy and slow readers, in turn.
async fn readers(served: &Served, arguments: &Arguments) -> anyhow::Result<()> {
    let count = arguments.appends.div_ceil(ROUNDS);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let mut answered = 0;
    for round in 0..ROUNDS {
        alone.extend(appends(served, count, 2 * round).await?);
        let crowd = Crowd::gather(served, arguments).await?;
        beside.extend(appends(served, count, 2 * round + 1).await?);
        answered += crowd.leave().await?;
        // What they leave behind is no part of the next turn alone.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (alone, beside) = (Times::of(alone), Times::of(beside));
    let ratio = beside.percentile(99).as_secs_f64() / alone.percentile(99).as_secs_f64();
    let name = format!(
        "beside {} idle, {} busy and a slow reader",
        arguments.idle, arguments.busy
    );
    let rows = [
        row_of("alone", &alone, "-"),
        row_of(&name, &beside, &format!("{ratio:.1} times alone")),
    ];
    print_table(
        &["durable append of 10 events, ms", "p50", "p99", ""],
        &rows,
    );
    println!("\n{answered} statements were answered meanwhile");
    Ok(())
}

/// Everybody who reads while others append.
struct Crowd {
    idle: Vec<Streaming<ReadResponse>>,
    /// Has begun an answer and never goes on.
    slow: Streaming<QueryResponse>,
    busy: Vec<JoinHandle<anyhow::Result<usize>>>,
    is_over: Arc<AtomicBool>,
}

impl Crowd {
    async fn gather(served: &Served, arguments: &Arguments) -> anyhow::Result<Self> {
        let mut events = EventServiceClient::new(served.channel.clone());
        let mut idle = Vec::new();
        for _ in 0..arguments.idle {
            let follow = ReadRequest {
                events: vec!["never".to_owned()],
                follow: true,
                ..ReadRequest::default()
            };
            idle.push(events.read(follow).await?.into_inner());
        }
        let mut slow = QueryServiceClient::new(served.endpoint.connect().await?);
        let slow = slow.query(sql(LONG[0].1)).await?.into_inner();
        let is_over = Arc::new(AtomicBool::new(false));
        let busy = (0..arguments.busy).map(|_| {
            let (mut client, is_over) = (served.queries(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut answered = 0;
                while !is_over.load(Ordering::Relaxed) {
                    answer(
                        &mut client,
                        "SELECT event, count(*) FROM events GROUP BY event",
                    )
                    .await?;
                    answered += 1;
                }
                Ok(answered)
            })
        });
        Ok(Self {
            idle,
            slow,
            busy: busy.collect(),
            is_over,
        })
    }

    /// How many statements were answered.
    async fn leave(self) -> anyhow::Result<usize> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut answered = 0;
        for reader in self.busy {
            answered += reader.await??;
        }
        drop((self.slow, self.idle));
        Ok(answered)
    }
}

async fn appends(served: &Served, count: usize, part: usize) -> anyhow::Result<Vec<Duration>> {
    let mut client = EventServiceClient::new(served.endpoint.connect().await?);
    let now_us = SystemClock.now_us();
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let event = |n: usize| Event {
            event_id: Some(format!("serving-{part}-{number}-{n}")),
            event_time: Some(prost_types::Timestamp {
                seconds: now_us / 1_000_000,
                nanos: 0,
            }),
            event: "measured".to_owned(),
            ..Event::default()
        };
        let request = AppendRequest {
            batch: Some(Batch::Events(EventBatch {
                events: (0..10).map(event).collect(),
            })),
            ..AppendRequest::default()
        };
        let begun = Instant::now();
        client.append(request).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

fn row_of(name: &str, times: &Times, goal: &str) -> Vec<String> {
    vec![
        name.to_owned(),
        milliseconds(times.percentile(50)),
        milliseconds(times.percentile(99)),
        goal.to_owned(),
    ]
}

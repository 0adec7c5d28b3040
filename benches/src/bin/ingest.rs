//! How fast events go in: raw `pwrite` + `fdatasync` of the same disk, durable append over
//! loopback gRPC by calls and by streams, and the import of a Parquet file, in one run.
//!
//! `cargo run --release -p vitalog-benches --bin ingest -- --help`
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use futures::SinkExt;
use futures::channel::mpsc;
use tonic::transport::Channel;
use vitalog::import::{ImportOptions, Memberships, SourcePath, open_source};
use vitalog::simulate::{Simulation, SimulationConfig, write_parquet};
use vitalog_benches::{machine, print_table, rate};
use vitalog_disk::{Directory, RealDirectory};
use vitalog_event::{EventDraft, day_of_timestamp_us};
use vitalog_query::{QueryConfig, QueryEngine};
use vitalog_server::{Server, ServerConfig};
use vitalog_store::{Clock, Store, StoreConfig, SystemClock};
use vitalog_wire::vitalog::v1::append_request::Batch;
use vitalog_wire::vitalog::v1::append_stream_ack::Outcome;
use vitalog_wire::vitalog::v1::append_stream_request::Part;
use vitalog_wire::vitalog::v1::append_stream_response::Part as Answer;
use vitalog_wire::vitalog::v1::event_service_client::EventServiceClient;
use vitalog_wire::vitalog::v1::{
    AppendRequest, AppendStreamBatch, AppendStreamOpen, AppendStreamRequest, Event, EventBatch,
};

/// Batches that a stream has under way; a thousand events each fit the credit of a stream.
const STREAM_WINDOW: usize = 16;

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events of each measurement.
    #[arg(long, default_value_t = 2_000_000)]
    events: u64,
    /// Events of one append.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Appends under way at once.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The disk to measure; a folder of its own is made in it.
    #[arg(long, default_value = ".")]
    disk: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir_in(&arguments.disk)?;
    let end_day = day_of_timestamp_us(SystemClock.now_us()) - 1;
    let config = SimulationConfig::scaled(arguments.events, 1, end_day);
    let parquet = folder.path().join("events.parquet");
    write_parquet(Simulation::new(config)?, &parquet)?;
    println!(
        "{}; {} events a measurement, median of {}\n",
        machine(),
        arguments.events,
        arguments.rounds
    );
    let mut rows = Vec::new();
    let mut grpc_times = Vec::new();
    let mut stream_times = Vec::new();
    let mut import_times = Vec::new();
    let mut raw_times = Vec::new();
    for round in 0..arguments.rounds {
        let requests = requests(config, arguments.batch)?;
        let place = folder.path().join(format!("grpc{round}"));
        let again = requests.clone();
        let (time, groups, bytes) = append_over_grpc(&place, requests, &arguments, Way::Calls)?;
        grpc_times.push((time, groups, bytes));
        std::fs::remove_dir_all(&place)?;
        stream_times.push(append_over_grpc(&place, again, &arguments, Way::Streams)?);
        std::fs::remove_dir_all(&place)?;
        raw_times.push(raw_writes(
            &folder.path().join("raw"),
            groups,
            bytes / groups.max(1),
        )?);
        let place = folder.path().join(format!("import{round}"));
        import_times.push(import(&place, &parquet, config.rows)?);
        std::fs::remove_dir_all(&place)?;
    }
    grpc_times.sort_unstable();
    stream_times.sort_unstable();
    raw_times.sort_unstable();
    import_times.sort_unstable();
    let (grpc, groups, bytes) = grpc_times[arguments.rounds / 2];
    let (stream, _, stream_bytes) = stream_times[arguments.rounds / 2];
    let raw = raw_times[arguments.rounds / 2];
    let imported = import_times[arguments.rounds / 2];
    let mebibytes = |bytes: u64, time: Duration| {
        format!("{:.1}", bytes as f64 / 1_048_576.0 / time.as_secs_f64())
    };
    rows.push(vec![
        format!(
            "raw pwrite + fdatasync, {} KiB a group",
            bytes / groups.max(1) / 1024
        ),
        rate(config.rows, raw),
        mebibytes(bytes, raw),
        "the disk itself".to_owned(),
    ]);
    rows.push(vec![
        format!(
            "append over gRPC, {} a batch, {} clients",
            arguments.batch, arguments.clients
        ),
        rate(config.rows, grpc),
        mebibytes(bytes, grpc),
        "150,000 events/s".to_owned(),
    ]);
    rows.push(vec![
        format!(
            "streams over gRPC, {} a batch, {} writers",
            arguments.batch, arguments.clients
        ),
        rate(config.rows, stream),
        mebibytes(stream_bytes, stream),
        "150,000 events/s".to_owned(),
    ]);
    rows.push(vec![
        "import of Parquet".to_owned(),
        rate(config.rows, imported),
        "-".to_owned(),
        "500,000 events/s".to_owned(),
    ]);
    print_table(&["what", "events/s", "MiB/s of log", "goal"], &rows);
    println!(
        "\n{groups} commit groups; append reaches {:.0} % of the raw rate",
        100.0 * raw.as_secs_f64() / grpc.as_secs_f64()
    );
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<Arc<Store>> {
    let directory: Arc<dyn Directory> = Arc::new(RealDirectory::open(path)?);
    Ok(Arc::new(
        Store::open(directory, StoreConfig::default(), Arc::new(SystemClock))?.0,
    ))
}

/// All requests, made before the clock runs: the client's own work is not what is measured.
fn requests(config: SimulationConfig, batch: usize) -> anyhow::Result<Vec<AppendRequest>> {
    let mut requests = Vec::new();
    for chunk in Simulation::new(config)? {
        let events: Vec<Event> = chunk.drafts().map(|draft| event(&draft)).collect();
        requests.extend(events.chunks(batch).map(|events| AppendRequest {
            batch: Some(Batch::Events(EventBatch {
                events: events.to_vec(),
            })),
            ..AppendRequest::default()
        }));
    }
    Ok(requests)
}

fn event(draft: &EventDraft<'_>) -> Event {
    let time_us = draft.event_time_us.unwrap_or_default();
    Event {
        event_id: draft.event_id.map(str::to_owned),
        event_time: Some(timestamp(time_us)),
        event: draft.event.unwrap_or_default().to_owned(),
        account_id: draft.account_id.map(str::to_owned),
        user_id: draft.user_id.map(str::to_owned),
        value: draft.value,
        properties: draft.properties.map(str::to_owned),
    }
}

fn timestamp(time_us: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time_us.div_euclid(1_000_000),
        nanos: (time_us.rem_euclid(1_000_000) * 1_000) as i32,
    }
}

/// How a client appends.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// One call a batch, each waited for.
    Calls,
    /// One stream, with several batches under way.
    Streams,
}

/// Time of all appends, commit groups, and bytes of the log.
fn append_over_grpc(
    place: &Path,
    requests: Vec<AppendRequest>,
    arguments: &Arguments,
    way: Way,
) -> anyhow::Result<(Duration, u64, u64)> {
    let store = open(place)?;
    let expected = requests.iter().map(count).sum::<u64>();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let time = runtime.block_on(async {
        let engine = QueryEngine::new(Arc::clone(&store), QueryConfig::default())?;
        let config = ServerConfig {
            grpc: "127.0.0.1:0".parse()?,
            http: "127.0.0.1:0".parse()?,
            ..ServerConfig::default()
        };
        let server = Server::bind(Arc::clone(&store), engine, config).await?;
        let address = server.local_addr();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        let share = requests.len().div_ceil(arguments.clients);
        let mut parts: Vec<Vec<AppendRequest>> = Vec::new();
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            parts.push(requests.by_ref().take(share).collect());
        }
        let channel = Channel::from_shared(format!("http://{address}"))?
            .connect()
            .await?;
        let begun = Instant::now();
        let clients: Vec<_> = parts
            .into_iter()
            .enumerate()
            .map(|(at, part)| {
                let channel = channel.clone();
                tokio::spawn(async move {
                    match way {
                        Way::Calls => append_all(channel, part).await,
                        Way::Streams => stream_all(channel, part, format!("writer {at}")).await,
                    }
                })
            })
            .collect();
        let mut accepted = 0;
        for client in clients {
            accepted += client.await??;
        }
        let time = begun.elapsed();
        ensure!(
            accepted == expected,
            "{accepted} of {expected} events were accepted"
        );
        let _ = stop.send(());
        serving.await??;
        anyhow::Ok(time)
    })?;
    let known = store.statistics()?;
    store.close()?;
    Ok((time, known.wal_groups, known.wal_written_bytes))
}

fn count(request: &AppendRequest) -> u64 {
    match &request.batch {
        Some(Batch::Events(events)) => events.events.len() as u64,
        _ => 0,
    }
}

async fn append_all(channel: Channel, requests: Vec<AppendRequest>) -> anyhow::Result<u64> {
    let mut client = EventServiceClient::new(channel);
    let mut accepted = 0;
    for request in requests {
        accepted += client.append(request).await?.into_inner().accepted;
    }
    Ok(accepted)
}

async fn stream_all(
    channel: Channel,
    requests: Vec<AppendRequest>,
    writer_id: String,
) -> anyhow::Result<u64> {
    let message = |part| AppendStreamRequest { part: Some(part) };
    let (mut sender, sent) = mpsc::channel(STREAM_WINDOW);
    let open = Part::Open(AppendStreamOpen { writer_id });
    sender.send(message(open)).await?;
    let mut client = EventServiceClient::new(channel);
    let mut answers = client.append_stream(sent).await?.into_inner();
    let (mut accepted, mut under_way) = (0, 0);
    let mut batches = (1..).zip(requests);
    loop {
        while under_way < STREAM_WINDOW
            && let Some((number, append)) = batches.next()
        {
            let append = Some(append);
            let batch = Part::Batch(AppendStreamBatch { number, append });
            sender.send(message(batch)).await?;
            under_way += 1;
        }
        if under_way == 0 {
            return Ok(accepted);
        }
        let answer = answers.message().await?.and_then(|answer| answer.part);
        match answer {
            Some(Answer::Opened(_)) => {}
            Some(Answer::Ack(ack)) => match ack.outcome {
                Some(Outcome::Appended(answer)) => {
                    accepted += answer.accepted;
                    under_way -= 1;
                }
                other => anyhow::bail!("batch {}: {other:?}", ack.number),
            },
            None => anyhow::bail!("the stream ended"),
        }
    }
}

/// `groups` writes of `bytes` each into a preallocated file, each followed by `fdatasync`.
fn raw_writes(place: &Path, groups: u64, bytes: u64) -> anyhow::Result<Duration> {
    let directory = RealDirectory::open(place)?;
    let mut file = directory.create("raw")?;
    file.preallocate(groups * bytes)?;
    file.sync_all()?;
    let block = vec![0xa5; bytes as usize];
    let begun = Instant::now();
    for group in 0..groups {
        file.write_at(group * bytes, &block)?;
        file.sync_data()?;
    }
    let time = begun.elapsed();
    drop(file);
    directory.remove("raw")?;
    Ok(time)
}

/// The import of a Parquet file into an empty store, until everything is durable in the log.
fn import(place: &Path, parquet: &Path, rows: u64) -> anyhow::Result<Duration> {
    let store = open(place)?;
    let begun = Instant::now();
    let mut source = open_source(
        &SourcePath::File(parquet.to_owned()),
        &ImportOptions::default(),
        SystemClock.now_us(),
    )?;
    let mut memberships = Memberships::default();
    let accepted = std::thread::scope(|scope| {
        let (sender, batches) = std::sync::mpsc::sync_channel(2);
        let reader = scope.spawn(move || -> anyhow::Result<()> {
            while let Some(batch) = source.next_batch(&mut memberships)? {
                sender.send(batch.events)?;
            }
            Ok(())
        });
        let mut waiting = std::collections::VecDeque::new();
        let mut accepted = 0;
        for batch in batches {
            waiting.push_back(store.append_later(batch)?);
            if waiting.len() >= 4 {
                accepted += waiting.pop_front().expect("four wait").recv()??.accepted as u64;
            }
        }
        for receipt in waiting {
            accepted += receipt.recv()??.accepted as u64;
        }
        reader.join().expect("the reader does not panic")?;
        anyhow::Ok(accepted)
    })?;
    let time = begun.elapsed();
    ensure!(
        accepted == rows,
        "{accepted} of {rows} events were accepted"
    );
    store.close()?;
    Ok(time)
}

//! 64 writers at once, through a proxy that cuts connections: half of them call `Append` and send
//! each batch up to four times in random order, half stream numbered batches, send them again as
//! often, and resume from what the server knows. Every event stands in the store exactly once, acks
//! came in order, and the server's memory stayed within bounds.

mod proxy;
mod stream;
mod unary;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use vitalog_tests::{Client, Event};
use vitalog_wire::vitalog::v1::GetWriterStateRequest;
use vitalog_wire::vitalog::v1::event_service_client::EventServiceClient;

use self::proxy::Proxy;
use crate::Place;

const SEED: u64 = 11;
/// Writers of each kind.
const WRITERS: u64 = 32;
/// Events of one batch.
const BATCH: u64 = 8;
/// How long all of them may take before they count as stuck.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes by which the memory of the server may grow. What the writers have under way comes to less
/// than 4 MiB; the rest is for their connections, for those that were cut, and for the store.
const GROWTH_MAX: u64 = 192 << 20;

/// A connection through the proxy, made when it is needed.
struct Connection {
    proxy: SocketAddr,
    client: Option<EventServiceClient<Channel>>,
}

impl Connection {
    fn new(proxy: SocketAddr) -> Self {
        let client = None;
        Self { proxy, client }
    }

    async fn client(&mut self) -> Result<&mut EventServiceClient<Channel>, Status> {
        if self.client.is_none() {
            let endpoint = Endpoint::from_shared(format!("http://{}", self.proxy)).unwrap();
            let channel = endpoint.connect().await;
            let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
            self.client = Some(EventServiceClient::new(channel));
        }
        Ok(self.client.as_mut().unwrap())
    }

    /// Connects anew the next time.
    fn forget(&mut self) {
        self.client = None;
    }
}

#[test]
fn sixty_four_writers_through_a_proxy_that_cuts_append_each_event_once() {
    let place = Place::new();
    // More batches are under way than wait for the log at once: where the disk stalls they are to
    // wait, too.
    let vitalog = place
        .vitalog()
        .with_setting("VITALOG_SERVER__QUEUE_WAIT", "50s");
    let mut serving = vitalog.serve();
    let address = serving.address();
    let before = serving.resident_bytes_max();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (streams, cuts) = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, load(address))
            .await
            .expect("writers are stuck")
    });
    println!("{cuts} connections cut, {streams} streams for {WRITERS} streaming writers");
    assert!(cuts > WRITERS, "{cuts} connections were cut");
    assert!(
        streams > 2 * WRITERS,
        "{streams} streams: nobody had to resume"
    );
    check(address);
    if let (Some(before), Some(after)) = (before, serving.resident_bytes_max()) {
        println!(
            "resident: {} MiB at first, {} MiB at most",
            before >> 20,
            after >> 20
        );
        assert!(
            after < before + GROWTH_MAX,
            "{before} bytes grew to {after}"
        );
    }
    // A server that is started again knows them all, and their numbers.
    serving.kill();
    let mut serving = vitalog.serve();
    let address = serving.address();
    check(address);
    runtime.block_on(check_numbers(address));
}

/// The last batch of each streaming writer is durable.
async fn check_numbers(server: SocketAddr) {
    let mut connection = Connection::new(server);
    let client = connection.client().await.unwrap();
    for writer in 0..WRITERS {
        let writer_id = stream::name(writer);
        let request = GetWriterStateRequest { writer_id };
        let state = client.get_writer_state(request).await.unwrap();
        assert_eq!(state.into_inner().last_number, stream::BATCHES, "{writer}");
    }
}

/// All writers, to their end. Returns the streams that it took and the connections that were cut.
async fn load(server: SocketAddr) -> (u64, u64) {
    let proxy = Proxy::start(server, SEED).await;
    let random = |writer| ChaCha8Rng::seed_from_u64(SEED * 1_000 + writer);
    let calling: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(unary::run(writer, proxy.address, random(writer))))
        .collect();
    let streaming: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(stream::run(writer, proxy.address, random(100 + writer))))
        .collect();
    for writer in calling {
        writer.await.unwrap();
    }
    let mut streams = 0;
    for writer in streaming {
        streams += writer.await.unwrap();
    }
    (streams, proxy.cuts())
}

/// Reads the whole log: each event is there exactly once, as it was sent, and nothing else.
fn check(address: SocketAddr) {
    let rows = Client::connect(address).unwrap().read(0).unwrap();
    let mut called: BTreeMap<String, u64> = BTreeMap::new();
    let mut streamed: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for row in rows {
        let event = row.event.unwrap();
        let user = event.user_id.clone().unwrap_or_default();
        if user.starts_with(stream::PREFIX) {
            assert_eq!(event.account_id.as_deref(), Some(user.as_str()));
            *streamed
                .entry((user, event.value.unwrap() as u64))
                .or_default() += 1;
            continue;
        }
        let id = event.event_id.clone().unwrap();
        let number = Event::number_of(&id).unwrap();
        assert_eq!(event, Event::numbered(number).to_wire(), "{id}");
        *called.entry(id).or_default() += 1;
    }
    assert_eq!(called.len() as u64, WRITERS * unary::BATCHES * BATCH);
    assert!(called.values().all(|count| *count == 1));
    let expected = (0..WRITERS).flat_map(|writer| {
        let values = BATCH..(stream::BATCHES + 1) * BATCH;
        values.map(move |value| (stream::name(writer), value))
    });
    let found: Vec<(String, u64)> = streamed.keys().cloned().collect();
    let mut expected: Vec<(String, u64)> = expected.collect();
    expected.sort();
    assert_eq!(found, expected);
    assert!(streamed.values().all(|count| *count == 1));
}

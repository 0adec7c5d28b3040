//! The settings of a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::auth::{Access, SigningKey};
use crate::tls::Tls;

/// Where a server listens, and how much it takes on at once; every setting has a default.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address of the gRPC listener; port 0 takes a free one.
    pub grpc: SocketAddr,
    /// The address of the HTTP listener; port 0 takes a free one.
    pub http: SocketAddr,
    /// Where clients reach the HTTP listener, as in `https://vitalog.example.com`: stands before the
    /// paths of files that are handed out. `None` hands out paths alone.
    pub public_url: Option<String>,
    /// Who may call.
    pub access: Access,
    /// TLS of both listeners; `None` speaks in plain text.
    pub tls: Option<Tls>,
    /// How long a client may take to greet: its TLS handshake, and then the first bytes of gRPC.
    pub greeting_wait: Duration,
    /// TLS handshakes under way at once, of each listener; more connections are closed as they
    /// come.
    pub handshakes_max: usize,
    /// Origins whose web pages may call over gRPC-Web, as browsers write them:
    /// `https://app.example.com`. Callers that are no browsers need none.
    pub web_origins: Vec<String>,
    /// Whether `/metrics` answers everyone, where tokens are asked for.
    pub metrics_open: bool,
    /// From how long on a call is logged as slow; `None` logs none.
    pub slow_call: Option<Duration>,
    /// Signs URLs of files. `None` signs none, and takes none that was signed.
    pub signing_key: Option<SigningKey>,
    /// What is published, and when.
    pub snapshots: SnapshotConfig,
    /// Connections open at once, of each listener; more are closed as they come.
    pub connections_max: usize,
    /// Calls open at once on one connection; more wait in the client.
    pub streams_per_connection_max: u32,
    /// Appends read, checked and waiting for the log at once, which bounds their memory to this
    /// many times 12 MiB; more wait, see `queue_wait`.
    pub appends_max: usize,
    /// Append streams open at once, those that are idle included; more are refused. Bounds their
    /// memory to this many times some 8 MiB.
    pub append_streams_max: usize,
    /// Reads open at once, those that follow included; more are refused.
    pub reads_max: usize,
    /// Statements running at once; more wait, see `queue_wait`.
    pub queries_max: usize,
    /// Most rows of one answer; `None` sets no limit, as answers are streamed.
    pub result_rows_max: Option<u64>,
    /// Most bytes of one answer's columns, before they are encoded; `None` sets no limit.
    pub result_bytes_max: Option<u64>,
    /// Downloads of files at once, over HTTP and gRPC together; more wait, see `queue_wait`.
    pub downloads_max: usize,
    /// Compactions and backups that were called for under way at once; more wait, see `queue_wait`.
    pub upkeep_calls_max: usize,
    /// How long a call waits for its turn before it is refused with advice to come back.
    pub queue_wait: Duration,
    /// How long a call may take until its answer begins, its reading included. The outcome of an
    /// append that takes longer is unknown to its caller.
    pub call_timeout: Duration,
    /// How long a call may wait for a snapshot to be published; the snapshot is finished all the
    /// same.
    pub publish_timeout: Duration,
    /// How long an HTTP connection may take to send its next request, head and all, from its
    /// beginning or the end of the answer before.
    pub request_wait: Duration,
    /// How long a reader of HTTP may take nothing of what it is sent.
    pub reader_pause: Duration,
    /// How long a call may wait for a compaction or a backup, which goes on all the same.
    pub upkeep_timeout: Duration,
    /// How long a shutdown waits for calls and streams under way.
    pub drain_timeout: Duration,
}

/// Snapshots: what they hold, how long they live, and the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// From one scheduled snapshot to the next; `None` makes none. The first is made when the
    /// newest is that old.
    pub every: Option<Duration>,
    /// Snapshots that the schedule keeps, the newest first; older ones go once their lease is over.
    pub keep: usize,
    /// How long a snapshot is kept at least where a call does not say.
    pub lease: Duration,
    /// The longest lease that a call may ask for. Shorter than the time in which an erasure must be
    /// done.
    pub lease_max: Duration,
    /// The tables where a call does not name any; empty means all.
    pub tables: Vec<String>,
    /// Whether a Delta log is kept over the files.
    pub delta: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            grpc: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_051)),
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 8_080)),
            public_url: None,
            access: Access::open(),
            tls: None,
            greeting_wait: Duration::from_secs(10),
            handshakes_max: 256,
            web_origins: Vec::new(),
            metrics_open: false,
            slow_call: Some(Duration::from_secs(10)),
            signing_key: None,
            snapshots: SnapshotConfig::default(),
            connections_max: 1024,
            streams_per_connection_max: 256,
            appends_max: 48,
            append_streams_max: 256,
            reads_max: 256,
            queries_max: 32,
            result_rows_max: None,
            result_bytes_max: None,
            downloads_max: 128,
            upkeep_calls_max: 4,
            queue_wait: Duration::from_secs(5),
            call_timeout: Duration::from_secs(60),
            publish_timeout: Duration::from_secs(3_600),
            request_wait: Duration::from_secs(60),
            reader_pause: Duration::from_secs(5 * 60),
            upkeep_timeout: Duration::from_secs(24 * 3_600),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

impl Default for SnapshotConfig {
    fn default() -> Self {
        Self {
            every: None,
            keep: 24,
            lease: Duration::from_secs(24 * 3_600),
            lease_max: Duration::from_secs(48 * 3_600),
            tables: Vec::new(),
            delta: true,
        }
    }
}

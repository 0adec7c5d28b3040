//! The settings of a server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where a server listens, and how much it takes on at once; every setting has a default.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address of the gRPC listener; port 0 takes a free one.
    pub grpc: SocketAddr,
    /// Connections open at once; more are closed as they come.
    pub connections_max: usize,
    /// Calls open at once on one connection; more wait in the client.
    pub streams_per_connection_max: u32,
    /// Appends read, checked and waiting for the log at once, which bounds their memory to this
    /// many times 12 MiB; more wait, see `queue_wait`.
    pub appends_max: usize,
    /// Reads open at once, those that follow included; more are refused.
    pub reads_max: usize,
    /// Statements running at once; more wait, see `queue_wait`.
    pub queries_max: usize,
    /// How long a call waits for its turn before it is refused with advice to come back.
    pub queue_wait: Duration,
    /// How long a call may take until its answer begins, its reading included. The outcome of an
    /// append that takes longer is unknown to its caller.
    pub call_timeout: Duration,
    /// How long a shutdown waits for calls and streams under way.
    pub drain_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            grpc: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_051)),
            connections_max: 1024,
            streams_per_connection_max: 256,
            appends_max: 48,
            reads_max: 256,
            queries_max: 32,
            queue_wait: Duration::from_secs(5),
            call_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

//! A proxy that cuts connections: each after a number of bytes that a seed gives, wherever in a
//! message that falls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes that a connection may carry, both ways together.
const BYTES: std::ops::Range<u64> = 2_000..40_000;

/// A listening proxy; ends with the runtime it was started on.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    cuts: Arc<AtomicU64>,
}

impl Proxy {
    /// Takes connections and passes them on to `server`.
    pub async fn start(server: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            cuts: Arc::default(),
        };
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let cuts = Arc::clone(&proxy.cuts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let bytes = random.random_range(BYTES);
                let cuts = Arc::clone(&cuts);
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else {
                        return;
                    };
                    if carry(client, server, bytes).await {
                        cuts.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        proxy
    }

    /// Connections that were cut.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }
}

/// Carries bytes both ways until one side ends or `bytes` have passed: then it is a cut.
async fn carry(mut client: TcpStream, mut server: TcpStream, bytes: u64) -> bool {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let (mut up, mut down) = ([0; 1_024], [0; 1_024]);
    let mut left = bytes as usize;
    while left > 0 {
        let carried = tokio::select! {
            read = from_client.read(&mut up) => match read {
                Ok(read) => to_server.write_all(&up[..read.min(left)]).await.map(|()| read),
                Err(error) => Err(error),
            },
            read = from_server.read(&mut down) => match read {
                Ok(read) => to_client.write_all(&down[..read.min(left)]).await.map(|()| read),
                Err(error) => Err(error),
            },
        };
        match carried {
            Ok(0) | Err(_) => return false,
            Ok(carried) => left = left.saturating_sub(carried),
        }
    }
    true
}

//! A client that appends, retries what was acknowledged and what was not, until the server dies.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tonic::Status;
use vitalog_tests::{Client, Event};

use super::oracle::Oracle;

/// What a client's turn came to.
enum Sent {
    Acked,
    /// There was nothing of that kind to send.
    Nothing,
}

/// One client that appends until the server is killed.
pub struct Load<'a> {
    pub oracle: &'a Mutex<Oracle>,
    pub killed: &'a AtomicBool,
    pub acks: Sender<()>,
    pub random: ChaCha8Rng,
}

impl Load<'_> {
    pub fn run(mut self, address: SocketAddr) {
        let client = match Client::connect(address) {
            Ok(client) => client,
            Err(status) => return self.accept_failure(&status),
        };
        loop {
            let outcome = match self.random.random_range(0..10) {
                0 => self.retry_acked(&client),
                1 => self.retry_unknown(&client),
                _ => self.send_new(&client),
            };
            match outcome {
                Ok(Sent::Acked) => {
                    // Only the first acknowledgement is waited for.
                    let _ = self.acks.send(());
                }
                Ok(Sent::Nothing) => {}
                Err(status) => return self.accept_failure(&status),
            }
        }
    }

    fn accept_failure(&self, status: &Status) {
        assert!(
            self.killed.load(Ordering::SeqCst),
            "failed before the kill: {status}"
        );
    }

    fn send_new(&mut self, client: &Client) -> Result<Sent, Status> {
        let count = self.random.random_range(50..=200);
        let range = self.oracle().begin(count);
        let sent = send(client, range.clone());
        let mut oracle = self.oracle();
        match sent {
            Ok((accepted, _)) => {
                assert_eq!(accepted, count, "{range:?} was new");
                oracle.acked.push(range);
                Ok(Sent::Acked)
            }
            Err(status) => {
                oracle.unknown.push(range);
                Err(status)
            }
        }
    }

    fn retry_acked(&mut self, client: &Client) -> Result<Sent, Status> {
        let chosen = {
            // Not by `oracle()`: the random numbers are borrowed as well.
            let oracle = self.oracle.lock().unwrap_or_else(PoisonError::into_inner);
            oracle.acked_before(&mut self.random)
        };
        let Some(range) = chosen else {
            return Ok(Sent::Nothing);
        };
        let (accepted, _) = send(client, range.clone())?;
        assert_eq!(accepted, 0, "{range:?} was acknowledged before");
        Ok(Sent::Acked)
    }

    fn retry_unknown(&mut self, client: &Client) -> Result<Sent, Status> {
        let Some(range) = self.oracle().unknown.pop() else {
            return Ok(Sent::Nothing);
        };
        let sent = send(client, range.clone());
        let mut oracle = self.oracle();
        match sent {
            Ok(_) => {
                oracle.acked.push(range);
                Ok(Sent::Acked)
            }
            Err(status) => {
                oracle.unknown.push(range);
                Err(status)
            }
        }
    }

    fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends events; how many were accepted, and how many were duplicates.
fn send(client: &Client, range: Range<u64>) -> Result<(u64, u64), Status> {
    let response = client.append(
        range
            .clone()
            .map(|n| Event::numbered(n).to_wire())
            .collect(),
    )?;
    assert!(
        response.rejected.is_empty(),
        "{range:?}: {:?}",
        response.rejected
    );
    let sum = response.accepted + response.duplicates;
    assert_eq!(sum, range.end - range.start, "{range:?}: {response:?}");
    Ok((response.accepted, response.duplicates))
}

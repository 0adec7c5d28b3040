//! `EventService.Read`: the log from a `seq` on, and its tail as it grows.

mod cursor;
mod filter;
mod page;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use vitalog_store::Store;
use vitalog_wire::vitalog::v1::{ReadRequest, ReadResponse};

use self::cursor::{Cursor, Look};
use self::filter::LogFilter;
use crate::fault::Fault;
use crate::limits::READ_LOOKS_MAX;
use crate::outbox::Outbox;
use crate::readers::give_way;

/// Shortest time between two messages of a tail that only report progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Shortest time between two looks of a tail that find nothing, however fast the log grows.
const IDLE_PAUSE: Duration = Duration::from_millis(20);

/// Reads a store's log.
#[derive(Clone, Debug)]
pub(crate) struct LogReader {
    store: Arc<Store>,
    /// The last durable seq, as the store announces it.
    published: watch::Receiver<i64>,
    looks: Arc<Semaphore>,
}

impl LogReader {
    /// A reader of `store`, which announces its last durable seq in `published`.
    pub fn new(store: Arc<Store>, published: watch::Receiver<i64>) -> Self {
        let looks = Arc::new(Semaphore::new(READ_LOOKS_MAX));
        Self {
            store,
            published,
            looks,
        }
    }

    /// Sends what `request` asks for. Blocks while it waits for pages: not for a reactor.
    pub async fn run(
        mut self,
        mut request: ReadRequest,
        outbox: Outbox<ReadResponse>,
    ) -> Result<(), Fault> {
        let filter = LogFilter::of(&mut request);
        let mut cursor = Cursor::new(filter, request.from_seq, request.limit);
        let mut reported = Reported::from(cursor.next_seq());
        let mut end = self.store.snapshot().seq();
        // Since the log last grew.
        let (mut looked_at, mut has_found) = (Instant::now(), false);
        while !cursor.is_done() {
            let look = {
                let _look = self.looks.acquire().await;
                cursor.look(end, &self.store.snapshot())?
            };
            let is_at_end = match look {
                Look::Found(message) => {
                    has_found = true;
                    reported.seq = message.next_seq;
                    outbox.send(message).await;
                    give_way().await;
                    continue;
                }
                Look::Nothing => false,
                Look::End => true,
            };
            let is_last = is_at_end && !request.follow;
            let is_silent = cursor.is_filtered() && cursor.next_seq() != reported.seq;
            if is_silent && (is_last || reported.is_due(is_at_end, Instant::now())) {
                reported = Reported::now(cursor.next_seq());
                outbox.send(cursor.progress()).await;
            }
            if is_last {
                return Ok(());
            }
            if !is_at_end {
                give_way().await;
                continue;
            }
            if self.published.wait_for(|&seq| seq > end).await.is_err() {
                return Err(Fault::shutting_down());
            }
            if !has_found {
                tokio::time::sleep_until(looked_at + IDLE_PAUSE).await;
            }
            (looked_at, has_found) = (Instant::now(), false);
            end = self.store.snapshot().seq();
        }
        Ok(())
    }
}

/// What a reader knows of how far its stream is.
struct Reported {
    /// Where it would resume.
    seq: u64,
    at: Instant,
    /// Whether a message was sent only to say so.
    is_progress: bool,
}

impl Reported {
    /// A reader knows where it began.
    fn from(seq: u64) -> Self {
        Self {
            is_progress: false,
            ..Self::now(seq)
        }
    }

    fn now(seq: u64) -> Self {
        Self {
            seq,
            at: Instant::now(),
            is_progress: true,
        }
    }

    /// Whether progress is worth a message: the first time at the end of the log, and now and then.
    fn is_due(&self, is_at_end: bool, now: Instant) -> bool {
        let is_first = is_at_end && !self.is_progress;
        is_first || now >= self.at + PROGRESS_INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_due_at_the_first_end_and_then_once_a_second() {
        let begun = Reported::from(1);
        let soon = begun.at + PROGRESS_INTERVAL / 2;
        assert!(begun.is_due(true, soon));
        assert!(!begun.is_due(false, soon));
        assert!(begun.is_due(false, begun.at + PROGRESS_INTERVAL));
        let reported = Reported::now(9);
        assert!(!reported.is_due(true, reported.at));
        assert!(reported.is_due(true, reported.at + PROGRESS_INTERVAL));
    }
}

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

use self::cursor::Cursor;
use self::filter::LogFilter;
use crate::fault::Fault;
use crate::outbox::Outbox;

/// Shortest time between two messages of a tail that only report progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Shortest time between two looks of a tail that find nothing, however fast the log grows.
const IDLE_PAUSE: Duration = Duration::from_millis(20);

/// Looks at the log at once, of all readers; each takes a thread.
const LOOKS_MAX: usize = 8;

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
        let looks = Arc::new(Semaphore::new(LOOKS_MAX));
        Self {
            store,
            published,
            looks,
        }
    }

    /// Sends what `request` asks for.
    pub async fn run(
        mut self,
        mut request: ReadRequest,
        outbox: Outbox<ReadResponse>,
    ) -> Result<(), Fault> {
        let filter = LogFilter::of(&mut request);
        let mut cursor = Cursor::new(filter, request.from_seq, request.limit);
        let mut reported_seq = cursor.next_seq();
        let mut reported_at = None;
        let mut end = self.store.snapshot().seq();
        // Since the log last grew.
        let (mut looked_at, mut has_found) = (Instant::now(), false);
        while !cursor.is_done() {
            let message;
            (cursor, message) = self.read_on(cursor, end).await?;
            if let Some(message) = message {
                has_found = true;
                reported_seq = message.next_seq;
                outbox.send(message).await;
                continue;
            }
            let is_silent = cursor.is_filtered() && cursor.next_seq() != reported_seq;
            let is_due = reported_at.is_none_or(|at: Instant| at.elapsed() >= PROGRESS_INTERVAL);
            if is_silent && (is_due || !request.follow) && !cursor.is_done() {
                reported_seq = cursor.next_seq();
                reported_at = Some(Instant::now());
                outbox.send(cursor.progress()).await;
            }
            if !request.follow {
                return Ok(());
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

    /// The next message up to `end`, read on a thread that may block.
    async fn read_on(
        &self,
        mut cursor: Cursor,
        end: i64,
    ) -> Result<(Cursor, Option<ReadResponse>), Fault> {
        let _look = self.looks.acquire().await;
        let store = Arc::clone(&self.store);
        let reading = tokio::task::spawn_blocking(move || {
            let message = cursor.next(end, || store.snapshot());
            (cursor, message)
        });
        let (cursor, message) = reading.await.map_err(|error| Fault::of_task(&error))?;
        Ok((cursor, message?))
    }
}

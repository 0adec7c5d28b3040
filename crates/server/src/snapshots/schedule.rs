//! The schedule: a snapshot every so often, and old ones taken away.
//!
//! What lives longer than its lease and is not among the newest goes, whether or not there is a
//! schedule. A failure is logged and tried again; it never ends the schedule.

use std::sync::Arc;
use std::time::Duration;

use vitalog_query::PublishTable;
use vitalog_store::PublishedSnapshot;

use crate::fault::Fault;
use crate::snapshots::Publisher;

/// From one look at leases to the next.
const TIDYING_INTERVAL: Duration = Duration::from_secs(60);
/// Pause after a snapshot that could not be made.
const RETRY_PAUSE: Duration = Duration::from_secs(30);

impl Publisher {
    /// Publishes and takes away until the server drains.
    pub async fn follow_schedule(self: Arc<Self>) {
        let draining = self.gate.draining().clone();
        tokio::select! {
            () = draining.cancelled() => {}
            () = self.keep_going() => {}
        }
    }

    async fn keep_going(&self) {
        loop {
            self.tidy().await;
            let until_due = self.until_due();
            if until_due.is_zero() {
                if let Err(fault) = self.publish_on_schedule().await {
                    tracing::error!("the scheduled snapshot failed: {}", fault.message());
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                continue;
            }
            tokio::time::sleep(until_due.min(TIDYING_INTERVAL)).await;
        }
    }

    /// How long until a snapshot is due; without a schedule none ever is.
    fn until_due(&self) -> Duration {
        let Some(every) = self.config.every else {
            return Duration::MAX;
        };
        let newest = self.newest_scheduled();
        let now_us = self.store.clock().now_us();
        newest.map_or(Duration::ZERO, |newest| {
            // A clock that went back makes the newest one's age 0 and not a wait of years.
            let age_us = u64::try_from(now_us - newest.created_at_us).unwrap_or(0);
            every.saturating_sub(Duration::from_micros(age_us))
        })
    }

    /// The newest snapshot that has every table of the schedule: one that somebody asked for, of
    /// other tables, takes the place of none.
    fn newest_scheduled(&self) -> Option<Arc<PublishedSnapshot>> {
        let all = PublishTable::ALL.iter().map(|table| table.as_str());
        let tables: Vec<&str> = match self.config.tables.is_empty() {
            true => all.collect(),
            false => self.config.tables.iter().map(String::as_str).collect(),
        };
        let mut newest_first = self.store.published().list().into_iter().rev();
        newest_first.find(|snapshot| tables.iter().all(|table| snapshot.table(table).is_some()))
    }

    async fn publish_on_schedule(&self) -> Result<(), Fault> {
        let request = self.request(&[], None)?;
        let waiting = Arc::clone(&self.making).acquire_owned();
        let Ok(turn) = waiting.await else {
            return Err(Fault::shutting_down());
        };
        let made = self.start(turn, request).await;
        made.unwrap_or_else(|_| Err(Fault::shutting_down()))?;
        Ok(())
    }

    /// Takes away what is neither leased nor among the newest.
    async fn tidy(&self) {
        let (store, keep) = (Arc::clone(&self.store), self.config.keep);
        let tidied = tokio::task::spawn_blocking(move || {
            let now_us = store.clock().now_us();
            store.published().expire(now_us, keep)
        });
        match tidied.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "snapshots that are over could not be removed");
            }
            Err(error) => tracing::error!(%error, "removing snapshots failed"),
        }
    }
}

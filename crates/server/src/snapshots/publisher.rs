//! Makes snapshots: one at a time, to its end, whoever asked for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use vitalog_query::{PublishRequest, PublishTable, QueryEngine};
use vitalog_store::{PublishedSnapshot, Store};

use crate::admission::turn;
use crate::config::{ServerConfig, SnapshotConfig};
use crate::fault::{Fault, Reason};
use crate::gate::Gate;

/// Shortest lease that may be asked for.
const LEASE_MIN: Duration = Duration::from_secs(60);

/// Publishes snapshots of a store.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(super) store: Arc<Store>,
    engine: QueryEngine,
    pub(super) gate: Gate,
    pub(super) config: SnapshotConfig,
    queue_wait: Duration,
    publish_timeout: Duration,
    /// The one turn of making a snapshot.
    pub(super) making: Arc<Semaphore>,
}

impl Publisher {
    pub fn new(store: Arc<Store>, engine: QueryEngine, gate: Gate, config: &ServerConfig) -> Self {
        Self {
            store,
            engine,
            gate,
            config: config.snapshots.clone(),
            queue_wait: config.queue_wait,
            publish_timeout: config.publish_timeout,
            making: Arc::new(Semaphore::new(1)),
        }
    }

    /// Publishes `tables`, or those of the configuration where none is named, and waits for it.
    /// The snapshot is finished even where the caller does not wait for its end.
    pub async fn publish(
        &self,
        tables: &[String],
        lease: Option<Duration>,
    ) -> Result<PublishedSnapshot, Fault> {
        let request = self.request(tables, lease)?;
        let turn = turn(&self.making, self.queue_wait, "snapshots").await?;
        let made = self.start(turn, request);
        match tokio::time::timeout(self.publish_timeout, made).await {
            Ok(Ok(made)) => made,
            // Its task was ended.
            Ok(Err(_)) => Err(Fault::shutting_down()),
            Err(_) => Err(Fault::new(
                Reason::DeadlineExceeded,
                "the snapshot takes longer than a call may wait; it will be listed when it is done",
            )),
        }
    }

    /// Makes a snapshot in a task of its own, which ends early only with the server.
    pub(super) fn start(
        &self,
        turn: OwnedSemaphorePermit,
        request: PublishRequest,
    ) -> oneshot::Receiver<Result<PublishedSnapshot, Fault>> {
        let (sender, made) = oneshot::channel();
        let (engine, expired) = (self.engine.clone(), self.gate.expired().clone());
        self.gate.spawn(async move {
            let _turn = turn;
            let published = tokio::select! {
                published = engine.publish(request) => published.map_err(Fault::from),
                () = expired.cancelled() => Err(Fault::shutting_down()),
            };
            if let Err(Err(fault)) = sender.send(published) {
                let message = fault.message();
                tracing::warn!("a snapshot that nobody waits for was not made: {message}");
            }
        });
        made
    }

    /// What to publish.
    pub(super) fn request(
        &self,
        tables: &[String],
        lease: Option<Duration>,
    ) -> Result<PublishRequest, Fault> {
        let lease = match lease {
            None => self.config.lease,
            Some(lease) if (LEASE_MIN..=self.config.lease_max).contains(&lease) => lease,
            Some(lease) => {
                let (shortest, longest) = (LEASE_MIN.as_secs(), self.config.lease_max.as_secs());
                let found = lease.as_secs();
                let message = format!("is {found} s, expected {shortest} to {longest} s");
                return Err(Fault::of_field(Reason::InvalidRequest, "lease", message));
            }
        };
        let tables = if tables.is_empty() {
            &self.config.tables
        } else {
            tables
        };
        let tables: Result<Vec<PublishTable>, Fault> =
            tables.iter().map(|name| table_of(name)).collect();
        let lease_us = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
        Ok(PublishRequest {
            tables: tables?,
            is_in_delta_log: self.config.delta,
            ..PublishRequest::new(lease_us)
        })
    }
}

/// The table of a name.
fn table_of(name: &str) -> Result<PublishTable, Fault> {
    PublishTable::of(name).ok_or_else(|| {
        let known = PublishTable::ALL.iter().map(|table| table.as_str());
        let sought = ("tables", "table that is published,", name);
        Fault::not_found(Reason::TableNotFound, sought, known)
    })
}

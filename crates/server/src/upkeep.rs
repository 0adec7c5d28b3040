//! `UpkeepService`: events taken away, files kept in good shape, a store copied, and counted.
//!
//! Invariant: what a call has begun is done to its end, whether its caller waits or not; only the
//! end of the server cuts it short.

mod backup;
mod records;
mod removal;
mod stats;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tonic::{Request, Response, Status};
use vitalog_store::{CompactionGoal, CompactionReport, Store};
use vitalog_wire::vitalog::v1;
use vitalog_wire::vitalog::v1::upkeep_service_server::UpkeepService;

use crate::admission::turn;
use crate::fault::{Fault, Reason};
use crate::gate::Gate;

/// Takes care of a store.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub store: Arc<Store>,
    pub gate: Gate,
    /// Turns of the calls that change files; each has a thread.
    pub turns: Arc<Semaphore>,
    pub queue_wait: Duration,
}

#[tonic::async_trait]
impl UpkeepService for Upkeep {
    async fn erase(
        &self,
        request: Request<v1::UpkeepServiceEraseRequest>,
    ) -> Result<Response<v1::UpkeepServiceEraseResponse>, Status> {
        let entity = removal::entity_of(request.into_inner().entity)?;
        let receipt = self.carry_out(move |store| removal::erase(store, &entity));
        let receipt = Some(receipt.await?);
        Ok(Response::new(v1::UpkeepServiceEraseResponse { receipt }))
    }

    async fn retain(
        &self,
        request: Request<v1::UpkeepServiceRetainRequest>,
    ) -> Result<Response<v1::UpkeepServiceRetainResponse>, Status> {
        let days = removal::days_of(request.into_inner().days)?;
        let done = self.carry_out(move |store| removal::retain(store, days));
        Ok(Response::new(done.await?))
    }

    async fn undo_import(
        &self,
        request: Request<v1::UpkeepServiceUndoImportRequest>,
    ) -> Result<Response<v1::UpkeepServiceUndoImportResponse>, Status> {
        let batch = request.into_inner().batch;
        let receipt = self.carry_out(move |store| removal::undo_import(store, &batch));
        let receipt = Some(receipt.await?);
        Ok(Response::new(v1::UpkeepServiceUndoImportResponse {
            receipt,
        }))
    }

    async fn list_imports(
        &self,
        request: Request<v1::UpkeepServiceListImportsRequest>,
    ) -> Result<Response<v1::UpkeepServiceListImportsResponse>, Status> {
        let request = request.into_inner();
        let page = records::imports(&self.store, request.page_size, request.page_token)?;
        Ok(Response::new(page))
    }

    async fn list_receipts(
        &self,
        request: Request<v1::UpkeepServiceListReceiptsRequest>,
    ) -> Result<Response<v1::UpkeepServiceListReceiptsResponse>, Status> {
        let request = request.into_inner();
        let page = records::receipts(&self.store, request.page_size, request.page_token)?;
        Ok(Response::new(page))
    }

    async fn compact(
        &self,
        request: Request<v1::UpkeepServiceCompactRequest>,
    ) -> Result<Response<v1::UpkeepServiceCompactResponse>, Status> {
        let goal = goal_of(request.into_inner().goal)?;
        let report = self.carry_out(move |store| compact(store, goal)).await?;
        Ok(Response::new(v1::UpkeepServiceCompactResponse {
            hot_files_merged: report.hot_merged as u64,
            hot_files_cooled: report.hot_cooled as u64,
            rows_cooled: report.rows_cooled,
            cold_files_merged: report.cold_merged as u64,
            cold_files_written: report.cold_written as u64,
            bytes_written: report.bytes_written,
        }))
    }

    async fn backup(
        &self,
        request: Request<v1::UpkeepServiceBackupRequest>,
    ) -> Result<Response<v1::UpkeepServiceBackupResponse>, Status> {
        let path = request.into_inner().path;
        let target = backup::target_of(&path)?;
        let done = self.carry_out(move |store| backup::run(store, &target));
        Ok(Response::new(done.await?))
    }

    async fn get_stats(
        &self,
        _request: Request<v1::UpkeepServiceGetStatsRequest>,
    ) -> Result<Response<v1::UpkeepServiceGetStatsResponse>, Status> {
        let store = Arc::clone(&self.store);
        let counted = tokio::task::spawn_blocking(move || store.statistics());
        let counted = counted.await.map_err(|error| Fault::of_task(&error))?;
        Ok(Response::new(stats::stats_of(
            &counted.map_err(Fault::from)?,
        )))
    }
}

impl Upkeep {
    /// Does `work` on a thread of its own, to its end, whoever waits for it.
    async fn carry_out<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let turn = turn(&self.turns, self.queue_wait, "calls of upkeep").await?;
        let (sender, done) = oneshot::channel();
        let store = Arc::clone(&self.store);
        // Not one of the runtime's threads, whose end the end of a server would have to wait for.
        std::thread::Builder::new()
            .name("vitalog-upkeep-call".to_owned())
            .spawn(move || {
                let _turn = turn;
                // Whoever asked may be gone.
                let _ = sender.send(work(&store));
            })
            .map_err(|error| Fault::new(Reason::StoreUnavailable, format!("no thread: {error}")))?;
        let (answer, answered) = oneshot::channel();
        let expired = self.gate.expired().clone();
        self.gate.spawn(async move {
            let outcome = tokio::select! {
                // Its thread has panicked; the panic was printed where it happened.
                done = done => done.unwrap_or_else(|_| {
                    Err(Fault::new(Reason::Internal, "the work of this call ended early"))
                }),
                () = expired.cancelled() => Err(Fault::shutting_down()),
            };
            if let Err(Err(fault)) = answer.send(outcome) {
                let message = fault.message();
                tracing::warn!("upkeep that nobody waits for failed: {message}");
            }
        });
        answered
            .await
            .unwrap_or_else(|_| Err(Fault::shutting_down()))
    }
}

fn compact(store: &Store, goal: CompactionGoal) -> Result<CompactionReport, Fault> {
    if goal == CompactionGoal::AllCold {
        store.flush()?;
    }
    Ok(store.compact(goal)?)
}

fn goal_of(goal: i32) -> Result<CompactionGoal, Fault> {
    match v1::CompactionGoal::try_from(goal) {
        Ok(v1::CompactionGoal::Unspecified | v1::CompactionGoal::Due) => Ok(CompactionGoal::Due),
        Ok(v1::CompactionGoal::All) => Ok(CompactionGoal::AllCold),
        Err(_) => {
            let message = format!("is {goal}, which is no goal of this server");
            Err(Fault::of_field(Reason::InvalidRequest, "goal", message))
        }
    }
}

//! `SnapshotService`: snapshots made, listed, deleted and handed out over gRPC.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use vitalog_wire::vitalog::v1;
use vitalog_wire::vitalog::v1::snapshot_service_server::SnapshotService;

use super::fetch;
use super::files::{
    WantedFiles, check_place, page_of_files, page_of_snapshots, place_of, snapshot_of,
};
use super::publisher::Publisher;
use super::shelf::Shelf;
use crate::admission::turn;
use crate::auth::{SIGNED_FOR_MAX, SigningKey};
use crate::deadline;
use crate::fault::{Fault, Reason};
use crate::http::{Signing, no_signing_key};
use crate::instant::duration_of;
use crate::outbox::{End, Outgoing};
use crate::readers::Readers;

/// Serves published snapshots.
#[derive(Debug)]
pub(crate) struct Snapshots {
    pub shelf: Shelf,
    pub publisher: Arc<Publisher>,
    pub signing_key: Option<SigningKey>,
    pub readers: Readers,
    /// Turns of downloads.
    pub downloads: Arc<Semaphore>,
    pub queue_wait: Duration,
}

#[tonic::async_trait]
impl SnapshotService for Snapshots {
    async fn create(
        &self,
        request: Request<v1::SnapshotServiceCreateRequest>,
    ) -> Result<Response<v1::SnapshotServiceCreateResponse>, Status> {
        let v1::SnapshotServiceCreateRequest { tables, lease } = request.into_inner();
        let lease = duration_of("lease", lease)?;
        let snapshot = self.publisher.publish(&tables, lease).await?;
        let snapshot = Some(snapshot_of(&snapshot));
        Ok(Response::new(v1::SnapshotServiceCreateResponse {
            snapshot,
        }))
    }

    async fn get(
        &self,
        request: Request<v1::SnapshotServiceGetRequest>,
    ) -> Result<Response<v1::SnapshotServiceGetResponse>, Status> {
        let request = request.into_inner();
        let signing = self.signing(request.sign_for)?;
        let answer = self.on_shelf(move |shelf| {
            let after = place_of(&request.page_token)?;
            check_place(after.as_ref(), &request.id)?;
            let id = after
                .as_ref()
                .map_or(request.id.as_str(), |place| &place.id);
            let table = request.table.as_deref();
            let snapshot = match id {
                "" => shelf.newest(table)?,
                id => shelf.find(id)?,
            };
            let wanted = WantedFiles {
                table,
                page_size: request.page_size,
                after: after.clone(),
                signing,
            };
            let (files, next_page_token) = page_of_files(&shelf, &snapshot, &wanted)?;
            Ok(v1::SnapshotServiceGetResponse {
                snapshot: Some(snapshot_of(&snapshot)),
                files,
                next_page_token,
            })
        });
        Ok(Response::new(answer.await?))
    }

    async fn list(
        &self,
        request: Request<v1::SnapshotServiceListRequest>,
    ) -> Result<Response<v1::SnapshotServiceListResponse>, Status> {
        let request = request.into_inner();
        let answer = self.on_shelf(move |shelf| page_of_snapshots(&shelf, &request));
        Ok(Response::new(answer.await?))
    }

    async fn delete(
        &self,
        request: Request<v1::SnapshotServiceDeleteRequest>,
    ) -> Result<Response<v1::SnapshotServiceDeleteResponse>, Status> {
        let id = request.into_inner().id;
        let deleted = self.on_shelf(move |shelf| {
            let snapshot = shelf.find(&id)?;
            shelf.delete(&snapshot)?;
            Ok(snapshot_of(&snapshot))
        });
        let snapshot = Some(deleted.await?);
        Ok(Response::new(v1::SnapshotServiceDeleteResponse {
            snapshot,
        }))
    }

    type FetchStream = Outgoing<v1::SnapshotServiceFetchResponse>;

    async fn fetch(
        &self,
        request: Request<v1::SnapshotServiceFetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let timeout = deadline::allowed(request.metadata().as_ref());
        let v1::SnapshotServiceFetchRequest {
            id,
            table,
            path,
            offset,
        } = request.into_inner();
        let slot = turn(&self.downloads, self.queue_wait, "downloads").await?;
        let file = self
            .on_shelf(move |shelf| shelf.open(&id, &table, &path))
            .await?;
        fetch::check_offset(&file, offset)?;
        let end = End::within(timeout);
        let stream = self.readers.stream(end, |outbox| async move {
            let _slot = slot;
            fetch::run(file, offset, outbox).await
        });
        Ok(Response::new(stream))
    }
}

impl Snapshots {
    /// Does `work`, which may read the disk, on a thread that may block.
    async fn on_shelf<T: Send + 'static>(
        &self,
        work: impl FnOnce(Shelf) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let shelf = self.shelf.clone();
        tokio::task::spawn_blocking(move || work(shelf))
            .await
            .map_err(|error| Fault::of_task(&error))?
    }

    /// What the URLs of an answer are signed with, where a request asks for it.
    fn signing(&self, sign_for: Option<prost_types::Duration>) -> Result<Option<Signing>, Fault> {
        let Some(sign_for) = duration_of("sign_for", sign_for)? else {
            return Ok(None);
        };
        if sign_for < Duration::from_secs(1) || sign_for > SIGNED_FOR_MAX {
            let message = "expected at least 1 s and at most 7 days";
            return Err(Fault::of_field(Reason::InvalidRequest, "sign_for", message));
        }
        let key = self.signing_key.clone().ok_or_else(no_signing_key)?;
        let expires = self.shelf.now_seconds().saturating_add(sign_for.as_secs());
        Ok(Some(Signing { key, expires }))
    }
}

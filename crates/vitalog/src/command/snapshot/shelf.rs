//! Where snapshots are: the store of this process, or a server.
//!
//! Invariant: both answer alike, so that the command need not know whom it asked.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tonic::Streaming;
use vitalog_query::{PublishRequest, PublishTable, QueryEngine};
use vitalog_server::SnapshotConfig;
use vitalog_store::{PublishedPath, PublishedSnapshot, SnapshotId, Store};
use vitalog_wire::vitalog::v1 as wire;
use wire::snapshot_service_client::SnapshotServiceClient;

use super::shown::ShownSnapshot;
use crate::command::source::Source;
use crate::sql::{Backend, Line, failure};

/// Entries in one page of a list.
const PAGE_SIZE: u32 = 1_000;
/// The file that describes a table of a snapshot.
pub(super) const MANIFEST: &str = "manifest.json";
/// Bytes of a local file that are read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Published snapshots.
pub(super) enum Shelf<'s> {
    Local {
        source: &'s Source,
        engine: &'s QueryEngine,
        store: &'s Arc<Store>,
        settings: &'s SnapshotConfig,
    },
    Remote {
        source: &'s Source,
        client: SnapshotServiceClient<Line>,
    },
}

/// A file that a snapshot names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShelfFile {
    pub table: String,
    /// Below the table and the id.
    pub path: String,
    pub bytes: u64,
    /// In hexadecimal digits.
    pub sha256: String,
}

impl<'s> Shelf<'s> {
    pub fn of(source: &'s Source, settings: &'s SnapshotConfig) -> anyhow::Result<Self> {
        match source.backend() {
            Backend::Local(engine) => Ok(Self::Local {
                source,
                engine,
                store: source.opened_store()?,
                settings,
            }),
            Backend::Remote(remote) => Ok(Self::Remote {
                source,
                client: SnapshotServiceClient::new(remote.line()),
            }),
        }
    }

    pub fn create(
        &self,
        tables: &[String],
        lease: Option<Duration>,
    ) -> anyhow::Result<ShownSnapshot> {
        match self {
            Self::Local {
                source,
                engine,
                settings,
                ..
            } => {
                let request = request_of(settings, tables, lease)?;
                let made = source.wait(engine.publish(request))?;
                Ok((&made).into())
            }
            Self::Remote { source, client } => {
                let request = wire::SnapshotServiceCreateRequest {
                    tables: tables.to_vec(),
                    lease: lease.map(TryInto::try_into).transpose()?,
                };
                let answer = source.wait(client.clone().create(request));
                shown(answer.map_err(failure)?.into_inner().snapshot, "Create")
            }
        }
    }

    /// All snapshots, the newest first.
    pub fn list(&self) -> anyhow::Result<Vec<ShownSnapshot>> {
        let (source, client) = match self {
            Self::Local { store, .. } => {
                let all = store.published().list();
                return Ok(all.iter().rev().map(|one| one.as_ref().into()).collect());
            }
            Self::Remote { source, client } => (source, client),
        };
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = wire::SnapshotServiceListRequest {
                page_size: PAGE_SIZE,
                page_token,
            };
            let page = source.wait(client.clone().list(request)).map_err(failure)?;
            let page = page.into_inner();
            all.extend(page.snapshots.into_iter().map(ShownSnapshot::from));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// The snapshot of that id; the newest where none is named.
    pub fn get(&self, id: Option<&str>) -> anyhow::Result<ShownSnapshot> {
        match self {
            Self::Local { store, .. } => Ok(find(store, id)?.as_ref().into()),
            Self::Remote { source, client } => {
                let request = wire::SnapshotServiceGetRequest {
                    id: id.unwrap_or_default().to_owned(),
                    page_size: 1,
                    ..Default::default()
                };
                let answer = source.wait(client.clone().get(request));
                shown(answer.map_err(failure)?.into_inner().snapshot, "Get")
            }
        }
    }

    /// The files of a table of a snapshot, its manifest left out.
    pub fn files(&self, id: &str, table: &str) -> anyhow::Result<Vec<ShelfFile>> {
        let (source, client) = match self {
            Self::Local { store, .. } => return local_files(store, id, table),
            Self::Remote { source, client } => (source, client),
        };
        let (mut files, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = wire::SnapshotServiceGetRequest {
                id: id.to_owned(),
                table: Some(table.to_owned()),
                page_size: PAGE_SIZE,
                page_token,
                ..Default::default()
            };
            let page = source.wait(client.clone().get(request)).map_err(failure)?;
            let page = page.into_inner();
            files.extend(page.files.into_iter().map(|file| ShelfFile {
                table: file.table,
                path: file.path,
                bytes: file.bytes,
                sha256: file.sha256,
            }));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(files);
            }
        }
    }

    /// The bytes of a file from `offset` on, piece by piece.
    pub fn read(
        &self,
        (id, table, path): (&str, &str, &str),
        offset: u64,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (source, client) = match self {
            Self::Local { store, .. } => return read_local(store, (id, table, path), offset, take),
            Self::Remote { source, client } => (source, client),
        };
        let request = wire::SnapshotServiceFetchRequest {
            id: id.to_owned(),
            table: table.to_owned(),
            path: path.to_owned(),
            offset,
        };
        source.wait(async {
            let answer = client.clone().fetch(request).await.map_err(failure)?;
            let mut pieces: Streaming<wire::SnapshotServiceFetchResponse> = answer.into_inner();
            let (mut at, mut total) = (offset, None);
            while let Some(piece) = pieces.message().await.map_err(failure)? {
                if piece.offset != at {
                    bail!("the server sent byte {} where {at} was next", piece.offset);
                }
                at += piece.data.len() as u64;
                total = Some(piece.total_bytes);
                take(&piece.data)?;
            }
            match total {
                Some(total) if total == at => Ok(()),
                _ => bail!("the server's answer ended early, at byte {at}"),
            }
        })
    }

    pub fn delete(&self, id: &str) -> anyhow::Result<ShownSnapshot> {
        match self {
            Self::Local { store, .. } => {
                let snapshot = find(store, Some(id))?;
                let now_us = store.clock().now_us();
                store.published().delete(&snapshot.id, now_us, true)?;
                Ok(snapshot.as_ref().into())
            }
            Self::Remote { source, client } => {
                let request = wire::SnapshotServiceDeleteRequest { id: id.to_owned() };
                let answer = source.wait(client.clone().delete(request));
                shown(answer.map_err(failure)?.into_inner().snapshot, "Delete")
            }
        }
    }
}

fn shown(snapshot: Option<wire::Snapshot>, call: &str) -> anyhow::Result<ShownSnapshot> {
    let snapshot = snapshot.ok_or_else(|| anyhow!("the server's answer to {call} is empty"))?;
    Ok(snapshot.into())
}

fn request_of(
    settings: &SnapshotConfig,
    tables: &[String],
    lease: Option<Duration>,
) -> anyhow::Result<PublishRequest> {
    let lease = lease.unwrap_or(settings.lease);
    if lease > settings.lease_max {
        let (found, longest) = (lease.as_secs(), settings.lease_max.as_secs());
        bail!("a lease of {found} s is longer than [snapshot] lease_max, which is {longest} s");
    }
    let tables = if tables.is_empty() {
        &settings.tables
    } else {
        tables
    };
    let tables: anyhow::Result<Vec<PublishTable>> = tables
        .iter()
        .map(|name| {
            let known = PublishTable::ALL.map(PublishTable::as_str).join(", ");
            PublishTable::of(name).with_context(|| {
                format!("there is no table {name:?} to publish; there are {known}")
            })
        })
        .collect();
    Ok(PublishRequest {
        tables: tables?,
        is_in_delta_log: settings.delta,
        ..PublishRequest::new(i64::try_from(lease.as_micros())?)
    })
}

fn find(store: &Store, id: Option<&str>) -> anyhow::Result<Arc<PublishedSnapshot>> {
    let published = store.published();
    let Some(text) = id else {
        let newest = published.list().pop();
        return newest.context("there is no snapshot; `vitalog snapshot create` makes one");
    };
    let Some(id) = SnapshotId::parse(text) else {
        bail!("{text:?} is no id of a snapshot; `vitalog snapshot list` shows them");
    };
    if let Some(found) = published.get(&id) {
        return Ok(found);
    }
    match published.revocation(&id)? {
        Some(gone) => bail!("the snapshot {id} is gone: {}", gone.reason.as_str()),
        None => bail!("there is no snapshot {id}; `vitalog snapshot list` shows those there are"),
    }
}

fn local_files(store: &Store, id: &str, table: &str) -> anyhow::Result<Vec<ShelfFile>> {
    let snapshot = find(store, Some(id))?;
    let manifest = store.published().manifest(table, &snapshot.id)?;
    let manifest = manifest.with_context(|| format!("the snapshot {id} has no table {table:?}"))?;
    let files = manifest.files.iter().map(|file| ShelfFile {
        table: table.to_owned(),
        path: file.path.clone(),
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    });
    Ok(files.collect())
}

fn read_local(
    store: &Store,
    (id, table, path): (&str, &str, &str),
    mut offset: u64,
    mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (PublishedPath::File { name, bytes, .. } | PublishedPath::Manifest { name, bytes, .. }) =
        store.published().path_of(table, id, path)?
    else {
        bail!("the snapshot {id} has no file {path:?} of {table}");
    };
    let file = store.directory().open_read(&name)?;
    while offset < bytes {
        let mut piece = vec![0; (bytes - offset).min(PIECE_BYTES) as usize];
        file.read_at(offset, &mut piece)?;
        offset += piece.len() as u64;
        take(&piece)?;
    }
    Ok(())
}

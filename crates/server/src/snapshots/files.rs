//! Snapshots and their files as messages, in pages.

use prost::Message;
use vitalog_store::{PublishedFile, PublishedSnapshot};
use vitalog_wire::vitalog::v1;

use super::shelf::Shelf;
use crate::fault::{Fault, Reason};
use crate::http::{Signing, file_path};
use crate::instant::timestamp;
use crate::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::listing::rows_of;
use crate::token::{self, TokenKind};

/// The snapshot after which a list of snapshots goes on.
#[derive(Clone, PartialEq, Eq, Message)]
struct SnapshotPlace {
    #[prost(string, tag = "1")]
    id: String,
}

/// The file after which a list of files goes on.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct FilePlace {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub table: String,
    #[prost(string, tag = "3")]
    pub path: String,
}

/// A page of snapshots, the newest first, and the token of the next one, empty on the last.
pub(super) fn page_of_snapshots(
    shelf: &Shelf,
    request: &v1::SnapshotServiceListRequest,
) -> Result<v1::SnapshotServiceListResponse, Fault> {
    let rows_max = rows_of(
        request.page_size,
        "page_size",
        PAGE_ROWS_DEFAULT,
        PAGE_ROWS_MAX,
    )?;
    let mut all = shelf.all();
    if !request.page_token.is_empty() {
        let place: SnapshotPlace =
            token::open(TokenKind::Snapshots, "page_token", &request.page_token)?;
        all.retain(|snapshot| snapshot.id.as_str() < place.id.as_str());
    }
    let has_more = all.len() > rows_max;
    all.truncate(rows_max);
    let next_page_token = match all.last() {
        Some(last) if has_more => {
            let id = last.id.to_string();
            token::seal(TokenKind::Snapshots, &SnapshotPlace { id })
        }
        _ => String::new(),
    };
    Ok(v1::SnapshotServiceListResponse {
        snapshots: all.iter().map(|one| snapshot_of(one)).collect(),
        next_page_token,
    })
}

/// Which files of a snapshot are wanted.
pub(super) struct WantedFiles<'a> {
    pub table: Option<&'a str>,
    pub page_size: u32,
    /// Of the page before.
    pub after: Option<FilePlace>,
    pub signing: Option<Signing>,
}

/// A page of the files of `snapshot`, by table, then path, and the token of the next one.
pub(super) fn page_of_files(
    shelf: &Shelf,
    snapshot: &PublishedSnapshot,
    wanted: &WantedFiles<'_>,
) -> Result<(Vec<v1::SnapshotFile>, String), Fault> {
    let rows_max = rows_of(
        wanted.page_size,
        "page_size",
        PAGE_ROWS_DEFAULT,
        PAGE_ROWS_MAX,
    )?;
    if let Some(table) = wanted.table {
        // Says which tables there are.
        shelf.manifest(snapshot, table)?;
    }
    let after = wanted.after.as_ref();
    let after = after.map(|place| (place.table.as_str(), place.path.as_str()));
    let mut names: Vec<&str> = snapshot
        .tables
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    names.sort_unstable();
    names.retain(|name| wanted.table.is_none_or(|table| table == *name));
    names.retain(|name| after.is_none_or(|(table, _)| *name >= table));
    let mut files: Vec<v1::SnapshotFile> = Vec::new();
    for table in names {
        let manifest = shelf.manifest(snapshot, table)?;
        let fresh = manifest
            .files
            .iter()
            .filter(|file| after.is_none_or(|after| (table, file.path.as_str()) > after));
        for file in fresh {
            if let (true, Some(last)) = (files.len() == rows_max, files.last()) {
                let place = FilePlace {
                    id: snapshot.id.to_string(),
                    table: last.table.clone(),
                    path: last.path.clone(),
                };
                let token = token::seal(TokenKind::SnapshotFiles, &place);
                return Ok((files, token));
            }
            let path = file_path(table, snapshot.id.as_str(), &file.path);
            let path = match &wanted.signing {
                Some(signing) => signing.signed(&path),
                None => path,
            };
            files.push(file_of(table, file, shelf.url(&path)));
        }
    }
    Ok((files, String::new()))
}

/// The place that a token of [`page_of_files`] names.
pub(super) fn place_of(token: &str) -> Result<Option<FilePlace>, Fault> {
    match token {
        "" => Ok(None),
        text => token::open(TokenKind::SnapshotFiles, "page_token", text).map(Some),
    }
}

/// Whether `token` names a place in a list of snapshots, or of the files of one.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_place(token: &str) -> bool {
    token::open::<SnapshotPlace>(TokenKind::Snapshots, "page_token", token).is_ok()
        || place_of(token).is_ok_and(|place| place.is_some())
}

/// A snapshot without its files.
pub(super) fn snapshot_of(snapshot: &PublishedSnapshot) -> v1::Snapshot {
    let mut tables: Vec<v1::SnapshotTable> = snapshot
        .tables
        .iter()
        .map(|table| v1::SnapshotTable {
            name: table.name.clone(),
            rows: table.rows,
            bytes: table.bytes,
            file_count: u32::try_from(table.files).unwrap_or(u32::MAX),
        })
        .collect();
    tables.sort_by(|one, other| one.name.cmp(&other.name));
    v1::Snapshot {
        id: snapshot.id.to_string(),
        seq: snapshot.seq.unsigned_abs(),
        as_of: Some(timestamp(snapshot.as_of_us)),
        created_at: Some(timestamp(snapshot.created_at_us)),
        expires_at: Some(timestamp(snapshot.expires_at_us)),
        tables,
    }
}

fn file_of(table: &str, file: &PublishedFile, url: String) -> v1::SnapshotFile {
    v1::SnapshotFile {
        table: table.to_owned(),
        path: file.path.clone(),
        bytes: file.bytes,
        sha256: file.sha256.clone(),
        rows: file.rows,
        dt: file.dt.clone(),
        url,
    }
}

/// A token that is of another snapshot than the request names.
pub(super) fn check_place(place: Option<&FilePlace>, id: &str) -> Result<(), Fault> {
    match place {
        Some(place) if !id.is_empty() && place.id != id => {
            let message = format!("is of the snapshot {}", place.id);
            Err(Fault::of_field(Reason::InvalidToken, "page_token", message))
        }
        _ => Ok(()),
    }
}

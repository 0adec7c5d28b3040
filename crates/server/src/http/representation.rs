//! What an address stands for at the moment: bytes with a strong entity tag.
//!
//! Invariant: two representations with the same entity tag are equal byte for byte.

use axum::http::HeaderValue;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use vitalog_event::format_timestamp_us;
use vitalog_store::PublishedSnapshot;

use super::address::{Address, MANIFEST, catalog_path, file_path};
use super::answer::JSON;
use super::right::Signing;
use crate::fault::{Fault, Reason};
use crate::snapshots::{OpenFile, Shelf};

const PARQUET: HeaderValue = HeaderValue::from_static("application/vnd.apache.parquet");

/// Something to send.
#[derive(Debug)]
pub(super) struct Representation {
    pub label: Label,
    pub content: Content,
}

/// Its bytes.
#[derive(Debug)]
pub(super) enum Content {
    File(OpenFile),
    Bytes(Bytes),
}

/// What is said of it.
#[derive(Debug)]
pub(super) struct Label {
    /// Its bytes.
    pub length: u64,
    /// Strong, with its quotes.
    pub etag: HeaderValue,
    pub media: HeaderValue,
    pub cache: Cache,
}

/// How long an answer may be used again without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cache {
    /// For ever: the address never stands for anything else.
    Immutable,
    /// Only after asking whether it is still the same.
    Asking,
}

impl Cache {
    /// The value of `Cache-Control`. Only the caller may keep what a token opened.
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Immutable => "private, max-age=31536000, immutable",
            Self::Asking => "no-cache",
        })
    }
}

/// What `address` stands for now; URLs in it are signed where `signing` is given. Blocks.
pub(super) fn of(
    shelf: &Shelf,
    address: &Address,
    signing: Option<&Signing>,
) -> Result<Representation, Fault> {
    let urls = Urls { shelf, signing };
    match address {
        Address::List => {
            let all = shelf.all();
            let listed: Result<Vec<Value>, Fault> =
                all.iter().map(|snapshot| urls.catalog(snapshot)).collect();
            Ok(computed(&json!({ "snapshots": listed? })))
        }
        Address::Catalog { id } => Ok(computed(&urls.catalog(shelf.find(id)?.as_ref())?)),
        Address::Latest { table } => {
            let snapshot = shelf.newest(Some(table))?;
            Ok(computed(&urls.manifest(&snapshot, table)?))
        }
        Address::Manifest { table, id } => Ok(of_file(shelf.open(id, table, MANIFEST)?, JSON)),
        Address::File { table, id, path } => Ok(of_file(shelf.open(id, table, path)?, PARQUET)),
    }
}

fn of_file(file: OpenFile, media: HeaderValue) -> Representation {
    let label = Label {
        length: file.bytes,
        etag: quoted(&file.sha256),
        media,
        cache: Cache::Immutable,
    };
    let content = Content::File(file);
    Representation { label, content }
}

fn computed(value: &Value) -> Representation {
    let mut text = format!("{value:#}");
    text.push('\n');
    let digest = Sha256::digest(text.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let label = Label {
        length: text.len() as u64,
        etag: quoted(&digits),
        media: JSON,
        cache: Cache::Asking,
    };
    let content = Content::Bytes(text.into());
    Representation { label, content }
}

fn quoted(digits: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{digits}\"")).expect("hexadecimal digits")
}

/// Adds URLs to what is said of snapshots.
struct Urls<'a> {
    shelf: &'a Shelf,
    signing: Option<&'a Signing>,
}

impl Urls<'_> {
    /// A snapshot with its tables, each with the URL of its manifest.
    fn catalog(&self, snapshot: &PublishedSnapshot) -> Result<Value, Fault> {
        let mut object = object_of(snapshot)?;
        let id = snapshot.id.as_str();
        object.insert("url".to_owned(), self.url(&catalog_path(id)));
        for table in objects_in(&mut object, "tables") {
            let name = table.get("table").and_then(Value::as_str);
            let path = file_path(name.unwrap_or_default(), id, MANIFEST);
            table.insert("url".to_owned(), self.url(&path));
        }
        Ok(object.into())
    }

    /// A table of a snapshot with its files, each with its URL.
    fn manifest(&self, snapshot: &PublishedSnapshot, table: &str) -> Result<Value, Fault> {
        let manifest = self.shelf.manifest(snapshot, table)?;
        let mut object = object_of(manifest.as_ref())?;
        let id = snapshot.id.as_str();
        object.insert("url".to_owned(), self.url(&file_path(table, id, MANIFEST)));
        // The lease may have been made longer since the manifest was written.
        let expires_at = format_timestamp_us(snapshot.expires_at_us);
        object.insert("expires_at".to_owned(), expires_at.into());
        for file in objects_in(&mut object, "files") {
            let path = file.get("path").and_then(Value::as_str);
            let path = file_path(table, id, path.unwrap_or_default());
            file.insert("url".to_owned(), self.url(&path));
        }
        Ok(object.into())
    }

    fn url(&self, path: &str) -> Value {
        let path = match self.signing {
            Some(signing) => signing.signed(path),
            None => path.to_owned(),
        };
        self.shelf.url(&path).into()
    }
}

fn object_of(value: &impl Serialize) -> Result<Map<String, Value>, Fault> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => Ok(object),
        other => {
            let message = format!("expected an object, found {other:?}");
            Err(Fault::new(Reason::Internal, message))
        }
    }
}

/// The objects of the list `name`.
fn objects_in<'o>(
    object: &'o mut Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'o mut Map<String, Value>> {
    let list = object.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

//! What a path below `/snapshots` names.
//!
//! A path is decoded once and taken apart into names; nothing of it ever becomes a path of a file.
//! Invariant: [`Address::path`] is the one spelling of an address, and what signatures are made of.

use std::fmt::Write;

/// Where snapshots begin.
pub(super) const ROOT: &str = "/snapshots";
/// The folder of catalogues, which no table is named like.
const CATALOG: &str = "catalog";
/// The word that stands for the newest snapshot of a table.
const LATEST: &str = "latest";
/// The file that describes a table of a snapshot.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Longest part of a path between two slashes, decoded, in bytes.
const PART_BYTES_MAX: usize = 128;

/// Something below `/snapshots`. That its parts are well-formed does not mean that it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// `/snapshots/`: all snapshots.
    List,
    /// `/snapshots/catalog/ID.json`: one snapshot with its tables.
    Catalog { id: String },
    /// `/snapshots/TABLE/latest`: the newest snapshot of a table.
    Latest { table: String },
    /// `/snapshots/TABLE/ID/manifest.json`: one table of one snapshot.
    Manifest { table: String, id: String },
    /// `/snapshots/TABLE/ID/dt=DAY/part-HASH.parquet`: a file of it.
    File {
        table: String,
        id: String,
        /// Below the table and the id.
        path: String,
    },
}

impl Address {
    /// The address that the path of a request names, percent-encoded as it came.
    pub fn parse(path: &str) -> Option<Self> {
        let decoded = decoded(path)?;
        let below = decoded.strip_prefix(ROOT)?;
        if below.is_empty() || below == "/" {
            return Some(Self::List);
        }
        let parts: Vec<&str> = below.strip_prefix('/')?.split('/').collect();
        if !parts.iter().all(|part| is_plain(part)) {
            return None;
        }
        let owned = |part: &str| part.to_owned();
        match parts[..] {
            [CATALOG, file] => Some(Self::Catalog {
                id: owned(file.strip_suffix(".json")?),
            }),
            [table, LATEST] => Some(Self::Latest {
                table: owned(table),
            }),
            [table, id, MANIFEST] => Some(Self::Manifest {
                table: owned(table),
                id: owned(id),
            }),
            [table, id, day, file] => Some(Self::File {
                table: owned(table),
                id: owned(id),
                path: format!("{day}/{file}"),
            }),
            _ => None,
        }
    }

    /// The path, decoded.
    pub fn path(&self) -> String {
        match self {
            Self::List => format!("{ROOT}/"),
            Self::Catalog { id } => catalog_path(id),
            Self::Latest { table } => format!("{ROOT}/{table}/{LATEST}"),
            Self::Manifest { table, id } => format!("{ROOT}/{table}/{id}/{MANIFEST}"),
            Self::File { table, id, path } => file_path(table, id, path),
        }
    }
}

/// Where HTTP serves a snapshot with its tables; needs no encoding.
pub(super) fn catalog_path(id: &str) -> String {
    format!("{ROOT}/{CATALOG}/{id}.json")
}

/// Where HTTP serves a file of a snapshot; needs no encoding.
pub(crate) fn file_path(table: &str, id: &str, path: &str) -> String {
    format!("{ROOT}/{table}/{id}/{path}")
}

/// Letters, digits and a few signs: all that names of snapshots are made of. Neither `..` nor
/// anything that a file system or a terminal reads otherwise.
fn is_plain(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=.".contains(&byte);
    !part.is_empty()
        && part.len() <= PART_BYTES_MAX
        && !part.starts_with('.')
        && part.bytes().all(is_plain)
}

/// `path` with its percent-encoding undone, once; `None` where that is broken or gives other than
/// ASCII.
fn decoded(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let digits = rest.get(at + 1..at + 3)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let byte = u8::from_str_radix(digits, 16).ok()?;
        decoded.push_str(&rest[..at]);
        decoded.write_char(char::from(byte)).ok()?;
        rest = &rest[at + 3..];
    }
    decoded.push_str(rest);
    decoded.is_ascii().then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "20250301T093000Z-4711";

    #[test]
    fn addresses_are_read_back() {
        let (table, id) = ("events".to_owned(), ID.to_owned());
        let path = "dt=2025-03-01/part-0123456789abcdef.parquet".to_owned();
        for address in [
            Address::List,
            Address::Catalog { id: id.clone() },
            Address::Latest {
                table: table.clone(),
            },
            Address::Manifest {
                table: table.clone(),
                id: id.clone(),
            },
            Address::File { table, id, path },
        ] {
            assert_eq!(Address::parse(&address.path()), Some(address));
        }
        assert_eq!(Address::parse("/snapshots"), Some(Address::List));
    }

    #[test]
    fn encoded_and_plain_are_the_same() {
        let plain = format!("/snapshots/events/{ID}/dt=2025-03-01/part-00.parquet");
        let encoded = plain.replace('=', "%3D").replace('-', "%2d");
        assert_ne!(plain, encoded);
        let address = Address::parse(&encoded).expect("an address");
        assert_eq!(address.path(), plain);
        assert_eq!(Address::parse(&plain), Some(address));
        // What hides a slash is read as one, and changes nothing but the spelling.
        assert_eq!(
            Address::parse("/snapshots/events%2Flatest"),
            Address::parse("/snapshots/events/latest")
        );
    }

    #[test]
    fn nothing_else_is_an_address() {
        let long = format!("/snapshots/{}/latest", "a".repeat(129));
        for path in [
            "/",
            "/snapshotsx",
            "/snapshots//latest",
            "/snapshots/events",
            "/snapshots/events/",
            "/snapshots/events/latest/",
            "/snapshots/../latest",
            "/snapshots/%2e%2e/latest",
            "/snapshots/events/%2e%2e/%2e%2e/manifest.json",
            "/snapshots/events/../manifest.json",
            "/snapshots/events/id/../../wal/1.wal",
            "/snapshots/events/id/..%2F..%2Fwal/1.wal",
            "/snapshots/events/id/dt=1/.hidden",
            "/snapshots/events/id/dt=1/part.parquet/x",
            "/snapshots/%252e%252e/latest",
            "/snapshots/eve%00nts/latest",
            "/snapshots/events%5c/latest",
            "/snapshots/events%/latest",
            "/snapshots/events%4/latest",
            "/snapshots/events%+1/latest",
            "/snapshots/%c3%a9/latest",
            "/snapshots/catalog/id",
            &long,
        ] {
            assert_eq!(Address::parse(path), None, "{path}");
        }
    }
}

//! Names below `snapshots/`: which there are, and which may come from outside.
//!
//! ```text
//! snapshots/<table>/<id>/dt=YYYY-MM-DD/part-<16 hex of the SHA-256>.parquet
//! snapshots/<table>/<id>/manifest.json
//! snapshots/<table>/_delta_log/<20 digits>.json
//! snapshots/catalog/<id>.json
//! snapshots/revoked/<id>.json
//! ```
//! Invariant: every name made here is a checked one; text from a request becomes a name only as a
//! [`SnapshotId`], a checked table name, or by being equal to a name in a manifest.

use std::fmt;

use serde::{Deserialize, Serialize};
use vitalog_event::{day_start_us, format_timestamp_us, parse_timestamp_us};

/// The folder of all published snapshots.
pub(crate) const FOLDER: &str = "snapshots";
/// The folder of the commit points.
pub(super) const CATALOG_FOLDER: &str = "snapshots/catalog";
/// The folder that says of ids that are gone when and why.
pub(super) const REVOKED_FOLDER: &str = "snapshots/revoked";
/// The manifest of one table, below its folder.
pub(super) const MANIFEST: &str = "manifest.json";

const TABLE_BYTES_MAX: usize = 64;
/// Digits of a file's hash in its name.
const NAME_DIGITS: usize = 16;
const SECOND_US: i64 = 1_000_000;
/// `20250301T120000Z`.
const STAMP_BYTES: usize = 16;

/// The name, below the folder of its day, of a file whose SHA-256 in hexadecimal is `sha256`.
pub(crate) fn file_name(sha256: &str) -> String {
    let digits = sha256.get(..NAME_DIGITS).unwrap_or(sha256);
    format!("part-{digits}.parquet")
}

/// Whether `name` is one of [`file_name`].
pub(crate) fn is_file_name(name: &str) -> bool {
    let digits = name.strip_prefix("part-");
    let digits = digits.and_then(|rest| rest.strip_suffix(".parquet"));
    digits.is_some_and(|digits| digits.len() == NAME_DIGITS)
}

/// The name of a published snapshot: its time of creation, UTC, and its `seq`, as in
/// `20250301T120000Z-81240`. A later snapshot of a store has a later second, so ids sort by time
/// as plain text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId(String);

impl SnapshotId {
    /// The id for a snapshot made now, after `newest`: at a second of its own, even where the
    /// clock stands still or goes back.
    pub(super) fn after(newest: Option<&Self>, created_at_us: i64, seq: i64) -> Self {
        let mut second = created_at_us.div_euclid(SECOND_US);
        if let Some(last) = newest.and_then(Self::second) {
            second = second.max(last + 1);
        }
        let text = format_timestamp_us(second * SECOND_US);
        let digits: String = text.chars().filter(char::is_ascii_digit).take(14).collect();
        Self(format!("{}T{}Z-{seq}", &digits[..8], &digits[8..]))
    }

    /// `text` as an id; `None` where it has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (stamp, seq) = text.split_at_checked(STAMP_BYTES)?;
        let is_stamp = stamp.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
        let seq = seq.strip_prefix('-')?;
        let is_seq = seq.parse::<i64>().is_ok_and(|number| {
            // One spelling a number: "+1" and "01" are other texts.
            number >= 0 && number.to_string() == seq
        });
        let id = Self(text.to_owned());
        (is_stamp && is_seq && id.second().is_some()).then_some(id)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Seconds since 1970 of its time.
    fn second(&self) -> Option<i64> {
        let part = |range: std::ops::Range<usize>| &self.0[range];
        let text = format!(
            "{}-{}-{}T{}:{}:{}Z",
            part(0..4),
            part(4..6),
            part(6..8),
            part(9..11),
            part(11..13),
            part(13..15)
        );
        Some(parse_timestamp_us(&text).ok()?.div_euclid(SECOND_US))
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> Self {
        id.0
    }
}

impl TryFrom<String> for SnapshotId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no id of a snapshot"))
    }
}

/// Whether `table` can be a table of a snapshot: lower-case letters, digits and `_`, a letter
/// first, and neither of the two folders that are no tables.
pub(super) fn is_table(table: &str) -> bool {
    table.len() <= TABLE_BYTES_MAX
        && table.starts_with(|first: char| first.is_ascii_lowercase())
        && table
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && table != "catalog"
        && table != "revoked"
}

/// The folder of a table.
pub(super) fn table_folder(table: &str) -> String {
    format!("{FOLDER}/{table}")
}

/// The folder of one table of one snapshot.
pub(super) fn snapshot_folder(table: &str, id: &SnapshotId) -> String {
    format!("{FOLDER}/{table}/{id}")
}

/// The manifest of one table of one snapshot.
pub(super) fn manifest_name(table: &str, id: &SnapshotId) -> String {
    format!("{FOLDER}/{table}/{id}/{MANIFEST}")
}

/// The commit point of a snapshot.
pub(super) fn catalog_name(id: &SnapshotId) -> String {
    format!("{CATALOG_FOLDER}/{id}.json")
}

/// The word about a snapshot that is gone.
pub(super) fn revoked_name(id: &SnapshotId) -> String {
    format!("{REVOKED_FOLDER}/{id}.json")
}

/// A UTC day as `YYYY-MM-DD`.
pub(super) fn day_text(day: i32) -> String {
    let text = format_timestamp_us(day_start_us(day));
    text.split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_US: i64 = 1_740_830_400_000_000;

    #[test]
    fn ids_sort_by_time_even_where_the_clock_does_not_move() {
        let first = SnapshotId::after(None, NOON_US + 999_999, 9);
        assert_eq!(first.as_str(), "20250301T120000Z-9");
        let second = SnapshotId::after(Some(&first), NOON_US, 10);
        assert_eq!(second.as_str(), "20250301T120001Z-10");
        let third = SnapshotId::after(Some(&second), NOON_US + 60_000_000, 10);
        assert_eq!(third.as_str(), "20250301T120100Z-10");
        assert!(first < second && second < third);
        let before = SnapshotId::after(Some(&third), 0, 11);
        assert_eq!(before.as_str(), "20250301T120101Z-11");
    }

    #[test]
    fn only_ids_are_ids() {
        assert!(SnapshotId::parse("20250301T120000Z-0").is_some());
        for bad in [
            "",
            "20250301T120000Z",
            "20250301T120000Z-",
            "20250301T120000Z--1",
            "20250301T120000Z-+1",
            "20250301T120000Z-01",
            "20250301T120000Z-1/..",
            "20251301T120000Z-1",
            "20250301T126000Z-1",
            "2025030xT120000Z-1",
            "../../../../etc/x",
            "20250301T12000é-1",
        ] {
            assert_eq!(SnapshotId::parse(bad), None, "{bad}");
        }
        let json = serde_json::from_str::<SnapshotId>("\"../x\"");
        assert!(json.is_err());
    }

    #[test]
    fn only_names_of_tables_are_tables() {
        for good in ["events", "health_scores", "a1"] {
            assert!(is_table(good), "{good}");
        }
        for bad in [
            "",
            "catalog",
            "revoked",
            "_delta_log",
            "Events",
            "a/b",
            "..",
            "1a",
            "a-b",
        ] {
            assert!(!is_table(bad), "{bad}");
        }
        assert!(!is_table(&"a".repeat(65)));
        assert_eq!(day_text(20_148), "2025-03-01");
    }
}

//! Snapshots as people and scripts see them.

use std::io::{self, Write};

use anyhow::bail;
use serde::Serialize;
use vitalog_event::format_timestamp_us;
use vitalog_store::PublishedSnapshot;
use vitalog_wire::vitalog::v1 as wire;

use super::Format;
use crate::command::grid::{Cell, Grid, Heading, shown_time};
use crate::command::instant::microseconds;
use crate::command::progress::{bytes, count};
use crate::sql::screen;

/// A snapshot, from a directory or a server alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ShownSnapshot {
    pub id: String,
    pub seq: u64,
    #[serde(serialize_with = "as_text")]
    pub as_of: i64,
    #[serde(serialize_with = "as_text")]
    pub created_at: i64,
    #[serde(serialize_with = "as_text")]
    pub expires_at: i64,
    /// By name.
    pub tables: Vec<ShownTable>,
}

/// One of its tables.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ShownTable {
    pub table: String,
    pub rows: u64,
    pub bytes: u64,
    pub files: u64,
}

impl ShownSnapshot {
    /// With only the tables of these names; with all where none is named.
    pub fn with_tables(mut self, names: &[String]) -> anyhow::Result<Self> {
        for name in names {
            if !self.tables.iter().any(|table| table.table == *name) {
                let known: Vec<&str> = self.tables.iter().map(|one| one.table.as_str()).collect();
                let known = known.join(", ");
                bail!(
                    "the snapshot {} has no table {name:?}; it has {known}",
                    self.id
                );
            }
        }
        if !names.is_empty() {
            self.tables.retain(|table| names.contains(&table.table));
        }
        Ok(self)
    }

    /// Bytes of all tables.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }
}

impl From<&PublishedSnapshot> for ShownSnapshot {
    fn from(snapshot: &PublishedSnapshot) -> Self {
        let tables = snapshot.tables.iter().map(|table| ShownTable {
            table: table.name.clone(),
            rows: table.rows,
            bytes: table.bytes,
            files: table.files,
        });
        Self {
            id: snapshot.id.to_string(),
            seq: snapshot.seq.unsigned_abs(),
            as_of: snapshot.as_of_us,
            created_at: snapshot.created_at_us,
            expires_at: snapshot.expires_at_us,
            tables: tables.collect(),
        }
    }
}

impl From<wire::Snapshot> for ShownSnapshot {
    fn from(snapshot: wire::Snapshot) -> Self {
        let tables = snapshot.tables.into_iter().map(|table| ShownTable {
            table: table.name,
            rows: table.rows,
            bytes: table.bytes,
            files: u64::from(table.file_count),
        });
        Self {
            id: snapshot.id,
            seq: snapshot.seq,
            as_of: snapshot
                .as_of
                .map_or(0, |time| microseconds(time.seconds, time.nanos)),
            created_at: snapshot
                .created_at
                .map_or(0, |time| microseconds(time.seconds, time.nanos)),
            expires_at: snapshot
                .expires_at
                .map_or(0, |time| microseconds(time.seconds, time.nanos)),
            tables: tables.collect(),
        }
    }
}

/// Microseconds as RFC 3339.
fn as_text<S: serde::Serializer>(time_us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_timestamp_us(*time_us))
}

/// Writes a list of snapshots.
pub(super) fn write_table(snapshots: &[ShownSnapshot], format: Format) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if format == Format::Json {
        writeln!(out, "{}", serde_json::to_string_pretty(snapshots)?)?;
        return Ok(());
    }
    if snapshots.is_empty() {
        writeln!(
            out,
            "there is no snapshot; `vitalog snapshot create` makes one"
        )?;
        return Ok(());
    }
    let mut grid = Grid::new(&[
        Heading::left("snapshot", 0),
        Heading::right("seq", 2),
        Heading::left("made", 3),
        Heading::left("leased until", 1),
        Heading::right("tables", 2),
        Heading::right("bytes", 0),
    ]);
    for snapshot in snapshots {
        grid.push(vec![
            Cell::new(&snapshot.id),
            Cell::new(count(snapshot.seq)),
            Cell::new(shown_time(snapshot.created_at)),
            Cell::new(shown_time(snapshot.expires_at)),
            Cell::new(snapshot.tables.len().to_string()),
            Cell::new(bytes(snapshot.bytes())),
        ]);
    }
    grid.write(&mut out, screen())?;
    Ok(())
}

/// Writes one snapshot with its tables.
pub(super) fn write_one(snapshot: &ShownSnapshot, format: Format) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if format == Format::Json {
        writeln!(out, "{}", serde_json::to_string_pretty(snapshot)?)?;
        return Ok(());
    }
    writeln!(
        out,
        "snapshot {}, seq {}, leased until {}\n",
        snapshot.id,
        count(snapshot.seq),
        shown_time(snapshot.expires_at)
    )?;
    let mut grid = Grid::new(&[
        Heading::left("table", 0),
        Heading::right("rows", 0),
        Heading::right("files", 0),
        Heading::right("bytes", 0),
    ]);
    for table in &snapshot.tables {
        grid.push(vec![
            Cell::new(&table.table),
            Cell::new(count(table.rows)),
            Cell::new(count(table.files)),
            Cell::new(bytes(table.bytes)),
        ]);
    }
    grid.write(&mut out, screen())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn snapshot() -> ShownSnapshot {
        let table = |name: &str| wire::SnapshotTable {
            name: name.to_owned(),
            rows: 7,
            bytes: 100,
            file_count: 2,
        };
        let time = |seconds| UNIX_EPOCH + Duration::new(seconds, 5_000);
        ShownSnapshot::from(wire::Snapshot {
            id: "20250301T093000Z-7".to_owned(),
            seq: 7,
            as_of: Some(time(1_740_821_400).into()),
            created_at: Some(time(1_740_821_400).into()),
            expires_at: Some(time(1_740_907_800).into()),
            tables: vec![table("accounts"), table("events")],
        })
    }

    #[test]
    fn json_has_times_as_text() {
        let json = serde_json::to_value(snapshot()).expect("plain values");
        assert_eq!(json["created_at"], "2025-03-01T09:30:00.000005Z");
        assert_eq!(json["tables"][1]["table"], "events");
        assert_eq!(json["tables"][1]["files"], 2);
    }

    #[test]
    fn only_tables_that_are_there_can_be_named() {
        assert_eq!(snapshot().bytes(), 200);
        let events = snapshot()
            .with_tables(&["events".to_owned()])
            .expect("there");
        assert_eq!((events.tables.len(), events.bytes()), (1, 100));
        let error = snapshot().with_tables(&["event".to_owned()]);
        let error = error.expect_err("no such table").to_string();
        assert!(error.contains("accounts, events"), "{error}");
    }
}

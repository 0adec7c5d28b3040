//! `system.queries`: the statements that are known, as a table of SQL.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit};
use vitalog_query::{
    ColumnDescription, QueryError, QueryErrorKind, SystemTable, TableDescription, Viewer,
    schema_of_table,
};

use super::record::RunningStatement;
use super::register::Register;

/// The table over a register.
#[derive(Debug)]
pub(super) struct QueriesTable(pub Arc<Register>);

/// Name, type, whether it may be NULL, meaning, and the values.
type Column = (
    &'static str,
    Kind,
    bool,
    &'static str,
    fn(&[RunningStatement]) -> ArrayRef,
);

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Time,
}

const COLUMNS: [Column; 17] = [
    (
        "query_id",
        Kind::Text,
        false,
        "The id: the client's own, or one that was made.",
        |all| texts(all, |one| Some(one.id.clone())),
    ),
    (
        "surface",
        Kind::Text,
        false,
        "By which way it came: grpc, flight_sql, http.",
        |all| texts(all, |one| Some(one.surface.as_str().to_owned())),
    ),
    (
        "name",
        Kind::Text,
        true,
        "The name of the token that it came with.",
        |all| texts(all, |one| one.name.clone()),
    ),
    (
        "peer",
        Kind::Text,
        true,
        "The address and port that it came from.",
        |all| texts(all, |one| one.peer.map(|peer| peer.to_string())),
    ),
    (
        "state",
        Kind::Text,
        false,
        "queued, planning, running; ended as finished, failed, cancelled, or abandoned by its reader.",
        |all| texts(all, |one| Some(one.state.as_str().to_owned())),
    ),
    (
        "sql",
        Kind::Text,
        false,
        "The first 10,000 bytes of its text.",
        |all| texts(all, |one| Some(one.sql.clone())),
    ),
    ("started_at", Kind::Time, false, "When it arrived.", |all| {
        let times = all.iter().map(|one| Some(one.started_at_us));
        Arc::new(
            times
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        )
    }),
    (
        "elapsed_us",
        Kind::Integer,
        false,
        "Microseconds from its arrival to its end or to now.",
        |all| integers(all, |one| i64::try_from(one.elapsed.as_micros()).ok()),
    ),
    (
        "queued_us",
        Kind::Integer,
        false,
        "Microseconds from its arrival to its turn.",
        |all| integers(all, |one| i64::try_from(one.queued.as_micros()).ok()),
    ),
    (
        "planning_us",
        Kind::Integer,
        false,
        "Microseconds in which it was planned.",
        |all| {
            integers(all, |one| {
                i64::try_from(one.usage.planning.as_micros()).ok()
            })
        },
    ),
    (
        "rows",
        Kind::Integer,
        false,
        "Rows that its reader took.",
        |all| integers(all, |one| i64::try_from(one.rows).ok()),
    ),
    (
        "bytes",
        Kind::Integer,
        false,
        "Bytes of the columns of those.",
        |all| integers(all, |one| i64::try_from(one.bytes).ok()),
    ),
    (
        "memory_peak_bytes",
        Kind::Integer,
        false,
        "The most that its operators held at once.",
        |all| integers(all, |one| i64::try_from(one.usage.memory_peak_bytes).ok()),
    ),
    (
        "rows_scanned",
        Kind::Integer,
        false,
        "Rows of the sections of events that were opened.",
        |all| integers(all, |one| i64::try_from(one.usage.rows_scanned).ok()),
    ),
    (
        "spilled_bytes",
        Kind::Integer,
        false,
        "Bytes written to temporary files.",
        |all| integers(all, |one| i64::try_from(one.usage.spilled_bytes).ok()),
    ),
    (
        "seq",
        Kind::Integer,
        true,
        "The last seq that it sees; NULL until it is planned.",
        |all| integers(all, |one| one.seq.and_then(|seq| i64::try_from(seq).ok())),
    ),
    (
        "reason",
        Kind::Text,
        true,
        "Why it failed: the reason of its error.",
        |all| {
            texts(all, |one| {
                one.reason.map(|reason| reason.as_str().to_owned())
            })
        },
    ),
];

impl SystemTable for QueriesTable {
    fn describe(&self) -> TableDescription {
        let columns = COLUMNS.iter().map(|(name, kind, is_nullable, comment, _)| {
            let data_type = match kind {
                Kind::Text => DataType::Utf8,
                Kind::Integer => DataType::Int64,
                Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            };
            ColumnDescription {
                name: (*name).to_owned(),
                data_type,
                is_nullable: *is_nullable,
                comment: (*comment).to_owned(),
            }
        });
        TableDescription {
            name: "queries".to_owned(),
            comment:
                "One row a statement: those under way on this server, and the last 1,000 that \
                      ended. Shows the statements of one's own token, and with the scope admin \
                      everyone's."
                    .to_owned(),
            columns: columns.collect(),
        }
    }

    fn rows(&self, viewer: &Viewer) -> Result<RecordBatch, QueryError> {
        let records = self.0.seen_by(viewer);
        let columns = COLUMNS.iter().map(|(.., values)| values(&records));
        RecordBatch::try_new(schema_of_table(&self.describe()), columns.collect()).map_err(
            |error| QueryError::new(QueryErrorKind::Internal, format!("system.queries: {error}")),
        )
    }
}

fn texts(all: &[RunningStatement], of: impl Fn(&RunningStatement) -> Option<String>) -> ArrayRef {
    Arc::new(all.iter().map(of).collect::<StringArray>())
}

fn integers(all: &[RunningStatement], of: impl Fn(&RunningStatement) -> Option<i64>) -> ArrayRef {
    Arc::new(all.iter().map(of).collect::<Int64Array>())
}

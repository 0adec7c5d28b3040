//! The limits of a server and of its statements: the sections `[server]` and `[query]`.
//!
//! Invariant: what is in force lies in its range. A value outside of it is refused by its key, with
//! the reason.

use std::fmt::Display;
use std::net::SocketAddr;

use anyhow::ensure;
use serde::Deserialize;
use vitalog_query::QueryConfig;
use vitalog_server::ServerConfig;

use super::Config;
use super::serving::TableList;
use super::span::Span;

/// More of anything at once is mistyped.
const COUNT_MAX: u32 = 1 << 20;
/// Why a count lies between 1 and [`COUNT_MAX`].
const COUNT_WHY: &str = "0 would let nothing in, and no machine has room for more";
/// Less memory than this is mistyped.
const MEMORY_BYTES_MIN: usize = 1 << 20;
/// See [`MEMORY_BYTES_MIN`].
const MEMORY_WHY: &str = "a batch of rows may need as much";
/// More threads than this are mistyped.
const THREADS_MAX: usize = 1_024;

/// `[server]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// Address of the gRPC listener.
    pub grpc: Option<SocketAddr>,
    /// Address of the HTTP listener.
    pub http: Option<SocketAddr>,
    /// Where clients reach the HTTP listener, as in `https://vitalog.example.com`.
    pub public_url: Option<String>,
    /// Origins whose web pages may call, as in `https://app.example.com`.
    pub web_origins: Option<TableList>,
    /// Connections open at once, of each listener.
    pub connections_max: Option<usize>,
    /// TLS handshakes under way at once, of each listener.
    pub handshakes_max: Option<usize>,
    /// Calls open at once on one connection.
    pub streams_per_connection_max: Option<u32>,
    /// Appends under way at once.
    pub appends_max: Option<usize>,
    /// Append streams open at once.
    pub append_streams_max: Option<usize>,
    /// Reads open at once.
    pub reads_max: Option<usize>,
    /// Statements running at once.
    pub queries_max: Option<usize>,
    /// Downloads of files at once.
    pub downloads_max: Option<usize>,
    /// Compactions and backups that were called for under way at once.
    pub upkeep_calls_max: Option<usize>,
    /// How long a call waits for its turn.
    pub queue_wait: Option<Span>,
    /// How long a call may take until its answer begins.
    pub call_timeout: Option<Span>,
    /// How long a call waits for a snapshot to be published.
    pub publish_timeout: Option<Span>,
    /// How long a call waits for a compaction or a backup.
    pub upkeep_timeout: Option<Span>,
    /// How long a client may take to greet.
    pub greeting_wait: Option<Span>,
    /// How long an HTTP connection may take to send its next request.
    pub request_wait: Option<Span>,
    /// How long a reader of HTTP may take nothing of what it is sent.
    pub reader_pause: Option<Span>,
    /// How long a shutdown waits for calls under way.
    pub drain_timeout: Option<Span>,
}

/// `[query]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuerySection {
    /// Bytes that statements may hold at once.
    pub memory_bytes: Option<usize>,
    /// Bytes that one statement may hold.
    pub statement_memory_bytes: Option<usize>,
    /// Threads that scan.
    pub scan_threads: Option<usize>,
    /// Longest time from the arrival of a statement to its last row.
    pub deadline: Option<Span>,
    /// Most rows of one answer over the wire; without it there is no limit.
    pub result_rows_max: Option<u64>,
    /// Most bytes of the columns of one answer over the wire; without it there is no limit.
    pub result_bytes_max: Option<u64>,
}

impl Config {
    /// The settings of statements.
    ///
    /// # Errors
    /// A value outside its range.
    pub fn query(&self) -> anyhow::Result<QueryConfig> {
        let given = &self.query;
        let default = QueryConfig::default();
        let memory = |key, given| at_least(key, given, MEMORY_BYTES_MIN, MEMORY_WHY);
        let memory_bytes = memory("[query] memory_bytes", given.memory_bytes)?;
        let memory_bytes = memory_bytes.unwrap_or(default.memory_bytes);
        let key = "[query] statement_memory_bytes";
        let statement_memory_bytes = memory(key, given.statement_memory_bytes)?;
        if let Some(bytes) = statement_memory_bytes {
            ensure!(
                bytes <= memory_bytes,
                "{key} is {bytes}, more than memory_bytes, which is {memory_bytes}: all statements \
                 together hold no more than that"
            );
        }
        let key = "[query] scan_threads";
        let range = (1, THREADS_MAX);
        let scan_threads = within(key, given.scan_threads, range, "each is a thread")?;
        Ok(QueryConfig {
            scan_threads: scan_threads.unwrap_or(default.scan_threads),
            memory_bytes,
            statement_memory_bytes,
            deadline: given.deadline.map(Span::duration).or(default.deadline),
            ..default
        })
    }

    /// The limits of a server; all else that it needs has its default.
    ///
    /// # Errors
    /// A value outside its range.
    pub(super) fn limits(&self) -> anyhow::Result<ServerConfig> {
        let given = &self.server;
        let default = ServerConfig::default();
        let count = |name: &str, given: Option<usize>, default: usize| {
            let range = (1, COUNT_MAX as usize);
            let found = within(&format!("[server] {name}"), given, range, COUNT_WHY)?;
            anyhow::Ok(found.unwrap_or(default))
        };
        let calls = within(
            "[server] streams_per_connection_max",
            given.streams_per_connection_max,
            (1, COUNT_MAX),
            COUNT_WHY,
        )?;
        let result = |key, given| at_least(key, given, 1, "0 would refuse every answer");
        let span = |given: Option<Span>, default| given.map_or(default, Span::duration);
        let limits = ServerConfig {
            connections_max: count(
                "connections_max",
                given.connections_max,
                default.connections_max,
            )?,
            handshakes_max: count(
                "handshakes_max",
                given.handshakes_max,
                default.handshakes_max,
            )?,
            streams_per_connection_max: calls.unwrap_or(default.streams_per_connection_max),
            appends_max: count("appends_max", given.appends_max, default.appends_max)?,
            append_streams_max: count(
                "append_streams_max",
                given.append_streams_max,
                default.append_streams_max,
            )?,
            reads_max: count("reads_max", given.reads_max, default.reads_max)?,
            queries_max: count("queries_max", given.queries_max, default.queries_max)?,
            downloads_max: count("downloads_max", given.downloads_max, default.downloads_max)?,
            upkeep_calls_max: count(
                "upkeep_calls_max",
                given.upkeep_calls_max,
                default.upkeep_calls_max,
            )?,
            result_rows_max: result("[query] result_rows_max", self.query.result_rows_max)?,
            result_bytes_max: result("[query] result_bytes_max", self.query.result_bytes_max)?,
            queue_wait: span(given.queue_wait, default.queue_wait),
            call_timeout: span(given.call_timeout, default.call_timeout),
            publish_timeout: span(given.publish_timeout, default.publish_timeout),
            upkeep_timeout: span(given.upkeep_timeout, default.upkeep_timeout),
            greeting_wait: span(given.greeting_wait, default.greeting_wait),
            request_wait: span(given.request_wait, default.request_wait),
            reader_pause: span(given.reader_pause, default.reader_pause),
            drain_timeout: span(given.drain_timeout, default.drain_timeout),
            ..default
        };
        let wait = Span::seconds(limits.queue_wait.as_secs());
        let timeout = Span::seconds(limits.call_timeout.as_secs());
        ensure!(
            wait < timeout,
            "[server] queue_wait is {wait}, expected less than call_timeout, which is {timeout}: a \
             call is told to come back before it is given up"
        );
        Ok(limits)
    }
}

/// `given`, where it lies between the two of `range`, both included.
fn within<T: Copy + PartialOrd + Display>(
    key: &str,
    given: Option<T>,
    range: (T, T),
    why: &str,
) -> anyhow::Result<Option<T>> {
    let (least, most) = range;
    if let Some(value) = given {
        ensure!(
            (least..=most).contains(&value),
            "{key} is {value}, expected {least} to {most}: {why}"
        );
    }
    Ok(given)
}

/// `given`, where it is not less than `least`.
fn at_least<T: Copy + PartialOrd + Display>(
    key: &str,
    given: Option<T>,
    least: T,
    why: &str,
) -> anyhow::Result<Option<T>> {
    if let Some(value) = given {
        ensure!(
            least <= value,
            "{key} is {value}, expected at least {least}: {why}"
        );
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, std::iter::empty()).expect(text)
    }

    type Of<T> = fn(&ServerConfig) -> T;

    const COUNTS: [(&str, Of<usize>); 9] = [
        ("connections_max", |limits| limits.connections_max),
        ("handshakes_max", |limits| limits.handshakes_max),
        ("streams_per_connection_max", |limits| {
            limits.streams_per_connection_max as usize
        }),
        ("appends_max", |limits| limits.appends_max),
        ("append_streams_max", |limits| limits.append_streams_max),
        ("reads_max", |limits| limits.reads_max),
        ("queries_max", |limits| limits.queries_max),
        ("downloads_max", |limits| limits.downloads_max),
        ("upkeep_calls_max", |limits| limits.upkeep_calls_max),
    ];

    const TIMES: [(&str, Of<Duration>); 8] = [
        ("queue_wait", |limits| limits.queue_wait),
        ("call_timeout", |limits| limits.call_timeout),
        ("publish_timeout", |limits| limits.publish_timeout),
        ("upkeep_timeout", |limits| limits.upkeep_timeout),
        ("greeting_wait", |limits| limits.greeting_wait),
        ("request_wait", |limits| limits.request_wait),
        ("reader_pause", |limits| limits.reader_pause),
        ("drain_timeout", |limits| limits.drain_timeout),
    ];

    #[test]
    fn every_count_is_taken_and_has_its_range() {
        for (key, found) in COUNTS {
            let limits = |value: u64| config(&format!("[server]\n{key} = {value}")).limits();
            assert_eq!(found(&limits(7).expect(key)), 7, "{key}");
            assert_eq!(found(&limits(1 << 20).expect(key)), 1 << 20, "{key}");
            for value in [0, (1 << 20) + 1] {
                let error = limits(value).expect_err(key).to_string();
                let start = format!("[server] {key} is {value}, expected 1 to 1048576: ");
                assert!(error.starts_with(&start), "{error}");
            }
        }
    }

    #[test]
    fn every_time_is_taken() {
        for (key, found) in TIMES {
            let text = format!("[server]\n{key} = \"17s\"");
            let limits = config(&text).limits().expect(key);
            assert_eq!(found(&limits), Duration::from_secs(17), "{key}");
        }
        let text = "[server]\nqueue_wait = \"2m\"\ncall_timeout = \"90s\"";
        let error = config(text).limits().expect_err(text).to_string();
        for word in ["queue_wait is 2m", "call_timeout, which is 90s"] {
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn limits_of_statements_are_taken_and_have_their_ranges() {
        let text = "[query]\nmemory_bytes = 4194304\nstatement_memory_bytes = 2097152\n\
                    scan_threads = 3\ndeadline = \"9m\"\nresult_rows_max = 5\nresult_bytes_max = 6";
        let query = config(text).query().expect("in their ranges");
        assert_eq!((query.memory_bytes, query.scan_threads), (4 << 20, 3));
        assert_eq!(query.statement_memory_bytes(), 2 << 20);
        assert_eq!(query.deadline, Some(Duration::from_secs(540)));
        let limits = config(text).limits().expect("in their ranges");
        let results = (limits.result_rows_max, limits.result_bytes_max);
        assert_eq!(results, (Some(5), Some(6)));
        let limits = config("").limits().expect("defaults");
        let results = (limits.result_rows_max, limits.result_bytes_max);
        assert_eq!(results, (None, None));
        for (text, start) in [
            (
                "memory_bytes = 0",
                "[query] memory_bytes is 0, expected at least 1048576: ",
            ),
            (
                "statement_memory_bytes = 1",
                "[query] statement_memory_bytes is 1, expected at least 1048576: ",
            ),
            (
                "memory_bytes = 4194304\nstatement_memory_bytes = 4194305",
                "[query] statement_memory_bytes is 4194305, more than memory_bytes, which is 4194304: ",
            ),
            (
                "scan_threads = 0",
                "[query] scan_threads is 0, expected 1 to 1024: ",
            ),
            (
                "scan_threads = 1025",
                "[query] scan_threads is 1025, expected 1 to 1024: ",
            ),
        ] {
            let refused = config(&format!("[query]\n{text}")).query();
            let error = refused.expect_err(text).to_string();
            assert!(error.starts_with(start), "{error}");
        }
        for key in ["result_rows_max", "result_bytes_max"] {
            let refused = config(&format!("[query]\n{key} = 0")).limits();
            let error = refused.expect_err(key).to_string();
            let start = format!("[query] {key} is 0, expected at least 1: ");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}

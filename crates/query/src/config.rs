//! The settings of the query engine.

use std::time::Duration;

/// Sizes and limits of a [`QueryEngine`](crate::QueryEngine); every one has a default.
#[derive(Clone, Debug)]
pub struct QueryConfig {
    /// Threads of the engine's own runtime, which plans, scans and computes; at least 1.
    pub scan_threads: usize,
    /// Partitions that a plan aims at; at least 1.
    pub partitions: usize,
    /// Most rows of a record batch; at least 1.
    pub batch_rows: usize,
    /// Bytes that all running statements may hold together; past them operators spill to
    /// temporary files, and what cannot spill fails with a limit.
    pub memory_bytes: usize,
    /// Longest time from the call to the last row of a statement; `None` waits for ever.
    pub deadline: Option<Duration>,
    /// Longest text of a statement, in bytes.
    pub sql_bytes_max: usize,
}

impl Default for QueryConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            scan_threads: cores,
            partitions: cores,
            batch_rows: 8192,
            memory_bytes: 1 << 30,
            deadline: Some(Duration::from_secs(300)),
            sql_bytes_max: 1 << 20,
        }
    }
}

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
    /// Bytes that one statement may hold where its request does not say; `None` is half of
    /// `memory_bytes`, so that one statement alone never takes all, and at least 16 MiB where there
    /// are as many.
    pub statement_memory_bytes: Option<usize>,
    /// Longest time from the call to the last row of a statement; `None` waits for ever.
    pub deadline: Option<Duration>,
    /// Longest text of a statement, in bytes.
    pub sql_bytes_max: usize,
}

/// Below this, half of the memory is too little to sort anything.
const STATEMENT_MEMORY_BYTES_MIN: usize = 16 << 20;

impl QueryConfig {
    /// Bytes that one statement may hold where its request does not say.
    #[must_use]
    pub fn statement_memory_bytes(&self) -> usize {
        let half = (self.memory_bytes / 2).max(STATEMENT_MEMORY_BYTES_MIN);
        let bytes = self.statement_memory_bytes.unwrap_or(half);
        bytes.min(self.memory_bytes)
    }
}

impl Default for QueryConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            scan_threads: cores,
            partitions: cores,
            batch_rows: 8192,
            memory_bytes: 1 << 30,
            statement_memory_bytes: None,
            deadline: Some(Duration::from_secs(300)),
            sql_bytes_max: 1 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_may_have_half_of_the_memory() {
        let of = |memory_bytes, statement_memory_bytes| {
            let config = QueryConfig {
                memory_bytes,
                statement_memory_bytes,
                ..QueryConfig::default()
            };
            config.statement_memory_bytes()
        };
        assert_eq!(of(1 << 30, None), 512 << 20);
        assert_eq!(of(20 << 20, None), 16 << 20);
        assert_eq!(of(1 << 20, None), 1 << 20, "there is no more");
        assert_eq!(of(1 << 30, Some(5)), 5);
        assert_eq!(of(10, Some(50)), 10);
    }
}

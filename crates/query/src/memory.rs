//! The memory of one statement: a limit of its own below the one that all statements share.
//!
//! Operators ask twice: first what the statement may have, then what all running statements may
//! have together. So a statement that wants too much spills or fails alone, and its message says
//! which of the two limits it met. Invariant: what the own pool counts, the shared one counts, too.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool,
    human_readable_size,
};
use datafusion::execution::runtime_env::RuntimeEnv;

/// Consumers that a message about exhausted memory names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");

/// What one statement may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryLimitOfStatement {
    pub bytes: usize,
    /// Whether the request asked for it, or the engine's settings did.
    pub is_of_request: bool,
}

/// The pool of one statement.
#[derive(Debug)]
pub(crate) struct StatementPool {
    limit: MemoryLimitOfStatement,
    own: TrackConsumersPool<FairSpillPool>,
    shared: Arc<dyn MemoryPool>,
    peak_bytes: AtomicUsize,
}

impl StatementPool {
    /// A pool of `limit` over the one of `runtime`, and the runtime with it in its place.
    pub fn over(
        runtime: &RuntimeEnv,
        limit: MemoryLimitOfStatement,
    ) -> (Arc<Self>, Arc<RuntimeEnv>) {
        let own = TrackConsumersPool::new(FairSpillPool::new(limit.bytes), CONSUMERS_NAMED);
        let pool = Arc::new(Self {
            limit,
            own,
            shared: Arc::clone(&runtime.memory_pool),
            peak_bytes: AtomicUsize::new(0),
        });
        let mut runtime = runtime.clone();
        runtime.memory_pool = Arc::clone(&pool) as Arc<dyn MemoryPool>;
        (pool, Arc::new(runtime))
    }

    /// The most bytes it has held at once.
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    fn note_peak(&self) {
        self.peak_bytes
            .fetch_max(self.own.reserved(), Ordering::Relaxed);
    }

    fn past_own_limit(&self, error: &DataFusionError) -> DataFusionError {
        let raise = match self.limit.is_of_request {
            true => "the memory limit of the request",
            false => "query.statement_memory_bytes of the server",
        };
        let limit = human_readable_size(self.limit.bytes);
        DataFusionError::ResourcesExhausted(format!(
            "the statement needs more memory than its limit of {limit}; ask for less, or raise \
             {raise}: {}",
            error.message()
        ))
    }

    fn past_shared_limit(&self, error: &DataFusionError) -> DataFusionError {
        let limit = match self.shared.memory_limit() {
            MemoryLimit::Finite(bytes) => human_readable_size(bytes),
            _ => "without a size".to_owned(),
        };
        DataFusionError::ResourcesExhausted(format!(
            "the statement needs more memory than the running statements have left of {limit}; \
             ask again later, or raise query.memory_bytes of the server: {}",
            error.message()
        ))
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
        self.shared.grow(reservation, additional);
        self.note_peak();
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.shared.shrink(reservation, shrink);
    }

    fn try_grow(
        &self,
        reservation: &MemoryReservation,
        additional: usize,
    ) -> Result<(), DataFusionError> {
        self.own
            .try_grow(reservation, additional)
            .map_err(|error| self.past_own_limit(&error))?;
        if let Err(error) = self.shared.try_grow(reservation, additional) {
            self.own.shrink(reservation, additional);
            return Err(self.past_shared_limit(&error));
        }
        self.note_peak();
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit.bytes)
    }
}

impl fmt::Display for StatementPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = human_readable_size(self.limit.bytes);
        write!(formatter, "statement(limit: {limit})")
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;

    use super::*;

    fn runtime(bytes: usize) -> RuntimeEnv {
        let pool = Arc::new(FairSpillPool::new(bytes));
        let builder = RuntimeEnvBuilder::new().with_memory_pool(pool);
        builder.build().expect("a runtime")
    }

    fn limit(bytes: usize, is_of_request: bool) -> MemoryLimitOfStatement {
        MemoryLimitOfStatement {
            bytes,
            is_of_request,
        }
    }

    #[test]
    fn a_statement_meets_its_own_limit_and_leaves_the_rest_to_others() {
        let shared = runtime(1_000);
        let (one, one_runtime) = StatementPool::over(&shared, limit(400, true));
        let (other, other_runtime) = StatementPool::over(&shared, limit(400, false));
        let greedy = MemoryConsumer::new("greedy").register(&one_runtime.memory_pool);
        greedy.try_grow(400).expect("up to the limit");
        let error = greedy.try_grow(1).expect_err("past the limit").to_string();
        assert!(error.contains("its limit of 400.0 B"), "{error}");
        assert!(error.contains("limit of the request"), "{error}");
        let modest = MemoryConsumer::new("modest").register(&other_runtime.memory_pool);
        modest.try_grow(300).expect("room of its own");
        let error = modest.try_grow(200).expect_err("past the limit");
        assert!(error.to_string().contains("statement_memory_bytes"));
        assert_eq!((one.peak_bytes(), other.peak_bytes()), (400, 300));
        assert_eq!(shared.memory_pool.reserved(), 700);
        drop((greedy, modest));
        assert_eq!((one.reserved(), shared.memory_pool.reserved()), (0, 0));
        assert_eq!(one.peak_bytes(), 400, "it stays known");
    }

    #[test]
    fn what_all_statements_hold_together_has_a_limit_too() {
        let shared = runtime(500);
        let (one, one_runtime) = StatementPool::over(&shared, limit(400, false));
        let (_, other_runtime) = StatementPool::over(&shared, limit(400, false));
        let first = MemoryConsumer::new("first").register(&other_runtime.memory_pool);
        first.try_grow(300).expect("room");
        let second = MemoryConsumer::new("second").register(&one_runtime.memory_pool);
        let error = second.try_grow(300).expect_err("no room").to_string();
        assert!(error.contains("query.memory_bytes"), "{error}");
        assert_eq!(one.reserved(), 0, "nothing is kept of what was refused");
    }
}

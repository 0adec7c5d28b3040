//! What the upkeep does unasked: after a flush, when appends find no room, and now and then while
//! nothing happens.
//!
//! It owns the order of that work, when what failed is tried again, and whether the clock is
//! believed before days are dropped by it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use vitalog_event::{DAY_US, format_timestamp_us};

use super::retry::Retry;
use super::{CompactionGoal, Upkeep};
use crate::error::{Result, StoreError};
use crate::removal::{RemovalKind, RemovalRequest, first_day_kept};

/// How far the clock may be past the newest known instant before days are dropped by it.
const CLOCK_STEP_MAX_US: i64 = 7 * DAY_US;

/// What is remembered from one look to the next.
#[derive(Debug)]
pub(crate) struct Due(Mutex<Memory>);

#[derive(Debug)]
struct Memory {
    /// The latest instant that was believed, microseconds; 0 before there was one.
    believed_us: i64,
    /// In the order of [`WORK`].
    retries: [Retry; WORK.len()],
}

type Work = (&'static str, fn(&Upkeep) -> Result<()>);

/// In this order: a removal that cannot be finished keeps its rows out of cold files.
const WORK: [Work; 3] = [
    ("a removal", |upkeep| upkeep.finish_removals().map(drop)),
    ("the retention", Upkeep::retain_what_is_due),
    ("a compaction", |upkeep| {
        upkeep.compact(CompactionGoal::Due).map(drop)
    }),
];

impl Due {
    /// For a store whose newest event was received at `received_us`; 0 where it has none.
    pub fn new(received_us: i64) -> Self {
        Self(Mutex::new(Memory {
            believed_us: received_us,
            retries: Default::default(),
        }))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upkeep {
    /// Does what is due and reports failures to the log; what failed rests for a while.
    pub fn do_what_is_due(&self) {
        if self.missing_bytes() > 0 {
            // Files that only older manifests need are room at once.
            self.ledger.try_collect(1);
        }
        for (at, (what, work)) in WORK.iter().enumerate() {
            if self.is_stopping() || !self.due.memory().retries[at].is_due(Instant::now()) {
                continue;
            }
            let done = work(self);
            let is_done = matches!(done, Ok(()) | Err(StoreError::Closed));
            let pause = self.config.upkeep_interval;
            self.due.memory().retries[at].note(is_done, Instant::now(), pause);
            if let Err(error) = done
                && !is_done
            {
                tracing::error!(%error, "{what} failed; it is tried again");
            }
        }
    }

    /// Drops the days that the configured retention no longer keeps, once a day.
    fn retain_what_is_due(&self) -> Result<()> {
        let Some(days) = self.config.retention_days else {
            return Ok(());
        };
        let now_us = self.clock.now_us();
        self.believe(now_us)?;
        let day = first_day_kept(now_us, days);
        let floor = self.ledger.manifest().retained_from_day;
        if floor.is_some_and(|floor| floor >= day) {
            return Ok(());
        }
        self.begin_removal(RemovalRequest::Before(day))?;
        self.finish_removals().map(drop)
    }

    /// Believes the clock where it says little more than what is known: a clock that is years
    /// ahead would drop everything. Known are the newest event when the store was opened, the last
    /// days that were dropped, and what this asked before. Events that came since do not count,
    /// because they were given their time by the same clock.
    fn believe(&self, now_us: i64) -> Result<()> {
        let dropped_us = self.last_retention_us();
        let mut memory = self.due.memory();
        let known_us = memory.believed_us.max(dropped_us);
        if known_us > 0 && now_us.saturating_sub(known_us) > CLOCK_STEP_MAX_US {
            let (now, known) = (format_timestamp_us(now_us), format_timestamp_us(known_us));
            return Err(StoreError::Invalid(format!(
                "the clock says {now}, more than a week past {known}, the newest instant that the \
                 store knows of: no days are dropped by it. Where the clock is right, drop them \
                 once with `vitalog retention`, which is believed"
            )));
        }
        memory.believed_us = known_us.max(now_us);
        Ok(())
    }

    /// When days were last dropped, or 0.
    fn last_retention_us(&self) -> i64 {
        let manifest = self.ledger.manifest();
        let pending = manifest.pending.iter().map(|pending| &pending.receipt);
        let receipts = manifest.receipts.iter().chain(pending);
        let retentions = receipts.filter(|receipt| receipt.kind == RemovalKind::Retention);
        let begun = retentions.map(|receipt| receipt.begun_at_us);
        begun.max().unwrap_or(0)
    }
}

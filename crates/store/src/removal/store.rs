//! Removals as the store's users ask for them.

use std::time::Duration;

use vitalog_event::{DAY_US, day_of_timestamp_us};

use super::begin::{Begun, RemovalRequest};
use super::finish::Finished;
use super::{Progress, RemovalReceipt};
use crate::command::Control;
use crate::error::{Result, StoreError};
use crate::store::Store;

/// How often a removal looks whether a copy under way has let go of the old files.
const COPY_POLL: Duration = Duration::from_millis(20);

/// Whose events are erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EraseRequest<'a> {
    /// Every event of this account.
    Account(&'a str),
    /// Every event of this user, in whatever account.
    User(&'a str),
}

impl Store {
    /// Erases an account or a user: every event with that identity, and its string. On return
    /// nothing of it is left under the directory, but for mentions in the properties, ids and
    /// names of other events, in definitions, and for bytes set aside after damage, which the
    /// receipt names. Events of the same id that are appended from now on are new data. An id that
    /// was erased before and has no events since gives the receipt of that time, as `repeated`.
    ///
    /// Readers that hold an older snapshot finish with what they hold; an id may read as empty
    /// there. One that comes to a cold file with such events only now, and finds nothing of it in
    /// memory, ends with [`StoreErrorKind::Unavailable`](crate::StoreErrorKind::Unavailable): the
    /// rows are not shown, and without them the snapshot is not what it was. Waits for copies of the store that are being made.
    ///
    /// Cost: the run index of every file; each file that has such events is written again.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where the store does not know the id. A full or failing disk, a
    /// store that is closed meanwhile: the erasure is pending then, and finished by the same call
    /// or when the store is opened again.
    pub fn erase(&self, request: EraseRequest<'_>, progress: Progress) -> Result<RemovalReceipt> {
        self.remove(
            match request {
                EraseRequest::Account(id) => RemovalRequest::Account(id.to_owned()),
                EraseRequest::User(id) => RemovalRequest::User(id.to_owned()),
            },
            progress,
        )
    }

    /// Drops every day before `day` (days since 1970-01-01, UTC) and refuses events of those days
    /// from now on. `$group` and `$identify` events stay: they are no activity, and hold traits
    /// that are in force. The floor never goes back: for one that is not above the one in force
    /// this gives the receipt of that one, as `repeated`.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a day after today; otherwise as [`Store::erase`].
    pub fn retain_from(&self, day: i32, progress: Progress) -> Result<RemovalReceipt> {
        let today = day_of_timestamp_us(self.clock().now_us());
        if day > today {
            let reason = "the first day to keep lies after today: everything would be dropped";
            return Err(StoreError::Invalid(reason.to_owned()));
        }
        self.remove(RemovalRequest::Before(day), progress)
    }

    /// [`Store::retain_from`] for today and the `days` whole UTC days before it.
    ///
    /// # Errors
    /// See [`Store::retain_from`].
    pub fn retain_days(&self, days: u32, progress: Progress) -> Result<RemovalReceipt> {
        self.retain_from(first_day_kept(self.clock().now_us(), days), progress)
    }

    /// Removes the events with a `seq` in one of `ranges`, first and last inclusive.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for ranges that are none; otherwise as [`Store::erase`].
    pub fn remove_seqs(
        &self,
        ranges: Vec<(i64, i64)>,
        progress: Progress,
    ) -> Result<RemovalReceipt> {
        self.remove(RemovalRequest::Seqs(ranges), progress)
    }

    /// Receipts of removals by number, the newest 10,000.
    #[must_use]
    pub fn receipts(&self) -> Vec<RemovalReceipt> {
        self.ledger().manifest().receipts.clone()
    }

    fn remove(&self, request: RemovalRequest, mut progress: Progress) -> Result<RemovalReceipt> {
        match self.ask(|reply| Control::BeginRemoval { request, reply })? {
            Begun::Done(receipt) => Ok(*receipt),
            Begun::Pending(number) => loop {
                let (finished, again) = self.run_upkeep(move |upkeep| {
                    let finished = upkeep.finish_removal(number, &mut progress)?;
                    Ok((finished, progress))
                })?;
                match finished {
                    Finished::Done(receipt) => return Ok(*receipt),
                    // Here, so that the upkeep goes on with what else is due.
                    Finished::Waits => std::thread::sleep(COPY_POLL),
                }
                progress = again;
            },
        }
    }
}

/// The first day kept where `days` before today are.
pub(crate) fn first_day_kept(now_us: i64, days: u32) -> i32 {
    day_of_timestamp_us(now_us.saturating_sub(i64::from(days).saturating_mul(DAY_US)))
}

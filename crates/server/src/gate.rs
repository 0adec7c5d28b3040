//! The gate of the server: what it lets in, what is under way, and how it closes.
//!
//! Every call and every stream holds a token of the gate while it runs. Closing has three steps:
//! *draining* lets nothing new in and ends streams that would never end by themselves, *expired*
//! ends those that took too long, *closed* closes the connections. *Hurried* makes each wait for
//! the next step end at once. Invariant: after
//! [`Gate::emptied`] returns for a draining gate, no call is under way any more.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::fault::Fault;

#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    under_way: TaskTracker,
    draining: CancellationToken,
    expired: CancellationToken,
    hurried: CancellationToken,
    closed: CancellationToken,
}

impl Gate {
    /// Lets a call in, until its token is dropped.
    pub fn enter(&self) -> Result<TaskTrackerToken, Fault> {
        // The token first: a gate that closes in between waits for it.
        let token = self.under_way.token();
        if self.draining.is_cancelled() {
            return Err(Fault::shutting_down());
        }
        Ok(token)
    }

    /// Lets nothing new in.
    pub fn drain(&self) {
        self.draining.cancel();
        self.under_way.close();
    }

    /// Tells streams that are still under way to end.
    pub fn expire(&self) {
        self.expired.cancel();
    }

    /// Closes every connection.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Ends the waiting between the steps.
    pub fn hurry(&self) {
        self.hurried.cancel();
    }

    /// Waits until nothing is under way; for a draining gate.
    pub async fn emptied(&self) {
        self.under_way.wait().await;
    }

    /// Calls and streams under way.
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Cancelled when streams without an end of their own must end.
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Cancelled when every stream must end.
    pub fn expired(&self) -> &CancellationToken {
        &self.expired
    }

    /// Cancelled when connections must close.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// Cancelled when nothing is to be waited for any more.
    pub fn hurried(&self) -> &CancellationToken {
        &self.hurried
    }

    /// Runs `task` as something under way.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.under_way.spawn(task);
    }
}

//! What is read in streams is made on threads that give way to appends.
//!
//! Answers of statements, the log and files are looked up here and made into messages; how messages
//! are framed, compressed and encrypted is the connection's, and stays on the threads of calls, as
//! do appends and what is asked in one call. Tasks may block for the time of a batch, or of a window
//! of the log.

use std::{io, thread};

use vitalog_query::Background;

use crate::fault::Fault;
use crate::gate::Gate;
use crate::limits::READ_THREADS_MIN;
use crate::outbox::{self, End, Outbox, Outgoing};

/// Makes what is read. Clones share the threads.
#[derive(Clone, Debug)]
pub(crate) struct Readers {
    gate: Gate,
    background: Background,
}

impl Readers {
    /// Threads for what `gate` lets in, as many as there are cores and at least
    /// [`READ_THREADS_MIN`].
    ///
    /// # Errors
    /// Those of [`Background::start`].
    pub fn start(gate: Gate) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let background = Background::start("vitalog-read", cores.max(READ_THREADS_MIN))?;
        Ok(Self { gate, background })
    }

    /// Starts a stream whose messages `produce` makes.
    pub fn stream<T, F>(&self, end: End, produce: impl FnOnce(Outbox<T>) -> F) -> Outgoing<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let _entered = self.background.handle().enter();
        outbox::stream(&self.gate, end, produce)
    }

    /// Does `work`, which may wait for the disk or compute for long.
    ///
    /// # Errors
    /// It panicked.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let task = self.background.handle().spawn_blocking(|| {
            Background::offer_core();
            work()
        });
        task.await.map_err(|error| Fault::of_task(&error))
    }
}

/// After a message, or work that led to none: others may have this thread and its core, and the
/// stream sees whether it has to end.
pub(crate) async fn give_way() {
    Background::offer_core();
    tokio::task::yield_now().await;
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    fn name_of_thread() -> String {
        let thread = thread::current();
        thread.name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn streams_and_what_is_done_aside_run_on_its_threads() {
        let readers = Readers::start(Gate::default()).expect("threads");
        let produce = |outbox: Outbox<String>| async move {
            outbox.send(name_of_thread()).await;
            Ok(())
        };
        let messages: Vec<_> = readers.stream(End::default(), produce).collect().await;
        assert!(matches!(&messages[..], [Ok(name)] if name == "vitalog-read"));
        let aside = readers.aside(name_of_thread).await;
        assert!(aside.is_ok_and(|name| name == "vitalog-read"));
    }
}

//! Threads that give way: what reads and computes for others runs on them.
//!
//! Where there are fewer cores than work, the threads of the log and of calls go before these, which
//! take what is left. A scheduler lets a thread compute until its tick all the same, 4 ms on many
//! machines, so long work offers its core as well, with [`Background::offer_core`].

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};

/// Plans nest deeply, and frames are large in an unoptimised build.
const THREAD_STACK_BYTES: usize = 8 << 20;

/// On the scale of `thread_priority`, 0 to 99: a nice value of 9, where threads otherwise have 0.
#[cfg(target_os = "linux")]
const THREAD_PRIORITY: u8 = 24;

/// How long a thread computes before it offers its core. A fifth of it would leave a statement a
/// quarter of the share that its nice value gives it beside another busy program.
const OFFER_INTERVAL: Duration = Duration::from_millis(1);

/// A runtime whose threads give way to all others of the machine, where it is Linux; they may
/// block. Clones share it; the last one to go ends it and waits for nothing.
#[derive(Clone, Debug)]
pub struct Background {
    handle: Handle,
    _running: Arc<Running>,
}

/// A runtime until it is dropped.
#[derive(Debug)]
struct Running(Option<Runtime>);

impl Drop for Running {
    fn drop(&mut self) {
        // The last owner may be a task, of this runtime or another, which must not be blocked.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Background {
    /// A runtime of `threads` threads, at least one, which are called `name`. Its tasks may use
    /// timers; sockets belong elsewhere.
    ///
    /// # Errors
    /// The system cannot give what a runtime needs.
    ///
    /// # Panics
    /// The system has no thread for it at all; where it has a few, the runtime has no more.
    pub fn start(name: &str, threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name(name)
            .thread_stack_size(THREAD_STACK_BYTES)
            .on_thread_start(yield_to_others)
            .enable_time()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            _running: Arc::new(Running(Some(runtime))),
        })
    }

    /// What starts tasks on it.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Lets a thread that waits for this core have it, where this one has computed for a
    /// millisecond: for long work, between two batches. Takes less than a microsecond where none
    /// waits.
    pub fn offer_core() {
        let last = OFFERED.get();
        if last.is_some_and(|last| last.elapsed() < OFFER_INTERVAL) {
            return;
        }
        std::thread::yield_now();
        OFFERED.set(Some(Instant::now()));
    }
}

fn yield_to_others() {
    // Elsewhere it would be all of the process.
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{ThreadPriority, ThreadPriorityValue};
        let priority = ThreadPriorityValue::try_from(THREAD_PRIORITY);
        // Without it all threads are equal: appends are slower, and nothing is wrong.
        let _ = priority.map(|priority| ThreadPriority::Crossplatform(priority).set_for_current());
    }
}

thread_local! {
    /// When this thread last offered its core.
    static OFFERED: Cell<Option<Instant>> = const { Cell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn threads_yield_whether_they_compute_or_block() {
        let background = Background::start("vitalog-test", 1).expect("a thread");
        let stat = || std::fs::read_to_string("/proc/thread-self/stat");
        let handle = background.handle();
        for task in [
            handle.spawn(async move { stat() }),
            handle.spawn_blocking(stat),
        ] {
            let stat = handle.block_on(task).expect("no panic").expect("a thread");
            // Behind the name, which stands in brackets, as proc(5) counts from 3.
            let (_, fields) = stat.rsplit_once(") ").expect("a name");
            let nice = fields.split(' ').nth(19 - 3).expect("a nice value");
            assert!(nice.parse::<i32>().expect("a number") >= 9, "{stat}");
        }
    }

    #[test]
    fn a_core_is_offered_now_and_then() {
        Background::offer_core();
        let first = OFFERED.get().expect("offered");
        Background::offer_core();
        assert!(OFFERED.get() == Some(first) || first.elapsed() >= OFFER_INTERVAL);
        std::thread::sleep(OFFER_INTERVAL);
        Background::offer_core();
        assert!(OFFERED.get() > Some(first));
    }

    #[tokio::test]
    async fn the_last_owner_may_be_a_task() {
        let background = Background::start("vitalog-test", 1).expect("a thread");
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let clone = background.clone();
        let task = background.handle().spawn(async move {
            let _ = gone.await;
            drop(clone);
        });
        drop(background);
        go.send(()).expect("it waits");
        let has_panicked = task.await.is_err_and(|error| error.is_panic());
        assert!(!has_panicked);
        // This test is one as well, of another runtime.
        drop(Background::start("vitalog-test", 1).expect("a thread"));
    }
}

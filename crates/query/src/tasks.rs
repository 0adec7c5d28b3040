//! Whose work a task is: each task that the plan of an answer starts ends with its statement.
//!
//! A plan starts a task for each partition, and one for each batch that a sort holds. Hundreds of
//! them may wait for a thread when their statement ends, and the one whose end drops the others
//! waits behind them. So each looks at its statement before each turn, and offers its core there
//! as well: not every operator is above a scan that does. Invariant: once a statement is cancelled
//! its tasks begin no turn but to let go of what they hold.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::coop;

use crate::background::Background;
use crate::control::Control;

/// Steps of a task in one turn of the runtime, where a step is a batch that it takes from a scan or
/// another task, or gives to one.
const RUNTIME_STEPS: usize = 128;

/// Steps of a task before it looks at its statement again. The first turn of a merge turns a batch of
/// each of its inputs into rows, a millisecond each.
const TURN_STEPS: usize = 32;

tokio::task_local! {
    /// The statement that the running task is part of.
    static STATEMENT: Arc<Control>;
}

/// Makes plans start their tasks as [`OfStatement`]. Once is enough for the process.
pub(crate) fn follow_statements() {
    // A program around this one may have set another; then tasks end when they are dropped, which
    // may be later.
    let _ = set_join_set_tracer(&Follower);
}

/// Work of one statement, and so is every task that it starts. Once the statement is cancelled it
/// lets go of the work and is never ready: who waits for it is cancelled, too.
#[must_use = "work does nothing unless it is polled"]
pub(crate) struct OfStatement<T> {
    control: Arc<Control>,
    /// `None` once it was let go.
    work: Option<BoxFuture<'static, T>>,
}

impl<T> OfStatement<T> {
    pub fn new(control: Arc<Control>, work: BoxFuture<'static, T>) -> Self {
        let work = Some(work);
        Self { control, work }
    }
}

impl<T> Future for OfStatement<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Self { control, work } = &mut *self;
        if control.is_cancelled() {
            *work = None;
        }
        let Some(work) = work else {
            return Poll::Pending;
        };
        Background::offer_core();
        shorten_turn(context);
        STATEMENT.sync_scope(Arc::clone(control), || work.poll_unpin(context))
    }
}

/// Leaves a task [`TURN_STEPS`] of the steps that the runtime gives it before others have their turn.
/// One that was woken by another may share the turn of that one, and has what is left of it, or all
/// where fewer are left than would be taken.
fn shorten_turn(context: &mut Context<'_>) {
    let Poll::Ready(whole) = coop::poll_proceed(context) else {
        return;
    };
    for _ in TURN_STEPS + 1..RUNTIME_STEPS {
        if !coop::has_budget_remaining() {
            break;
        }
        if let Poll::Ready(step) = coop::poll_proceed(context) {
            step.made_progress();
        }
    }
    // Otherwise it is dropped, and gives all back.
    if coop::has_budget_remaining() {
        whole.made_progress();
    }
}

/// Hands the statement of a task to those that it starts.
struct Follower;

impl JoinSetTracer for Follower {
    fn trace_future(
        &self,
        work: BoxFuture<'static, Box<dyn Any + Send>>,
    ) -> BoxFuture<'static, Box<dyn Any + Send>> {
        match STATEMENT.try_with(Arc::clone) {
            Ok(control) => OfStatement::new(control, work).boxed(),
            Err(_) => work,
        }
    }

    fn trace_block(
        &self,
        work: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    ) -> Box<dyn FnOnce() -> Box<dyn Any + Send> + Send> {
        work
    }
}

#[cfg(test)]
mod tests {
    use std::future;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::ready;

    use datafusion::common::runtime::SpawnedTask;
    use tokio::sync::Notify;

    use super::*;

    /// What a task says and hears.
    #[derive(Default)]
    struct Signs {
        has_begun: Notify,
        go_on: Notify,
        has_gone_on: AtomicBool,
    }

    #[tokio::test]
    async fn tasks_let_go_when_their_statement_is_cancelled() {
        follow_statements();
        let control = Arc::new(Control::start(None));
        let signs = Arc::new(Signs::default());
        let held = Arc::clone(&signs);
        // Two steps below the statement itself.
        let inner = async move {
            held.has_begun.notify_one();
            held.go_on.notified().await;
            held.has_gone_on.store(true, Ordering::SeqCst);
        };
        let outer = async { SpawnedTask::spawn(inner).await };
        let work = async { SpawnedTask::spawn(outer).await };
        let statement = OfStatement::new(Arc::clone(&control), work.boxed());
        let statement = tokio::spawn(statement);
        signs.has_begun.notified().await;
        control.cancel();
        // Nobody drops them: this wakes the last one and no other.
        signs.go_on.notify_one();
        while Arc::strong_count(&signs) > 1 {
            tokio::task::yield_now().await;
        }
        assert!(!signs.has_gone_on.load(Ordering::SeqCst));
        statement.abort();
    }

    #[tokio::test]
    async fn work_that_is_not_cancelled_has_its_value() {
        follow_statements();
        let is_of_one = || async { STATEMENT.try_with(|_| ()).is_ok() };
        let control = Arc::new(Control::start(None));
        let work = async move { SpawnedTask::spawn(is_of_one()).await.expect("no panic") };
        assert!(OfStatement::new(control, work.boxed()).await);
        let other = SpawnedTask::spawn(is_of_one());
        assert!(!other.await.expect("no panic"), "of no statement");
    }

    #[tokio::test]
    async fn a_turn_is_short() {
        let control = Arc::new(Control::start(None));
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let mut steps_left = 2 * TURN_STEPS + 1;
        let work = future::poll_fn(move |context| {
            counted.fetch_add(1, Ordering::SeqCst);
            while steps_left > 0 {
                ready!(coop::poll_proceed(context)).made_progress();
                steps_left -= 1;
            }
            Poll::Ready(())
        });
        let statement = tokio::spawn(OfStatement::new(control, work.boxed()));
        statement.await.expect("no panic");
        assert_eq!(turns.load(Ordering::SeqCst), 3);
    }
}

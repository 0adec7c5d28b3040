//! Pictures on demand: kept ones, and new ones computed once however many ask.
//!
//! A computation belongs to the server, not to the call that started it: a caller that goes away
//! leaves it running, and the next one finds its picture. Invariant: of one target at most one
//! computation runs at a time.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use super::picture::Picture;
use super::pin::Pin;
use super::shelf::{Shelf, Subject};
use crate::fault::{Fault, Reason};
use crate::gate::Gate;

type Outcome = Result<Arc<Picture>, Fault>;

/// Where pictures come from.
pub(super) trait Source: Send + Sync + 'static {
    /// The pin of `subject` as of now.
    fn pin(&self, subject: &Subject) -> Pin;

    /// Computes the picture of `pin`.
    fn compute(&self, pin: Pin) -> BoxFuture<'static, Result<Picture, Fault>>;
}

/// Keeps pictures and has them made.
pub(super) struct Gallery {
    source: Box<dyn Source>,
    gate: Gate,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    shelf: Shelf,
    flights: Vec<Flight>,
}

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
enum Target {
    Standing(Subject),
    Pinned(Pin),
}

/// A computation under way.
#[derive(Clone)]
struct Flight {
    target: Target,
    /// When what it will show was chosen.
    taken_at: Instant,
    outcome: Shared<BoxFuture<'static, Outcome>>,
}

impl std::fmt::Debug for Gallery {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Gallery").finish_non_exhaustive()
    }
}

impl Gallery {
    pub fn new(source: Box<dyn Source>, gate: Gate) -> Self {
        Self {
            source,
            gate,
            state: Arc::default(),
        }
    }

    /// A picture of `subject` that is at most `max_staleness` old at the time of the call. With a
    /// staleness of 0 it shows everything that was durable then.
    ///
    /// # Errors
    /// Those of the computation, which all who wait for it share.
    pub async fn standing(&self, subject: &Subject, max_staleness: Duration) -> Outcome {
        // An age that no clock can tell is no bound.
        let oldest = Instant::now().checked_sub(max_staleness);
        loop {
            let flight = {
                let mut state = self.lock();
                if let Some(picture) = state.shelf.standing(subject, oldest) {
                    return Ok(picture);
                }
                let target = Target::Standing(subject.clone());
                match state.flight(&target) {
                    Some(flight) => flight,
                    None => self.start(&mut state, target),
                }
            };
            let outcome = flight.outcome.await;
            if oldest.is_none_or(|oldest| flight.taken_at >= oldest) {
                return outcome;
            }
            // It was under way when the call came, and shows less than the call may see.
        }
    }

    /// The picture that `pin` names, computed again where it is not kept.
    ///
    /// # Errors
    /// As [`Gallery::standing`].
    pub async fn pinned(&self, pin: &Pin) -> Outcome {
        let flight = {
            let mut state = self.lock();
            if let Some(picture) = state.shelf.pinned(pin) {
                return Ok(picture);
            }
            let target = Target::Pinned(pin.clone());
            match state.flight(&target) {
                Some(flight) => flight,
                None => self.start(&mut state, target),
            }
        };
        flight.outcome.await
    }

    /// Starts a computation that ends by itself or with the server.
    fn start(&self, state: &mut State, target: Target) -> Flight {
        let taken_at = Instant::now();
        let (pin, subject) = match &target {
            Target::Standing(subject) => (self.source.pin(subject), Some(subject.clone())),
            Target::Pinned(pin) => (pin.clone(), None),
        };
        let computing = self.source.compute(pin);
        let (sender, receiver) = oneshot::channel();
        let ended_early = |_| Err(Fault::new(Reason::Internal, "the scores were not computed"));
        let flight = Flight {
            target: target.clone(),
            taken_at,
            outcome: receiver
                .map(move |received| received.unwrap_or_else(ended_early))
                .boxed()
                .shared(),
        };
        state.flights.push(flight.clone());
        let landing = Landing {
            state: Arc::clone(&self.state),
            target,
        };
        let stop = self.gate.expired().clone();
        self.gate.spawn(async move {
            let outcome = tokio::select! {
                computed = computing => computed.map(Arc::new),
                () = stop.cancelled() => Err(Fault::shutting_down()),
            };
            if let Ok(picture) = &outcome {
                lock(&landing.state).shelf.keep(picture, taken_at, subject);
            }
            drop(landing);
            // Whoever waited may be gone.
            let _ = sender.send(outcome);
        });
        flight
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn flight(&self, target: &Target) -> Option<Flight> {
        let mut flights = self.flights.iter();
        flights.find(|flight| flight.target == *target).cloned()
    }
}

/// Ends the flight of a target, also when its computation panics.
struct Landing {
    state: Arc<Mutex<State>>,
    target: Target,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.flights.retain(|flight| flight.target != self.target);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nobody panics while holding pictures")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::super::tests::picture_of;
    use super::*;

    /// Pictures whose seq is the number of the pin, made when a permit is there.
    #[derive(Clone)]
    struct Slow {
        seq: Arc<AtomicI64>,
        computed: Arc<AtomicUsize>,
        permits: Arc<Semaphore>,
    }

    impl Source for Slow {
        fn pin(&self, _subject: &Subject) -> Pin {
            let seq = self.seq.fetch_add(1, Ordering::SeqCst);
            picture_of(seq, &[]).pin
        }

        fn compute(&self, pin: Pin) -> BoxFuture<'static, Result<Picture, Fault>> {
            let slow = self.clone();
            async move {
                let permit = slow.permits.acquire().await.expect("it stays open");
                permit.forget();
                assert!(pin.seq != 13, "a computation that panics");
                slow.computed.fetch_add(1, Ordering::SeqCst);
                Ok(picture_of(pin.seq, &[]))
            }
            .boxed()
        }
    }

    fn gallery(permits: usize) -> (Arc<Gallery>, Slow) {
        let slow = Slow {
            seq: Arc::default(),
            computed: Arc::default(),
            permits: Arc::new(Semaphore::new(permits)),
        };
        let gallery = Gallery::new(Box::new(slow.clone()), Gate::default());
        (Arc::new(gallery), slow)
    }

    fn subject() -> Subject {
        Subject {
            model: "default".to_owned(),
            version: 0,
            entity: 1,
        }
    }

    async fn seq(gallery: &Gallery, max_staleness: Duration) -> i64 {
        let picture = gallery.standing(&subject(), max_staleness).await;
        picture.expect("a picture").pin.seq
    }

    #[tokio::test]
    async fn a_kept_picture_serves_until_it_is_stale() {
        let (gallery, slow) = gallery(9);
        assert_eq!(seq(&gallery, Duration::MAX).await, 0);
        assert_eq!(seq(&gallery, Duration::from_secs(3600)).await, 0);
        assert_eq!(seq(&gallery, Duration::ZERO).await, 1);
        assert_eq!(seq(&gallery, Duration::MAX).await, 1);
        let first = gallery.pinned(&picture_of(0, &[]).pin).await;
        assert_eq!(first.expect("still kept").pin.seq, 0);
        assert_eq!(slow.computed.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn many_who_ask_at_once_share_a_computation() {
        let (gallery, slow) = gallery(0);
        let askers: Vec<_> = (0..20)
            .map(|_| {
                let gallery = Arc::clone(&gallery);
                tokio::spawn(async move { seq(&gallery, Duration::MAX).await })
            })
            .collect();
        tokio::task::yield_now().await;
        slow.permits.add_permits(1);
        for asker in askers {
            assert_eq!(asker.await.expect("no panic"), 0);
        }
        assert_eq!(slow.computed.load(Ordering::SeqCst), 1);
    }

    /// What is under way when a call comes does not see what was durable then.
    #[tokio::test]
    async fn a_call_that_wants_everything_waits_for_the_next_computation() {
        let (gallery, slow) = gallery(0);
        let spawn = |max_staleness| {
            let gallery = Arc::clone(&gallery);
            tokio::spawn(async move { seq(&gallery, max_staleness).await })
        };
        let first = spawn(Duration::MAX);
        tokio::task::yield_now().await;
        let fresh = [spawn(Duration::ZERO), spawn(Duration::ZERO)];
        tokio::task::yield_now().await;
        assert_eq!(slow.seq.load(Ordering::SeqCst), 1, "one at a time");
        slow.permits.add_permits(2);
        assert_eq!(first.await.expect("no panic"), 0);
        for fresh in fresh {
            assert_eq!(fresh.await.expect("no panic"), 1);
        }
        assert_eq!(slow.computed.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_its_picture() {
        let (gallery, slow) = gallery(0);
        let asker = Arc::clone(&gallery);
        let asker = tokio::spawn(async move { seq(&asker, Duration::MAX).await });
        tokio::task::yield_now().await;
        asker.abort();
        slow.permits.add_permits(1);
        assert_eq!(seq(&gallery, Duration::MAX).await, 0);
        assert_eq!(slow.computed.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_computation_that_panics_is_an_error_and_the_next_one_starts() {
        let (gallery, slow) = gallery(9);
        slow.seq.store(13, Ordering::SeqCst);
        let fault = gallery.standing(&subject(), Duration::ZERO).await;
        assert_eq!(fault.expect_err("a panic").reason, Reason::Internal);
        assert_eq!(seq(&gallery, Duration::ZERO).await, 14);
    }

    #[tokio::test]
    async fn a_server_that_leaves_waits_for_no_computation() {
        let (gallery, _slow) = gallery(0);
        let asker = Arc::clone(&gallery);
        let asker = tokio::spawn(async move { asker.standing(&subject(), Duration::ZERO).await });
        tokio::task::yield_now().await;
        gallery.gate.drain();
        gallery.gate.expire();
        let fault = asker.await.expect("no panic").expect_err("shut down");
        assert_eq!(fault.reason, Reason::ShuttingDown);
        gallery.gate.emptied().await;
    }
}

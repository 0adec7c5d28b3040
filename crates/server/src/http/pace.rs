//! Connections that keep pace: whoever sends no whole request is closed.
//!
//! Invariant: a connection on which nothing is under way for [`PacedListener::request_wait`] ends
//! with an error at its next poll, which its timer brings about. So it cannot hold a slot for ever,
//! however slowly it trickles. Readers that take nothing are `listener`'s matter.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tonic::transport::server::Connected as _;

use crate::listener::{Connection, Door};

/// Accepts connections that keep pace.
#[derive(Debug)]
pub(super) struct PacedListener {
    pub door: Door,
    /// For the next request, head and all.
    pub request_wait: Duration,
}

impl Listener for PacedListener {
    type Io = PacedConnection;
    type Addr = ();

    async fn accept(&mut self) -> (PacedConnection, ()) {
        let connection = self.door.accept().await;
        (PacedConnection::new(connection, self.request_wait), ())
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// What is under way on one connection. Clones are of the same one.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    peer: Option<SocketAddr>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    requests: usize,
    /// When the last request ended, the last byte was sent, or the connection began.
    idle_since: Instant,
}

impl Pace {
    fn new(peer: Option<SocketAddr>) -> Self {
        let state = State {
            requests: 0,
            idle_since: Instant::now(),
        };
        let state = Arc::new(Mutex::new(state));
        Self { peer, state }
    }

    /// The other side, as the system knows it.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// A request is under way until what is returned is dropped.
    pub fn begin(&self) -> UnderWay {
        self.state().requests += 1;
        UnderWay(self.clone())
    }

    /// Since when nothing is under way.
    fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.requests == 0).then_some(state.idle_since)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, PacedListener>> for Pace {
    fn connect_info(stream: IncomingStream<'_, PacedListener>) -> Self {
        stream.io().pace.clone()
    }
}

/// See [`Pace::begin`].
#[derive(Debug)]
pub(super) struct UnderWay(Pace);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        state.idle_since = Instant::now();
    }
}

/// A timer that is set when it is first needed.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether `deadline` has passed; else the task is woken then.
    fn has_passed(&mut self, deadline: Instant, context: &mut Context<'_>) -> bool {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context).is_ready()
    }
}

/// A connection that keeps pace.
#[derive(Debug)]
pub(super) struct PacedConnection {
    connection: Connection,
    request_wait: Duration,
    pace: Pace,
    timer: Timer,
}

impl PacedConnection {
    fn new(connection: Connection, request_wait: Duration) -> Self {
        let peer = connection.connect_info().remote_addr();
        Self {
            connection,
            request_wait,
            pace: Pace::new(peer),
            timer: Timer::default(),
        }
    }

    /// Notes that something was sent, if it was.
    fn sent(&self, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if sent.is_ready() {
            self.pace.state().idle_since = Instant::now();
        }
        sent
    }
}

impl AsyncRead for PacedConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.connection).poll_read(context, buffer);
        if read.is_ready() || this.connection.is_stalled() {
            return read;
        }
        let deadline = this
            .pace
            .idle_since()
            .map(|since| since + this.request_wait);
        match deadline {
            Some(deadline) if this.timer.has_passed(deadline, context) => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            _ => Poll::Pending,
        }
    }
}

impl AsyncWrite for PacedConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.connection).poll_write(context, bytes);
        this.sent(sent)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.connection).poll_write_vectored(context, pieces);
        this.sent(sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(context)
    }
}

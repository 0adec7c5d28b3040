//! Connections that keep pace: whoever sends no whole request, or takes nothing of an answer, is
//! closed.
//!
//! Invariant: a connection on which nothing is under way for [`Patience::request_wait`], or that
//! takes no byte of what it is sent for [`Patience::reader_pause`], ends with an error at its next
//! poll, which its timer brings about. So neither can hold a slot for ever, however slowly it
//! trickles.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use crate::listener::{Connection, accept};

/// How long connections are waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the next request, head and all.
    pub request_wait: Duration,
    /// For a reader that takes nothing.
    pub reader_pause: Duration,
}

/// Accepts connections that keep pace.
#[derive(Debug)]
pub(super) struct PacedListener {
    pub listener: TcpListener,
    pub patience: Patience,
    /// Slots of open connections.
    pub slots: Arc<Semaphore>,
    /// Cancelled when connections must close.
    pub closed: CancellationToken,
}

impl Listener for PacedListener {
    type Io = PacedConnection;
    type Addr = ();

    async fn accept(&mut self) -> (PacedConnection, ()) {
        let connection = accept(&self.listener, &self.slots, &self.closed).await;
        (PacedConnection::new(connection, self.patience), ())
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// What is under way on one connection. Clones are of the same one.
#[derive(Clone, Debug)]
pub(super) struct Pace(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    requests: usize,
    /// When the last request ended, the last byte was sent, or the connection began.
    idle_since: Instant,
}

impl Pace {
    fn new() -> Self {
        let idle_since = Instant::now();
        Self(Arc::new(Mutex::new(State {
            requests: 0,
            idle_since,
        })))
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    patience: Patience,
    pace: Pace,
    /// Since when the other side has taken nothing.
    stalled_since: Option<Instant>,
    read_timer: Timer,
    write_timer: Timer,
}

impl PacedConnection {
    fn new(connection: Connection, patience: Patience) -> Self {
        Self {
            connection,
            patience,
            pace: Pace::new(),
            stalled_since: None,
            read_timer: Timer::default(),
            write_timer: Timer::default(),
        }
    }

    /// What a try to send came to.
    fn sent(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if sent.is_ready() {
            self.stalled_since = None;
            self.pace.state().idle_since = Instant::now();
            return sent;
        }
        let since = *self.stalled_since.get_or_insert_with(Instant::now);
        let deadline = since + self.patience.reader_pause;
        if self.write_timer.has_passed(deadline, context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
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
        if read.is_ready() || this.stalled_since.is_some() {
            return read;
        }
        let deadline = this
            .pace
            .idle_since()
            .map(|since| since + this.patience.request_wait);
        match deadline {
            Some(deadline) if this.read_timer.has_passed(deadline, context) => {
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
        this.sent(context, sent)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.connection).poll_write_vectored(context, pieces);
        this.sent(context, sent)
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

//! Connections: at most so many at once, greeted in time, and closed at a word.
//!
//! It owns what happens between a client's first packet and its first request: the slot, the TLS
//! handshake, and the wait for the first bytes. Invariants: a connection holds its slot until it
//! is dropped, its handshake included, and errors at its next read or write once the gate is
//! closed; a client that does not greet is never waited for past [`Greeting::patience`], and keeps
//! nobody else from being accepted; one that takes nothing of what it is sent is never waited for
//! past [`Greeting::reader_pause`], whatever waits: a write, a flush or the end.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::metrics::{DoorMetrics, OpenConnection};
use crate::seldom::Seldom;
use crate::tls::{Protocol, Tls};

/// Pause after a failed accept, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Bytes that HTTP/2 begins every connection with; the shortest request of HTTP/1.1 that names
/// anything here is longer.
const PREFACE_BYTES: usize = 24;
/// The first byte of a TLS handshake, which no request begins with.
const TLS_HANDSHAKE: u8 = 0x16;

/// How the clients of a listener are met.
#[derive(Clone, Debug)]
pub(crate) struct Greeting {
    pub protocol: Protocol,
    /// `None` speaks in plain text.
    pub tls: Option<Tls>,
    /// How long a handshake may take, and then the first bytes of gRPC.
    pub patience: Duration,
    /// How long a client may take nothing of what it is sent.
    pub reader_pause: Duration,
    /// Handshakes under way at once; more connections are closed as they come.
    pub handshakes_max: usize,
}

/// A listener and what keeps it from being overrun.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    greeting: Greeting,
    slots: Arc<Semaphore>,
    closed: CancellationToken,
    handshakes: JoinSet<Option<Connection>>,
    metrics: DoorMetrics,
    crowded: Seldom,
    strange: Arc<Seldom>,
}

impl Door {
    /// Lets in `connections_max` at once, until `closed`.
    pub fn new(
        listener: TcpListener,
        greeting: Greeting,
        connections_max: usize,
        closed: CancellationToken,
        metrics: DoorMetrics,
    ) -> Self {
        Self {
            listener,
            greeting,
            slots: Arc::new(Semaphore::new(connections_max)),
            closed,
            handshakes: JoinSet::new(),
            metrics,
            crowded: Seldom::default(),
            strange: Arc::default(),
        }
    }

    /// The connections, for ever.
    pub fn connections(self) -> impl Stream<Item = io::Result<Connection>> {
        futures::stream::unfold(self, |mut door| async move {
            let connection = door.accept().await;
            Some((Ok(connection), door))
        })
    }

    /// The next connection that found a slot and, with TLS, has greeted. Dropping the future loses
    /// none.
    pub async fn accept(&mut self) -> Connection {
        loop {
            tokio::select! {
                Some(greeted) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = greeted {
                        return connection;
                    }
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if let Some(connection) = self.meet(stream, peer) {
                            return connection;
                        }
                    }
                    Err(error) => {
                        tracing::warn!("accepting a connection failed: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    /// A connection that may be served at once; one that has to greet first comes later.
    fn meet(&mut self, stream: TcpStream, peer: SocketAddr) -> Option<Connection> {
        let is_crowded =
            self.greeting.tls.is_some() && self.handshakes.len() >= self.greeting.handshakes_max;
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        let (Ok(slot), false) = (slot, is_crowded) else {
            self.metrics.refused();
            self.crowded.say(|more| {
                tracing::warn!(
                    %peer, more,
                    "a connection was closed: as many are open as the server takes"
                );
            });
            return None;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("TCP_NODELAY: {error}");
        }
        let place = Place {
            closed: Box::pin(self.closed.clone().cancelled_owned()),
            _open: self.metrics.opened(),
            _slot: slot,
        };
        let greeting = &self.greeting;
        // What HTTP waits for at first is the matter of its requests.
        let wait = (greeting.protocol == Protocol::Grpc).then_some(greeting.patience);
        let pauses = (wait, greeting.reader_pause);
        let Some(tls) = &greeting.tls else {
            let stream = Transport::Plain(stream);
            return Some(Connection::new(stream, place, pauses, &self.strange));
        };
        let (acceptor, patience) = (tls.acceptor(greeting.protocol), greeting.patience);
        let (strange, metrics) = (Arc::clone(&self.strange), self.metrics.clone());
        self.handshakes.spawn(async move {
            match handshake(&acceptor, stream, patience).await {
                Ok(stream) => {
                    let stream = Transport::Tls(Box::new(stream));
                    Some(Connection::new(stream, place, pauses, &strange))
                }
                Err(error) => {
                    metrics.handshake_failed();
                    strange.say(|more| {
                        tracing::warn!(%peer, more, "a TLS handshake failed: {error}");
                    });
                    None
                }
            }
        });
        None
    }
}

async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    patience: Duration,
) -> io::Result<TlsStream<TcpStream>> {
    match tokio::time::timeout(patience, acceptor.accept(stream)).await {
        Ok(greeted) => greeted,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("it was not done within {} s", patience.as_secs()),
        )),
    }
}

/// What a connection holds as long as it is there.
#[derive(Debug)]
struct Place {
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    _open: OpenConnection,
    _slot: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One connection of a client.
#[derive(Debug)]
pub(crate) struct Connection {
    transport: Transport,
    place: Place,
    first_bytes: Option<FirstBytes>,
    reader_pause: Duration,
    /// Runs while the other side takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// The wait for what a client says first.
#[derive(Debug)]
struct FirstBytes {
    seen: usize,
    is_plain: bool,
    /// `None` waits for ever.
    timer: Option<Pin<Box<Sleep>>>,
    strange: Arc<Seldom>,
}

impl Connection {
    fn new(
        transport: Transport,
        place: Place,
        (first_wait, reader_pause): (Option<Duration>, Duration),
        strange: &Arc<Seldom>,
    ) -> Self {
        let first_bytes = FirstBytes {
            seen: 0,
            is_plain: matches!(transport, Transport::Plain(_)),
            timer: first_wait.map(|wait| Box::pin(tokio::time::sleep(wait))),
            strange: Arc::clone(strange),
        };
        Self {
            transport,
            place,
            first_bytes: Some(first_bytes),
            reader_pause,
            stalled: None,
        }
    }

    /// Whether the other side takes nothing of what it is sent.
    pub fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// What a try to send came to, or an error where nothing was taken for too long.
    fn sent<T>(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.stalled = None;
            return sent;
        }
        let pause = self.reader_pause;
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.place.closed.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl FirstBytes {
    /// Judges what came; `Ready` when there is nothing more to wait for.
    fn judge(&mut self, came: &[u8], context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_plain && self.seen == 0 && came.first() == Some(&TLS_HANDSHAKE) {
            self.strange.say(|more| {
                tracing::warn!(
                    more,
                    "a connection was closed: TLS, on a port of plain text"
                );
            });
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        self.seen += came.len();
        let Some(timer) = &mut self.timer else {
            return match self.seen {
                0 => Poll::Pending,
                _ => Poll::Ready(Ok(())),
            };
        };
        if self.seen >= PREFACE_BYTES {
            return Poll::Ready(Ok(()));
        }
        // Polled always, so that it wakes the task even where some bytes came.
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        match &self.transport {
            Transport::Plain(stream) => stream.connect_info(),
            Transport::Tls(stream) => stream.get_ref().0.connect_info(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let before = buffer.filled().len();
        let read = self.transport.poll_read(context, buffer);
        let Some(first_bytes) = &mut self.first_bytes else {
            return read;
        };
        match first_bytes.judge(&buffer.filled()[before..], context) {
            Poll::Ready(Ok(())) => self.first_bytes = None,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {}
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let sent = self.transport.stream().poll_write(context, bytes);
        self.sent(context, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let sent = self.transport.stream().poll_write_vectored(context, pieces);
        self.sent(context, sent)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.transport.stream().poll_flush(context);
        self.sent(context, sent)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.transport.stream().poll_shutdown(context);
        self.sent(context, sent)
    }
}

impl Transport {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }

    /// What is written to. A call through it costs nothing beside the system's.
    fn stream(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(&mut **stream),
        }
    }
}

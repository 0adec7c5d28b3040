//! Bodies of files: read in pieces by position, from a handle that was opened before the head went
//! out.
//!
//! Invariants: a body is all of its range of one version of the file, or the connection breaks
//! before its announced length; it holds at most one piece in memory; its slot is free when it
//! ends or its reader goes away.

use std::io;
use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::pace::UnderWay;
use crate::limits::HTTP_PIECE_BYTES;
use crate::snapshots::OpenFile;

/// What is held as long as a download is under way: the server's gate, the connection, and a turn
/// of downloads.
pub(super) type Held = (TaskTrackerToken, UnderWay, OwnedSemaphorePermit);

struct Sending {
    file: OpenFile,
    rest: Range<u64>,
    /// Cancelled when every download must end.
    expired: CancellationToken,
    _held: Held,
}

/// The bytes of `range`, which lies within the file.
pub(super) fn of_file(
    file: OpenFile,
    range: Range<u64>,
    expired: CancellationToken,
    held: Held,
) -> Body {
    let sending = Sending {
        file,
        rest: range,
        expired,
        _held: held,
    };
    Body::from_stream(futures::stream::unfold(sending, |mut sending| async move {
        if sending.rest.is_empty() {
            return None;
        }
        let piece = sending.next().await;
        if let Err(error) = &piece {
            tracing::warn!("a download broke off: {error}");
            // Nothing comes after an error.
            sending.rest = 0..0;
        }
        Some((piece, sending))
    }))
}

impl Sending {
    async fn next(&mut self) -> io::Result<Bytes> {
        let (file, at) = (self.file.clone(), self.rest.start);
        let length = (self.rest.end - at).min(HTTP_PIECE_BYTES as u64);
        let reading = tokio::task::spawn_blocking(move || file.read(at, length as usize));
        tokio::select! {
            read = reading => {
                let piece = read.map_err(io::Error::other)?.map_err(io::Error::other)?;
                self.rest.start += length;
                Ok(piece.into())
            }
            () = self.expired.cancelled() => Err(io::Error::other("the server is shutting down")),
        }
    }
}

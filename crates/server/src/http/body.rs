//! Bodies of files: read in pieces by position, from a handle that was opened before the head went
//! out.
//!
//! Invariants: a body is all of its range of one version of the file, or the connection breaks
//! before its announced length; it holds at most one piece in memory; its slot is free when it
//! ends or its reader goes away; nothing of it goes to a caller whose token was taken out.

use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::pace::UnderWay;
use super::record::BrokenOff;
use super::right::Leave;
use crate::fault::Fault;
use crate::limits::HTTP_PIECE_BYTES;
use crate::readers::Readers;
use crate::snapshots::OpenFile;

/// What is held as long as a download is under way: the server's gate, the connection, and a turn
/// of downloads.
pub(super) type Held = (TaskTrackerToken, UnderWay, OwnedSemaphorePermit);

struct Sending {
    file: OpenFile,
    rest: Range<u64>,
    readers: Readers,
    leave: Leave,
    _held: Held,
}

/// The bytes of `range`, which lies within the file.
pub(super) fn of_file(
    file: OpenFile,
    range: Range<u64>,
    readers: Readers,
    leave: Leave,
    held: Held,
) -> Body {
    let sending = Sending {
        file,
        rest: range,
        readers,
        leave,
        _held: held,
    };
    Body::from_stream(futures::stream::unfold(sending, |mut sending| async move {
        if sending.rest.is_empty() {
            return None;
        }
        let piece = sending.next().await;
        if piece.is_err() {
            // Nothing comes after an error.
            sending.rest = 0..0;
        }
        Some((piece, sending))
    }))
}

impl Sending {
    async fn next(&mut self) -> Result<Bytes, BrokenOff> {
        self.read().await.map_err(|fault| {
            fault.log();
            BrokenOff(fault.reason)
        })
    }

    async fn read(&mut self) -> Result<Bytes, Fault> {
        self.leave.check()?;
        let (file, at) = (self.file.clone(), self.rest.start);
        let length = (self.rest.end - at).min(HTTP_PIECE_BYTES as u64);
        let reading = self.readers.aside(move || file.read(at, length as usize));
        tokio::select! {
            read = reading => {
                let piece = read??;
                self.rest.start += length;
                Ok(piece.into())
            }
            fault = self.leave.over() => Err(fault),
        }
    }
}

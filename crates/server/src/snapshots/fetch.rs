//! `Fetch`: the bytes of one file as a stream that can be taken up again.

use vitalog_wire::vitalog::v1::SnapshotServiceFetchResponse;

use super::shelf::OpenFile;
use crate::fault::{Fault, Reason};
use crate::limits::FETCH_PIECE_BYTES;
use crate::outbox::Outbox;
use crate::readers::give_way;

/// Refuses an offset past the end of the file.
pub(super) fn check_offset(file: &OpenFile, offset: u64) -> Result<(), Fault> {
    if offset <= file.bytes {
        return Ok(());
    }
    let message = format!("is {offset}, the file has {} bytes", file.bytes);
    Err(Fault::of_field(Reason::OffsetPastEnd, "offset", message))
}

/// Sends `file` from `offset` on. The first message is sent whatever there is to say. It belongs on
/// the readers' threads, and so do its reads.
pub(super) async fn run(
    file: OpenFile,
    mut offset: u64,
    outbox: Outbox<SnapshotServiceFetchResponse>,
) -> Result<(), Fault> {
    let mut sha256 = file.sha256.clone();
    loop {
        let length = (file.bytes - offset).min(FETCH_PIECE_BYTES as u64);
        let reading = file.clone();
        let read = tokio::task::spawn_blocking(move || reading.read(offset, length as usize));
        let data = read.await.map_err(|error| Fault::of_task(&error))??;
        let message = SnapshotServiceFetchResponse {
            offset,
            data: data.into(),
            total_bytes: file.bytes,
            sha256: std::mem::take(&mut sha256),
        };
        outbox.send(message).await;
        offset += length;
        if offset == file.bytes {
            return Ok(());
        }
        give_way().await;
    }
}

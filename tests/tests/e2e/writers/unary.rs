//! A writer that appends by calls, and sends each batch one to four times in random order.

use std::net::SocketAddr;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tonic::Status;
use vitalog_tests::{Event, is_broken_connection};
use vitalog_wire::vitalog::v1 as wire;

use super::{BATCH, Connection};

/// Batches of a writer.
pub const BATCHES: u64 = 16;

/// The numbers of the events of `batch` of writer `writer`.
pub fn numbers(writer: u64, batch: u64) -> std::ops::Range<u64> {
    let first = (writer * BATCHES + batch) * BATCH;
    first..first + BATCH
}

/// Sends everything; every sending of a batch ends in an answer that counts each event.
pub async fn run(writer: u64, proxy: SocketAddr, mut random: ChaCha8Rng) {
    let mut sendings: Vec<u64> = (0..BATCHES)
        .flat_map(|batch| {
            let repeats = random.random_range(0..=3);
            std::iter::repeat_n(batch, 1 + repeats)
        })
        .collect();
    sendings.shuffle(&mut random);
    let mut connection = Connection::new(proxy);
    let mut accepted = vec![0; BATCHES as usize];
    for batch in sendings {
        let answer = loop {
            match send(&mut connection, writer, batch).await {
                Ok(answer) => break answer,
                Err(status) => {
                    assert!(
                        is_broken_connection(&status),
                        "writer {writer}, batch {batch}: {status:?}"
                    );
                    connection.forget();
                }
            }
        };
        assert!(answer.rejected.is_empty(), "{:?}", answer.rejected);
        assert_eq!(answer.accepted + answer.duplicates, BATCH);
        accepted[batch as usize] += answer.accepted;
        // What was accepted in an answer that was cut off counts as a duplicate now.
        assert!(
            accepted[batch as usize] <= BATCH,
            "writer {writer}, batch {batch}"
        );
    }
}

async fn send(
    connection: &mut Connection,
    writer: u64,
    batch: u64,
) -> Result<wire::AppendResponse, Status> {
    let events = numbers(writer, batch).map(|number| Event::numbered(number).to_wire());
    let events = events.collect();
    let request = wire::AppendRequest {
        batch: Some(wire::append_request::Batch::Events(wire::EventBatch {
            events,
        })),
        ..Default::default()
    };
    let client = connection.client().await?;
    Ok(client.append(request).await?.into_inner())
}

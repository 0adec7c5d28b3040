//! A server that leaves: what was taken is answered, the rest is the next server's.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{TestServer, bare, cause, request};
use crate::writer::{Writer, batch, is_appended};

const NAMES: [&str; 3] = ["a", "b", "idle"];

/// Whether `end` is the server's word that it leaves, or else the client's own of a connection that
/// was closed before.
fn is_told(end: &Status) -> bool {
    if end.details().is_empty() {
        return false;
    }
    assert_eq!(cause(end), (Code::Unavailable, "SHUTTING_DOWN".to_owned()));
    let details = end.get_error_details();
    assert!(details.retry_info().unwrap().retry_delay.is_some());
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_leaves_answers_what_it_took() {
    for _ in 0..5 {
        // Where all were closed before their last word, nothing was shown.
        if some_are_told().await {
            return;
        }
    }
    panic!("nobody was told that the server leaves");
}

/// A server leaves three writers, and each knows what was taken; whether one was told why it ended.
async fn some_are_told() -> bool {
    let mut server = TestServer::start().await;
    // A connection each: one that is closed early takes no other writer's answers with it.
    let (mut clients, mut writers) = (Vec::new(), Vec::new());
    for name in NAMES {
        let mut client = server.events().await;
        writers.push(Writer::open(&mut client, name).await.unwrap());
        clients.push(client);
    }
    for writer in &writers[..2] {
        let requests = writer.requests();
        tokio::spawn(async move {
            for number in 1.. {
                let message = batch(number, request(vec![bare("e"); 20]));
                if requests.send(message).await.is_err() {
                    return;
                }
            }
        });
    }
    // In full flow.
    for writer in &mut writers[..2] {
        for number in 1..=20 {
            writer.appended(number).await;
        }
    }
    server.ask_to_shut_down();
    let mut ends = Vec::new();
    for writer in writers {
        let known = if ends.len() < 2 { 20 } else { 0 };
        let (acks, end) = writer.ended().await;
        for (ack, number) in acks.iter().zip(known + 1..) {
            assert_eq!(ack.number, number);
            assert!(is_appended(ack), "{ack:?}");
        }
        ends.push((known + acks.len() as u64, is_told(&end.unwrap_err())));
    }
    let (shutdown, store) = tokio::time::timeout(Duration::from_secs(30), server.ended())
        .await
        .unwrap();
    assert_eq!(shutdown.abandoned, 0);
    // No batch was taken of which a writer that was told does not know.
    for (name, (number, is_told)) in NAMES.into_iter().zip(&ends) {
        let state = store.writer_state(name);
        let taken = state.map_or(0, |state| state.last_number);
        assert!(*number <= taken, "{name}: {number} of {taken}");
        assert!(*number == taken || !is_told, "{name}: {number} of {taken}");
    }
    ends.iter().any(|(_, is_told)| *is_told)
}

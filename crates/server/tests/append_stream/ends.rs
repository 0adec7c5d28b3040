//! A server that leaves: what was taken is answered, the rest is the next server's.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{TestServer, bare, cause, request};
use crate::writer::{Writer, batch, is_appended};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_leaves_answers_what_it_took() {
    let mut server = TestServer::start().await;
    let mut client = server.events().await;
    let mut writers = Vec::new();
    for name in ["a", "b", "idle"] {
        writers.push(Writer::open(&mut client, name).await.unwrap());
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
    let mut expected = Vec::new();
    for writer in writers {
        let known = if expected.len() < 2 { 20 } else { 0 };
        let (acks, end) = writer.ended().await;
        for (ack, number) in acks.iter().zip(known + 1..) {
            assert_eq!(ack.number, number);
            assert!(is_appended(ack), "{ack:?}");
        }
        expected.push(known + acks.len() as u64);
        let status = end.unwrap_err();
        assert_eq!(
            cause(&status),
            (Code::Unavailable, "SHUTTING_DOWN".to_owned())
        );
        let details = status.get_error_details();
        assert!(details.retry_info().unwrap().retry_delay.is_some());
    }
    let (shutdown, store) = tokio::time::timeout(Duration::from_secs(30), server.ended())
        .await
        .unwrap();
    assert_eq!(shutdown.abandoned, 0);
    // No batch was taken of which the writer does not know.
    for (name, number) in ["a", "b", "idle"].into_iter().zip(expected) {
        let state = store.writer_state(name);
        assert_eq!(state.map_or(0, |state| state.last_number), number, "{name}");
    }
}

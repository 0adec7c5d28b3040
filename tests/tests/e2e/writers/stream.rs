//! A writer that numbers its batches, resumes from the state that the server tells, and sends each
//! batch one to four times in random order: its events carry no ids, so only the numbers keep them
//! from standing in the store twice.

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures::SinkExt;
use futures::channel::mpsc;
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tonic::{Code, Status};
use vitalog_tests::is_broken_connection;
use vitalog_wire::vitalog::v1 as wire;
use wire::append_stream_ack::Outcome;
use wire::append_stream_request::Part;
use wire::append_stream_response::Part as Answer;

use super::{BATCH, Connection};

/// Batches of a writer.
pub const BATCHES: u64 = 32;
/// Batches under way at once.
const WINDOW: usize = 6;
/// What the names of these writers begin with.
pub const PREFIX: &str = "streaming writer ";

/// The user and the account of a writer's events.
pub fn name(writer: u64) -> String {
    format!("{PREFIX}{writer}")
}

/// The event at place `at` of batch `number`.
fn event(writer: u64, number: u64, at: u64) -> wire::Event {
    wire::Event {
        event: "streamed".to_owned(),
        account_id: Some(name(writer)),
        user_id: Some(name(writer)),
        value: Some((number * BATCH + at) as f64),
        ..Default::default()
    }
}

/// What the test knows of a writer. The writer itself is started anew with each stream, and goes by
/// what the server tells it.
#[derive(Debug)]
struct Known {
    /// The last number whose ack said that it is durable.
    acked: u64,
    /// The last number that was ever sent.
    sent: u64,
    /// Numbers that are still to be sent again, in random order.
    repeats: Vec<u64>,
    /// What was sent on the stream and not yet acked, and whether it repeats what was sent before.
    under_way: VecDeque<(u64, bool)>,
}

impl Known {
    fn new(random: &mut ChaCha8Rng) -> Self {
        let mut repeats: Vec<u64> = (1..=BATCHES)
            .flat_map(|number| std::iter::repeat_n(number, random.random_range(0..=3)))
            .collect();
        repeats.shuffle(random);
        Self {
            acked: 0,
            sent: 0,
            repeats,
            under_way: VecDeque::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.acked == BATCHES && self.repeats.is_empty() && self.under_way.is_empty()
    }

    /// A new stream begins: repetitions that had no ack on the one before are still to be sent.
    fn begin(&mut self) {
        let lost = self
            .under_way
            .drain(..)
            .filter(|(_, is_repeated)| *is_repeated);
        self.repeats.extend(lost.map(|(number, _)| number));
    }

    /// What is sent next, and whether it repeats what was sent before `following`, the next number
    /// of the stream.
    fn take(&mut self, following: &mut u64, random: &mut ChaCha8Rng) -> Option<(u64, bool)> {
        let end = *following;
        let repeat = self.repeats.iter().position(|number| *number < end);
        match repeat {
            Some(at) if end > BATCHES || random.random_ratio(2, 3) => {
                Some((self.repeats.swap_remove(at), true))
            }
            _ if end <= BATCHES => {
                *following += 1;
                Some((end, false))
            }
            _ => None,
        }
    }
}

/// Sends everything, over as many streams as it takes. Returns how many it took.
pub async fn run(writer: u64, proxy: SocketAddr, mut random: ChaCha8Rng) -> u64 {
    let mut connection = Connection::new(proxy);
    let mut known = Known::new(&mut random);
    let mut streams = 0;
    while !known.is_done() {
        streams += 1;
        assert!(
            streams < 10_000,
            "writer {writer} does not get on: {known:?}"
        );
        if let Err(status) = one_stream(writer, &mut connection, &mut known, &mut random).await {
            assert!(is_broken_connection(&status), "writer {writer}: {status:?}");
            connection.forget();
        }
    }
    streams
}

/// Asks where to go on, and goes on until the stream breaks, all is sent, or it stops at random, as
/// a writer that is restarted does.
async fn one_stream(
    writer: u64,
    connection: &mut Connection,
    known: &mut Known,
    random: &mut ChaCha8Rng,
) -> Result<(), Status> {
    known.begin();
    let client = connection.client().await?;
    let writer_id = name(writer);
    let request = wire::GetWriterStateRequest { writer_id };
    let state = client.get_writer_state(request).await?.into_inner();
    assert!(
        (known.acked..=known.sent).contains(&state.last_number),
        "writer {writer}: {known:?}, {state:?}"
    );
    let (mut requests, sent) = mpsc::channel(1);
    let writer_id = name(writer);
    let open = Part::Open(wire::AppendStreamOpen { writer_id });
    let mut answers = {
        let opening = requests.send(message(open));
        let (_, answers) = futures::join!(opening, client.append_stream(sent));
        answers?.into_inner()
    };
    let Some(Answer::Opened(opened)) = next(&mut answers).await? else {
        panic!("the first answer opens the stream");
    };
    // What another stream of this writer had under way may have become durable in between.
    assert!(opened.last_number >= state.last_number && opened.last_number <= known.sent);
    known.acked = known.acked.max(opened.last_number);
    let mut following = state.last_number + 1;
    while !known.is_done() {
        while known.under_way.len() < WINDOW
            && let Some((number, is_repeated)) = known.take(&mut following, random)
        {
            known.sent = known.sent.max(number);
            known.under_way.push_back((number, is_repeated));
            if requests.send(batch(writer, number)).await.is_err() {
                break;
            }
        }
        let Some(Answer::Ack(ack)) = next(&mut answers).await? else {
            panic!("writer {writer}: a stream is opened once");
        };
        let (number, is_repeated) = known.under_way.pop_front().unwrap();
        assert_eq!(
            ack.number, number,
            "writer {writer}: acks come in the order of sending"
        );
        match ack.outcome.unwrap() {
            Outcome::Appended(answer) => {
                assert!(!is_repeated, "writer {writer}: {number} was appended again");
                assert_eq!((answer.accepted, number), (BATCH, known.acked + 1));
                known.acked = number;
            }
            Outcome::Status(status) => {
                assert_eq!(status.code, Code::AlreadyExists as i32, "{status:?}");
                known.acked = known.acked.max(number);
            }
        }
        if random.random_ratio(1, 40) {
            return Ok(());
        }
    }
    Ok(())
}

fn message(part: Part) -> wire::AppendStreamRequest {
    wire::AppendStreamRequest { part: Some(part) }
}

fn batch(writer: u64, number: u64) -> wire::AppendStreamRequest {
    let events = (0..BATCH).map(|at| event(writer, number, at)).collect();
    let append = Some(wire::AppendRequest {
        batch: Some(wire::append_request::Batch::Events(wire::EventBatch {
            events,
        })),
        ..Default::default()
    });
    message(Part::Batch(wire::AppendStreamBatch { number, append }))
}

async fn next(
    answers: &mut tonic::Streaming<wire::AppendStreamResponse>,
) -> Result<Option<Answer>, Status> {
    match answers.message().await? {
        Some(answer) => Ok(answer.part),
        None => Err(Status::unavailable("the stream ended")),
    }
}

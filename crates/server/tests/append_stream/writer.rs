//! A writer's stream, message by message.

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use vitalog_wire::google::rpc;
use vitalog_wire::vitalog::v1::append_stream_ack::Outcome;
use vitalog_wire::vitalog::v1::append_stream_request::Part;
use vitalog_wire::vitalog::v1::append_stream_response::Part as Answer;
use vitalog_wire::vitalog::v1::event_service_client::EventServiceClient;
use vitalog_wire::vitalog::v1::{
    AppendRequest, AppendResponse, AppendStreamAck, AppendStreamBatch, AppendStreamOpen,
    AppendStreamOpened, AppendStreamRequest, AppendStreamResponse, Event, GetWriterStateRequest,
    GetWriterStateResponse,
};

use crate::support::{cause, request};

/// An open stream.
pub struct Writer {
    pub opened: AppendStreamOpened,
    requests: mpsc::Sender<AppendStreamRequest>,
    answers: Streaming<AppendStreamResponse>,
}

/// A stream on which nothing was said yet.
pub async fn connected(
    client: &mut EventServiceClient<Channel>,
) -> Result<
    (
        mpsc::Sender<AppendStreamRequest>,
        Streaming<AppendStreamResponse>,
    ),
    Status,
> {
    let (requests, sent) = mpsc::channel(1);
    let answers = client.append_stream(ReceiverStream::new(sent)).await?;
    Ok((requests, answers.into_inner()))
}

/// The message that opens a stream.
pub fn open(writer_id: &str) -> AppendStreamRequest {
    let writer_id = writer_id.to_owned();
    AppendStreamRequest {
        part: Some(Part::Open(AppendStreamOpen { writer_id })),
    }
}

/// The message of a batch.
pub fn batch(number: u64, append: AppendRequest) -> AppendStreamRequest {
    let append = Some(append);
    AppendStreamRequest {
        part: Some(Part::Batch(AppendStreamBatch { number, append })),
    }
}

impl Writer {
    /// Opens a stream.
    pub async fn open(
        client: &mut EventServiceClient<Channel>,
        writer_id: &str,
    ) -> Result<Self, Status> {
        let (requests, mut answers) = connected(client).await?;
        // Where it is not taken the answer says why.
        let _ = requests.send(open(writer_id)).await;
        match answers.message().await?.unwrap().part {
            Some(Answer::Opened(opened)) => Ok(Self {
                opened,
                requests,
                answers,
            }),
            other => panic!("the first answer is {other:?}"),
        }
    }

    pub async fn send(&self, number: u64, events: Vec<Event>) {
        self.say(batch(number, request(events))).await;
    }

    /// Sends a message as it is; on a stream that has ended it is lost.
    pub async fn say(&self, message: AppendStreamRequest) {
        let _ = self.requests.send(message).await;
    }

    /// A sender of messages, to be used beside the reader of acks.
    pub fn requests(&self) -> mpsc::Sender<AppendStreamRequest> {
        self.requests.clone()
    }

    /// The next ack.
    pub async fn ack(&mut self) -> AppendStreamAck {
        match self.answers.message().await.unwrap().unwrap().part {
            Some(Answer::Ack(ack)) => ack,
            other => panic!("expected an ack: {other:?}"),
        }
    }

    /// The next ack, which must be of `number` and durable.
    pub async fn appended(&mut self, number: u64) -> AppendResponse {
        let ack = self.ack().await;
        assert_eq!(ack.number, number, "{ack:?}");
        match ack.outcome.unwrap() {
            Outcome::Appended(response) => response,
            Outcome::Status(status) => panic!("batch {number}: {status:?}"),
        }
    }

    /// The next ack, which must be of `number` and refuse it: with which code and reason.
    pub async fn refused(&mut self, number: u64) -> (Code, String) {
        let ack = self.ack().await;
        assert_eq!(ack.number, number, "{ack:?}");
        cause(&status_of(&ack))
    }

    /// Sends no more; how the stream ends, where no further ack comes.
    pub async fn end(self) -> Result<(), Status> {
        let Self {
            requests,
            mut answers,
            ..
        } = self;
        drop(requests);
        let last = answers.message().await?;
        assert_eq!(last, None, "nothing was left to answer");
        Ok(())
    }

    /// How the stream ends, with what comes before, while the client may still send.
    pub async fn ended(mut self) -> (Vec<AppendStreamAck>, Result<(), Status>) {
        let mut acks = Vec::new();
        loop {
            match self.answers.message().await {
                Ok(Some(AppendStreamResponse {
                    part: Some(Answer::Ack(ack)),
                })) => acks.push(ack),
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) => return (acks, Ok(())),
                Err(status) => return (acks, Err(status)),
            }
        }
    }
}

/// The status of an ack, as a failed call would carry it.
pub fn status_of(ack: &AppendStreamAck) -> Status {
    match ack.outcome.as_ref().unwrap() {
        Outcome::Appended(response) => panic!("{} was appended: {response:?}", ack.number),
        Outcome::Status(status) => {
            let rpc::Status { code, message, .. } = status;
            let details = status.encode_to_vec();
            Status::with_details(Code::from_i32(*code), message, details.into())
        }
    }
}

pub fn is_appended(ack: &AppendStreamAck) -> bool {
    matches!(ack.outcome, Some(Outcome::Appended(_)))
}

pub async fn state(
    client: &mut EventServiceClient<Channel>,
    writer_id: &str,
) -> GetWriterStateResponse {
    let writer_id = writer_id.to_owned();
    let request = GetWriterStateRequest { writer_id };
    client.get_writer_state(request).await.unwrap().into_inner()
}

//! `EventService`: the log's way in and its way out, as a gRPC service.
//!
//! `Append` and `AppendStream` take their requests as bytes (see `append`), so they are served beside
//! the generated service, which serves everything else. Calls of the trait's methods do the same.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::TryStreamExt;
use prost::Message;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use vitalog_store::check_writer_id;
use vitalog_wire::vitalog::v1::event_service_server::{EventService, EventServiceServer};
use vitalog_wire::vitalog::v1::{
    AppendRequest, AppendResponse, AppendStreamRequest, AppendStreamResponse,
    GetWriterStateRequest, GetWriterStateResponse, ReadRequest, ReadResponse,
};

use crate::admission::WriteRight;
use crate::append::{AppendCodec, AppendStreams, Appender};
use crate::deadline;
use crate::fault::{Fault, Reason};
use crate::instant::timestamp;
use crate::limits::{EVENT_RECEIVE_BYTES_MAX, STREAM_RECEIVE_BYTES_MAX};
use crate::outbox::{End, Outgoing};
use crate::read::LogReader;
use crate::readers::Readers;

/// Where `Append` is called.
const APPEND_PATH: &str = "/vitalog.v1.EventService/Append";
/// Where `AppendStream` is called.
const STREAM_PATH: &str = "/vitalog.v1.EventService/AppendStream";

/// Appends to and reads from the log.
#[derive(Debug)]
pub(crate) struct Events {
    pub appender: Appender,
    pub streams: AppendStreams,
    pub reader: LogReader,
    pub readers: Readers,
    /// Slots of open reads.
    pub reads: Arc<Semaphore>,
}

#[tonic::async_trait]
impl EventService for Events {
    async fn append(
        &self,
        request: Request<AppendRequest>,
    ) -> Result<Response<AppendResponse>, Status> {
        let message = request.into_inner().encode_to_vec();
        Ok(Response::new(self.appender.append(message.into()).await?))
    }

    type AppendStreamStream = Outgoing<AppendStreamResponse>;

    async fn append_stream(
        &self,
        request: Request<Streaming<AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let timeout = deadline::allowed(request.metadata().as_ref());
        let right = WriteRight::of(&request);
        let requests = request.into_inner();
        let requests = requests.map_ok(|message| Bytes::from(message.encode_to_vec()));
        Ok(Response::new(self.streams.serve(requests, right, timeout)?))
    }

    async fn get_writer_state(
        &self,
        request: Request<GetWriterStateRequest>,
    ) -> Result<Response<GetWriterStateResponse>, Status> {
        let writer_id = request.into_inner().writer_id;
        check_writer_id(&writer_id).map_err(|error| {
            Fault::of_field(Reason::InvalidRequest, "writer_id", error.to_string())
        })?;
        let state = self.appender.store.writer_state(&writer_id);
        let answer = state.map(|state| GetWriterStateResponse {
            last_number: state.last_number,
            last_seq: state.last_seq as u64,
            last_time: Some(timestamp(state.last_time_us)),
        });
        Ok(Response::new(answer.unwrap_or_default()))
    }

    type ReadStream = Outgoing<ReadResponse>;

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let timeout = deadline::allowed(request.metadata().as_ref());
        let request = request.into_inner();
        let slot = Arc::clone(&self.reads)
            .try_acquire_owned()
            .map_err(|_| Fault::busy("reads"))?;
        let end = End {
            is_endless: request.follow,
            timeout,
        };
        let reader = self.reader.clone();
        let stream = self.readers.stream(end, |outbox| async move {
            let _slot = slot;
            reader.run(request, outbox).await
        });
        Ok(Response::new(stream))
    }
}

/// The event service on the wire.
#[derive(Clone, Debug)]
pub(crate) struct EventEndpoint {
    appender: Appender,
    streams: AppendStreams,
    generated: EventServiceServer<Events>,
}

impl EventEndpoint {
    pub fn new(events: Events) -> Self {
        let (appender, streams) = (events.appender.clone(), events.streams.clone());
        let generated = EventServiceServer::new(events)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Zstd)
            .max_decoding_message_size(EVENT_RECEIVE_BYTES_MAX);
        Self {
            appender,
            streams,
            generated,
        }
    }
}

impl NamedService for EventEndpoint {
    const NAME: &'static str = <EventServiceServer<Events> as NamedService>::NAME;
}

impl Service<http::Request<Body>> for EventEndpoint {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.uri().path() {
            APPEND_PATH => {
                let call = AppendCall(self.appender.clone());
                let mut grpc = grpc(EVENT_RECEIVE_BYTES_MAX);
                Box::pin(async move { Ok(grpc.unary(call, request).await) })
            }
            STREAM_PATH => {
                let call = StreamCall(self.streams.clone());
                let mut grpc = grpc(STREAM_RECEIVE_BYTES_MAX);
                Box::pin(async move { Ok(grpc.streaming(call, request).await) })
            }
            _ => self.generated.call(request),
        }
    }
}

/// What reads requests of at most `bytes_max` bytes each, as bytes.
fn grpc<T: Message + Default + Send + 'static>(bytes_max: usize) -> Grpc<AppendCodec<T>> {
    Grpc::new(AppendCodec::default())
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(bytes_max)
}

/// One call of `AppendStream`.
struct StreamCall(AppendStreams);

impl StreamingService<Bytes> for StreamCall {
    type Response = AppendStreamResponse;
    type ResponseStream = Outgoing<AppendStreamResponse>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let timeout = deadline::allowed(request.metadata().as_ref());
        let right = WriteRight::of(&request);
        let answers = self.0.serve(request.into_inner(), right, timeout);
        Box::pin(async move { Ok(Response::new(answers?)) })
    }
}

/// One call of `Append`.
struct AppendCall(Appender);

impl UnaryService<Bytes> for AppendCall {
    type Response = AppendResponse;
    type Future = BoxFuture<Response<AppendResponse>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let appender = self.0.clone();
        Box::pin(async move { Ok(Response::new(appender.append(request.into_inner()).await?)) })
    }
}

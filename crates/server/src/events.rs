//! `EventService`: the log's way in and its way out, as a gRPC service.
//!
//! `Append` takes its requests as bytes (see `append`), so it is served beside the generated
//! service, which serves everything else. Calls of the trait's `append` do the same.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use prost::Message;
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use vitalog_wire::vitalog::v1::event_service_server::{EventService, EventServiceServer};
use vitalog_wire::vitalog::v1::{AppendRequest, AppendResponse, ReadRequest, ReadResponse};

use crate::append::{AppendCodec, Appender};
use crate::fault::Fault;
use crate::gate::Gate;
use crate::limits::EVENT_RECEIVE_BYTES_MAX;
use crate::outbox::{self, End, Outgoing};
use crate::read::LogReader;

/// Where `Append` is called.
const APPEND_PATH: &str = "/vitalog.v1.EventService/Append";

/// Appends to and reads from the log.
#[derive(Debug)]
pub(crate) struct Events {
    pub appender: Appender,
    pub reader: LogReader,
    pub gate: Gate,
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

    type ReadStream = Outgoing<ReadResponse>;

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let timeout = outbox::timeout_of(request.metadata());
        let request = request.into_inner();
        let slot = Arc::clone(&self.reads)
            .try_acquire_owned()
            .map_err(|_| Fault::busy("reads"))?;
        // What ends by itself may end by itself for a while.
        let stop = if request.follow {
            self.gate.draining()
        } else {
            self.gate.expired()
        };
        let end = End {
            stop: stop.clone(),
            timeout,
        };
        let reader = self.reader.clone();
        let stream = outbox::stream(&self.gate, end, |outbox| async move {
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
    generated: EventServiceServer<Events>,
}

impl EventEndpoint {
    pub fn new(events: Events) -> Self {
        let appender = events.appender.clone();
        let generated = EventServiceServer::new(events)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Zstd)
            .max_decoding_message_size(EVENT_RECEIVE_BYTES_MAX);
        Self {
            appender,
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
        if request.uri().path() != APPEND_PATH {
            return self.generated.call(request);
        }
        let appender = self.appender.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(AppendCodec)
                .accept_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Zstd)
                .max_decoding_message_size(EVENT_RECEIVE_BYTES_MAX);
            Ok(grpc.unary(AppendCall(appender), request).await)
        })
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

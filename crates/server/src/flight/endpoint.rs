//! The service on the wire. Uploads carry batches of Arrow and may be large; everything else is a
//! command, and is refused by its length prefix when it is not small.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_flight::flight_service_server::FlightServiceServer;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;

use super::Flight;
use crate::limits::{FLIGHT_PUT_BYTES_MAX, FLIGHT_RECEIVE_BYTES_MAX};

/// Where batches are sent.
const PUT_PATH: &str = "/arrow.flight.protocol.FlightService/DoPut";

/// Flight SQL behind its limits.
#[derive(Clone, Debug)]
pub(crate) struct FlightEndpoint {
    commands: FlightServiceServer<Flight>,
    uploads: FlightServiceServer<Flight>,
}

impl FlightEndpoint {
    pub fn new(flight: Flight) -> Self {
        let flight = Arc::new(flight);
        let limited = |bytes| {
            FlightServiceServer::from_arc(Arc::clone(&flight))
                .accept_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Zstd)
                .send_compressed(CompressionEncoding::Zstd)
                .max_decoding_message_size(bytes)
        };
        Self {
            commands: limited(FLIGHT_RECEIVE_BYTES_MAX),
            uploads: limited(FLIGHT_PUT_BYTES_MAX),
        }
    }
}

impl NamedService for FlightEndpoint {
    const NAME: &'static str = <FlightServiceServer<Flight> as NamedService>::NAME;
}

impl Service<http::Request<Body>> for FlightEndpoint {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_upload = request.uri().path() == PUT_PATH;
        let service = if is_upload {
            &mut self.uploads
        } else {
            &mut self.commands
        };
        service.call(request)
    }
}

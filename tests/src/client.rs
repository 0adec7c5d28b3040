//! A client of the gRPC services, one call at a time.

use std::net::SocketAddr;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use vitalog_wire::vitalog::v1 as wire;
use wire::event_service_client::EventServiceClient;
use wire::query_response::Part;
use wire::query_service_client::QueryServiceClient;

/// Whether a call failed because its connection broke, and not by the server's word.
///
/// What the transport says depends on where the call was when it broke: before it was sent, half
/// sent, or waiting for its answer.
#[must_use]
pub fn is_broken_connection(status: &Status) -> bool {
    let codes = [
        Code::Unavailable,
        Code::Cancelled,
        Code::Unknown,
        Code::Internal,
    ];
    status.details().is_empty() && codes.contains(&status.code())
}

/// A connection and the runtime it lives on, which runs only during a call: where none is made for
/// over 50 seconds, the server's ping stays unanswered, and the server closes the connection.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    channel: Channel,
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    /// `UNAVAILABLE` where nobody listens.
    ///
    /// # Panics
    /// Where there is no room for a runtime.
    pub fn connect(address: SocketAddr) -> Result<Self, Status> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime of one thread");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = runtime
            .block_on(endpoint.connect())
            .map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Self { runtime, channel })
    }

    /// Appends one batch and waits for the acknowledgement.
    ///
    /// # Errors
    /// What the server says, or `UNAVAILABLE` where it is gone.
    pub fn append(&self, events: Vec<wire::Event>) -> Result<wire::AppendResponse, Status> {
        let batch = wire::append_request::Batch::Events(wire::EventBatch { events });
        let request = wire::AppendRequest {
            batch: Some(batch),
            ..Default::default()
        };
        let mut client = EventServiceClient::new(self.channel.clone());
        Ok(self.runtime.block_on(client.append(request))?.into_inner())
    }

    /// Every event of the log from `from_seq` on, in its order.
    ///
    /// # Errors
    /// What the server says.
    pub fn read(&self, from_seq: u64) -> Result<Vec<wire::StoredEvent>, Status> {
        let request = wire::ReadRequest {
            from_seq,
            ..Default::default()
        };
        let mut client = EventServiceClient::new(self.channel.clone());
        self.runtime.block_on(async {
            let mut stream = client.read(request).await?.into_inner();
            let mut events = Vec::new();
            while let Some(response) = stream.message().await? {
                events.extend(response.events);
            }
            Ok(events)
        })
    }

    /// The whole answer to a statement.
    ///
    /// # Errors
    /// What the server says.
    ///
    /// # Panics
    /// Where the answer is not one Arrow IPC stream followed by statistics of as many rows.
    pub fn query(&self, sql: &str) -> Result<Vec<RecordBatch>, Status> {
        let (mut bytes, mut counted) = (Vec::new(), None);
        let mut stream = self.start_query(sql)?;
        while let Some(response) = self.runtime.block_on(stream.message())? {
            match response.part {
                Some(Part::ArrowIpc(piece)) => bytes.extend_from_slice(&piece),
                Some(Part::Statistics(statistics)) => counted = Some(statistics.rows),
                _ => {}
            }
        }
        let reader = StreamReader::try_new(bytes.as_slice(), None).expect("an Arrow IPC stream");
        let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("a whole batch")).collect();
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(counted, Some(rows as u64), "{sql}");
        Ok(batches)
    }

    /// Sends a statement and reads nothing of its answer.
    ///
    /// # Errors
    /// What the server says.
    pub fn start_query(&self, sql: &str) -> Result<Streaming<wire::QueryResponse>, Status> {
        let request = wire::QueryRequest {
            sql: sql.to_owned(),
            ..Default::default()
        };
        let mut client = QueryServiceClient::new(self.channel.clone());
        Ok(self.runtime.block_on(client.query(request))?.into_inner())
    }
}

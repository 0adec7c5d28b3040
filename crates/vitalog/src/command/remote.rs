//! Appending to a server: one batch a call, as Arrow IPC, retried by its ids where the outcome is
//! not known.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::ipc::writer::StreamWriter;
use tokio::runtime::Runtime;
use tonic::transport::Channel;
use vitalog_event::{EventBatch, Rejection, RejectionCode, schema};
use vitalog_store::AppendReceipt;
use vitalog_wire::vitalog::v1::append_request::Batch;
use vitalog_wire::vitalog::v1::event_service_client::EventServiceClient;
use vitalog_wire::vitalog::v1::{AppendRequest, AppendResponse};

use crate::sql::{Bearer, Line};

/// Events of one call: a batch of them stays far below the server's 10 MiB.
const EVENTS_A_CALL: usize = 8 << 10;
/// Bytes of one call above which a batch is cut further.
const BYTES_A_CALL: usize = 8 << 20;
/// How often a call is tried.
const TRIES: u32 = 5;

/// A connection to a server's `EventService`.
pub(super) struct RemoteEvents {
    runtime: Runtime,
    client: EventServiceClient<Line>,
    url: String,
}

impl RemoteEvents {
    pub fn connect(url: &str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let Some(address) = url.strip_prefix("grpc://") else {
            bail!("{url}: expected grpc://HOST:PORT");
        };
        let endpoint = Channel::from_shared(format!("http://{address}"))?;
        let channel = runtime
            .block_on(endpoint.connect())
            .with_context(|| format!("cannot reach a server at {url}"))?;
        Ok(Self {
            runtime,
            client: EventServiceClient::new(Bearer::of_environment()?.over(channel)),
            url: url.to_owned(),
        })
    }

    /// Appends a batch, in as many calls as its size asks for.
    pub fn append(&mut self, batch: &EventBatch) -> anyhow::Result<AppendReceipt> {
        let whole = record_batch(batch)?;
        let by_bytes = EVENTS_A_CALL * BYTES_A_CALL / batch.bytes().max(BYTES_A_CALL);
        let step = by_bytes.clamp(1, EVENTS_A_CALL);
        let mut receipt = AppendReceipt::default();
        for first in (0..whole.num_rows()).step_by(step) {
            let part = whole.slice(first, step.min(whole.num_rows() - first));
            let response = self.call(&encode(&part)?)?;
            receipt.last_seq = response.last_seq as i64;
            receipt.accepted += response.accepted as usize;
            receipt.duplicates += response.duplicates as usize;
            receipt
                .rejected
                .extend(response.rejected.into_iter().map(|rejected| Rejection {
                    index: batch.input_index(first + rejected.index as usize),
                    field: field_name(&rejected.field),
                    code: RejectionCode::parse(&rejected.code).unwrap_or(RejectionCode::Malformed),
                    message: rejected.message,
                }));
        }
        Ok(receipt)
    }

    /// Every event has an id, so a call may be repeated.
    fn call(&mut self, ipc: &[u8]) -> anyhow::Result<AppendResponse> {
        let mut tries = 0;
        loop {
            tries += 1;
            let request = AppendRequest {
                batch: Some(Batch::ArrowIpc(ipc.to_vec().into())),
                ..AppendRequest::default()
            };
            match self.runtime.block_on(self.client.append(request)) {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) if tries < TRIES && is_passing(&status) => {
                    std::thread::sleep(std::time::Duration::from_millis(100 << tries));
                }
                Err(status) => bail!("{}: {}", self.url, status.message()),
            }
        }
    }
}

impl fmt::Display for RemoteEvents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.url)
    }
}

/// The name of one of our columns, as it lives as long as the program.
fn field_name(name: &str) -> &'static str {
    [
        schema::EVENT_ID,
        schema::EVENT_TIME,
        schema::EVENT,
        schema::ACCOUNT_ID,
        schema::USER_ID,
        schema::VALUE,
        schema::PROPERTIES,
    ]
    .into_iter()
    .find(|known| *known == name)
    .unwrap_or_default()
}

fn is_passing(status: &tonic::Status) -> bool {
    matches!(
        status.code(),
        tonic::Code::Unavailable | tonic::Code::ResourceExhausted | tonic::Code::Cancelled
    )
}

fn record_batch(batch: &EventBatch) -> anyhow::Result<RecordBatch> {
    let columns: [(&str, ArrayRef); 7] = [
        (schema::EVENT_ID, Arc::new(batch.event_ids().clone())),
        (schema::EVENT_TIME, Arc::new(batch.times().clone())),
        (schema::EVENT, Arc::new(batch.events().clone())),
        (schema::ACCOUNT_ID, Arc::new(batch.account_ids().clone())),
        (schema::USER_ID, Arc::new(batch.user_ids().clone())),
        (schema::VALUE, Arc::new(batch.values().clone())),
        (schema::PROPERTIES, Arc::new(batch.properties().clone())),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn encode(batch: &RecordBatch) -> anyhow::Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

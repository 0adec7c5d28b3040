//! Appending to a server: one batch a call, as Arrow IPC, retried by its ids where the outcome is
//! not known.

use std::fmt;
use std::sync::Arc;

use anyhow::bail;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::ipc::writer::StreamWriter;
use tokio::runtime::Runtime;
use vitalog_event::{EventBatch, Rejection, RejectionCode, schema};
use vitalog_store::AppendReceipt;
use vitalog_wire::vitalog::v1::append_request::Batch;
use vitalog_wire::vitalog::v1::event_service_client::EventServiceClient;
use vitalog_wire::vitalog::v1::{AppendRequest, AppendResponse, Rejected};

use crate::sql::{Bearer, Line, connect, parse_url};

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
        let address = parse_url(url).map_err(anyhow::Error::msg)?;
        let channel = runtime.block_on(connect(&address))?;
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
            let response = self.append_part(&part)?;
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

    /// Appends what one call takes; the answer names every rejected event. One call's answer leaves
    /// out what is too much for it: then the events behind the last that it names are sent once
    /// more. Those of them that went in are known, so that only the rejected ones are news.
    fn append_part(&mut self, part: &RecordBatch) -> anyhow::Result<AppendResponse> {
        let mut answer = self.call(&encode(part)?)?;
        while answer.rejected_omitted > 0 {
            let last = answer.rejected.last();
            let next = last.map_or(0, |last| last.index as usize + 1);
            let next = next.min(part.num_rows());
            let rest = part.slice(next, part.num_rows() - next);
            let more = self.call(&encode(&rest)?)?;
            if more.rejected.is_empty() && more.rejected_omitted > 0 {
                bail!("{}: an answer names none of its rejected events", self.url);
            }
            answer.last_seq = answer.last_seq.max(more.last_seq);
            answer.accepted += more.accepted;
            answer.rejected_omitted = more.rejected_omitted;
            let named = more.rejected.into_iter().map(|rejected| Rejected {
                index: rejected.index + next as u64,
                ..rejected
            });
            answer.rejected.extend(named);
        }
        Ok(answer)
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

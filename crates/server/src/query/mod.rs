//! `QueryService.Query`: a statement in, pieces of an Arrow stream and statistics out.

mod parameters;
mod pieces;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use vitalog_query::{Access, QueryEngine, QueryStream};
use vitalog_store::Store;
use vitalog_wire::vitalog::v1::query_response::Part;
use vitalog_wire::vitalog::v1::query_service_server::QueryService;
use vitalog_wire::vitalog::v1::{QueryRequest, QueryResponse, QueryStatistics};

use self::pieces::PieceWriter;
use crate::admission::turn;
use crate::fault::{Fault, Reason};
use crate::gate::Gate;
use crate::limits::SQL_BYTES_MAX;
use crate::outbox::{self, End, Outbox, Outgoing};

/// Answers statements.
#[derive(Debug)]
pub(crate) struct Queries {
    pub store: Arc<Store>,
    pub engine: QueryEngine,
    pub gate: Gate,
    /// Turns of running statements.
    pub turns: Arc<Semaphore>,
    pub queue_wait: Duration,
}

#[tonic::async_trait]
impl QueryService for Queries {
    type QueryStream = Outgoing<QueryResponse>;

    async fn query(
        &self,
        request: Request<QueryRequest>,
    ) -> Result<Response<Self::QueryStream>, Status> {
        let started = Instant::now();
        let timeout = outbox::timeout_of(request.metadata());
        let request = self.checked(request.into_inner())?;
        let turn = turn(&self.turns, self.queue_wait, "statements").await?;
        let answer = self.engine.query(request).await.map_err(Fault::from)?;
        let stop = self.gate.expired().clone();
        let stream = outbox::stream(&self.gate, End { stop, timeout }, |outbox| async move {
            let _turn = turn;
            send(answer, started, outbox).await
        });
        Ok(Response::new(stream))
    }
}

impl Queries {
    fn checked(&self, request: QueryRequest) -> Result<vitalog_query::QueryRequest, Fault> {
        let QueryRequest {
            sql,
            as_of_seq,
            parameters,
        } = request;
        if sql.len() > SQL_BYTES_MAX {
            let message = format!(
                "the statement has {} bytes, at most {SQL_BYTES_MAX} (1 MiB) are taken",
                sql.len()
            );
            return Err(Fault::of_field(Reason::RequestTooLarge, "sql", message));
        }
        let parameters = parameters::parameters_of(parameters)?;
        let last_seq = self.store.snapshot().seq();
        let as_of_seq = match as_of_seq.map(i64::try_from) {
            None => None,
            Some(Ok(seq)) if seq <= last_seq => Some(seq),
            Some(_) => {
                let message = format!("lies past the last durable seq, {last_seq}");
                let fault = Fault::of_field(Reason::SeqPastEnd, "as_of_seq", message);
                return Err(fault.with_fact("last_seq", &last_seq));
            }
        };
        // Whatever comes over the wire only reads.
        Ok(vitalog_query::QueryRequest {
            sql,
            as_of_seq,
            access: Access::ReadOnly,
            parameters,
        })
    }
}

/// Sends an answer: its schema, its rows, the end of the stream, its statistics.
async fn send(
    mut answer: QueryStream,
    started: Instant,
    outbox: Outbox<QueryResponse>,
) -> Result<(), Fault> {
    let seq = answer.seq() as u64;
    let (mut writer, schema) = PieceWriter::new(&answer.schema())?;
    outbox.send(piece(schema)).await;
    while let Some(batch) = answer.next().await {
        let batch = batch?;
        // Encoding copies up to megabytes: not on the reactor.
        let encoding = tokio::task::spawn_blocking(move || {
            let pieces = writer.write(&batch);
            (writer, pieces)
        });
        let pieces;
        (writer, pieces) = encoding.await.map_err(|error| Fault::of_task(&error))?;
        for bytes in pieces? {
            outbox.send(piece(bytes)).await;
        }
    }
    let (last, rows) = writer.finish()?;
    outbox.send(piece(last)).await;
    let elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let statistics = QueryStatistics {
        rows,
        elapsed_us,
        seq,
    };
    outbox
        .send(QueryResponse {
            part: Some(Part::Statistics(statistics)),
        })
        .await;
    Ok(())
}

fn piece(bytes: Bytes) -> QueryResponse {
    QueryResponse {
        part: Some(Part::ArrowIpc(bytes)),
    }
}

//! `QueryService`: statements in, rows and statistics out; plans, the list of statements, and the
//! end of one.
//!
//! Running a statement is `statements`'; this is how messages spell it.

mod describe;
mod encoding;
mod parameters;
mod pieces;
mod request;

use arrow::array::RecordBatch;
use futures::StreamExt;
use tonic::{Request, Response, Status};
use vitalog_wire::vitalog::v1::query_response::Part;
use vitalog_wire::vitalog::v1::query_service_server::QueryService;
use vitalog_wire::vitalog::v1::{
    CancelQueryRequest, CancelQueryResponse, ListQueriesRequest, ListQueriesResponse, QueryFormat,
    QueryHeartbeat, QueryRequest, QueryResponse, QueryServiceExplainRequest,
    QueryServiceExplainResponse, QueryStarted,
};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::describe::is_place;
use self::describe::{microseconds, page_of, statistics_of};
use self::encoding::Encoding;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::parameters::parameters_of;
use self::request::{ask_of, format_of};
use crate::auth::Principal;
use crate::deadline;
use crate::fault::{Fault, Reason};
use crate::limits::QUERY_HEARTBEAT;
use crate::outbox::{End, Outbox, Outgoing};
use crate::readers::{Readers, give_way};
use crate::statements::{Answer, Caller, Statements, Surface};

/// Answers statements.
#[derive(Debug)]
pub(crate) struct Queries {
    pub statements: Statements,
    pub readers: Readers,
}

#[tonic::async_trait]
impl QueryService for Queries {
    type QueryStream = Outgoing<QueryResponse>;

    async fn query(
        &self,
        request: Request<QueryRequest>,
    ) -> Result<Response<Self::QueryStream>, Status> {
        let timeout = deadline::allowed(request.metadata().as_ref());
        let caller = caller_of(&request);
        let request = request.into_inner();
        let format = format_of(&request)?;
        let answer = self.statements.start(ask_of(request, caller)?).await?;
        let end = End::within(timeout);
        let stream = self
            .readers
            .stream(end, |outbox| send(answer, format, outbox));
        Ok(Response::new(stream))
    }

    async fn explain(
        &self,
        request: Request<QueryServiceExplainRequest>,
    ) -> Result<Response<QueryServiceExplainResponse>, Status> {
        let caller = caller_of(&request);
        let QueryServiceExplainRequest { query, analyze } = request.into_inner();
        let query = query.ok_or_else(|| {
            Fault::of_field(Reason::InvalidRequest, "query", "there is no statement")
        })?;
        let ask = ask_of(query, caller)?;
        let explained = self.statements.explain(ask, analyze).await?;
        Ok(Response::new(QueryServiceExplainResponse {
            logical_plan: explained.logical_plan,
            physical_plan: explained.physical_plan,
            seq: explained.seq,
        }))
    }

    async fn list_queries(
        &self,
        request: Request<ListQueriesRequest>,
    ) -> Result<Response<ListQueriesResponse>, Status> {
        let known = self.statements.seen_by(&caller_of(&request));
        Ok(Response::new(page_of(known, request.get_ref())?))
    }

    async fn cancel_query(
        &self,
        request: Request<CancelQueryRequest>,
    ) -> Result<Response<CancelQueryResponse>, Status> {
        let caller = caller_of(&request);
        let id = &request.get_ref().query_id;
        let was_running = self.statements.cancel(id, &caller)?;
        Ok(Response::new(CancelQueryResponse { was_running }))
    }
}

/// Who sends a request. One that nobody let in proved nothing.
fn caller_of<T>(request: &Request<T>) -> Caller {
    let stranger = Principal::stranger();
    let principal = request.extensions().get().unwrap_or(&stranger);
    Caller::of(Surface::Grpc, principal, request.remote_addr())
}

/// Sends an answer: that it began, its rows, its statistics; and a heartbeat while it computes.
async fn send(
    mut answer: Answer,
    format: QueryFormat,
    outbox: Outbox<QueryResponse>,
) -> Result<(), Fault> {
    let sent = send_all(&mut answer, format, &outbox).await;
    if let Err(fault) = &sent {
        answer.fail(fault);
    }
    sent
}

async fn send_all(
    answer: &mut Answer,
    format: QueryFormat,
    outbox: &Outbox<QueryResponse>,
) -> Result<(), Fault> {
    let (mut encoding, head) = Encoding::new(format, &answer.schema())?;
    outbox.send(message(started(answer))).await;
    for part in head {
        outbox.send(message(part)).await;
    }
    while let Some(batch) = next_of(answer, outbox).await {
        let parts = encoding.write(&batch?)?;
        // While the reader takes the parts, the batch is free.
        for part in parts {
            outbox.send(message(part)).await;
        }
        give_way().await;
    }
    for part in encoding.finish()? {
        outbox.send(message(part)).await;
    }
    let statistics = statistics_of(&answer.statistics());
    outbox.send(message(Part::Statistics(statistics))).await;
    Ok(())
}

/// The next batch; heartbeats go out while it takes long.
async fn next_of(
    answer: &mut Answer,
    outbox: &Outbox<QueryResponse>,
) -> Option<Result<RecordBatch, Fault>> {
    loop {
        match tokio::time::timeout(QUERY_HEARTBEAT, answer.next()).await {
            Ok(batch) => return batch,
            Err(_) => {
                let statistics = answer.statistics();
                outbox.offer(message(Part::Heartbeat(QueryHeartbeat {
                    elapsed_us: microseconds(statistics.elapsed),
                    rows: statistics.rows,
                })));
            }
        }
    }
}

fn started(answer: &Answer) -> Part {
    Part::Started(QueryStarted {
        query_id: answer.id().to_owned(),
        seq: answer.seq(),
    })
}

fn message(part: Part) -> QueryResponse {
    QueryResponse { part: Some(part) }
}

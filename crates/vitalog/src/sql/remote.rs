//! A server as a backend, over gRPC.
//!
//! Invariant: an answer that ends without its statistics is an error, never a short answer.

use std::collections::VecDeque;
use std::error::Error;

use anyhow::{Context, anyhow, bail, ensure};
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use futures::stream::{StreamExt, try_unfold};
use tonic::{Status, Streaming};
use vitalog_wire::vitalog::v1::catalog_service_client::CatalogServiceClient;
use vitalog_wire::vitalog::v1::model_service_client::ModelServiceClient;
use vitalog_wire::vitalog::v1::query_response::Part;
use vitalog_wire::vitalog::v1::query_service_client::QueryServiceClient;
use vitalog_wire::vitalog::v1::{
    GetTableRequest, ListFunctionsRequest, ListTablesRequest, ModelServiceListRequest,
    QueryRequest, QueryResponse,
};

use super::backend::Answer;
use super::bearer::{Bearer, Line};
use super::catalog::{Catalog, Table, model_names};
use super::channel::{self, innermost};

/// Largest message that is taken; servers send less.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Models that a prompt completes.
const MODELS_MAX: u32 = 1_000;

/// A connection to a server; it is renewed when it breaks.
pub(crate) struct Remote {
    line: Line,
    queries: QueryServiceClient<Line>,
    catalog: CatalogServiceClient<Line>,
}

impl Remote {
    /// Connects to `address`, as [`parse_url`](channel::parse_url) gives it.
    ///
    /// # Errors
    /// Nobody answers there.
    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        let channel = channel::connect(address).await?;
        let line = Bearer::of_environment()?.over(channel);
        let queries = QueryServiceClient::new(line.clone());
        let catalog = CatalogServiceClient::new(line.clone());
        Ok(Self {
            line,
            queries: queries.max_decoding_message_size(MESSAGE_BYTES_MAX),
            catalog: catalog.max_decoding_message_size(MESSAGE_BYTES_MAX),
        })
    }

    /// The connection, for other services of the server.
    pub fn line(&self) -> Line {
        self.line.clone()
    }

    pub async fn query(&self, sql: String) -> anyhow::Result<Answer> {
        let request = QueryRequest {
            sql,
            ..QueryRequest::default()
        };
        let response = self.queries.clone().query(request).await.map_err(failure)?;
        let mut reading = Reading {
            stream: response.into_inner(),
            decoder: StreamDecoder::new(),
            ready: VecDeque::new(),
            is_whole: false,
        };
        let schema = loop {
            if let Some(schema) = reading.decoder.schema() {
                break schema;
            }
            ensure!(reading.advance().await?, "the server sent no schema");
        };
        let batches = try_unfold(reading, |mut reading| async move {
            let batch = reading.next().await?;
            Ok::<_, anyhow::Error>(batch.map(|batch| (batch, reading)))
        });
        Ok(Answer {
            schema,
            batches: batches.boxed(),
        })
    }

    pub(super) async fn catalog(&self) -> anyhow::Result<Catalog> {
        let mut client = self.catalog.clone();
        let listed = client
            .list_tables(ListTablesRequest {})
            .await
            .map_err(failure)?;
        let mut tables: Vec<Table> = Vec::new();
        for summary in listed.into_inner().tables {
            let request = GetTableRequest { name: summary.name };
            let table = client
                .get_table(request)
                .await
                .map_err(failure)?
                .into_inner()
                .table;
            tables.extend(table.map(Table::from));
        }
        let listed = client
            .list_functions(ListFunctionsRequest {})
            .await
            .map_err(failure)?;
        let functions = listed
            .into_inner()
            .functions
            .into_iter()
            .map(Into::into)
            .collect();
        Ok(Catalog {
            tables,
            functions,
            models: self.models().await,
        })
    }
}

impl Remote {
    /// The names of the models; none where the server does not know models, because a prompt that
    /// cannot complete them is still a prompt.
    async fn models(&self) -> Vec<String> {
        let mut client = ModelServiceClient::new(self.line());
        let request = ModelServiceListRequest {
            current_only: true,
            page_size: MODELS_MAX,
            ..Default::default()
        };
        match client.list(request).await {
            Ok(page) => model_names(page.into_inner().models.into_iter().map(|model| model.name)),
            Err(_) => Vec::new(),
        }
    }
}

/// An answer that is being read.
struct Reading {
    stream: Streaming<QueryResponse>,
    decoder: StreamDecoder,
    /// Decoded and not yet taken.
    ready: VecDeque<RecordBatch>,
    /// Whether the statistics have come, which are last.
    is_whole: bool,
}

impl Reading {
    async fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if !self.advance().await? {
                return Ok(None);
            }
        }
    }

    /// Takes one message; `false` at the end of a whole answer.
    async fn advance(&mut self) -> anyhow::Result<bool> {
        let Some(message) = self.stream.message().await.map_err(failure)? else {
            ensure!(
                self.is_whole,
                "the server broke off before the answer ended"
            );
            self.decoder
                .finish()
                .context("the answer ends in the middle")?;
            return Ok(false);
        };
        match message.part {
            Some(Part::ArrowIpc(bytes)) => self.decode(bytes.into())?,
            Some(Part::Statistics(_)) => self.is_whole = true,
            // Signs of life, and parts that later servers send and this client does not know.
            Some(Part::Started(_) | Part::Heartbeat(_) | Part::JsonRows(_)) | None => {}
        }
        Ok(true)
    }

    fn decode(&mut self, mut bytes: Buffer) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            match self.decoder.decode(&mut bytes) {
                Ok(batch) => self.ready.extend(batch),
                Err(error) => bail!("the server sent what is no Arrow stream: {error}"),
            }
        }
        Ok(())
    }
}

/// What the server says went wrong, which is meant for people, or what the transport says.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn failure(status: Status) -> anyhow::Error {
    let cause = status.source().map(innermost);
    match (status.message(), cause) {
        (message, Some(cause)) => {
            anyhow!("the connection to the server failed: {message}: {cause}")
        }
        ("", None) => anyhow!("the server failed: {}", status.code()),
        (message, None) => anyhow!("{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_server_are_kept() {
        let status = Status::invalid_argument("No column x\n  at line 1, column 8");
        assert_eq!(
            failure(status).to_string(),
            "No column x\n  at line 1, column 8"
        );
        assert!(
            failure(Status::internal(""))
                .to_string()
                .contains("nternal")
        );
    }
}

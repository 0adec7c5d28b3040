//! Where statements are answered: a store of this process, or a server.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use vitalog_query::{Access, QueryEngine, QueryRequest};

use super::catalog::{Catalog, model_names};
use super::remote::Remote;

/// Answers statements.
pub(crate) enum Backend {
    /// A store that this process has open; statements may read and write local files.
    Local(QueryEngine),
    /// A server; statements only read its tables.
    Remote(Box<Remote>),
}

/// An answer on its way. Dropping it stops the work.
pub(crate) struct Answer {
    /// Of every batch.
    pub schema: SchemaRef,
    /// Ends without an error only after the whole answer.
    pub batches: BoxStream<'static, anyhow::Result<RecordBatch>>,
}

impl Backend {
    /// Starts one statement.
    ///
    /// # Errors
    /// The statement is wrong or refused, or the server cannot be reached.
    pub async fn query(&self, sql: String) -> anyhow::Result<Answer> {
        match self {
            Self::Local(engine) => {
                let request = QueryRequest {
                    access: Access::Local,
                    // It is alone, and may have all that there is.
                    memory_bytes_max: Some(usize::MAX),
                    ..QueryRequest::new(sql)
                };
                let stream = engine.query(request).await?;
                let schema = stream.schema();
                Ok(Answer {
                    schema,
                    batches: stream.map_err(anyhow::Error::from).boxed(),
                })
            }
            Self::Remote(remote) => remote.query(sql).await,
        }
    }

    /// Tables and functions as they are now.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub(super) async fn catalog(&self) -> anyhow::Result<Arc<Catalog>> {
        let catalog = match self {
            Self::Local(engine) => Catalog {
                tables: engine.tables().into_iter().map(Into::into).collect(),
                functions: engine.functions().into_iter().map(Into::into).collect(),
                models: model_names(engine.models()?.into_iter().map(|model| model.name)),
            },
            Self::Remote(remote) => remote.catalog().await?,
        };
        Ok(Arc::new(catalog))
    }
}

//! Pictures computed by the engine.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::sync::Semaphore;
use vitalog_query::{QueryEngine, QueryStream};
use vitalog_store::Store;

use super::gallery::Source;
use super::picture::{COLUMNS, ORDER, Picture};
use super::pin::Pin;
use super::relation::Statement;
use super::shelf::Subject;
use crate::admission::turn;
use crate::fault::{Fault, Reason};
use crate::limits::{PICTURE_BYTES_MAX, PICTURE_ROWS_MAX};
use crate::statements::bytes_of;

/// The relation that pictures are made of.
const SCORES: &str = "health_scores";

/// Computes pictures over a store.
#[derive(Clone, Debug)]
pub(super) struct EngineSource {
    pub store: Arc<Store>,
    pub engine: QueryEngine,
    /// Turns of pictures, so that their memory is bounded.
    pub pictures: Arc<Semaphore>,
    /// Turns of running statements.
    pub turns: Arc<Semaphore>,
    pub queue_wait: Duration,
}

impl Source for EngineSource {
    fn pin(&self, subject: &Subject) -> Pin {
        // The seq first: an event that it shows has happened by the clock read after it.
        let seq = self.store.snapshot().seq();
        Pin {
            model: subject.model.clone(),
            version: subject.version,
            entity: subject.entity,
            seq,
            as_of_us: self.store.clock().now_us(),
            known_at_us: None,
        }
    }

    fn compute(&self, pin: Pin) -> BoxFuture<'static, Result<Picture, Fault>> {
        self.clone().computed(pin).boxed()
    }
}

impl EngineSource {
    async fn computed(self, pin: Pin) -> Result<Picture, Fault> {
        let _picture = turn(&self.pictures, self.queue_wait, "pictures").await?;
        let _turn = turn(&self.turns, self.queue_wait, "statements").await?;
        let statement = Statement::new((SCORES, COLUMNS), &pin, &[]).then(ORDER);
        let answer = statement.start(&self.engine).await?;
        let schema = answer.schema();
        let batches = gathered(answer).await?;
        let computed_at_us = self.store.clock().now_us();
        // It copies up to hundreds of megabytes: not on the reactor.
        let building = tokio::task::spawn_blocking(move || {
            let rows = concat_batches(&schema, &batches);
            let rows = rows.map_err(|error| Fault::new(Reason::Internal, error.to_string()))?;
            drop(batches);
            Picture::new(pin, &rows, computed_at_us)
        });
        building.await.map_err(|error| Fault::of_task(&error))?
    }
}

/// All batches of an answer.
async fn gathered(mut answer: QueryStream) -> Result<Vec<RecordBatch>, Fault> {
    let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
    while let Some(batch) = answer.next().await {
        let batch = batch.map_err(|error| Fault::of_own_statement(&error))?;
        rows += batch.num_rows();
        bytes += bytes_of(&batch);
        if rows > PICTURE_ROWS_MAX || bytes > PICTURE_BYTES_MAX {
            let message = format!(
                "the scores are of more than {PICTURE_ROWS_MAX} entities or {} MiB; ask the \
                 relation {SCORES} in SQL",
                PICTURE_BYTES_MAX >> 20
            );
            return Err(Fault::new(Reason::PictureTooLarge, message));
        }
        batches.push(batch);
    }
    Ok(batches)
}

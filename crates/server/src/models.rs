//! `ModelService`: health models applied, checked and listed, as the engine keeps them.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use futures::StreamExt;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use vitalog_query::{ModelDescription, ModelError, QueryEngine, QueryStream};
use vitalog_wire::vitalog::v1;
use vitalog_wire::vitalog::v1::model_service_server::ModelService;

use crate::admission::turn;
use crate::columns::{doubles, text, texts, value};
use crate::fault::{Fault, Reason};
use crate::instant::timestamp;
use crate::limits::{LIST_ROWS_DEFAULT, LIST_ROWS_MAX, MODEL_BYTES_MAX};
use crate::listing::{self, Key, Versioned, Wanted, rows_of};
use crate::token::TokenKind;
use crate::words::{band_of, entity_of, status_of};

/// The name that an empty one stands for.
pub(crate) const DEFAULT_MODEL: &str = "default";

/// Most faults that an answer lists.
const FAULTS_MAX: usize = 1_000;

/// Keeps health models.
#[derive(Debug)]
pub(crate) struct Models {
    pub engine: QueryEngine,
    /// Turns of running statements: a check computes scores.
    pub turns: Arc<Semaphore>,
    pub queue_wait: Duration,
}

#[tonic::async_trait]
impl ModelService for Models {
    async fn apply(
        &self,
        request: Request<v1::ModelServiceApplyRequest>,
    ) -> Result<Response<v1::ModelServiceApplyResponse>, Status> {
        let request = request.into_inner();
        check_size(&request.toml)?;
        let _turn = turn(&self.turns, self.queue_wait, "statements").await?;
        let applied = self
            .engine
            .apply_model(&request.toml, request.allow_unknown_events)
            .await
            .map_err(Fault::from)?;
        Ok(Response::new(v1::ModelServiceApplyResponse {
            model: Some(model_of(applied.model)?),
            is_new: applied.is_new,
        }))
    }

    async fn check(
        &self,
        request: Request<v1::ModelServiceCheckRequest>,
    ) -> Result<Response<v1::ModelServiceCheckResponse>, Status> {
        let request = request.into_inner();
        check_size(&request.toml)?;
        let rows_max = rows_of(
            request.max_rows,
            "max_rows",
            LIST_ROWS_DEFAULT,
            LIST_ROWS_MAX,
        )?;
        let _turn = turn(&self.turns, self.queue_wait, "statements").await?;
        let checked = self
            .engine
            .check_model(&request.toml, request.allow_unknown_events)
            .await;
        let answer = match checked {
            Ok(differences) => summary_of(differences, rows_max).await?,
            Err(ModelError::Faults(faults)) => v1::ModelServiceCheckResponse {
                faults: faults.into_iter().take(FAULTS_MAX).map(fault_of).collect(),
                ..v1::ModelServiceCheckResponse::default()
            },
            Err(ModelError::Query(error)) => return Err(Fault::from(error).into()),
        };
        Ok(Response::new(answer))
    }

    async fn get(
        &self,
        request: Request<v1::ModelServiceGetRequest>,
    ) -> Result<Response<v1::ModelServiceGetResponse>, Status> {
        let v1::ModelServiceGetRequest { name, version } = request.into_inner();
        let models = self.engine.models().map_err(Fault::from)?;
        let model = find(&models, ("name", &name), version)?.clone();
        Ok(Response::new(v1::ModelServiceGetResponse {
            model: Some(model_of(model)?),
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ModelServiceListRequest>,
    ) -> Result<Response<v1::ModelServiceListResponse>, Status> {
        let request = request.into_inner();
        let wanted = Wanted {
            name: request.name,
            current_only: request.current_only,
            page_size: request.page_size,
            page_token: request.page_token,
        };
        let models = self.engine.models().map_err(Fault::from)?;
        let without_text = models
            .into_iter()
            .map(|model| ModelDescription {
                text: String::new(),
                ..model
            })
            .collect();
        let (models, next_page_token) =
            listing::page(TokenKind::Models, without_text, &wanted, model_of)?;
        Ok(Response::new(v1::ModelServiceListResponse {
            models,
            next_page_token,
        }))
    }
}

impl Versioned for ModelDescription {
    fn key(&self) -> Key {
        Key {
            name: self.name.clone(),
            version: self.version,
        }
    }

    fn is_current(&self) -> bool {
        self.is_current
    }
}

/// The version of the model that a request names in `field`; the one in force where it names none.
///
/// # Errors
/// There is no such model, or no such version of it.
pub(crate) fn find<'a>(
    models: &'a [ModelDescription],
    (field, name): (&str, &str),
    version: Option<u32>,
) -> Result<&'a ModelDescription, Fault> {
    let name = if name.is_empty() { DEFAULT_MODEL } else { name };
    if !models.iter().any(|model| model.name == name) {
        let known = models.iter().map(|model| model.name.as_str());
        let sought = (field, "health model", name);
        return Err(Fault::not_found(Reason::ModelNotFound, sought, known));
    }
    let is_sought = |model: &&ModelDescription| {
        model.name == name && version.map_or(model.is_current, |version| version == model.version)
    };
    models.iter().find(is_sought).ok_or_else(|| {
        let message = match version {
            Some(version) => format!("the model {name:?} has no version {version}"),
            None => format!("no version of the model {name:?} is in force"),
        };
        Fault::of_field(Reason::ModelNotFound, "version", message)
    })
}

fn check_size(toml: &str) -> Result<(), Fault> {
    if toml.len() <= MODEL_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the model has {} bytes, at most {MODEL_BYTES_MAX} (1 MiB) are taken",
        toml.len()
    );
    Err(Fault::of_field(Reason::RequestTooLarge, "toml", message))
}

fn model_of(model: ModelDescription) -> Result<v1::Model, Fault> {
    Ok(v1::Model {
        entity: entity_of(&model.entity)?.into(),
        name: model.name,
        version: model.version,
        priority: model.priority,
        period_days: model.period_days,
        description: model.description,
        valid_from: model.valid_from_us.map(timestamp),
        content_hash: model.content_hash,
        is_current: model.is_current,
        toml: model.text,
    })
}

fn fault_of(fault: vitalog_query::ModelFault) -> v1::ModelFault {
    v1::ModelFault {
        line: u32::try_from(fault.line).unwrap_or(u32::MAX),
        message: fault.message,
    }
}

/// Counts all differences and keeps the first `rows_max`, so that memory does not grow with the
/// number of entities.
async fn summary_of(
    mut differences: QueryStream,
    rows_max: usize,
) -> Result<v1::ModelServiceCheckResponse, Fault> {
    let mut summary = v1::ModelServiceCheckResponse::default();
    while let Some(batch) = differences.next().await {
        let batch = batch.map_err(|error| Fault::of_own_statement(&error))?;
        add_batch(&mut summary, &batch, rows_max)?;
    }
    Ok(summary)
}

fn add_batch(
    summary: &mut v1::ModelServiceCheckResponse,
    batch: &RecordBatch,
    rows_max: usize,
) -> Result<(), Fault> {
    let (accounts, users) = (texts(batch, "account_id")?, texts(batch, "user_id")?);
    let (old_scores, new_scores) = (doubles(batch, "old_score")?, doubles(batch, "new_score")?);
    let (old_bands, new_bands) = (texts(batch, "old_band")?, texts(batch, "new_band")?);
    let (old_statuses, new_statuses) = (texts(batch, "old_status")?, texts(batch, "new_status")?);
    for row in 0..batch.num_rows() {
        let difference = v1::ScoreDifference {
            account_id: text(&accounts, row),
            user_id: text(&users, row),
            old_score: value(&old_scores, row),
            new_score: value(&new_scores, row),
            old_band: band_of(value(&old_bands, row))?.into(),
            new_band: band_of(value(&new_bands, row))?.into(),
            old_status: status_of(value(&old_statuses, row))?.into(),
            new_status: status_of(value(&new_statuses, row))?.into(),
        };
        count(summary, &difference);
        if summary.differences.len() < rows_max {
            summary.differences.push(difference);
        }
    }
    Ok(())
}

fn count(summary: &mut v1::ModelServiceCheckResponse, one: &v1::ScoreDifference) {
    let has_score_changed = one.old_score.map(f64::to_bits) != one.new_score.map(f64::to_bits);
    let has_band_changed = one.old_band != one.new_band;
    let has_status_changed = one.old_status != one.new_status;
    summary.total += 1;
    summary.total_changed += u64::from(has_score_changed || has_band_changed || has_status_changed);
    summary.total_band_changed += u64::from(has_band_changed);
    summary.total_status_changed += u64::from(has_status_changed);
}

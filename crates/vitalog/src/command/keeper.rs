//! Who keeps models and views: the engine of this process, or the services of a server.
//!
//! Invariant: both answer alike, so that a command need not know whom it asked.

mod received;

use anyhow::{anyhow, bail};
use futures::TryStreamExt;
use tonic::Code;
use vitalog_query::{
    AppliedModel, ModelDescription, ModelError, ModelFault, QueryEngine, ViewDescription,
};
use vitalog_wire::vitalog::v1 as wire;
use wire::model_service_client::ModelServiceClient;
use wire::view_service_client::ViewServiceClient;

use self::received::{checked, described, described_view, nothing_in};
use super::model::difference::Difference;
use super::rows::Rows;
use super::source::Source;
use crate::sql::{Backend, Line, failure};

/// Entities in one page of a list.
const PAGE_SIZE: u32 = 1_000;
/// Differences that a server may send at most.
const DIFFERENCES_MAX: u32 = 5_000;
/// A message holds so many differences and more.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Keeps models and views.
pub(super) enum Keeper<'s> {
    Local(&'s Source, &'s QueryEngine),
    Remote(&'s Source, Line),
}

/// Why a model was not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Its text is wrong.
    Faults(Vec<ModelFault>),
    Other(anyhow::Error),
}

/// What a model would change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checked {
    /// The worst change first; entities without a change may be missing.
    pub differences: Vec<Difference>,
    /// Entities that either version scores.
    pub total: u64,
    /// Those whose score, band or status changes.
    pub changed: u64,
}

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Faults(faults) => Self::Faults(faults),
            ModelError::Query(error) => Self::Other(error.into()),
        }
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl<'s> Keeper<'s> {
    pub fn of(source: &'s Source) -> Self {
        match source.backend() {
            Backend::Local(engine) => Self::Local(source, engine),
            Backend::Remote(remote) => Self::Remote(source, remote.line()),
        }
    }

    /// Stores a model.
    pub fn apply_model(&self, text: &str, allows_unknown: bool) -> Result<AppliedModel, Refusal> {
        let (source, line) = match self {
            Self::Local(source, engine) => {
                return Ok(source.wait(engine.apply_model(text, allows_unknown))?);
            }
            Self::Remote(source, line) => (source, line),
        };
        let request = wire::ModelServiceApplyRequest {
            toml: text.to_owned(),
            allow_unknown_events: allows_unknown,
        };
        let mut client = ModelServiceClient::new(line.clone());
        match source.wait(client.apply(request)) {
            Ok(response) => {
                let response = response.into_inner();
                let model = described(response.model.ok_or_else(|| nothing_in("Apply"))?);
                let is_new = response.is_new;
                Ok(AppliedModel { model, is_new })
            }
            // The lines of the faults stand in the answer of a check.
            Err(status) if status.code() == Code::InvalidArgument => {
                self.check_model(text, allows_unknown)?;
                Err(Refusal::Other(failure(status)))
            }
            Err(status) => Err(Refusal::Other(failure(status))),
        }
    }

    /// Checks a model and stores nothing.
    pub fn check_model(&self, text: &str, allows_unknown: bool) -> Result<Checked, Refusal> {
        match self {
            Self::Local(source, engine) => {
                let rows = source.wait(async {
                    let stream = engine.check_model(text, allows_unknown).await?;
                    let schema = stream.schema();
                    let batches: Vec<_> = stream.try_collect().await?;
                    Ok::<_, ModelError>((schema, batches))
                })?;
                let batch = arrow::compute::concat_batches(&rows.0, &rows.1)
                    .map_err(anyhow::Error::from)?;
                Ok(Checked::of(Difference::read(&Rows::new(batch))?))
            }
            Self::Remote(source, line) => {
                let request = wire::ModelServiceCheckRequest {
                    toml: text.to_owned(),
                    allow_unknown_events: allows_unknown,
                    max_rows: DIFFERENCES_MAX,
                };
                let client = ModelServiceClient::new(line.clone());
                let mut client = client.max_decoding_message_size(MESSAGE_BYTES_MAX);
                let answer = source.wait(client.check(request)).map_err(failure)?;
                checked(answer.into_inner())
            }
        }
    }

    /// Versions of models, by name, then version; texts may be missing.
    pub fn models(&self) -> anyhow::Result<Vec<ModelDescription>> {
        let (source, line) = match self {
            Self::Local(_, engine) => return Ok(engine.models()?),
            Self::Remote(source, line) => (source, line),
        };
        let mut client = ModelServiceClient::new(line.clone());
        let (mut models, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = wire::ModelServiceListRequest {
                page_size: PAGE_SIZE,
                page_token,
                ..Default::default()
            };
            let page = source.wait(client.list(request)).map_err(failure)?;
            let page = page.into_inner();
            models.extend(page.models.into_iter().map(described));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(models);
            }
        }
    }

    /// One version of a model with its text; the one in force without `version`.
    pub fn model(&self, name: &str, version: Option<u32>) -> anyhow::Result<ModelDescription> {
        match self {
            Self::Local(_, engine) => {
                let models = engine.models()?;
                find_model(models, name, version)
            }
            Self::Remote(source, line) => {
                let name = name.to_owned();
                let request = wire::ModelServiceGetRequest { name, version };
                let mut client = ModelServiceClient::new(line.clone());
                let answer = source.wait(client.get(request)).map_err(failure)?;
                let model = answer.into_inner().model;
                Ok(described(model.ok_or_else(|| nothing_in("Get"))?))
            }
        }
    }

    /// Stores a view.
    pub fn apply_view(&self, name: &str, sql: &str) -> anyhow::Result<ViewDescription> {
        let (source, line) = match self {
            Self::Local(source, engine) => return Ok(source.wait(engine.apply_view(name, sql))?),
            Self::Remote(source, line) => (source, line),
        };
        let (name, sql) = (name.to_owned(), sql.to_owned());
        let request = wire::ViewServiceApplyRequest { name, sql };
        let mut client = ViewServiceClient::new(line.clone());
        let answer = source.wait(client.apply(request)).map_err(failure)?;
        let view = answer.into_inner().view;
        Ok(described_view(view.ok_or_else(|| nothing_in("Apply"))?))
    }

    /// Takes a view out of force.
    pub fn drop_view(&self, name: &str) -> anyhow::Result<ViewDescription> {
        let (source, line) = match self {
            Self::Local(source, engine) => return Ok(source.wait(engine.drop_view(name))?),
            Self::Remote(source, line) => (source, line),
        };
        let name = name.to_owned();
        let mut client = ViewServiceClient::new(line.clone());
        let request = wire::ViewServiceDropRequest { name };
        let answer = source.wait(client.drop(request)).map_err(failure)?;
        let view = answer.into_inner().view;
        Ok(described_view(view.ok_or_else(|| nothing_in("Drop"))?))
    }

    /// Versions of views, by name, then version; statements may be missing.
    pub fn views(&self) -> anyhow::Result<Vec<ViewDescription>> {
        let (source, line) = match self {
            Self::Local(_, engine) => return Ok(engine.views()?),
            Self::Remote(source, line) => (source, line),
        };
        let mut client = ViewServiceClient::new(line.clone());
        let (mut views, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = wire::ViewServiceListRequest {
                page_size: PAGE_SIZE,
                page_token,
                ..Default::default()
            };
            let page = source.wait(client.list(request)).map_err(failure)?;
            let page = page.into_inner();
            views.extend(page.views.into_iter().map(described_view));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(views);
            }
        }
    }
}

impl Checked {
    fn of(differences: Vec<Difference>) -> Self {
        let changed = differences.iter().filter(|one| one.is_change()).count();
        Self {
            total: differences.len() as u64,
            changed: changed as u64,
            differences,
        }
    }
}

fn find_model(
    models: Vec<ModelDescription>,
    name: &str,
    version: Option<u32>,
) -> anyhow::Result<ModelDescription> {
    let (found, others): (Vec<_>, Vec<_>) = models.into_iter().partition(|one| one.name == name);
    if found.is_empty() {
        let names = others.iter().map(|one| one.name.as_str());
        let hint = near(name, names).map_or_else(
            || "`vitalog model list` lists those there are".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        bail!("there is no model {name:?}; {hint}");
    }
    let last = found.iter().map(|one| one.version).max().unwrap_or(0);
    let wanted = found.into_iter().find(|one| match version {
        Some(version) => one.version == version,
        None => one.is_current,
    });
    wanted.ok_or_else(|| match version {
        Some(version) => anyhow!("model {name} has no version {version}; its last is {last}"),
        None => anyhow!("no version of model {name} is in force; its last is {last}"),
    })
}

/// The name nearest to `name`, where one is near: at most a third of its letters differ.
pub(super) fn near<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let wanted = name.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    known
        .map(|known| {
            let distance = strsim::damerau_levenshtein(&wanted, &known.to_lowercase());
            (distance, known)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, version: u32, is_current: bool) -> ModelDescription {
        ModelDescription {
            name: name.to_owned(),
            version,
            entity: "account".to_owned(),
            priority: None,
            period_days: 28,
            description: None,
            valid_from_us: None,
            content_hash: String::new(),
            is_current,
            text: String::new(),
        }
    }

    #[test]
    fn models_are_found_by_name_and_version() {
        let models = || {
            let old = model("trial", 1, false);
            vec![model("default", 0, true), old, model("trial", 2, true)]
        };
        let version = |name, version| find_model(models(), name, version).map(|one| one.version);
        assert_eq!(version("trial", None).ok(), Some(2));
        assert_eq!(version("trial", Some(1)).ok(), Some(1));
        for (name, wanted, words) in [
            ("trail", None, "did you mean trial?"),
            ("other", None, "model list"),
            ("trial", Some(3), "its last is 2"),
        ] {
            let error = find_model(models(), name, wanted)
                .expect_err(name)
                .to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}

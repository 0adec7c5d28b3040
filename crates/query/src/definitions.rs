//! Models and views as people apply, compare and list them.
//!
//! What is applied is checked first: a model against its own rules, the store's events and the
//! planner; a view against the planner. Only then does it go into the log.

use std::fmt;
use std::sync::Arc;

use vitalog_store::DefinitionKind;

use crate::engine::{Access, QueryEngine, QueryRequest};
use crate::error::QueryError;
use crate::model::{self, Model, ModelFault, ModelVersion};
use crate::parameter::Parameter;
use crate::relation;
use crate::stream::QueryStream;
use crate::views::{self, Views};

/// One version of a health model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelDescription {
    /// Its name.
    pub name: String,
    /// 1, 2, 3 … a name; 0 is the built-in default.
    pub version: u32,
    /// `account`, `user` or `member`.
    pub entity: String,
    /// Of models with a priority the lowest takes an entity; `None` stands alone.
    pub priority: Option<i64>,
    /// Local calendar days.
    pub period_days: u32,
    /// What its author says of it.
    pub description: Option<String>,
    /// When it was stored, microseconds; `None` for the built-in one.
    pub valid_from_us: Option<i64>,
    /// XXH3-128 of the text.
    pub content_hash: String,
    /// Whether it is the version in force.
    pub is_current: bool,
    /// The TOML.
    pub text: String,
}

impl ModelDescription {
    fn of(version: &ModelVersion, is_current: bool) -> Self {
        let model = &version.model;
        Self {
            name: model.name.clone(),
            version: version.version,
            entity: model.entity.as_str().to_owned(),
            priority: model.priority,
            period_days: model.period_days,
            description: model.description.clone(),
            valid_from_us: version.valid_from_us,
            content_hash: version.content_hash.clone(),
            is_current,
            text: version.text.to_string(),
        }
    }
}

/// A model that is in force now.
#[derive(Clone, Debug, PartialEq)]
pub struct AppliedModel {
    /// The version in force.
    pub model: ModelDescription,
    /// False where the version in force had the same text already.
    pub is_new: bool,
}

/// Why a model was not taken.
#[derive(Debug)]
pub enum ModelError {
    /// The text is wrong, in these places.
    Faults(Vec<ModelFault>),
    /// The store or the engine failed.
    Query(QueryError),
}

impl fmt::Display for ModelError {
    /// One fault a line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(error) => error.fmt(formatter),
            Self::Faults(faults) => {
                for (at, fault) in faults.iter().enumerate() {
                    let separator = if at == 0 { "" } else { "\n" };
                    write!(formatter, "{separator}{fault}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ModelError {}

impl From<QueryError> for ModelError {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

/// One version of a named view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewDescription {
    /// Its name.
    pub name: String,
    /// 1, 2, 3 … a name.
    pub version: u32,
    /// When it was stored, microseconds.
    pub valid_from_us: i64,
    /// Whether it is the version in force; never where the view was dropped.
    pub is_current: bool,
    /// The SELECT; `None` where the view was dropped.
    pub sql: Option<String>,
}

/// What a candidate would change: every entity of either side, the worst change first.
const COMPARISON: &str = "\
    SELECT coalesce(n.account_id, o.account_id) AS account_id, \
    coalesce(n.user_id, o.user_id) AS user_id, o.score AS old_score, n.score AS new_score, \
    o.band AS old_band, n.band AS new_band, o.status AS old_status, n.status AS new_status \
    FROM (SELECT * FROM health_scores(model => $1, version => $2)) n FULL JOIN \
    (SELECT * FROM health_scores(model => $3, version => $4)) o \
    ON coalesce(n.account_id, '') = coalesce(o.account_id, '') \
    AND coalesce(n.user_id, '') = coalesce(o.user_id, '') \
    ORDER BY coalesce(n.score, 1) - coalesce(o.score, 1), 1, 2";

impl QueryEngine {
    /// Stores `text` as the newest version of the model that it names.
    ///
    /// # Errors
    /// [`ModelError::Faults`] with a line each: TOML, values out of range, events that the store
    /// never saw (unless allowed), SQL that does not plan. Nothing is stored then.
    pub async fn apply_model(
        &self,
        text: &str,
        allow_unknown_events: bool,
    ) -> Result<AppliedModel, ModelError> {
        let model = self.checked(text, allow_unknown_events).await?;
        let receipt = self
            .define(
                DefinitionKind::Model,
                model.name.clone(),
                Some(text.to_owned()),
            )
            .await?;
        let stored = receipt.definition;
        let version = ModelVersion {
            model,
            version: stored.version,
            valid_from_us: Some(stored.received_at_us),
            content_hash: stored.content_hash.clone(),
            text: Arc::from(text),
        };
        Ok(AppliedModel {
            model: ModelDescription::of(&version, true),
            is_new: receipt.is_new,
        })
    }

    /// Checks `text` as [`Self::apply_model`] does, stores nothing, and compares: rows
    /// (account_id, user_id, old_score, new_score, old_band, new_band, old_status, new_status)
    /// under the version in force of the same name (of the default model where there is none) and
    /// under `text`.
    ///
    /// # Errors
    /// Those of [`Self::apply_model`].
    pub async fn check_model(
        &self,
        text: &str,
        allow_unknown_events: bool,
    ) -> Result<QueryStream, ModelError> {
        let model = self.checked(text, allow_unknown_events).await?;
        let known = self.models()?;
        let current = |name: &str| {
            known
                .iter()
                .find(|known| known.is_current && known.name == name)
        };
        let old = current(&model.name).or_else(|| current("default"));
        let (old_name, old_version) = old.map_or(("default", 0), |old| (&old.name, old.version));
        let latest = current(&model.name).map_or(0, |current| current.version);
        let mut request = QueryRequest::new(COMPARISON);
        request.parameters = vec![
            Parameter::Text(model.name.clone()),
            Parameter::Integer(i64::from(latest) + 1),
            Parameter::Text(old_name.to_owned()),
            Parameter::Integer(i64::from(old_version)),
        ];
        Ok(self.query_with(request, Some(model)).await?)
    }

    /// Every version of every model, by name, then version.
    ///
    /// # Errors
    /// A stored model that cannot be read.
    pub fn models(&self) -> Result<Vec<ModelDescription>, QueryError> {
        let (_, snapshot) = self.session_now()?;
        let book = snapshot.model_book(None)?;
        let mut models = Vec::new();
        for name in book.names() {
            let versions = book.versions(name);
            let last = versions.len().saturating_sub(1);
            let described = versions.iter().enumerate();
            models.extend(described.map(|(at, version)| ModelDescription::of(version, at == last)));
        }
        Ok(models)
    }

    /// Stores `sql` as the newest version of view `name`.
    ///
    /// # Errors
    /// A name that is taken or no name, SQL that is no SELECT or does not plan.
    pub async fn apply_view(&self, name: &str, sql: &str) -> Result<ViewDescription, QueryError> {
        views::check_name(name)?;
        self.plan_view(name, sql).await?;
        let sql = sql.trim().trim_end_matches(';').trim_end().to_owned();
        let receipt = self
            .define(DefinitionKind::View, name.to_owned(), Some(sql))
            .await?;
        Ok(describe_view(&receipt.definition, true))
    }

    /// Drops view `name`: statements at later `seq`s do not see it.
    ///
    /// # Errors
    /// No such view.
    pub async fn drop_view(&self, name: &str) -> Result<ViewDescription, QueryError> {
        let is_there = self
            .views()?
            .iter()
            .any(|view| view.name == name && view.is_current && view.sql.is_some());
        if !is_there {
            return Err(QueryError::invalid(format!("there is no view {name}")));
        }
        let receipt = self
            .define(DefinitionKind::View, name.to_owned(), None)
            .await?;
        Ok(describe_view(&receipt.definition, true))
    }

    /// Every version of every view that was applied, by name, then version.
    ///
    /// # Errors
    /// A closed store.
    pub fn views(&self) -> Result<Vec<ViewDescription>, QueryError> {
        let (_, snapshot) = self.session_now()?;
        let stored: Vec<_> = views::definitions(&snapshot).collect();
        let is_current = |name: &str, version: u32| {
            !stored
                .iter()
                .any(|other| other.name == name && other.version > version)
        };
        let mut described: Vec<ViewDescription> = stored
            .iter()
            .map(|view| describe_view(view, is_current(&view.name, view.version)))
            .collect();
        described
            .sort_by(|left, right| (&left.name, left.version).cmp(&(&right.name, right.version)));
        Ok(described)
    }

    /// Parses `text` and checks it against the store.
    async fn checked(
        &self,
        text: &str,
        allow_unknown_events: bool,
    ) -> Result<Arc<Model>, ModelError> {
        let parsed = model::parse(text).map_err(|faults| ModelError::Faults(faults.0))?;
        let model = Arc::new(parsed);
        let (session, snapshot) = self.session_now()?;
        let checked = Arc::clone(&model);
        let faults = self
            .run(async move {
                let state = session.state_over(&snapshot);
                let diagnosis = |sql: &str| session.diagnosis(sql, Access::ReadOnly);
                relation::check(&checked, allow_unknown_events, &state, &snapshot, diagnosis)
                    .await
                    .map_err(|error| diagnosis("").diagnose(&error))
            })
            .await?;
        if faults.is_empty() {
            Ok(model)
        } else {
            Err(ModelError::Faults(faults))
        }
    }

    async fn plan_view(&self, name: &str, sql: &str) -> Result<(), QueryError> {
        let (session, snapshot) = self.session_now()?;
        let (name, sql) = (name.to_owned(), sql.to_owned());
        self.run(async move {
            let diagnosis = session.diagnosis(&sql, Access::ReadOnly);
            let planned = async {
                let statement = views::parse(session.template(), &sql)?;
                let references = session.template().resolve_table_references(&statement)?;
                let views = Views::of(&snapshot);
                if let Some(by) = views.leading_to(&name, &references, session.template())? {
                    let through = match by == name {
                        true => String::new(),
                        false => format!(" through {by}"),
                    };
                    let message = format!("view {name} names itself{through}");
                    let error = QueryError::invalid(message);
                    return Err(datafusion::error::DataFusionError::External(Box::new(
                        error,
                    )));
                }
                let state = session.state_over(&snapshot);
                let views = session.views_of(&statement, &state, &snapshot).await?;
                let (state, _) = session.with_views(state, &snapshot, views, Access::ReadOnly);
                let plan = state.statement_to_plan(statement).await?;
                let plan = crate::parameter::bind(plan, &[])?;
                relation::bind(plan, &state, &snapshot)
            };
            let planned = planned.await.map_err(|error| diagnosis.diagnose(&error))?;
            drop(planned);
            Ok(())
        })
        .await
    }
}

fn describe_view(view: &vitalog_store::Definition, is_current: bool) -> ViewDescription {
    ViewDescription {
        name: view.name.clone(),
        version: view.version,
        valid_from_us: view.received_at_us,
        is_current: is_current && view.text.is_some(),
        sql: view.text.as_ref().map(ToString::to_string),
    }
}

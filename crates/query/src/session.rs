//! The session: what all statements share, and how one becomes a running plan.
//!
//! A template holds functions, rules and settings, and is made once; a statement gets a copy of it
//! with a catalogue over its own snapshot. Nothing that a statement does changes the template.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{
    SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext,
};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use vitalog_store::Store;

use crate::catalog::{CATALOG, SCHEMA, StatementCatalog};
use crate::config::QueryConfig;
use crate::control::Control;
use crate::describe::{self, RelationDescription};
use crate::diagnosis::{Diagnosis, Vocabulary};
use crate::engine::{Access, QueryRequest};
use crate::error::{QueryError, QueryErrorKind};
use crate::gauge::Gauge;
use crate::growth::bound_growth;
use crate::memory::{MemoryLimitOfStatement, StatementPool};
use crate::model::{Model, ModelCache};
use crate::parameter;
use crate::promotion::ReadPromoted;
use crate::relation::{self, HealthPlanner};
use crate::routines::Routines;
use crate::snapshot::StatementSnapshot;
use crate::statement;
use crate::stop::AddStops;
use crate::stop_filter::stop_joins;
use crate::system::{SystemTables, Viewer};
use crate::views::Views;

/// What all statements of an engine share.
pub(crate) struct Session {
    store: Arc<Store>,
    config: QueryConfig,
    template: SessionState,
    vocabulary: Arc<Vocabulary>,
    models: Arc<ModelCache>,
    relations: Vec<RelationDescription>,
    routines: Arc<Routines>,
    system: SystemTables,
}

impl Session {
    pub fn new(store: Arc<Store>, config: QueryConfig) -> Result<Self, QueryError> {
        let pool = FairSpillPool::new(config.memory_bytes);
        let template = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .build_arc()
            .and_then(|runtime| {
                let mut state = SessionStateBuilder::new_with_default_features()
                    .with_config(session_config(&config))
                    .with_runtime_env(runtime)
                    .with_physical_optimizer_rules(physical_rules())
                    .build();
                register_functions(&mut state)?;
                state.register_relation_planner(Arc::new(HealthPlanner))?;
                Ok(state)
            })
            .map_err(|error| QueryError::internal(error.to_string()))?;
        let vocabulary = Arc::new(Vocabulary::of(&template));
        let relations = describe::relations();
        let routines = Arc::new(Routines::of(&template, &relations));
        Ok(Self {
            store,
            config,
            template,
            vocabulary,
            models: Arc::default(),
            relations,
            routines,
            system: SystemTables::default(),
        })
    }

    pub fn config(&self) -> &QueryConfig {
        &self.config
    }

    pub fn template(&self) -> &SessionState {
        &self.template
    }

    /// The tables of the process itself.
    pub fn system(&self) -> &SystemTables {
        &self.system
    }

    pub fn relations(&self) -> &[RelationDescription] {
        &self.relations
    }

    /// Takes a snapshot and plans `request` over it, with `candidate` as if it were applied.
    pub async fn plan(
        &self,
        request: &QueryRequest,
        candidate: Option<Arc<Model>>,
        control: &Arc<Control>,
    ) -> Result<Planned, QueryError> {
        let limit = self.config.sql_bytes_max;
        if request.sql.len() > limit {
            let found = request.sql.len();
            let message = format!("the statement has {found} bytes, at most {limit} are taken");
            return Err(QueryError::new(QueryErrorKind::Limit, message));
        }
        let snapshot = StatementSnapshot::take(
            &self.store,
            request.as_of_seq,
            control,
            (&self.models, self.system.seen_by(&request.viewer)),
            candidate,
        )?;
        self.plan_at(request, &snapshot).await
    }

    /// Plans `request` over a snapshot that was taken.
    pub async fn plan_at(
        &self,
        request: &QueryRequest,
        snapshot: &Arc<StatementSnapshot>,
    ) -> Result<Planned, QueryError> {
        let diagnosis = self.diagnosis(&request.sql, request.access);
        let planned = self.plan_over(request, snapshot).await;
        let (plan, context) = planned.map_err(|error| diagnosis.diagnose(&error))?;
        let limit = self.memory_limit_of(request);
        let (memory, runtime) = StatementPool::over(&context.runtime_env(), limit);
        Ok(Planned {
            plan,
            context: Arc::new(context.with_runtime(runtime)),
            memory,
            snapshot: Arc::clone(snapshot),
            diagnosis,
        })
    }

    async fn plan_over(
        &self,
        request: &QueryRequest,
        snapshot: &Arc<StatementSnapshot>,
    ) -> Result<(Arc<dyn ExecutionPlan>, TaskContext), DataFusionError> {
        let statement = statement::parse(&self.template, &request.sql)?;
        statement::check_statement(&statement, request.access)?;
        statement::check_files(&self.template, &statement, request.access)?;
        let mut state = self.state_over(snapshot);
        share_sorts(&mut state, self.memory_limit_of(request).bytes);
        let views = self.views_of(&statement, &state, snapshot).await?;
        // The context must live as long as the planning: file tables reach the session through it.
        let (state, _context) = self.with_views(state, snapshot, views, request.access);
        let logical = state.statement_to_plan(statement).await?;
        let logical = parameter::bind(logical, &request.parameters)?;
        let logical = relation::bind(logical, &state, snapshot)?;
        let logical: LogicalPlan = statement::check_plan(logical, request.access)?;
        let plan = state.create_physical_plan(&logical).await?;
        let plan = stop_joins(plan, &snapshot.control)?;
        Ok((plan, TaskContext::from(&state)))
    }

    fn memory_limit_of(&self, request: &QueryRequest) -> MemoryLimitOfStatement {
        let whole = self.config.memory_bytes;
        let default = self.config.statement_memory_bytes();
        MemoryLimitOfStatement {
            bytes: request
                .memory_bytes_max
                .map_or(default, |bytes| bytes.min(whole)),
            is_of_request: request.memory_bytes_max.is_some(),
        }
    }

    /// The views that `statement` may name, those that it does name planned.
    pub async fn views_of(
        &self,
        statement: &Statement,
        state: &SessionState,
        snapshot: &Arc<StatementSnapshot>,
    ) -> Result<Views, DataFusionError> {
        let mut views = Views::of(snapshot);
        let catalog = StatementCatalog::new(snapshot, &self.routines, views.clone());
        views.plan_for(statement, state, &catalog).await?;
        Ok(views)
    }

    /// The newest snapshot of the store as one statement sees it.
    pub fn snapshot(&self, control: &Arc<Control>) -> Result<Arc<StatementSnapshot>, QueryError> {
        let known = (&self.models, self.system.seen_by(&Viewer::default()));
        StatementSnapshot::take(&self.store, None, control, known, None)
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What errors of `sql` mean.
    pub fn diagnosis(&self, sql: &str, access: Access) -> Diagnosis {
        Diagnosis {
            sql: sql.to_owned(),
            access,
            vocabulary: Arc::clone(&self.vocabulary),
        }
    }

    /// The session of one statement: its snapshot, its tables, and the instant that is now.
    pub fn state_over(&self, snapshot: &Arc<StatementSnapshot>) -> SessionState {
        let mut state = self.template.clone();
        state
            .config_mut()
            .set_extension(Arc::clone(&snapshot.control));
        let catalog = StatementCatalog::new(snapshot, &self.routines, Views::default());
        state.register_catalog_list(Arc::new(catalog));
        state.mark_start_execution();
        state
    }

    /// `state` with views, and with files where they may be read: then through the context.
    pub fn with_views(
        &self,
        mut state: SessionState,
        snapshot: &Arc<StatementSnapshot>,
        views: Views,
        access: Access,
    ) -> (SessionState, Option<SessionContext>) {
        let catalog = StatementCatalog::new(snapshot, &self.routines, views);
        state.register_catalog_list(Arc::new(catalog));
        match access {
            Access::ReadOnly => (state, None),
            Access::Local => {
                let context = SessionContext::new_with_state(state).enable_url_table();
                (context.state(), Some(context))
            }
        }
    }
}

fn session_config(config: &QueryConfig) -> SessionConfig {
    let mut session = SessionConfig::new()
        .with_batch_size(config.batch_rows.max(1))
        .with_target_partitions(config.partitions.max(1))
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        // The statement's catalogue has an `information_schema` of its own.
        .with_information_schema(false);
    let options = session.options_mut();
    options.execution.time_zone = Some("UTC".to_owned());
    options.sql_parser.collect_spans = true;
    session
}

/// What a sort sets aside and copies at once must fit many times into what its statement may hold.
fn share_sorts(state: &mut SessionState, memory_bytes: usize) {
    let part = memory_bytes / 64;
    let execution = &state.config().options().execution;
    let (reserved, in_place) = (
        execution.sort_spill_reservation_bytes,
        execution.sort_in_place_threshold_bytes,
    );
    if part >= reserved && part >= in_place {
        return;
    }
    let execution = &mut state.config_mut().options_mut().execution;
    execution.sort_spill_reservation_bytes = reserved.min(part);
    execution.sort_in_place_threshold_bytes = in_place.min(part);
}

fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.insert(0, Arc::new(ReadPromoted));
    rules.push(Arc::new(AddStops));
    rules
}

fn register_functions(state: &mut SessionState) -> Result<(), DataFusionError> {
    // Under the names of its functions nothing of ours stands.
    datafusion_functions_json::register_all(state)?;
    vitalog_functions::register_all(state)?;
    bound_growth(state)
}

/// A statement that is ready to run.
pub(crate) struct Planned {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    memory: Arc<StatementPool>,
    snapshot: Arc<StatementSnapshot>,
    diagnosis: Diagnosis,
}

impl Planned {
    /// The schema of the rows inside the process.
    pub fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    /// What tells how much its running takes; planning it took `planning`.
    pub fn gauge(&self, planning: Duration) -> Gauge {
        Gauge::new(&self.plan, &self.memory, planning)
    }

    /// The `seq` up to which it sees the store.
    pub fn seq(&self) -> i64 {
        self.snapshot.seq
    }

    /// The rows; nothing is read before the first poll.
    pub fn start(&self) -> Result<SendableRecordBatchStream, QueryError> {
        execute_stream(Arc::clone(&self.plan), Arc::clone(&self.context))
            .map_err(|error| self.diagnose(&error))
    }

    pub fn diagnose(&self, error: &DataFusionError) -> QueryError {
        self.diagnosis.diagnose(error)
    }
}

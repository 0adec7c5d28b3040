//! The session: what all statements share, and how one becomes a running plan.
//!
//! A template holds functions, rules and settings, and is made once; a statement gets a copy of it
//! with a catalogue over its own snapshot. Nothing that a statement does changes the template.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{
    SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext,
};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use vitalog_store::Store;

use crate::catalog::{CATALOG, SCHEMA, StatementCatalog};
use crate::config::QueryConfig;
use crate::control::Control;
use crate::diagnosis::{Diagnosis, Vocabulary};
use crate::engine::{Access, QueryRequest};
use crate::error::{QueryError, QueryErrorKind};
use crate::snapshot::StatementSnapshot;
use crate::statement;
use crate::stop::AddStops;

/// Consumers that a message about exhausted memory names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");

/// What all statements of an engine share.
pub(crate) struct Session {
    store: Arc<Store>,
    config: QueryConfig,
    template: SessionState,
    vocabulary: Arc<Vocabulary>,
}

impl Session {
    pub fn new(store: Arc<Store>, config: QueryConfig) -> Result<Self, QueryError> {
        let pool =
            TrackConsumersPool::new(FairSpillPool::new(config.memory_bytes), CONSUMERS_NAMED);
        let template = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .build_arc()
            .and_then(|runtime| {
                let mut state = SessionStateBuilder::new_with_default_features()
                    .with_config(session_config(&config))
                    .with_runtime_env(runtime)
                    .with_physical_optimizer_rule(Arc::new(AddStops))
                    .build();
                register_functions(&mut state)?;
                Ok(state)
            })
            .map_err(|error| QueryError::internal(error.to_string()))?;
        let vocabulary = Arc::new(Vocabulary::of(&template));
        Ok(Self {
            store,
            config,
            template,
            vocabulary,
        })
    }

    pub fn config(&self) -> &QueryConfig {
        &self.config
    }

    pub fn template(&self) -> &SessionState {
        &self.template
    }

    /// Takes a snapshot and plans `request` over it.
    pub async fn plan(
        &self,
        request: &QueryRequest,
        control: &Arc<Control>,
    ) -> Result<Planned, QueryError> {
        let limit = self.config.sql_bytes_max;
        if request.sql.len() > limit {
            let found = request.sql.len();
            let message = format!("the statement has {found} bytes, at most {limit} are taken");
            return Err(QueryError::new(QueryErrorKind::Limit, message));
        }
        let snapshot = StatementSnapshot::take(&self.store, request.as_of_seq, control)?;
        let diagnosis = Diagnosis {
            sql: request.sql.clone(),
            access: request.access,
            vocabulary: Arc::clone(&self.vocabulary),
        };
        let planned = self.plan_over(request, &snapshot).await;
        let (plan, context) = planned.map_err(|error| diagnosis.diagnose(&error))?;
        Ok(Planned {
            plan,
            context,
            snapshot,
            diagnosis,
        })
    }

    async fn plan_over(
        &self,
        request: &QueryRequest,
        snapshot: &Arc<StatementSnapshot>,
    ) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>), DataFusionError> {
        // The context must live as long as the planning: file tables reach the session through it.
        let (state, _context) = self.state_over(snapshot, request.access);
        let statement = statement::parse(&state, &request.sql)?;
        statement::check_statement(&statement, request.access)?;
        statement::check_files(&state, &statement, request.access)?;
        let logical = state.statement_to_plan(statement).await?;
        let logical: LogicalPlan = statement::check_plan(logical, request.access)?;
        let plan = state.create_physical_plan(&logical).await?;
        Ok((plan, state.task_ctx()))
    }

    fn state_over(
        &self,
        snapshot: &Arc<StatementSnapshot>,
        access: Access,
    ) -> (SessionState, Option<SessionContext>) {
        let mut state = self.template.clone();
        state
            .config_mut()
            .set_extension(Arc::clone(&snapshot.control));
        state.register_catalog_list(Arc::new(StatementCatalog::new(snapshot)));
        state.mark_start_execution();
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
        .with_information_schema(true);
    let options = session.options_mut();
    options.execution.time_zone = Some("UTC".to_owned());
    options.sql_parser.collect_spans = true;
    // What a sort sets aside and copies at once must fit many times into what there is.
    let part = config.memory_bytes / 64;
    let execution = &mut options.execution;
    execution.sort_spill_reservation_bytes = execution.sort_spill_reservation_bytes.min(part);
    execution.sort_in_place_threshold_bytes = execution.sort_in_place_threshold_bytes.min(part);
    session
}

fn register_functions(state: &mut SessionState) -> Result<(), DataFusionError> {
    vitalog_functions::register_all(state)
}

/// A statement that is ready to run.
pub(crate) struct Planned {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    snapshot: Arc<StatementSnapshot>,
    diagnosis: Diagnosis,
}

impl Planned {
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

//! A stop between batches for operators that make many rows out of few, or hand on what they kept.
//!
//! Scans look at the statement's control before each batch, so most plans stop when they should. A
//! join of two small tables reads its inputs at once and then works for hours without reading or
//! awaiting, and a sort, a grouping or a window hands on millions of rows that it has: a node above
//! each of them looks at the control, too, and lets the runtime take a turn.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use tokio::task::coop;

use crate::control::Control;
use crate::table::EventsScan;

type Result<T> = std::result::Result<T, DataFusionError>;

/// Puts a [`StopExec`] above joins, unnesting, what keeps its input, and foreign leaves. The last
/// rule of all: nothing after it would see through the new nodes.
#[derive(Debug)]
pub(crate) struct AddStops;

impl PhysicalOptimizerRule for AddStops {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let needs_stop = match node.children().len() {
                0 => !node.is::<EventsScan>(),
                1 => node.is::<UnnestExec>() || keeps_input(&node),
                _ => true,
            };
            if !needs_stop {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(Arc::new(StopExec { input: node })))
        })
        .data()
    }

    fn name(&self) -> &str {
        "add_stops"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether an operator gives rows for long after its input has ended.
fn keeps_input(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<SortExec>()
        || node.is::<AggregateExec>()
        || node.is::<WindowAggExec>()
        || node.is::<BoundedWindowAggExec>()
}

/// Passes batches on until the statement is cancelled or late.
#[derive(Debug)]
struct StopExec {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for StopExec {
    fn fmt_as(&self, format: DisplayFormatType, formatter: &mut fmt::Formatter) -> fmt::Result {
        match format {
            DisplayFormatType::TreeRender => Ok(()),
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                formatter.write_str("StopExec")
            }
        }
    }
}

impl ExecutionPlan for StopExec {
    fn name(&self) -> &str {
        "StopExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("a stop has one child".to_owned()))?;
        Ok(Arc::new(Self { input }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let control = context.session_config().get_extension::<Control>();
        let batches = self.input.execute(partition, context)?;
        let Some(control) = control else {
            return Ok(batches);
        };
        let checked = batches.then(move |batch| {
            let checked = control.check().and(batch);
            async {
                // A step of the task's turn, taken when there is a batch. Stops lie one above the
                // other: if each took its step before it asks the next, a plan deeper than a turn
                // has steps would never see its first batch.
                coop::consume_budget().await;
                checked
            }
        });
        let stream = RecordBatchStreamAdapter::new(self.input.schema(), checked);
        Ok(Box::pin(stream))
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

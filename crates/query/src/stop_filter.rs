//! A stop within joins: their conditions look at the statement's control.
//!
//! A join whose condition holds for no pair compares all of them and gives no batch, so nothing
//! above or below it is asked meanwhile. Its condition is: once for each batch of pairs.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};

use crate::control::Control;

type Result<T> = std::result::Result<T, DataFusionError>;

/// `plan` with joins whose conditions fail once `control` says so.
pub(crate) fn stop_joins(
    plan: Arc<dyn ExecutionPlan>,
    control: &Arc<Control>,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            let Some(filter) = join.filter() else {
                return Ok(Transformed::no(node));
            };
            let builder = NestedLoopJoinExecBuilder::from(join);
            let join = builder.with_filter(Some(stopping(filter, control)));
            return Ok(Transformed::yes(Arc::new(join.build()?)));
        }
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            let Some(filter) = join.filter() else {
                return Ok(Transformed::no(node));
            };
            let join = join.builder().with_filter(Some(stopping(filter, control)));
            return Ok(Transformed::yes(join.build_exec()?));
        }
        Ok(Transformed::no(node))
    })
    .data()
}

fn stopping(filter: &JoinFilter, control: &Arc<Control>) -> JoinFilter {
    let condition = Arc::new(StopCondition {
        condition: Arc::clone(filter.expression()),
        control: Arc::clone(control),
    });
    let columns = filter.column_indices().to_vec();
    JoinFilter::new(condition, columns, Arc::clone(filter.schema()))
}

/// A condition that fails once the statement is cancelled or late.
#[derive(Debug)]
struct StopCondition {
    condition: Arc<dyn PhysicalExpr>,
    control: Arc<Control>,
}

impl PartialEq for StopCondition {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for StopCondition {}

impl Hash for StopCondition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for StopCondition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(formatter)
    }
}

impl PhysicalExpr for StopCondition {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.condition.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.condition.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.condition.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.control.check()?;
        self.condition.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let [condition] = <[_; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("a stop has one condition".to_owned()))?;
        let control = Arc::clone(&self.control);
        Ok(Arc::new(Self { condition, control }))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(formatter)
    }
}

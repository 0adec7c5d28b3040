//! The rule that lets scans of `events` answer for single keys of `properties`.
//!
//! DataFusion moves functions on JSON down to the scan, into a projection right above it. There
//! each call with one constant key is replaced by a column that the scan makes (see
//! [`PropertyColumn`]): of the promoted column of a section where there is one, without looking at
//! the JSON; and `properties` is not read where nothing else asks for it. Calls that stay elsewhere
//! in a plan run as they are, with the same answer.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use crate::table::{EventsScan, PROPERTIES, PropertyColumn};

type Result<T> = std::result::Result<T, DataFusionError>;

/// Replaces projections over scans of `events` by those over scans with more columns. The first of
/// the physical rules: later ones put nodes between the two.
#[derive(Debug)]
pub(crate) struct ReadPromoted;

impl PhysicalOptimizerRule for ReadPromoted {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match over_scan(&node)? {
            Some(promoted) => Ok(Transformed::yes(promoted)),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "read_promoted"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `node` with the scan below it making the columns; `None` where it asks for none.
fn over_scan(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(projection) = node.downcast_ref::<ProjectionExec>() else {
        return Ok(None);
    };
    let Some(scan) = projection.input().downcast_ref::<EventsScan>() else {
        return Ok(None);
    };
    let mut replaced = Replacement::of(scan);
    let calls: Vec<&ProjectionExpr> = projection.expr().iter().collect();
    let exprs = calls
        .iter()
        .map(|call| replaced.without_calls(&call.expr))
        .collect::<Result<Vec<_>>>()?;
    if replaced.computed.len() == scan.computed().len() {
        return Ok(None);
    }
    let (scan, places) = replaced.scan(scan, &exprs);
    let exprs = exprs
        .into_iter()
        .zip(calls)
        .map(|(expr, call)| {
            Ok(ProjectionExpr {
                expr: moved(expr, &places)?,
                alias: call.alias.clone(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let promoted =
        ProjectionExec::try_new_with_schema_metadata(exprs, Arc::new(scan), &node.schema())?;
    Ok(Some(Arc::new(promoted)))
}

/// The columns that calls are replaced by: as if they stood after those of the scan.
struct Replacement {
    properties: Option<usize>,
    columns: usize,
    computed: Vec<PropertyColumn>,
}

impl Replacement {
    fn of(scan: &EventsScan) -> Self {
        let mut columns = scan.projection().iter();
        Self {
            properties: columns.position(|&column| column == *PROPERTIES),
            columns: scan.projection().len(),
            computed: scan.computed().to_vec(),
        }
    }

    /// `expr` with columns in the place of calls.
    fn without_calls(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let Some(properties) = self.properties else {
            return Ok(Arc::clone(expr));
        };
        Arc::clone(expr)
            .transform_down(|part| {
                let Some(column) = PropertyColumn::of(&part, properties) else {
                    return Ok(Transformed::no(part));
                };
                let known = self.computed.iter().position(|known| *known == column);
                let at = known.unwrap_or(self.computed.len());
                let name = column.field().name().clone();
                if known.is_none() {
                    self.computed.push(column);
                }
                let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&name, self.columns + at));
                Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
            })
            .data()
    }

    /// The scan with the columns that `exprs` ask for, and where each of the old ones is in it.
    fn scan(
        self,
        scan: &EventsScan,
        exprs: &[Arc<dyn PhysicalExpr>],
    ) -> (EventsScan, Vec<Option<usize>>) {
        let asked: Vec<usize> = exprs
            .iter()
            .flat_map(collect_columns)
            .map(|column| column.index())
            .collect();
        let mut places = vec![None; self.columns + self.computed.len()];
        let mut projection = Vec::new();
        for (at, place) in places.iter_mut().enumerate().take(self.columns) {
            if asked.contains(&at) {
                *place = Some(projection.len());
                projection.push(scan.projection()[at]);
            }
        }
        for at in 0..self.computed.len() {
            places[self.columns + at] = Some(projection.len() + at);
        }
        (scan.with_computed(projection, self.computed), places)
    }
}

/// `expr` over columns that have moved.
fn moved(expr: Arc<dyn PhysicalExpr>, places: &[Option<usize>]) -> Result<Arc<dyn PhysicalExpr>> {
    expr.transform(|part| {
        let Some(column) = part.downcast_ref::<Column>() else {
            return Ok(Transformed::no(part));
        };
        let place = places[column.index()].expect("a column that is asked for is read");
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column.name(), place));
        Ok(Transformed::yes(column))
    })
    .data()
}
